# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Open the application's SQLite file for writing, beside the application and without getting into its way."""

from __future__ import annotations

import os
import pathlib
import sqlite3
import typing as t
import urllib.parse

from . import _value_kinds
from ._sqlite_store import open_readonly, sqlite_errors

if t.TYPE_CHECKING:
    from contextlib import AbstractContextManager


def open_writable(path: str | pathlib.Path, busy_timeout_ms: int) -> sqlite3.Connection:
    """Open a database file for reading and writing; one that does not exist is never created.

    Nothing is opened implicitly (C(isolation_level) is None), foreign keys are not enforced, so that rows can be
    written in any order, and what is committed is on the disk. Text is returned as its octets, and the functions of
    L(_value_kinds) are there.

    Args:
        path: The database file.
        busy_timeout_ms: How long to wait for a lock, in milliseconds.

    Raises:
        SqliteError: The file is missing, is not a database, is truncated, or cannot be read.
    """
    file = pathlib.Path(path)
    open_readonly(file, busy_timeout_ms / 1000).close()  # says what is wrong with a file that is no database
    uri = f"file://{urllib.parse.quote(os.fsencode(file.absolute()))}?mode=rw"
    with sqlite_errors(file):
        connection = sqlite3.connect(uri, uri=True, timeout=busy_timeout_ms / 1000, isolation_level=None)
        try:
            connection.execute("PRAGMA foreign_keys = OFF")
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        except sqlite3.Error:
            connection.close()
            raise
    _value_kinds.prepare(connection)
    return connection


def begin_writing(connection: sqlite3.Connection) -> None:
    """Take the write lock of the file; whoever writes waits until it is given back.

    Raises:
        SqliteError: Another writer did not finish in time (C(locked) is among its facts).
    """
    with writing(connection, "taking its write lock"):
        connection.execute("BEGIN IMMEDIATE")


def writing(connection: sqlite3.Connection, doing: str) -> AbstractContextManager[None]:
    """Return L(_sqlite_store.sqlite_errors) for the file behind a connection that may be in use by others."""
    path = connection.execute("PRAGMA database_list").fetchone()[2]
    return sqlite_errors(path.decode() if isinstance(path, bytes) else path, doing)
