# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Let our own transactions pass fences and captures: stands in until the fences bring their own."""

from __future__ import annotations

import contextlib
import typing as t

from ._online_names import PASSING_TABLE
from ._postgres_store import identifier, postgres_errors
from ._psycopg2 import sql
from ._sqlite_store import quote
from ._sqlite_writer import writing

if t.TYPE_CHECKING:
    import sqlite3

    from ._online_names import OnlineNames
    from ._psycopg2 import Connection


@contextlib.contextmanager
def passing_postgres(connection: Connection, names: OnlineNames) -> t.Iterator[None]:
    """Let what this transaction of PostgreSQL writes pass, and nobody else's."""
    table, schema_name = identifier(PASSING_TABLE), sql.Literal(names.schema_name)
    with postgres_errors("Passing the fence"), connection.cursor() as cursor:
        cursor.execute(sql.SQL("INSERT INTO {} (schema_name) VALUES ({})").format(table, schema_name))
    yield
    with postgres_errors("Closing the fence again"), connection.cursor() as cursor:
        cursor.execute(sql.SQL("DELETE FROM {} WHERE schema_name = {}").format(table, schema_name))


@contextlib.contextmanager
def passing_sqlite(connection: sqlite3.Connection, names: OnlineNames) -> t.Iterator[None]:
    """Let what this transaction of SQLite writes pass, and nobody else's."""
    table = quote(names.passing)
    exists = connection.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (names.passing,)).fetchone()
    if exists:
        with writing(connection, "passing the fence"):
            connection.execute(f"INSERT INTO {table} VALUES (1)")
    yield
    if exists:
        with writing(connection, "closing the fence again"):
            connection.execute(f"DELETE FROM {table}")
