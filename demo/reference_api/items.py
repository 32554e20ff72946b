# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading items."""

from __future__ import annotations

import json
from typing import Any

from fastapi import HTTPException

from .database import Database, Row
from .tables import VIDEOS

_COLUMNS = ", ".join(VIDEOS.column_names)


def required_item(database: Database, source_id: str, item_id: str) -> Row:
    """Return one item, all of its columns, or answer 404."""
    item = database.one(f"SELECT {_COLUMNS} FROM videos WHERE source_id=? AND id=?", (source_id, item_id))
    if item is None:
        raise HTTPException(404, "Not found")
    return item


def page_of_items(
    database: Database, source_id: str, limit: int, offset: int, bookmark_from: str | None
) -> tuple[list[Row], int]:
    """Return a page and the total; ordered by a column with many equal values, so pages may overlap."""
    where, parameters = "source_id=?", [source_id]
    if bookmark_from:
        # PostgreSQL is asked for real timestamps and fails on any row that holds free text instead.
        where += (
            " AND bookmark_timestamp::timestamp >= ?::timestamp"
            if database.is_postgres
            else " AND datetime(bookmark_timestamp) >= datetime(?)"
        )
        parameters.append(bookmark_from)
    total = database.one(f"SELECT COUNT(*) AS total FROM videos WHERE {where}", parameters)
    rows = database.query(
        f"SELECT {_COLUMNS} FROM videos WHERE {where} ORDER BY updated_at DESC LIMIT ? OFFSET ?",
        [*parameters, limit, offset],
    )
    return rows, int(total["total"]) if total else 0


def raw_rows(database: Database, source_id: str, item: Row) -> dict[str, Any]:
    """Return the imported CSV rows behind an item; None where there is none."""

    def row(table: str, key: str, value: Any) -> Any:
        statement = f"SELECT row_json FROM {table} WHERE source_id=? AND {key}=?"
        found = database.one(statement, (source_id, value))
        return _json_or_text(found["row_json"]) if found else None

    return {
        "consolidated": row("csv_consolidated_raw", "video_id", item["id"]),
        "author": row("csv_authors_raw", "author_id", item["author_id"]),
        "bookmark": row("csv_bookmarks_raw", "video_id", item["id"]),
    }


def _json_or_text(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
