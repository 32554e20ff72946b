# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Drain PostgreSQL's log into a fenced SQLite file, so that going back at any moment loses next to nothing.

Each step takes SQLite's write lock for a few hundred keys at most, and only after their rows were read, because other
profiles write to the same file. It looks within that lock whether the fence is up: where it is not, somebody has gone
back, SQLite is live, and nothing more may be brought there without a word.
"""

from __future__ import annotations

import contextlib
import dataclasses
import typing as t

from . import _change_log, _fence_sqlite
from ._errors import ReplayError
from ._postgres_store import postgres_errors
from ._replay_back import read_all, replay_back
from ._replayed import Replayed
from ._sqlite_store import read_catalog
from ._sqlite_writer import begin_writing, writing

if t.TYPE_CHECKING:
    import sqlite3

    from ._change_log import Key, Pending
    from ._online_names import OnlineNames
    from ._psycopg2 import Connection
    from ._replayed import Say
    from ._table_plan import Plan

BATCH = 200


@dataclasses.dataclass
class Drained:
    """What one pass did: C(fenced) is false where it stopped because SQLite's fence is not up."""

    replayed: Replayed
    fenced: bool = True


def drain(
    connection: Connection,
    target: sqlite3.Connection,
    plan: Plan,
    names: OnlineNames,
    source_id: str,
    *,
    batch: int = BATCH,
    say: Say | None = None,
    enough: t.Callable[[], bool] = lambda: False,
) -> Drained:
    """Do one pass: everything that is pending when it begins, in steps that are committed and acknowledged one by one.

    A transaction that commits meanwhile, however long ago it began, is found by the next pass: an entry is pending
    until it was acknowledged, whatever its number.

    Args:
        connection: PostgreSQL, outside of any transaction.
        target: SQLite, from L(_sqlite_writer.open_writable), outside of any transaction.
        plan: The tables.
        names: What online mode calls its tables.
        source_id: The profile.
        batch: How many keys one step brings at most; all of them where rows exchange the values of a unique key.
        say: Called after each step with the table, how many of its keys are done, and of how many.
        enough: Asked after each step whether to leave the rest to the next pass.

    Raises:
        ReplayError: A row cannot be brought over as it is; the steps before it are done.
        SqliteError: The file is locked (C(locked) is among the facts) or cannot be written.
        PostgresError: PostgreSQL is gone, or refused something.
    """
    done = Drained(Replayed())
    with at_one_instant(connection):
        pending = _change_log.postgres_pending(connection, plan, names)
    keys = [(table.source, key) for table in plan.tables for key in pending.tables.get(table.source, [])]
    for start in range(0, len(keys), batch):
        some = pending.only(_by_table(keys[start : start + batch]))
        try:
            fenced = _step(connection, target, plan, names, source_id, some, done.replayed)
        except ReplayError as error:
            if not error.facts.get("unique") or len(keys) <= batch:
                raise
            rest = pending.only(_by_table(keys[start:]))
            done.fenced = _step(connection, target, plan, names, source_id, rest, done.replayed)
            return done
        if not fenced:
            done.fenced = False
            return done
        if say:
            say(keys[start][0], min(start + batch, len(keys)), len(keys))
        if enough():
            return done
    return done


def is_fenced(target: sqlite3.Connection, plan: Plan, names: OnlineNames) -> bool:
    """Return whether the profile is fenced in SQLite, whole.

    Raises:
        SqliteError: The file cannot be read.
    """
    tables = [table.source for table in plan.tables]
    return _fence_sqlite.state(target, read_catalog(target), tables, names) == _fence_sqlite.UP


@contextlib.contextmanager
def at_one_instant(connection: Connection) -> t.Iterator[None]:
    """Read PostgreSQL as it is at one instant; the transaction ends with the block."""
    connection.rollback()
    with postgres_errors("Beginning to read"), connection.cursor() as cursor:
        cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
    try:
        yield
    finally:
        if not connection.closed:
            connection.rollback()


def _by_table(keys: t.Iterable[tuple[str, Key]]) -> dict[str, list[Key]]:
    found: dict[str, list[Key]] = {}
    for table, key in keys:
        found.setdefault(table, []).append(key)
    return found


def _step(
    connection: Connection,
    target: sqlite3.Connection,
    plan: Plan,
    names: OnlineNames,
    source_id: str,
    pending: Pending,
    done: Replayed,
) -> bool:
    with at_one_instant(connection):
        read = read_all(connection, plan, names, pending)
        begin_writing(target)
        try:
            if not is_fenced(target, plan, names):
                target.execute("ROLLBACK")
                return False
            done += replay_back(connection, target, plan, names, source_id, pending, read=read)
            with writing(target, "committing replayed rows"):
                target.execute("COMMIT")
        finally:
            if target.in_transaction:
                target.execute("ROLLBACK")
    _change_log.acknowledge(connection, names, pending.entries)
    with postgres_errors("Acknowledging replayed keys"):
        connection.commit()
    return True
