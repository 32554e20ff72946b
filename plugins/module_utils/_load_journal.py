# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""What this collection loaded, and how to tell its rows from anybody else's.

Several sessions load one table, so no single transaction can be all or nothing. Instead the journal names the
transactions before the first of them commits, and marks the table complete once all have: rows of a table that is not
complete are half a load of ours, which the next run removes. PostgreSQL keeps the transaction that wrote a row
(C(xmin)), so any row that an update or somebody else has written since shows.
"""

from __future__ import annotations

import dataclasses
import typing as t

from ._postgres_store import identifier, postgres_errors, relation_exists, schema_exists, wait_for_bookkeeping
from ._profile import BOOKKEEPING_SCHEMA
from ._psycopg2 import sql

if t.TYPE_CHECKING:
    from ._psycopg2 import Connection

_LOAD_TABLE = f"{BOOKKEEPING_SCHEMA}.load"
QUARANTINE_TABLE = f"{BOOKKEEPING_SCHEMA}.quarantine"
PARKED_TABLE = f"{BOOKKEEPING_SCHEMA}.parked"
PROMISE_TABLE = f"{BOOKKEEPING_SCHEMA}.promise"
_COLUMNS = {
    _LOAD_TABLE: "schema_name text, table_name text, source_id text NOT NULL, snapshot_sha256 text NOT NULL,"
    " rows bigint NOT NULL, transactions bigint[] NOT NULL, complete boolean NOT NULL,"
    " loaded_at timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (schema_name, table_name)",
    QUARANTINE_TABLE: "schema_name text NOT NULL, table_name text NOT NULL, source_id text NOT NULL,"
    " problem_class text NOT NULL, column_name text NOT NULL, row_key text NOT NULL, row_data text NOT NULL,"
    " set_aside_at timestamptz NOT NULL DEFAULT now()",
    PARKED_TABLE: "schema_name text, table_name text NOT NULL, name text, kind text NOT NULL, definition text NOT NULL,"
    " attached_as text, remark text, columns text[], parent text[], parent_columns text[],"
    " parked_at timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (schema_name, table_name, name)",
    PROMISE_TABLE: "schema_name text, table_name text, kind text, name text, definition text NOT NULL,"
    " PRIMARY KEY (schema_name, table_name, kind, name)",
}


@dataclasses.dataclass(frozen=True)
class Loaded:
    """One loaded table: from which snapshot, how many rows, by which transactions (32 bits, as C(xmin) has them)."""

    table: str
    snapshot_sha256: str
    rows: int
    transactions: tuple[int, ...]
    complete: bool


class Held(t.NamedTuple):
    """The rows that a table holds, and how many of them the transactions of a load have written."""

    rows: int
    ours: int


def is_installed(connection: Connection) -> bool:
    """Return whether the journal exists in this database."""
    return schema_exists(connection, BOOKKEEPING_SCHEMA) and all(
        relation_exists(connection, table) for table in _COLUMNS
    )


def install(connection: Connection) -> None:
    """Create the bookkeeping schema and its tables; nothing happens where they exist. The caller commits.

    Raises:
        PostgresError: The role may not create a schema in this database.
    """
    with (
        postgres_errors(f"Creating the bookkeeping schema {BOOKKEEPING_SCHEMA}"),
        connection.cursor() as cursor,
    ):
        wait_for_bookkeeping(cursor)
        cursor.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(sql.Identifier(BOOKKEEPING_SCHEMA)))
        for table, columns in _COLUMNS.items():
            create = sql.SQL("CREATE TABLE IF NOT EXISTS {} ({})").format(identifier(table), sql.SQL(columns))
            cursor.execute(create)


def make_sure(connection: Connection) -> None:
    """Make sure that there is a journal to write into; committed here.

    Raises:
        PostgresError: It cannot be created.
    """
    if not is_installed(connection):
        install(connection)
    connection.commit()


def read(connection: Connection, schema_name: str) -> dict[str, Loaded]:
    """Return what was loaded into a schema, by table; empty where nothing ever was."""
    if not is_installed(connection):
        return {}
    with connection.cursor() as cursor:
        cursor.execute(
            sql.SQL(
                "SELECT table_name, snapshot_sha256, rows, transactions, complete FROM {} WHERE schema_name = %s"
            ).format(identifier(_LOAD_TABLE)),
            (schema_name,),
        )
        return {
            table: Loaded(table, sha256, rows, tuple(transactions), complete)
            for table, sha256, rows, transactions, complete in cursor.fetchall()
        }


def write(connection: Connection, schema_name: str, source_id: str, loaded: Loaded) -> None:
    """Record one table, in place of what was recorded of it before. The caller commits."""
    with connection.cursor() as cursor:
        cursor.execute(
            sql.SQL(
                "INSERT INTO {} (schema_name, table_name, source_id, snapshot_sha256, rows, transactions, complete)"
                " VALUES (%s, %s, %s, %s, %s, %s, %s) ON CONFLICT (schema_name, table_name) DO UPDATE SET"
                " (source_id, snapshot_sha256, rows, transactions, complete, loaded_at) = (excluded.source_id,"
                " excluded.snapshot_sha256, excluded.rows, excluded.transactions, excluded.complete, now())"
            ).format(identifier(_LOAD_TABLE)),
            (
                schema_name,
                loaded.table,
                source_id,
                loaded.snapshot_sha256,
                loaded.rows,
                list(loaded.transactions),
                loaded.complete,
            ),
        )


def forget(connection: Connection, schema_name: str, table: str | None = None) -> None:
    """Drop the entries of a table, or those of a schema that has been moved aside or emptied. The caller commits."""
    if not is_installed(connection):
        return
    with connection.cursor() as cursor:
        for name in (_LOAD_TABLE, QUARANTINE_TABLE, PROMISE_TABLE):
            cursor.execute(
                sql.SQL("DELETE FROM {} WHERE schema_name = %s AND table_name = coalesce(%s, table_name)").format(
                    identifier(name)
                ),
                (schema_name, table),
            )


def held(connection: Connection, schema_name: str, table: str, transactions: t.Iterable[int]) -> Held:
    """Return the rows that a table holds, and how many of them these transactions have written."""
    ours = "{" + ",".join(map(str, transactions)) + "}"
    with connection.cursor() as cursor:
        cursor.execute(
            sql.SQL("SELECT count(*), count(*) FILTER (WHERE xmin = ANY ({}::xid[])) FROM {}").format(
                sql.Literal(ours), sql.Identifier(schema_name, table)
            )
        )
        return Held(*(cursor.fetchone() or (0, 0)))


def discard(connection: Connection, schema_name: str, loaded: Loaded) -> None:
    """Delete what is there of half a load, and its entry. The caller commits."""
    ours = "{" + ",".join(map(str, loaded.transactions)) + "}"
    with connection.cursor() as cursor:
        cursor.execute(
            sql.SQL("DELETE FROM {} WHERE xmin = ANY ({}::xid[])").format(
                sql.Identifier(schema_name, loaded.table), sql.Literal(ours)
            )
        )
    forget(connection, schema_name, loaded.table)
