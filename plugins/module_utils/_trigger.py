# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""A trigger of the watch at one instant: C(failed) means that it fires."""

from __future__ import annotations

import dataclasses
import fractions
import typing as t

from ._verdict import FAILED, NOT_VERIFIED, PASSED, Check

IMMEDIATE = "immediate"
SCHEDULED = "scheduled"


@dataclasses.dataclass(frozen=True)
class Kind:
    """What does not change about a trigger: its name, how bad it is, where it is written, how its value is measured."""

    name: str
    severity: str
    source: str
    unit: str

    def passed(self, message: str, **measured: t.Any) -> Trigger:
        """Return the trigger, not firing."""
        return Trigger(
            self.name, PASSED, self.severity, message=message, unit=self.unit, source=self.source, **measured
        )

    def fires(self, message: str, **measured: t.Any) -> Trigger:
        """Return the trigger, firing."""
        return dataclasses.replace(self.passed(message, **measured), verdict=FAILED)

    def not_verified(self, message: str, **measured: t.Any) -> Trigger:
        """Return the trigger, of which nothing can be said."""
        return dataclasses.replace(self.passed(message, **measured), verdict=NOT_VERIFIED)


@dataclasses.dataclass(frozen=True)
class Trigger:
    """One evaluation.

    Args:
        observed: The value, in C(unit); C(threshold) is what it must exceed.
        held_s: How long the condition has held by now, in seconds; C(needed_s) how long it must.
        since: The time of the sample from which on it holds; None when it does not.
        source: Where the runbooks ask for it.
    """

    name: str
    verdict: str
    severity: str
    observed: t.Any = None
    threshold: t.Any = None
    unit: str = ""
    held_s: float = 0.0
    needed_s: float = 0.0
    since: str | None = None
    message: str = ""
    source: str = ""

    @property
    def firing(self) -> bool:
        return self.verdict == FAILED

    def as_dict(self) -> dict[str, t.Any]:
        return dataclasses.asdict(self)

    def as_check(self) -> Check:
        """Return the trigger as a check, as the ledger keeps it."""
        expected = f"at most {self.threshold} {self.unit}".strip()
        if self.needed_s:
            expected += f", or more for less than {self.needed_s:g} s"
        observed = f"{self.observed} {self.unit}".strip() + (f" for {self.held_s:g} s" if self.held_s else "")
        return Check(
            self.name,
            self.verdict,
            None if self.threshold is None else expected,
            None if self.observed is None else observed,
            self.message,
        )


def exact(value: float) -> fractions.Fraction:
    """Return the number as it is written (0.1 is a tenth), so that a value at a threshold does not exceed it."""
    return fractions.Fraction(str(value))


def figure(value: t.Any) -> float:
    """Return a number as it is shown."""
    return round(float(value), 3)
