# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""What C(request_log_info) returns: the figures of a span of a log, and whether they may be relied on."""

from __future__ import annotations

import time
import typing as t

from ._errors import BadInput
from ._log_lines import Window
from ._log_spans import LogFigures, read_logs
from ._request_line import parser_for
from ._request_time import has_zone, seconds_of, shown
from ._verdict import NOT_VERIFIED, PASSED

Params = t.Mapping[str, t.Any]
# Of a hundred lines, so many may be none of the format before the figures are those of another one.
MALFORMED_PERCENT = 10


def figures(params: Params, now: float | None = None) -> dict[str, t.Any]:
    """Return the result of C(request_log_info).

    Args:
        params: Its options.
        now: The time that O(last_seconds) goes back from, in seconds since 1970; this instant by default.

    Raises:
        RequestLogError: A log is missing or cannot be read.
        BadInput: An option cannot be used as it is.
    """
    began = time.monotonic()
    window = window_of(params, time.time() if now is None else now)
    if not params["paths"]:
        raise BadInput("paths names no request log", remedy="Name at least one file.")
    if params["top"] < 0:
        raise BadInput(f"top is {params['top']}", remedy="Give how many routes are to be named, or 0.")
    found = read_logs(
        params["paths"],
        parser_for(params["format"], params["pattern"], params["exclude_request_ids"]),
        window,
        position=params["position"],
        with_rotated=params["rotated"],
    )
    reasons = doubts(found)
    return {
        "changed": False,
        **found.tally.as_dict(params["top"]),
        "excluded": found.tally.excluded,
        "malformed_lines": found.malformed_lines,
        "files": found.files,
        "position": found.position,
        "since": shown(window.since),
        "until": shown(window.until),
        "verdict": NOT_VERIFIED if reasons else PASSED,
        "message": _message(found, reasons),
        "duration_ms": round((time.monotonic() - began) * 1000),
    }


def window_of(params: Params, now: float) -> Window:
    """Return the span of time that O(since), O(until) and O(last_seconds) ask for.

    Raises:
        BadInput: One of them is no time, or nothing lies between them.
    """
    since, until = _time("since", params["since"]), _time("until", params["until"])
    if params["last_seconds"] is not None:
        if not 0 < params["last_seconds"] <= now:
            raise BadInput(f"last_seconds is {params['last_seconds']:g}", remedy="Give a number of seconds above 0.")
        since = now - params["last_seconds"]
    if since is not None and until is not None and since >= until:
        raise BadInput(f"No time lies between {shown(since)} and {shown(until)}", remedy="Let until be after since.")
    return Window(since, until)


def doubts(found: LogFigures) -> list[str]:
    """Return why the figures are not those of all requests; nothing when they are."""
    tally = found.tally
    reasons = []
    lines = tally.requests + tally.malformed
    if not tally.requests:
        reasons.append("zero requests compared: no line is of this format and in the span that was asked for")
    elif tally.malformed * 100 > lines * MALFORMED_PERCENT:
        reasons.append(f"more than {MALFORMED_PERCENT} % of the lines are not of this format")
    if tally.without_time:
        reasons.append(
            f"{tally.without_time} lines have no time, so that nobody knows whether they are in the span; use position"
        )
    if found.gaps:
        reasons.append(f"lines since the position may be missing, as rotation left no copy of {', '.join(found.gaps)}")
    return reasons


def _message(found: LogFigures, reasons: t.Sequence[str]) -> str:
    tally = found.tally
    text = f"{tally.requests} requests"
    if tally.first is not None and tally.last is not None:
        text += f" from {shown(tally.first)} to {shown(tally.last)}"
    if tally.requests:
        text += f", {tally.errors_4xx} of them answered 4xx and {tally.errors_5xx} 5xx ({tally.error_percent:g} %)"
    slow = tally.latency().percentile(95)
    if slow is not None:
        text += f", 95 % of them within {slow:.4g} ms"
    if tally.malformed:
        text += f"; {tally.malformed} malformed lines"
        if found.malformed_lines:
            one = found.malformed_lines[0]
            text += f", the first of them {one['file']}:{one['line'] or '?'} ({one['reason']})"
    return text + "." + (f" Not verified: {'; '.join(reasons)}." if reasons else "")


def _time(option: str, text: str | None) -> float | None:
    if not text:
        return None
    seconds = seconds_of(text) if has_zone(text) else None
    if seconds is None:
        raise BadInput(
            f"{option} is {text!r}, which is no time in ISO 8601 with a zone",
            remedy="Write it as in 2026-11-27T14:30:00Z or 2026-11-27T15:30:00+01:00.",
        )
    return seconds
