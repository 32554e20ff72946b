# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""The parser of each format of request log; the JSON lines of seed 004 §0 are read here."""

from __future__ import annotations

import contextlib
import json
import re
import typing as t

from ._access_line import CombinedLine, UvicornLine
from ._errors import BadInput
from ._pattern_line import PatternLine
from ._request_fields import Excluded, Malformed, Request, error_code_of, latency_of, route_of, status_of
from ._request_time import seconds_of

FORMATS = ("combined", "json", "regex", "uvicorn")
_TIME_KEYS = ("timestamp", "time", "ts", "@timestamp")


class Parser(t.Protocol):
    """Reads the lines of one format."""

    def request(self, line: str) -> Request | None:
        """Return what the line says, None where the format has such lines that are no request.

        Raises:
            Malformed: It is no line of the format.
            Excluded: Its request id is one of those to leave out.
        """

    def guarded(self) -> t.ContextManager[None]:
        """Guard the reading of about a megabyte of lines.

        Raises:
            BadInput: Inside, when reading them takes so long that it might never end.
        """


def parser_for(form: str, pattern: str | None = None, exclude_request_ids: str | None = None) -> Parser:
    """Return what reads the lines of a format.

    Args:
        form: One of L(FORMATS).
        pattern: For V(regex), the expression with its named groups.
        exclude_request_ids: An expression; lines whose request id it matches anywhere are left out.

    Raises:
        BadInput: An expression is none, or lacks what it must name.
    """
    excluded = compiled("exclude_request_ids", exclude_request_ids) if exclude_request_ids else None
    if (form == "regex") != bool(pattern):
        raise BadInput(
            f"A request log of the format {form} {'needs a' if form == 'regex' else 'takes no'} pattern",
            remedy="Give pattern together with format: regex, and only with it.",
        )
    if form == "json":
        return JsonLine(excluded)
    if form == "combined":
        return CombinedLine()
    if form == "uvicorn":
        return UvicornLine()
    if form == "regex":
        return PatternLine(compiled("pattern", str(pattern)), excluded)
    raise BadInput(f"There is no format {form!r} of a request log", remedy=f"Use one of {', '.join(FORMATS)}.")


def compiled(option: str, pattern: str) -> re.Pattern[str]:
    """Return the expression of an option, compiled.

    Raises:
        BadInput: It is none.
    """
    try:
        return re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        raise BadInput(
            f"{option} is not a regular expression", str(error), "Write it in the syntax of Python's re module."
        ) from error


class JsonLine:
    """The lines of seed 004 §0: request_id, route, status, latency in ms, error_code, and a time where there is one."""

    def __init__(self, excluded: re.Pattern[str] | None = None) -> None:
        self._excluded = excluded
        self._decode = json.JSONDecoder().raw_decode

    guarded = staticmethod(contextlib.nullcontext)

    def request(self, line: str) -> Request | None:
        """Return what the line says; see L(Parser.request)."""
        try:
            entry, end = self._decode(line)
        except (ValueError, RecursionError) as error:
            raise Malformed("it is not JSON") from error
        if not isinstance(entry, dict) or (end != len(line) and line[end:].strip()):
            raise Malformed("it is not one JSON object")
        status = entry.get("status")
        if type(status) is not int or not 100 <= status <= 599:
            status = status_of(status)
        if self._excluded:
            request_id = entry.get("request_id")
            if isinstance(request_id, str) and self._excluded.search(request_id):
                raise Excluded
        latency = entry.get("latency")
        if latency is not None and not (type(latency) is float and 0 <= latency < 1e15):
            latency = latency_of(latency)
        moment = None
        for key in _TIME_KEYS:
            if key in entry:
                moment = seconds_of(entry[key])
                break
        return moment, status, route_of(entry.get("route")), latency, error_code_of(entry.get("error_code"), status)
