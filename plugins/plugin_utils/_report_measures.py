# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""What was measured: the write outage, the lag, the parity, the baseline against now. Pure."""

from __future__ import annotations

import typing as t

from ansible_collections.sxops.pg_cutover.plugins.plugin_utils._report_story import Phase, Run, Story
from ansible_collections.sxops.pg_cutover.plugins.plugin_utils._report_words import number, seconds_between

_PARITY = ("table", "verdict", "sqlite_rows", "postgres_rows", "missing", "extra", "different")
_FROM_LEDGER = "by the ledger's times, which hold the start of each task as well"
_FROM_HOST = {
    "restart": "from the lock to the last instance that answered, by the clock of the managed host; at most, as an "
    "instance may have been up for as long as it took to ask it",
    "route": "from the lock to the turned line of the router, by the clock of the managed host",
}


def outages(story: Story) -> list[dict[str, t.Any]]:
    """Return for each switch how long no store took the profile's writes, and how that is known."""
    found = []
    for run in story.of("cutover", "rollback"):
        phase = run.last("switch")
        if phase is not None and phase.status != "running":
            found.append(_outage(run, phase))
    return found


def _outage(run: Run, phase: Phase) -> dict[str, t.Any]:
    facts = phase.facts
    outage_ms, how = number(facts.get("write_outage_ms")), ""
    if outage_ms is not None:
        how = _FROM_HOST.get(str(facts.get("method")), _FROM_HOST["restart"])
    elif phase.status == "passed" and not facts.get("online"):
        freeze = run.last("freeze")
        if freeze:
            seconds = seconds_between(freeze.started, phase.ended)
            outage_ms = None if seconds is None else seconds * 1000
            how = f"from the stop of the instances to the end of the switch, {_FROM_LEDGER}"
    steps = [step for step in facts.get("steps") or () if isinstance(step, dict)]
    return {
        "run_id": run.run_id,
        "direction": "to SQLite" if run.verb == "rollback" else "to PostgreSQL",
        "status": phase.status,
        "online": facts.get("online"),
        "method": facts.get("method"),
        "write_outage_ms": outage_ms,
        "how": how or ("not measured" if phase.status == "passed" else "the switch did not come to its end"),
        "lock_hold_ms": number(facts.get("lock_hold_ms")),
        "lock_wait_ms": number(facts.get("fence_wait_ms")),
        "attempts": facts.get("attempts"),
        "replayed": facts.get("replayed"),
        "not_replayed": facts.get("not_replayed"),
        "undone": str(facts.get("undone") or ""),
        "steps": [{"name": str(step.get("name")), "at_ms": number(step.get("at_ms"))} for step in steps],
    }


def lag(story: Story) -> list[dict[str, t.Any]]:
    """Return how far each store was behind: before the switch, and at the end of the window."""
    rows = []
    for name, what in (
        ("catch_up", "PostgreSQL behind SQLite, after catch-up"),
        ("hold", "the same, at the end of the hold"),
    ):
        phase = story.last(name)
        if phase and phase.facts:
            rows.append(_lag(what, phase))
    phase = story.last("window")
    if phase and "pending" in phase.facts:
        rows.append(_lag("SQLite behind PostgreSQL, at the end of the window", phase))
    return rows


def _lag(what: str, phase: Phase) -> dict[str, t.Any]:
    facts = phase.facts
    return {
        "what": what,
        "pending": facts.get("pending"),
        "lag_s": number(facts.get("lag_seconds")),
        "replayed": facts.get("replayed"),
        "deleted": facts.get("deleted"),
        "time": phase.ended,
    }


def parity(story: Story) -> dict[str, t.Any] | None:
    """Return the comparison of every table; None when phase parity was not reached."""
    phase = story.last("parity")
    if phase is None:
        return None
    facts = phase.facts
    tables = [{name: row.get(name) for name in _PARITY} for row in facts.get("tables") or () if isinstance(row, dict)]
    return {
        "verdict": facts.get("verdict") or {"passed": "passed", "failed": "failed"}.get(phase.status, "not_verified"),
        "rows": facts.get("rows"),
        "duration_ms": phase.duration_ms if facts.get("duration_ms") is None else facts["duration_ms"],
        "tables": tables,
        "quarantine": [row for row in facts.get("quarantine") or () if isinstance(row, dict)],
        "checks": len(phase.checks),
        "open_checks": [check for check in phase.checks if check.get("verdict") != "passed"],
        "time": phase.ended,
    }


def baseline(story: Story) -> dict[str, t.Any] | None:
    """Return what was measured before the cutover beside what was measured last; None without a baseline."""
    phase = story.last("baseline")
    if phase is None or not phase.facts:
        return None
    before, now = phase.facts, _now(story)
    requests = before.get("requests") or {}
    probes = before.get("probes") or {}
    used = before.get("connections") or {}
    health = [number(one.get("latency_ms")) for one in before.get("health") or () if isinstance(one, dict)]
    rows = [
        ("health check, slowest instance", "ms", max((ms for ms in health if ms is not None), default=None), None),
        ("probe latency, p95", "ms", _at(probes, "latency_ms", "p95"), now.get("probe_ms")),
        ("request latency, p95", "ms", _at(requests, "latency_ms", "p95"), now.get("latency_p95_ms")),
        ("5xx of all requests", "%", number(requests.get("error_percent")), now.get("error_percent")),
        ("requests", "", number(requests.get("requests")), now.get("requests")),
        ("connections used", "%", _percent(used), now.get("connections_percent")),
        ("start of an instance", "ms", number(before.get("startup_ms")), None),
        ("rows of all tables", "", _rows(before), now.get("rows")),
    ]
    compared = [
        {"what": what, "unit": unit, "baseline": first, "now": last}
        for what, unit, first, last in rows
        if first is not None or last is not None
    ]
    return {"taken": before.get("taken") or phase.ended, "store": before.get("store"), "rows": compared}


def _now(story: Story) -> dict[str, t.Any]:
    """Return the last figures that there are: of the window's samples, and of the parity."""
    found: dict[str, t.Any] = {}
    for sample in series(story):
        for name in ("probe_ms", "latency_p95_ms", "error_percent", "connections_percent"):
            value = number(sample.get(name))
            if value is not None:
                found[name] = value
        requests = number(sample.get("requests"))
        if requests is not None:
            found["requests"] = found.get("requests", 0) + requests
    compared = story.last("parity")
    if compared and number(compared.facts.get("rows")) is not None:
        found["rows"] = compared.facts["rows"]
    return found


def series(story: Story) -> list[t.Mapping[str, t.Any]]:
    """Return the samples of every part of the window, oldest first."""
    found: list[t.Mapping[str, t.Any]] = []
    for phase in (phase for run in story.runs for phase in run.phases if phase.name == "window"):
        # A part that went on with the samples of an earlier one tells of both.
        known = str(found[-1].get("time")) if found else ""
        samples = [sample for sample in phase.facts.get("series") or () if isinstance(sample, dict)]
        found += [sample for sample in samples if str(sample.get("time")) > known]
    return found


def _at(values: t.Mapping[str, t.Any], *names: str) -> float | None:
    value: t.Any = values
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    return number(value)


def _percent(used: t.Mapping[str, t.Any]) -> float | None:
    of, limit = number(used.get("used")), number(used.get("limit"))
    return round(of / limit * 100, 1) if of is not None and limit else None


def _rows(before: t.Mapping[str, t.Any]) -> float | None:
    counted = [number(row.get("rows")) for row in before.get("tables") or () if isinstance(row, dict)]
    return sum(value for value in counted if value is not None) if counted else None
