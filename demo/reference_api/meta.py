# SPDX-License-Identifier: GPL-3.0-or-later
"""The user's own fields of an item. A PUT replaces all of them."""

from __future__ import annotations

import json
from typing import Any

from pydantic import BaseModel

from .clock import utc_now
from .database import Database, Row
from .items import required_item
from .tables import USER_META

_NOT_FIELDS = ("source_id", "video_id", "updated_at")
_FIELDS = tuple(name for name in USER_META.column_names if name not in _NOT_FIELDS)
_LISTS = ("statuses", "author_links")


class MetaBody(BaseModel):
    """The body of a PUT; a field left out is emptied."""

    # Unbounded on purpose: SQLite takes what does not fit an int4, PostgreSQL answers 500.
    rating: int | None = None
    status: str | None = None
    statuses: list[str] | None = None
    tags: str | None = None
    notes: str | None = None
    product_link: str | None = None
    author_links: list[str] | None = None
    platform_targets: str | None = None
    workflow_log: str | None = None
    post_url: str | None = None
    published_time: str | None = None


def meta_of(database: Database, source_id: str, item_id: str) -> Row:
    """Return an item's meta; of an unknown item all nulls."""
    row = database.one(
        f"SELECT video_id, {', '.join(_FIELDS)}, updated_at FROM user_meta WHERE source_id=? AND video_id=?",
        (source_id, item_id),
    )
    if row is None:
        row = {"video_id": item_id, **dict.fromkeys(_FIELDS), "updated_at": None}
    return {**row, **{name: _as_list(row[name]) for name in _LISTS}}


def replace_meta(database: Database, source_id: str, item_id: str, body: MetaBody) -> Row:
    """Replace all fields; links to the author's pages go to every other item of the author as well."""
    item = required_item(database, source_id, item_id)
    now = utc_now()
    values: dict[str, Any] = {name: getattr(body, name) for name in _FIELDS}
    for name in _LISTS:
        values[name] = None if values[name] is None else json.dumps(values[name], ensure_ascii=False)
    database.execute(
        f"INSERT INTO user_meta (source_id, video_id, {', '.join(_FIELDS)}, updated_at)"
        f" VALUES (?, ?, {', '.join('?' for _turn in _FIELDS)}, ?)"
        " ON CONFLICT (source_id, video_id) DO UPDATE SET "
        + ", ".join(f"{name}=excluded.{name}" for name in (*_FIELDS, "updated_at")),
        [source_id, item_id, *values.values(), now],
    )
    if body.author_links and item["author_unique_id"]:
        database.execute(
            "INSERT INTO user_meta (source_id, video_id, author_links, updated_at)"
            " SELECT source_id, id, ?, ? FROM videos WHERE source_id=? AND author_unique_id=? AND id<>?"
            " ON CONFLICT (source_id, video_id)"
            " DO UPDATE SET author_links=excluded.author_links, updated_at=excluded.updated_at",
            (values["author_links"], now, source_id, item["author_unique_id"], item_id),
        )
    return meta_of(database, source_id, item_id)


def _as_list(text: str | None) -> list[Any]:
    if not text:
        return []
    try:
        value = json.loads(text)
    except ValueError:
        return [text]
    return value if isinstance(value, list) else [value]
