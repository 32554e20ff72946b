# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""What the ledger knows that gates ask for: the last phases of a cutover, runs of a verb, the last switch. Pure."""

from __future__ import annotations

import typing as t

from ._gate_look import Entry
from ._ledger_summary import summary

ON_COPIES = frozenset({"rehearse", "drill"})


def verbs(entries: t.Iterable[Entry]) -> dict[str, str]:
    """Return the verb of every run."""
    return {entry["run_id"]: str(entry.get("verb")) for entry in entries if entry["kind"] == "run_started"}


def last_phase(entries: t.Sequence[Entry], phase: str, verb: str = "cutover") -> Entry | None:
    """Return how a phase ended last, in the latest run of the verb that came to it; None when none did.

    A run that goes on with what an earlier one loaded and proved has no such phase of its own.
    """
    of_run = verbs(entries)
    found = [
        entry
        for entry in entries
        if entry["kind"] == "phase" and entry["phase"] == phase and of_run.get(entry["run_id"]) == verb
    ]
    return found[-1] if found else None


def last_run(entries: t.Sequence[Entry], verb: str) -> dict[str, t.Any] | None:
    """Return the latest run of the verb that has ended, however it did; described as in L(_ledger_summary)."""
    of_run = verbs(entries)
    ended = [
        entry["run_id"]
        for entry in entries
        if entry["kind"] == "run_ended" and of_run.get(entry["run_id"]) == verb and entry["outcome"] != "abandoned"
    ]
    if not ended:
        return None
    found: dict[str, t.Any] | None = summary([entry for entry in entries if entry["run_id"] == ended[-1]])["last_run"]
    return found


def last_switch(entries: t.Sequence[Entry]) -> Entry | None:
    """Return the entry of the switch to PostgreSQL that still holds; None when there is none."""
    of_run = verbs(entries)
    real = [entry for entry in entries if of_run.get(entry["run_id"]) not in ON_COPIES]
    last: Entry | None = None
    for entry in real:
        if entry["kind"] in ("switched", "run_ended") and entry.get("store") == "sqlite":
            last = None
        elif entry["kind"] == "switched" and entry.get("store") == "postgres":
            last = entry
    return last


def runs_since(entries: t.Sequence[Entry], verb: str, since: Entry) -> list[str]:
    """Return the ids of the runs of a verb that were started after an entry."""
    return [
        entry["run_id"]
        for entry in entries
        if entry["kind"] == "run_started" and entry.get("verb") == verb and entry["seq"] > since["seq"]
    ]


def open_names(entry: Entry) -> list[str]:
    """Return the names of the checks of a phase that have not passed."""
    return [str(check.get("name")) for check in entry.get("checks") or [] if check.get("verdict") != "passed"]
