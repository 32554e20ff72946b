# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Gates before the close on what was seen after the switch: what was tried, the watch, the rows (seed 000 §8)."""

from __future__ import annotations

import datetime
import typing as t

from ._attested import age_text
from ._gate_decision import Measured
from ._gate_ledger import last_phase, last_switch, runs_since
from ._gate_look import Entry, GateLook
from ._instant import instant_of
from ._verdict import FAILED, NOT_VERIFIED, PASSED, Check, not_verified

# Seed 002 §5
_VERIFIED_WITHIN = datetime.timedelta(minutes=15)
_NO_SWITCH = "the ledger knows of no switch to PostgreSQL"


def backend_observed(look: GateLook) -> Measured:
    """Every instance said, after the switch, that it works on PostgreSQL."""
    return _tried(look, "backend_observed", "ready_checks")


def reads_validated(look: GateLook) -> Measured:
    """The reads of the smoke checks were tried after the switch."""
    return _tried(look, "reads_validated", "read_checks")


def writes_validated(look: GateLook) -> Measured:
    """The round trips were tried after the switch."""
    return _tried(look, "writes_validated", "write_checks")


def plugin_validated(look: GateLook) -> Measured:
    """What the application's users do was tried after the switch."""
    return _tried(look, "plugin_validated", "plugin_checks")


def _tried(look: GateLook, name: str, option: str) -> Check:
    """Return whether the checks of these names passed in phase verify of this cutover, and soon enough."""
    names = list(dict.fromkeys(look.params[option]))
    switch, entry = last_switch(look.entries), _verify(look)
    if switch is None:
        return not_verified(name, _NO_SWITCH)
    if entry is None or entry["status"] == "started":
        return not_verified(name, "phase verify of this cutover has not ended; run the cutover again")
    if not names:
        return not_verified(name, f"the profile has no such checks ({option}); try it by hand, and say so")
    found: dict[str, list[str]] = {}
    for check in entry.get("checks") or []:
        found.setdefault(str(check.get("name")), []).append(str(check.get("verdict")))
    observed: dict[str, t.Any] = {"at": entry["time"], "switched": switch["time"], "checks": {}}
    observed["checks"] = {wanted: ", ".join(sorted(set(found.get(wanted, ["not made"])))) for wanted in names}
    expected = {"within": age_text(_VERIFIED_WITHIN), "checks": dict.fromkeys(names, PASSED)}
    wrong = [f"{wanted} ({verdict})" for wanted, verdict in observed["checks"].items() if verdict != PASSED]
    if any(FAILED in verdicts for wanted, verdicts in found.items() if wanted in names):
        return Check(name, FAILED, expected, observed, f"after the switch these did not pass: {', '.join(wrong)}")
    if wrong:
        return Check(
            name, NOT_VERIFIED, expected, observed, f"after the switch these were not made: {', '.join(wrong)}"
        )
    took = _between(switch, entry)
    if took is None or took > _VERIFIED_WITHIN:
        when = age_text(took) if took else "nobody knows how long"
        words = f"tried {when} after the switch, not within {age_text(_VERIFIED_WITHIN)}"
        return Check(name, FAILED, expected, observed, words + "; try it again by hand, and say so")
    return Check(name, PASSED, expected, observed, f"{len(names)} checks passed, {age_text(took)} after the switch")


def _verify(look: GateLook) -> Entry | None:
    switch, entry = last_switch(look.entries), last_phase(look.entries, "verify")
    return entry if entry and switch and entry["seq"] > switch["seq"] else None


def _between(earlier: Entry, later: Entry) -> datetime.timedelta | None:
    start, end = instant_of(str(earlier["time"])), instant_of(str(later["time"]))
    return max(end - start, datetime.timedelta()) if start and end else None


def window(look: GateLook) -> Measured:
    """The switch was watched to the end of its window, and no trigger fired; or there is a reason to close early."""
    name, reason = "window", look.params["early_reason"]
    if reason:
        return Check(name, PASSED, "watched, or a reason", reason, f"closed early: {reason}")
    if not int(look.params["stabilization_window"]):
        return Check(name, PASSED, 0, 0, "the profile has no stabilization window (stabilization_window is 0)")
    switch = last_switch(look.entries)
    if switch is None:
        return not_verified(name, _NO_SWITCH)
    early = '; to close all the same: -e close_early=true -e close_reason="..."'
    facts = [_window_facts(look, run_id) for run_id in runs_since(look.entries, "watch", switch)]
    ended = [found for found in facts if found]
    fired = sorted({trigger for found in ended for trigger in found.get("fired") or []})
    stopped = [found.get("stopped_by") for found in ended]
    observed = {"watches": len(facts), "fired": fired, "stopped_by": stopped}
    expected = {"fired": [], "stopped_by": ["duration"]}
    if fired:
        return Check(name, FAILED, expected, observed, f"triggers fired in the window: {', '.join(fired)}{early}")
    if not facts:
        words = "nobody watched since the switch"
    elif "duration" not in stopped:
        words = "the watch did not run to the end of the window"
    else:
        return Check(name, PASSED, expected, observed, "watched to the end of the window; no trigger fired")
    return Check(
        name,
        NOT_VERIFIED,
        expected,
        observed,
        f"{words}; while it runs, ansible-playbook cutover.yml -e source_id={look.source_id} goes on with it{early}",
    )


def _window_facts(look: GateLook, run_id: str) -> dict[str, t.Any]:
    entry = last_phase([found for found in look.entries if found["run_id"] == run_id], "window", "watch")
    return dict(entry.get("facts") or {}) if entry and entry["status"] != "started" else {}


def data(look: GateLook) -> Measured:
    """The rows were compared, now by whoever asks the gates, or when the profile was loaded."""
    name = "data"
    given = look.params["data_checks"]
    if given:
        wrong = [check for check in given if check.get("verdict") != PASSED]
        words = "; ".join(f"{check.get('name')}: {check.get('message') or check.get('verdict')}" for check in wrong)
        observed = {"checks": len(given), "open": [check.get("name") for check in wrong]}
        expected: dict[str, t.Any] = {"open": []}
        if not wrong:
            return Check(name, PASSED, expected, observed, f"{len(given)} comparisons of both stores passed just now")
        failed = any(check.get("verdict") == FAILED for check in wrong)
        return Check(name, FAILED if failed else NOT_VERIFIED, expected, observed, words)
    switch, entry = last_switch(look.entries), last_phase(look.entries, "parity")
    if switch is None or entry is None:
        return not_verified(name, _NO_SWITCH if switch is None else "the ledger has no phase parity of this cutover")
    observed = {"status": entry["status"], "at": entry["time"]}
    if entry["status"] != "passed":
        return Check(name, FAILED, "passed", observed, "parity has not passed, says the ledger")
    return Check(
        name, PASSED, "passed", observed, f"every row was the same when the profile was cut over, {entry['time']}"
    )
