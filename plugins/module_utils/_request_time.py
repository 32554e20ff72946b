# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""The times in a request log: ISO 8601, seconds (or finer) since 1970, and the one of the combined format.

Lines follow each other closely, so what a minute comes to is remembered.
"""

from __future__ import annotations

import functools
import math
import re
import typing as t
from datetime import datetime, timedelta, timezone

from ._instant import instant_text

_ISO = re.compile(
    r"\s*(?P<minute>\d{4}-\d\d-\d\d[T ]\d\d:\d\d)(?::(?P<second>\d\d(?:[.,]\d{1,9})?))?"
    r"\s*(?P<zone>Z|[+-]\d\d(?::?\d\d)?)?\s*",
    re.ASCII,
)
_EPOCH = re.compile(r"\s*\d{9,19}(?:\.\d+)?\s*", re.ASCII)
_COMBINED = re.compile(
    r"(\d\d)/([A-Z][a-z]{2})/(\d{4}):(\d\d):(\d\d):(\d\d) ([+-])(\d\d)(\d\d)",
    re.ASCII,
)
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
# What a number is above this counts milliseconds, a thousand times that microseconds, and so on.
_MILLISECONDS = 1e11
_LAST = 253402300799.0  # the end of the year 9999


def seconds_of(value: t.Any) -> float | None:
    """Return the seconds since 1970 that a time in a log stands for, None where it is none.

    A time without a zone is one of this host.
    """
    if isinstance(value, str):
        found = _ISO.fullmatch(value)
        if found:
            return _iso(found)
        return _epoch(float(value)) if _EPOCH.fullmatch(value) else combined_seconds(value)
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return _epoch(value)
    return None


def has_zone(text: str) -> bool:
    """Tell whether this is an ISO 8601 time that names its zone."""
    found = _ISO.fullmatch(text)
    return bool(found and found["zone"])


def shown(seconds: float | None) -> str | None:
    """Return a time as results show it, in UTC, to the millisecond."""
    if seconds is None:
        return None
    return instant_text(datetime.fromtimestamp(math.floor(seconds * 1000 + 0.5) / 1000, timezone.utc))


def _iso(found: re.Match[str]) -> float | None:
    minute, second, zone = found.groups()
    start = _minute(minute, zone)
    if start is None or not second:
        return start
    return start + float(second.replace(",", "."))


@functools.lru_cache(maxsize=4096)
def _minute(text: str, zone: str | None) -> float | None:
    try:
        moment = datetime(*(int(part) for part in re.split(r"[-T :]", text)), tzinfo=_zone(zone))  # type: ignore[arg-type, misc]
        return moment.timestamp()
    except (ValueError, OverflowError, OSError):
        return None


def _zone(text: str | None) -> timezone | None:
    if text is None:
        return None
    if text == "Z":
        return timezone.utc
    digits = text[1:].replace(":", "").ljust(4, "0")
    distance = timedelta(hours=int(digits[:2]), minutes=int(digits[2:]))
    return timezone(-distance if text[0] == "-" else distance)


def _epoch(number: float) -> float | None:
    if not 0 < number < 1e20:
        return None
    seconds = float(number)
    while seconds >= _MILLISECONDS:
        seconds /= 1000
    return seconds if seconds <= _LAST else None


@functools.lru_cache(maxsize=4096)
def combined_seconds(text: str) -> float | None:
    """Return the seconds since 1970 of a time as in C(27/Nov/2026:15:05:42 +0000), None where it is none."""
    found = _COMBINED.fullmatch(text)
    if not found or found[2] not in _MONTHS:
        return None
    day, month, year, hour, minute, second, sign, hours, minutes = found.groups()
    try:
        moment = datetime(
            int(year),
            _MONTHS.index(month) + 1,
            int(day),
            int(hour),
            int(minute),
            int(second),
            tzinfo=_zone(f"{sign}{hours}{minutes}"),
        )
    except ValueError:
        return None
    return moment.timestamp()
