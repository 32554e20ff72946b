# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Lines of a format of the operator's own, read with an expression that names what is in them."""

from __future__ import annotations

import contextlib
import re
import signal
import threading
import typing as t

from ._access_line import route_of_path
from ._errors import BadInput
from ._request_fields import NO_ROUTE, Excluded, Malformed, Request, error_code_of, latency_of, route_of, status_of
from ._request_time import seconds_of

# An expression may need steps that grow with the square of a line's length, or worse.
_LONGEST = 1 << 13
# Of the processor's time, for about a megabyte of lines; an expression that is fit for a log needs a hundredth of it.
SECONDS_FOR_A_MEGABYTE = 20.0
_FACTORS = {"latency_ms": 1.0, "latency_s": 1000.0, "latency_us": 0.001}
_KNOWN = {"status", "route", "path", "time", "request_id", "error_code", *_FACTORS}


class PatternLine:
    """What an expression finds in a line, anywhere in it.

    Args:
        pattern: With the named group C(status), and those of C(route) or C(path), C(latency_ms), C(latency_s) or
            C(latency_us), C(time), C(request_id) and C(error_code) that the log has.
        excluded: What the request ids of lines to leave out match.

    Raises:
        BadInput: A group is missing, unknown, or there is more than one for the same.
    """

    def __init__(self, pattern: re.Pattern[str], excluded: re.Pattern[str] | None = None) -> None:
        self._pattern = pattern
        self._excluded = excluded
        names = set(pattern.groupindex)
        if "status" not in names:
            raise BadInput(
                "pattern has no group named status",
                remedy=r"Name what it finds, as in: (?P<status>\d{3}).",
            )
        if names - _KNOWN:
            raise BadInput(
                f"pattern names groups that mean nothing here: {', '.join(sorted(names - _KNOWN))}",
                remedy=f"Use the names {', '.join(sorted(_KNOWN))}, and (?:...) for groups without a meaning.",
            )
        if len(names & set(_FACTORS)) > 1 or names >= {"route", "path"}:
            raise BadInput(
                "pattern names the same thing twice",
                remedy="Use one of latency_ms, latency_s and latency_us, and one of route and path.",
            )
        self._latency = next(iter(names & set(_FACTORS)), None)

    def request(self, line: str) -> Request | None:
        """Return what the line says; see L(_request_line.Parser.request)."""
        if len(line) > _LONGEST:
            raise Malformed(f"it is longer than {_LONGEST} characters")
        found = self._pattern.search(line)
        if not found:
            raise Malformed("pattern does not match it")
        groups: dict[str, t.Any] = found.groupdict()
        status = status_of(groups["status"])
        if self._excluded and groups.get("request_id") and self._excluded.search(groups["request_id"]):
            raise Excluded
        text = groups.get(self._latency) if self._latency else None
        latency = latency_of(text, _FACTORS[str(self._latency)]) if text not in (None, "", "-") else None
        if groups.get("path"):
            route = route_of_path(groups["path"])
        else:
            route = route_of(groups.get("route")) if "route" in groups else NO_ROUTE
        code = error_code_of(groups.get("error_code"), status)
        return (
            seconds_of(groups.get("time")),
            status,
            route,
            latency,
            error_code_of(None if code == "-" else code, status),
        )

    @contextlib.contextmanager
    def guarded(self) -> t.Iterator[None]:
        """Guard the reading of about a megabyte of lines; see L(_request_line.Parser.guarded)."""
        if threading.current_thread() is not threading.main_thread():  # signals are the main thread's alone
            yield
            return
        before = signal.signal(signal.SIGVTALRM, _give_up)
        signal.setitimer(signal.ITIMER_VIRTUAL, SECONDS_FOR_A_MEGABYTE)
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_VIRTUAL, 0)
            signal.signal(signal.SIGVTALRM, before)


def _give_up(_number: int, _frame: object) -> t.NoReturn:
    raise BadInput(
        "pattern takes too long on the lines of this log",
        f"a megabyte of them took more than {SECONDS_FOR_A_MEGABYTE:g} s of the processor's time",
        "Anchor it with ^, and let no repetition stand within a repetition, as in (a+)+.",
    )
