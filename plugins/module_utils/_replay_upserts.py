# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.


"""Write staged rows into PostgreSQL: add what is missing, change what differs, and look for a way where one fails."""

from __future__ import annotations

import typing as t

from ._postgres_store import postgres_errors
from ._psycopg2 import psycopg2, sql
from ._replay_failure import Staged, culprit, refuse_values
from ._unique_values import make_room

if t.TYPE_CHECKING:
    import sqlite3

    from ._change_log import Pending
    from ._planned_table import TablePlan
    from ._psycopg2 import Connection, Cursor
    from ._replay_deletes import Referring
    from ._staged_rows import StagedTable

_UNIQUE_VIOLATION = "23505"


class Upserts:
    """Writes rows within transactions of the caller.

    Args:
        source: SQLite, for the words about a row that cannot be written.
        connection: PostgreSQL.
        source_id: The profile.
        pending: All that is pending: rows that exchange unique values are written together, of whichever batch.
        referring: Returns by which foreign keys the rows of each table are referred to.
        fixed: The columns of each table that nobody may change.
    """

    def __init__(
        self,
        source: sqlite3.Connection,
        connection: Connection,
        source_id: str,
        pending: Pending,
        referring: t.Callable[[], t.Mapping[str, t.Sequence[Referring]]],
        fixed: t.Mapping[str, t.Collection[str]],
    ) -> None:
        self._source = source
        self._connection = connection
        self._source_id = source_id
        self._pending = pending
        self._referring = referring
        self._fixed = fixed

    def write(self, staged: Staged) -> dict[str, int]:
        """Stage and write the rows of these keys; return how many were added or changed, by target.

        Raises:
            ReplayError: A row cannot be written; it is named.
            SqliteError: The file cannot be read.
            PostgresError: PostgreSQL refused something as a whole.
        """
        with postgres_errors("Preparing to write replayed rows"), self._connection.cursor() as cursor:
            # In one go: the switch holds SQLite's write lock meanwhile.
            made = [statement for table, _keys in staged for statement in table.make()]
            cursor.execute(sql.SQL("; ").join([*made, sql.SQL("SAVEPOINT sxops_batch")]))
        before = [(table, len(table.keys), len(table.rows.gone)) for table, _keys in staged]
        try:
            counts = self._write(staged)
        except psycopg2.Error as error:
            self._undo(before)
            for table, keys in staged:
                refuse_values(self._source, table.plan, self._source_id, keys)
            if getattr(error, "pgcode", None) != _UNIQUE_VIOLATION:
                raise culprit(self._connection, staged, self._write, error) from error
            # Their partners may be among the keys that come later.
            everything = [(table, self._pending.tables[table.plan.source]) for table, _keys in staged]
            try:
                counts = self._write(everything, with_room=True)
            except psycopg2.Error as second:
                self._undo(before)
                raise culprit(self._connection, staged, self._write, second) from second
        with postgres_errors("Writing replayed rows"), self._connection.cursor() as cursor:
            cursor.execute("RELEASE SAVEPOINT sxops_batch")
        return counts

    def _undo(self, before: t.Sequence[tuple[StagedTable, int, int]]) -> None:
        with postgres_errors("Trying replayed rows once more"), self._connection.cursor() as cursor:
            cursor.execute("ROLLBACK TO SAVEPOINT sxops_batch")
        for table, keys, gone in before:
            table.forget(keys, gone)

    def _write(self, staged: Staged, with_room: bool = False) -> dict[str, int]:
        with self._connection.cursor() as cursor:
            ranges = [(table, *table.fill(keys)) for table, keys in staged]
            if with_room:
                for table, first, last in ranges:
                    make_room(cursor, table, first, last, self._referring().get(table.plan.target, ()))
            parts = []
            for table, first, last in ranges:
                update = table.update(first, last, self._fixed.get(table.plan.target, ()))
                for statement in (update, table.insert(first, last)) if first < last else ():
                    if statement is not None:
                        parts.append((table.plan.target, statement))
            if len(ranges) == 1 and not refers_to_itself(ranges[0][0].plan):
                return _one_by_one(cursor, parts)
            return _together(cursor, parts)


def refers_to_itself(plan: TablePlan) -> bool:
    """Return whether rows of a table may refer to others of it."""
    return any(reference.parent_target == plan.target for reference in plan.references)


def _one_by_one(cursor: Cursor, parts: t.Iterable[tuple[str, sql.Composable]]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for target, statement in parts:
        cursor.execute(statement)
        counts[target] = counts.get(target, 0) + cursor.rowcount
    return counts


def _together(cursor: Cursor, parts: t.Sequence[tuple[str, sql.Composable]]) -> dict[str, int]:
    """Run all of it as one statement: foreign keys are looked at when it is done."""
    if not parts:
        return {}
    names = [sql.Identifier(f"sxops_part_{number}") for number in range(len(parts))]
    written = [
        sql.SQL("{} AS ({} RETURNING 1)").format(name, statement) for name, (_target, statement) in zip(names, parts)
    ]
    counted = [sql.SQL("(SELECT count(*) FROM {})").format(name) for name in names]
    cursor.execute(sql.SQL("WITH {} SELECT {}").format(sql.SQL(", ").join(written), sql.SQL(", ").join(counted)))
    counts: dict[str, int] = {}
    for (target, _statement), count in zip(parts, cursor.fetchone() or ()):
        counts[target] = counts.get(target, 0) + count
    return counts
