# SPDX-License-Identifier: GPL-3.0-or-later
"""SQLite mode: one file for all profiles, a new connection per use, and a write on every read."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from .careless import careless, linger
from .database import Database
from .settings import Settings
from .sqlite_schema import register_source, set_up_schema

BUSY_TIMEOUT_SECONDS = 5.0


class SqliteBackend:
    """The store of SQLITE mode."""

    name = "sqlite"

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    def prepare(self, source_id: str) -> dict[str, Any]:
        """Register the profile on a first connection; a locked file costs the timeout, then is ignored."""
        database = self._connect()
        try:
            self._set_up(database, source_id)
        except sqlite3.Error:
            linger(database, self.settings.error_linger_seconds)
        return self.context(source_id)

    def context(self, source_id: str) -> dict[str, Any]:
        """Return the backend context of an answer; nothing is asked of the database."""
        return {
            "backend": self.name,
            "active": False,
            "reason": "PostgreSQL is not enabled",
            "source_id": source_id,
            "schema": None,
            "search_path": None,
        }

    def session(self, source_id: str) -> AbstractContextManager[Database]:
        """Open the handler's connection, running the whole schema set-up again."""
        database = self._connect()
        try:
            self._set_up(database, source_id)
        except sqlite3.Error:
            linger(database, self.settings.error_linger_seconds)
            raise
        return careless(database, self.settings.error_linger_seconds)

    def after_write(self, source_id: str, write: Callable[[Database], object]) -> None:
        """Nothing follows a write."""

    def _connect(self) -> Database:
        path = self.settings.db_path
        if not self.settings.read_only:
            path.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(path, timeout=BUSY_TIMEOUT_SECONDS, check_same_thread=False)
        return Database(connection, "sqlite")

    def _set_up(self, database: Database, source_id: str) -> None:
        if self.settings.read_only:
            # The habit of writing on reads gives way: no set-up, no registration, the engine itself objects.
            database.connection.execute("PRAGMA query_only=ON")
            return
        set_up_schema(
            database.connection,
            enable_fts=self.settings.enable_fts,
            default_source_id=self.settings.default_source_id,
        )
        register_source(database.connection, source_id)
        database.commit()
