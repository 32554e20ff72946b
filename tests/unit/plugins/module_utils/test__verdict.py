# SPDX-License-Identifier: GPL-3.0-or-later
"""Verdicts: what was not verified blocks like what failed."""

from __future__ import annotations

import pytest
from ansible_collections.sxops.pg_cutover.plugins.module_utils._verdict import (
    FAILED,
    NOT_VERIFIED,
    PASSED,
    Check,
    compare,
    describe,
    not_verified,
    open_checks,
    overall,
)

GOOD = Check("good", PASSED)
BAD = Check("bad", FAILED, 1, 2)
OPEN = not_verified("open", "nobody looked")


@pytest.mark.parametrize(
    ("checks", "verdict"),
    [
        ([], NOT_VERIFIED),
        ([GOOD], PASSED),
        ([GOOD, OPEN], NOT_VERIFIED),
        ([OPEN], NOT_VERIFIED),
        ([GOOD, BAD], FAILED),
        ([BAD, OPEN], FAILED),
    ],
)
def test_the_worst_check_decides_and_no_check_proves_nothing(checks: list[Check], verdict: str) -> None:
    assert overall(checks) == verdict
    assert overall(iter(checks)) == verdict


def test_an_unknown_verdict_never_counts_as_passed() -> None:
    assert open_checks([Check("odd", "ok")]) == [Check("odd", "ok")]


@pytest.mark.parametrize(("expected", "observed", "verdict"), [(0, 0, PASSED), (0, 1, FAILED), ("0", 0, FAILED)])
def test_a_comparison_passes_when_both_sides_are_equal(expected: object, observed: object, verdict: str) -> None:
    assert compare("rows", expected, observed).verdict == verdict


def test_open_checks_are_those_that_block_in_order() -> None:
    assert open_checks([OPEN, GOOD, BAD]) == [OPEN, BAD]


def test_the_description_names_check_verdict_values_and_reason() -> None:
    assert describe([BAD, OPEN]) == "bad: failed (expected 1, observed 2); open: not_verified - nobody looked"


def test_a_check_becomes_plain_data() -> None:
    assert BAD.as_dict() == {"name": "bad", "verdict": "failed", "expected": 1, "observed": 2, "message": ""}
