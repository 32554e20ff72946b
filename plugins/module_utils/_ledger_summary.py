# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""What a ledger's entries come to: which store is live, what to resume, how the last runs ended. Pure."""

from __future__ import annotations

import datetime
import typing as t

# These run on scratch copies, so what they switch is not the profile.
_ON_COPIES = frozenset({"rehearse", "drill"})
_GOOD = "completed"


def summary(entries: t.Iterable[t.Mapping[str, t.Any]]) -> dict[str, t.Any]:
    """Return what the entries of one profile's ledger come to; the same shape, mostly None, without any.

    The keys: C(entry_count); C(live_store) and C(live_store_since) (the last switch of a run that is no rehearsal
    or drill); C(schema_used) (whether catch-up or the application may have written to the tenant schema since it was
    bootstrapped last, so that the next load must not build on it); C(closed_since) (since when a cutover is closed, so
    that nothing can be replayed); C(open_run) (the run that has not ended, to resume); C(last_run);
    C(last_cutover), C(last_rollback), C(last_rehearsal), C(last_drill) (the last one each that completed);
    C(last_error). Runs are described by L(describe_run).
    """
    runs: dict[str, dict[str, t.Any]] = {}
    order: list[str] = []
    live_store = live_store_since = closed_since = None
    schema_used = False
    last_error: dict[str, t.Any] | None = None
    count = 0
    for entry in entries:
        count += 1
        run_id, kind = entry["run_id"], entry["kind"]
        if kind == "run_started":
            runs[run_id] = describe_run(entry)
            order = [other for other in order if other != run_id] + [run_id]
        run = runs.get(run_id)
        if run is None:  # a note about a torn line may come before any run
            continue
        schema_used = _schema_used(run, entry, schema_used)
        store = _record(run, entry)
        if store and run["verb"] not in _ON_COPIES:
            if store != live_store:
                live_store_since = entry["time"]
            live_store = store
        closed_since = _closed_since(run, entry, closed_since)
        last_error = _error_of(run, entry) or last_error
    done = [runs[run_id] for run_id in order]
    still_open = [run for run in done if run["outcome"] is None]
    return {
        "entry_count": count,
        "live_store": live_store,
        "live_store_since": live_store_since,
        "schema_used": schema_used,
        "closed_since": closed_since,
        "open_run": still_open[-1] if still_open else None,
        "last_run": done[-1] if done else None,
        "last_cutover": _last_completed(done, "cutover"),
        "last_rollback": _last_completed(done, "rollback"),
        "last_rehearsal": _last_completed(done, "rehearse"),
        "last_drill": _last_completed(done, "drill"),
        "last_error": last_error,
    }


def runs_of(entries: t.Iterable[t.Mapping[str, t.Any]]) -> list[dict[str, t.Any]]:
    """Return every run of the ledger in the order of their starts, as L(describe_run) describes them."""
    runs: dict[str, dict[str, t.Any]] = {}
    for entry in entries:
        if entry["kind"] == "run_started":
            runs[entry["run_id"]] = describe_run(entry)
        if entry["run_id"] in runs:
            _record(runs[entry["run_id"]], entry)
    return list(runs.values())


def _schema_used(run: t.Mapping[str, t.Any], entry: t.Mapping[str, t.Any], before: bool) -> bool:
    # From the moment catch-up begins its rows are not those of the load any more, and from the switch on an instance
    # may have come up on PostgreSQL, written, and failed a check.
    if run["verb"] != "cutover" or entry["kind"] != "phase":
        return before
    if entry["phase"] == "bootstrap" and entry["status"] == "passed":
        return False
    return before or (entry["phase"] in ("catch_up", "switch") and entry["status"] == "started")


def _closed_since(run: t.Mapping[str, t.Any], entry: t.Mapping[str, t.Any], before: str | None) -> str | None:
    if run["verb"] == "close" and entry["kind"] == "run_ended" and entry["outcome"] == _GOOD:
        return str(entry["time"])
    # The next switch, or the next schema, begins anew.
    begun = entry["kind"] == "phase" and entry["phase"] == "bootstrap"
    return None if run["verb"] not in _ON_COPIES and (begun or entry["kind"] == "switched") else before


def describe_run(entry: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    """Return a run as it stands right after its C(run_started) entry.

    C(phases) maps a phase to its last C(status), C(time), C(duration_ms) and C(facts); C(phases_passed) lists, in
    order, those whose last status is C(passed).
    """
    return {
        "run_id": entry["run_id"],
        "verb": entry.get("verb"),
        "started": entry["time"],
        "ended": None,
        "duration_ms": None,
        "outcome": None,
        "live_store": None,
        "message": None,
        "parameters": entry.get("parameters", {}),
        "controller": entry.get("controller", {}),
        "phases": {},
        "phases_passed": [],
    }


def milliseconds(start: str, end: str) -> int:
    """Return the whole milliseconds between two times of entries; 0 when the clock was set back in between."""
    form = "%Y-%m-%dT%H:%M:%S.%fZ"
    span = datetime.datetime.strptime(end, form) - datetime.datetime.strptime(start, form)
    return max(0, span // datetime.timedelta(milliseconds=1))


def _record(run: dict[str, t.Any], entry: t.Mapping[str, t.Any]) -> str | None:
    """Add the entry to its run; return the store that it makes the live one."""
    kind = entry["kind"]
    if kind == "phase":
        phase = {key: entry.get(key) for key in ("status", "time", "duration_ms", "message")}
        phase["facts"] = entry.get("facts", {})
        run["phases"][entry["phase"]] = phase
        passed = [name for name in run["phases_passed"] if name != entry["phase"]]
        run["phases_passed"] = [*passed, entry["phase"]] if entry["status"] == "passed" else passed
    elif kind == "run_ended":
        run.update(
            ended=entry["time"],
            outcome=entry["outcome"],
            message=entry.get("message"),
            duration_ms=milliseconds(run["started"], entry["time"]),
        )
    if kind in ("switched", "run_ended") and entry.get("store"):
        run["live_store"] = entry["store"]
        return str(entry["store"])
    return None


def _error_of(run: dict[str, t.Any], entry: t.Mapping[str, t.Any]) -> dict[str, t.Any] | None:
    failed_phase = entry["kind"] == "phase" and entry["status"] == "failed"
    bad_end = entry["kind"] == "run_ended" and entry["outcome"] not in (_GOOD, "abandoned")
    if not failed_phase and not bad_end:
        return None
    failed = [name for name, phase in run["phases"].items() if phase["status"] == "failed"]
    checks = [check for check in entry.get("checks", []) if check.get("verdict") != "passed"]
    return {
        "run_id": run["run_id"],
        "verb": run["verb"],
        "time": entry["time"],
        "phase": entry.get("phase") or (failed[-1] if failed else None),
        "outcome": entry.get("outcome"),
        "message": entry.get("message"),
        "open_checks": checks,
    }


def _last_completed(runs: list[dict[str, t.Any]], verb: str) -> dict[str, t.Any] | None:
    matching = [run for run in runs if run["verb"] == verb and run["outcome"] == _GOOD]
    return matching[-1] if matching else None
