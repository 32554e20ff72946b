# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Write a snapshot into a folder of backups so that it is either whole and verified there, or not there at all.

All files are written into C(<dest>/.<id>.partial) (0700, its files 0600), made read-only and durable, the manifest
last; then the folder is renamed to C(<dest>/<id>). A failure removes it. What a killed run left behind is removed
by the next one: the writer holds a lock on its folder, so a folder without a lock holder has no writer.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import errno
import fcntl
import os
import pathlib
import re
import shutil
import typing as t

from ._errors import BackupError, BadInput, LockHeld
from ._manifest import MANIFEST, BackupFile, Snapshot, manifest_text, sha256_of
from ._verdict import PASSED, describe, open_checks, overall

SAFE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_MARGIN_BYTES = 1024 * 1024  # the manifest, a journal, the folder itself
_READ_ONLY = 0o400
DiskUsage = t.Callable[[str], t.Any]  # shutil.disk_usage, or what a test puts in its place: .free in bytes


def new_snapshot_id(now: datetime.datetime) -> str:
    """Return the id of a snapshot taken at an instant (UTC): sorts by time, unique to the microsecond."""
    return now.strftime("%Y%m%dT%H%M%S.%fZ")


def utc_now() -> datetime.datetime:
    """Return the present instant in UTC."""
    return datetime.datetime.now(datetime.timezone.utc)


def timestamp(instant: datetime.datetime) -> str:
    """Return an instant (UTC) as ISO 8601 text with microseconds and C(Z)."""
    return instant.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def check_name(name: str, option: str) -> str:
    """Return a name unchanged when it may become the name of a file or folder.

    Raises:
        BadInput: It could leave the backup folder, be hidden in it, or be too long.
    """
    if not SAFE_NAME.fullmatch(name):
        raise BadInput(
            f"{option} {name!r} is refused",
            "it names a file, so only letters, digits, '.', '_' and '-' may stand in it (at most 128, not first '.')",
        )
    return name


def check_space(dest: str | os.PathLike[str], needed_bytes: int, disk_usage: DiskUsage = shutil.disk_usage) -> None:
    """Refuse a backup for which there is no room; nothing is written to find out.

    Raises:
        BackupError: The file system of C(dest) has less free space than needed; the message has both numbers.
    """
    free = free_bytes(pathlib.Path(dest), disk_usage)
    if free is not None and free < needed_bytes + _MARGIN_BYTES:
        raise _no_space(pathlib.Path(dest), needed_bytes + _MARGIN_BYTES, free)


def free_bytes(dest: pathlib.Path, disk_usage: DiskUsage = shutil.disk_usage) -> int | None:
    """Return how many bytes are free where a folder is, or would be made; None where that cannot be told."""
    for folder in (dest, *dest.absolute().parents):
        if folder.exists():
            return int(disk_usage(str(folder)).free)
    return None


def _no_space(dest: pathlib.Path, needed: int, free: int | None) -> BackupError:
    return BackupError(
        f"No space for the backup in {dest}",
        f"it needs {needed} bytes ({mib(needed)}), free are {free} bytes ({mib(free or 0)})",
        "Make room there, or give dest a folder on a larger file system. Nothing half-written was kept.",
        needed_bytes=needed,
        free_bytes=free,
    )


def mib(count: int) -> str:
    """Return a number of bytes as people read it."""
    return f"{count / 1024 / 1024:.1f} MiB"


@contextlib.contextmanager
def writing_errors(
    dest: str | os.PathLike[str], needed_bytes: int, disk_usage: DiskUsage = shutil.disk_usage
) -> t.Iterator[None]:
    """Turn the operating system's errors into L(BackupError): a full disk with the bytes needed and free."""
    target = pathlib.Path(dest)
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise _no_space(target, needed_bytes + _MARGIN_BYTES, free_bytes(target, disk_usage)) from error
        raise BackupError(
            f"Backup in {target} could not be written",
            f"{error.filename or target}: {error.strerror or error}",
            "Check that dest is a folder that the task's user may write. Nothing was kept.",
        ) from error


def create(
    dest: str | os.PathLike[str],
    snapshot_id: str,
    needed_bytes: int,
    fill: t.Callable[[pathlib.Path], Snapshot],
    disk_usage: DiskUsage = shutil.disk_usage,
) -> Snapshot:
    """Write a new snapshot, or leave nothing behind.

    Args:
        dest: The folder of backups; made (0700) when it does not exist.
        snapshot_id: Name of the new snapshot's folder in it.
        needed_bytes: How much will be written at most, in bytes.
        fill: Writes the files into the folder it is given and describes them, each sealed by L(seal).
        disk_usage: As C(shutil.disk_usage).

    Raises:
        BackupError: No room, not writable, a snapshot of that id exists, or a check of C(fill) did not pass.
        LockHeld: Another process is writing the same snapshot.
    """
    home = pathlib.Path(dest)
    final = home / check_name(snapshot_id, "snapshot_id")
    check_space(home, needed_bytes, disk_usage)
    made_home = not home.exists()
    with writing_errors(home, needed_bytes, disk_usage):
        # Not by parents=True, which gives the folders above the mode of the umask.
        for folder in (*reversed([above for above in home.parents if not above.exists()]), home):
            folder.mkdir(mode=0o700, exist_ok=True)
        _refuse_existing(final)
        _remove_abandoned(home)
        partial = home / f".{snapshot_id}.partial"
        lock = _locked_folder(partial)
        try:
            draft = fill(partial)
            _refuse_unverified(draft)
            _write_manifest(partial, draft)
            _refuse_existing(final)
            partial.rename(final)
            _sync_folder(home)
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            if made_home:
                with contextlib.suppress(OSError):
                    home.rmdir()
            raise
        finally:
            os.close(lock)
    return dataclasses.replace(draft, folder=final)


def _refuse_existing(final: pathlib.Path) -> None:
    if final.exists() or final.is_symlink():
        raise BackupError(
            f"Snapshot {final} cannot be taken",
            "that folder exists already" + ("" if (final / MANIFEST).exists() else " and is not a snapshot of ours"),
            "Nothing in it was touched. Choose another snapshot_id, or leave it out.",
        )


def _refuse_unverified(draft: Snapshot) -> None:
    if overall(draft.checks) != PASSED:
        raise BackupError(
            f"Snapshot {draft.id} did not verify and was not kept",
            describe(open_checks(draft.checks)),
            "Older backups are untouched. Find out what damages the store or the disk before going on.",
            checks=[check.as_dict() for check in draft.checks],
            verdict=overall(draft.checks),
        )


def _locked_folder(folder: pathlib.Path) -> int:
    folder.mkdir(mode=0o700, exist_ok=True)
    handle = _try_lock(folder)
    if handle is None:
        raise LockHeld(
            f"Snapshot {folder} is being written",
            "another process holds the lock on that folder",
            f"See who it is (fuser {folder}), wait until it has ended, then run the same command again.",
        )
    return handle


def _try_lock(folder: pathlib.Path) -> int | None:
    try:
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(handle), folder.stat()):
            return handle
    except (BlockingIOError, FileNotFoundError):
        pass  # another process holds it, or has just removed it
    os.close(handle)
    return None


def _remove_abandoned(home: pathlib.Path) -> None:
    for folder in home.glob(".*.partial"):
        if not SAFE_NAME.fullmatch(folder.name[1:-8]) or folder.is_symlink() or not folder.is_dir():
            continue
        handle = _try_lock(folder)
        if handle is not None:
            try:
                shutil.rmtree(folder)
            finally:
                os.close(handle)


def private_file(path: str | os.PathLike[str]) -> int:
    """Return a handle of a new, empty file that only its owner may read and write (0600)."""
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)


def seal(path: pathlib.Path, purpose: str, table: str | None = None, rows: int | None = None) -> BackupFile:
    """Make a finished file durable and read-only (0400), and return its entry for the manifest."""
    with path.open("rb") as stream:
        os.fsync(stream.fileno())
    path.chmod(_READ_ONLY)
    return BackupFile(path.name, purpose, sha256_of(path), path.stat().st_size, table, rows)


def _write_manifest(folder: pathlib.Path, snapshot: Snapshot) -> None:
    partial = folder / f"{MANIFEST}.partial"
    with os.fdopen(private_file(partial), "w", encoding="utf-8") as stream:
        stream.write(manifest_text(snapshot))
        stream.flush()
        os.fsync(stream.fileno())
    partial.chmod(_READ_ONLY)
    partial.rename(folder / MANIFEST)
    _sync_folder(folder)


def _sync_folder(folder: pathlib.Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
