# SPDX-License-Identifier: GPL-3.0-or-later
"""The user's own fields of an item."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from ..call import CurrentCall
from ..meta import MetaBody, meta_of, replace_meta

router = APIRouter()


@router.get("/items/{id}/meta")
def get_meta(id: str, call: CurrentCall) -> dict[str, Any]:
    """Return an item's meta; of an unknown item all nulls."""
    with call.session() as database:
        return {"meta": meta_of(database, call.source_id, id)}


@router.put("/items/{id}/meta")
def put_meta(id: str, body: MetaBody, call: CurrentCall) -> dict[str, Any]:
    """Replace an item's meta."""
    return {"meta": call.write(lambda database: replace_meta(database, call.source_id, id, body))}
