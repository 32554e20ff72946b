# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""What a run may record, and when that is already recorded. Pure."""

from __future__ import annotations

import datetime
import re
import secrets
import typing as t

from ._errors import BadInput

RESUMED = "resumed"  # the event of the note that a resumed run begins with
_RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}")
_PHASE = re.compile(r"[a-z][a-z0-9_]*")
# A template that says phases.copy must get the phase, not the method of the dictionary.
_METHODS = frozenset(dir(dict))


def kind_of(fields: t.Mapping[str, t.Any]) -> str:
    """Return the kind of entry that these fields make: C(phase), C(switched) or C(note).

    Raises:
        BadInput: They make none, or more than one, or the phase's name cannot be used.
    """
    if ("phase" in fields) != ("status" in fields) or ("phase" in fields and "store" in fields):
        raise BadInput(
            "A record names a phase with its status, or a store, or a text alone",
            "both or halves of these were given",
        )
    if "phase" in fields:
        if not _PHASE.fullmatch(fields["phase"]) or fields["phase"] in _METHODS:
            raise BadInput(
                f"Phase {fields['phase']!r} is refused",
                "a phase is named with small letters, digits and '_', and not like a method of a dictionary",
            )
        return "phase"
    if "store" in fields:
        return "switched"
    if "message" in fields:
        return "note"
    raise BadInput("A record needs a phase with its status, a store or a text")


def last_phase(entries: list[dict[str, t.Any]], run_id: str, phase: str) -> dict[str, t.Any] | None:
    """Return the phase's last entry in this run; a start before the run was resumed does not count."""
    resumed = False
    for entry in reversed(entries):
        if entry["run_id"] != run_id:
            continue
        if entry["kind"] == "phase" and entry["phase"] == phase:
            return None if resumed and entry["status"] == "started" else entry
        resumed = resumed or entry.get("event") == RESUMED
    return None


def same_phase(recorded: t.Mapping[str, t.Any], fields: t.Mapping[str, t.Any]) -> bool:
    """Whether the phase is recorded with just this already."""
    return all(recorded.get(name) == fields.get(name) for name in ("status", "facts", "checks", "message"))


def new_run_id(verb: str) -> str:
    """Return an id that sorts by time and can be typed: C(20261121T093015Z-cutover-1a2b3c)."""
    stamp = datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ")
    return f"{stamp}-{verb}-{secrets.token_hex(3)}"


def check_run_id(run_id: str | None) -> None:
    """Refuse a run_id that could not be typed back, or would hide something.

    Raises:
        BadInput: It holds other characters than letters, digits, C(.), C(_) and C(-), or more than 80.
    """
    if run_id is not None and not _RUN_ID.fullmatch(run_id):
        raise BadInput(
            f"run_id {run_id!r} is refused", "it holds letters, digits, '.', '_' and '-' only, at most 80 of them"
        )
