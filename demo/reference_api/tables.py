# SPDX-License-Identifier: GPL-3.0-or-later
"""The tables, described once: SQLite and PostgreSQL get the same columns, keys and indexes."""

from __future__ import annotations

from dataclasses import dataclass

_SOURCE = ("source_id", "TEXT NOT NULL DEFAULT 'default'")


@dataclass(frozen=True)
class Table:
    """One table: columns as (name, declaration), primary key, and indexes as (name suffix, column)."""

    name: str
    columns: tuple[tuple[str, str], ...]
    primary_key: tuple[str, ...]
    indexes: tuple[tuple[str, str], ...] = ()
    belongs_to_video: bool = False

    @property
    def column_names(self) -> tuple[str, ...]:
        """The column names in order."""
        return tuple(name for name, _declaration in self.columns)

    def body(self) -> str:
        """Return the column and key lines both engines understand."""
        lines = [f"{name} {declaration}" for name, declaration in self.columns]
        lines.append(f"PRIMARY KEY ({', '.join(self.primary_key)})")
        return ",\n  ".join(lines)


def _text(*names: str) -> tuple[tuple[str, str], ...]:
    return tuple((name, "TEXT") for name in names)


SOURCES = Table(
    "sources",
    (
        ("id", "TEXT"),
        *_text("label", "kind", "description"),
        ("enabled", "INTEGER DEFAULT 1"),
        ("is_default", "INTEGER DEFAULT 0"),
        *_text("created_at", "updated_at"),
    ),
    ("id",),
    (("sources_enabled", "enabled"), ("sources_default", "is_default")),
)

VIDEOS = Table(
    "videos",
    (
        _SOURCE,
        ("id", "TEXT NOT NULL"),
        *_text("platform", "author_id", "author_unique_id", "author_name"),
        ("followers", "INTEGER"),
        ("hearts", "INTEGER"),
        ("videos_count", "INTEGER"),
        ("signature", "TEXT"),
        ("is_private", "INTEGER"),
        ("caption", "TEXT"),
        ("bookmarked", "INTEGER DEFAULT 0"),
        *_text("bookmark_timestamp", "video_path", "cover_path", "csv_row_hash", "updated_at"),
    ),
    ("source_id", "id"),
    (
        ("videos_author_unique_id", "author_unique_id"),
        ("videos_source_id", "source_id"),
        ("videos_bookmarked", "bookmarked"),
    ),
)

USER_META = Table(
    "user_meta",
    (
        _SOURCE,
        ("video_id", "TEXT NOT NULL"),
        ("rating", "INTEGER"),
        *_text("status", "statuses", "tags", "notes", "product_link", "author_links", "platform_targets"),
        *_text("workflow_log", "post_url", "published_time", "updated_at"),
    ),
    ("source_id", "video_id"),
    (
        ("user_meta_status", "status"),
        ("user_meta_source_id", "source_id"),
        ("user_meta_statuses", "statuses"),
    ),
    belongs_to_video=True,
)

VIDEO_NOTES = Table(
    "video_notes",
    (
        _SOURCE,
        ("video_id", "TEXT NOT NULL"),
        ("markdown", "TEXT NOT NULL"),
        *_text("template_version", "updated_at"),
    ),
    ("source_id", "video_id"),
    (("video_notes_source_id", "source_id"),),
    belongs_to_video=True,
)

CSV_CONSOLIDATED_RAW = Table(
    "csv_consolidated_raw",
    (
        _SOURCE,
        ("video_id", "TEXT NOT NULL"),
        ("row_json", "TEXT NOT NULL"),
        *_text("csv_row_hash", "imported_at"),
    ),
    ("source_id", "video_id"),
    (("csv_consolidated_hash", "csv_row_hash"),),
)

CSV_AUTHORS_RAW = Table(
    "csv_authors_raw",
    (_SOURCE, ("author_id", "TEXT NOT NULL"), ("row_json", "TEXT NOT NULL"), ("imported_at", "TEXT")),
    ("source_id", "author_id"),
)

CSV_BOOKMARKS_RAW = Table(
    "csv_bookmarks_raw",
    (_SOURCE, ("video_id", "TEXT NOT NULL"), ("row_json", "TEXT NOT NULL"), ("imported_at", "TEXT")),
    ("source_id", "video_id"),
)

SCHEDULING_ARTIFACTS = Table(
    "scheduling_artifacts",
    (
        _SOURCE,
        ("video_id", "TEXT NOT NULL"),
        ("platform", "TEXT NOT NULL"),
        ("artifact_json", "TEXT NOT NULL"),
        ("r2_media_url", "TEXT"),
        ("status", "TEXT NOT NULL DEFAULT 'draft_review'"),
        *_text("created_at", "updated_at"),
    ),
    ("source_id", "video_id", "platform"),
)

JOB_QUEUE = Table(
    "job_queue",
    (
        ("id", "TEXT"),
        _SOURCE,
        ("video_id", "TEXT NOT NULL"),
        ("platform", "TEXT NOT NULL"),
        ("action", "TEXT NOT NULL"),
        ("status", "TEXT NOT NULL DEFAULT 'pending'"),
        *_text("scheduled_time", "execute_after", "result_json", "error_message"),
        ("retry_count", "INTEGER DEFAULT 0"),
        *_text("created_at", "updated_at"),
    ),
    ("id",),
)

# In an order in which foreign keys are always satisfied.
TENANT_TABLES = (
    VIDEOS,
    USER_META,
    VIDEO_NOTES,
    CSV_CONSOLIDATED_RAW,
    CSV_AUTHORS_RAW,
    CSV_BOOKMARKS_RAW,
    SCHEDULING_ARTIFACTS,
    JOB_QUEUE,
)

# The tables that existed before profiles did; rows without a profile are repaired on every request.
SOURCE_SCOPED = TENANT_TABLES[:6]
