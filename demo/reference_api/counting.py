# SPDX-License-Identifier: GPL-3.0-or-later
"""The numbers of a profile."""

from __future__ import annotations

from typing import Any

from .database import Database


def stats(database: Database, source_id: str, enable_fts: bool) -> dict[str, Any]:
    """Return the counts of a profile and the time of its last change."""
    row = database.one(
        "SELECT COUNT(*) AS items, COALESCE(SUM(CASE WHEN bookmarked=1 THEN 1 ELSE 0 END), 0) AS bookmarked,"
        " COUNT(DISTINCT author_unique_id) AS authors, MAX(updated_at) AS last_updated_at"
        " FROM videos WHERE source_id=?",
        (source_id,),
    )
    assert row is not None  # An aggregate without GROUP BY always has a row.
    last_updated_at = row.pop("last_updated_at")
    return {
        "counts": {**row, "fts_rows": _fts_rows(database) if enable_fts else 0},
        "last_updated_at": last_updated_at,
    }


def _fts_rows(database: Database) -> int:
    # A contentless table does not know its profiles: the number is that of the whole file.
    if database.is_postgres:
        return 0
    if database.one("SELECT 1 FROM sqlite_master WHERE name='videos_fts'") is None:
        return 0
    row = database.one("SELECT COUNT(*) AS n FROM videos_fts")
    return int(row["n"]) if row else 0
