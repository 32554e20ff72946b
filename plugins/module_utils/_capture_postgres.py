# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Capture in PostgreSQL: one trigger function per tenant schema logs the key of every row that changes.

As in SQLite the log says which rows to read again, not what happened to them. Everything here works in the transaction
of its caller, who commits it.
"""

from __future__ import annotations

import json
import typing as t

from . import _online_journal, _postgres_triggers
from ._errors import CaptureError
from ._online_names import CAPTURE_TRIGGER, CAPTURE_TRUNCATE_TRIGGER, CHANGE_TABLE, PASSING_TABLE
from ._postgres_store import identifier, postgres_errors
from ._postgres_triggers import Triggers
from ._psycopg2 import sql

if t.TYPE_CHECKING:
    from ._online_names import OnlineNames
    from ._planned_table import ColumnPlan, TablePlan
    from ._psycopg2 import Connection
    from ._table_plan import Plan

DEFAULT_LOCK_TIMEOUT_MS = 5000
TRIGGERS = (CAPTURE_TRIGGER, CAPTURE_TRUNCATE_TRIGGER)

_BODY = """
DECLARE
  old_key text[];
  new_key text[];
BEGIN
  IF EXISTS (SELECT 1 FROM {passing} WHERE schema_name = {schema}) THEN
    RETURN NULL;
  END IF;
  {branches}
  ELSE
    RAISE EXCEPTION 'table %.% is not captured', TG_TABLE_SCHEMA, TG_TABLE_NAME;
  END IF;
  IF old_key IS NOT NULL THEN
    INSERT INTO {change} (schema_name, table_name, row_key) VALUES ({schema}, TG_ARGV[0], old_key);
  END IF;
  IF new_key IS NOT NULL AND new_key IS DISTINCT FROM old_key THEN
    INSERT INTO {change} (schema_name, table_name, row_key) VALUES ({schema}, TG_ARGV[0], new_key);
  END IF;
  RETURN NULL;
END
"""
_BRANCH = """IF TG_ARGV[0] = {table} THEN
    IF TG_OP = 'TRUNCATE' THEN
      INSERT INTO {change} (schema_name, table_name, row_key)
        SELECT {schema}, {table}, ARRAY[{every}]::text[] FROM {relation} AS r;
    ELSE
      IF TG_OP <> 'INSERT' THEN
        old_key := ARRAY[{old}];
      END IF;
      IF TG_OP <> 'DELETE' THEN
        new_key := ARRAY[{new}];
      END IF;
    END IF;
  """


def unsupported(plan: Plan) -> dict[str, str]:
    """Return the tables of the schema whose changes cannot be captured, each with the reason."""
    reason = "it has no key by which both stores tell a row, so a changed one cannot be found again in the other"
    return {table.target: reason for table in plan.tables if not table.key}


def install(
    connection: Connection, plan: Plan, names: OnlineNames, lock_timeout_ms: int = DEFAULT_LOCK_TIMEOUT_MS
) -> bool:
    """Capture every change of the plan's tables, and return whether anything was changed for it.

    Args:
        connection: A session of the tables' owner, of a member of it, or of a superuser.
        plan: The paired tables.
        names: The profile's names.
        lock_timeout_ms: How long to wait for the writers of each table, in milliseconds.

    Raises:
        CaptureError: A table has no key.
        PostgresError: The role may not create the triggers, or a lock was waited for in vain.
    """
    found = unsupported(plan)
    if found:
        raise CaptureError(
            f"Changes cannot be captured in every table of schema {names.schema_name}",
            "; ".join(f"table {name}: {reason}" for name, reason in found.items()),
            "Leave them out (exclude_tables), give them a primary key, or cut the profile over offline.",
            unsupported=[{"table": name, "reason": reason} for name, reason in found.items()],
        )
    _online_journal.install(connection)
    if look(connection, plan, names) == ():
        return False
    wanted = _wanted(connection, plan, names)
    _postgres_triggers.create(connection, wanted, lock_timeout_ms)
    with postgres_errors("Writing down what is captured"), connection.cursor() as cursor:
        remark = json.dumps(_columns(connection, names.schema_name))
        cursor.execute(
            sql.SQL("COMMENT ON FUNCTION {}() IS {}").format(identifier(wanted.function), sql.Literal(remark))
        )
    return True


def remove(connection: Connection, names: OnlineNames, lock_timeout_ms: int = DEFAULT_LOCK_TIMEOUT_MS) -> bool:
    """Drop function and triggers, and return whether there were any; the log stays, see L(_online_journal.forget).

    Raises:
        PostgresError: The role may not drop them, or a lock was waited for in vain.
    """
    return _postgres_triggers.drop(connection, names.capture_function, lock_timeout_ms)


def clear(connection: Connection, names: OnlineNames, check: bool = False) -> int:
    """Empty the profile's log, and return how many entries it has, or had. Nothing is deleted with C(check).

    Raises:
        PostgresError: PostgreSQL refused.
    """
    if not _online_journal.is_installed(connection):
        return 0
    with postgres_errors("Emptying the log of changes"), connection.cursor() as cursor:
        statement = "SELECT FROM {} WHERE schema_name = %s" if check else "DELETE FROM {} WHERE schema_name = %s"
        cursor.execute(sql.SQL(statement).format(identifier(CHANGE_TABLE)), (names.schema_name,))
        return int(cursor.rowcount)


def position(connection: Connection, names: OnlineNames) -> int:
    """Return the highest entry of the profile's log, 0 when it is empty. Transactions may still come with lower ones.

    Raises:
        PostgresError: PostgreSQL refused.
    """
    if not _online_journal.is_installed(connection):
        return 0
    with postgres_errors("Reading the log of changes"), connection.cursor() as cursor:
        statement = sql.SQL("SELECT coalesce(max(seq), 0) FROM {} WHERE schema_name = %s")
        cursor.execute(statement.format(identifier(CHANGE_TABLE)), (names.schema_name,))
        (highest,) = cursor.fetchone() or (0,)
        return int(highest)


def keys(plan: Plan) -> dict[str, tuple[str, ...]]:
    """Return the tables that are captured, with the columns of their keys, by their names in PostgreSQL."""
    return {
        table.target: tuple(table.columns[place].target for place in table.key_places)
        for table in plan.tables
        if table.key
    }


def trigger_names(plan: Plan) -> list[str]:
    """Return the triggers that are to stand there, worded as by L(_postgres_triggers.standing)."""
    return sorted(f"{trigger} on {table}" for table in keys(plan) for trigger in TRIGGERS)


def look(connection: Connection, plan: Plan, names: OnlineNames) -> tuple[str, ...] | None:
    """Return what is not captured though it should be, each by name; None when capture is not installed.

    Raises:
        PostgresError: PostgreSQL refused to tell.
    """
    wanted = _wanted(connection, plan, names)
    found = _postgres_triggers.missing(connection, wanted)
    if found is None:
        return None
    with postgres_errors("Looking at what is captured"), connection.cursor() as cursor:
        cursor.execute(
            "SELECT obj_description(p.oid, 'pg_proc') FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace"
            " WHERE n.nspname = %s AND p.proname = %s",
            names.capture_function.split(".", 1),
        )
        (remark,) = cursor.fetchone() or (None,)
    before: dict[str, dict[str, str]] = json.loads(remark) if remark else {}
    return (*_changed(before, _columns(connection, names.schema_name), unsupported(plan)), *found)


def _changed(
    before: t.Mapping[str, t.Mapping[str, str]], now: t.Mapping[str, t.Mapping[str, str]], cannot: t.Mapping[str, str]
) -> list[str]:
    found = [f"table {name} is not captured: {reason}" for name, reason in cannot.items()]
    found += [f"table {name} is not captured: it was added" for name in now if name not in before]
    found += [f"table {name} is gone" for name in before if name not in now]
    for name in sorted(set(before) & set(now)):
        was, found_now = before[name], now[name]
        found += [f"table {name} was changed: column {column} added" for column in found_now if column not in was]
        found += [f"table {name} was changed: column {column} dropped" for column in was if column not in found_now]
        found += [
            f"table {name} was changed: column {column} is {found_now[column]} and was {was[column]}"
            for column in was
            if found_now.get(column, was[column]) != was[column]
        ]
    return found


def _columns(connection: Connection, schema: str) -> dict[str, dict[str, str]]:
    """Return the columns of every table of a schema with their types."""
    with postgres_errors(f"Reading the columns of {schema}"), connection.cursor() as cursor:
        cursor.execute(
            "SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod) FROM pg_class c"
            " JOIN pg_namespace n ON n.oid = c.relnamespace"
            " LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped"
            " WHERE n.nspname = %s AND c.relkind IN ('r', 'p') AND NOT c.relispartition ORDER BY c.relname, a.attnum",
            (schema,),
        )
        found: dict[str, dict[str, str]] = {}
        for table, column, type_name in cursor.fetchall():
            columns = found.setdefault(table, {})
            if column is not None:
                columns[column] = type_name
    return found


def _wanted(connection: Connection, plan: Plan, names: OnlineNames) -> Triggers:
    tables = [table for table in plan.tables if table.key]
    given = {
        "schema": sql.Literal(names.schema_name),
        "change": identifier(CHANGE_TABLE),
        "passing": identifier(PASSING_TABLE),
    }
    branches = [_branch(table, names.schema_name, given) for table in tables]
    chain = sql.SQL("ELS").join(branches) if branches else sql.SQL("IF false THEN NULL;\n  ")
    body = sql.SQL(_BODY).format(branches=chain, **given).as_string(connection)
    return Triggers(
        names.schema_name,
        tuple(table.target for table in tables),
        names.capture_function,
        body,
        *TRIGGERS,
        before=False,
    )


def _branch(table: TablePlan, schema: str, given: t.Mapping[str, sql.Composable]) -> sql.Composable:
    keys = [table.columns[place] for place in table.key_places]

    def of(row: str) -> sql.Composable:
        return sql.SQL(", ").join(_text(row, column) for column in keys)

    return sql.SQL(_BRANCH).format(
        table=sql.Literal(table.target),
        relation=sql.Identifier(schema, table.target),
        old=of("OLD"),
        new=of("NEW"),
        every=of("r"),
        **given,
    )


def _text(row: str, column: ColumnPlan) -> sql.Composable:
    """Return what C(::text) would give; a cast could be one that the application made, and would run as our role."""
    value = sql.SQL("{}.{}").format(sql.SQL(row), sql.Identifier(column.target))
    if column.target_type == "boolean":
        return sql.SQL("CASE format('%s', {}) WHEN 't' THEN 'true' WHEN 'f' THEN 'false' END").format(value)
    text = "CASE WHEN {0} IS NOT NULL THEN format('%s', {0}) END"
    if column.target_type.startswith(("character(", "bpchar")):
        text = f"rtrim({text}, ' ')"
    return sql.SQL(text).format(value)
