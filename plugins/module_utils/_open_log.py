# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""A log that is open, packed or not, and what is known of it for good: renamed or removed, it stays readable."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import pathlib
import stat
import typing as t
import zlib

from ._errors import CutoverError

_DAMAGED = (OSError, EOFError, zlib.error, lzma.LZMAError, ValueError)


class RequestLogError(CutoverError):
    """A request log is missing or cannot be read."""

    code = "request_log"


class OpenLog:
    """An open log.

    Raises:
        RequestLogError: There is none, or it cannot be read.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        try:
            # A pipe in the place of a file would keep us waiting for a writer.
            self._descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            raise RequestLogError(
                f"Cannot read the request log {path}",
                error.strerror or str(error),
                "Name the file that the application or its web server writes, readable for the user of this task.",
            ) from error
        status = os.fstat(self._descriptor)
        self.identity = (status.st_dev, status.st_ino)
        if not stat.S_ISREG(status.st_mode):
            self.close()
            raise RequestLogError(
                f"{path} is not a file", remedy="Let the application write its request log into a file, and name that."
            )
        self._unpacked = _unpacked(path, self._descriptor)

    @property
    def packed(self) -> bool:
        """Whether it can be read only from its start on."""
        return self._unpacked is not None

    @property
    def size(self) -> int:
        """How many octets it has now on the disk."""
        return os.fstat(self._descriptor).st_size

    @property
    def changed_ns(self) -> int:
        """When it was last written, in nanoseconds since 1970."""
        return os.fstat(self._descriptor).st_mtime_ns

    def read(self, offset: int, size: int) -> bytes:
        """Read from an offset of its contents.

        Raises:
            RequestLogError: It cannot be read, or what is packed is damaged.
        """
        try:
            if self._unpacked is None:
                return os.pread(self._descriptor, size, offset)
            if self._unpacked.tell() != offset:
                self._unpacked.seek(offset)
            content: bytes = self._unpacked.read(size)
            return content
        except _DAMAGED as error:
            why = str(error) or type(error).__name__
            raise RequestLogError(f"Cannot read the request log {self.path}", why) from error

    def close(self) -> None:
        """Close it. Again, nothing happens."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def __enter__(self) -> OpenLog:
        return self

    def __exit__(self, *_failure: object) -> None:
        self.close()


def identity_of(path: str) -> tuple[int, int] | None:
    """Return which file a path leads to now, None when to none."""
    try:
        status = pathlib.Path(path).stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _unpacked(path: str, descriptor: int) -> t.Any:
    suffix = pathlib.PurePath(path).suffix
    if suffix not in (".gz", ".bz2", ".xz"):
        return None
    # Whatever unpacks it does not own the descriptor, and never closes it.
    packed = io.FileIO(descriptor, "rb", closefd=False)
    if suffix == ".gz":
        return gzip.GzipFile(fileobj=packed)
    return bz2.BZ2File(packed) if suffix == ".bz2" else lzma.LZMAFile(packed)
