# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""What a profile's ledger, and how its stores stand, come to as figures. Pure."""

from __future__ import annotations

import collections
import typing as t

from ._instant import instant_of
from ._ledger_summary import runs_of, summary
from ._prometheus_text import COUNTER, GAUGE, Family

STORES = "sqlite", "postgres"
OUTCOMES = "completed", "failed", "refused", "rolled_back", "abandoned"

Run = t.Mapping[str, t.Any]


def families_of(
    source_id: str,
    entries: t.Sequence[t.Mapping[str, t.Any]],
    standing: t.Mapping[str, t.Any],
    now: float,
) -> list[Family]:
    """Return the figures of one profile; what is not known has no value.

    Args:
        source_id: The profile, a label of every value.
        entries: Its ledger.
        standing: What module tenant_switch_info returned; empty when it could not be asked.
        now: The time, in seconds since 1970.
    """
    runs = runs_of(entries)
    found = [*_stores(source_id, summary(entries), standing), *_runs(source_id, runs), *_cutover(source_id, runs)]
    fired = Family("pg_cutover_triggers_fired_total", COUNTER, "How often a trigger of the window has fired.")
    for name, count in sorted(_fired(entries).items()):
        fired.add(count, source_id=source_id, trigger=name)
    hooks = Family("pg_cutover_hooks_failed_total", COUNTER, "How often a hook of the operator's has failed.")
    for name, count in sorted(_failed_hooks(entries).items()):
        hooks.add(count, source_id=source_id, hook=name)
    written = Family("pg_cutover_report_timestamp_seconds", GAUGE, "When these figures were written.")
    written.add(now, source_id=source_id)
    return [*found, fired, hooks, written]


def _stores(source_id: str, known: Run, standing: t.Mapping[str, t.Any]) -> list[Family]:
    live = Family("pg_cutover_live_store", GAUGE, "Whether the store takes the writes of the profile.")
    told = standing.get("live_store")
    store = told if told in STORES or told in ("none", "both") else known["live_store"] or "sqlite"
    for name in STORES:
        live.add(store in (name, "both"), source_id=source_id, store=name)
    since = Family("pg_cutover_live_store_since_timestamp_seconds", GAUGE, "Since when the live store is live.")
    since.add(seconds(known["live_store_since"]), source_id=source_id)
    closed = Family("pg_cutover_closed_timestamp_seconds", GAUGE, "Since when the cutover is closed.")
    closed.add(seconds(known["closed_since"]), source_id=source_id)
    is_open = Family("pg_cutover_run_open", GAUGE, "Whether a run is going on, or was interrupted.")
    is_open.add(known["open_run"] is not None, source_id=source_id)
    pending = Family("pg_cutover_pending_rows", GAUGE, "Changed rows that the other store has not got yet.")
    pending.add(standing.get("pending_to_postgres"), source_id=source_id, direction="to_postgres")
    pending.add(standing.get("pending_to_sqlite"), source_id=source_id, direction="to_sqlite")
    lag = Family("pg_cutover_lag_seconds", GAUGE, "How old the oldest of these changes is.")
    lag.add((standing.get("lag_seconds") or 0) if standing else None, source_id=source_id)
    reachable = Family("pg_cutover_postgres_reachable", GAUGE, "Whether PostgreSQL could be asked.")
    reachable.add(standing.get("postgres_reachable"), source_id=source_id)
    return [live, since, closed, is_open, pending, lag, reachable]


def _runs(source_id: str, runs: list[dict[str, t.Any]]) -> list[Family]:
    count = Family("pg_cutover_runs_total", COUNTER, "Runs that have ended, by how.")
    ended = Family("pg_cutover_last_run_timestamp_seconds", GAUGE, "When the last run ended.")
    duration = Family("pg_cutover_last_run_duration_seconds", GAUGE, "How long the last run took.")
    outcome = Family("pg_cutover_last_run_outcome", GAUGE, "Whether the last run ended so.")
    phase = Family("pg_cutover_phase_duration_seconds", GAUGE, "How long a phase of the last run took.")
    passed = Family("pg_cutover_phase_passed", GAUGE, "Whether a phase of the last run has passed.")
    done = [run for run in runs if run["ended"]]
    for (verb, how), number in sorted(collections.Counter((run["verb"], run["outcome"]) for run in done).items()):
        count.add(number, source_id=source_id, verb=verb, outcome=how)
    for verb, run in sorted({run["verb"]: run for run in done}.items()):
        labels = {"source_id": source_id, "verb": verb}
        ended.add(seconds(run["ended"]), **labels)
        duration.add(run["duration_ms"] / 1000, **labels)
        for how in OUTCOMES:
            outcome.add(run["outcome"] == how, **labels, outcome=how)
        for name, found in run["phases"].items():
            took = found["duration_ms"]
            phase.add(None if took is None else took / 1000, **labels, phase=name)
            passed.add(found["status"] == "passed", **labels, phase=name)
    return [count, ended, duration, outcome, phase, passed]


def _cutover(source_id: str, runs: list[dict[str, t.Any]]) -> list[Family]:
    lock = Family("pg_cutover_write_lock_seconds", GAUGE, "How long the last switch held the lock of writers.")
    outage = Family("pg_cutover_write_outage_seconds", GAUGE, "How long no store took writes at the last switch.")
    rows = Family("pg_cutover_rows", GAUGE, "Rows that were loaded, and compared, last.")
    for direction, verb in (("to_postgres", "cutover"), ("to_sqlite", "rollback")):
        switch = _last_facts(runs, verb, "switch")
        labels = {"source_id": source_id, "direction": direction}
        lock.add(_part(switch.get("lock_hold_ms"), 1000), **labels)
        outage.add(_part(switch.get("write_outage_ms"), 1000), **labels)
    for name in ("load", "parity"):
        rows.add(_part(_last_facts(runs, "cutover", name).get("rows"), 1), source_id=source_id, phase=name)
    return [lock, outage, rows]


def _last_facts(runs: list[dict[str, t.Any]], verb: str, phase: str) -> dict[str, t.Any]:
    found = [run["phases"][phase] for run in runs if run["verb"] == verb and phase in run["phases"]]
    passed = [one["facts"] for one in found if one["status"] == "passed"]
    return passed[-1] if passed else {}


def _fired(entries: t.Iterable[t.Mapping[str, t.Any]]) -> collections.Counter[str]:
    window = [one for one in entries if one["kind"] == "phase" and one["phase"] == "window"]
    return collections.Counter(
        name for one in window if one["status"] != "started" for name in one.get("facts", {}).get("fired") or []
    )


def _failed_hooks(entries: t.Iterable[t.Mapping[str, t.Any]]) -> collections.Counter[str]:
    notes = [one.get("facts", {}) for one in entries if one["kind"] == "note"]
    return collections.Counter(
        str(facts["hook"]) for facts in notes if facts.get("event") == "hook" and facts.get("outcome") == "failed"
    )


def _part(value: t.Any, unit: int) -> float | None:
    return value / unit if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def seconds(time: str | None) -> float | None:
    """Return a time of the ledger as seconds since 1970."""
    found = instant_of(time)
    return found.timestamp() if found else None
