# SPDX-License-Identifier: GPL-3.0-or-later
"""Profiles: those the store knows, and those the configuration names."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request

from ..call import CurrentCall
from ..tables import SOURCES

router = APIRouter()


@router.get("/sources")
def list_sources(call: CurrentCall) -> dict[str, Any]:
    """Return every profile ever asked for."""
    with call.session() as database:
        # In PostgreSQL the search path ends in public, where this table lives.
        columns = ", ".join(SOURCES.column_names)
        rows = database.query(f"SELECT {columns} FROM sources ORDER BY is_default DESC, id")
    return {"sources": rows, "default_source_id": call.settings.default_source_id}


@router.get("/config/profiles")
@router.get("/pipeline/profiles")
def list_profiles(request: Request) -> dict[str, Any]:
    """Return the configured profiles; the only paths that need no profile named."""
    profiles = request.app.state.settings.profiles
    return {"profiles": [{"index": index, "source_id": name} for index, name in enumerate(profiles, start=1)]}
