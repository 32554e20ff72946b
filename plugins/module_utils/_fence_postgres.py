# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""The fence in PostgreSQL: triggers that refuse every write to the tables of a tenant schema, while reads go on.

A statement that touches no row is let through. Our own transactions pass as in SQLite: by a row that they put down
first and take away before they commit. All but L(passing) works in the transaction of its caller, who commits it.
"""

from __future__ import annotations

import contextlib
import typing as t

from . import _online_journal, _postgres_triggers
from ._capture_postgres import DEFAULT_LOCK_TIMEOUT_MS
from ._online_names import FENCE_TRIGGER, FENCE_TRUNCATE_TRIGGER, PASSING_TABLE
from ._postgres_store import identifier, postgres_errors, relation_exists
from ._postgres_triggers import Triggers
from ._psycopg2 import sql

if t.TYPE_CHECKING:
    from ._online_names import OnlineNames
    from ._psycopg2 import Connection
    from ._table_plan import Plan

UP, DOWN, PARTIAL = "up", "down", "partial"

_BODY = """
BEGIN
  IF NOT EXISTS (SELECT 1 FROM {passing} WHERE schema_name = {schema}) THEN
    RAISE EXCEPTION USING ERRCODE = '55006', MESSAGE = {message}, HINT = {hint};
  END IF;
  IF TG_OP = 'DELETE' THEN
    RETURN OLD;
  ELSIF TG_OP = 'TRUNCATE' THEN
    RETURN NULL;
  END IF;
  RETURN NEW;
END
"""


def put_up(
    connection: Connection, plan: Plan, names: OnlineNames, lock_timeout_ms: int = DEFAULT_LOCK_TIMEOUT_MS
) -> bool:
    """Refuse writes to the plan's tables from the caller's commit on; return whether anything was changed for it.

    Args:
        connection: A session of the tables' owner, of a member of it, or of a superuser.
        plan: The paired tables.
        names: The profile's names.
        lock_timeout_ms: How long to wait for the writers of each table, in milliseconds.

    Raises:
        PostgresError: The role may not create the triggers, or a lock was waited for in vain.
    """
    _online_journal.install(connection)
    wanted = _wanted(connection, plan, names)
    if _postgres_triggers.missing(connection, wanted) == []:
        return False
    _postgres_triggers.create(connection, wanted, lock_timeout_ms)
    return True


def lift(connection: Connection, names: OnlineNames, lock_timeout_ms: int = DEFAULT_LOCK_TIMEOUT_MS) -> bool:
    """Take the fence away, and return whether there was any.

    Raises:
        PostgresError: The role may not do so, or a lock was waited for in vain.
    """
    return _postgres_triggers.drop(connection, names.fence_function, lock_timeout_ms)


def state(connection: Connection, plan: Plan, names: OnlineNames) -> str:
    """Return C(up) when every table of the plan is fenced, C(down) when none is, else C(partial).

    A fence that somebody is let through is none: outside of L(passing), a row that lets writes pass makes it partial.
    Inside of it the answer says nothing.

    Raises:
        PostgresError: PostgreSQL refused to tell.
    """
    found = _postgres_triggers.missing(connection, _wanted(connection, plan, names))
    if found is None:
        return DOWN
    return PARTIAL if found or _is_open(connection, names) else UP


@contextlib.contextmanager
def passing(connection: Connection, names: OnlineNames) -> t.Iterator[None]:
    """Let the writes of this block, within the caller's transaction, through the fence and past capture.

    The caller must not commit within the block. Where online mode was never begun, nothing is needed.

    Raises:
        PostgresError: PostgreSQL refused.
    """
    with postgres_errors("Letting our own writes pass"):
        needed = relation_exists(connection, PASSING_TABLE)
    if not needed:
        yield
        return
    _run(connection, "INSERT INTO {} VALUES (%s)", names)
    try:
        yield
    except BaseException:
        if not connection.closed and not _postgres_triggers.is_aborted(connection):  # the caller may want to go on
            _run(connection, "DELETE FROM {} WHERE schema_name = %s", names)
        raise
    _run(connection, "DELETE FROM {} WHERE schema_name = %s", names)


def _run(connection: Connection, statement: str, names: OnlineNames) -> None:
    with postgres_errors("Letting our own writes pass"), connection.cursor() as cursor:
        cursor.execute(sql.SQL(statement).format(identifier(PASSING_TABLE)), (names.schema_name,))


def _is_open(connection: Connection, names: OnlineNames) -> bool:
    with postgres_errors("Looking who is let through the fence"), connection.cursor() as cursor:
        cursor.execute(
            sql.SQL("SELECT EXISTS (SELECT 1 FROM {} WHERE schema_name = %s)").format(identifier(PASSING_TABLE)),
            (names.schema_name,),
        )
        return cursor.fetchone() != (False,)


def _wanted(connection: Connection, plan: Plan, names: OnlineNames) -> Triggers:
    body = sql.SQL(_BODY).format(
        passing=identifier(PASSING_TABLE),
        schema=sql.Literal(names.schema_name),
        message=sql.Literal(f"schema {names.schema_name} is fenced: its profile is served from SQLite"),
        hint=sql.Literal("It can be read. Writes are refused until the profile is switched to PostgreSQL."),
    )
    return Triggers(
        names.schema_name,
        tuple(table.target for table in plan.tables),
        names.fence_function,
        body.as_string(connection),
        FENCE_TRIGGER,
        FENCE_TRUNCATE_TRIGGER,
        before=True,
    )
