# SPDX-License-Identifier: GPL-3.0-or-later
"""Search and authors: where the two engines answer differently on identical data.

C(LIKE) ignores ASCII case in SQLite and has no escape character; in PostgreSQL it is case-sensitive and a
backslash escapes. C(LOWER) handles ASCII only in SQLite. The full-text table is kept and never read.
"""

from __future__ import annotations

from .database import Database, Row

_SNIPPET_LENGTH = 160


def search_items(database: Database, source_id: str, text: str, limit: int) -> list[Row]:
    """Return the items whose caption, author or id contains the text."""
    pattern = f"%{text}%"
    rows = database.query(
        "SELECT id, author_unique_id, author_name, caption, bookmarked FROM videos WHERE source_id=?"
        " AND (caption LIKE ? OR author_unique_id LIKE ? OR author_name LIKE ? OR id LIKE ?)"
        " ORDER BY bookmarked DESC, updated_at DESC LIMIT ?",
        (source_id, pattern, pattern, pattern, pattern, limit),
    )
    return [
        {
            "id": row["id"],
            "author_unique_id": row["author_unique_id"],
            "author_name": row["author_name"],
            "snippet": (row["caption"] or "")[:_SNIPPET_LENGTH],
            "bookmarked": row["bookmarked"],
        }
        for row in rows
    ]


def authors(database: Database, source_id: str, text: str, limit: int, offset: int) -> list[Row]:
    """Return the authors with their number of items, most items first."""
    where, parameters = "source_id=? AND author_unique_id IS NOT NULL AND author_unique_id<>''", [source_id]
    if text:
        where += " AND (LOWER(author_unique_id) LIKE LOWER(?) OR LOWER(author_name) LIKE LOWER(?))"
        parameters += [f"%{text}%", f"%{text}%"]
    return database.query(
        "SELECT author_unique_id, MAX(author_name) AS author_name, COUNT(*) AS items,"
        " SUM(CASE WHEN bookmarked=1 THEN 1 ELSE 0 END) AS bookmarked, MAX(followers) AS followers"
        f" FROM videos WHERE {where}"
        " GROUP BY author_unique_id ORDER BY COUNT(*) DESC, author_unique_id LIMIT ? OFFSET ?",
        [*parameters, limit, offset],
    )
