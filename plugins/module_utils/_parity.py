# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Compare two stores row by row, and name the rows that differ.

Success is decided only by reading both stores again (DESIGN §6): every row of every table counts, whatever the
loader said. A table that has nothing to compare is not verified when it is the only one.
"""

from __future__ import annotations

import dataclasses
import typing as t

from . import _key_ranges
from ._census import tenant_filter
from ._parity_drill import Difference, Drill, drill
from ._pending_rows import PendingRows
from ._postgres_store import postgres_errors
from ._progress import SILENT
from ._psycopg2 import sql
from ._row_digest import both_buckets, bucket_mask, count, differing
from ._sqlite_store import quote, reading
from ._verdict import FAILED, NOT_VERIFIED, PASSED, Check

if t.TYPE_CHECKING:
    import sqlite3

    from ._planned_table import TablePlan
    from ._progress import Progress
    from ._psycopg2 import Connection
    from ._workers import Workers

MODES = ("full", "keys", "counts")


@dataclasses.dataclass(frozen=True)
class TableParity:
    """The comparison of one table. Counts of differences are at least these where C(complete) is false.

    C(pending) keys were left out of everything, and do not count among the rows.
    """

    table: str
    mode: str
    sqlite_rows: int
    postgres_rows: int
    missing: int
    extra: int
    different: int
    complete: bool
    first_differences: tuple[Difference, ...]
    pending: int = 0

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
        if self.pending:
            notes.append(f"beside {self.pending} key(s) that are on their way back to SQLite")
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
    progress: Progress = SILENT,
    workers: Workers | None = None,
    pending: PendingRows | None = None,
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
        progress: Is told how many rows were compared.
        workers: Processes that read SQLite at the same instant as C(source); None to read it here.
        pending: The rows that take no part, on both sides; only with C(full).

    Raises:
        SqliteError: The SQLite side cannot be read.
        PostgresError: The PostgreSQL side cannot be read.
    """
    if mode == "counts" or (mode == "keys" and not plan.key):
        ours, theirs = count_rows(source, connection, plan, schema_name, source_id)
        return TableParity(
            plan.source, "counts", ours, theirs, max(ours - theirs, 0), max(theirs - ours, 0), 0, True, ()
        )
    plan = plan.with_compared()
    if mode == "keys":
        plan = dataclasses.replace(plan, columns=tuple(plan.columns[place] for place in plan.key_places))
    progress.begin("compare", plan.source, _key_ranges.count(source, plan, source_id))
    pending = pending or PendingRows()
    sides = both_buckets(source, connection, plan, schema_name, source_id, 0, progress.advance, workers)
    sides = pending.taken_out(sides, 0)
    found = Drill()
    if differing(*sides):
        mask = bucket_mask(max(map(count, sides)))
        if mask:
            progress.begin("compare", plan.source, 0)
            sides = both_buckets(source, connection, plan, schema_name, source_id, mask, progress.advance)
            sides = pending.taken_out(sides, mask)
        found = drill(source, connection, plan, schema_name, source_id, mask, sides, pending.keys)
    progress.end()
    ours, theirs = map(count, sides)
    return TableParity(
        plan.source,
        mode,
        ours,
        theirs,
        found.missing,
        found.extra,
        found.different,
        found.complete,
        found.first,
        pending.count,
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
