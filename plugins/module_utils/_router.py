# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Turn the route of one profile in HAProxy: one line of a map, in the running process and in the file it starts with.

The file is written first, the process told after that, so a file that cannot be written stops it before any traffic
moves; when the process cannot be told, the file is given its old content again. A crash in between leaves the process
sending the profile where it did; a restart of HAProxy then, or running this again, sends it where the file says. The
process asks its map once per request, and so never sends one request to both.
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import fcntl
import os
import pathlib
import re
import time
import typing as t

from ._errors import BadInput, RouterError
from ._file_replacement import ChangedMeanwhile, replace_file
from ._router_map import values_of, with_value
from ._router_socket import RuntimeSocket, runtime_socket

# What would have a meaning of its own in a command: white space, quotes, a backslash, a semicolon, and a # in front,
# which refers to an entry by its number.
_KEY = re.compile(r"[A-Za-z0-9._~/:@%+=,-][A-Za-z0-9._~/:@%+=,#-]*\Z")
_BACKEND = re.compile(r"[A-Za-z0-9._:-]+\Z")
_MAP = re.compile(r"/[^\s;\\\"'#<]+\Z")
_DOWN = ("DOWN", "MAINT", "STOP")


@dataclasses.dataclass(frozen=True)
class Route:
    """Where a profile shall be sent.

    Attributes:
        socket: HAProxy's runtime socket: a path, or V(host:port) on this machine.
        map: The map file, as HAProxy's configuration names it.
        key: What stands for the profile in the map, for example its source_id.
        value: The name of the backend.
        timeout_s: How long HAProxy may take to answer one command.
    """

    socket: str
    map: str
    key: str
    value: str
    timeout_s: float = 2.0


@dataclasses.dataclass(frozen=True)
class Seen:
    """Where a profile is sent now.

    Attributes:
        runtime: The value that the running process has, None without an entry.
        file: The value that the file has, None without a line.
        backend: The status of the backend that the route names, for example V(UP) or V(DOWN), None without such one.
    """

    runtime: str | None
    file: str | None
    backend: str | None = None


def look(route: Route) -> Seen:
    """Return where the profile is sent now.

    Raises:
        BadInput: The route cannot be used as it is written.
        RouterError: HAProxy cannot be asked or does not know the map, or the map file cannot be read.
    """
    process = _process(route)
    runtime = process.entries(route.map, route.key)
    file = values_of(_read(route)[1], route.key)
    return Seen(runtime[0] if runtime else None, file[0] if file else None, process.backends().get(route.value))


def require_turnable(route: Route) -> Seen:
    """Return where the profile is sent now, having made sure that it could be turned; nothing is written.

    Raises:
        BadInput: The route cannot be used as it is written.
        RouterError: What L(turn) would stop at: HAProxy cannot be asked, does not know map or backend or has no server
            for it, or the map file cannot be replaced.
    """
    seen = look(route)
    _require_backend(_process(route), route)
    try:
        os.close(os.open(route.map, os.O_WRONLY | os.O_CLOEXEC))  # fails for root too on a read-only mount
        folder = pathlib.Path(os.path.realpath(route.map)).parent
        if not os.access(folder, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(folder))
    except OSError as error:
        raise _unwritable(route, error) from error
    return seen


def turn(route: Route) -> bool:
    """Send the profile to the backend of the route, from the next request on and after every restart of HAProxy.

    Returns:
        Whether anything had to be changed, in the process or in the file.

    Raises:
        BadInput: The route cannot be used as it is written.
        RouterError: As in L(require_turnable), or HAProxy refused the change.
    """
    process = _process(route)
    wrong = set(process.entries(route.map, route.key)) != {route.value}
    _require_backend(process, route)
    written = _write(route)
    if wrong:
        try:
            _tell(process, route)
        except RouterError as error:
            kept = written is None or not _take_back(route, *written)
            state = (
                f"{route.map} says {route.value}: running this again finishes it, and so does a restart of HAProxy."
                if kept
                else f"{route.map} is as it was. Run this again."
            )
            raise RouterError(error.what, error.why, f"{error.remedy} {state}".strip()) from error
    return written is not None or wrong


def _tell(process: RuntimeSocket, route: Route) -> None:
    process.set_entry(route.map, route.key, route.value)
    found = set(process.entries(route.map, route.key))
    if found != {route.value}:
        raise RouterError(
            f"HAProxy at {route.socket} does not send {route.key} to {route.value}",
            f"told so, it still has {', '.join(sorted(found)) or 'nothing'} for it",
        )


def _process(route: Route) -> RuntimeSocket:
    for name, value, form in (("key", route.key, _KEY), ("value", route.value, _BACKEND), ("map", route.map, _MAP)):
        if not form.match(value):
            raise BadInput(
                f"route.{name} {value!r} is refused",
                "it cannot stand in a map of HAProxy and in a command to it",
                "Write the absolute path of the map file as in haproxy.cfg."
                if name == "map"
                else "Use letters, digits and ._~/:@%+=,- only (a value is the name of a backend).",
            )
    return runtime_socket(route.socket, route.timeout_s)


def _require_backend(process: RuntimeSocket, route: Route) -> None:
    backends = process.backends()
    status = backends.get(route.value)
    if status is None:
        raise RouterError(
            f"HAProxy at {route.socket} has no backend {route.value}",
            f"it has {', '.join(sorted(backends)) or 'none'}",
            f"Correct route.value, or add the backend and reload HAProxy. {_unchanged(route)}",
        )
    if status.startswith(_DOWN):
        raise RouterError(
            f"Backend {route.value} of HAProxy at {route.socket} has no server that answers",
            f"its status is {status}",
            f"Start the instance behind it, then run this again. {_unchanged(route)}",
        )


def _unchanged(route: Route) -> str:
    return f"{route.key} is sent where it was."


def _read(route: Route) -> tuple[bytes, str]:
    try:
        content = pathlib.Path(route.map).read_bytes()
    except FileNotFoundError as error:
        raise RouterError(
            f"Map file {route.map} does not exist",
            "the running HAProxy read it when it started, and could not start again without it",
            "Put it back, with a line per profile, or correct route.map.",
        ) from error
    except OSError as error:
        raise RouterError(
            f"Map file {route.map} cannot be read",
            error.strerror or str(error),
            "Run this as a user who may read and write it (become: true).",
        ) from error
    return content, content.decode("utf-8", "surrogateescape")


def _write(route: Route) -> tuple[bytes, bytes] | None:
    """Write the line into the file; return what it held before and holds now, None when nothing was to be done."""
    with _alone(route) as target:
        before, text = _read(route)
        if set(values_of(text, route.key)) == {route.value}:
            return None
        after = with_value(text, route.key, route.value).encode("utf-8", "surrogateescape")
        try:
            replace_file(target, before, after)
        except ChangedMeanwhile:
            raise RouterError(
                f"Map file {route.map} was changed by someone else while it was being edited",
                remedy=f"Find out who edits it, then run this again. {_unchanged(route)}",
            ) from None
        except OSError as error:
            raise _unwritable(route, error) from error
    return before, after


def _take_back(route: Route, before: bytes, after: bytes) -> bool:
    """Give the file its old content; return whether that could be done. Whoever called may undo the switch now."""
    try:
        with _alone(route) as target:
            replace_file(target, after, before)
    except (RouterError, ChangedMeanwhile, OSError):
        return False
    return True


@contextlib.contextmanager
def _alone(route: Route) -> t.Iterator[pathlib.Path]:
    """Keep the turns of other profiles away from the file meanwhile; the lock is on its folder and leaves no file."""
    target = pathlib.Path(os.path.realpath(route.map))
    try:
        folder = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise _unwritable(route, error) from error
    try:
        deadline = time.monotonic() + route.timeout_s
        while True:
            try:
                fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise RouterError(
                        f"Map file {route.map} is being edited by another run",
                        f"its folder was locked for more than {route.timeout_s:g} s",
                        f"Run this again. {_unchanged(route)}",
                    ) from None
                time.sleep(0.01)
        yield target
    finally:
        os.close(folder)


def _unwritable(route: Route, error: OSError) -> RouterError:
    return RouterError(
        f"Map file {route.map} could not be written",
        f"{error.strerror or error} ({error.filename or route.map})",
        "Run this as a user who may replace it and keep its owner (become: true), or lift what protects it."
        f" {_unchanged(route)}",
    )
