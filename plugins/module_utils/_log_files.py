# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""What rotation made of a log, and where a place in it that was noted earlier is found again.

A place is remembered by the file, the offset and a digest of what stands before it: an offset alone would be taken for
one in another file, or in the same one that was cut and has grown again.
"""

from __future__ import annotations

import hashlib
import pathlib
import re
import stat
import typing as t

from ._open_log import OpenLog, RequestLogError, identity_of

# As logrotate and Python's handlers name them, by number or by date.
_ROTATED = re.compile(r"(?:\.\d{1,5}|[.-]\d{4}-?\d\d-?\d\d(?:[-_.T]?\d[\d-]*)?)(?P<packed>\.gz|\.bz2|\.xz)?", re.ASCII)
_NUMBER = re.compile(r"\.(\d{1,5})(?!\d)", re.ASCII)
_BEFORE = 1024
_TRIES = 20


class Place(t.NamedTuple):
    """A place in a log, where a line begins.

    C(line) is how many lines stand before it, None when nobody counted. C(before) is the digest of what does.
    """

    device: int
    inode: int
    offset: int
    line: int | None
    before: str

    @classmethod
    def at(cls, log: OpenLog, offset: int, line: int | None, before: bytes) -> Place:
        """Return the place at an offset of a log, with what L(before) read there."""
        return cls(*log.identity, offset, line, hashlib.sha256(before).hexdigest())

    @classmethod
    def from_dict(cls, given: t.Mapping[str, t.Any]) -> Place:
        """Return the place that L(as_dict) wrote.

        Raises:
            RequestLogError: It is none.
        """
        try:
            line = None if given.get("line") is None else int(given["line"])
            place = cls(int(given["device"]), int(given["inode"]), int(given["offset"]), line, str(given["before"]))
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise _no_place(f"{type(error).__name__}: {error}") from error
        if place.offset < 0:
            raise _no_place(f"its offset is {place.offset}")
        return place

    def as_dict(self) -> dict[str, t.Any]:
        """Return it as results hold it."""
        return self._asdict()

    def is_in(self, log: OpenLog) -> bool:
        """Tell whether a log is the one, or a copy of the one, that this place is in."""
        if self.offset == 0:
            return log.identity == (self.device, self.inode)
        content = before(log, self.offset)
        return len(content) == min(self.offset, _BEFORE) and hashlib.sha256(content).hexdigest() == self.before


class Span(t.NamedTuple):
    """What is to be read of a log: from where a line begins, to the end. C(line) is how many lines stand before."""

    log: OpenLog
    start: int = 0
    line: int | None = 0


def before(log: OpenLog, offset: int) -> bytes:
    """Return what stands right before an offset, by which the place is known again."""
    start = max(0, offset - _BEFORE)
    return log.read(start, offset - start)


def open_rotated(path: str, changed_since_ns: int | None = None) -> list[OpenLog]:
    """Return what rotation made of a log, open, the latest first; whoever asks closes them.

    Args:
        path: The log.
        changed_since_ns: Leave out what was last written before this time, in nanoseconds since 1970.

    Raises:
        RequestLogError: One of them cannot be read.
    """
    for _try in range(_TRIES):
        opened: list[OpenLog] = []
        listed = _rotated(path, changed_since_ns)
        for name, identity in listed:
            try:
                opened.append(OpenLog(name))
            except RequestLogError:
                if identity_of(name) is not None:
                    _close(opened)
                    raise
                break
            if opened[-1].identity != identity:
                break
        else:
            if _rotated(path, changed_since_ns) == listed:
                return opened
        _close(opened)  # they are being renamed just now, and one of them may be there twice or not at all
    raise RequestLogError(f"What rotation made of {path} changes faster than it can be opened")


def _rotated(path: str, changed_since_ns: int | None) -> list[tuple[str, tuple[int, int]]]:
    log = pathlib.Path(path)
    try:
        siblings = {file.name: file for file in log.parent.iterdir() if file.name.startswith(log.name)}
    except OSError:
        return []
    found = []
    for name, file in siblings.items():
        match = _ROTATED.fullmatch(name[len(log.name) :])
        if not match or (match["packed"] and name[: -len(match["packed"])] in siblings):  # it is being packed just now
            continue
        try:
            status = file.stat()
        except OSError:
            continue
        if stat.S_ISREG(status.st_mode) and (changed_since_ns is None or status.st_mtime_ns >= changed_since_ns):
            number = _NUMBER.match(name[len(log.name) :])
            order = (-status.st_mtime_ns, int(number[1]) if number else 0)
            found.append((order, str(file), (status.st_dev, status.st_ino)))
    return [(name, identity) for _order, name, identity in sorted(found)]


def _close(logs: t.Iterable[OpenLog]) -> None:
    for log in logs:
        log.close()


def resume(path: str, place: Place) -> tuple[list[Span], bool]:
    """Return what was written since a place was noted, the oldest first, and whether lines of it are missing.

    The last span is that of the log itself, where it exists.
    """
    live = OpenLog(path) if identity_of(path) is not None else None
    spans = [] if live is None else [Span(live)]
    if live is not None and place.is_in(live):
        return [Span(live, place.offset, place.line)], False
    others = [log for log in open_rotated(path) if live is None or log.identity != live.identity]
    for number, log in enumerate(others):
        if place.is_in(log):
            _close(others[number + 1 :])
            return [
                Span(log, place.offset, place.line),
                *(Span(newer) for newer in others[:number][::-1]),
                *spans,
            ], False
    _close(others)
    return spans, True


def _no_place(why: str) -> RequestLogError:
    return RequestLogError(
        "This is not a position in a request log", why, "Give the position that an earlier call returned, as it is."
    )
