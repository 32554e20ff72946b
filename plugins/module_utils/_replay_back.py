# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Bring rows that changed in PostgreSQL back into SQLite: of each only the columns whose value is another one.

So what nobody touched stays octet by octet as the application wrote it. Everything happens inside one transaction of
SQLite, and is read again before its end: a row that did not become what it is in PostgreSQL undoes all of it.
"""

from __future__ import annotations

import dataclasses
import typing as t

from . import _fence_sqlite
from ._changed_rows import ChangedRow, Identity, read_changed
from ._errors import ReplayError
from ._key_relation import show
from ._merged_references import Touched, refuse_orphans
from ._own_table import OwnTable
from ._replayed import Replayed
from ._return_writer import TableWriter
from ._row_codec import parse_row, row_digest
from ._silent_triggers import without_triggers
from ._sqlite_writer import writing

if t.TYPE_CHECKING:
    import sqlite3

    from ._change_log import Key, Pending
    from ._online_names import OnlineNames
    from ._planned_table import TablePlan
    from ._psycopg2 import Connection
    from ._replayed import Say
    from ._table_plan import Plan

_ROWS_AT_ONCE = 500


class _Touched(t.NamedTuple):
    """A key that was replayed: what the row has to be at the end (None for no row), and where it stands in SQLite."""

    shown: str
    key: Key
    digest: bytes | None


@dataclasses.dataclass
class _Work:
    """One table on its way back, and what was touched of it."""

    table: OwnTable
    writer: TableWriter
    touched: list[_Touched] = dataclasses.field(default_factory=list)


def replay_back(
    connection: Connection,
    target: sqlite3.Connection,
    plan: Plan,
    names: OnlineNames,
    source_id: str,
    pending: Pending,
    *,
    say: Say | None = None,
    read: t.Mapping[str, t.Sequence[ChangedRow]] | None = None,
    merging: bool = False,
) -> Replayed:
    """Make SQLite hold of every pending key what PostgreSQL holds.

    Args:
        connection: PostgreSQL, inside a transaction; nothing is written there, and nothing acknowledged.
        target: SQLite, from L(_sqlite_writer.open_writable), inside C(BEGIN IMMEDIATE). The caller commits, and rolls
            back where this raises.
        plan: The tables.
        names: What online mode calls its tables.
        source_id: The profile.
        pending: As from L(_change_log.postgres_pending).
        say: Called now and then with the table, how many of its keys are done, and of how many.
        read: What was read of the keys already (L(read_all)), so that no lock is held meanwhile.
        merging: Whether SQLite has changes of its own, so that foreign keys have to be looked at.

    Raises:
        ReplayError: A row cannot be brought over as it is; it names table, key and column.
        SqliteError: The file cannot be written.
        PostgresError: The rows cannot be read.
    """
    done = Replayed()
    tables = [table for table in plan.tables if table.source in pending.tables]
    if not tables:
        return done
    every = [table.source for table in plan.tables]
    with _fence_sqlite.passing(target, names), without_triggers(target, every):
        works = [
            _replay_table(connection, target, table, names, source_id, pending.tables[table.source], done, say, read)
            for table in tables
        ]
        for work in works:
            _verify(work)
            work.writer.align_numbers()
        if merging:
            touched = [Touched(work.table.plan, one.key) for work in works for one in work.touched if one.key]
            refuse_orphans(target, plan, touched)
    return done


def read_all(connection: Connection, plan: Plan, names: OnlineNames, pending: Pending) -> dict[str, list[ChangedRow]]:
    """Return what PostgreSQL holds of all pending keys, by the table's name in SQLite.

    Raises:
        ReplayError: A key is none of its table.
        PostgresError: The rows cannot be read.
    """
    return {
        table.source: read_changed(connection, table, names.schema_name, pending.tables[table.source])
        for table in plan.tables
        if table.source in pending.tables
    }


def _replay_table(
    connection: Connection,
    target: sqlite3.Connection,
    plan: TablePlan,
    names: OnlineNames,
    source_id: str,
    keys: t.Sequence[Key],
    done: Replayed,
    say: Say | None,
    read: t.Mapping[str, t.Sequence[ChangedRow]] | None,
) -> _Work:
    table = OwnTable(target, plan, source_id)
    work = _Work(table, TableWriter(connection, target, table, names.schema_name))
    for start in range(0, len(keys), _ROWS_AT_ONCE):
        if read is not None:
            some = read[plan.source][start : start + _ROWS_AT_ONCE]
        else:
            some = read_changed(connection, plan, names.schema_name, keys[start : start + _ROWS_AT_ONCE])
        _refuse_other_profiles(plan, source_id, some)
        with writing(target, f"replaying rows of table {plan.source}"):
            found = table.find(some)
            for one in some:
                work.touched.append(_write(work, one, found, done))
            work.writer.flush()
        if say:
            say(plan.source, min(start + _ROWS_AT_ONCE, len(keys)), len(keys))
    with writing(target, f"replaying rows of table {plan.source}"):
        work.writer.finish()
    return work


def _write(work: _Work, one: ChangedRow, found: t.Mapping[Identity, t.Any], done: Replayed) -> _Touched:
    plan = work.table.plan
    own = found.get(one.identity)
    shown = show(plan, one.key)
    if own is not None and own.aside and one.row is not None:
        raise _refusal(plan, shown, "SQLite has a row of this key that was set aside, and so never was in PostgreSQL")
    if one.row is None:
        if own is None or own.aside:
            return _Touched(shown, (), None)
        work.writer.delete(shown, own.key)
        done.count(plan.source, deleted=1)
        return _Touched(shown, own.key, None)
    digest = row_digest(one.row)
    if own is None:
        key = work.writer.insert(shown, one, one.row)
        done.count(plan.source, upserted=1)
    elif own.row == one.row:
        key = own.key
    else:
        key = work.writer.update(shown, one, one.row, own)
        done.count(plan.source, upserted=1)
    return _Touched(shown, key, digest)


def _refuse_other_profiles(plan: TablePlan, source_id: str, changed: t.Iterable[ChangedRow]) -> None:
    if plan.tenant_column is None:
        return
    place = [column.source for column in plan.columns].index(plan.tenant_column)
    for one in changed:
        if one.row is not None and parse_row(one.row)[place] != source_id.encode():
            raise _refusal(plan, show(plan, one.key), "it is another profile's", plan.tenant_column)


def _verify(work: _Work) -> None:
    """Read every touched row again, in the transaction that wrote it."""
    for one in work.touched:
        row = work.table.read(one.key) if one.key else None
        if (None if row is None else row_digest(row)) == one.digest:
            continue
        plan = work.table.plan
        if row is None:
            raise _refusal(plan, one.shown, "it was written to SQLite and is not there: a trigger withholds it")
        if one.digest is None:
            raise _refusal(plan, one.shown, "it was deleted from SQLite and is still there: a trigger withholds that")
        columns = work.writer.differing(one.shown, row)
        why = f"SQLite holds another value than PostgreSQL in column(s) {columns} after it was written"
        raise _refusal(plan, one.shown, why, columns)


def _refusal(plan: TablePlan, shown: str, why: str, column: str = "") -> ReplayError:
    where = f"{plan.source}.{column}" if column else f"table {plan.source}"
    return ReplayError(
        f"Row {shown} of {where} cannot be replayed into SQLite",
        why,
        "SQLite is as it was, and nothing of this step was acknowledged. Correct the row, then run the same command"
        " again.",
        table=plan.source,
        key=shown,
        column=column,
    )
