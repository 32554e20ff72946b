# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""RTO and RPO achieved, against the table of seed 003. Pure."""

from __future__ import annotations

import typing as t

from ansible_collections.sxops.pg_cutover.plugins.plugin_utils._report_measures import series
from ansible_collections.sxops.pg_cutover.plugins.plugin_utils._report_story import WAY_BACK, Run, Story
from ansible_collections.sxops.pg_cutover.plugins.plugin_utils._report_words import number, plural, seconds_between

# Name, longest downtime and largest loss in seconds, and what it is about.
SCENARIOS = (
    ("emergency", "Emergency Rollback", 15 * 60, 60 * 60, "Uses latest backup"),
    ("planned", "Planned Rollback", 60 * 60, 5 * 60, "Full data sync"),
    ("emergency_sync", "Emergency + Sync", 30 * 60, 5 * 60, "Emergency with delta sync"),
    ("automated", "Automated Rollback", 10 * 60, 60 * 60, "Triggered by monitoring"),
)


def objectives(story: Story) -> dict[str, t.Any]:
    """Return what the way back took and cost (C(rto_s), C(rpo_s), C(rpo_rows)), and every objective with its verdict.

    Without a way back the objectives stand there alone: a cutover has a write outage and a lag.
    """
    back = _way_back(story)
    achieved = _achieved(story, back) if back else {}
    rto, rpo = achieved.get("rto_s"), achieved.get("rpo_s")
    return {
        "rolled_back": back is not None,
        "applies": achieved.get("applies"),
        "rto_s": rto,
        "rto_text": achieved.get("rto_text", "There was no rollback, so nothing had to be recovered."),
        "rpo_s": rpo,
        "rpo_rows": achieved.get("rpo_rows"),
        "rpo_text": achieved.get("rpo_text", ""),
        "scenarios": [
            {
                "name": name,
                "title": title,
                "rto_limit_s": rto_limit,
                "rpo_limit_s": rpo_limit,
                "notes": notes,
                "applies": name == achieved.get("applies"),
                "rto": _met(rto, rto_limit),
                "rpo": _met(rpo, rpo_limit),
            }
            for name, title, rto_limit, rpo_limit, notes in SCENARIOS
        ],
    }


def _met(value: float | None, limit: float) -> str:
    return "not_verified" if value is None else "passed" if value <= limit else "failed"


def _way_back(story: Story) -> Run | None:
    """Return the run that brought SQLite back: a rollback, or a cutover that failed behind its switch."""
    found = [
        run
        for run in story.runs
        if run.verb == "rollback" or (run.verb == "cutover" and (run.outcome == "rolled_back" or run.last(WAY_BACK)))
    ]
    return found[-1] if found else None


def _achieved(story: Story, run: Run) -> dict[str, t.Any]:
    begun = _begun(run)
    proven = _proven(run)
    rto = seconds_between(begun, proven)
    since = (
        "the failed phase"
        if run.verb != "rollback"
        else "the trigger"
        if run.parameters.get("automatic")
        else "its start"
    )
    text = f"from {since} to SQLite, proven" if rto is not None else "SQLite was not proven by that run"
    return {"rto_s": rto, "rto_text": text, "applies": _scenario(run), **_loss(story, run, begun)}


def _begun(run: Run) -> str:
    if run.verb == "rollback":
        return str(run.parameters.get("fired_at") or run.started)
    back = run.last(WAY_BACK)
    return back.started if back else run.started


def _proven(run: Run) -> str | None:
    if run.verb == "rollback":
        verify = run.last("verify")
        return verify.ended if verify and verify.status == "passed" else None
    return run.ended if run.store == "sqlite" else None


def _scenario(run: Run) -> str:
    if run.verb == "cutover" or run.parameters.get("automatic"):
        return "automated"
    return "emergency_sync" if run.parameters.get("return_data") == "replay" else "emergency"


def _loss(story: Story, run: Run, begun: str) -> dict[str, t.Any]:
    """Return what SQLite lacks afterwards: rows where they could be counted, seconds where only that is known."""
    phase = run.last("switch") if run.verb == "rollback" else run.last(WAY_BACK)
    facts = phase.facts if phase else {}
    left = number(facts.get("not_replayed"))
    if left is not None and facts.get("postgres_reachable") is not False:
        if left == 0:
            return {"rpo_rows": 0, "rpo_s": 0.0, "rpo_text": "nothing that PostgreSQL took is missing from SQLite"}
        return {
            "rpo_rows": int(left),
            "rpo_s": _since_switch(story, begun),
            "rpo_text": f"{plural(left, 'changed row')} stayed in PostgreSQL; none is older than the switch",
        }
    drained = [
        sample for sample in series(story) if sample.get("postgres_ok") and number(sample.get("pending")) is not None
    ]
    before = [sample for sample in drained if (seconds_between(sample.get("time"), begun) or 0) >= 0]
    if facts.get("postgres_reachable") is False and before:
        behind = (seconds_between(before[-1].get("time"), begun) or 0) + (number(before[-1].get("lag_s")) or 0)
        return {
            "rpo_rows": None,
            "rpo_s": behind,
            "rpo_text": "PostgreSQL could not be reached: at most what it took since SQLite was in step last",
        }
    return {"rpo_rows": None, "rpo_s": None, "rpo_text": "the ledger does not tell what SQLite lacks"}


def _since_switch(story: Story, begun: str) -> float | None:
    switched = [entry for entry in story.entries() if entry["kind"] == "switched" and entry.get("store") == "postgres"]
    return seconds_between(switched[-1]["time"], begun) if switched else None
