# SPDX-License-Identifier: GPL-3.0-or-later
"""What a handler knows about the request it answers."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

from fastapi import Depends, Request

from .backend import Backend
from .database import Database
from .settings import Settings

Result = TypeVar("Result")


@dataclass(frozen=True)
class Call:
    """One request: its profile, its store, and the process's settings."""

    source_id: str
    backend: Backend
    backend_context: dict[str, Any]
    settings: Settings

    def session(self) -> AbstractContextManager[Database]:
        """Open this handler's own connection."""
        return self.backend.session(self.source_id)

    def write(self, write: Callable[[Database], Result]) -> Result:
        """Run a write in one transaction, then hand it to the backend (mirror mode repeats it)."""
        with self.session() as database:
            result = write(database)
        self.backend.after_write(self.source_id, write)
        return result


def _current(request: Request) -> Call:
    state = request.app.state
    return Call(request.state.source_id, state.backend, request.state.backend_context, state.settings)


CurrentCall = Annotated[Call, Depends(_current)]
