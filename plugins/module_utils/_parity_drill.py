# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Name the rows that differ, once a table is known to differ: a few buckets, and of their rows only keys and digests.

Memory does not depend on how large a table or a value is: at most L(_ROWS_LOOKED_INTO) different rows or so are held,
each as its key (a long one as its digest) and its digest, and the values of the first named rows as digests.
"""

from __future__ import annotations

import collections
import dataclasses
import itertools
import typing as t

from ._finding import NAMED_KEYS, show_key
from ._postgres_store import postgres_errors
from ._psycopg2 import sql
from ._row_codec import Field, parse_row, postgres_row, row_digest
from ._row_digest import (
    Buckets,
    bucket_of,
    differing,
    postgres_bucket,
    postgres_key_digest,
    sqlite_rows,
)

if t.TYPE_CHECKING:
    import sqlite3

    from ._planned_table import TablePlan
    from ._psycopg2 import Connection

# A wrecked table differs everywhere; looking into so many rows names enough of it.
_ROWS_LOOKED_INTO = 32768
_SHOWN_OCTETS = 40
_LONGEST_KEY_HELD = 256
_LONG_KEY = b"\0"  # no canonical text begins with it

Rows = t.Counter[tuple[bytes, bytes]]  # the key as it is held, and the digest of the row


@dataclasses.dataclass(frozen=True)
class Difference:
    """One row that is not the same: C(kind) is missing (from PostgreSQL), extra (only there) or different."""

    table: str
    kind: str
    key: str
    columns: tuple[str, ...] = ()

    def __str__(self) -> str:
        text = f"{self.kind} {self.table} {self.key}"
        return f"{text} in column(s) {', '.join(self.columns)}" if self.columns else text


@dataclasses.dataclass(frozen=True)
class Drill:
    """What was found: how many rows of each kind, the first of them by name, and whether that is all."""

    missing: int = 0
    extra: int = 0
    different: int = 0
    complete: bool = True
    first: tuple[Difference, ...] = ()


def drill(
    source: sqlite3.Connection,
    connection: Connection,
    plan: TablePlan,
    schema_name: str,
    source_id: str,
    mask: int,
    sides: tuple[Buckets, Buckets],
    ignored: t.Collection[bytes] = (),
) -> Drill:
    """Return the rows that differ, of the buckets (by the mask) that do; canonical keys that are ignored never do.

    Raises:
        SqliteError: The SQLite side cannot be read.
        PostgresError: The PostgreSQL side cannot be read.
    """
    numbers = differing(*sides)
    chosen: list[int] = []
    held = 0
    for number in numbers:
        held += max(side.get(number, (0,))[0] for side in sides)
        if chosen and held > _ROWS_LOOKED_INTO:
            break
        chosen.append(number)
    if not chosen:
        return Drill()
    wanted = frozenset(chosen)
    ours: Rows = collections.Counter(
        (_held(key), row_digest(row))
        for row, key in sqlite_rows(source, plan, source_id, with_key=True)
        if bucket_of(row_digest(key), mask) in wanted
    )
    theirs = _postgres_rows(connection, plan, schema_name, mask, chosen)
    ignored = {_held(key) for key in ignored}
    kinds = _pair(plan, _beside(ours - theirs, ignored), _beside(theirs - ours, ignored))
    all_of_them = ((kind, key) for kind, keys in kinds.items() for key in _in_order(keys))
    first = list(itertools.islice(all_of_them, NAMED_KEYS))
    named = _name(source, connection, plan, schema_name, source_id, first)
    return Drill(
        sum(kinds["missing"].values()),
        sum(kinds["extra"].values()),
        sum(kinds["different"].values()),
        len(chosen) == len(numbers),
        tuple(named),
    )


def _held(key: bytes) -> bytes:
    return key if len(key) <= _LONGEST_KEY_HELD else _LONG_KEY + row_digest(key)


def _postgres_held(plan: TablePlan) -> sql.Composable:
    return sql.SQL(
        "CASE WHEN octet_length(key) <= {} THEN textsend(key) ELSE {}::bytea || sha256(textsend(key)) END"
    ).format(sql.Literal(_LONGEST_KEY_HELD), sql.Literal(_LONG_KEY))


def _postgres_rows(
    connection: Connection, plan: TablePlan, schema_name: str, mask: int, numbers: t.Sequence[int]
) -> Rows:
    statement = sql.SQL(
        "SELECT {held}, d, count(*) FROM (SELECT {key} AS key, {digest} AS k, sha256(textsend({row})) AS d FROM {table}"
        " OFFSET 0) AS digested WHERE {bucket} = ANY ({numbers}) GROUP BY 1, 2"
    ).format(
        held=_postgres_held(plan),
        key=postgres_row(plan.target_key_codec),
        digest=postgres_key_digest(plan),
        row=postgres_row(plan.target_codec),
        table=sql.Identifier(schema_name, plan.target),
        bucket=postgres_bucket(mask),
        numbers=sql.Literal(list(numbers)),
    )
    with postgres_errors(f"Reading table {plan.target}"), connection.cursor() as cursor:
        cursor.execute(statement)
        return collections.Counter({(bytes(key), bytes(digest)): rows for key, digest, rows in cursor})


def _pair(plan: TablePlan, ours: Rows, theirs: Rows) -> dict[str, t.Counter[bytes]]:
    """Return the keys of what is missing, extra and different; rows without a key can only be missing or extra."""
    missing, extra = _by_key(ours), _by_key(theirs)
    different = missing & extra if plan.key else collections.Counter()
    return {"missing": missing - different, "extra": extra - different, "different": different}


def _beside(rows: Rows, ignored: t.Collection[bytes]) -> Rows:
    if not ignored:
        return rows
    return collections.Counter({one: number for one, number in rows.items() if one[0] not in ignored})


def _by_key(rows: Rows) -> t.Counter[bytes]:
    found: t.Counter[bytes] = collections.Counter()
    for (key, _digest), number in rows.items():
        found[key] += number
    return found


def _in_order(keys: t.Counter[bytes]) -> t.Iterator[bytes]:
    for key in sorted(keys):
        yield from itertools.repeat(key, keys[key])


def _name(
    source: sqlite3.Connection,
    connection: Connection,
    plan: TablePlan,
    schema_name: str,
    source_id: str,
    first: t.Sequence[tuple[str, bytes]],
) -> list[Difference]:
    """Return the differences by key and column, reading both stores again for what was held as a digest only."""
    changed = {key for kind, key in first if kind == "different"}
    shortened = {key for _kind, key in first if key.startswith(_LONG_KEY)}
    texts: dict[bytes, bytes] = {}
    columns: dict[bytes, tuple[str, ...]] = {}
    if changed or shortened:
        ours: dict[bytes, tuple[Field, ...]] = {}
        for row, key in sqlite_rows(source, plan, source_id, with_key=True):
            held = _held(key)
            if held in changed:
                ours[held] = parse_row(row)
            if held in shortened:
                texts[held] = key
        for held, key, row in _postgres_named(connection, plan, schema_name, changed | shortened):
            texts[held] = key
            if held in changed:
                pairs = zip(plan.columns, ours[held], parse_row(row))
                columns[held] = tuple(column.source for column, mine, other in pairs if mine != other)
    return [
        Difference(plan.source, kind, _show(plan, texts.get(key, key)), columns.get(key, ())) for kind, key in first
    ]


def _postgres_named(
    connection: Connection, plan: TablePlan, schema_name: str, keys: t.Collection[bytes]
) -> t.Iterator[tuple[bytes, ...]]:
    """Iterate over the key as it is held, the key and the row of the keys that are to be named."""
    # Each once: a table without a key may hold a row any number of times.
    statement = sql.SQL(
        "SELECT DISTINCT held, textsend(key), textsend(r) FROM (SELECT {held} AS held, key, r"
        " FROM (SELECT {key} AS key, {row} AS r FROM {table} OFFSET 0) AS texts OFFSET 0) AS found"
        " WHERE held = ANY ({keys})"
    ).format(
        held=_postgres_held(plan),
        key=postgres_row(plan.target_key_codec),
        row=postgres_row(plan.target_codec),
        table=sql.Identifier(schema_name, plan.target),
        keys=sql.Literal(sorted(keys)),
    )
    with postgres_errors(f"Reading table {plan.target}"), connection.cursor() as cursor:
        cursor.execute(statement)
        for row in cursor:
            yield tuple(map(bytes, row))


def _show(plan: TablePlan, key: bytes) -> str:
    fields = parse_row(key)
    if plan.key:
        return show_key(plan.key, fields)
    names = [column.source for column in plan.columns]
    shown = [field[:_SHOWN_OCTETS] if isinstance(field, bytes) else field for field in fields]
    return show_key(names, shown) + ", a row without a key"
