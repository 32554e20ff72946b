# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""A snapshot of a SQLite file: copied by SQLite's own backup API while the application goes on writing.

Never a file copy: that misses what is still in the WAL, and tears pages under a writer (S49).
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import pathlib
import re
import shutil
import sqlite3
import typing as t
import urllib.parse

from ._backup_folder import (
    DiskUsage,
    check_name,
    create,
    new_snapshot_id,
    private_file,
    seal,
    timestamp,
    utc_now,
)
from ._jsonl_export import check_exportable, count_rows, decode_text, export_table
from ._manifest import BackupFile, Snapshot, TableCount, load_manifest, verify_files
from ._sqlite_contents import count_rows_by_table, inspect, integrity_check, pragma
from ._sqlite_copy import Progress, copy_pages, writing_copy
from ._sqlite_store import Catalog, open_readonly, read_catalog, sqlite_errors
from ._verdict import FAILED, PASSED, Check, compare

__all__ = ["Snapshot", "SqliteSource", "load_manifest", "take", "verify"]

KIND = "sqlite"


@dataclasses.dataclass(frozen=True)
class SqliteSource:
    """What to take a snapshot of.

    Attributes:
        path: The SQLite file.
        name: Name of the copy, without its suffix; from the file's own name when None.
        source_id: The profile whose rows are counted and exported; every row when None.
        tenant_column: The column that holds the profile's id; None or empty when the file holds one profile only.
        export_tables: The user-owned tables to write as JSON lines besides.
        busy_timeout_s: How long to wait for a lock of another process, in seconds.
    """

    path: pathlib.Path
    name: str | None = None
    source_id: str | None = None
    tenant_column: str | None = "source_id"
    export_tables: tuple[str, ...] = ()
    busy_timeout_s: float = 10.0
    kind: t.ClassVar[str] = KIND

    @property
    def subject(self) -> dict[str, t.Any]:
        """What a snapshot of this source says that it is a copy of."""
        return {"path": os.path.realpath(self.path), "source_id": self.source_id}

    @property
    def main_name(self) -> str:
        """The file name of the copy."""
        derived = re.sub(r"[^A-Za-z0-9._-]", "_", self.path.stem).lstrip("._-") or "sqlite"
        return check_name(self.name or derived[:100], "name") + ".db"

    def lacks(self, snapshot: Snapshot) -> str:
        """Return what is asked for and not in a snapshot of the same subject; empty when all of it is."""
        missing = sorted(set(self.export_tables) - {str(file.table) for file in snapshot.exports})
        return f"it has no export of {', '.join(missing)}" if missing else ""

    def plan(self) -> int:
        """Return how many bytes a snapshot needs at most; the source is only read.

        Raises:
            SqliteError: The file is missing, not a database, truncated, or locked longer than the timeout.
            BadInput: C(name) or a table to export is refused.
        """
        check_name(self.main_name, "name")
        with self._opened() as connection:
            catalog = read_catalog(connection)
            check_exportable(catalog.tables, self.export_tables, self.source_id, self.tenant_column)
            size = int(pragma(connection, "page_count")) * int(pragma(connection, "page_size"))
        return size * 2 if self.export_tables else size  # JSON lines of a table: about its size, all of it at most

    @contextlib.contextmanager
    def _opened(self) -> t.Iterator[sqlite3.Connection]:
        connection = open_readonly(self.path, self.busy_timeout_s)
        with contextlib.closing(connection), sqlite_errors(self.path):
            yield connection

    def take(
        self, dest: str | os.PathLike[str], snapshot_id: str | None, disk_usage: DiskUsage = shutil.disk_usage
    ) -> Snapshot:
        """Take a snapshot, see L(take)."""
        return take(self, dest, snapshot_id, disk_usage)

    def verify(self, snapshot: Snapshot) -> list[Check]:
        """Check a snapshot, see L(verify)."""
        return verify(snapshot)


def take(
    source: SqliteSource,
    dest: str | os.PathLike[str],
    snapshot_id: str | None = None,
    disk_usage: DiskUsage = shutil.disk_usage,
    progress: Progress | None = None,
) -> Snapshot:
    """Take a verified snapshot of a SQLite file, consistent under a busy writer.

    Args:
        source: What to copy.
        dest: The folder of backups; the snapshot becomes the folder C(<dest>/<snapshot_id>).
        snapshot_id: Its name; the instant in UTC when None.
        disk_usage: As C(shutil.disk_usage).
        progress: Called after each step with pages copied and pages in all.

    Raises:
        SqliteError: The source is missing, not a database, truncated, damaged or locked.
        BackupError: No room, not writable, the id is taken, or the copy did not verify. Nothing half-written stays.
        BadInput: A name is refused.
        LockHeld: Another process writes the same snapshot.
    """
    now = utc_now()
    needed = source.plan()
    chosen = snapshot_id or new_snapshot_id(now)

    def fill(folder: pathlib.Path) -> Snapshot:
        path = folder / source.main_name
        partial = path.with_name(path.name + ".partial")
        os.close(private_file(partial))
        with writing_copy(partial, dest, needed, disk_usage) as copy:
            copied = copy_pages(source.path, copy, source.busy_timeout_s, progress)
            contents = inspect(copy, source.source_id, source.tenant_column)
            exports = _export(copy, source, folder, contents.catalog)
        partial.rename(path)
        checks = [*contents.checks, *_export_checks(exports, contents.tables)]
        return Snapshot(
            kind=KIND,
            id=chosen,
            folder=folder,
            created_at=timestamp(now),
            subject=source.subject,
            files=(seal(path, "database"), *exports),
            tables=contents.tables,
            checks=tuple(checks),
            findings=contents.findings,
            details={**copied, **contents.details},
            environment={"sqlite_version": sqlite3.sqlite_version},
        )

    return create(dest, chosen, needed, fill, disk_usage)


def _export(
    copy: sqlite3.Connection, source: SqliteSource, folder: pathlib.Path, catalog: Catalog
) -> tuple[BackupFile, ...]:
    """Write the exports, from the copy: they show the same instant as it does."""
    if not catalog.tables:
        return ()
    files = []
    for table in check_exportable(catalog.tables, source.export_tables, source.source_id, source.tenant_column):
        path = folder / (urllib.parse.quote(table.name, safe=" ") + ".jsonl")
        rows = export_table(copy, table, path, source.source_id, source.tenant_column)
        files.append(seal(path, "export", table.name, rows))
    return tuple(files)


def _export_checks(exports: t.Iterable[BackupFile], tables: t.Iterable[TableCount]) -> list[Check]:
    counted = {table.name: table.rows if table.profile_rows is None else table.profile_rows for table in tables}
    return [compare(f"export of {file.table}", counted[str(file.table)], file.rows) for file in exports]


def verify(snapshot: Snapshot) -> list[Check]:
    """Check an existing snapshot of SQLite again: digests, integrity, row counts, and lines of the exports."""
    checks = verify_files(snapshot)
    if any(check.verdict != PASSED for check in checks):
        return checks
    uri = f"file:{urllib.parse.quote(str(snapshot.path))}?mode=ro&immutable=1"  # leaves no file beside the copy
    with contextlib.closing(sqlite3.connect(uri, uri=True)) as copy:
        copy.text_factory = decode_text
        checks.append(integrity_check(copy))
        try:
            observed, _profiles = count_rows_by_table(copy, read_catalog(copy), None, None)
        except sqlite3.DatabaseError as error:
            return [*checks, Check("row_counts", FAILED, message=str(error))]
    expected = {table.name: table.rows for table in snapshot.tables}
    checks.append(compare("row_counts", expected, {table.name: table.rows for table in observed}))
    checks += [
        compare(f"rows of {file.name}", file.rows, count_rows(snapshot.folder / file.name)) for file in snapshot.exports
    ]
    return checks
