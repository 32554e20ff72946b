# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.sxops.pg_cutover.plugins.module_utils._errors import MigrationsOpen
from ansible_collections.sxops.pg_cutover.plugins.module_utils._migration_history import Applied, History, judge
from ansible_collections.sxops.pg_cutover.plugins.module_utils._verdict import FAILED, NOT_VERIFIED, PASSED

CHAIN = ["0001", "0002", "0003"]


def history(*ids: str, head_only: bool = False, checksums: dict[str, str] | None = None, **wanted: Any) -> History:
    applied = [Applied(one, (checksums or {}).get(one)) for one in ids]
    return judge("history", applied, wanted, head_only=head_only)


def test_every_expected_migration_has_to_be_there() -> None:
    whole = history("0001", "0002", expected=["0001", "0002"])
    assert (whole.verdict, whole.missing, whole.unexpected) == (PASSED, (), ())
    lacking = history("0001", "0002", expected=CHAIN)
    assert (lacking.verdict, lacking.missing) == (FAILED, ("0003",))
    assert lacking.checks[0].message == "missing: 0003"
    assert lacking.checks[0].observed == ["0001", "0002"]


def test_more_than_expected_fails_nothing_and_is_named() -> None:
    found = history("0001", "0009", expected=["0001"])
    assert (found.verdict, found.unexpected) == (PASSED, ("0009",))
    assert found.checks[0].message == "not expected: 0009"


@pytest.mark.parametrize(
    ("ids", "missing"),
    [
        (("0003",), ()),
        (("0002",), ("0003",)),
        (("0001",), ("0002", "0003")),
        ((), tuple(CHAIN)),
        (("a fork",), tuple(CHAIN)),
        (("a branch", "0003"), ()),
    ],
)
def test_of_a_head_only_what_comes_after_it_is_missing(ids: tuple[str, ...], missing: tuple[str, ...]) -> None:
    found = history(*ids, head_only=True, expected=CHAIN)
    assert found.missing == missing
    assert found.verdict == (FAILED if missing else PASSED)
    assert found.checks[0].expected == ["0003"]


def test_a_checksum_may_be_in_capitals_and_no_other_one() -> None:
    wanted = {"0001": "ABCD", "0002": "ef01"}
    found = history("0001", "0002", checksums={"0001": "abcd", "0002": "ef02"}, expected_checksums=wanted)
    assert (found.verdict, found.missing, found.mismatched) == (FAILED, (), ("0002",))
    assert found.checks[1].message == "0002 is ef02, not ef01"
    assert history("0001", expected_checksums=wanted).missing == ("0002",)
    assert history("0001", expected_checksums={"0001": "x"}).mismatched == ("0001",)  # it has none


def test_nothing_expected_proves_nothing_and_an_empty_table_is_a_failure() -> None:
    assert history("0001").verdict == NOT_VERIFIED
    assert history().verdict == FAILED


def test_the_refusal_names_what_is_missing() -> None:
    with pytest.raises(MigrationsOpen, match="missing: 0003"):
        history("0001", "0002", expected=CHAIN).refuse("a")
    history("0001", expected=["0001"]).refuse("a")
