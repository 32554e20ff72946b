# SPDX-License-Identifier: GPL-3.0-or-later
"""Bootstrap of a profile's schema over HTTP."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel

from ..call import CurrentCall
from ..postgres_schema import bootstrap_tenant
from ..postgres_store import connect, permission_refusals
from ..settings import MODE_PRIMARY

router = APIRouter()


class BootstrapBody(BaseModel):
    """The profile to create a schema for."""

    source_id: str


@router.post("/admin/bootstrap/schema")
def bootstrap_schema(body: BootstrapBody, call: CurrentCall) -> dict[str, Any]:
    """Create the schema of the profile in the body.

    The trap: like every other path this one first resolves the profile in the *header*, which in PostgreSQL
    mode must already have a mapping. The very first profile can only be bootstrapped at the command line.
    """
    if call.settings.mode != MODE_PRIMARY:
        detail = f"no-op outside {MODE_PRIMARY}"
        return {"ok": True, "source_id": body.source_id, "schema": None, "detail": detail}
    with permission_refusals():
        schema = bootstrap_tenant(connect(call.settings), call.settings, body.source_id)
    return {"ok": True, "source_id": body.source_id, "schema": schema}
