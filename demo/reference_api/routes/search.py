# SPDX-License-Identifier: GPL-3.0-or-later
"""Search and authors."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query

from ..call import CurrentCall
from ..finding import authors, search_items

router = APIRouter()


@router.get("/search")
def search(call: CurrentCall, q: str, limit: Annotated[int, Query(ge=1, le=200)] = 50) -> dict[str, Any]:
    """Return the items that contain a text."""
    with call.session() as database:
        results = search_items(database, call.source_id, q, limit)
    return {"results": results, "q": q, "limit": limit}


@router.get("/authors")
def list_authors(
    call: CurrentCall,
    q: str = "",
    limit: Annotated[int, Query(ge=1, le=2000)] = 200,
    offset: Annotated[int, Query(ge=0)] = 0,
) -> dict[str, Any]:
    """Return the authors, most items first."""
    with call.session() as database:
        rows = authors(database, call.source_id, q, limit, offset)
    return {"authors": rows, "limit": limit, "offset": offset}
