# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""GO or NO-GO: every gate yields one check, is waived or is left out, and what people say counts where it may."""

from __future__ import annotations

import datetime
import typing as t

import pytest
from ansible_collections.sxops.pg_cutover.plugins.module_utils import _gate_measures
from ansible_collections.sxops.pg_cutover.plugins.module_utils._attested import read_statements
from ansible_collections.sxops.pg_cutover.plugins.module_utils._errors import NoGo
from ansible_collections.sxops.pg_cutover.plugins.module_utils._gate_decision import Decision, LeftOut, Measured, decide
from ansible_collections.sxops.pg_cutover.plugins.module_utils._gate_postgres import judge_version
from ansible_collections.sxops.pg_cutover.plugins.module_utils._gates import (
    BEFORE_CHANGE,
    GATES,
    MEASURED,
    PEOPLE,
    STAGES,
    STATEMENTS,
    gates_of,
)
from ansible_collections.sxops.pg_cutover.plugins.module_utils._verdict import FAILED, NOT_VERIFIED, PASSED, Check

NOW = datetime.datetime(2026, 11, 27, 12, 0, tzinfo=datetime.UTC)
AN_HOUR_AGO = "2026-11-27T11:00:00Z"


def green(stage: str) -> dict[str, Measured]:
    return {gate.name: Check(gate.name, PASSED, message="fine") for gate in gates_of(stage) if gate.name != STATEMENTS}


def decided(
    attested: t.Sequence[dict[str, str]] = (),
    waived: t.Sequence[dict[str, str]] = (),
    stage: str = BEFORE_CHANGE,
    **measured: Measured | None,
) -> Decision:
    everything = {**green(stage), **measured}
    found = {name: check for name, check in everything.items() if check is not None}
    return decide(stage, found, read_statements(attested, waived, NOW, datetime.timedelta(days=7)))


def said(gate: str, at: str = AN_HOUR_AGO, **more: str) -> dict[str, str]:
    return {"gate": gate, "by": "release manager", "at": at, **more}


def of(decision: Decision, name: str) -> Check:
    (check,) = [check for check in decision.checks if check.name == name]
    return check


@pytest.mark.parametrize("stage", STAGES)
def test_every_gate_that_is_green_is_a_go(stage: str) -> None:
    decision = decided(stage=stage)
    assert decision.go and [check.name for check in decision.checks] == [gate.name for gate in gates_of(stage)]
    assert decision.summary() == f"GO: {len(decision.checks)} gates passed."
    decision.refuse({})


@pytest.mark.parametrize("stage", STAGES)
def test_what_nobody_measured_and_nobody_said_is_open(stage: str) -> None:
    decision = decide(stage, {}, [])
    assert {check.verdict for check in decision.checks if check.name != STATEMENTS} == {NOT_VERIFIED}
    with pytest.raises(NoGo, match="NO-GO"):
        decision.refuse({})


def test_every_gate_that_is_not_for_people_alone_is_measured() -> None:
    wanted = {gate.name for gate in GATES if gate.kind != PEOPLE} - {STATEMENTS}
    assert set(_gate_measures.MEASURES) == wanted


def test_a_gate_that_does_not_apply_is_left_out_with_the_reason() -> None:
    decision = decided(extensions=LeftOut("the profile names no extensions"))
    assert decision.go and decision.as_dict()["left_out"] == [
        {"gate": "extensions", "reason": "the profile names no extensions"}
    ]


def test_people_open_what_only_people_know() -> None:
    decision = decided([said("qa_sign_off", note="ticket 7")], qa_sign_off=None)
    assert decision.go and of(decision, "qa_sign_off").message == f"attested by release manager, {AN_HOUR_AGO} (ticket 7)"
    assert [one.gate for one in decision.attested] == ["qa_sign_off"]


def test_of_several_statements_one_that_counts_is_enough() -> None:
    expired = said("qa_sign_off", at="2026-10-01T12:00:00Z")
    assert decided([expired, said("qa_sign_off"), expired], qa_sign_off=None).go
    check = of(decided([expired], qa_sign_off=None), "qa_sign_off")
    assert check.verdict == FAILED and "attested by release manager: it was said 57 days ago" in check.message


def test_a_word_stands_in_for_what_could_not_be_measured() -> None:
    unknown = Check("restore_drill", NOT_VERIFIED, message="no drill")
    assert not decided(restore_drill=unknown).go
    assert decided([said("restore_drill")], restore_drill=unknown).go


def test_a_word_does_not_stand_in_for_what_was_measured_later() -> None:
    failed = Check("restore_drill", FAILED, observed={"at": "2026-11-27T11:30:00.000Z"}, message="it failed")
    check = of(decided([said("restore_drill")], restore_drill=failed), "restore_drill")
    assert check.verdict == FAILED and "what was attested is older than that" in check.message
    assert decided([said("restore_drill", at="2026-11-27T11:45:00Z")], restore_drill=failed).go


def test_a_waiver_takes_a_gate_out_of_the_decision() -> None:
    failed = Check("restore_drill", FAILED, message="it failed")
    decision = decided(waived=[said("restore_drill", reason="drilled elsewhere")], restore_drill=failed)
    assert decision.go and "restore_drill" not in [check.name for check in decision.checks]
    assert decision.as_dict()["waived"] == [said("restore_drill", reason="drilled elsewhere")]
    assert decision.summary().endswith("passed, 1 waived.")


def test_a_waiver_without_a_reason_does_not_count() -> None:
    check = of(decided(waived=[said("qa_sign_off")], qa_sign_off=None), "qa_sign_off")
    assert check.verdict == FAILED and "waived by release manager: a waiver needs a reason" in check.message


@pytest.mark.parametrize("gate", [gate.name for gate in gates_of(BEFORE_CHANGE) if gate.kind == MEASURED])
def test_nobody_s_word_stands_in_for_what_is_measured(gate: str) -> None:
    for statements in ({"attested": [said(gate)]}, {"waived": [said(gate, reason="it will do")]}):
        decision = decided(**statements)
        if gate == STATEMENTS:  # it is about what was said
            continue
        check = of(decision, gate)
        assert check.verdict == FAILED and "nobody's word stands in for it (measured: passed, fine)" in check.message


def test_a_statement_about_no_gate_is_open_by_itself() -> None:
    check = of(decided([said("qa_signoff")]), STATEMENTS)
    assert check.verdict == FAILED and "'qa_signoff'" in check.message and "qa_sign_off" in check.message


def test_what_was_said_for_another_stage_is_in_nobody_s_way() -> None:
    assert decided([said("rollback_instructions_shared"), said("logs_reviewed")]).go


def test_a_no_go_names_every_open_gate_and_what_is_typed() -> None:
    disk = Check("disk", FAILED, message="no room.")
    decision = decided(qa_sign_off=None, on_call=None, disk=disk)
    text = decision.summary()
    assert text.startswith(f"NO-GO: 3 of {len(decision.checks)} gates are open: qa_sign_off (not_verified): ")
    assert "disk (failed): no room" in text and text.endswith("Nothing was changed.")
    assert '-e attest=qa_sign_off,on_call -e attested_by="<name>"' in text
    assert "attest=" not in decided(disk=disk).summary() and "1 of" in decided(disk=disk).summary()
    with pytest.raises(NoGo) as refusal:
        decision.refuse({"open": ["qa_sign_off"]})
    assert refusal.value.message() == text and refusal.value.facts == {"open": ["qa_sign_off"]}


@pytest.mark.parametrize(
    ("number", "verdict"),
    [(130011, FAILED), (140000, PASSED), (180004, PASSED), (190000, FAILED)],
)
def test_versions(number: int, verdict: str) -> None:
    assert judge_version(number).verdict == verdict
