# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""The SHA-256 of the snapshot that is being loaded, made by a process of its own while others look at its rows.

Of its own, because a process that closes a plain file drops all locks that its SQLite connections hold on it.
"""

from __future__ import annotations

import contextlib
import typing as t

from ._errors import BackupError, CutoverError, SqliteError
from ._manifest import sha256_of
from ._workers import Workers


class _Hasher:
    def __init__(self, _say: t.Callable[[t.Any], None]) -> None:
        pass

    def check(self, path: str, expected: str | None) -> str:
        return check_digest(path, expected, "Nothing was loaded. Take a new snapshot and run the same command again.")


def check_digest(path: str, expected: str | None, remedy: str) -> str:
    """Return the SHA-256 of a snapshot that this process has not open as a database.

    Args:
        path: The file.
        expected: What its manifest says, None where there is none.
        remedy: What to say when it is another one.

    Raises:
        BackupError: It is not the snapshot it is said to be.
        SqliteError: It cannot be read.
    """
    try:
        found = sha256_of(path)
    except OSError as error:
        raise SqliteError(f"SQLite file {path} cannot be read", error.strerror or str(error)) from error
    if expected and found != expected:
        raise BackupError(
            f"Snapshot {path} is not the one that was verified",
            f"its SHA-256 is {found}, its manifest says {expected}",
            remedy,
        )
    return found


@contextlib.contextmanager
def hashing(path: str, expected: str | None) -> t.Iterator[t.Callable[[], str]]:
    """Hash the file meanwhile; no store may be open yet.

    A failure within comes second to that of the digest: another file than the verified one explains it.

    Args:
        path: The file.
        expected: What its manifest says, None where there is none.

    Yields:
        What waits for the digest and returns it, to be called once, before anything is written.

    Raises:
        BackupError: The file is not the snapshot it is said to be.
        SqliteError: It cannot be read.
        WorkerDied: The process is gone.
    """
    process = Workers(1, _Hasher, "digest")
    process.begin("check", path, expected)
    asked = False

    def digest() -> str:
        nonlocal asked
        asked = True
        try:
            return str(process.answers()[0])
        finally:
            process.close(patience=0)

    try:
        yield digest
    except CutoverError:
        if expected and not asked:
            digest()
        raise
    finally:
        process.close(patience=0)  # it holds nothing, and may have much left to read
