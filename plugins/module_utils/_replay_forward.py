# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Bring rows that changed in SQLite since a position into PostgreSQL: the catch-up before a switch, and its last step.

Only keys are remembered: what a row holds is read now, all of it at one instant, so doing a pass again changes nothing,
and one that was killed is simply done again. Rows are added and changed first, parents before children; rows that are
gone are deleted afterwards, children before parents.
"""

from __future__ import annotations

import contextlib
import typing as t

from . import _fence_postgres, _replay_deletes, _touched_quarantine
from ._errors import ReplayError
from ._online_names import TENANT_TABLE
from ._postgres_store import identifier, postgres_errors, roll_back
from ._psycopg2 import sql
from ._replay_failure import refuse_unchecked, refuse_wrong
from ._replay_upserts import Upserts, refers_to_itself
from ._replayed import Replayed
from ._sequences import align
from ._staged_rows import StagedTable

if t.TYPE_CHECKING:
    import sqlite3

    from ._change_log import Key, Pending
    from ._online_names import OnlineNames
    from ._planned_table import TablePlan
    from ._psycopg2 import Connection
    from ._replay_deletes import Referring
    from ._replayed import Say
    from ._table_plan import Plan
    from ._travelling_rows import Gone

__all__ = ["BATCH", "Replayed", "replay"]

BATCH = 5000


def replay(
    source: sqlite3.Connection,
    connection: Connection,
    plan: Plan,
    names: OnlineNames,
    source_id: str,
    pending: Pending,
    *,
    one_transaction: bool,
    batch: int = BATCH,
    say: Say | None = None,
    position: int | None = None,
) -> Replayed:
    """Make PostgreSQL hold of every pending key what SQLite holds.

    Args:
        source: The file, prepared by L(_value_kinds.prepare), in the transaction in which C(pending) was read.
        connection: PostgreSQL, outside of any transaction unless C(one_transaction).
        plan: The tables.
        names: What online mode calls its tables.
        source_id: The profile.
        pending: As from L(_change_log.sqlite_pending).
        one_transaction: Whether to leave everything to the caller, who commits or rolls back. Otherwise every batch is
            committed by itself.
        batch: How many keys are written at a time; of tables that refer to themselves or each other, all.
        say: Called after each batch with the table, how many of its keys are done, and of how many.
        position: Written with the last batch, in its transaction, as how far the log has been replayed.

    Raises:
        ReplayError: A row cannot be brought over as it is. The batches before it are committed, unless
            C(one_transaction); the position is as it was.
        SqliteError: The file cannot be read.
        PostgresError: PostgreSQL refused something as a whole.
    """
    run = _Pass(source, connection, plan, names, source_id, pending, one_transaction, batch, say)
    return run.run(position)


class _Pass:
    """One pass over the pending keys."""

    def __init__(
        self,
        source: sqlite3.Connection,
        connection: Connection,
        plan: Plan,
        names: OnlineNames,
        source_id: str,
        pending: Pending,
        one_transaction: bool,
        batch: int,
        say: Say | None,
    ) -> None:
        self._source = source
        self._connection = connection
        self._plan = plan
        self._names = names
        self._source_id = source_id
        self._pending = pending
        self._one_transaction = one_transaction
        self._batch = batch
        self._say = say or (lambda _table, _done, _rows: None)
        self._done = Replayed()
        self._gone: dict[str, dict[Key, Gone]] = {}
        self._present: dict[str, set[tuple[t.Any, ...]]] = {}
        self._staged: dict[str, StagedTable] = {}
        self._referring: dict[str, list[Referring]] | None = None
        self._fixed: dict[str, set[str]] = {}

    def run(self, position: int | None) -> Replayed:
        schema_name = self._names.schema_name
        self._refuse_without_key()
        with self._whole():
            if any(column.sequence for table in self._touched for column in table.columns):
                self._fixed = _fixed_columns(self._connection, schema_name)
            groups = _groups(self._plan)
            for group in groups:
                self._upsert_group(group)
            for group in reversed(groups):
                self._delete_group(group)
            with self._step():
                align(self._source, self._connection, self._touched, schema_name)
                if position is not None:
                    self._write_position(position)
        return self._done

    @property
    def _touched(self) -> list[TablePlan]:
        return [table for table in self._plan.tables if table.source in self._pending.tables]

    def _read_referring(self) -> dict[str, list[Referring]]:
        if self._referring is None:
            self._referring = _replay_deletes.read_referring(self._connection, self._names.schema_name)
        return self._referring

    def _refuse_without_key(self) -> None:
        for table in self._touched:
            if not table.key:
                raise ReplayError(
                    f"Rows of table {table.source} cannot be replayed",
                    "it has no primary key that tells its rows apart",
                    table=table.source,
                )

    # Transactions

    @contextlib.contextmanager
    def _whole(self) -> t.Iterator[None]:
        """Everything at once, or nothing of its own."""
        if not self._one_transaction:
            yield
            return
        with self._written():
            yield

    @contextlib.contextmanager
    def _step(self) -> t.Iterator[None]:
        """Something that is committed by itself, or a part of the whole."""
        if self._one_transaction:
            yield
            return
        try:
            with self._written():
                yield
            with postgres_errors("Committing replayed rows"):
                self._connection.commit()
        except BaseException:
            roll_back(self._connection)
            raise

    @contextlib.contextmanager
    def _written(self) -> t.Iterator[None]:
        self._staged = {}
        with _fence_postgres.passing(self._connection, self._names):
            with postgres_errors("Preparing to write replayed rows"), self._connection.cursor() as cursor:
                # Keys are found by their index, however few rows PostgreSQL takes a fresh temporary table to have.
                by_index = all(_found_by_index(table) for table in self._touched)
                hints = "; SET LOCAL enable_hashjoin TO off; SET LOCAL enable_mergejoin TO off" if by_index else ""
                cursor.execute(f"SET CONSTRAINTS ALL DEFERRED{hints}")
            yield
            refuse_unchecked(self._connection)
            for staged in self._staged.values():
                refuse_wrong(self._source, self._connection, staged, self._source_id)

    # Rows that are there

    def _upsert_group(self, group: t.Sequence[TablePlan]) -> None:
        if len(group) == 1 and not refers_to_itself(group[0]):
            (plan,) = group
            keys = self._pending.tables.get(plan.source, [])
            for start in range(0, len(keys), self._batch):
                with self._step():
                    self._upsert([(plan, keys[start : start + self._batch])])
                self._say(plan.source, min(start + self._batch, len(keys)), len(keys))
            return
        work = [(plan, self._pending.tables[plan.source]) for plan in group if plan.source in self._pending.tables]
        if work:
            with self._step():
                self._upsert(work)
            for plan, keys in work:
                self._say(plan.source, len(keys), len(keys))

    def _upsert(self, work: t.Sequence[tuple[TablePlan, list[Key]]]) -> None:
        staged = [(self._stage(plan), keys) for plan, keys in work]
        before = {table.plan.target: len(table.rows.gone) for table, _keys in staged}
        session = (self._source, self._connection, self._source_id)
        counts = Upserts(*session, self._pending, self._read_referring, self._fixed).write(staged)
        for table, keys in staged:
            target, rows = table.plan.target, table.rows
            self._done.count(table.plan.source, upserted=counts.get(target, 0))
            self._gone.setdefault(target, {}).update((one.key, one) for one in rows.gone[before[target] :])
            self._present.setdefault(target, set()).update(rows.present)
            _touched_quarantine.follow(
                self._source, self._connection, table.plan, self._names.schema_name, self._source_id, keys, rows.aside
            )

    def _stage(self, plan: TablePlan) -> StagedTable:
        if plan.target not in self._staged:
            self._staged[plan.target] = StagedTable(
                self._source, self._connection, plan, self._names.schema_name, self._source_id, len(self._staged)
            )
        return self._staged[plan.target]

    # Rows that are gone

    def _delete_group(self, group: t.Sequence[TablePlan]) -> None:
        gone = {plan.target: (plan, self._really_gone(plan)) for plan in group}
        if len(group) > 1 or refers_to_itself(group[0]):
            self._delete(gone)
            return
        ((target, (plan, keys)),) = gone.items()
        for start in range(0, len(keys), self._batch):
            self._delete({target: (plan, keys[start : start + self._batch])})

    def _really_gone(self, plan: TablePlan) -> list[Gone]:
        present = self._present.get(plan.target, set())
        gone = self._gone.get(plan.target, {}).values()
        return [one for one in gone if not one.identity or one.identity not in present]

    def _delete(self, gone: t.Mapping[str, tuple[TablePlan, t.Sequence[Gone]]]) -> None:
        if not any(keys for _plan, keys in gone.values()):
            return
        with self._step():
            counts = _replay_deletes.delete(self._connection, self._names.schema_name, gone, self._read_referring())
        for target, count in counts.items():
            self._done.count(gone[target][0].source, deleted=count)

    def _write_position(self, position: int) -> None:
        with postgres_errors("Writing how far the log has been replayed"), self._connection.cursor() as cursor:
            cursor.execute(
                sql.SQL("UPDATE {} SET position = {}, updated_at = now() WHERE schema_name = {}").format(
                    identifier(TENANT_TABLE), sql.Literal(position), sql.Literal(self._names.schema_name)
                )
            )


def _groups(plan: Plan) -> list[list[TablePlan]]:
    """Return the tables in load order, those of which no order satisfies the foreign keys together."""
    groups = [[table] for table in plan.tables if table.target not in plan.cyclic]
    cyclic = [table for table in plan.tables if table.target in plan.cyclic]
    return [*groups, cyclic] if cyclic else groups


def _found_by_index(plan: TablePlan) -> bool:
    return any(set(unique) <= set(plan.key) for unique in plan.uniques)


def _fixed_columns(connection: Connection, schema_name: str) -> dict[str, set[str]]:
    """Return the columns that no UPDATE may give a value to (GENERATED ALWAYS AS IDENTITY), by table."""
    found: dict[str, set[str]] = {}
    with postgres_errors(f"Reading the columns of {schema_name}"), connection.cursor() as cursor:
        cursor.execute(
            sql.SQL(
                "SELECT c.relname, a.attname FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid"
                " JOIN pg_namespace n ON n.oid = c.relnamespace"
                " WHERE n.nspname = {} AND a.attidentity = 'a' AND a.attnum > 0 AND NOT a.attisdropped"
            ).format(sql.Literal(schema_name))
        )
        for table, column in cursor.fetchall():
            found.setdefault(table, set()).add(column)
    return found
