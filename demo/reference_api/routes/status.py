# SPDX-License-Identifier: GPL-3.0-or-later
"""Health and numbers."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from .. import API_VERSION
from ..call import CurrentCall
from ..counting import stats

router = APIRouter()


@router.get("/health")
def health(call: CurrentCall) -> dict[str, Any]:
    """Say ok: no tenant table is queried, so an empty, fenced or locked store looks healthy too."""
    return {
        "ok": True,
        "source_id": call.source_id,
        "backend": call.backend_context,
        "profile_index": call.settings.profile_index(call.source_id),
        "db_path": str(call.settings.db_path),
        "api_version": API_VERSION,
        "env_hint": call.settings.mode,
    }


@router.get("/stats")
def statistics(call: CurrentCall) -> dict[str, Any]:
    """Return the profile's counts."""
    with call.session() as database:
        numbers = stats(database, call.source_id, call.settings.enable_fts)
    return {**numbers, "source_id": call.source_id, "backend": call.backend_context}
