# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""All requests of a span of time, or since a place, in logs of any size: parts of them counted side by side.

No part holds more than a few chunks in memory, and what comes back from it is a tally.
"""

from __future__ import annotations

import contextlib
import dataclasses
import typing as t

from ._log_files import Place, Span, before, open_rotated, resume
from ._log_lines import Counting, Window, complete_lines, first_line
from ._open_log import OpenLog
from ._request_tally import RequestTally
from ._workers import Workers, available_cores

if t.TYPE_CHECKING:
    from ._request_line import Parser

# So much of a log is one part; less than that altogether is not worth a process.
PART = 1 << 24
_MOST_WORKERS = 4
_NAMED = 5
# A log's time of change and the times in it come from one clock, read a little apart.
_SLACK_S = 60


@dataclasses.dataclass
class LogFigures:
    """What was found.

    Attributes:
        tally: The figures.
        malformed_lines: The first few lines that were none of the format: file, number (None when lines before it were
            not counted) and what is wrong with them.
        files: Each file that was read, with how many lines.
        position: Where to go on, by path of the log.
        gaps: The paths of logs of which lines since the position are missing.
    """

    tally: RequestTally = dataclasses.field(default_factory=RequestTally)
    malformed_lines: list[dict[str, t.Any]] = dataclasses.field(default_factory=list)
    files: list[dict[str, t.Any]] = dataclasses.field(default_factory=list)
    position: dict[str, dict[str, t.Any]] = dataclasses.field(default_factory=dict)
    gaps: list[str] = dataclasses.field(default_factory=list)


class _Source(t.NamedTuple):
    """A span of a log, with the path whose position it is (None for what rotation made of it)."""

    span: Span
    path: str | None


class _Part(t.NamedTuple):
    """A part of a source: the lines that begin from C(start) on, and before C(end)."""

    source: int
    start: int
    end: int | None


class _Counted(t.NamedTuple):
    """What a part came to; C(behind) is where its last line ends, None without one."""

    tally: RequestTally
    lines: int
    malformed: list[tuple[int, str]]
    behind: int | None


def read_logs(
    paths: t.Sequence[str],
    parser: Parser,
    window: Window,
    *,
    position: t.Mapping[str, t.Any] | None = None,
    with_rotated: bool = True,
    workers: int | None = None,
    part: int = PART,
) -> LogFigures:
    """Count the requests in logs.

    Args:
        paths: The logs; one that two of them lead to is read once.
        parser: Reads their lines.
        window: Requests of which time.
        position: What L(LogFigures.position) said earlier: only what was written since then is read.
        with_rotated: With a window, also read as much of what rotation made of the logs as can hold its requests.
        workers: How many processes at the most; by default one for each core, and not more than four.
        part: How many octets one of them is given at a time.

    Raises:
        RequestLogError: A log is missing or cannot be read.
        BadInput: The expression of the format takes too long.
        WorkerDied: A process ended in the middle of its work.
    """
    figures = LogFigures()
    with contextlib.ExitStack() as opened:
        sources = []
        seen: set[tuple[int, int]] = set()
        for path in paths:
            place = Place.from_dict(position[path]) if position and path in position else None
            for source in _sources(path, window, place, with_rotated, figures):
                opened.callback(source.span.log.close)
                if source.span.log.identity not in seen:
                    seen.add(source.span.log.identity)
                    sources.append(source)
        parts = [cut for number, source in enumerate(sources) for cut in _parts(number, source, part)]
        counter = _Counter(sources, parser, window)
        count = min(workers or min(available_cores(), _MOST_WORKERS), len(parts))
        if count > 1:
            with Workers(count, lambda _say: counter, "log reader") as processes:
                found = processes.spread("count", parts, lambda _said: None)
        else:
            found = [counter.count(*cut) for cut in parts]
        for number, source in enumerate(sources):
            own = [counted for cut, counted in zip(parts, found) if cut.source == number]
            _put_together(figures, source, own)
    return figures


class _Counter:
    """Counts parts, in a process of its own or not; the open files are there before it is forked."""

    def __init__(self, sources: t.Sequence[_Source], parser: Parser, window: Window) -> None:
        self._sources = sources
        self._parser = parser
        self._window = window

    def count(self, number: int, start: int, end: int | None) -> _Counted:
        """Count a part."""
        source = self._sources[number]
        log = source.span.log
        counting = Counting(self._parser, RequestTally(), self._window)
        if start > source.span.start:
            start = first_line(log.read, start)
        behind = None
        for content, behind in complete_lines(log.read, start, end, finished=source.path is None):  # noqa: B007
            counting.add(content)
        return _Counted(counting.tally, counting.lines, counting.malformed, behind)


def _sources(
    path: str, window: Window, place: Place | None, with_rotated: bool, figures: LogFigures
) -> t.Iterator[_Source]:
    """Yield what is to be read of a log, the oldest first."""
    live = OpenLog(path)
    if place is not None:
        live.close()
        spans, missing = resume(path, place)
        if missing:
            figures.gaps.append(path)
    else:
        since_ns = None if window.since is None else int((window.since - _SLACK_S) * 1e9)
        older = open_rotated(path, since_ns) if with_rotated and window else []
        spans = [*(Span(log) for log in reversed(older) if log.identity != live.identity), Span(live)]
    for span in spans:
        yield _Source(span, path if span is spans[-1] else None)


def _parts(number: int, source: _Source, size: int) -> t.Iterator[_Part]:
    """Yield the parts of a source: as it is long now, for it may be written all the time."""
    span = source.span
    if span.log.packed:
        yield _Part(number, span.start, None)
        return
    length = span.log.size
    for start in range(span.start, length, size):
        yield _Part(number, start, min(start + size, length))


def _put_together(figures: LogFigures, source: _Source, found: t.Sequence[_Counted]) -> None:
    span = source.span
    lines, behind = 0, span.start
    for counted in found:
        figures.tally.merge(counted.tally)
        for number, why in counted.malformed[: _NAMED - len(figures.malformed_lines)]:
            line = None if span.line is None else span.line + lines + number
            figures.malformed_lines.append({"file": span.log.path, "line": line, "reason": why})
        lines += counted.lines
        behind = counted.behind or behind
    figures.files.append({"path": span.log.path, "lines": lines})
    if source.path is not None:
        line = None if span.line is None else span.line + lines
        figures.position[source.path] = Place.at(span.log, behind, line, before(span.log, behind)).as_dict()
