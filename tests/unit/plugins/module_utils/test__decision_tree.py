# SPDX-License-Identifier: GPL-3.0-or-later
"""The decision tree of seed 003: every way through it."""

from __future__ import annotations

import typing as t

import pytest
from _looks import BASELINE, looks
from ansible_collections.sxops.pg_cutover.plugins.module_utils._decision_tree import (
    ANSWERS,
    CONCERNS,
    FIXABLE,
    ISSUES,
    QUESTIONS,
    advise,
)
from ansible_collections.sxops.pg_cutover.plugins.module_utils._errors import BadInput
from ansible_collections.sxops.pg_cutover.plugins.module_utils._trigger import Trigger
from ansible_collections.sxops.pg_cutover.plugins.module_utils._triggers import evaluate

HEALTHY = evaluate(looks(200), BASELINE)
SLOW = evaluate(looks(200, latency_p95_ms=500.0), BASELINE)
NAMES = [trigger.name for trigger in HEALTHY]


def with_verdict(verdict: str, *names: str) -> list[Trigger]:
    """The triggers of a healthy profile, of which some have another verdict."""
    return [
        Trigger(trigger.name, verdict, trigger.severity, message="as it was measured")
        if trigger.name in names
        else trigger
        for trigger in HEALTHY
    ]


def answers_of(triggers: t.Sequence[Trigger], **answers: t.Any) -> list[str]:
    return [step.answer for step in advise(triggers, answers).path]


def test_all_healthy_goes_on() -> None:
    advice = advise(HEALTHY)
    assert advice.decision == "CONTINUE"
    assert [(step.question, step.answer) for step in advice.path] == [
        ("Is there data loss or corruption?", "no"),
        ("Is the application unavailable?", "no"),
        ("Is there a security breach?", "no"),
        ("Are queries more than 10 times slower?", "no"),
        ("Is there any other issue?", "no"),
    ]
    assert advice.reasons == ("nothing speaks for going back: monitor and tune",)


@pytest.mark.parametrize("name", [name for name in NAMES if name != "latency_scheduled"])
def test_an_immediate_trigger_ends_it_at_its_question(name: str) -> None:
    advice = advise(with_verdict("failed", name), {"fixable_within_hours": 1})
    (place,) = [place for place, question in enumerate(QUESTIONS) if name in question.triggers]
    assert advice.decision == "IMMEDIATE"
    assert [step.answer for step in advice.path] == ["no"] * place + ["yes"]
    assert advice.reasons == (f"{name}: as it was measured",)


@pytest.mark.parametrize("place", range(len(QUESTIONS)))
def test_the_operator_says_that_it_is_so(place: int) -> None:
    question = QUESTIONS[place]
    advice = advise(HEALTHY, {question.answer: True})
    assert (advice.decision, advice.path[-1].question) == ("IMMEDIATE", question.text)
    assert advice.reasons == (f"the operator says that {question.said}",)


@pytest.mark.parametrize("question", QUESTIONS)
def test_what_was_measured_is_not_overruled(question: t.Any) -> None:
    advice = advise(with_verdict("failed", question.triggers[0]), {question.answer: False})
    assert advice.decision == "IMMEDIATE"
    assert "whatever the operator says" in advice.reasons[0]


def test_the_first_yes_counts() -> None:
    everything = [Trigger(name, "failed", "immediate", message="bad") for name in NAMES]
    assert answers_of(everything) == ["yes"]


@pytest.mark.parametrize(
    ("hours", "answer", "decision"),
    [
        (None, "not_known", "SCHEDULED"),
        (0, "yes", "CONTINUE"),
        (3.9, "yes", "CONTINUE"),
        (4, "no", "SCHEDULED"),
        (12, "no", "SCHEDULED"),
        (True, "yes", "CONTINUE"),
        (False, "no", "SCHEDULED"),
    ],
)
@pytest.mark.parametrize("concern", [None, "feature_incompatible", "cost"])
def test_what_can_be_fixed_in_time_is_fixed(hours: t.Any, answer: str, decision: str, concern: str | None) -> None:
    advice = advise(
        HEALTHY if concern else SLOW, {"fixable_within_hours": hours, **({concern: True} if concern else {})}
    )
    assert [step.answer for step in advice.path] == ["no", "no", "no", "no", "yes", answer]
    assert [step.question for step in advice.path[4:]] == [ISSUES, FIXABLE]
    assert advice.decision == decision
    assert (CONCERNS[concern] if concern else "latency_scheduled: ") in advice.reasons[0]
    assert advice.path[-1].why in advice.reasons


def test_a_comparison_is_nothing_to_fix() -> None:
    advice = advise(HEALTHY, {"testing": True, "fixable_within_hours": 1})
    assert (advice.decision, advice.path[-1].answer) == ("SCHEDULED", "no")


def test_hours_alone_are_no_issue() -> None:
    assert advise(HEALTHY, {"fixable_within_hours": 8}).decision == "CONTINUE"


@pytest.mark.parametrize("question", QUESTIONS)
def test_what_was_not_measured_is_not_known_unless_the_operator_knows(question: t.Any) -> None:
    triggers = with_verdict("not_verified", *question.deciding)
    place = QUESTIONS.index(question)
    advice = advise(triggers)
    assert (advice.decision, advice.path[place].answer) == ("CONTINUE", "not_known")
    assert advice.reasons[-1].startswith(f"{question.text} Not known: ")
    assert answers_of(triggers, **{question.answer: False})[place] == "no"


def test_what_does_not_decide_is_only_mentioned() -> None:
    advice = advise(with_verdict("not_verified", "error_ratio"))
    assert advice.path[1].answer == "no"
    assert advice.path[1].why.endswith("; not verified are error_ratio: as it was measured")


def test_without_any_measurement_nothing_is_known() -> None:
    advice = advise([])
    assert [step.answer for step in advice.path] == ["not_known"] * 4 + ["no"]
    assert advice.path[0].why == "data_mismatch was not measured"
    assert answers_of([], data_loss=True) == ["yes"]
    assert answers_of([], **{question.answer: False for question in QUESTIONS}) == ["no"] * 5


@pytest.mark.parametrize(
    ("answers", "word"),
    [
        ({"data_los": True}, "data_los"),
        ({"data_loss": "no"}, "true or false"),
        ({"data_loss": 1}, "true or false"),
        ({"fixable_within_hours": "4"}, "number of hours"),
        ({"fixable_within_hours": -1}, "number of hours"),
    ],
)
def test_an_answer_that_is_none_is_refused(answers: dict[str, t.Any], word: str) -> None:
    with pytest.raises(BadInput, match=word):
        advise(HEALTHY, answers)


def test_null_is_not_known() -> None:
    assert advise(HEALTHY, dict.fromkeys(ANSWERS)) == advise(HEALTHY)


def test_advice_is_plain_data() -> None:
    found = advise(SLOW).as_dict()
    assert (found["decision"], len(found["path"]), sorted(found["path"][0])) == (
        "SCHEDULED",
        6,
        ["answer", "question", "why"],
    )
