# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""The decision tree of seed 003: back at once, back by appointment, or go on. Pure.

The questions are asked in the runbook's order, and the first that says so ends it. Triggers answer them by what was
measured, the operator by what no machine sees. What was measured is not overruled by an operator who says no; what the
operator says is not overruled by triggers that saw nothing.
"""

from __future__ import annotations

import dataclasses
import typing as t

from ._errors import BadInput
from ._trigger import SCHEDULED as SCHEDULED_SEVERITY
from ._trigger import Trigger
from ._verdict import NOT_VERIFIED, PASSED

IMMEDIATE = "IMMEDIATE"
SCHEDULED = "SCHEDULED"
CONTINUE = "CONTINUE"
YES = "yes"
NO = "no"
NOT_KNOWN = "not_known"
FIXABLE_HOURS = 4
Answers = t.Mapping[str, t.Any]


@dataclasses.dataclass(frozen=True)
class Question:
    """A question whose yes means back at once.

    Args:
        text: The question.
        answer: The name of the operator's own answer to it.
        triggers: Any of them that fires says yes.
        deciding: Those that must have been measured for a no, where the operator does not say it.
        said: What the operator said, in words.
    """

    text: str
    answer: str
    triggers: tuple[str, ...]
    deciding: tuple[str, ...]
    said: str


QUESTIONS = (
    Question(
        "Is there data loss or corruption?",
        "data_loss",
        ("data_mismatch", "migration"),
        ("data_mismatch",),
        "data is lost or corrupted",
    ),
    Question(
        "Is the application unavailable?",
        "unavailable",
        ("startup", "instances", "connection", "pool", "error_percent", "error_ratio"),
        ("startup", "instances", "connection"),
        "the application is unavailable",
    ),
    Question(
        "Is there a security breach?",
        "security_breach",
        ("leakage",),
        ("leakage",),
        "there is a security breach",
    ),
    Question(
        "Are queries more than 10 times slower?",
        "much_slower",
        ("latency_immediate",),
        ("latency_immediate",),
        "queries are more than 10 times slower",
    ),
)
ISSUES = "Is there any other issue?"
FIXABLE = f"Can the issues be fixed in less than {FIXABLE_HOURS} hours?"
# What an operator may have against PostgreSQL without being in a hurry (seed 003, "Non-Critical Situations").
CONCERNS = {
    "feature_incompatible": "a feature does not work",
    "cost": "PostgreSQL costs too much",
    "testing": "SQLite is wanted back to compare with",
}
ANSWERS = (*(question.answer for question in QUESTIONS), *CONCERNS, "fixable_within_hours")


@dataclasses.dataclass(frozen=True)
class Step:
    """One question that was asked, with its answer (C(yes), C(no), C(not_known)) and why."""

    question: str
    answer: str
    why: str


@dataclasses.dataclass(frozen=True)
class Advice:
    """What to do, the questions that led to it, and the reasons in words."""

    decision: str
    path: tuple[Step, ...]
    reasons: tuple[str, ...]

    def as_dict(self) -> dict[str, t.Any]:
        return {
            "decision": self.decision,
            "path": [dataclasses.asdict(step) for step in self.path],
            "reasons": list(self.reasons),
        }


def advise(triggers: t.Sequence[Trigger], answers: Answers | None = None) -> Advice:
    """Return what the runbook says to do.

    Args:
        triggers: As the watch evaluated them; none when nothing was measured.
        answers: The operator's, by the names in C(ANSWERS). Null or left out means not known.
            C(fixable_within_hours) is a number of hours, or true or false for those of the question.

    Raises:
        BadInput: An answer that is not known, or is none of its kind.
    """
    said = _checked(answers or {})
    by_name = {trigger.name: trigger for trigger in triggers}
    path: list[Step] = []
    for question in QUESTIONS:
        step = _ask(question, by_name, said.get(question.answer))
        path.append(step)
        if step.answer == YES:
            return Advice(IMMEDIATE, tuple(path), (step.why,))
    unknown = tuple(f"{step.question} Not known: {step.why}" for step in path if step.answer == NOT_KNOWN)
    issues = [f"{trigger.name}: {trigger.message}" for trigger in triggers if _is_minor(trigger)]
    issues += [f"the operator says that {words}" for name, words in CONCERNS.items() if said.get(name)]
    if not issues:
        path.append(Step(ISSUES, NO, "no trigger fires, and the operator names none"))
        return Advice(CONTINUE, tuple(path), ("nothing speaks for going back: monitor and tune", *unknown))
    path.append(Step(ISSUES, YES, "; ".join(issues)))
    fixable = _fixable(said.get("fixable_within_hours"), testing=bool(said.get("testing")))
    path.append(fixable)
    decision = CONTINUE if fixable.answer == YES else SCHEDULED
    return Advice(decision, tuple(path), (*issues, fixable.why, *unknown))


def _ask(question: Question, triggers: t.Mapping[str, Trigger], said: bool | None) -> Step:
    known = [triggers[name] for name in question.triggers if name in triggers]
    firing = [trigger for trigger in known if trigger.firing]
    if firing:
        why = "; ".join(f"{trigger.name}: {trigger.message}" for trigger in firing)
        return Step(question.text, YES, why + (", whatever the operator says" if said is False else ""))
    if said:
        return Step(question.text, YES, f"the operator says that {question.said}")
    if said is False:
        return Step(question.text, NO, "the operator says so, and no trigger says otherwise")
    unmade = [trigger for trigger in known if trigger.verdict == NOT_VERIFIED]
    missing = [
        name for name in question.deciding if triggers.get(name, Trigger(name, NOT_VERIFIED, "")).verdict != PASSED
    ]
    notes = [f"{trigger.name}: {trigger.message}" for trigger in unmade]
    notes += [f"{name} was not measured" for name in missing if name not in triggers]
    if missing:
        return Step(question.text, NOT_KNOWN, "; ".join(notes))
    passed = ", ".join(trigger.name for trigger in known if trigger.verdict == PASSED)
    why = f"measured by {passed}" + (f"; not verified are {'; '.join(notes)}" if notes else "")
    return Step(question.text, NO, why)


def _is_minor(trigger: Trigger) -> bool:
    return trigger.firing and trigger.severity == SCHEDULED_SEVERITY


def _fixable(hours: t.Any, *, testing: bool) -> Step:
    if testing:
        return Step(FIXABLE, NO, "a comparison with SQLite is nothing that can be fixed on PostgreSQL")
    if hours is None:
        why = "nobody says that they can (fixable_within_hours), and only what is known to be fixed in time is a reason"
        return Step(FIXABLE, NOT_KNOWN, f"{why} to stay")
    if isinstance(hours, bool):
        words = "can" if hours else "cannot"
        return Step(FIXABLE, YES if hours else NO, f"the operator says that they {words} be fixed in that time")
    answer = YES if hours < FIXABLE_HOURS else NO
    return Step(FIXABLE, answer, f"the operator says that they can be fixed within {hours:g} hours")


def _checked(answers: Answers) -> dict[str, t.Any]:
    found: dict[str, t.Any] = {}
    for name, value in answers.items():
        if name not in ANSWERS:
            raise BadInput(
                f"There is no answer {name!r} in the decision tree", remedy=f"Known are {', '.join(ANSWERS)}."
            )
        if value is None:
            continue
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        right = isinstance(value, bool) or (name == "fixable_within_hours" and is_number and value >= 0)
        if not right:
            kind = "a number of hours" if name == "fixable_within_hours" else "true or false"
            raise BadInput(f"The answer {name} is {value!r}", f"it has to be {kind}, or left out when it is not known")
        found[name] = value
    return found
