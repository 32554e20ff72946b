# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Open a SQLite file without harming it, and read what it declares."""

from __future__ import annotations

import contextlib
import os
import pathlib
import re
import sqlite3
import stat
import struct
import typing as t
import urllib.parse

from ._errors import SqliteError
from ._sqlite_catalog import Catalog, Column, ForeignKey, Index, Table, read_declarations
from ._sqlite_tokens import fold, quote

__all__ = [
    "Catalog",
    "Column",
    "ForeignKey",
    "Index",
    "Table",
    "fold",
    "names_as_text",
    "open_readonly",
    "quote",
    "read_catalog",
    "reading",
    "sqlite_errors",
]

_MAGIC = b"SQLite format 3\x00"
_HEADER_BYTES = 100
_SMALLEST = 512
_LOCKED = re.compile(r"database (table |schema )?is locked")
_RESTORE = "Restore it from its newest verified backup before anything else."


def open_readonly(path: str | pathlib.Path, timeout_s: float = 5.0) -> sqlite3.Connection:
    """Open a database file for reading only: nothing is changed, the WAL is read as well, and nothing is left behind.

    The file is never opened as a plain file while SQLite has it open: closing such a handle would drop every lock
    of this process on it, those of other connections included (https://www.sqlite.org/howtocorrupt.html, 2.2).

    Args:
        path: The database file.
        timeout_s: How long to wait for a lock, in seconds.

    Raises:
        SqliteError: The file is missing, is not a database, is truncated, or cannot be read.
    """
    file = pathlib.Path(path)
    _refuse_missing(file)
    wal = file.with_name(file.name + "-wal")
    alone = not wal.exists()
    connection = _open(file, "ro", timeout_s)
    if alone and wal.exists():
        # A reader in mode=ro makes an empty WAL and may not remove it. One in mode=rw removes it when it leaves.
        with contextlib.suppress(SqliteError):
            cleaner = _open(file, "rw", timeout_s)
            connection.close()
            return cleaner
    return connection


def _open(file: pathlib.Path, mode: str, timeout_s: float) -> sqlite3.Connection:
    # Absolute, behind an empty authority: SQLite takes file://srv/x.db for the host "srv".
    uri = f"file://{urllib.parse.quote(os.fsencode(file.absolute()))}?mode={mode}"
    with sqlite_errors(file):
        connection = sqlite3.connect(uri, uri=True, timeout=timeout_s, isolation_level=None)
        try:
            connection.execute("PRAGMA query_only = ON")
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        except sqlite3.OperationalError:
            connection.close()
            raise
        except sqlite3.DatabaseError as error:
            connection.close()
            raise _explain(file, error) from error
    return connection


def _refuse_missing(file: pathlib.Path) -> None:
    try:
        found = file.stat()
    except FileNotFoundError:
        raise SqliteError(f"SQLite file {file} does not exist", remedy="Check sqlite_path of the profile.") from None
    except OSError as error:
        raise SqliteError(f"SQLite file {file} cannot be read", error.strerror or str(error)) from error
    if not stat.S_ISREG(found.st_mode):
        raise SqliteError(f"{file} is not a SQLite database", "it is no regular file")
    if found.st_size < _SMALLEST:  # which SQLite takes for a new, empty database
        why = "it is shorter than any database" if found.st_size else "it is empty"
        raise SqliteError(f"{file} is not a SQLite database", why, "Check sqlite_path of the profile.")


def _explain(file: pathlib.Path, error: sqlite3.DatabaseError) -> SqliteError:
    """Return what is wrong with a file that SQLite has just refused, and closed, by its header."""
    try:
        with file.open("rb") as stream:
            header = stream.read(_HEADER_BYTES)
        size = file.stat().st_size
    except OSError as problem:
        return SqliteError(f"SQLite file {file} cannot be read", problem.strerror or str(problem))
    if len(header) < _HEADER_BYTES or not header.startswith(_MAGIC):
        return SqliteError(
            f"{file} is not a SQLite database",
            "its header is another one (an encrypted file looks like this too)",
            "Check sqlite_path of the profile.",
        )
    # https://www.sqlite.org/fileformat.html: page size at 16 (1 means 65536), number of pages at 28
    (page_size,) = struct.unpack(">H", header[16:18])
    (pages,) = struct.unpack(">I", header[28:32])
    expected = pages * (65536 if page_size == 1 else page_size)
    if size < expected:
        return SqliteError(
            f"SQLite file {file} is truncated",
            f"its header says {pages} pages ({expected} bytes), the file has {size} bytes",
            _RESTORE,
        )
    return SqliteError(f"SQLite file {file} cannot be used", str(error), _RESTORE)


@contextlib.contextmanager
def sqlite_errors(path: str | pathlib.Path, doing: str = "") -> t.Iterator[None]:
    """Turn errors of the sqlite3 library into L(SqliteError), saying what they mean for an operator."""
    what = f"SQLite file {path}" + (f": {doing}" if doing else "")
    try:
        yield
    except sqlite3.OperationalError as error:
        text = str(error)
        if _LOCKED.match(text):
            raise SqliteError(
                f"{what} is locked",
                f"another process holds its write lock ({text})",
                f"See who has it open (fuser {path}), let that writer finish, and run the same command again.",
                locked=True,
            ) from error
        raise SqliteError(f"{what} failed", text) from error
    except sqlite3.DataError as error:  # a value over SQLite's own limits: the file is sound
        raise SqliteError(f"{what} failed", str(error)) from error
    except sqlite3.DatabaseError as error:
        raise SqliteError(
            f"{what} cannot be used",
            str(error),
            _RESTORE,
        ) from error


def reading(connection: sqlite3.Connection, doing: str) -> contextlib.AbstractContextManager[None]:
    """Return L(sqlite_errors) for the file behind a connection."""
    path = connection.execute("PRAGMA database_list").fetchone()[2]
    return sqlite_errors(path.decode() if isinstance(path, bytes) else path, doing)


def highest_given(connection: sqlite3.Connection, table: str) -> int | None:
    """Return the highest number that AUTOINCREMENT gave to a row of a table, None where it has none.

    Raises:
        SqliteError: The file is damaged or locked.
    """
    with reading(connection, "reading the numbers given by AUTOINCREMENT"):
        if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'sqlite_sequence'").fetchone():
            return None
        (given,) = connection.execute("SELECT max(seq) FROM sqlite_sequence WHERE name = ?", (table,)).fetchone()
    return given if isinstance(given, int) else None


def read_catalog(connection: sqlite3.Connection) -> Catalog:
    """Return what the file declares, C(sqlite_*) tables of SQLite's own left out.

    Raises:
        SqliteError: The file is damaged or locked.
    """
    with reading(connection, "reading what it declares"), names_as_text(connection):
        return read_declarations(connection)


@contextlib.contextmanager
def names_as_text(connection: sqlite3.Connection) -> t.Iterator[None]:
    """Let a connection that returns octets for text return text, for what SQLite itself keeps of its names."""
    before = connection.text_factory
    connection.text_factory = str
    try:
        yield
    finally:
        connection.text_factory = before
