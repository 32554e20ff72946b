# SPDX-License-Identifier: GPL-3.0-or-later
"""Items: list, one, its imported rows, its links."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query

from ..call import CurrentCall
from ..items import page_of_items, raw_rows, required_item
from ..meta import meta_of

router = APIRouter()


@router.get("/items")
def list_items(
    call: CurrentCall,
    limit: Annotated[int, Query(ge=1, le=2000)] = 50,
    offset: Annotated[int, Query(ge=0)] = 0,
    bookmark_from: str | None = None,
) -> dict[str, Any]:
    """Return a page of items."""
    with call.session() as database:
        rows, total = page_of_items(database, call.source_id, limit, offset, bookmark_from)
    return {"items": rows, "limit": limit, "offset": offset, "total": total}


@router.get("/items/{id}")
def get_item(id: str, call: CurrentCall) -> dict[str, Any]:
    """Return one item."""
    with call.session() as database:
        return {"item": required_item(database, call.source_id, id)}


@router.get("/items/{id}/raw")
def get_raw(id: str, call: CurrentCall) -> dict[str, Any]:
    """Return the imported CSV rows behind an item."""
    with call.session() as database:
        item = required_item(database, call.source_id, id)
        return {"id": id, "raw": raw_rows(database, call.source_id, item)}


@router.get("/items/{id}/links")
def get_links(id: str, call: CurrentCall) -> dict[str, Any]:
    """Return the links of an item."""
    with call.session() as database:
        item = required_item(database, call.source_id, id)
        meta = meta_of(database, call.source_id, id)
    return {
        "id": id,
        "links": {
            "video_path": item["video_path"],
            "cover_path": item["cover_path"],
            "product_link": meta["product_link"],
            "author_links": meta["author_links"],
            "post_url": meta["post_url"],
        },
    }
