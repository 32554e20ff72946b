# SPDX-License-Identifier: GPL-3.0-or-later
"""POSTGRES_MIRROR mode: SQLite serves, PostgreSQL gets a best-effort copy of each write. Transitional."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from .database import Database
from .postgres_store import PostgresBackend
from .settings import Settings
from .sqlite_store import SqliteBackend

_logger = logging.getLogger("reference_api.mirror")


class MirrorBackend(SqliteBackend):
    """The store of POSTGRES_MIRROR mode; a lost mirror write is a line in the log and nothing else."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._mirror = PostgresBackend(settings)

    def context(self, source_id: str) -> dict[str, Any]:
        """Return the backend context, marked as deprecated."""
        return {
            **super().context(source_id),
            "reason": "PostgreSQL mirror: reads are served from SQLite",
            "deprecated": True,
            "note": "POSTGRES_MIRROR is a transitional mode; new deployments use POSTGRES_PRIMARY",
        }

    def after_write(self, source_id: str, write: Callable[[Database], object]) -> None:
        """Repeat the write on PostgreSQL; failures are logged and forgotten."""
        try:
            with self._mirror.session(source_id) as database:
                write(database)
        except Exception as error:
            _logger.warning("mirror write for %s lost: %s", source_id, type(error).__name__)
