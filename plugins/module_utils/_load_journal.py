# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""What this collection loaded, written in the transaction that loaded it.

The journal is what makes a load resumable table by table, and what tells rows of ours from rows that nobody
accounts for: only the former may ever be replaced.
"""

from __future__ import annotations

import dataclasses
import typing as t

from ._postgres_store import identifier, postgres_errors, relation_exists, schema_exists
from ._profile import BOOKKEEPING_SCHEMA
from ._psycopg2 import sql

if t.TYPE_CHECKING:
    from ._psycopg2 import Connection

_TABLE = f"{BOOKKEEPING_SCHEMA}.load"
QUARANTINE_TABLE = f"{BOOKKEEPING_SCHEMA}.quarantine"


@dataclasses.dataclass(frozen=True)
class Loaded:
    """One loaded table: from which snapshot, and the digest of the rows as PostgreSQL held them right after."""

    table: str
    snapshot_sha256: str
    rows: int
    digest: str


def is_installed(connection: Connection) -> bool:
    """Return whether the journal exists in this database."""
    return (
        schema_exists(connection, BOOKKEEPING_SCHEMA)
        and relation_exists(connection, _TABLE)
        and relation_exists(connection, QUARANTINE_TABLE)
    )


def install(connection: Connection) -> None:
    """Create the bookkeeping schema and its table; nothing happens where they exist. The caller commits.

    Raises:
        PostgresError: The role may not create a schema in this database.
    """
    with (
        postgres_errors(f"Creating the bookkeeping schema {BOOKKEEPING_SCHEMA}"),
        connection.cursor() as cursor,
    ):
        schema = sql.Identifier(BOOKKEEPING_SCHEMA)
        cursor.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(schema))
        cursor.execute(
            sql.SQL(
                "CREATE TABLE IF NOT EXISTS {}.load (schema_name text, table_name text, source_id text NOT NULL,"
                " snapshot_sha256 text NOT NULL, rows bigint NOT NULL, digest text NOT NULL,"
                " loaded_at timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (schema_name, table_name))"
            ).format(schema)
        )
        cursor.execute(
            sql.SQL(
                "CREATE TABLE IF NOT EXISTS {}.quarantine (schema_name text NOT NULL, table_name text NOT NULL,"
                " source_id text NOT NULL, problem_class text NOT NULL, column_name text NOT NULL,"
                " row_key text NOT NULL, row_data text NOT NULL, set_aside_at timestamptz NOT NULL DEFAULT now())"
            ).format(schema)
        )


def read(connection: Connection, schema_name: str) -> dict[str, Loaded]:
    """Return what was loaded into a schema, by table; empty where nothing ever was."""
    if not is_installed(connection):
        return {}
    with connection.cursor() as cursor:
        cursor.execute(
            sql.SQL("SELECT table_name, snapshot_sha256, rows, digest FROM {}.load WHERE schema_name = %s").format(
                sql.Identifier(BOOKKEEPING_SCHEMA)
            ),
            (schema_name,),
        )
        return {row[0]: Loaded(*row) for row in cursor.fetchall()}


def write(connection: Connection, schema_name: str, source_id: str, loaded: Loaded) -> None:
    """Record one loaded table, inside the transaction that loaded it."""
    with connection.cursor() as cursor:
        cursor.execute(
            sql.SQL(
                "INSERT INTO {}.load (schema_name, table_name, source_id, snapshot_sha256, rows, digest)"
                " VALUES (%s, %s, %s, %s, %s, %s)"
            ).format(sql.Identifier(BOOKKEEPING_SCHEMA)),
            (schema_name, loaded.table, source_id, loaded.snapshot_sha256, loaded.rows, loaded.digest),
        )


def forget(connection: Connection, schema_name: str) -> None:
    """Drop the entries of a schema: its rows are gone, or the schema has been moved aside. The caller commits."""
    if not is_installed(connection):
        return
    with connection.cursor() as cursor:
        for table in (_TABLE, QUARANTINE_TABLE):
            cursor.execute(sql.SQL("DELETE FROM {} WHERE schema_name = %s").format(identifier(table)), (schema_name,))
