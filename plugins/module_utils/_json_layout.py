# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""JSON lines that are all written alike, as one program writes them: read by one expression instead of one by one.

The expression is made of a line that was read as JSON, and matches only what is JSON and means the same; whatever else
is among the lines is left to be read one by one. It is about twice as fast.
"""

from __future__ import annotations

import json
import operator
import re
import typing as t

_MOST_KEYS = 12
_KEY = re.compile(r"[A-Za-z0-9_@.-]{1,64}")
# No escapes, no control characters; and what is longer is left to the limit of a line.
_TEXT = r'[^"\\\x00-\x1f]{0,4096}'
_NUMBER = r"(?:0|[1-9][0-9]{0,11})(?:\.[0-9]{1,20})?"
_ANY = rf'(?:"{_TEXT}"|-?{_NUMBER}|true|false|null)'
_TIME_TEXT, _TIME_NUMBER = f'"({_TEXT})"', r"([1-9][0-9]{8,18}(?:\.[0-9]{1,9})?)"
_VALUES = {
    "status": "([1-5][0-9]{2})",
    "route": rf'(?:"({_TEXT})"|null)',
    "latency": rf"(?:({_NUMBER})|null)",
    "error_code": rf'(?:"({_TEXT})"|null)',
    "request_id": rf'"({_TEXT})"',
}


class AlikeLines(t.NamedTuple):
    """Lines of one layout, each as the texts that the expression found, and the others with their number from 1.

    C(what) returns route, status and error code of such a line, empty where it has none, and the numbers are the places
    of the other texts in it.
    """

    lines: list[tuple[str, ...]]
    others: list[tuple[int, str]]
    what: t.Callable[[tuple[str, ...]], tuple[str, str, str]]
    latency: int
    request_id: int
    time: int


class JsonLayout:
    """How a program writes its lines: which keys, in which order."""

    def __init__(self, pattern: re.Pattern[str], places: t.Mapping[str, int]) -> None:
        self._pattern = pattern
        self._status = places["status"]
        self._what = operator.itemgetter(places["route"], places["status"], places["error_code"])
        self._others = (places["latency"], places["request_id"], places["time"])

    @classmethod
    def of(cls, line: str, time_keys: t.Sequence[str]) -> JsonLayout | None:
        """Return the layout of a line, None when it is not simple enough.

        Args:
            line: A JSON object.
            time_keys: The keys that a time may have; the first of them that is there counts.
        """
        pairs: list[tuple[str, t.Any]] = json.loads(line, object_pairs_hook=list)
        entry = dict(pairs)
        if not 0 < len(pairs) <= _MOST_KEYS or len(entry) < len(pairs) or "status" not in entry:
            return None
        if not all(_KEY.fullmatch(key) for key in entry) or any(isinstance(value, list) for value in entry.values()):
            return None
        time_key = next((key for key in time_keys if key in entry), None)
        members, captured = [], []
        for key, value in pairs:
            if key == time_key:
                members.append((key, _TIME_TEXT if isinstance(value, str) else _TIME_NUMBER))
                captured.append("time")
            else:
                members.append((key, _VALUES.get(key, _ANY)))
                captured += [key] * (key in _VALUES)
        object_ = ", ?".join(f'"{re.escape(key)}": ?{value}' for key, value in members)
        # The empty group is where everything is found that these lines do not tell.
        pattern = re.compile(rf"^(?:\{{{object_}\}}\r?()|(.*))$", re.MULTILINE)
        places = {name: captured.index(name) if name in captured else len(captured) for name in (*_VALUES, "time")}
        return cls(pattern, places)

    def read(self, text: str) -> AlikeLines:
        """Return what is in complete lines."""
        found: list[tuple[str, ...]] = self._pattern.findall(text.removesuffix("\n"))
        status = self._status
        others = [(number, groups[-1]) for number, groups in enumerate(found, 1) if not groups[status]]
        lines = [groups for groups in found if groups[status]] if others else found
        return AlikeLines(lines, others, self._what, *self._others)
