# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""The window's measurements against the thresholds of its triggers: figures, and where they lie in a picture. Pure."""

from __future__ import annotations

import math
import typing as t

from ansible_collections.sxops.pg_cutover.plugins.plugin_utils._report_measures import series
from ansible_collections.sxops.pg_cutover.plugins.plugin_utils._report_story import Story
from ansible_collections.sxops.pg_cutover.plugins.plugin_utils._report_words import (
    clock,
    number,
    seconds_between,
    short,
)

Sample = t.Mapping[str, t.Any]

# The picture, in the units of its view box.
WIDTH, HEIGHT = 420.0, 176.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 46.0, 410.0, 14.0, 142.0


def charts(story: Story) -> list[dict[str, t.Any]]:
    """Return the measurements of the window as curves over the seconds since it began, each with its thresholds."""
    samples = series(story)
    if not samples:
        return []
    triggers = {str(one.get("name")): one for one in _triggers(story)}
    by_log = any(number(sample.get("latency_p95_ms")) is not None for sample in samples)
    ready = _line(triggers, "instances", "%")
    fewest = [{**line, "value": round(100 - line["value"], 1), "text": "fewest ready"} for line in ready]
    return [
        _chart(
            "errors",
            "Answers with 5xx",
            "%",
            samples,
            lambda sample: number(sample.get("error_percent")),
            _line(triggers, "error_percent", "%") + _line(triggers, "error_ratio", "%"),
        ),
        _chart(
            "latency",
            "Latency, p95" if by_log else "Latency of the probes",
            "ms",
            samples,
            lambda sample: number(sample.get("latency_p95_ms" if by_log else "probe_ms")),
            _line(triggers, "latency_scheduled", "ms") + _line(triggers, "latency_immediate", "ms"),
        ),
        _chart(
            "lag", "Changes that SQLite has not yet", "rows", samples, lambda sample: number(sample.get("pending")), []
        ),
        _chart(
            "connections",
            "Connections to PostgreSQL in use",
            "%",
            samples,
            lambda sample: number(sample.get("connections_percent")),
            _line(triggers, "pool", "%"),
        ),
        _chart(
            "readiness", "Instances that are ready", "%", samples, lambda sample: _share(sample.get("ready")), fewest
        ),
    ]


def _triggers(story: Story) -> list[Sample]:
    phases = [phase for run in story.runs for phase in run.phases if phase.name == "window"]
    return [one for phase in phases for one in phase.facts.get("triggers") or () if isinstance(one, dict)]


def _share(value: t.Any) -> float | None:
    share = number(value)
    return None if share is None else round(share * 100, 1)


def _line(triggers: t.Mapping[str, Sample], name: str, unit: str) -> list[dict[str, t.Any]]:
    trigger = triggers.get(name, {})
    value = number(trigger.get("threshold"))
    given = str(trigger.get("unit") or unit)
    if value is None or unit not in given.replace("percent", "%"):
        return []
    fired = trigger.get("verdict") == "failed"
    return [
        {"trigger": name, "value": value, "text": name.replace("_", " "), "fired": fired, "since": trigger.get("since")}
    ]


def _chart(
    name: str,
    title: str,
    unit: str,
    samples: t.Sequence[Sample],
    value: t.Callable[[Sample], float | None],
    thresholds: list[dict[str, t.Any]],
) -> dict[str, t.Any]:
    start = samples[0].get("time")
    points = []
    for place, sample in enumerate(samples):
        at = seconds_between(start, sample.get("time"))
        points.append(
            {"s": round(float(place) if at is None else at, 1), "time": sample.get("time"), "value": value(sample)}
        )
    known = [point["value"] for point in points if point["value"] is not None]
    return {
        "name": name,
        "title": title,
        "unit": unit,
        "points": points,
        "thresholds": thresholds,
        "highest": max(known, default=None),
        "lowest": min(known, default=None),
        "fired": any(line["fired"] for line in thresholds),
    }


def draw(chart: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    """Return where everything of a chart lies; C(beyond) is what lies above the picture."""
    known = [point for point in chart["points"] if point["value"] is not None]
    limits = sorted(line["value"] for line in chart["thresholds"])
    top = _round_up(max([point["value"] for point in known] + limits[:1] + [1e-9]) * 1.12)
    if chart["unit"] == "%" and top > 100 and max([point["value"] for point in known] + [0.0]) <= 100:
        top = 105.0  # what is at 100 is seen, and is not the frame
    last = max([point["s"] for point in chart["points"]] + [1e-9])

    def x(seconds: float) -> float:
        return round(_LEFT + (_RIGHT - _LEFT) * seconds / last, 1)

    def y(value: float) -> float:
        return round(_BOTTOM - (_BOTTOM - _TOP) * min(max(value, 0.0), top) / top, 1)

    ticks = (0.0, top / 2, top) if top != 105.0 else (0.0, 50.0, 100.0)
    seconds = (0.0, last / 2, last) if known else ()
    return {
        "width": WIDTH,
        "height": HEIGHT,
        "left": _LEFT,
        "right": _RIGHT,
        "bottom": _BOTTOM,
        "path": _path(chart["points"], x, y),
        "dots": [{"x": x(point["s"]), "y": y(point["value"])} for point in known] if len(known) <= 30 else [],
        "rows": [{"y": y(tick), "text": short(tick)} for tick in ticks],
        "columns": [{"x": x(tick), "text": _after(tick)} for tick in seconds],
        "lines": [{**line, "y": y(line["value"])} for line in chart["thresholds"] if line["value"] <= top],
        "beyond": [line for line in chart["thresholds"] if line["value"] > top],
        "description": describe(chart),
    }


def describe(chart: t.Mapping[str, t.Any]) -> str:
    """Return the chart in a sentence, for those who cannot see it."""
    if chart["highest"] is None:
        return "Nothing was measured."
    points = [point for point in chart["points"] if point["value"] is not None]
    unit = chart["unit"]
    text = (
        f"{len(points)} measurements from {clock(points[0]['time'])} on, between {short(chart['lowest'])} and "
        f"{short(chart['highest'])} {unit}."
    )
    for line in chart["thresholds"]:
        state = "fired" if line["fired"] else "did not fire"
        text += f" Trigger {line['trigger']}: {short(line['value'])} {unit}, {state}."
    return text if chart["thresholds"] else text + " No trigger has a threshold for it."


def _path(points: t.Sequence[Sample], x: t.Callable[[float], float], y: t.Callable[[float], float]) -> str:
    """Return the curve; where nothing was measured it has a gap."""
    parts, pen_down = [], False
    for point in points:
        if point["value"] is None:
            pen_down = False
            continue
        parts.append(f"{'L' if pen_down else 'M'}{x(point['s'])} {y(point['value'])}")
        pen_down = True
    return " ".join(parts)


def _round_up(value: float) -> float:
    """Return the next figure that is good to read at an axis."""
    power = 10.0 ** math.floor(math.log10(value)) if value > 1e-6 else 1.0
    for step in (1, 1.5, 2, 3, 4, 5, 6, 8, 10):
        if value <= step * power:
            return step * power
    return 10 * power


def _after(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
