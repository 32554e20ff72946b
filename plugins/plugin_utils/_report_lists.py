# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""The lists that people tick off: gates, the checklist, what a rollback has to have done. Pure, and nothing invented.

What the ledger does not tell is C(not_verified).
"""

from __future__ import annotations

import re
import typing as t

from ansible_collections.sxops.pg_cutover.plugins.plugin_utils._report_story import WAY_BACK, Run, Story
from ansible_collections.sxops.pg_cutover.plugins.plugin_utils._report_words import clock, plural

Check = t.Dict[str, t.Any]  # noqa: UP006 - evaluated at run time
PASSED, FAILED, NOT_VERIFIED = "passed", "failed", "not_verified"
_HEALTH = r"health|ready"
_PLUGIN = r"^search|item open|written|^table|\bpin\b"
_SILENT = "the ledger does not tell"


def check(name: str, verdict: str, message: str) -> Check:
    """Return a line of a list."""
    return {"name": name, "verdict": verdict, "expected": None, "observed": None, "message": message}


def gates(story: Story) -> dict[str, t.Any] | None:
    """Return every gate as it was seen last, what was waived and what people attested; None without any."""
    found: dict[str, Check] = {}
    waived: dict[str, t.Any] = {}
    attested: dict[str, t.Any] = {}
    left_out: dict[str, t.Any] = {}
    seen = False
    for run in story.of("cutover"):
        for phase in run.phases:
            if phase.name not in ("gates", "go"):
                continue
            seen = True
            for one in phase.checks:
                found[str(one.get("name"))] = {
                    **one,
                    "stage": phase.facts.get("stage") or phase.name,
                    "time": phase.ended,
                }
            for target, key in ((waived, "waived"), (attested, "attested"), (left_out, "left_out")):
                for one in phase.facts.get(key) or ():
                    if isinstance(one, dict):
                        target[str(one.get("gate"))] = one
    if not seen:
        return None
    checks = [one for name, one in found.items() if name not in waived]
    return {
        "checks": checks,
        "waived": list(waived.values()),
        "attested": list(attested.values()),
        "left_out": list(left_out.values()),
    }


def checklist(story: Story) -> list[Check]:
    """Return the post-cutover checklist of seed 000 §8: as it was asked at the close, else from phase verify."""
    asked = story.last("checklist")
    if asked and asked.checks:
        return [dict(one) for one in asked.checks]
    verify = next((run.last("verify") for run in story.of("cutover") if run.last("verify")), None)
    checks = list(verify.checks) if verify else []
    window = story.last("window")
    triggers = list(window.checks) if window else []
    return [
        _judged("the backend is observed in responses", checks, r"backend"),
        _judged(
            "source-scoped reads are validated for the target source",
            checks,
            r"routing|source|rows of this|items|stats",
        ),
        _judged("the write path is validated", checks, r"written|write"),
        _judged("the plugin's operations are validated", checks, _PLUGIN),
        _judged("logs are reviewed for 400/500 anomalies", triggers, r"error"),
        check("rollback instructions are shared with operators", NOT_VERIFIED, "that is asked at the close"),
    ]


def rollback(story: Story) -> dict[str, list[Check]] | None:
    """Return the completeness of the way back (seed 004 §5) and its validation (seed 003); None without one."""
    runs = [run for run in story.runs if run.verb == "rollback" or (run.verb == "cutover" and run.last(WAY_BACK))]
    if not runs:
        return None
    run = runs[-1]
    return {"completeness": _completeness(run), "validation": _validation(run)}


def _completeness(run: Run) -> list[Check]:
    checks = _checks_of(run)
    smoke = run.last("verify") if run.verb == "rollback" else run.last(WAY_BACK)
    status = smoke.status if smoke else ""
    return [
        _trigger(run),
        _blocked(run),
        _data(run),
        _judged("the state of the migrations is verified on the rolled-back store", checks, r"migration"),
        _judged("the search index answers on the rolled-back store", checks, r"search|fts"),
        check(
            "smoke checks pass on the rolled-back state",
            {"passed": PASSED, "failed": FAILED}.get(status, NOT_VERIFIED),
            {
                "passed": f"proven on SQLite, {clock(smoke.ended if smoke else None)}",
                "failed": smoke.message if smoke else "",
            }.get(status, _SILENT),
        ),
        check(
            "the release status is communicated, with this evidence",
            NOT_VERIFIED,
            "this report is the evidence; that it was handed on is for people to say",
        ),
    ]


def _trigger(run: Run) -> Check:
    name, given = "the trigger and its time are recorded", run.parameters
    if given.get("automatic"):
        text = f"{given.get('trigger')}: {given.get('trigger_message', '')} ({clock(given.get('fired_at'))})"
        return check(name, PASSED if given.get("trigger") and given.get("fired_at") else NOT_VERIFIED, text)
    back = run.last(WAY_BACK)
    if back:
        failed = run.phases[run.phases.index(back) - 1]
        return check(name, PASSED, f"phase {failed.name} failed {clock(failed.ended)}: {failed.message}")
    reason = str(given.get("reason") or "")
    who = run.controller.get("user") or "somebody"
    text = f"started by {who} {clock(run.started)}" + (f": {reason}" if reason else "; no reason was given")
    return check(name, PASSED if reason else NOT_VERIFIED, text)


def _blocked(run: Run) -> Check:
    name = "writes are blocked on the store that is left"
    phase = run.last("switch") if run.verb == "rollback" else run.last(WAY_BACK)
    facts = phase.facts if phase else {}
    steps = {step.get("name") for step in facts.get("steps") or () if isinstance(step, dict)}
    if "fenced" in steps and facts.get("postgres_reachable") is not False:
        return check(
            name,
            PASSED,
            "PostgreSQL refuses the writes of this profile; automatic actions of the application are its own matter",
        )
    if facts.get("postgres_reachable") is False:
        return check(name, NOT_VERIFIED, "PostgreSQL could not be reached; it is fenced once it is back")
    return check(name, NOT_VERIFIED, _SILENT)


def _data(run: Run) -> Check:
    name = "the data is restored from a known-good state"
    phase = run.last("switch") if run.verb == "rollback" else run.last(WAY_BACK)
    facts = phase.facts if phase else {}
    way, left = facts.get("return_data") or run.parameters.get("return_data"), facts.get("not_replayed")
    if phase is None or phase.status != "passed":
        return check(name, NOT_VERIFIED, _SILENT)
    if way == "backup":
        return check(name, PASSED, "the verified snapshot of the cutover was put in place")
    if left == 0 and isinstance(facts.get("replayed"), int):
        brought = plural(facts["replayed"], "changed row")
        return check(name, PASSED, f"no restore was needed: SQLite was kept, {brought} came back, none is missing")
    if isinstance(left, int) and left > 0:
        return check(name, NOT_VERIFIED, f"SQLite was kept; {plural(left, 'changed row')} stayed in PostgreSQL")
    return check(name, NOT_VERIFIED, run.message or _SILENT)


def _validation(run: Run) -> list[Check]:
    checks = _checks_of(run)
    people = ("Scheduled jobs", "Monitoring", "User access")
    return [
        _judged("Health check", checks, _HEALTH),
        _judged("Row counts", checks, r"count|rows|total"),
        _judged("Key queries", checks, r"item|search|stats|routing"),
        _judged("API endpoints", checks, r".*"),
        _judged("Error logs", checks, r"error|5xx"),
        _judged("Performance", checks, r"latency|performance|as fast as"),
        _judged("Data integrity", checks, r"foreign|orphan|integrity|duplicate"),
        *(check(name, NOT_VERIFIED, "for people to look at") for name in people),
    ]


def _checks_of(run: Run) -> list[t.Mapping[str, t.Any]]:
    """Return what was asked of SQLite after the way back."""
    phases = run.phases if run.verb == "rollback" else [phase for phase in run.phases if phase.name == WAY_BACK]
    found = [one for phase in phases for one in phase.checks]
    return found + [one for entry in run.entries if entry["kind"] == "run_ended" for one in entry.get("checks") or ()]


def _judged(name: str, checks: t.Iterable[t.Mapping[str, t.Any]], pattern: str) -> Check:
    """Return the verdict over the checks whose names match; without one, or with one unmade, it is not verified."""
    found = [one for one in checks if re.search(pattern, str(one.get("name")), re.IGNORECASE)]
    verdicts = {one.get("verdict") for one in found}
    if not found:
        return check(name, NOT_VERIFIED, _SILENT)
    failed = [str(one.get("name")) for one in found if one.get("verdict") == FAILED]
    if failed:
        return check(name, FAILED, ", ".join(failed))
    if verdicts != {PASSED}:
        return check(
            name, NOT_VERIFIED, ", ".join(str(one.get("name")) for one in found if one.get("verdict") != PASSED)
        )
    names = list(dict.fromkeys(str(one.get("name")) for one in found))
    more = f" and {len(names) - 6} more" if len(names) > 6 else ""
    return check(name, PASSED, ", ".join(names[:6]) + more)
