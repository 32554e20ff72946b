# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""GO or NO-GO: what was measured, what people said, and what is still open. Pure."""

from __future__ import annotations

import dataclasses
import datetime
import typing as t

from . import _gates
from ._attested import Statement
from ._errors import NoGo
from ._gates import EVIDENCE, MEASURED, PEOPLE, STATEMENTS, Gate
from ._instant import instant_of
from ._verdict import FAILED, NOT_VERIFIED, PASSED, Check, not_verified, open_checks, overall


@dataclasses.dataclass(frozen=True)
class LeftOut:
    """A gate that does not apply to a profile, and why."""

    why: str


Measured = t.Union[Check, LeftOut]

_UNTOUCHED = {
    _gates.BEFORE_CHANGE: "Nothing was changed.",
    _gates.BEFORE_SWITCH: "Nothing was switched.",
    _gates.CLOSE: "Nothing was closed.",
}


@dataclasses.dataclass(frozen=True)
class Decision:
    """What the gates of a stage come to."""

    stage: str
    checks: tuple[Check, ...]
    waived: tuple[Statement, ...]
    attested: tuple[Statement, ...]
    left_out: t.Mapping[str, str]

    @property
    def open(self) -> list[Check]:
        return open_checks(self.checks)

    @property
    def go(self) -> bool:
        return not self.open

    def as_dict(self) -> dict[str, t.Any]:
        return {
            "stage": self.stage,
            "go": self.go,
            "verdict": overall(self.checks),
            "checks": [check.as_dict() for check in self.checks],
            "open": [check.name for check in self.open],
            "waived": [said.as_dict() for said in self.waived],
            "attested": [said.as_dict() for said in self.attested],
            "left_out": [{"gate": name, "reason": why} for name, why in self.left_out.items()],
            "summary": self.summary(),
        }

    def summary(self) -> str:
        """Return GO with its numbers, or NO-GO with every open gate and what opens it."""
        waived = f", {len(self.waived)} waived" if self.waived else ""
        if self.go:
            return f"GO: {len(self.checks)} gates passed{waived}."
        return self._no_go().message()

    def refuse(self, facts: t.Mapping[str, t.Any]) -> None:
        """Raise L(NoGo) with every open gate, if there is one."""
        if not self.go:
            raise self._no_go(**facts)

    def _no_go(self, **facts: t.Any) -> NoGo:
        number = len(self.open)
        what = f"NO-GO: {number} of {len(self.checks)} gates {'is' if number == 1 else 'are'} open"
        why = "; ".join(f"{check.name} ({check.verdict}): {check.message.rstrip('.')}" for check in self.open)
        return NoGo(what, why, f"{_how_to_say(self.open)}{_UNTOUCHED[self.stage]}", **facts)


def _how_to_say(open_gates: t.Iterable[Check]) -> str:
    """Return what is typed or written for the open gates that people can answer."""
    names = [check.name for check in open_gates if _gates.can_be_said(check.name)]
    if not names:
        return ""
    return (
        f'Who knows that it was done says so: -e attest={",".join(names)} -e attested_by="<name>", or in the '
        f"inventory, cutover_attested: [{{gate: {names[0]}, by: <name>, at: <time>}}]. Who answers for going without: "
        f"cutover_waived: [{{gate: {names[0]}, by: <name>, at: <time>, reason: <why>}}]. "
    )


def decide(stage: str, measured: t.Mapping[str, Measured], statements: t.Sequence[Statement]) -> Decision:
    """Return what the gates of a stage come to.

    Every gate yields exactly one check, or is waived, or is left out with the reason. What people said counts for a
    gate that can be measured only where nothing newer was measured.

    Args:
        stage: One of L(_gates.STAGES).
        measured: The gates of the stage that are not answered by people alone.
        statements: What people said, about whichever gate.
    """
    checks: list[Check] = []
    waived: list[Statement] = []
    attested: list[Statement] = []
    left_out: dict[str, str] = {}
    for gate in _gates.gates_of(stage):
        found = _statements_check(statements) if gate.name == STATEMENTS else measured.get(gate.name)
        if isinstance(found, LeftOut):
            left_out[gate.name] = found.why
            continue
        about = [said for said in statements if said.gate == gate.name]
        if gate.kind == MEASURED:
            checks.append(_measured(gate, found, about))
            continue
        waivers = [said for said in about if said.waives and not said.fault]
        if waivers:
            waived.append(waivers[-1])
            continue
        check = found or _unsaid(gate)
        if check.verdict != PASSED:
            said = _standing_in(gate, check, about)
            if said:
                attested.append(said)
                observed = {"by": said.by, "at": said.at}
                check = Check(gate.name, PASSED, gate.asks, observed, f"attested by {said.describe()}")
            elif about:
                check = _with_faults(gate, check, about)
        checks.append(check)
    return Decision(stage, tuple(checks), tuple(waived), tuple(attested), left_out)


def _measured(gate: Gate, found: Check | None, about: t.Sequence[Statement]) -> Check:
    check = found or not_verified(gate.name, "nothing was measured", gate.asks)
    if not about:
        return check
    said = about[-1]
    verb = "waived" if said.waives else "attested"
    return Check(
        gate.name,
        FAILED,
        gate.asks,
        check.observed,
        f"it was {verb} by {said.by or 'nobody'}, but is measured, so nobody's word stands in for it (measured: "
        f"{check.verdict}{', ' + check.message if check.message else ''}). Take it out of cutover_{verb}",
    )


def _unsaid(gate: Gate) -> Check:
    return not_verified(gate.name, f"nobody has said that {gate.asks}", gate.asks)


def _standing_in(gate: Gate, check: Check, about: t.Sequence[Statement]) -> Statement | None:
    """Return the newest statement that counts instead of what was measured."""
    valid = [said for said in about if not said.waives and not said.fault and said.instant]
    if not valid:
        return None
    newest = max(valid, key=lambda said: said.instant or datetime.datetime.min)
    if gate.kind == PEOPLE or check.verdict == NOT_VERIFIED:
        return newest
    measured_at = instant_of(str((check.observed or {}).get("at", ""))) if gate.kind == EVIDENCE else None
    return newest if measured_at and newest.instant and newest.instant > measured_at else None


def _with_faults(gate: Gate, check: Check, about: t.Sequence[Statement]) -> Check:
    """Return the check of a gate about which something was said that does not count, and why it does not."""
    faults = [
        f"{'waived' if said.waives else 'attested'} by {said.by or 'nobody'}: {said.fault}"
        for said in about
        if said.fault
    ]
    why = f"what was said does not count, {'; '.join(faults)}" if faults else "what was attested is older than that"
    message = f"{check.message.rstrip('.')}; {why}" if gate.kind != PEOPLE else why
    return dataclasses.replace(check, verdict=FAILED if gate.kind == PEOPLE else check.verdict, message=message)


def _statements_check(statements: t.Sequence[Statement]) -> Check:
    """Return whether everything that was said names a gate; what is wrong with a known gate's is said there."""
    unknown = sorted({said.gate for said in statements if said.gate not in _gates.BY_NAME})
    if not unknown:
        return Check(STATEMENTS, PASSED, [], [], f"{len(statements)} attested or waived")
    sayable = ", ".join(name for name in _gates.BY_NAME if _gates.can_be_said(name))
    return Check(
        STATEMENTS,
        FAILED,
        [],
        unknown,
        f"no gate has the name {', '.join(map(repr, unknown))}; correct it in attest, cutover_attested or "
        f"cutover_waived. People can answer {sayable}",
    )
