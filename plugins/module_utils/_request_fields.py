# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""What a line of a request log says, whatever its format, and what a line that says nothing usable is.

It is a tuple, because there may be millions: the time in seconds since 1970 (None without), the status, the route, the
latency in milliseconds (None without) and the error code (None without).
"""

from __future__ import annotations

import typing as t

Request = tuple[t.Optional[float], int, str, t.Optional[float], t.Optional[str]]
NO_ROUTE = "(no route)"
_LONGEST_ROUTE = 200
_LONGEST_CODE = 100


class Malformed(Exception):
    """A line that is none of its format; says why, and nothing of what the line holds."""


class Excluded(Exception):
    """A line of a request that is not to be counted."""


def status_of(value: t.Any) -> int:
    """Return an HTTP status.

    Raises:
        Malformed: It is none.
    """
    if isinstance(value, str) and len(value) == 3 and value.isascii() and value.isdigit():
        value = int(value)
    if type(value) is not int or not 100 <= value <= 599:
        raise Malformed("it has no HTTP status")
    return value


def latency_of(value: t.Any, factor: float = 1.0) -> float:
    """Return a latency in milliseconds, of a number or of text that is one.

    Raises:
        Malformed: It is none.
    """
    try:
        if isinstance(value, bool) or not isinstance(value, (int, float, str)):
            raise ValueError
        latency = float(value) * factor
    except (ValueError, OverflowError) as error:
        raise Malformed("its latency is not a number") from error
    if not 0 <= latency < 1e15:  # also what is not a number
        raise Malformed("its latency is not a length of time")
    return latency


def route_of(value: t.Any) -> str:
    """Return a route as it is counted: never with a query string, which can hold secrets."""
    if not isinstance(value, str) or not value:
        return NO_ROUTE
    return (value.partition("?")[0] if "?" in value else value)[:_LONGEST_ROUTE]


def error_code_of(value: t.Any, status: int) -> str | None:
    """Return the code of a failure; HTTP_<status> where a failure has none."""
    if value is None or value == "":
        return f"HTTP_{status}" if status >= 400 else None
    return str(value)[:_LONGEST_CODE]
