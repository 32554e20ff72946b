# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Lines that web servers write of each request: the combined format (Apache, nginx, gunicorn) and uvicorn's.

They know the path of a request, not its route, so what in a path looks like an id is put together.
"""

from __future__ import annotations

import contextlib
import functools
import re

from ._request_fields import Malformed, Request, error_code_of, route_of, status_of
from ._request_time import seconds_of

_QUOTED = r'"(?:[^"\\]|\\.)*"'
_COMBINED = re.compile(
    r"(?:\S+ )?\S+ \S+ (?:[^\[\"]* )?\[(?P<time>[^\]]+)\] (?P<request>" + _QUOTED + r") (?P<status>\d{3}) (?:\d+|-)"
    r"(?: " + _QUOTED + r"){0,8}(?: (?:\w+=)?(?P<seconds>\d+\.\d+)(?= |$))?(?: .*)?",
    re.ASCII,
)
_REQUEST = re.compile(r"[A-Z-]+ (?P<path>\S+)(?: HTTP/[\d.]+)?", re.ASCII)
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_UVICORN = re.compile(r'- "(?P<request>[A-Z]+ \S+ HTTP/[\d.]+)" (?P<status>\d{3})(?: [^"]*)?', re.ASCII)
_UVICORN_START = re.compile(r'- "[A-Z]+ ')
_LEADING_TIME = re.compile(
    r"\W{0,2}(?P<time>\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d{1,9})?(?:Z| ?[+-]\d\d:?\d\d)?)", re.ASCII
)
_ID = re.compile(
    r"(?<=/)(?:\d+|[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}|[0-9a-fA-F]{16,})(?=/|$)", re.ASCII
)
_NO_REQUEST = "(not HTTP)"


class CombinedLine:
    """The common and the combined format, with or without a host in front; after it the seconds that it took."""

    guarded = staticmethod(contextlib.nullcontext)

    def request(self, line: str) -> Request | None:
        """Return what the line says; see L(_request_line.Parser.request)."""
        found = _COMBINED.fullmatch(line)
        if not found:
            raise Malformed("it is not a line of the combined format")
        moment, request, status_text, seconds = found.groups()
        status = status_of(status_text)
        latency = float(seconds) * 1000 if seconds else None
        return seconds_of(moment), status, route_of_request(request[1:-1]), latency, error_code_of(None, status)


class UvicornLine:
    """uvicorn's access lines, coloured or not, with whatever its logging configuration puts in front.

    It writes its other messages into the same stream, which are no malformed requests.
    """

    guarded = staticmethod(contextlib.nullcontext)

    def request(self, line: str) -> Request | None:
        """Return what the line says; see L(_request_line.Parser.request)."""
        if "\x1b" in line:
            line = _COLOUR.sub("", line)
        found = _UVICORN.search(line)
        if not found:
            if _UVICORN_START.search(line):
                raise Malformed("it begins as an access line of uvicorn and does not go on as one")
            return None
        status = status_of(found["status"])
        leading = _LEADING_TIME.match(line)
        moment = seconds_of(leading["time"]) if leading else None
        return moment, status, route_of_request(found["request"]), None, error_code_of(None, status)


@functools.lru_cache(maxsize=8192)
def route_of_request(request: str) -> str:
    """Return the path of a request line, without its query, with C({id}) for each segment that is a number or a key."""
    found = _REQUEST.fullmatch(request)
    return route_of_path(found["path"]) if found else _NO_REQUEST


def route_of_path(path: str) -> str:
    """Return a path as it is counted."""
    return _ID.sub("{id}", route_of(path))
