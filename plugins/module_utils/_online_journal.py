# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""What PostgreSQL knows of profiles that are cut over online: how far each has come, and which keys changed there.

The position up to which SQLite's log has been replayed is written in the transaction that replays it, so a killed run
finds it where the rows are. A key that changed in PostgreSQL stays in the log after it was replayed, until the cutover
is closed: it tells what has to be left out of a comparison, and what can be exported for the record.
"""

from __future__ import annotations

import dataclasses
import datetime
import typing as t

from ._online_names import CHANGE_TABLE, PASSING_TABLE, TENANT_TABLE
from ._postgres_store import identifier, postgres_errors, relation_exists, schema_exists, wait_for_bookkeeping
from ._profile import BOOKKEEPING_SCHEMA
from ._psycopg2 import sql

if t.TYPE_CHECKING:
    from ._psycopg2 import Connection

# How far a profile has come, as PostgreSQL knows it. Which store takes writes is told by the fences, never by this.
LOADED, PROVEN, SWITCHING, SWITCHED, RETURNED = "loaded", "proven", "switching", "switched", "returned"

_TABLES = {
    TENANT_TABLE: "schema_name text PRIMARY KEY, source_id text NOT NULL, capture_id text NOT NULL,"
    " phase text NOT NULL, position bigint NOT NULL, snapshot_sha256 text NOT NULL, snapshot_position bigint NOT NULL,"
    " updated_at timestamptz NOT NULL DEFAULT now()",
    CHANGE_TABLE: "seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, schema_name text NOT NULL,"
    " table_name text NOT NULL, row_key text[] NOT NULL, changed_at timestamptz NOT NULL DEFAULT clock_timestamp(),"
    " replayed_at timestamptz",
    PASSING_TABLE: "schema_name text NOT NULL",
}


@dataclasses.dataclass(frozen=True)
class Tenant:
    """How far a profile has come.

    Attributes:
        schema_name: Its schema.
        source_id: Its id.
        capture_id: Which capture of the SQLite file the positions belong to.
        phase: L(LOADED) once the snapshot's rows are there, L(PROVEN) once parity with it has passed, L(SWITCHING) from
            the last catch-up on, L(SWITCHED) when PostgreSQL may be written to, L(RETURNED) after the way back.
        position: The last entry of SQLite's log that has been replayed.
        snapshot_sha256: The snapshot that was loaded.
        snapshot_position: The last entry of the log that the snapshot holds.
    """

    schema_name: str
    source_id: str
    capture_id: str
    phase: str
    position: int
    snapshot_sha256: str
    snapshot_position: int
    updated_at: datetime.datetime | None = None


def is_installed(connection: Connection) -> bool:
    """Return whether the tables of online mode exist in this database."""
    return schema_exists(connection, BOOKKEEPING_SCHEMA) and all(
        relation_exists(connection, table) for table in _TABLES
    )


def install(connection: Connection) -> None:
    """Create the tables of online mode; nothing happens where they exist. The caller commits.

    Raises:
        PostgresError: The role may not create them.
    """
    if is_installed(connection):
        return
    with postgres_errors(f"Creating the tables of online mode in {BOOKKEEPING_SCHEMA}"), connection.cursor() as cursor:
        wait_for_bookkeeping(cursor)
        cursor.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(sql.Identifier(BOOKKEEPING_SCHEMA)))
        for table, columns in _TABLES.items():
            cursor.execute(sql.SQL("CREATE TABLE IF NOT EXISTS {} ({})").format(identifier(table), sql.SQL(columns)))
        cursor.execute(
            sql.SQL(
                "CREATE INDEX IF NOT EXISTS change_pending ON {} (schema_name, seq) WHERE replayed_at IS NULL"
            ).format(identifier(CHANGE_TABLE))
        )


def read(connection: Connection, schema_name: str) -> Tenant | None:
    """Return how far a profile has come, None where online mode was never begun or has been closed."""
    if not is_installed(connection):
        return None
    with postgres_errors(f"Reading how far {schema_name} is"), connection.cursor() as cursor:
        cursor.execute(
            sql.SQL(
                "SELECT schema_name, source_id, capture_id, phase, position, snapshot_sha256, snapshot_position,"
                " updated_at FROM {} WHERE schema_name = %s"
            ).format(identifier(TENANT_TABLE)),
            (schema_name,),
        )
        row = cursor.fetchone()
    return Tenant(*row) if row else None


def write(connection: Connection, tenant: Tenant) -> None:
    """Write how far a profile has come, in place of what was said before. The caller commits."""
    with postgres_errors(f"Writing how far {tenant.schema_name} is"), connection.cursor() as cursor:
        cursor.execute(
            sql.SQL(
                "INSERT INTO {} (schema_name, source_id, capture_id, phase, position, snapshot_sha256,"
                " snapshot_position) VALUES (%s, %s, %s, %s, %s, %s, %s) ON CONFLICT (schema_name) DO UPDATE SET"
                " (source_id, capture_id, phase, position, snapshot_sha256, snapshot_position, updated_at)"
                " = (excluded.source_id, excluded.capture_id, excluded.phase, excluded.position,"
                " excluded.snapshot_sha256, excluded.snapshot_position, now())"
            ).format(identifier(TENANT_TABLE)),
            (
                tenant.schema_name,
                tenant.source_id,
                tenant.capture_id,
                tenant.phase,
                tenant.position,
                tenant.snapshot_sha256,
                tenant.snapshot_position,
            ),
        )


def forget(connection: Connection, schema_name: str) -> None:
    """Drop all that is known of a profile: its cutover is closed, or its schema moved aside. The caller commits."""
    if not is_installed(connection):
        return
    with postgres_errors(f"Forgetting how far {schema_name} was"), connection.cursor() as cursor:
        for table in _TABLES:
            cursor.execute(sql.SQL("DELETE FROM {} WHERE schema_name = %s").format(identifier(table)), (schema_name,))
