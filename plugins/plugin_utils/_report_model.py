# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""From the bytes of a ledger to the report: a plain dict, which is the JSON report, and what the pages show. Pure.

The same ledger and the same options make the same report, so nothing in it depends on when it was made.
"""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.sxops.pg_cutover.plugins.module_utils import _ledger
from ansible_collections.sxops.pg_cutover.plugins.module_utils._errors import BadInput
from ansible_collections.sxops.pg_cutover.plugins.module_utils._ledger_summary import summary
from ansible_collections.sxops.pg_cutover.plugins.plugin_utils import (
    _report_charts,
    _report_lessons,
    _report_lists,
    _report_measures,
    _report_objectives,
    _report_story,
    _report_timeline,
    _report_verdict,
)
from ansible_collections.sxops.pg_cutover.plugins.plugin_utils._report_story import Story

FORMAT = 1  # of the JSON report
_PLAYBOOKS = ("close", "cutover", "drill", "rehearse", "restore", "rollback", "status")
_TITLES = {"rehearse": "Rehearsal of {}", "drill": "Restore drill of {}", "rollback": "Rollback of {} to SQLite"}


@dataclasses.dataclass(frozen=True)
class Facts:
    """What the page says of the profile; nothing of it is in the ledger."""

    source_id: str
    host: str = ""
    schema: str = ""
    commands: t.Mapping[str, str] = dataclasses.field(default_factory=dict)

    def command(self, playbook: str) -> str:
        return self.commands.get(playbook) or f"ansible-playbook {playbook}.yml -e source_id={self.source_id}"


@dataclasses.dataclass(frozen=True)
class Anchor:
    """What an earlier report saw of a ledger: how many entries there were, the digests of the first and the last."""

    run_id: str
    entries: int
    first_digest: str
    last_digest: str
    report: str

    def is_of(self, entries: t.Sequence[t.Mapping[str, t.Any]]) -> bool:
        """Whether it saw this ledger. One that was begun anew, its file moved aside, has neither of both."""
        same_start = bool(entries) and entries[0].get("digest") == self.first_digest
        return same_start or any(entry["run_id"] == self.run_id for entry in entries if entry["kind"] == "run_started")


def report(
    content: bytes, facts: Facts, run_id: str | None = None, anchors: t.Sequence[Anchor] = ()
) -> dict[str, t.Any]:
    """Return the report on the story of a run, by default the last one.

    Args:
        content: The ledger, byte by byte.
        facts: What the page says of the profile.
        run_id: A run of the story.
        anchors: What earlier reports saw: a ledger written anew, or short of its last lines, has a chain that holds.

    Raises:
        BadInput: There is no such run in a ledger that is not broken.
    """
    found = _ledger.examine(content)
    chain = _chain(found, anchors)
    broken = not chain["verified"]
    entries = found.entries
    story = _report_story.find(entries, run_id)
    if story is None and not broken:
        which = f"Run {run_id} is unknown" if run_id else "There is nothing to report"
        raise BadInput(which, f"the ledger of {facts.source_id} has {len(entries)} entries and no such run")
    if story is None:  # what is broken may be just that run
        story = _report_story.find(entries, None)
    verdict = _report_verdict.verdict_of(story, broken)
    live = _report_verdict.live_of(story, _live_before(entries, story), broken)
    commands = {playbook: facts.command(playbook) for playbook in _PLAYBOOKS}
    told: dict[str, t.Any] = {
        "format": FORMAT,
        "title": _title(story, facts.source_id),
        "source_id": facts.source_id,
        "schema": facts.schema,
        "host": facts.host,
        "run_id": story.run_id if story else None,
        **verdict,
        "live": live,
        "stopped": _report_verdict.stopped_of(story),
        "next": _report_verdict.next_of(story, verdict["verdict"], live, commands),
        "way_back": _report_verdict.way_back_of(story, live, verdict["verdict"], facts.schema, commands),
        "chain": chain,
        **_parts(story),
    }
    told["environment"] = _environment(story, facts)
    told["lessons"] = _report_lessons.lessons(told)
    clean: dict[str, t.Any] = _ledger.without_secrets(told)
    return clean


def _parts(story: Story | None) -> dict[str, t.Any]:
    if story is None:
        return {
            "runs": [],
            "timeline": {"zero": None, "runs": [], "marks": []},
            "outages": [],
            "lag": [],
            "parity": None,
            "gates": None,
            "watch": None,
            "charts": [],
            "objectives": None,
            "rollback": None,
            "checklist": [],
            "baseline": None,
            "checks": [],
            "messages": [],
        }
    return {
        "runs": [_run(run) for run in story.runs],
        "timeline": _report_timeline.timeline(story),
        "outages": _report_measures.outages(story),
        "lag": _report_measures.lag(story),
        "parity": _report_measures.parity(story),
        "gates": _report_lists.gates(story),
        "watch": _watch(story),
        "charts": _report_charts.charts(story),
        "objectives": _report_objectives.objectives(story),
        "rollback": _report_lists.rollback(story),
        "checklist": _report_lists.checklist(story),
        "baseline": _report_measures.baseline(story),
        "checks": _checks(story),
        "messages": _messages(story),
    }


def _chain(found: _ledger.Examination, anchors: t.Sequence[Anchor]) -> dict[str, t.Any]:
    line, why = found.line, found.fault
    if line is None and found.torn_bytes:
        line, why = len(found.entries) + 1, f"it is cut off: {found.torn_bytes} bytes without an end of line"
    for anchor in [anchor for anchor in anchors if anchor.is_of(found.entries)] if line is None else ():
        if anchor.entries > len(found.entries):
            line, why = len(found.entries) + 1, f"it is missing: {anchor.report} saw {anchor.entries} entries"
            break
        if anchor.entries and found.entries[anchor.entries - 1].get("digest") != anchor.last_digest:
            line, why = anchor.entries, f"it is another one than {anchor.report} saw, so the ledger was written anew"
            break
    return {
        "verified": line is None,
        "line": line,
        "why": why,
        "remedy": "" if line is None else _ledger.REMEDY,
        "entries": len(found.entries),
        "first_digest": str(found.entries[0]["digest"]) if found.entries else "",
        "last_digest": str(found.entries[-1]["digest"]) if found.entries else "",
    }


def _live_before(entries: t.Sequence[t.Mapping[str, t.Any]], story: Story | None) -> str | None:
    if story is None:
        return None
    first = story.runs[0].entries[0]["seq"]
    live = summary([entry for entry in entries if entry["seq"] < first])["live_store"]
    return None if live is None else str(live)


def _title(story: Story | None, source_id: str) -> str:
    verb = story.runs[0].verb if story else "cutover"
    return _TITLES.get(verb, "Cutover of {} to PostgreSQL").format(source_id)


def _run(run: _report_story.Run) -> dict[str, t.Any]:
    return {
        "run_id": run.run_id,
        "verb": run.verb,
        "automatic": bool(run.parameters.get("automatic")),
        "started": run.started,
        "ended": run.ended,
        "outcome": run.outcome or "open",
        "store": run.store,
        "message": run.message,
        "attempts": run.attempts,
        "user": run.controller.get("user"),
        "controller": run.controller.get("host"),
        "parameters": dict(run.parameters),
    }


def _watch(story: Story) -> dict[str, t.Any] | None:
    """Return what the window came to, its parts as one; None when nothing was watched."""
    phases = [phase for run in story.runs for phase in run.phases if phase.name == "window" and phase.facts]
    if not phases:
        return None
    last = phases[-1].facts
    return {
        "started": phases[0].facts.get("started") or phases[0].started,
        "ended": last.get("ended") or phases[-1].ended,
        "duration_ms": sum(phase.facts.get("duration_ms") or phase.duration_ms or 0 for phase in phases),
        "samples": last.get("samples"),  # those of its earlier parts among them
        "samples_file": last.get("samples_file"),
        "samples_sha256": last.get("samples_sha256"),
        "stopped_by": last.get("stopped_by"),
        "fired": [name for phase in phases for name in phase.facts.get("fired") or ()],
        "triggers": [one for one in last.get("triggers") or () if isinstance(one, dict)],
        "advice": last.get("advice"),
        "replayed": sum(phase.facts.get("replayed") or 0 for phase in phases),
        "deleted": sum(phase.facts.get("deleted") or 0 for phase in phases),
    }


def _checks(story: Story) -> list[dict[str, t.Any]]:
    """Return for each phase how many of its checks passed, and those that did not."""
    found = []
    for run in story.runs:
        for phase in run.phases:
            if phase.checks:
                names = [one for one in phase.checks if one.get("verdict") != "passed"]
                found.append(
                    {
                        "verb": run.verb,
                        "phase": phase.name,
                        "time": phase.ended,
                        "checks": len(phase.checks),
                        "passed": len(phase.checks) - len(names),
                        "open": names,
                    }
                )
    return found


def _messages(story: Story) -> list[dict[str, t.Any]]:
    verbs = {run.run_id: run.verb for run in story.runs}
    return [
        {
            "time": entry["time"],
            "verb": verbs[entry["run_id"]],
            "kind": "end" if entry["kind"] == "run_ended" else entry["kind"],
            "phase": entry.get("phase"),
            "text": str(entry["message"]),
        }
        for entry in story.entries()
        if entry.get("message")
    ]


def _environment(story: Story | None, facts: Facts) -> list[dict[str, str]]:
    rows = [("profile", facts.source_id), ("managed host", facts.host), ("schema", facts.schema)]
    people = []
    for run in story.runs if story else ():
        who = " on ".join(str(part) for part in (run.controller.get("user"), run.controller.get("host")) if part)
        people.append(f"{run.verb} by {who}" if who else "")
    rows += [("run by", ", ".join(dict.fromkeys(part for part in people if part)))]
    cutover = story.cutover if story else None
    if cutover:
        switch = story.last("switch") if story else None
        rows += [
            ("mode", str(cutover.parameters.get("mode") or "")),
            ("switched by", str((switch.facts if switch else {}).get("method") or "")),
        ]
    return [{"name": name, "value": value} for name, value in rows if value]
