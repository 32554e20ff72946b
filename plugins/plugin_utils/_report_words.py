# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""How a report words times, durations and numbers. Pure."""

from __future__ import annotations

import datetime
import json
import math
import typing as t

from ansible_collections.sxops.pg_cutover.plugins.module_utils._instant import instant_of

_LONG = 400  # characters of a value that is shown
NOTHING = "\u2013"  # stands where there is no figure


def seconds_between(start: t.Any, end: t.Any) -> float | None:
    """Return the seconds from one time to another; None when one of them is none."""
    first, last = instant_of(start), instant_of(end)
    return (last - first).total_seconds() if first and last else None


def number(value: t.Any) -> float | None:
    """Return a figure; None for everything that is none."""
    is_figure = isinstance(value, (int, float)) and not isinstance(value, bool)
    return float(value) if is_figure and math.isfinite(value) else None


def short(value: t.Any) -> str:
    """Return a figure with three digits at least and no more decimals than it needs: C(7.2), C(1,204)."""
    found = number(value)
    if found is None:
        return NOTHING
    size = abs(found)
    if found == int(found) or size >= 100:
        return f"{found:,.0f}"
    return f"{found:,.{1 if size >= 10 else 2}f}".rstrip("0").rstrip(".")


def span(milliseconds: t.Any) -> str:
    """Return a duration as people say it: C(7.2 ms), C(4.1 s), C(12 min 5 s), C(1 h 3 min)."""
    value = number(milliseconds)
    if value is None:
        return NOTHING
    if value < 1000:
        return f"{short(value)} ms"
    seconds = value / 1000
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"


def offset(seconds: t.Any) -> str:
    """Return a place on the runbook's clock: C(T-0), C(T-12 s), C(T+3 min 5 s)."""
    value = number(seconds)
    if value is None:
        return NOTHING
    if abs(value) < 0.05:
        return "T-0"
    return f"T{'+' if value > 0 else '-'}{span(abs(value) * 1000)}"


def clock(text: t.Any) -> str:
    """Return a time as C(2026-11-21 09:31:02 UTC)."""
    found = instant_of(text)
    if found is None:
        return str(text) if text else NOTHING
    return found.astimezone(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M:%S UTC")


def hour(text: t.Any) -> str:
    """Return the time of the day only."""
    return clock(text)[11:19] if instant_of(text) else NOTHING


def shown(value: t.Any) -> str:
    """Return a value of a check as a line of text, cut when it is long."""
    if value is None:
        return NOTHING
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True, default=str)
    text = " ".join(text.split())
    return text if len(text) <= _LONG else text[:_LONG] + " …"


def plural(count: t.Any, one: str, many: str = "") -> str:
    """Return a count with its noun."""
    return f"{short(count)} {one if count == 1 else many or one + 's'}"
