# SPDX-License-Identifier: GPL-3.0-or-later
"""Rebuild tables from before profiles existed, whose primary key lacks C(source_id).

The table is copied and dropped, and with it every trigger on it: silently, as in the real application.
"""

from __future__ import annotations

import sqlite3

from .tables import SOURCE_SCOPED, Table


def rebuild_legacy_tables(connection: sqlite3.Connection, default_source_id: str) -> list[str]:
    """Give each legacy table the key (source_id, …); foreign keys must be off. Returns the rebuilt tables."""
    rebuilt = []
    for table in SOURCE_SCOPED:
        info = connection.execute(f"PRAGMA table_info({table.name})").fetchall()
        if info and "source_id" not in {row[1] for row in info if row[5]}:
            _rebuild(connection, table, {row[1] for row in info}, default_source_id)
            rebuilt.append(table.name)
    return rebuilt


def _rebuild(connection: sqlite3.Connection, table: Table, present: set[str], default_source_id: str) -> None:
    temporary = f"{table.name}__rebuild"
    source = "COALESCE(NULLIF(TRIM(source_id), ''), :fallback)" if "source_id" in present else ":fallback"
    kept = [name for name in table.column_names if name != "source_id" and name in present]
    connection.execute(f"DROP TABLE IF EXISTS {temporary}")
    connection.execute(sqlite_table_ddl(table, temporary))
    connection.execute(
        f"INSERT OR REPLACE INTO {temporary} (source_id, {', '.join(kept)})"
        f" SELECT {source}, {', '.join(kept)} FROM {table.name}",
        {"fallback": default_source_id},
    )
    connection.execute(f"DROP TABLE {table.name}")
    connection.execute(f"ALTER TABLE {temporary} RENAME TO {table.name}")
    connection.commit()


def sqlite_table_ddl(table: Table, name: str | None = None) -> str:
    """Return CREATE TABLE IF NOT EXISTS for a table, under another name if given."""
    foreign_key = ""
    if table.belongs_to_video:
        foreign_key = ",\n  FOREIGN KEY (source_id, video_id) REFERENCES videos (source_id, id) ON DELETE CASCADE"
    return f"CREATE TABLE IF NOT EXISTS {name or table.name} (\n  {table.body()}{foreign_key}\n)"
