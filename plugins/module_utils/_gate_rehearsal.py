# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Gates on what was tried before on copies: the restore drill, and the rehearsal with its parity and its way back."""

from __future__ import annotations

import datetime
import typing as t

from ._attested import age_text
from ._gate_decision import Measured
from ._gate_ledger import last_run
from ._gate_look import GateLook
from ._instant import instant_of
from ._verdict import FAILED, PASSED, Check, not_verified

_COMPLETED = "completed"


def restore_drill(look: GateLook) -> Measured:
    """The last drill completed, and not too long ago."""
    name, limit = "restore_drill", _days(look, "drill_max_age_days")
    run = last_run(look.entries, "drill")
    if run is None:
        return not_verified(name, _none(look, "restore drill"))
    return _recent(name, "restore drill", run, look, limit) or Check(
        name, PASSED, _expected(limit), _observed(run), f"restore drill {run['run_id']} completed {_ago(run, look)}"
    )


def migration_dry_run(look: GateLook) -> Measured:
    """In the last rehearsal the schema was made and loaded."""
    return _rehearsed(
        look, "migration_dry_run", ("bootstrap", "load"), "schema and rows came to exist in the rehearsal"
    )


def import_rehearsal(look: GateLook) -> Measured:
    """In the last rehearsal every row was compared and is the same."""
    return _rehearsed(look, "import_rehearsal", ("load", "parity"), "parity was green in the rehearsal")


def rollback_rehearsal(look: GateLook) -> Measured:
    """In the last rehearsal the way back was gone, and took no longer than it may."""
    name = "rollback_rehearsal"
    check = _rehearsed(look, name, ("rollback",), "the way back was gone in the rehearsal")
    if check.verdict != PASSED:
        return check
    run = last_run(look.entries, "rehearse") or {}
    phase = run["phases"]["rollback"]
    took = (phase.get("facts") or {}).get("rto_ms", phase.get("duration_ms"))
    minutes = int(look.params["rto_limit_minutes"])
    if took is None:
        return not_verified(name, f"rehearsal {run['run_id']} does not say how long the way back took; rehearse again")
    observed = {**_observed(run), "rto_ms": took}
    words = f"the way back took {took / 1000:.1f} s of {minutes} min in rehearsal {run['run_id']}, {_ago(run, look)}"
    good = took <= minutes * 60_000
    if not good:
        words += ". Find out what takes so long, or agree on another gates.rto_limit_minutes"
    return Check(name, PASSED if good else FAILED, {"rto_ms": minutes * 60_000}, observed, words)


def _rehearsed(look: GateLook, name: str, phases: t.Sequence[str], words: str) -> Check:
    limit = _days(look, "rehearsal_max_age_days")
    run = last_run(look.entries, "rehearse")
    if run is None:
        return not_verified(name, _none(look, "rehearsal"))
    late = _recent(name, "rehearsal", run, look, limit)
    if late:
        return late
    states = {phase: (run["phases"].get(phase) or {}).get("status") for phase in phases}
    missing = [phase for phase, status in states.items() if status is None]
    if missing:
        return not_verified(name, f"rehearsal {run['run_id']} did not come to {', '.join(missing)}; rehearse again")
    wrong = [phase for phase, status in states.items() if status != "passed"]
    observed = {**_observed(run), **states}
    if wrong:
        return Check(name, FAILED, "passed", observed, f"{', '.join(wrong)} did not pass in rehearsal {run['run_id']}")
    return Check(name, PASSED, _expected(limit), observed, f"{words} {run['run_id']}, {_ago(run, look)}")


def _recent(
    name: str, what: str, run: t.Mapping[str, t.Any], look: GateLook, limit: datetime.timedelta
) -> Check | None:
    """Return the check of a run that did not complete, or is too old; None where it will do."""
    if run["outcome"] != _COMPLETED:
        why = f": {run['message'].rstrip('.')}" if run.get("message") else ""
        words = f"the last {what}, {run['run_id']}, {_ago(run, look)}, ended as {run['outcome']}{why}"
        return Check(name, FAILED, _expected(limit), _observed(run), words)
    ended = instant_of(str(run["ended"]))
    if ended is None or look.now - ended > limit:
        words = f"the last {what}, {run['run_id']}, was {_ago(run, look)}; it may be {age_text(limit)} old. Do it again"
        return Check(name, FAILED, _expected(limit), _observed(run), words)
    return None


def _none(look: GateLook, what: str) -> str:
    return f"the ledger of {look.source_id} knows of no {what}"


def _days(look: GateLook, option: str) -> datetime.timedelta:
    return datetime.timedelta(days=look.params[option])


def _expected(limit: datetime.timedelta) -> str:
    return f"completed at most {age_text(limit)} ago"


def _observed(run: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    return {"run_id": run["run_id"], "outcome": run["outcome"], "at": run["ended"]}


def _ago(run: t.Mapping[str, t.Any], look: GateLook) -> str:
    ended = instant_of(str(run["ended"]))
    return f"{age_text(look.now - ended)} ago" if ended else "at an unknown time"
