# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""How far long work has come, as lines of JSON in a file that somebody else reads meanwhile.

A line is an object: C(phase), C(table), C(state) (one of the three below), C(done) and C(rows) (so many of so many
rows, C(rows) 0 when that is not known), C(seconds) since the table was begun, C(rows_per_s), and C(seconds_left), null
when it cannot be told. A watch counts seconds in the place of rows, and has its words in C(text). What is not told in
time is left out; work never waits or fails for it.
"""

from __future__ import annotations

import json
import os
import time
import typing as t

STARTED, RUNNING, DONE = "started", "running", "done"
_STEPS = 20  # a line for every 5 %
_PAUSE = 1.0  # but not sooner than this many seconds after the last one
_BLIND_PAUSE = 5.0  # the same where nobody knows how many rows will come


class Progress:
    """Tells of one table after the other.

    Args:
        path: The file, which must not exist; it is made with mode 0600. Nothing is told when it is None, and nothing
            any more when it cannot be made or written.
        clock: Seconds, as from L(time.monotonic).
    """

    def __init__(self, path: str | None = None, clock: t.Callable[[], float] = time.monotonic) -> None:
        self._path = path
        self._clock = clock
        self._phase = self._table = ""
        self._rows = self._done = self._told_rows = 0
        self._begun = self._told = 0.0
        self._write(b"", os.O_CREAT | os.O_EXCL)

    def begin(self, phase: str, table: str, rows: int) -> None:
        """Begin a table.

        Args:
            phase: C(census), C(load), C(index), C(compare), C(check), C(replay) or C(watch).
            table: Its name, or that of what is made.
            rows: How many are expected (indexes and constraints, not rows, for C(index)), 0 when that is not known.
        """
        self._phase, self._table, self._rows = phase, table, rows
        self._done = self._told_rows = 0
        self._begun = self._told = self._clock()
        self._tell(STARTED)

    def advance(self, rows: int) -> None:
        """Count so many more rows as done."""
        self._done += rows
        if self._path is None or (self._done - self._told_rows) * _STEPS < self._rows:
            return
        if self._clock() - self._told >= (_PAUSE if self._rows else _BLIND_PAUSE):
            self._tell(RUNNING)

    def say(self, text: str, done: int) -> None:
        """Tell how it stands in words; who calls this says how often that is worth a line."""
        self._done = done
        self._tell(RUNNING, text)

    def end(self) -> None:
        """End the table."""
        self._tell(DONE)

    def _tell(self, state: str, text: str = "") -> None:
        if self._path is None:
            return
        self._told, self._told_rows = self._clock(), self._done
        seconds = self._told - self._begun
        rate = self._done / seconds if seconds > 0 else 0.0
        left = max(self._rows - self._done, 0) / rate if self._rows and rate and state != DONE else None
        line = {
            "phase": self._phase,
            "table": self._table,
            "state": state,
            "done": self._done,
            "rows": self._rows,
            "seconds": round(seconds, 1),
            "rows_per_s": round(rate),
            "seconds_left": left if left is None else round(left, 1),
            **({"text": text} if text else {}),
        }
        self._write(json.dumps(line).encode("ascii") + b"\n", os.O_APPEND)

    def _write(self, text: bytes, flags: int) -> None:
        # Opened for each line, so that there is nothing to close, and nothing that a forked process would share.
        if self._path is None:
            return
        try:
            handle = os.open(self._path, os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW | flags, 0o600)
            try:
                os.write(handle, text)
            finally:
                os.close(handle)
        except (OSError, ValueError):  # ValueError: a NUL in the path
            self._path = None


SILENT = Progress()


def open_progress(params: t.Mapping[str, t.Any]) -> Progress:
    """Return what tells the progress of a module, by its option C(progress_file)."""
    return Progress(params.get("progress_file"))
