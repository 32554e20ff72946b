# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Named checks and their verdicts. C(not_verified) blocks exactly as C(failed) does."""

from __future__ import annotations

import dataclasses
import typing as t

PASSED = "passed"
FAILED = "failed"
NOT_VERIFIED = "not_verified"


@dataclasses.dataclass(frozen=True)
class Check:
    """One named check with what was expected and what was observed."""

    name: str
    verdict: str
    expected: t.Any = None
    observed: t.Any = None
    message: str = ""

    def as_dict(self) -> dict[str, t.Any]:
        return dataclasses.asdict(self)


def compare(name: str, expected: t.Any, observed: t.Any, message: str = "") -> Check:
    """Return a check that passes when both values are equal."""
    return Check(name, PASSED if expected == observed else FAILED, expected, observed, message)


def not_verified(name: str, why: str, expected: t.Any = None) -> Check:
    """Return a check that could not be made, with the reason."""
    return Check(name, NOT_VERIFIED, expected, None, why)


def overall(checks: t.Iterable[Check]) -> str:
    """Return the verdict over all checks: any failure fails; none at all, or any unmade one, is not verified."""
    verdicts = {check.verdict for check in checks}
    if FAILED in verdicts:
        return FAILED
    if not verdicts or NOT_VERIFIED in verdicts:
        return NOT_VERIFIED
    return PASSED


def open_checks(checks: t.Iterable[Check]) -> list[Check]:
    """Return the checks that block: everything that has not passed."""
    return [check for check in checks if check.verdict != PASSED]


def describe(checks: t.Iterable[Check]) -> str:
    """Return one line per check for a failure message: name, verdict, expected, observed, why."""
    lines = []
    for check in checks:
        line = f"{check.name}: {check.verdict}"
        if check.verdict == FAILED:
            line += f" (expected {check.expected!r}, observed {check.observed!r})"
        if check.message:
            line += f" - {check.message}"
        lines.append(line)
    return "; ".join(lines)
