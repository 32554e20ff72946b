# SPDX-License-Identifier: GPL-3.0-or-later
"""PostgreSQL objects: two shared tables in C(public), one schema of eight tables per profile.

Only text and int4, no sequences, both foreign keys NOT VALID; the application's role creates and owns it all.
"""

from __future__ import annotations

from typing import Any

from psycopg2 import sql

from .clock import utc_now
from .names import schema_name
from .settings import Settings
from .tables import SOURCES, TENANT_TABLES, Table


def set_up_shared_tables(cursor: Any, settings: Settings) -> None:
    """Create the shared tables; runs on every request.

    Even when it changes nothing, CREATE INDEX takes a SHARE lock on C(public.sources), so that an uncommitted
    write there by anyone hangs every profile's requests, and it asks for ownership of the table.
    """
    cursor.execute(_create_table(SOURCES, sql.Identifier("public", SOURCES.name)))
    for suffix, column in SOURCES.indexes:
        cursor.execute(
            sql.SQL("CREATE INDEX IF NOT EXISTS {} ON public.sources ({})").format(
                sql.Identifier(f"idx_{suffix}"), sql.Identifier(column)
            )
        )
    cursor.execute(
        sql.SQL(
            "CREATE TABLE IF NOT EXISTS {} (source_id TEXT PRIMARY KEY, schema_name TEXT NOT NULL UNIQUE,"
            " created_at TEXT, updated_at TEXT)"
        ).format(sql.Identifier("public", settings.registry_table))
    )


def register_source(cursor: Any, source_id: str) -> None:
    """Insert the profile's row in C(public.sources), or touch its C(updated_at)."""
    now = utc_now()
    cursor.execute(
        "INSERT INTO public.sources (id, label, enabled, is_default, created_at, updated_at)"
        " VALUES (%s, %s, 1, 0, %s, %s)"
        " ON CONFLICT (id) DO UPDATE SET enabled=1, updated_at=excluded.updated_at",
        (source_id, source_id, now, now),
    )


def bootstrap_tenant(connection: Any, settings: Settings, source_id: str) -> str:
    """Create a profile's schema, tables and mapping in one transaction; return the schema's name."""
    schema = schema_name(settings.schema_prefix, source_id)
    now = utc_now()
    with connection, connection.cursor() as cursor:
        set_up_shared_tables(cursor, settings)
        cursor.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(sql.Identifier(schema)))
        for table in TENANT_TABLES:
            _create_tenant_table(cursor, schema, table)
        # One schema for two profiles violates UNIQUE (schema_name), unless both names were cut to it later.
        cursor.execute(
            sql.SQL(
                "INSERT INTO {} (source_id, schema_name, created_at, updated_at) VALUES (%s, %s, %s, %s)"
                " ON CONFLICT (source_id) DO UPDATE SET schema_name=excluded.schema_name,"
                " updated_at=excluded.updated_at"
            ).format(sql.Identifier("public", settings.registry_table)),
            (source_id, schema, now, now),
        )
        register_source(cursor, source_id)
    return schema


def _create_table(table: Table, name: sql.Composable) -> sql.Composable:
    return sql.SQL("CREATE TABLE IF NOT EXISTS {} (" + table.body() + ")").format(name)


def _create_tenant_table(cursor: Any, schema: str, table: Table) -> None:
    name = sql.Identifier(schema, table.name)
    cursor.execute(_create_table(table, name))
    for suffix, column in table.indexes:
        cursor.execute(
            sql.SQL("CREATE INDEX IF NOT EXISTS {} ON {} ({})").format(
                sql.Identifier(f"idx_{schema}_{suffix}"), name, sql.Identifier(column)
            )
        )
    if table.belongs_to_video:
        constraint = f"{table.name}_video_fk"
        cursor.execute(
            "SELECT 1 FROM pg_catalog.pg_constraint WHERE conname = %s AND conrelid = to_regclass(%s)",
            (constraint, f'"{schema}".{table.name}'),
        )
        if cursor.fetchone() is None:
            cursor.execute(
                sql.SQL(
                    "ALTER TABLE {} ADD CONSTRAINT {} FOREIGN KEY (source_id, video_id)"
                    " REFERENCES {} (source_id, id) ON DELETE CASCADE NOT VALID"
                ).format(name, sql.Identifier(constraint), sql.Identifier(schema, "videos"))
            )
