# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""The runs of a ledger that belong to one cutover, and the phases of each. Pure.

A story begins with a cutover and holds what came of it: its watch, a rollback, the close, until the next cutover.
"""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.sxops.pg_cutover.plugins.module_utils._run_entry import RESUMED
from ansible_collections.sxops.pg_cutover.plugins.plugin_utils._report_words import seconds_between

Entry = t.Mapping[str, t.Any]

# They run on copies, so each is a story of its own, and no part of another one.
ON_COPIES = frozenset({"rehearse", "drill"})
_BAD = frozenset({"failed", "refused", "rolled_back"})
WAY_BACK = "way_back"  # what a cutover does after a phase has failed


@dataclasses.dataclass
class Phase:
    """One attempt of a phase. C(status) is passed, failed, skipped, running or interrupted."""

    name: str
    started: str
    ended: str | None = None
    status: str = "running"
    duration_ms: float | None = None
    facts: t.Mapping[str, t.Any] = dataclasses.field(default_factory=dict)
    checks: t.Sequence[t.Mapping[str, t.Any]] = ()
    message: str = ""


@dataclasses.dataclass
class Run:
    """One run, with its entries in order."""

    run_id: str
    verb: str
    started: str
    entries: list[Entry]
    parameters: t.Mapping[str, t.Any]
    controller: t.Mapping[str, t.Any]
    ended: str | None = None
    outcome: str | None = None
    store: str | None = None
    message: str = ""
    facts: t.Mapping[str, t.Any] = dataclasses.field(default_factory=dict)
    attempts: int = 1
    phases: list[Phase] = dataclasses.field(default_factory=list)

    @property
    def last_time(self) -> str:
        return str(self.entries[-1]["time"])

    def last(self, name: str) -> Phase | None:
        """Return the last attempt of a phase."""
        found = [phase for phase in self.phases if phase.name == name]
        return found[-1] if found else None

    def open_phase(self) -> Phase | None:
        """Return where the run stopped, when it did: the phase that failed, or did not come to its end."""
        found = [phase for phase in self.phases if phase.status in ("failed", "running", "interrupted")]
        ended = bool(self.phases) and self.phases[-1].status == "passed" and self.phases[-1].name != WAY_BACK
        return found[-1] if found and not ended else None


@dataclasses.dataclass(frozen=True)
class Story:
    """The runs of one cutover. C(run_id) names it: that of the cutover."""

    run_id: str
    runs: tuple[Run, ...]

    def of(self, *verbs: str) -> list[Run]:
        return [run for run in self.runs if run.verb in verbs]

    @property
    def cutover(self) -> Run | None:
        found = self.of("cutover")
        return found[0] if found else None

    def last(self, *names: str) -> Phase | None:
        """Return the last attempt of these phases, in whichever run."""
        found = [phase for run in self.runs for phase in run.phases if phase.name in names]
        return found[-1] if found else None

    def entries(self) -> list[Entry]:
        """Return every entry of these runs, in the order of the ledger."""
        return sorted((entry for run in self.runs for entry in run.entries), key=lambda entry: entry["seq"])


def stories(entries: t.Iterable[Entry]) -> list[Story]:
    """Return the stories of a ledger, oldest first."""
    parts: list[list[Run]] = []
    alone: list[list[Run]] = []
    for run in _runs(entries):
        if run.verb in ON_COPIES:
            alone.append([run])
        elif run.verb == "cutover" or not parts:
            parts.append([run])
        else:
            parts[-1].append(run)
    told = [Story(runs[0].run_id, tuple(runs)) for runs in parts + alone]
    return sorted(told, key=lambda story: story.runs[-1].entries[0]["seq"])


def find(entries: t.Iterable[Entry], run_id: str | None) -> Story | None:
    """Return the story that a run belongs to, by default the one of the last run; None when there is none."""
    told = stories(entries)
    if run_id is None:
        return told[-1] if told else None
    return next((story for story in told if any(run.run_id == run_id for run in story.runs)), None)


def _runs(entries: t.Iterable[Entry]) -> list[Run]:
    runs: dict[str, Run] = {}
    for entry in entries:
        run_id, kind = entry["run_id"], entry["kind"]
        if kind == "run_started":
            runs[run_id] = Run(
                run_id,
                str(entry.get("verb")),
                entry["time"],
                [],
                entry.get("parameters") or {},
                entry.get("controller") or {},
            )
        run = runs.get(run_id)
        if run is None:  # a note about a torn line may come before any run
            continue
        run.entries.append(entry)
        if kind == "phase":
            _add(run, entry)
        elif entry.get("event") == RESUMED:
            run.attempts += 1
            _interrupt(run)
        elif kind == "run_ended":
            run.ended, run.outcome = entry["time"], entry.get("outcome")
            run.message, run.facts = str(entry.get("message") or ""), entry.get("facts") or {}
            _end(run)
        if kind in ("switched", "run_ended") and entry.get("store"):
            run.store = entry["store"]
    return list(runs.values())


def _add(run: Run, entry: Entry) -> None:
    name, status = str(entry["phase"]), str(entry["status"])
    if status == "started":
        run.phases.append(Phase(name, entry["time"]))
        return
    phase = run.last(name)
    if phase is None or phase.status != "running":  # recorded without its start
        phase = Phase(name, entry["time"])
        run.phases.append(phase)
    phase.ended, phase.status = entry["time"], status
    given = entry.get("duration_ms")
    phase.duration_ms = given if given is not None else _span(phase)
    phase.facts, phase.checks = entry.get("facts") or {}, entry.get("checks") or ()
    phase.message = str(entry.get("message") or "")
    _take_measured(phase)


def _take_measured(phase: Phase) -> None:
    """Take the times of the window itself: it holds no lock, and is written down once it is over."""
    begun, ended = phase.facts.get("started"), phase.facts.get("ended")
    seconds = seconds_between(begun, ended)
    if phase.name == "window" and seconds is not None and seconds >= 0:
        phase.started, phase.ended, phase.duration_ms = str(begun), str(ended), round(seconds * 1000)


def _interrupt(run: Run) -> None:
    for phase in run.phases:
        if phase.status == "running":
            phase.status = "interrupted"


def _end(run: Run) -> None:
    for phase in run.phases:
        if phase.status == "running":
            phase.status = "failed" if run.outcome in _BAD else "interrupted"
            phase.ended, phase.message = run.ended, run.message
            phase.duration_ms = _span(phase)
    if run.verb == "cutover" and run.outcome == "rolled_back" and run.phases and run.phases[-1].ended:
        back = Phase(WAY_BACK, run.phases[-1].ended, run.ended, "passed" if run.store == "sqlite" else "failed")
        back.duration_ms, back.facts = _span(back), run.facts
        run.phases.append(back)


def _span(phase: Phase) -> float | None:
    seconds = seconds_between(phase.started, phase.ended)
    return None if seconds is None else max(0.0, round(seconds * 1000))
