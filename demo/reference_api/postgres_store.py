# SPDX-License-Identifier: GPL-3.0-or-later
"""POSTGRES_PRIMARY mode: a schema per profile, found through the registry, with no fallback."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import psycopg2
from psycopg2 import errors, sql

from .careless import careless
from .database import Database
from .postgres_schema import register_source, set_up_shared_tables
from .refusal import Refusal
from .settings import Settings
from .tables import TENANT_TABLES

CONNECT_TIMEOUT_SECONDS = 5
_UNAVAILABLE = "PostgreSQL backend unavailable"


class PostgresBackend:
    """The store of POSTGRES_PRIMARY mode."""

    name = "postgres_primary"

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    def prepare(self, source_id: str) -> dict[str, Any]:
        """Open a first connection and find the profile's schema; no tenant table is looked at."""
        _connection, schema = self._open(source_id)
        return {
            "backend": self.name,
            "active": True,
            "source_id": source_id,
            "schema": schema,
            "search_path": f"{schema},public",
        }

    def session(self, source_id: str) -> AbstractContextManager[Database]:
        """Open the handler's connection with the profile's search path."""
        connection, _schema = self._open(source_id)
        return self._session(Database(connection, "postgres"))

    def after_write(self, source_id: str, write: Callable[[Database], object]) -> None:
        """Nothing follows a write."""

    @contextmanager
    def _session(self, database: Database) -> Iterator[Database]:
        with permission_refusals(), careless(database, self.settings.error_linger_seconds):
            yield database

    def _open(self, source_id: str) -> tuple[Any, str]:
        connection = connect(self.settings)
        connection.autocommit = True
        with permission_refusals(), connection.cursor() as cursor:
            if not self.settings.read_only:
                _set_up_once_more_if_raced(cursor, self.settings)
            schema = self._mapped_schema(cursor, source_id)
            self._require_ownership(cursor, schema)
            if self.settings.read_only:
                cursor.execute("SET default_transaction_read_only = on")
            else:
                register_source(cursor, source_id)
            cursor.execute(sql.SQL("SET search_path TO {}, public").format(sql.Identifier(schema)))
        connection.autocommit = False
        return connection, schema

    def _mapped_schema(self, cursor: Any, source_id: str) -> str:
        table = self.settings.registry_table
        row = None
        try:
            statement = sql.SQL("SELECT schema_name FROM {} WHERE source_id = %s")
            cursor.execute(statement.format(sql.Identifier("public", table)), (source_id,))
            row = cursor.fetchone()
        except errors.UndefinedTable:
            pass  # Read-only processes create no registry; without one there is no mapping.
        if row is None:
            raise Refusal(f"{_UNAVAILABLE}: No schema mapping for source_id '{source_id}' in public.{table}")
        return str(row[0])

    def _require_ownership(self, cursor: Any, schema: str) -> None:
        cursor.execute(
            "SELECT n.nspname || '.' || c.relname FROM pg_catalog.pg_class c"
            " JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
            " WHERE (n.nspname = %s AND c.relname = ANY (%s)"
            " OR n.nspname = 'public' AND c.relname = ANY (%s))"
            " AND c.relkind IN ('r', 'p') AND NOT pg_catalog.pg_has_role(c.relowner, 'USAGE') ORDER BY 1",
            (schema, [table.name for table in TENANT_TABLES], ["sources", self.settings.registry_table]),
        )
        foreign = [row[0] for row in cursor.fetchall()]
        if foreign:
            raise Refusal(f"{_UNAVAILABLE}: no permission: must be owner of {', '.join(foreign)}")


def connect(settings: Settings) -> Any:
    """Connect as the application's role, or refuse with the reason."""
    try:
        return psycopg2.connect(settings.postgres_dsn, connect_timeout=CONNECT_TIMEOUT_SECONDS)
    except psycopg2.Error as error:
        reason = " ".join(str(error).split())
        kind = "no permission" if "permission denied" in reason else "connection failed"
        raise Refusal(f"{_UNAVAILABLE}: {kind}: {reason}") from error


@contextmanager
def permission_refusals() -> Iterator[None]:
    """Turn the database's permission errors into a 400 that says so."""
    try:
        yield
    except errors.InsufficientPrivilege as error:
        reason = " ".join(str(error).split())
        raise Refusal(f"{_UNAVAILABLE}: no permission: {reason}") from error


def _set_up_once_more_if_raced(cursor: Any, settings: Settings) -> None:
    try:
        set_up_shared_tables(cursor, settings)
    except (errors.UniqueViolation, errors.DuplicateTable):
        # IF NOT EXISTS does not cover two first requests creating the same table at the same moment.
        set_up_shared_tables(cursor, settings)
