# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""The phases on the runbook's clock: T-30m … T+30m, counted from the switch (seed 000 §9). Pure."""

from __future__ import annotations

import typing as t

from ansible_collections.sxops.pg_cutover.plugins.plugin_utils._report_story import Phase, Run, Story
from ansible_collections.sxops.pg_cutover.plugins.plugin_utils._report_words import seconds_between

# The marks, the minutes they stand for, what the runbook does there, and the phases that do it.
MARKS: tuple[tuple[str, int, str, tuple[str, ...]], ...] = (
    ("T-30m", -30, "backups and baseline checks", ("gates", "baseline", "backup", "freeze")),
    ("T-20m", -20, "schema bootstrap", ("bootstrap", "capture")),
    ("T-15m", -15, "import into PostgreSQL", ("load", "parity", "catch_up")),
    ("T-10m", -10, "smoke checks", ("smoke", "hold", "go")),
    ("T-0", 0, "switch traffic for the profile", ("switch",)),
    ("T+10m", 10, "plugin validation and log review", ("verify",)),
    ("T+30m", 30, "close the cutover window", ("window", "checklist", "close")),
)
_MARK_OF = {phase: mark for mark, _minutes, _what, phases in MARKS for phase in phases}


def timeline(story: Story) -> dict[str, t.Any]:
    """Return C(zero) (when the switch began, or None), C(runs) with their phases as bars, and C(marks)."""
    zero = _zero(story)
    runs = [_lane(run, zero) for run in story.runs if run.phases or run.ended]
    bars = [phase for lane in runs for phase in lane["phases"]]
    return {"zero": zero, "runs": runs, "marks": [_mark(bars, *mark) for mark in MARKS]}


def _zero(story: Story) -> str | None:
    switches = [phase for run in story.of("cutover") for phase in run.phases if phase.name == "switch"]
    return switches[-1].started if switches else None


def _lane(run: Run, zero: str | None) -> dict[str, t.Any]:
    begun, end = min([run.started, *(phase.started for phase in run.phases)]), run.ended or run.last_time
    whole = max(seconds_between(begun, end) or 0.0, 0.001)
    return {
        "run_id": run.run_id,
        "verb": run.verb,
        "started": begun,
        "ended": run.ended,
        "duration_ms": round(whole * 1000),
        "phases": [_bar(run.verb, phase, (begun, end), whole, zero) for phase in run.phases],
    }


def _bar(verb: str, phase: Phase, lane: tuple[str, str], whole: float, zero: str | None) -> dict[str, t.Any]:
    begins = max(seconds_between(lane[0], phase.started) or 0.0, 0.0)
    ends = max(seconds_between(lane[0], phase.ended or lane[1]) or 0.0, begins)
    return {
        "phase": phase.name,
        # The cutover's own phases only: verify of a rollback is no mark of the runbook.
        "mark": _MARK_OF.get(phase.name, "") if verb in ("cutover", "watch", "close") else "",
        "status": phase.status,
        "started": phase.started,
        "ended": phase.ended,
        "duration_ms": phase.duration_ms,
        "offset_s": seconds_between(zero, phase.started) if zero else None,
        "left_percent": round(min(begins / whole * 100, 99.0), 3),
        "width_percent": round(min((ends - begins) / whole * 100, 100.0), 3),
        "message": phase.message,
    }


def _mark(
    bars: list[dict[str, t.Any]], mark: str, minutes: int, what: str, phases: tuple[str, ...]
) -> dict[str, t.Any]:
    mine = [phase for phase in bars if phase["mark"] == mark]
    statuses = {phase["status"] for phase in {phase["phase"]: phase for phase in mine}.values()}
    status = next((found for found in ("failed", "interrupted", "running") if found in statuses), "passed")
    return {
        "mark": mark,
        "planned_s": minutes * 60,
        "what": what,
        "phases": list(dict.fromkeys(phase["phase"] for phase in mine)),
        "started": mine[0]["started"] if mine else None,
        "offset_s": mine[0]["offset_s"] if mine else None,
        "duration_ms": sum(phase["duration_ms"] or 0 for phase in mine) if mine else None,
        "status": status if mine else "not reached",
    }
