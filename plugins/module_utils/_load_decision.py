# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Decide, table by table, what a load has to do, and make room for it without touching a row that is not ours."""

from __future__ import annotations

import typing as t

from . import _load_journal, _row_digest
from ._errors import TargetNotEmpty
from ._postgres_store import postgres_errors, roll_back, try_profile_lock
from ._psycopg2 import sql

if t.TYPE_CHECKING:
    import sqlite3

    from ._load_journal import Held, Loaded
    from ._planned_table import TablePlan
    from ._psycopg2 import Connection
    from ._workers import Workers

LOAD = "load"
KEEP = "keep"
REPLACE = "replace"


def begin(connection: Connection, source_id: str) -> None:
    """Take the profile's lock, before anything is decided.

    Raises:
        LockHeld: Another session works on this profile.
    """
    try_profile_lock(connection, source_id)


def decide(
    source: sqlite3.Connection,
    connection: Connection,
    plans: t.Sequence[TablePlan],
    schema_name: str,
    source_id: str,
    workers: Workers | None = None,
) -> dict[str, str]:
    """Return per table whether its rows are to be loaded, are there already, or are ours to replace.

    Decided by the rows themselves, not by which snapshot they came from: a run that was interrupted takes a new
    snapshot, and loads only what is not there. C(workers) are as for L(_row_digest.both_buckets).

    Raises:
        TargetNotEmpty: A table holds rows that no load of ours accounts for. Nothing of it is touched.
        PostgresError: The schema cannot be read.
        SqliteError: The snapshot cannot be read.
    """
    journal = _load_journal.read(connection, schema_name)
    strangers: list[str] = []
    complete: list[TablePlan] = []
    for plan in plans:
        loaded = journal.get(plan.target)
        found = _strangers(plan.target, _held(connection, schema_name, plan.target, loaded), loaded, schema_name)
        strangers += found
        if loaded is not None and loaded.complete and not found:
            complete.append(plan)
    _refuse_strangers(strangers, schema_name)
    actions = dict.fromkeys((plan.target for plan in plans), LOAD)
    for plan in complete:
        ours, theirs = _row_digest.both_buckets(source, connection, plan, schema_name, source_id, 0, workers=workers)
        actions[plan.target] = KEEP if ours == theirs else REPLACE
    if REPLACE in actions.values():
        # Rows of a parent cannot be replaced under children that stay.
        return dict.fromkeys(actions, REPLACE)
    return actions


def _held(connection: Connection, schema_name: str, table: str, loaded: Loaded | None) -> Held:
    with postgres_errors(f"Counting table {schema_name}.{table}"):
        return _load_journal.held(connection, schema_name, table, loaded.transactions if loaded else ())


def _strangers(table: str, held: Held, loaded: Loaded | None, schema_name: str) -> list[str]:
    """Return, as a message, that a table holds rows which the journal does not account for."""
    if loaded is None:
        return [f"{schema_name}.{table} holds {held.rows} row(s) that nobody loaded"] if held.rows else []
    if held.rows > held.ours or (loaded.complete and held.rows != loaded.rows):
        return [f"{schema_name}.{table} holds {held.rows} row(s) and was changed after {loaded.rows} were loaded"]
    return []


def _refuse_strangers(strangers: list[str], schema_name: str) -> None:
    if strangers:
        raise TargetNotEmpty(
            f"Schema {schema_name} is not empty",
            "; ".join(strangers),
            "Nothing was loaded, and nothing of it was truncated. To keep these rows under a dated name and start "
            "from a clean schema, run the same command with -e cutover_archive_schema=true.",
            schema_name=schema_name,
            tables=strangers,
        )


def clear(connection: Connection, plans: t.Sequence[TablePlan], schema_name: str) -> None:
    """Remove the rows that L(decide) found to be ours, in one transaction.

    Raises:
        TargetNotEmpty: Rows that nobody loaded have come since, or would be deleted along with ours.
        PostgresError: The rows cannot be removed; all of them are still there.
    """
    try:
        with postgres_errors(f"Removing an earlier load from {schema_name}"), connection.cursor() as cursor:
            tables = [plan.target for plan in plans]
            names = sql.SQL(", ").join([sql.Identifier(schema_name, table) for table in tables])
            cursor.execute(sql.SQL("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE").format(names))
            journal = _load_journal.read(connection, schema_name)
            strangers = [
                stranger
                for table in tables
                for stranger in _strangers(
                    table, _held(connection, schema_name, table, journal.get(table)), journal.get(table), schema_name
                )
            ]
            cursor.execute(_CHILDREN_ELSEWHERE, {"schema": schema_name, "tables": tables})
            children = cursor.fetchall()
            for schema, table, deletes in children:
                cursor.execute(sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(schema, table)))
                (rows,) = cursor.fetchone() or (0,)
                if rows and deletes:
                    strangers.append(f"{schema}.{table} holds {rows} row(s) that would be deleted or changed along")
            _refuse_strangers(strangers, schema_name)
            if children:  # PostgreSQL truncates no table that another one refers to
                for table in reversed(tables):
                    cursor.execute(sql.SQL("DELETE FROM {}").format(sql.Identifier(schema_name, table)))
            else:
                cursor.execute(sql.SQL("TRUNCATE {}").format(names))
            _load_journal.forget(connection, schema_name)
            connection.commit()
    except BaseException:
        roll_back(connection)
        raise


# Tables outside the load whose foreign keys refer to it, and whether those would delete or change rows along.
_CHILDREN_ELSEWHERE = """
SELECT cn.nspname, c.relname, bool_or(k.confdeltype IN ('c', 'n', 'd'))
  FROM pg_constraint k
  JOIN pg_class p ON p.oid = k.confrelid
  JOIN pg_namespace pn ON pn.oid = p.relnamespace
  JOIN pg_class c ON c.oid = k.conrelid
  JOIN pg_namespace cn ON cn.oid = c.relnamespace
 WHERE k.contype = 'f'
   AND pn.nspname = %(schema)s AND p.relname = ANY (%(tables)s)
   AND NOT (cn.nspname = %(schema)s AND c.relname = ANY (%(tables)s))
 GROUP BY 1, 2 ORDER BY 1, 2
"""
