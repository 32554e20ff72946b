# SPDX-License-Identifier: GPL-3.0-or-later
"""Notes: the stored markdown of an item, or one made up on the spot (and not stored) when there is none."""

from __future__ import annotations

from pydantic import BaseModel

from .clock import utc_now
from .database import Database, Row
from .items import required_item

TEMPLATE_VERSION = "1"


class NoteBody(BaseModel):
    """The body of a PUT."""

    markdown: str
    template_version: str | None = None


def note_of(database: Database, source_id: str, item_id: str) -> Row:
    """Return an item's note; C(cached) tells whether it was stored."""
    stored = database.one(
        "SELECT markdown, template_version, updated_at FROM video_notes WHERE source_id=? AND video_id=?",
        (source_id, item_id),
    )
    if stored is not None:
        return {"id": item_id, "cached": True, **stored}
    item = required_item(database, source_id, item_id)
    markdown = f"# {item['author_name'] or item['author_unique_id'] or item_id}\n\n{item['caption'] or ''}\n"
    return {
        "id": item_id,
        "cached": False,
        "markdown": markdown,
        "template_version": TEMPLATE_VERSION,
        "updated_at": None,
    }


def replace_note(database: Database, source_id: str, item_id: str, body: NoteBody) -> Row:
    """Store an item's note."""
    required_item(database, source_id, item_id)
    now = utc_now()
    database.execute(
        "INSERT INTO video_notes (source_id, video_id, markdown, template_version, updated_at)"
        " VALUES (?, ?, ?, ?, ?) ON CONFLICT (source_id, video_id) DO UPDATE SET markdown=excluded.markdown,"
        " template_version=excluded.template_version, updated_at=excluded.updated_at",
        (source_id, item_id, body.markdown, body.template_version or "user", now),
    )
    return {"ok": True, "id": item_id, "updated_at": now}
