# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Name the rows that differ, once a table is known to differ: a few buckets, and of their rows only keys and digests.

Memory does not depend on how large a table or a value is: at most L(_ROWS_LOOKED_INTO) rows or so are held, each as the
text of its key and its digest, and the values of the first named rows as digests.
"""

from __future__ import annotations

import collections
import dataclasses
import hashlib
import typing as t

from ._census import NAMED_KEYS, show_key
from ._postgres_store import postgres_errors
from ._psycopg2 import sql
from ._row_codec import parse_row, postgres_row, row_digest
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

Rows = t.Counter[tuple[bytes, bytes]]  # the text of the key, and the digest of the row
Fields = tuple["bytes | None", ...]


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
) -> Drill:
    """Return the rows that differ, of the buckets (by the mask) that do.

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
        (key, row_digest(row))
        for row, key in sqlite_rows(source, plan, source_id, with_key=True)
        if bucket_of(row_digest(key), mask) in wanted
    )
    theirs = _postgres_rows(connection, plan, schema_name, mask, chosen)
    kinds = _pair(plan, ours - theirs, theirs - ours)
    first = [(kind, key) for kind in ("missing", "extra", "different") for key in kinds[kind]][:NAMED_KEYS]
    named = _name(source, connection, plan, schema_name, source_id, first)
    return Drill(
        len(kinds["missing"]),
        len(kinds["extra"]),
        len(kinds["different"]),
        len(chosen) == len(numbers),
        tuple(named),
    )


def _postgres_rows(
    connection: Connection, plan: TablePlan, schema_name: str, mask: int, numbers: t.Sequence[int]
) -> Rows:
    statement = sql.SQL(
        "SELECT textsend(key), d FROM (SELECT {key} AS key, {digest} AS k, sha256(textsend({row})) AS d FROM {table}"
        " OFFSET 0) AS digested WHERE {bucket} = ANY ({numbers})"
    ).format(
        key=postgres_row(plan.target_key_codec),
        digest=postgres_key_digest(plan),
        row=postgres_row(plan.target_codec),
        table=sql.Identifier(schema_name, plan.target),
        bucket=postgres_bucket(mask),
        numbers=sql.Literal(list(numbers)),
    )
    with postgres_errors(f"Reading table {plan.target}"), connection.cursor() as cursor:
        cursor.execute(statement)
        return collections.Counter((bytes(key), bytes(digest)) for key, digest in cursor)


def _pair(plan: TablePlan, ours: Rows, theirs: Rows) -> dict[str, list[bytes]]:
    """Return the keys of what is missing, extra and different; rows without a key can only be missing or extra."""
    kinds: dict[str, list[bytes]] = {"missing": [], "extra": [], "different": []}
    left = collections.Counter(key for key, _digest in theirs.elements())
    for key, _digest in sorted(ours.elements()):
        if plan.key and left[key]:
            left[key] -= 1
            kinds["different"].append(key)
        else:
            kinds["missing"].append(key)
    kinds["extra"] = sorted(left.elements())
    return kinds


def _name(
    source: sqlite3.Connection,
    connection: Connection,
    plan: TablePlan,
    schema_name: str,
    source_id: str,
    first: t.Sequence[tuple[str, bytes]],
) -> list[Difference]:
    changed = {key for kind, key in first if kind == "different"}
    columns: dict[bytes, tuple[str, ...]] = {}
    if changed:
        ours: dict[bytes, Fields] = {
            key: _digests(row) for row, key in sqlite_rows(source, plan, source_id, with_key=True) if key in changed
        }
        statement = sql.SQL(
            "SELECT textsend(key), textsend(r) FROM (SELECT {} AS key, {} AS r FROM {}) AS found"
        ).format(
            postgres_row(plan.target_key_codec),
            postgres_row(plan.target_codec),
            sql.Identifier(schema_name, plan.target),
        ) + sql.SQL(" WHERE key = ANY ({})").format(sql.Literal([key.decode() for key in sorted(changed)]))
        with postgres_errors(f"Reading table {plan.target}"), connection.cursor() as cursor:
            cursor.execute(statement)
            for key, row in cursor:
                pairs = zip(plan.columns, ours[bytes(key)], _digests(bytes(row)))
                columns[bytes(key)] = tuple(column.source for column, mine, other in pairs if mine != other)
    return [Difference(plan.source, kind, _show(plan, key), columns.get(key, ())) for kind, key in first]


def _digests(row: bytes) -> Fields:
    return tuple(None if field is None else hashlib.sha256(field).digest() for field in parse_row(row))


def _show(plan: TablePlan, key: bytes) -> str:
    fields = parse_row(key)
    if plan.key:
        return show_key(plan.key, fields)
    names = [column.source for column in plan.columns]
    return show_key(names, [field[:_SHOWN_OCTETS] if field else field for field in fields]) + ", a row without a key"
