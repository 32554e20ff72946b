# Copyright (c) 2026, pg_cutover developers
# SPDX-License-Identifier: GPL-3.0-or-later

"""Ledgers for the tests of the report, written by the real engine with times of our own."""

from __future__ import annotations

import datetime
import pathlib
import typing as t
from unittest import mock

from ansible_collections.sxops.pg_cutover.plugins.module_utils import _ledger, _run_journal

SOURCE = "assets_1"
START = datetime.datetime(2026, 11, 27, 9, 30, tzinfo=datetime.UTC)
HOLDER = {"user": "ops", "host": "control-1", "pid": 4711}
PHASES = ("baseline", "bootstrap", "capture", "backup", "load", "parity", "catch_up", "smoke", "switch", "verify")
TABLES = [
    {
        "table": name,
        "verdict": "passed",
        "sqlite_rows": rows,
        "postgres_rows": rows,
        "missing": 0,
        "extra": 0,
        "different": 0,
    }
    for name, rows in (("videos", 20000), ("video_notes", 412), ("user_meta", 1530))
]
FACTS: dict[str, dict[str, t.Any]] = {
    "baseline": {
        "taken": "2026-11-27T09:30:00.000Z",
        "store": "sqlite",
        "health": [{"instance": "api-1", "ready": True, "latency_ms": 4.2}],
        "probes": {"count": 20, "latency_ms": {"p50": 4.0, "p95": 7.5, "p99": 9.0}, "errors": 0},
        "requests": {
            "requests": 1200,
            "errors_5xx": 0,
            "error_percent": 0.0,
            "latency_ms": {"p50": 5, "p95": 12.5, "p99": 30},
        },
        "tables": [{"table": "videos", "rows": 20000}, {"table": "video_notes", "rows": 412}],
        "connections": {"used": 4, "limit": 97},
        "startup_ms": 1800,
    },
    "parity": {"verdict": "passed", "rows": 21942, "duration_ms": 812, "quarantine": [], "tables": TABLES},
    "catch_up": {"replayed": 12, "deleted": 1, "pending": 0, "lag_seconds": 0.0},
    "switch": {
        "online": True,
        "method": "restart",
        "attempts": 1,
        "fence_wait_ms": 9,
        "lock_hold_ms": 7.2,
        "replayed": 3,
        "not_replayed": 0,
        "postgres_reachable": True,
        "write_outage_ms": 2310.0,
        "steps": [{"number": 1, "name": "locked", "at_ms": 31.0}, {"number": 2, "name": "fenced", "at_ms": 38.2}],
        "undone": "",
    },
}
CHECKS = {
    "parity": [{"name": "rows of videos", "verdict": "passed", "expected": 1, "observed": 1, "message": ""}],
    "verify": [
        {"name": name, "verdict": "passed", "expected": None, "observed": None, "message": ""}
        for name in (
            "ready",
            "backend",
            "header routing",
            "search",
            "item open",
            "note written, read back and put back",
        )
    ],
}
GATES = [
    {"name": "backup_verified", "verdict": "passed", "expected": None, "observed": None, "message": "12 min old"},
    {"name": "require_tls", "verdict": "passed", "expected": True, "observed": True, "message": "TLSv1.3"},
]


class Clock:
    """Tells the ledger the time: so many seconds later with each entry."""

    def __init__(self, step_s: float = 2.0) -> None:
        self.now, self.step = START, datetime.timedelta(seconds=step_s)

    def __call__(self) -> str:
        self.now += self.step
        return self.now.strftime("%Y-%m-%dT%H:%M:%S.") + f"{self.now.microsecond // 1000:03d}Z"

    def wait(self, seconds: float) -> None:
        self.now += datetime.timedelta(seconds=seconds)


class Book:
    """One profile's ledger below a folder, and the verbs that write it."""

    def __init__(self, state_dir: pathlib.Path, clock: Clock | None = None) -> None:
        self.state_dir, self.clock = state_dir, clock or Clock()
        self.journal = _run_journal.Journal(str(state_dir), SOURCE, dict(HOLDER))
        self.run_id = ""

    @property
    def path(self) -> pathlib.Path:
        return self.journal.folder / _ledger.FILE_NAME

    def content(self) -> bytes:
        return self.path.read_bytes()

    def begin(self, verb: str = "cutover", **parameters: t.Any) -> str:
        with self._at():
            self.run_id = str(_run_journal.begin(self.journal, verb, None, parameters).run_id)
        return self.run_id

    def begin_over(self, dead: str) -> str:
        """Go on with an open run in the place of its dead process."""
        with self._at():
            self.run_id = str(_run_journal.begin(self.journal, "cutover", None, {}, dead).run_id)
        return self.run_id

    def record(self, **entry: t.Any) -> None:
        with self._at():
            _run_journal.record(self.journal, self.run_id, entry)

    def phase(self, name: str, status: str = "passed", **entry: t.Any) -> None:
        """Record the start of a phase and what came of it."""
        self.record(phase=name, status="started")
        given = {"facts": FACTS.get(name, {}), "checks": CHECKS.get(name, []), **entry}
        self.record(phase=name, status=status, **given)

    def end(self, outcome: str = "completed", **entry: t.Any) -> None:
        with self._at():
            _run_journal.end(self.journal, self.run_id, {"outcome": outcome, **entry})

    def cutover(self, until: str = "") -> None:
        """Write a cutover that completes, or fails in a phase as role recover leaves it."""
        self.begin(mode="online", path="cutover")
        self.phase(
            "gates",
            checks=GATES,
            facts={
                "stage": "gates",
                "waived": [
                    {"gate": "restore_drill", "by": "Kim", "at": "2026-11-27T09:00:00Z", "reason": "done on Monday"}
                ],
                "attested": [{"gate": "rollback_instructions_shared", "by": "Ada", "at": "2026-11-27T08:00:00Z"}],
            },
        )
        for name in PHASES:
            if name == until:
                self.fail(name)
                return
            self.phase(name)
            if name == "switch":
                self.record(store="postgres")
        self.end("completed", store="postgres")

    def fail(self, phase: str) -> None:
        self.record(phase=phase, status="started")
        behind = phase in ("switch", "verify")
        text = f"never right in {phase}"
        self.record(phase=phase, status="failed", message=text, facts={"task": f"Do {phase}"})
        if behind:
            self.record(store="sqlite")
        facts = {
            "replayed": 2,
            "not_replayed": 0,
            "postgres_reachable": True,
            "steps": [{"name": "fenced", "at_ms": 1}],
        }
        self.end("rolled_back" if behind else "failed", store="sqlite", message=text, facts=facts if behind else {})

    def watch(self, fired: str = "", stopped_by: str = "") -> None:
        """Write a window of 40 samples; with a trigger the last of them are bad."""
        facts = window(self.clock.now, fired)
        facts["stopped_by"] = stopped_by or facts["stopped_by"]
        self.clock.wait(200)
        # It holds no lock, and is written down once it is over.
        self.begin("watch", started=facts["started"], ended=facts["ended"])
        triggers = facts["triggers"]
        self.record(
            phase="window",
            status="failed" if fired else "passed",
            facts=facts,
            checks=[
                {
                    "name": one["name"],
                    "verdict": one["verdict"],
                    "expected": one["threshold"],
                    "observed": one["observed"],
                    "message": one["message"],
                }
                for one in triggers
            ],
        )
        # As role window ends it: who is live is for others to say.
        self.end("failed" if fired else "completed", message=f"{fired} fired" if fired else "")

    def rollback(self, reachable: bool = True, **parameters: t.Any) -> None:
        self.begin("rollback", return_data="replay", **parameters)
        facts = {
            "online": True,
            "method": "restart",
            "attempts": 1,
            "fence_wait_ms": 2,
            "lock_hold_ms": 5.1,
            "replayed": 4,
            "not_replayed": 0 if reachable else None,
            "postgres_reachable": reachable,
            "return_data": "replay",
            "write_outage_ms": 1900.0,
            "steps": [{"number": 1, "name": "locked", "at_ms": 1.0}, {"number": 2, "name": "fenced", "at_ms": 4.0}],
            "undone": "",
        }
        self.phase("switch", facts=facts, checks=[])
        self.record(store="sqlite")
        self.phase("verify")
        self.end("completed", store="sqlite", message="4 changed rows were brought from PostgreSQL.")

    def _at(self) -> t.Any:
        return mock.patch.object(_ledger, "now_text", self.clock)


def window(start: datetime.datetime, fired: str = "") -> dict[str, t.Any]:
    """Return what stabilization_watch says of a window of 40 samples, 5 s apart."""
    bad = 12 if fired else 40
    series = []
    for place in range(40):
        time = (start + datetime.timedelta(seconds=5 * place)).strftime("%Y-%m-%dT%H:%M:%S.000Z")
        ill = place >= bad
        series.append(
            {
                "time": time,
                "elapsed_s": 5.0 * place,
                "requests": 20 + place % 3,
                "error_percent": 6.5 if ill else 0.0,
                "latency_p95_ms": 14.0 + place % 5,
                "probe_ms": 5.0 + place % 4,
                "ready": 1.0,
                "connections_percent": 6.0,
                "pending": place % 4,
                "lag_s": 0.4 * (place % 4),
                "postgres_ok": True,
            }
        )
    since = series[bad]["time"] if fired else None
    triggers = [
        trigger(
            "error_percent", "failed" if fired == "error_percent" else "passed", 6.5 if fired else 0.0, 1.0, "%", since
        ),
        trigger("latency_scheduled", "passed", 18.0, 25.0, "ms"),
        trigger("latency_immediate", "passed", 18.0, 125.0, "ms"),
        trigger("instances", "passed", 0.0, 20.0, "%"),
        trigger("pool", "passed", 6.0, 90.0, "%"),
        trigger("leakage", "not_verified", None, None, ""),
    ]
    return {
        "fired": [fired] if fired else [],
        "triggers": triggers,
        "samples": 40,
        "samples_file": "/var/lib/pg_cutover/watch.jsonl",
        "samples_sha256": "ab" * 32,
        "series": series,
        "stopped_by": "trigger" if fired else "duration",
        "started": series[0]["time"],
        "ended": series[-1]["time"],
        "duration_ms": 195000,
        "replayed": 9,
        "deleted": 0,
        "pending": 0,
        "lag_seconds": 0.0,
        "advice": {
            "decision": "IMMEDIATE" if fired else "CONTINUE",
            "reasons": [],
            "path": [
                {"question": "Is there data loss or corruption?", "answer": "no", "why": "every comparison passed"}
            ],
        },
    }


def trigger(
    name: str, verdict: str, observed: t.Any, threshold: t.Any, unit: str, since: str | None = None
) -> dict[str, t.Any]:
    return {
        "name": name,
        "verdict": verdict,
        "severity": "immediate",
        "observed": observed,
        "threshold": threshold,
        "unit": unit,
        "held_s": 140.0 if verdict == "failed" else 0.0,
        "needed_s": 120.0,
        "since": since,
        "message": f"{name} is above its threshold" if verdict == "failed" else "",
        "source": "seed 002 §2.3",
    }
