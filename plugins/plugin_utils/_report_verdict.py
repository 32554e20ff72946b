# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""What a story came to: its verdict, the live store, where it stopped, what to type next. Pure."""

from __future__ import annotations

import typing as t

from ansible_collections.sxops.pg_cutover.plugins.plugin_utils._report_story import Run, Story
from ansible_collections.sxops.pg_cutover.plugins.plugin_utils._report_words import clock

COMPLETED, CLOSED, FIRED, FAILED, ROLLED_BACK, REFUSED, OPEN, BROKEN = (
    "completed",
    "closed",
    "fired",
    "failed",
    "rolled_back",
    "refused",
    "open",
    "broken",
)
NAMES = {"sqlite": "SQLite", "postgres": "PostgreSQL", None: "not known"}
_WORDS = {
    COMPLETED: "Completed",
    CLOSED: "Completed and closed",
    FIRED: "Trigger fired",
    FAILED: "Failed",
    ROLLED_BACK: "Rolled back",
    REFUSED: "Refused",
    OPEN: "Open",
    BROKEN: "Evidence broken",
}
# Runs that change nothing of what a cutover came to when they are refused or abandoned.
_BESIDE = frozenset({"close", "watch", "repair", "restore"})
_PLAYBOOK = {"watch": "cutover", "repair": "rollback", "rehearse": "rehearse", "drill": "drill", "restore": "restore"}


def verdict_of(story: Story | None, broken: bool) -> dict[str, t.Any]:
    """Return C(verdict), its C(words) and the C(sentence) that explains it."""
    verdict = BROKEN if broken else _verdict(story)
    return {"verdict": verdict, "words": _WORDS[verdict], "sentence": _sentence(story, verdict)}


def _telling(story: Story | None) -> list[Run]:
    """Return the runs that say how the profile stands.

    A watch that found it brought back by somebody is written down behind that rollback, and says nothing of it.
    """
    runs = story.runs if story else ()
    return [run for run in runs if run.outcome is None or _window(run).get("stopped_by") != "fence_down"]


def _verdict(story: Story | None) -> str:
    if story is None:
        return OPEN
    verdict = OPEN
    for run in _telling(story):
        if run.outcome is None:
            verdict = OPEN
        elif run.outcome == "abandoned":
            verdict = verdict if run.verb in _BESIDE else OPEN
        elif run.outcome == "completed":
            verdict = _completed(run, verdict)
        elif run.verb == "close" or (run.verb in _BESIDE and run.outcome == "refused"):
            continue  # it is as it was, and the report says where that stopped
        elif run.verb == "watch":
            verdict = FIRED if _fired(run) else OPEN
        else:
            verdict = ROLLED_BACK if run.outcome == "rolled_back" else run.outcome
    return verdict if verdict in _WORDS else OPEN


def _window(run: Run) -> t.Mapping[str, t.Any]:
    window = run.last("window")
    return window.facts if window else {}


def _fired(run: Run) -> list[str]:
    return [str(name) for name in _window(run).get("fired") or ()]


def _completed(run: Run, before: str) -> str:
    if run.verb == "close":
        return CLOSED
    if run.verb == "rollback":
        return ROLLED_BACK
    if run.verb == "repair":
        return ROLLED_BACK if run.store == "sqlite" else before
    return COMPLETED


def _sentence(story: Story | None, verdict: str) -> str:
    if verdict == BROKEN:
        return (
            "The ledger was changed after it was written. What is shown here stands before the damage; "
            "nothing is said about what came after it."
        )
    if story is None:
        return "The ledger tells of no run."
    last = (_telling(story) or story.runs)[-1]
    if verdict == COMPLETED:
        return f"The profile works on PostgreSQL since {clock(_switched(story, 'postgres'))}, and can still go back."
    if verdict == CLOSED:
        return "The profile works on PostgreSQL. Capture, fences and the way back are taken away."
    if verdict == ROLLED_BACK:
        automatic = next((run for run in story.of("rollback") if run.parameters.get("automatic")), None)
        if automatic:
            trigger = automatic.parameters.get("trigger", "")
            return f"The trigger {trigger} fired, and the profile was brought back to SQLite."
        return "The profile is back on SQLite."
    if verdict == FIRED:
        names = ", ".join(_fired(last)).replace("_", " ")
        return f"The window's trigger {names} fired, and the profile is still on PostgreSQL: decide whether to go back."
    if verdict == OPEN:
        return f"The {last.verb} has not ended. As of {clock(last.last_time)}."
    return f"The {last.verb} did not come to its end."


def _switched(story: Story, store: str) -> str | None:
    times = [entry["time"] for entry in story.entries() if entry["kind"] == "switched" and entry.get("store") == store]
    return str(times[-1]) if times else None


def live_of(story: Story | None, before: str | None, broken: bool) -> dict[str, t.Any]:
    """Return which C(store) is live, C(since) when, whether that is C(proven), and the C(text) for people.

    Args:
        story: The story.
        before: The live store before it began, as the ledger tells; None when it was never switched.
        broken: Whether the ledger is, so that nothing is known of now.
    """
    store, since, proven = before or "sqlite", None, True
    for entry in story.entries() if story else ():
        if entry["kind"] == "phase" and entry["phase"] == "switch" and entry["status"] == "started":
            proven = False  # until it is told what came of it
        elif entry["kind"] in ("switched", "run_ended") and entry.get("store"):
            since = entry["time"] if entry["store"] != store else since
            store, proven = str(entry["store"]), True
        elif entry["kind"] == "run_ended" and entry.get("outcome") in ("failed", "rolled_back"):
            run = next(run for run in story.runs if run.run_id == entry["run_id"]) if story else None
            proven = proven and not (run and run.last("switch"))
    if broken:
        text = f"{NAMES[store]} as of the last line that holds; what came after it is not known"
    elif not proven:
        text = f"not proven: {NAMES[store]} was the last store that the ledger names"
    else:
        text = NAMES[store]
    return {"store": store, "since": since, "proven": proven and not broken, "text": text}


def stopped_of(story: Story | None) -> dict[str, t.Any] | None:
    """Return where the last run that did not end well stopped; None when everything after it did."""
    runs = _telling(story)
    for run in reversed(runs):
        if run.outcome == "completed":
            return None
        if run.outcome == "abandoned" and run is not runs[-1]:
            continue
        phase = run.open_phase()
        reason = (phase.message if phase else "") or run.message
        return {
            "run_id": run.run_id,
            "verb": run.verb,
            "outcome": run.outcome or "not ended",
            "phase": phase.name if phase else "",
            "task": str((phase.facts if phase else {}).get("task") or run.facts.get("task") or ""),
            "time": (phase.ended or phase.started) if phase else run.ended or run.started,
            "message": reason or ("It has not ended." if run.outcome is None else ""),
            "open_checks": [check for check in (phase.checks if phase else ()) if check.get("verdict") != "passed"],
        }
    return None


def next_of(
    story: Story | None, verdict: str, live: t.Mapping[str, t.Any], commands: t.Mapping[str, str]
) -> dict[str, str]:
    """Return the C(command) to type next, and C(why)."""
    last = next(reversed(_telling(story)), None)
    if verdict == BROKEN:
        return {
            "command": commands["status"],
            "why": "Find out who wrote to the ledger before anything else. Every run stops until the file is put "
            "aside; keep it as evidence.",
        }
    if last is None:
        return {"command": commands["status"], "why": "See how the profile stands."}
    if verdict == OPEN:
        playbook = _PLAYBOOK.get(last.verb, last.verb)
        return {"command": commands.get(playbook, commands["status"]), "why": "The same command goes on with it."}
    if verdict == FIRED:
        return {
            "command": f"{commands['rollback']} -e advise=true",
            "why": "It says whether to go back, and why, and changes nothing. Without advise it goes back.",
        }
    if not live["proven"]:
        return {
            "command": commands["rollback"],
            "why": "Which store is live is not proven; bring SQLite back and prove it.",
        }
    if verdict == COMPLETED:
        return {
            "command": commands["close"],
            "why": "When the window is over and everything is checked, end the cutover.",
        }
    if verdict == CLOSED:
        return {"command": commands["status"], "why": "Nothing is left to do."}
    if verdict == ROLLED_BACK or live["store"] == "sqlite":
        return {"command": commands["cutover"], "why": "To try again, once the cause is found."}
    if last.verb == "rollback":
        return {"command": commands["rollback"], "why": "See to what stopped it, then run it again."}
    return {"command": commands["cutover"], "why": "See to what stopped it, then run it again; it goes on from there."}


def way_back_of(
    story: Story | None, live: t.Mapping[str, t.Any], verdict: str, schema: str, commands: t.Mapping[str, str]
) -> dict[str, str]:
    """Return the C(command) that leads back to SQLite, and what it would do."""
    where = f"schema {schema}" if schema else "the tenant schema"
    if live["store"] != "postgres":
        return {"command": "", "text": "SQLite is the store of this profile, so there is nothing to go back to."}
    if verdict == CLOSED:
        return {
            "command": commands["restore"],
            "text": "The cutover is closed: what PostgreSQL takes is not captured any more. Only a restore leads back.",
        }
    switch = story.last("switch") if story else None
    if switch and switch.facts.get("online"):
        turned = (
            "the router is turned to the instances on SQLite"
            if switch.facts.get("method") == "route"
            else "the settings name SQLite again and the instances are restarted"
        )
        return {
            "command": commands["rollback"],
            "text": "Under a short lock everything that PostgreSQL took is brought to SQLite, which then takes the "
            f"writes again while PostgreSQL refuses them; {turned}, and the smoke, plugin and leakage checks have to "
            f"pass. The rows in PostgreSQL ({where}) are kept. It works with PostgreSQL gone as well; what SQLite then "
            "lacks is named, and can be merged later. With --check it says what it would do, and does nothing.",
        }
    return {
        "command": commands["rollback"],
        "text": "The settings name SQLite again, the instances are restarted, and the checks have to pass. Nothing was "
        f"captured offline, so rows written since stay in PostgreSQL ({where}); they are counted and named.",
    }
