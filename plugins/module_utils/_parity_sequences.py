# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""The check of a parity run that the next number of a sequence is one that no row has, and none ever had."""

from __future__ import annotations

import typing as t

from ._postgres_store import postgres_errors
from ._psycopg2 import sql
from ._sqlite_store import highest_given
from ._value_kinds import COUNTED
from ._verdict import FAILED, PASSED, Check

if t.TYPE_CHECKING:
    import sqlite3

    from ._planned_table import TablePlan
    from ._postgres_store import Column
    from ._psycopg2 import Connection


def check_sequences(
    source: sqlite3.Connection,
    connection: Connection,
    plan: TablePlan,
    schema_name: str,
    columns: t.Sequence[Column],
) -> list[Check]:
    """Return a check for every column that takes its numbers from a sequence.

    Raises:
        SqliteError: The SQLite side cannot be read.
        PostgresError: The PostgreSQL side cannot be read.
    """
    checks = []
    to_source = {column.target: column.source for column in plan.columns}
    for column in columns:
        if column.sequence is None or column.type_name not in COUNTED:
            continue
        table = sql.Identifier(schema_name, plan.target)
        with postgres_errors(f"Reading table {plan.target}"), connection.cursor() as cursor:
            cursor.execute(sql.SQL("SELECT max({}) FROM {}").format(sql.Identifier(column.name), table))
            (highest,) = cursor.fetchone() or (None,)
        # AUTOINCREMENT promises that the number of a deleted row is never given again.
        given = highest_given(source, plan.source) if (to_source.get(column.name),) == plan.key else None
        least = max((number for number in (highest, given) if number is not None), default=None)
        last, called = _sequence_position(connection, column.sequence)
        following = last + 1 if called else last
        verdict = PASSED if least is None or following > least else FAILED
        above = f"{highest}" if given is None else f"{highest} and above {given}, the highest that SQLite gave"
        checks.append(
            Check(
                f"sequence of {plan.source}.{column.name}",
                verdict,
                f"next value above {above}",
                f"next value {following}",
            )
        )
    return checks


def _sequence_position(connection: Connection, sequence: str) -> tuple[int, bool]:
    # pg_get_serial_sequence returns the name already quoted; regclass reads it back safely.
    with postgres_errors(f"Reading sequence {sequence}"), connection.cursor() as cursor:
        cursor.execute(
            "SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
            " WHERE c.oid = %s::regclass",
            (sequence,),
        )
        schema, name = cursor.fetchone() or ("", "")
        cursor.execute(sql.SQL("SELECT last_value, is_called FROM {}").format(sql.Identifier(schema, name)))
        last, called = cursor.fetchone() or (0, False)
        return last, called
