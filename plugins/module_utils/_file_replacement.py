# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Replace a file by a new version of itself in one step: whoever opens it finds the old one or the new one, whole."""

from __future__ import annotations

import contextlib
import os
import pathlib
import stat
import tempfile


class ChangedMeanwhile(Exception):
    """The file is no longer what the new version was made from; nothing was written."""


def replace_file(target: pathlib.Path, before: bytes, after: bytes) -> None:
    """Put C(after) in the place of a file that holds C(before), and have both name and content on the disk.

    Mode, owner and, where the file system allows, extended attributes (ACLs, SELinux) are kept.

    Args:
        target: The file itself, not a link to it.

    Raises:
        ChangedMeanwhile: It holds something else by now.
        OSError: It could not be written; it is as it was.
    """
    status = target.stat()
    handle, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".new", dir=target.parent)
    new = pathlib.Path(name)
    try:
        os.fchown(handle, status.st_uid, status.st_gid)
        os.fchmod(handle, stat.S_IMODE(status.st_mode))
        _copy_attributes(target, new)
        write_through(handle, after)
        if os.path.realpath(target) != str(target) or target.read_bytes() != before:
            raise ChangedMeanwhile
        new.replace(target)
    except BaseException:
        new.unlink()
        raise
    folder = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def write_through(handle: int, content: bytes) -> None:
    """Write to an open file descriptor, wait until the disk has it, and close it."""
    with os.fdopen(handle, "wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())


def _copy_attributes(source: pathlib.Path, new: pathlib.Path) -> None:
    with contextlib.suppress(OSError, AttributeError):  # a file system, or a system, without them
        for name in os.listxattr(source):
            with contextlib.suppress(OSError):
                os.setxattr(new, name, os.getxattr(source, name))
