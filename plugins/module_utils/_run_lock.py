# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""The lock of a profile: one run at a time works on it, and a second one is told who does."""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import json
import os
import pathlib
import tempfile
import typing as t

from ._errors import LedgerError, LockHeld

FILE_NAME = "lock.json"
_IDENTITY = ("host", "boot_id", "pid_namespace", "pid", "started")


@dataclasses.dataclass(frozen=True)
class RunLock:
    """What the lock file says: which run holds the profile, started by whom, where, since when (UTC).

    A run keeps its id when it is resumed, but not its C(attempt), which counts from 1.
    """

    run_id: str
    verb: str
    since: str
    holder: dict[str, t.Any]
    attempt: int = 1

    @property
    def name(self) -> str:
        """Return what take_over must name: another one for each attempt, so that of two only one comes through."""
        return self.run_id if self.attempt == 1 else f"{self.run_id}.{self.attempt}"

    def as_dict(self) -> dict[str, t.Any]:
        return dataclasses.asdict(self)

    def is_of(self, run_id: str, holder: t.Mapping[str, t.Any]) -> bool:
        """Whether this is the lock of that very run: same id, and not known to be another process."""
        return self.run_id == run_id and (not self.holder or not holder or same_process(self.holder, holder))


def same_process(one: t.Mapping[str, t.Any], other: t.Mapping[str, t.Any]) -> bool:
    """Whether both holders are one process: same host, boot, process id and start time, all of it known."""
    return one.get("pid") is not None and all(one.get(name) == other.get(name) for name in _IDENTITY)


@contextlib.contextmanager
def exclusive(folder: pathlib.Path) -> t.Iterator[None]:
    """Let one process at a time look at the lock and change it. Held for moments only, and freed by a crash.

    Raises:
        LedgerError: The folder cannot be opened.
    """
    try:
        handle = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise _failed(folder, error) from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def read(folder: pathlib.Path) -> RunLock | None:
    """Return the lock of the folder; None when no run holds it.

    Raises:
        LedgerError: The lock file cannot be read or understood.
    """
    path = folder / FILE_NAME
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return RunLock(**{name: content[name] for name in ("run_id", "verb", "since", "holder", "attempt")})
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise _failed(path, error) from error
    except (ValueError, KeyError, TypeError) as error:
        raise LedgerError(
            f"Lock {path} cannot be understood",
            "it was not written by this collection, or was damaged",
            f"Make sure that no run works on this profile, then remove {path}.",
        ) from error


def take(folder: pathlib.Path, lock: RunLock, instead_of: RunLock | None = None) -> None:
    """Create the lock file whole or not at all; call it inside L(exclusive).

    Args:
        folder: The profile's folder; it exists.
        lock: What the file is to say.
        instead_of: The lock of a dead run, which is replaced.

    Raises:
        LockHeld: Another run was faster.
        LedgerError: The file cannot be written.
    """
    path = folder / FILE_NAME
    try:
        handle, name = tempfile.mkstemp(prefix=f".{FILE_NAME}.", dir=folder)
        new = pathlib.Path(name)
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as stream:
                json.dump(lock.as_dict(), stream)
                stream.flush()
                os.fsync(stream.fileno())
            if instead_of is not None and read(folder) == instead_of:
                new.replace(path)
            else:
                os.link(new, path)
        finally:
            with contextlib.suppress(FileNotFoundError):
                new.unlink()
        _sync(folder)
    except FileExistsError as error:
        found = read(folder)
        if found is None:
            raise _failed(path, error) from error
        raise held(folder, found) from error
    except OSError as error:
        raise _failed(path, error) from error


def release(folder: pathlib.Path, lock: RunLock) -> None:
    """Remove the lock, if it still says what C(lock) says; call it inside L(exclusive).

    Raises:
        LedgerError: It belongs to another run by now, or cannot be removed.
    """
    path = folder / FILE_NAME
    if read(folder) != lock:
        raise LedgerError(f"Lock {path} was not released", f"it does not belong to run {lock.run_id} any more")
    try:
        path.unlink()
        _sync(folder)
    except OSError as error:
        raise _failed(path, error) from error


def held(folder: pathlib.Path, lock: RunLock, wrong_take_over: str = "") -> LockHeld:
    """Return the error that names the holder and both ways out."""
    holder = lock.holder
    who = f"{holder.get('user') or 'an unknown user'} on {holder.get('host') or 'an unknown host'}"
    if holder.get("pid") is not None:
        who += f" (process {holder['pid']})"
    why = f"{lock.verb} of {who} has held it since {lock.since}, run_id {lock.name}"
    if wrong_take_over:
        why += f"; take_over named {wrong_take_over}, which is not that one"
    return LockHeld(
        f"Another run works on profile {folder.name}",
        why,
        "Wait until it has ended, or, once you are sure that it is dead, take its place: "
        f"-e cutover_take_over={lock.name}",
        lock=str(folder / FILE_NAME),
        holder=dict(holder),
        run_id=lock.run_id,
        take_over=lock.name,
        verb=lock.verb,
        since=lock.since,
    )


def _sync(folder: pathlib.Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _failed(path: pathlib.Path, error: OSError) -> LedgerError:
    return LedgerError(
        f"Lock {path} cannot be used",
        error.strerror or str(error),
        "Run this as a user who may write there (become: true); state_dir names another place.",
    )
