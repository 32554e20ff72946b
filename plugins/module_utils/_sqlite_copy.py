# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Copy the pages of a live SQLite file with SQLite's own backup API (https://www.sqlite.org/backup.html)."""

from __future__ import annotations

import contextlib
import errno
import os
import pathlib
import sqlite3
import time
import typing as t

from ._backup_folder import DiskUsage, writing_errors
from ._errors import BackupError
from ._jsonl_export import decode_text
from ._sqlite_contents import pragma
from ._sqlite_store import open_readonly, sqlite_errors

_STEP_PAGES = 1024
_RETRY_S = 0.05
_MAX_RESTARTS = 5
_BUSY, _LOCKED = 5, 6  # https://www.sqlite.org/rescode.html; sqlite3 names them only since Python 3.11

Progress = t.Callable[[int, int], None]  # pages copied so far, pages in all


@contextlib.contextmanager
def writing_copy(
    partial: pathlib.Path, dest: str | os.PathLike[str], needed: int, disk_usage: DiskUsage
) -> t.Iterator[sqlite3.Connection]:
    """Open the file that becomes the copy; a full disk and a damaged copy are L(BackupError)."""
    copy = sqlite3.connect(str(partial), isolation_level=None)
    copy.text_factory = decode_text
    try:
        copy.execute("PRAGMA synchronous = OFF")  # seal() makes the finished file durable, once
        yield copy
    except sqlite3.OperationalError as error:
        if "full" in str(error):
            with writing_errors(dest, needed, disk_usage):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(partial)) from error
        raise BackupError(f"Backup file {partial} could not be written", str(error)) from error
    except sqlite3.DatabaseError as error:
        raise BackupError(
            f"The copy in {partial} is damaged",
            str(error),
            "Check the source with PRAGMA integrity_check, and the disk.",
        ) from error
    finally:
        copy.close()


class _Restarted(Exception):
    pass


class _Watch:
    """Follows one copy: gives up when a lock outlasts the timeout, or when writes keep starting it over."""

    def __init__(self, timeout_s: float, progress: Progress | None) -> None:
        self.restarts = 0
        self._timeout_s = timeout_s
        self._progress = progress
        self._blocked_since: float | None = None
        self._remaining: int | None = None

    def __call__(self, status: int, remaining: int, total: int) -> None:
        if status in (_BUSY, _LOCKED):
            self._blocked_since = self._blocked_since or time.monotonic()
            if time.monotonic() - self._blocked_since >= self._timeout_s:
                raise sqlite3.OperationalError("database is locked")
            return
        self._blocked_since = None
        if self._remaining is not None and remaining >= self._remaining > 0:
            self.restarts += 1
            if self.restarts > _MAX_RESTARTS:
                raise _Restarted
        self._remaining = remaining
        if self._progress:
            self._progress(total - remaining, total)


def copy_pages(
    path: pathlib.Path, copy: sqlite3.Connection, timeout_s: float, progress: Progress | None = None
) -> dict[str, t.Any]:
    """Copy every page of a live file, as of one instant, and return what is worth knowing about the file.

    Args:
        path: The live SQLite file.
        copy: Where to, from L(writing_copy).
        timeout_s: How long to wait for another process's lock, in seconds.
        progress: Called after each step.

    Raises:
        SqliteError: The source is locked or damaged. Errors of the copy are left to L(writing_copy).
    """
    with contextlib.closing(open_readonly(path, timeout_s)) as live:
        with sqlite_errors(path):
            journal_mode = str(pragma(live, "journal_mode"))
            if journal_mode == "wal":
                # A reader's view of the WAL: writers go on, and their commits do not start the copy over.
                live.execute("BEGIN")
                live.execute("SELECT count(*) FROM sqlite_master").fetchone()
        watch = _Watch(timeout_s, progress)
        try:
            _backup(path, live, copy, _STEP_PAGES, watch)
        except _Restarted:
            # Without a WAL every commit starts a stepwise copy over. In one step it holds the read lock all
            # the time: writers wait on their busy timeout, once, for as long as reading the file takes.
            _backup(path, live, copy, -1, _Watch(timeout_s, progress))
    stat = path.stat()
    return {
        "source_bytes": stat.st_size,
        "source_inode": stat.st_ino,
        "journal_mode": journal_mode,
        "restarts": watch.restarts,
    }


def _backup(path: pathlib.Path, live: sqlite3.Connection, copy: sqlite3.Connection, pages: int, watch: _Watch) -> None:
    try:
        live.backup(copy, pages=pages, progress=watch, sleep=_RETRY_S)
    except sqlite3.OperationalError as error:
        if "full" in str(error):
            raise
        with sqlite_errors(path, "copying it"):
            raise
    except sqlite3.DatabaseError:
        with sqlite_errors(path, "copying it"):
            raise
