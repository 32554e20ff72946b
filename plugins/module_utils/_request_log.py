# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""A request log that is read again and again while it is written, as a watch does."""

from __future__ import annotations

import typing as t

from ._log_files import Place, Span, before, open_rotated, resume
from ._log_lines import CHUNK, Counting, complete_lines
from ._open_log import OpenLog, RequestLogError, identity_of

if t.TYPE_CHECKING:
    from ._request_line import Parser
    from ._request_tally import RequestTally


class LogFile:
    """What is new in a log, each time it is asked.

    It may be renamed, removed, made again, cut to nothing or be another file behind a link: nothing that can still be
    found is missed or counted twice, and no line before it is complete. It need not exist yet.

    Args:
        path: The log.
        parser: Reads its lines.
        position: Where an earlier one stopped (L(position)); then O(start) does not matter.
        start: Begin at its first line. Otherwise only what is written from now on counts.

    Attributes:
        gaps: How often lines may be missing: what was written between two readings could not be found any more.
    """

    def __init__(
        self, path: str, parser: Parser, position: t.Mapping[str, t.Any] | None = None, *, start: bool = False
    ) -> None:
        self.path = path
        self.gaps = 0
        self._parser = parser
        self._waiting: list[Span] = []
        self._former: _Reading | None = None
        self._reading: _Reading | None = None
        if position:
            self._waiting, missing = resume(path, Place.from_dict(position))
            self.gaps += missing
            if self._waiting:
                self._reading = _Reading(self._waiting.pop())
        elif identity_of(path) is not None:
            self._reading = _Reading(Span(OpenLog(path)))
            if not start:
                self._reading.to_end()

    @property
    def exists(self) -> bool:
        """Whether there is such a file now."""
        return identity_of(self.path) is not None

    @property
    def position(self) -> dict[str, t.Any] | None:
        """Where reading goes on, for another one of these; None while there has been no file."""
        return self._reading.place().as_dict() if self._reading else None

    def read_new(self, tally: RequestTally) -> None:
        """Count the requests of all lines that were completed since the last call.

        Raises:
            RequestLogError: A file cannot be read.
            BadInput: The expression of the format takes too long.
        """
        counting = Counting(self._parser, tally)
        while self._waiting:
            _Reading(self._waiting.pop(0)).finish(counting)
        if self._former:  # who wrote it may have kept it open for a while
            self._former.read(counting)
        if self._reading:
            self._read_on(self._reading, counting)
        now = identity_of(self.path)
        if now is not None and (self._reading is None or now != self._reading.log.identity):
            self._follow(counting)

    def close(self) -> None:
        """Close all files. Again, nothing happens."""
        for reading in (self._former, self._reading):
            if reading:
                reading.log.close()
        for span in self._waiting:
            span.log.close()

    def __enter__(self) -> LogFile:
        return self

    def __exit__(self, *_failure: object) -> None:
        self.close()

    def _read_on(self, reading: _Reading, counting: Counting) -> None:
        """Read on in the same file, or from its start when it was cut, after what a copy of it still holds."""
        if not reading.place_holds():
            place = reading.place()
            others = open_rotated(self.path)
            copies = [log for log in others if log.identity != reading.log.identity and place.is_in(log)]
            if copies:
                _Reading(Span(copies[0], place.offset)).finish(counting)
            else:
                self.gaps += 1
            for log in others:
                log.close()
            reading.restart()
        reading.read(counting)

    def _follow(self, counting: Counting) -> None:
        """Go on in the file that the path leads to now, after those that came and went in between."""
        try:
            log = OpenLog(self.path)
        except RequestLogError:
            if identity_of(self.path) is None:  # removed again at this instant
                return
            raise
        if self._reading:
            self._reading.read(counting)
            place = self._reading.place()
            known = (log.identity, self._reading.log.identity)
            for other in reversed(open_rotated(self.path, self._reading.log.changed_ns)):
                if other.identity in known or place.is_in(other):
                    other.close()
                else:
                    _Reading(Span(other)).finish(counting)
            if self._former:
                self._former.log.close()
            self._former = self._reading
        self._reading = _Reading(Span(log))
        self._reading.read(counting)


class _Reading:
    """An open log with the place up to which it was read."""

    def __init__(self, span: Span) -> None:
        self.log = span.log
        self._offset = span.start
        self._line = span.line
        self._before = before(span.log, span.start)

    def place(self) -> Place:
        return Place.at(self.log, self._offset, self._line, self._before)

    def place_holds(self) -> bool:
        """Tell whether what was read is still there, so that the offset means what it meant."""
        return before(self.log, self._offset) == self._before

    def restart(self) -> None:
        self._offset, self._line, self._before = 0, 0, b""

    def to_end(self) -> None:
        """Pass over all complete lines."""
        size = at = self.log.size
        while at > 0:
            start = max(0, at - CHUNK)
            place = self.log.read(start, at - start).rfind(b"\n")
            if place >= 0:
                at = start + place + 1
                break
            at = start
        self._offset, self._line = at, None if size else 0
        self._before = before(self.log, at)

    def read(self, counting: Counting, finished: bool = False) -> None:
        for content, offset in complete_lines(self.log.read, self._offset, finished=finished):
            lines = counting.lines
            counting.add(content)
            self._offset = offset
            if self._line is not None:
                self._line += counting.lines - lines
            self._before = before(self.log, offset)

    def finish(self, counting: Counting) -> None:
        """Read what nothing is written to any more, and close it."""
        try:
            self.read(counting, finished=True)
        finally:
            self.log.close()
