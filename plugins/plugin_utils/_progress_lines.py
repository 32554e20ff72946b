# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Choose and word what a person is told of the lines that module_utils/_progress.py writes. Pure."""

from __future__ import annotations

import json
import typing as t

from ansible_collections.sxops.pg_cutover.plugins.module_utils._progress import DONE, RUNNING, STARTED

Line = t.Mapping[str, t.Any]
WATCH = "watch"
_LONG = 1.0  # seconds; the end of a table that took less is told only when nothing else was for a while
_SILENCE = 5  # looks


class Choice:
    """Takes the lines as they are found, look by look, and returns those that are worth a line on the screen.

    A large table gives its beginning, its steps and its end. Small ones give a line every five looks, however many
    they are. What was over before anybody looked gives nothing.
    """

    def __init__(self) -> None:
        self._running: Line | None = None
        self._known = False  # whether a person was told that this table is running
        self._silent = 0  # looks without a line

    def of(self, text: str, last: bool = False) -> list[Line]:
        """Return the lines to show of the new ones; those of one look that nothing followed when it is the last."""
        shown: list[Line] = []
        ended: Line | None = None
        before = self._running
        for line in parse(text):
            if line["state"] != DONE:
                self._known = self._known and line["state"] != STARTED
                self._running = line
                continue
            ended = line
            if self._known or line["seconds"] >= _LONG:
                shown.append(line)
            self._running, self._known = None, False
        if last:
            return shown
        if self._running and self._is_due(self._running, new=self._running is not before):
            shown.append(self._running)
            self._known = True
        self._silent = 0 if shown else self._silent + 1
        if ended and self._silent >= _SILENCE:
            shown.append(ended)
            self._silent = 0
        return shown

    def _is_due(self, line: Line, new: bool) -> bool:
        if line["state"] == RUNNING:
            return new
        # A beginning is told when it is still the last word at the next look.
        return not new and not self._known


def parse(text: str) -> t.Iterator[Line]:
    """Yield the lines of the file; what is no such line, as a full disk may leave it, is left out."""
    for part in text.splitlines():
        try:
            line = json.loads(part)
            wording(line)
        except (ValueError, TypeError, LookupError):
            continue
        yield line


def wording(line: Line) -> str:
    """Return what is told of a line: C(load videos: 1,200,000 of 2,000,000 rows (60 %), 152,000 rows/s, 5 s left).

    A watch goes by the clock, and brings its own words.
    """
    if line["phase"] == WATCH:
        said = printable(line.get("text") or "")
        return f"{WATCH}: {said or 'over after ' + duration(line['seconds'])}"
    done, rows, counted = int(line["done"]), int(line["rows"]), line["phase"] != "index"
    rate = [f"{_three_digits(line['rows_per_s']):,} rows/s"] if done and counted and line["seconds"] >= _LONG else []
    if line["state"] == DONE:
        ended = f"{done:,} {_unit(done, counted)}" if done else "done"
        parts = [f"{ended} in {duration(line['seconds'])}", *rate]
    elif line["state"] == STARTED:
        parts = [f"{rows:,} {_unit(rows, counted)} to go" if rows else "started"]
    elif rows:
        left = line["seconds_left"]
        share = min(100 * done // rows, 100)
        parts = [f"{done:,} of {rows:,} {_unit(rows, counted)} ({share} %)", *rate]
        parts += [] if left is None else [f"{duration(left)} left"]
    else:
        parts = [f"{done:,} {_unit(done, counted)}", *rate]
    return f"{printable(line['phase'])} {printable(line['table'])}: {', '.join(parts)}"


def duration(seconds: float) -> str:
    """Return seconds as C(5 s), C(2 min 10 s) or C(1 h 5 min)."""
    if 0 < seconds < 1:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if not minutes:
        return f"{rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def printable(text: str) -> str:
    """Return the text without anything that a terminal would obey: a table may have any name."""
    return "".join(mark if mark.isprintable() else mark.encode("unicode_escape").decode() for mark in text)


def _three_digits(number: float) -> int:
    places = max(len(str(int(number))) - 3, 0)
    return round(number / 10**places) * 10**places


def _unit(number: int, counted: bool) -> str:
    if counted:
        return "row" if number == 1 else "rows"
    return "index or constraint" if number == 1 else "indexes and constraints"
