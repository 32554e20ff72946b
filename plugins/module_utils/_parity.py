# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Compare two stores row by row, and name the rows that differ.

Success is decided only by reading both stores again (DESIGN §6): every row of every table counts, whatever the
loader said. A table that has nothing to compare is not verified when it is the only one.
"""

from __future__ import annotations

import collections
import dataclasses
import typing as t

from ._census import NAMED_KEYS, show_key, tenant_filter
from ._postgres_store import postgres_errors
from ._psycopg2 import sql
from ._row_codec import parse_row, postgres_row, row_digest
from ._row_digest import (
    bucket_mask,
    bucket_of,
    count,
    differing,
    postgres_buckets,
    sqlite_buckets,
    sqlite_rows,
)
from ._sqlite_store import quote, reading
from ._verdict import FAILED, NOT_VERIFIED, PASSED, Check

if t.TYPE_CHECKING:
    import sqlite3

    from ._psycopg2 import Connection
    from ._table_plan import TablePlan

MODES = ("full", "keys", "counts")
# A wrecked table differs everywhere; looking into this many buckets (of about 500 rows) names enough of it.
_BUCKETS_LOOKED_INTO = 64


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
class TableParity:
    """The comparison of one table. Counts of differences are at least these where C(complete) is false."""

    table: str
    mode: str
    sqlite_rows: int
    postgres_rows: int
    missing: int
    extra: int
    different: int
    complete: bool
    first_differences: tuple[Difference, ...]

    @property
    def verdict(self) -> str:
        if self.missing or self.extra or self.different or self.sqlite_rows != self.postgres_rows:
            return FAILED
        return PASSED if self.mode == "full" else NOT_VERIFIED

    def as_check(self) -> Check:
        """Return the comparison as a check."""
        expected = {"rows": self.sqlite_rows, "missing": 0, "extra": 0, "different": 0}
        observed = {
            "rows": self.postgres_rows,
            "missing": self.missing,
            "extra": self.extra,
            "different": self.different,
        }
        notes = [str(difference) for difference in self.first_differences]
        if not self.complete:
            notes.append("more rows differ than were looked at")
        if self.mode != "full":
            notes.append(f"only {self.mode} were compared, the rows were not")
        return Check(f"rows of {self.table}", self.verdict, expected, observed, "; ".join(notes))

    def as_dict(self) -> dict[str, t.Any]:
        found = dataclasses.asdict(self)
        found["verdict"] = self.verdict
        return found


def compare_table(
    source: sqlite3.Connection,
    connection: Connection,
    plan: TablePlan,
    schema_name: str,
    source_id: str,
    mode: str = "full",
) -> TableParity:
    """Compare one profile's rows in SQLite with all rows of its table in PostgreSQL.

    Args:
        source: The SQLite side, prepared by L(_value_kinds.prepare), inside a read transaction.
        connection: The PostgreSQL side, inside a transaction that sees one instant (REPEATABLE READ).
        plan: The table's plan.
        schema_name: The tenant schema.
        source_id: The profile.
        mode: C(full) compares every value, C(keys) the identifying columns, C(counts) the numbers of rows. Less
            than C(full) can fail, but never pass: its verdict is at best not verified.

    Raises:
        SqliteError: The SQLite side cannot be read.
        PostgresError: The PostgreSQL side cannot be read.
    """
    if mode == "counts" or (mode == "keys" and not plan.key):
        ours, theirs = count_rows(source, connection, plan, schema_name, source_id)
        return TableParity(
            plan.source, "counts", ours, theirs, max(ours - theirs, 0), max(theirs - ours, 0), 0, True, ()
        )
    if mode == "keys":
        plan = dataclasses.replace(plan, columns=tuple(plan.columns[place] for place in plan.key_places))
    mask = bucket_mask(count_rows(source, connection, plan, schema_name, source_id)[0])
    sqlite_side = sqlite_buckets(source, plan, source_id, mask)
    postgres_side = postgres_buckets(connection, plan, schema_name, mask)
    numbers = differing(sqlite_side, postgres_side)
    looked_into = numbers[:_BUCKETS_LOOKED_INTO]
    missing, extra, different = _name_differences(
        plan,
        _sqlite_rows_in(source, plan, source_id, mask, looked_into),
        _postgres_rows_in(connection, plan, schema_name, mask, looked_into),
    )
    return TableParity(
        plan.source,
        mode,
        count(sqlite_side),
        count(postgres_side),
        len(missing),
        len(extra),
        len(different),
        len(looked_into) == len(numbers),
        tuple([*missing, *extra, *different][:NAMED_KEYS]),
    )


def count_rows(
    source: sqlite3.Connection, connection: Connection, plan: TablePlan, schema_name: str, source_id: str
) -> tuple[int, int]:
    """Return the number of the profile's rows in SQLite and of all rows of its table in PostgreSQL."""
    where, values = tenant_filter(plan, source_id)
    with reading(source, f"counting table {plan.source}"):
        (ours,) = source.execute(f"SELECT count(*) FROM {quote(plan.source)} WHERE {where}", values).fetchone()
    with postgres_errors(f"Counting table {plan.target}"), connection.cursor() as cursor:
        cursor.execute(sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(schema_name, plan.target)))
        (theirs,) = cursor.fetchone() or (0,)
    return ours, theirs


Rows = t.Counter[bytes]


def _sqlite_rows_in(
    source: sqlite3.Connection, plan: TablePlan, source_id: str, mask: int, numbers: t.Sequence[int]
) -> Rows:
    if not numbers:
        return collections.Counter()
    wanted = frozenset(numbers)
    return collections.Counter(
        row for (row,) in sqlite_rows(source, plan, source_id) if bucket_of(row_digest(row), mask) in wanted
    )


def _postgres_rows_in(
    connection: Connection, plan: TablePlan, schema_name: str, mask: int, numbers: t.Sequence[int]
) -> Rows:
    if not numbers:
        return collections.Counter()
    statement = sql.SQL(
        "SELECT textsend(r) FROM (SELECT r, sha256(textsend(r)) AS d"
        " FROM (SELECT {row} AS r FROM {table}) AS encoded) AS digested"
        " WHERE (((get_byte(d, 0) << 8) | get_byte(d, 1)) & {mask}) = ANY ({numbers})"
    ).format(
        row=postgres_row(plan.target_codec),
        table=sql.Identifier(schema_name, plan.target),
        mask=sql.Literal(mask),
        numbers=sql.Literal(list(numbers)),
    )
    with postgres_errors(f"Reading table {plan.target}"), connection.cursor() as cursor:
        cursor.execute(statement)
        return collections.Counter(bytes(row) for (row,) in cursor)


def _name_differences(
    plan: TablePlan, ours: Rows, theirs: Rows
) -> tuple[list[Difference], list[Difference], list[Difference]]:
    """Return what is missing, extra and different; rows without a key can only be missing or extra."""
    missing, extra, different = [], [], []
    only_theirs = _by_key(plan, theirs - ours)
    for key, rows in _by_key(plan, ours - theirs).items():
        counterparts = only_theirs.pop(key, []) if plan.key else []
        for row in rows:
            if counterparts:
                changed = _changed_columns(plan, row, counterparts.pop())
                different.append(Difference(plan.source, "different", _show(plan, row), changed))
            else:
                missing.append(Difference(plan.source, "missing", _show(plan, row)))
        extra += [Difference(plan.source, "extra", _show(plan, row)) for row in counterparts]
    extra += [Difference(plan.source, "extra", _show(plan, row)) for rows in only_theirs.values() for row in rows]
    return missing, extra, different


def _by_key(plan: TablePlan, rows: Rows) -> dict[t.Any, list[bytes]]:
    found: dict[t.Any, list[bytes]] = {}
    for row in sorted(rows.elements()):
        fields = parse_row(row)
        found.setdefault(tuple(fields[place] for place in plan.key_places), []).append(row)
    return found


def _changed_columns(plan: TablePlan, one: bytes, other: bytes) -> tuple[str, ...]:
    pairs = zip(plan.columns, parse_row(one), parse_row(other))
    return tuple(column.source for column, ours, theirs in pairs if ours != theirs)


def _show(plan: TablePlan, row: bytes) -> str:
    fields = parse_row(row)
    if plan.key:
        return show_key(plan.key, [fields[place] for place in plan.key_places])
    names = [column.source for column in plan.columns]
    return show_key(names, [field[:40] if field else field for field in fields]) + ", a row without a key"
