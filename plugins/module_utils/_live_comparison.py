# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Compare both stores after the switch, while the application writes to PostgreSQL and the way back is drained.

SQLite is fenced, so only the drain writes there: a row differs for a good reason exactly while its key is in the
return log. The order makes that exact, whoever drains meanwhile. First PostgreSQL's clock is read, then SQLite's
instant is taken, then PostgreSQL's. A key that was acknowledged before the first had been committed in SQLite before
the second, and what SQLite holds was read from PostgreSQL before the third. So what may differ is what is pending at
the third, or was acknowledged since the first. Nothing else is left out, and nothing else differs unless it is damaged.
"""

from __future__ import annotations

import contextlib
import dataclasses
import typing as t

from . import _capture_postgres, _change_log
from ._capture_state import fence_triggers
from ._errors import CaptureError, PostgresError, ReplayError, SqliteError
from ._parity import TableParity, compare_table, count_rows
from ._parity_checks import check_integrity
from ._pending_rows import read_pending
from ._postgres_store import postgres_errors, relation_exists, roll_back
from ._progress import SILENT
from ._psycopg2 import sql
from ._return_path import is_fenced
from ._sqlite_store import names_as_text, reading
from ._verdict import Check, compare, not_verified

if t.TYPE_CHECKING:
    import sqlite3

    from ._change_log import Pending
    from ._online_names import OnlineNames
    from ._planned_table import TablePlan
    from ._postgres_store import Column
    from ._progress import Progress
    from ._psycopg2 import Connection
    from ._table_plan import Plan
    from ._workers import Workers

_TRIES = 3
_LOCK_TIMEOUT = "5s"
_AGAIN = ("55P03", "42P01")  # a lock was waited for in vain; a table went away since it was looked for
ROWS_COMPARED = "rows compared"


@dataclasses.dataclass
class LiveComparison:
    """What was found: the comparison of every table where that was asked for, and all checks."""

    tables: list[TableParity] = dataclasses.field(default_factory=list)
    checks: list[Check] = dataclasses.field(default_factory=list)


class Live:
    """Both stores of a profile that was switched to PostgreSQL.

    Args:
        connection: PostgreSQL; a transaction that it is in is ended.
        source: SQLite, prepared by L(_value_kinds.prepare); likewise.
        plan: The tables.
        names: What online mode calls its things.
        source_id: The profile.
        columns: The columns of the tables in PostgreSQL, by table, for their sequences.
        begin: Begins to read SQLite at one instant, and returns the processes that read the same one, if there are any.
        progress: Is told of every table that is compared row by row.
    """

    def __init__(
        self,
        connection: Connection,
        source: sqlite3.Connection,
        plan: Plan,
        names: OnlineNames,
        source_id: str,
        *,
        columns: t.Mapping[str, t.Sequence[Column]] | None = None,
        begin: t.Callable[[], Workers | None] | None = None,
        progress: Progress = SILENT,
    ) -> None:
        self._connection = connection
        self._source = source
        self._plan = plan
        self._names = names
        self._source_id = source_id
        self._columns = columns or {}
        self._begin = begin or self._begin_alone
        self._progress = progress

    def compare(self, *, deep: bool, also: t.Callable[[], list[Check]] = list) -> LiveComparison:
        """Compare every table: the numbers of rows, or every row.

        Args:
            deep: Whether every row is compared; otherwise their numbers are.
            also: Makes further checks, at the same instant of both stores.

        Raises:
            SqliteError: The file cannot be read.
            PostgresError: PostgreSQL cannot be read.
        """
        why = ""
        for _try in range(_TRIES):
            try:
                return self._compare(deep, also)
            except (SqliteError, PostgresError) as error:
                if not (error.facts.get("locked") or error.facts.get("sqlstate") in _AGAIN):
                    raise
                why = error.message()
            finally:
                self._stop_reading()
        return LiveComparison(checks=[not_verified(ROWS_COMPARED, why)])

    def _compare(self, deep: bool, also: t.Callable[[], list[Check]]) -> LiveComparison:
        found = LiveComparison()
        since = self._clock()
        workers = self._begin()
        there = self._there()
        found.checks += [
            compare(f"table {name} is in the tenant schema", True, False)
            for name in self._expected()
            if name not in [table.source for table in there]
        ]
        with self._at_one_instant(there):
            why_not = self._why_not()
            try:
                if not why_not:
                    pending = _change_log.postgres_unsettled(self._connection, self._plan, self._names, since)
                    self._compare_tables(found, there, pending, workers if deep else None, deep)
            except (CaptureError, ReplayError) as error:
                why_not = error.message()
            if why_not:
                found.checks.append(not_verified(ROWS_COMPARED, why_not))
            for table in there:
                columns = self._columns.get(table.target, ())
                self._progress.begin("check", table.source, 0)
                found.checks += check_integrity(
                    self._source, self._connection, table, self._names.schema_name, self._source_id, columns
                )
                self._progress.end()
            found.checks += also()
        return found

    def _compare_tables(
        self,
        found: LiveComparison,
        tables: t.Sequence[TablePlan],
        pending: Pending,
        workers: Workers | None,
        deep: bool,
    ) -> None:
        source, connection, schema_name = self._source, self._connection, self._names.schema_name
        rows = 0
        for table in tables:
            keys = pending.tables.get(table.source, [])
            waiting = read_pending(source, connection, table, schema_name, self._source_id, keys)
            if deep:
                compared = compare_table(
                    source, connection, table, schema_name, self._source_id, "full", self._progress, workers, waiting
                )
                found.tables.append(compared)
                found.checks.append(compared.as_check())
                rows += compared.sqlite_rows + compared.postgres_rows
            else:
                ours, theirs = count_rows(source, connection, table, schema_name, self._source_id)
                ours, theirs = ours - len(waiting.ours), theirs - len(waiting.theirs)
                beside = f"beside {waiting.count} key(s) that are on their way back to SQLite" if keys else ""
                found.checks.append(compare(f"rows of {table.source}", {"rows": ours}, {"rows": theirs}, beside))
                rows += ours + theirs
        if not rows:
            why = "no table holds a row of this profile that is not on its way back, so nothing is proven"
            found.checks.append(not_verified(ROWS_COMPARED, why))

    def _why_not(self) -> str:
        """Return why a difference would say nothing, empty where it is damage."""
        if not is_fenced(self._source, self._plan, self._names):
            return "the profile is not fenced in SQLite, so both stores may hold what the other one has not"
        missing = _capture_postgres.look(self._connection, self._plan, self._names)
        if missing is None:
            return "what changes in PostgreSQL is not captured, so a difference may be a write"
        return f"not everything that changes in PostgreSQL is captured: {'; '.join(missing)}" if missing else ""

    def _expected(self) -> list[str]:
        """Return the tables that PostgreSQL was switched to: all that were fenced, whatever pairs now."""
        with reading(self._source, "looking at the fence"), names_as_text(self._source):
            triggers = fence_triggers(self._source, self._names)
            rows = self._source.execute("SELECT name, tbl_name FROM sqlite_master WHERE type = 'trigger'").fetchall()
        fenced = {table for name, table in rows if name in triggers}
        return sorted({*fenced, *(table.source for table in self._plan.tables)})

    def _clock(self) -> str:
        self._connection.rollback()
        with postgres_errors("Reading PostgreSQL's clock"), self._connection.cursor() as cursor:
            cursor.execute("SELECT clock_timestamp()::text")
            (now,) = cursor.fetchone() or ("",)
        return str(now)

    def _there(self) -> list[TablePlan]:
        with postgres_errors(f"Looking at schema {self._names.schema_name}"):
            return [
                table
                for table in self._plan.tables
                if relation_exists(self._connection, f"{self._names.schema_name}.{table.target}")
            ]

    @contextlib.contextmanager
    def _at_one_instant(self, tables: t.Sequence[TablePlan]) -> t.Iterator[None]:
        # The locks of a reader, and before the instant: a table that is emptied by TRUNCATE, or rewritten, after it
        # would seem empty at it.
        names = sql.SQL(", ").join([sql.Identifier(self._names.schema_name, table.target) for table in tables])
        self._connection.rollback()
        with postgres_errors("Beginning to read"), self._connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
            cursor.execute(sql.SQL("SET LOCAL lock_timeout = {}").format(sql.Literal(_LOCK_TIMEOUT)))
            if tables:
                cursor.execute(sql.SQL("LOCK TABLE {} IN ACCESS SHARE MODE").format(names))
        yield

    def _begin_alone(self) -> None:
        if self._source.in_transaction:
            self._source.execute("ROLLBACK")
        with reading(self._source, "beginning to read"):
            self._source.execute("BEGIN")
            self._source.execute("SELECT count(*) FROM sqlite_master").fetchone()

    def _stop_reading(self) -> None:
        if self._source.in_transaction:
            self._source.execute("ROLLBACK")
        roll_back(self._connection)


def compare_live(
    connection: Connection,
    source: sqlite3.Connection,
    plan: Plan,
    names: OnlineNames,
    source_id: str,
    schema_name: str,
    *,
    deep: bool = False,
    columns: t.Mapping[str, t.Sequence[Column]] | None = None,
) -> list[Check]:
    """Compare both stores while PostgreSQL is live, leaving out exactly the keys that are on their way back.

    Whatever was written by the application, no check fails because of it. Where a comparison says nothing, because
    SQLite is not fenced or not every change is captured, C(rows compared) is not verified, with the reason.

    Args:
        connection: PostgreSQL; a transaction that it is in is ended.
        source: SQLite, prepared by L(_value_kinds.prepare); likewise.
        plan: The tables.
        names: What online mode calls its things.
        source_id: The profile.
        schema_name: The tenant schema.
        deep: Whether every row is compared and named where it differs, which takes as long as parity does; otherwise
            the numbers of rows are.
        columns: The columns of the tables in PostgreSQL, by table (of L(_tenant_stores.Stores.targets)); without them
            no sequence is looked at.

    Returns:
        A check for the rows of each table, and those of L(_parity_checks.check_integrity).

    Raises:
        SqliteError: The file cannot be read.
        PostgresError: PostgreSQL is gone, or refused something.
    """
    del schema_name  # it is that of the names
    return Live(connection, source, plan, names, source_id, columns=columns).compare(deep=deep).checks
