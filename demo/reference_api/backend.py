# SPDX-License-Identifier: GPL-3.0-or-later
"""What the routes need from a store, whichever mode the process runs in."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, Protocol

from .database import Database
from .settings import MODE_MIRROR, MODE_PRIMARY, Settings


class Backend(Protocol):
    """One mode's way to a profile's data."""

    # The value of the x-sx-backend header.
    name: str

    def prepare(self, source_id: str) -> dict[str, Any]:
        """Do what the middleware does before every handler; return the backend context of the answer."""

    def session(self, source_id: str) -> AbstractContextManager[Database]:
        """Open the handler's own connection for one request."""

    def after_write(self, source_id: str, write: Callable[[Database], object]) -> None:
        """Called with each committed write."""


def backend_for(settings: Settings) -> Backend:
    """Return the backend of the process's mode."""
    if settings.mode == MODE_PRIMARY:
        from .postgres_store import PostgresBackend

        return PostgresBackend(settings)
    if settings.mode == MODE_MIRROR:
        from .mirror import MirrorBackend

        return MirrorBackend(settings)
    from .sqlite_store import SqliteBackend

    return SqliteBackend(settings)
