# SPDX-License-Identifier: GPL-3.0-or-later
"""The schema set-up this application runs on every SQLite connection it opens, for reads as well."""

from __future__ import annotations

import sqlite3

from .clock import utc_now
from .sqlite_legacy import rebuild_legacy_tables, sqlite_table_ddl
from .tables import SOURCE_SCOPED, SOURCES, TENANT_TABLES

FTS_DDL = (
    "CREATE VIRTUAL TABLE IF NOT EXISTS videos_fts USING fts5("
    "source_id UNINDEXED, id UNINDEXED, caption, author_unique_id, author_name, content='')"
)

_ALL_TABLES = (SOURCES, *TENANT_TABLES)
_DDL = ";\n".join(
    [sqlite_table_ddl(table) for table in _ALL_TABLES]
    + [
        f"CREATE INDEX IF NOT EXISTS idx_{suffix} ON {table.name} ({column})"
        for table in _ALL_TABLES
        for suffix, column in table.indexes
    ]
)


def set_up_schema(connection: sqlite3.Connection, *, enable_fts: bool, default_source_id: str) -> None:
    """Create what is missing and repair rows without a profile; the six UPDATEs take the write lock."""
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")
    rebuild_legacy_tables(connection, default_source_id)
    connection.executescript(_DDL)
    if enable_fts:
        connection.execute(FTS_DDL)
    connection.execute("PRAGMA foreign_keys=ON")
    for table in SOURCE_SCOPED:
        connection.execute(
            f"UPDATE {table.name} SET source_id=? WHERE source_id IS NULL OR TRIM(source_id)=''",
            (default_source_id,),
        )


def register_source(connection: sqlite3.Connection, source_id: str) -> None:
    """Insert the profile's row, or touch its C(updated_at); a profile comes to exist by being asked for."""
    now = utc_now()
    connection.execute(
        "INSERT INTO sources (id, label, enabled, is_default, created_at, updated_at)"
        " VALUES (?, ?, 1, 0, ?, ?)"
        " ON CONFLICT (id) DO UPDATE SET enabled=1, updated_at=excluded.updated_at",
        (source_id, source_id, now, now),
    )
