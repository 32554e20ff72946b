# SPDX-License-Identifier: GPL-3.0-or-later
"""Fill the SQLite file of the stack: deterministic, quick, all profiles at once."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

from reference_api.sqlite_schema import set_up_schema
from reference_api.tables import (
    CSV_AUTHORS_RAW,
    CSV_BOOKMARKS_RAW,
    CSV_CONSOLIDATED_RAW,
    JOB_QUEUE,
    SCHEDULING_ARTIFACTS,
    SOURCES,
    TENANT_TABLES,
    USER_META,
    VIDEO_NOTES,
    VIDEOS,
)

from . import seed_rows

_MAKERS = (
    (VIDEOS, seed_rows.video_rows),
    (USER_META, seed_rows.meta_rows),
    (VIDEO_NOTES, seed_rows.note_rows),
    (CSV_CONSOLIDATED_RAW, seed_rows.consolidated_rows),
    (CSV_AUTHORS_RAW, seed_rows.author_rows),
    (CSV_BOOKMARKS_RAW, seed_rows.bookmark_rows),
    (SCHEDULING_ARTIFACTS, seed_rows.artifact_rows),
    (JOB_QUEUE, seed_rows.job_rows),
)
_SHARED_IDS = 500


def plans(items: Mapping[str, int]) -> list[seed_rows.ProfilePlan]:
    """Return each profile's plan: its first ids are the last ones of the profile before it, other content."""
    made: list[seed_rows.ProfilePlan] = []
    for source_id, count in items.items():
        first = 0
        if made:
            shared = min(_SHARED_IDS, count // 10, made[-1].items)
            first = made[-1].first + made[-1].items - shared
        made.append(seed_rows.ProfilePlan(source_id, first, count))
    return made


def seed_database(path: Path, items: Mapping[str, int]) -> dict[str, int]:
    """Make the file; it appears under its name only when complete. Returns the number of rows per table.

    Args:
        path: The file; one that exists is replaced, so no process may have it open.
        items: The number of items of each profile.
    """
    temporary = path.with_name(path.name + ".seeding")
    for leftover in _file_and_companions(temporary):
        leftover.unlink(missing_ok=True)
    with closing(sqlite3.connect(temporary)) as connection:
        set_up_schema(connection, enable_fts=True, default_source_id=next(iter(items)))
        connection.commit()
        _insert_sources(connection, items)
        for plan in plans(items):
            for table, make in _MAKERS:
                placeholders = ", ".join("?" for _turn in table.columns)
                connection.executemany(
                    f"INSERT INTO {table.name} ({', '.join(table.column_names)}) VALUES ({placeholders})",
                    make(plan),
                )
        connection.execute(
            "INSERT INTO videos_fts (source_id, id, caption, author_unique_id, author_name)"
            " SELECT source_id, id, caption, author_unique_id, author_name FROM videos ORDER BY source_id, id"
        )
        connection.commit()
        counts = {
            table.name: int(connection.execute(f"SELECT COUNT(*) FROM {table.name}").fetchone()[0])
            for table in (SOURCES, *TENANT_TABLES)
        }
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    for leftover in _file_and_companions(path):
        leftover.unlink(missing_ok=True)
    temporary.chmod(0o600)
    temporary.replace(path)
    return counts


def content_digest(path: Path) -> str:
    """Return a digest of all rows of the tenant tables."""
    digest = hashlib.sha256()
    with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as connection:
        for table in TENANT_TABLES:
            keys = ", ".join(table.primary_key)
            for row in connection.execute(f"SELECT {', '.join(table.column_names)} FROM {table.name} ORDER BY {keys}"):
                digest.update(repr((table.name, row)).encode())
    return digest.hexdigest()


def _insert_sources(connection: sqlite3.Connection, items: Mapping[str, int]) -> None:
    rows = [
        (
            source_id,
            f"Profile {source_id}",
            "csv",
            None,
            1,
            int(index == 0),
            seed_rows.stamp(0),
            seed_rows.stamp(0),
        )
        for index, source_id in enumerate(items)
    ]
    placeholders = ", ".join("?" for _turn in SOURCES.columns)
    connection.executemany(f"INSERT INTO sources ({', '.join(SOURCES.column_names)}) VALUES ({placeholders})", rows)


def _file_and_companions(path: Path) -> list[Path]:
    return [path, *(path.with_name(path.name + suffix) for suffix in ("-wal", "-shm", "-journal"))]
