# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Complete lines out of a log that may be huge and may still grow, some at a time, and the requests in them."""

from __future__ import annotations

import dataclasses
import typing as t

from ._request_fields import Excluded, Malformed

if t.TYPE_CHECKING:
    from ._request_line import Parser
    from ._request_tally import RequestTally

# So much is read at once; with what the lines become in memory, a few times as much is held.
CHUNK = 1 << 20
# Nothing that answers requests writes longer lines, and the rest of a longer one is passed over.
LONGEST_LINE = 1 << 16
_NAMED = 5

# Reads so many octets from an offset; fewer at the end, none behind it.
Read = t.Callable[[int, int], bytes]


@dataclasses.dataclass(frozen=True)
class Window:
    """The span of time whose requests are counted, in seconds since 1970; C(until) is not in it. None is no bound."""

    since: float | None = None
    until: float | None = None

    def __bool__(self) -> bool:
        return self.since is not None or self.until is not None

    def holds(self, moment: float) -> bool:
        """Tell whether a time is in it."""
        return (self.since is None or moment >= self.since) and (self.until is None or moment < self.until)


@dataclasses.dataclass
class Counting:
    """The counting of lines into a tally.

    Attributes:
        parser: Reads a line.
        tally: Where requests are counted.
        window: Those of which time.
        lines: How many lines were read.
        malformed: The first few lines that were none of the format, with their number and what is wrong with them.
    """

    parser: Parser
    tally: RequestTally
    window: Window = Window()
    lines: int = 0
    malformed: list[tuple[int, str]] = dataclasses.field(default_factory=list)

    def add(self, content: bytes) -> None:
        """Count complete lines."""
        lines = content.decode("utf-8", "replace").split("\n")
        if lines[-1] == "":
            del lines[-1]
        request, add, window = self.parser.request, self.tally.add, self.window if self.window else None
        with self.parser.guarded():
            for number, line in enumerate(lines, self.lines + 1):
                try:
                    if len(line) > LONGEST_LINE:
                        raise Malformed(f"it is longer than {LONGEST_LINE} characters")
                    found = request(line)
                except Malformed as error:
                    if line and not line.isspace():
                        self._note(number, str(error))
                    continue
                except Excluded:
                    self.tally.excluded += 1
                    continue
                if found is None:
                    continue
                if window is not None:
                    if found[0] is None:
                        self.tally.without_time += 1
                        continue
                    if not window.holds(found[0]):
                        continue
                add(found)
        self.lines += len(lines)

    def _note(self, number: int, why: str) -> None:
        self.tally.malformed += 1
        if len(self.malformed) < _NAMED:
            self.malformed.append((number, why))


def first_line(read: Read, start: int) -> int:
    """Return where the first line begins that does not begin before an offset; behind the end when none does."""
    if start == 0:
        return 0
    at = start - 1
    while True:
        data = read(at, CHUNK)
        place = data.find(b"\n")
        if place >= 0:
            return at + place + 1
        at += len(data)
        if not data:
            return at + 1


def complete_lines(
    read: Read, start: int, end: int | None = None, *, finished: bool = False
) -> t.Iterator[tuple[bytes, int]]:
    """Yield some complete lines at a time, with the offset behind them.

    Args:
        read: Reads the log.
        start: Where a line begins.
        end: Lines that begin here or behind it are left to others; None for all.
        finished: Nothing is written to it any more: what stands behind the last line break is a line too.
    """
    at, held = start, b""
    while end is None or at < end:
        data = read(at + len(held), CHUNK)
        if not data:
            if finished and held:
                yield held, at + len(held)
            return
        held += data
        if end is not None and at + len(held) >= end:
            place = held.find(b"\n", max(0, end - 1 - at)) + 1
            if place:
                yield held[:place], at + place
                return
        cut = held.rfind(b"\n") + 1
        if cut:
            yield held[:cut], at + cut
            at, held = at + cut, held[cut:]
        elif len(held) > CHUNK:
            # Its beginning stands for all of it, and is too long itself.
            behind = first_line(read, at + len(held))
            if not read(behind - 1, 1):  # it ends with the log
                if finished:
                    yield held[: 4 * LONGEST_LINE + 1], behind - 1
                return
            yield held[: 4 * LONGEST_LINE + 1] + b"\n", behind
            at, held = behind, b""
