# SPDX-License-Identifier: GPL-3.0-or-later
"""Import of a CSV file into whichever store the process's mode names.

Importing the same file again rewrites hashes and timestamps, so an import is no oracle for a copy.
"""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .backend import Backend
from .clock import utc_now
from .database import Database
from .tables import VIDEOS

_INTEGERS = frozenset(name for name, declaration in VIDEOS.columns if declaration.startswith("INTEGER"))
_GENERATED = ("source_id", "csv_row_hash", "updated_at")


def import_csv(backend: Backend, source_id: str, path: Path) -> int:
    """Upsert every row of the file; return their number."""
    now = utc_now()
    records = list(_records(path, source_id, now))
    changing = [name for name in VIDEOS.column_names if name not in VIDEOS.primary_key]
    updates = ", ".join(f"{name}=excluded.{name}" for name in changing)

    def write(database: Database) -> None:
        database.execute_many(
            f"INSERT INTO videos ({', '.join(VIDEOS.column_names)})"
            f" VALUES ({', '.join('?' for _turn in VIDEOS.column_names)})"
            f" ON CONFLICT (source_id, id) DO UPDATE SET {updates}",
            [tuple(video[name] for name in VIDEOS.column_names) for video, _row_json in records],
        )
        database.execute_many(
            "INSERT INTO csv_consolidated_raw (source_id, video_id, row_json, csv_row_hash, imported_at)"
            " VALUES (?, ?, ?, ?, ?) ON CONFLICT (source_id, video_id) DO UPDATE SET"
            " row_json=excluded.row_json, csv_row_hash=excluded.csv_row_hash,"
            " imported_at=excluded.imported_at",
            [(source_id, video["id"], row_json, video["csv_row_hash"], now) for video, row_json in records],
        )

    backend.prepare(source_id)
    with backend.session(source_id) as database:
        write(database)
    backend.after_write(source_id, write)
    return len(records)


def _records(path: Path, source_id: str, now: str) -> Iterator[tuple[dict[str, Any], str]]:
    with path.open(newline="", encoding="utf-8-sig") as handle:
        for row in csv.DictReader(handle):
            if not (row.get("id") or "").strip():
                continue
            row_json = json.dumps(row, ensure_ascii=False, sort_keys=True)
            video: dict[str, Any] = {
                name: _value(name, row.get(name)) for name in VIDEOS.column_names if name not in _GENERATED
            }
            video["bookmarked"] = video["bookmarked"] or 0
            video["source_id"] = source_id
            video["csv_row_hash"] = hashlib.sha256(row_json.encode()).hexdigest()
            video["updated_at"] = now
            yield video, row_json


def _value(name: str, text: str | None) -> Any:
    if text is None or name not in _INTEGERS:
        return text
    return int(text) if text.strip() else None
