# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Triggers of ours on the tables of a tenant schema, and the one function behind them.

The function belongs to whoever installs it and runs with that role's rights (SECURITY DEFINER), because the application
may not reach what it reads and writes. So it must not run anything that the application could have made: its search
path is fixed, nobody else may execute it, and values become text by their type's output function only, never by a cast.
A trigger tells the function by an argument which table it stands on, whatever partition the row went into.

Everything here works in the transaction of its caller.
"""

from __future__ import annotations

import contextlib
import typing as t

from ._errors import PostgresError
from ._postgres_store import identifier, postgres_errors
from ._psycopg2 import psycopg2, sql

if t.TYPE_CHECKING:
    from ._psycopg2 import Connection, Cursor

_LOCK_NOT_AVAILABLE = "55P03"
# What the text of a value depends on.
_SETTINGS = (
    ("search_path", "pg_catalog, pg_temp"),
    ("timezone", "'UTC'"),
    ("datestyle", "'ISO, YMD'"),
    ("intervalstyle", "'postgres'"),
    ("bytea_output", "'hex'"),
    ("extra_float_digits", "'1'"),
)
# Bits of pg_trigger.tgtype
_ROW, _BEFORE, _ALL_ROWS, _TRUNCATE = 1, 2, 4 + 8 + 16, 32


class Triggers(t.NamedTuple):
    """What is to stand on the tables of a schema.

    Attributes:
        schema: The tenant schema.
        tables: Its tables, in the order in which they are locked.
        function: The name of the function, with its schema.
        body: Its source.
        row_trigger: The name of the trigger for each row.
        truncate_trigger: The name of the trigger for TRUNCATE.
        before: Whether the trigger for each row fires before the change, and not after it.
    """

    schema: str
    tables: tuple[str, ...]
    function: str
    body: str
    row_trigger: str
    truncate_trigger: str
    before: bool


@contextlib.contextmanager
def waiting_at_most(connection: Connection, lock_timeout_ms: int, doing: str) -> t.Iterator[Cursor]:
    """Limit how long each lock is waited for within the block, and word the errors of PostgreSQL; gives a cursor.

    Raises:
        PostgresError: PostgreSQL refused; C(sqlstate) is 55P03 when a lock was waited for in vain.
    """
    try:
        with postgres_errors(doing), connection.cursor() as cursor:
            cursor.execute("SELECT current_setting('lock_timeout')")
            (before,) = cursor.fetchone() or ("0",)
            cursor.execute("SELECT set_config('lock_timeout', %s, true)", (str(lock_timeout_ms),))
            yield cursor
            cursor.execute("SELECT set_config('lock_timeout', %s, true)", (before,))
    except PostgresError as error:
        if error.facts.get("sqlstate") != _LOCK_NOT_AVAILABLE:
            raise
        raise PostgresError(
            error.what,
            f"another transaction holds one of the tables, and did not end within {lock_timeout_ms} ms",
            "Let that transaction end (pg_stat_activity names it), and run the same command again.",
            **error.facts,
        ) from error


def create(connection: Connection, wanted: Triggers, lock_timeout_ms: int) -> None:
    """Create the function and its triggers, in place of what goes by their names.

    Raises:
        PostgresError: The role may not do so on one of the tables, or a lock was waited for in vain.
    """
    _require_rights(connection, wanted)
    tables = [sql.Identifier(wanted.schema, table) for table in wanted.tables]
    with waiting_at_most(connection, lock_timeout_ms, f"Creating the triggers of {wanted.function}") as cursor:
        cursor.execute(
            sql.SQL(
                "CREATE OR REPLACE FUNCTION {}() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER {} AS {}"
            ).format(
                identifier(wanted.function),
                sql.SQL(" ").join(sql.SQL(f"SET {name} = {value}") for name, value in _SETTINGS),
                sql.Literal(wanted.body),
            )
        )
        cursor.execute(sql.SQL("REVOKE ALL ON FUNCTION {}() FROM PUBLIC").format(identifier(wanted.function)))
        if tables:  # all of them before the first trigger, so that waiting for one holds up nobody at another
            cursor.execute(sql.SQL("LOCK TABLE {} IN SHARE ROW EXCLUSIVE MODE").format(sql.SQL(", ").join(tables)))
        for name, table in zip(wanted.tables, tables):
            when = "BEFORE" if wanted.before else "AFTER"
            for trigger, events, rows in (
                (wanted.row_trigger, f"{when} INSERT OR UPDATE OR DELETE", "ROW"),
                (wanted.truncate_trigger, "BEFORE TRUNCATE", "STATEMENT"),
            ):
                cursor.execute(sql.SQL("DROP TRIGGER IF EXISTS {} ON {}").format(sql.Identifier(trigger), table))
                cursor.execute(
                    sql.SQL("CREATE TRIGGER {} {} ON {} FOR EACH {} EXECUTE FUNCTION {}({})").format(
                        sql.Identifier(trigger),
                        sql.SQL(events),
                        table,
                        sql.SQL(rows),
                        identifier(wanted.function),
                        sql.Literal(name),
                    )
                )


def drop(connection: Connection, function: str, lock_timeout_ms: int) -> bool:
    """Drop the function and every trigger that calls it, wherever that stands; return whether there was any of it.

    Raises:
        PostgresError: The role may not do so, or a lock was waited for in vain.
    """
    with waiting_at_most(connection, lock_timeout_ms, f"Dropping the triggers of {function}") as cursor:
        cursor.execute(_STANDING, _split(function))
        rows = cursor.fetchall()
        for schema, table, trigger, *_rest in rows:
            statement = sql.SQL("DROP TRIGGER {} ON {}")
            cursor.execute(statement.format(sql.Identifier(trigger), sql.Identifier(schema, table)))
        cursor.execute(_FUNCTION, _split(function))
        there = cursor.fetchone() is not None
        if there:
            cursor.execute(sql.SQL("DROP FUNCTION {}()").format(identifier(function)))
    return there or bool(rows)


def standing(connection: Connection, function: str) -> list[str] | None:
    """Return the triggers that call the function, as C(trigger on table); None when there is no such function either.

    Raises:
        PostgresError: PostgreSQL refused to tell.
    """
    with postgres_errors(f"Looking at the triggers of {function}"), connection.cursor() as cursor:
        cursor.execute(_STANDING, _split(function))
        rows = cursor.fetchall()
        cursor.execute(_FUNCTION, _split(function))
        there = cursor.fetchone() is not None
    return sorted(f"{trigger} on {table}" for _schema, table, trigger, *_rest in rows) if rows or there else None


def missing(connection: Connection, wanted: Triggers) -> list[str] | None:
    """Return what is not as it should be, each by name; None when there is nothing of it at all.

    Raises:
        PostgresError: PostgreSQL refused to tell.
    """
    with postgres_errors(f"Looking at the triggers of {wanted.function}"), connection.cursor() as cursor:
        cursor.execute(_FUNCTION, _split(wanted.function))
        function = cursor.fetchone()
        cursor.execute(_STANDING, _split(wanted.function))
        standing = {(schema, table, trigger): tuple(rest) for schema, table, trigger, *rest in cursor.fetchall()}
    if function is None and not standing:
        return None
    found = []
    if function != (wanted.body, True, True):
        found.append(f"function {wanted.function} " + ("is missing" if function is None else "was changed"))
    row = _ROW + _ALL_ROWS + (_BEFORE if wanted.before else 0)
    for table in wanted.tables:
        for trigger, kind in ((wanted.row_trigger, row), (wanted.truncate_trigger, _BEFORE + _TRUNCATE)):
            seen = standing.get((wanted.schema, table, trigger))
            if seen is None:
                found.append(f"trigger {trigger} of table {table} is missing")
            elif seen[0] not in ("O", "A"):
                found.append(f"trigger {trigger} of table {table} is disabled")
            elif seen[1:] != (kind, table, True):
                found.append(f"trigger {trigger} of table {table} was changed")
    return found


def _split(function: str) -> list[str]:
    return function.split(".", 1)


def _require_rights(connection: Connection, wanted: Triggers) -> None:
    with postgres_errors(f"Looking who owns the tables of {wanted.schema}"), connection.cursor() as cursor:
        cursor.execute(_FOREIGN_TABLES, (wanted.schema, list(wanted.tables)))
        rows = cursor.fetchall()
    if rows:
        (role,) = {row[2] for row in rows}
        owners = sorted({row[1] for row in rows})
        grants = [
            sql.SQL("GRANT {} TO {}").format(sql.Identifier(owner), sql.Identifier(role)).as_string(connection)
            for owner in owners
        ]
        raise PostgresError(
            f"Role {role} may not create triggers in schema {wanted.schema}",
            "; ".join(f"table {table} belongs to {owner}" for table, owner, _role in rows),
            "Let the admin DSN log in as their owner, as a superuser, or as a member of the owner that inherits its"
            f" rights: {'; '.join(grants)}.",
            owners=owners,
        )


def is_aborted(connection: Connection) -> bool:
    """Return whether the transaction has failed, so that nothing but a rollback is possible."""
    return bool(connection.info.transaction_status == psycopg2.extensions.TRANSACTION_STATUS_INERROR)


_FUNCTION = """
SELECT p.prosrc, p.prosecdef, p.proconfig @> ARRAY['search_path=pg_catalog, pg_temp']
  FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
 WHERE n.nspname = %s AND p.proname = %s AND p.pronargs = 0
"""

_STANDING = """
SELECT tn.nspname, c.relname, g.tgname, g.tgenabled::text, g.tgtype::int,
       convert_from(substr(g.tgargs, 1, length(g.tgargs) - 1), 'UTF8'),
       g.tgqual IS NULL AND g.tgnargs = 1 AND g.tgattr = ''
  FROM pg_trigger g
  JOIN pg_class c ON c.oid = g.tgrelid
  JOIN pg_namespace tn ON tn.oid = c.relnamespace
  JOIN pg_proc p ON p.oid = g.tgfoid
  JOIN pg_namespace n ON n.oid = p.pronamespace
 WHERE n.nspname = %s AND p.proname = %s AND p.pronargs = 0 AND NOT g.tgisinternal AND g.tgparentid = 0
 ORDER BY 1, 2, 3
"""

_FOREIGN_TABLES = """
SELECT c.relname, pg_get_userbyid(c.relowner), current_user::text
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE n.nspname = %s AND c.relname = ANY (%s::text[]) AND NOT pg_has_role(c.relowner, 'USAGE')
 ORDER BY 1
"""
