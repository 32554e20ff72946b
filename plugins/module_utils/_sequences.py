# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Set the numbers that PostgreSQL gives to new rows behind those that are taken."""

from __future__ import annotations

import typing as t

from ._postgres_store import postgres_errors
from ._psycopg2 import sql
from ._sqlite_store import highest_given
from ._value_kinds import COUNTED

if t.TYPE_CHECKING:
    import sqlite3

    from ._planned_table import TablePlan
    from ._psycopg2 import Connection


def align(source: sqlite3.Connection, connection: Connection, tables: t.Iterable[TablePlan], schema_name: str) -> None:
    """Let the sequences of tables go on where SQLite would. An empty table starts at its beginning.

    S31: a sequence left behind gives a duplicate key on the first insert. SQLite's AUTOINCREMENT promises that a number
    is never given twice, so that counts as well. The caller commits, though PostgreSQL rolls no sequence back.

    Raises:
        SqliteError: The file cannot be read.
        PostgresError: A sequence cannot be set.
    """
    for plan in tables:
        columns = [column for column in plan.columns if column.sequence and column.kind.name in COUNTED]
        used = highest_given(source, plan.source) if columns else None
        with postgres_errors(f"Aligning the sequences of {plan.target}"), connection.cursor() as cursor:
            for column in columns:
                cursor.execute(
                    sql.SQL(
                        "SELECT setval({}::regclass, m, true)"
                        " FROM (SELECT greatest(max({}), {}) FROM {}) AS t (m) WHERE m > 0"
                    ).format(
                        sql.Literal(column.sequence),
                        sql.Identifier(column.target),
                        sql.Literal(used if (column.source,) == plan.key else None),
                        sql.Identifier(schema_name, plan.target),
                    )
                )
