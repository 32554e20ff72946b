# SPDX-License-Identifier: GPL-3.0-or-later
"""Every class of problem that the census can name has its place among the policies, and in the documentation."""

from __future__ import annotations

import re

import pytest
from ansible_collections.sxops.pg_cutover.plugins.doc_fragments import data_policies
from ansible_collections.sxops.pg_cutover.plugins.module_utils._errors import BadInput
from ansible_collections.sxops.pg_cutover.plugins.module_utils._policies import (
    ALWAYS_REFUSED,
    CONVERTIBLE,
    POLICIES,
    REFUSABLE,
    check_policies,
)
from ansible_collections.sxops.pg_cutover.plugins.module_utils._postgres_store import Column
from ansible_collections.sxops.pg_cutover.plugins.module_utils._value_kind import problems_of
from ansible_collections.sxops.pg_cutover.plugins.module_utils._value_kinds import KINDS, kind_of

TYPES = [*KINDS, "timestamptz", "timestamp", "time", "mood"]


def column(type_name: str) -> Column:
    labels = ("a",) if type_name == "mood" else ()
    return Column("x", type_name, f"{type_name}(3,2)", False, False, "", False, None, labels)


@pytest.mark.parametrize("type_name", TYPES)
def test_every_problem_of_every_type_has_a_class_with_a_policy(type_name: str) -> None:
    kind = kind_of(column(type_name))
    assert kind
    found = {problem.problem_class for problem in problems_of(kind, type_name, True)}
    assert found <= {*CONVERTIBLE, *REFUSABLE}


def test_every_class_belongs_to_a_type() -> None:
    kinds = [kind for kind in (kind_of(column(name)) for name in TYPES) if kind]
    found = {problem.problem_class for kind in kinds for problem in problems_of(kind, "x", True)}
    assert found == {*CONVERTIBLE, *REFUSABLE}


def test_every_class_and_policy_is_documented() -> None:
    documented = set(re.findall(r"V\((\w+)\)", data_policies.ModuleDocFragment.DOCUMENTATION))
    assert documented == {*CONVERTIBLE, *REFUSABLE, *ALWAYS_REFUSED, *POLICIES}


def test_known_policies_are_taken_as_they_are_and_none_is_no_policy() -> None:
    given = {"orphan": "refuse", "too_long": "quarantine", "naive_time": "convert", "julian_day": "quarantine"}
    assert check_policies(given) == given
    assert check_policies(None) == check_policies({}) == {}


@pytest.mark.parametrize(
    "given",
    [{"": "refuse"}, {"too_long": "convert"}, {"too_long": ""}, {"duplicate_key": "quarantine"}, {"orphan": "convert"}],
)
def test_any_other_policy_is_bad_input(given: dict[str, str]) -> None:
    with pytest.raises(BadInput):
        check_policies(given)
