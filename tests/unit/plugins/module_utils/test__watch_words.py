# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a person is told of a running watch."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.sxops.pg_cutover.plugins.module_utils._trigger import Trigger
from ansible_collections.sxops.pg_cutover.plugins.module_utils._verdict import FAILED, PASSED
from ansible_collections.sxops.pg_cutover.plugins.module_utils._watch_sample import Sample
from ansible_collections.sxops.pg_cutover.plugins.module_utils._watch_words import standing

FIRST = Sample("2026-11-21T09:31:02.410Z", 0.0, "r", {"api": True}, requests=1000, errors_5xx=2, latency_p95_ms=40.0)
SECOND = Sample("2026-11-21T09:31:07.410Z", 5.0, "r", {"api": True}, requests=234, errors_5xx=1, latency_p95_ms=12.4)


def trigger(name: str, verdict: str = PASSED, held_s: float = 0.0, needed_s: float = 0.0) -> Trigger:
    return Trigger(name, verdict, "immediate", held_s=held_s, needed_s=needed_s, message=f"{name} said so")


def told(last: Sample, *triggers: Trigger, problems: dict[str, str] | None = None) -> str:
    return standing(725, 3600, [FIRST, last], triggers, problems or {})


def test_all_is_well() -> None:
    assert told(SECOND, trigger("startup")) == (
        "12 min 5 s of 1 h 0 min, 1,234 requests (3 with 5xx), p95 12 ms; no trigger is near"
    )


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"pending": 1200, "lag_s": 3.21}, "1,200 keys to bring back, oldest 3.2 s"),
        ({"postgres_ok": False}, "PostgreSQL cannot be reached"),
        ({"ready": {"a": True, "b": False}}, "not ready: b"),
        ({"latency_p95_ms": None}, "p95 40 ms"),
    ],
)
def test_what_is_not_well_is_named(more: dict[str, t.Any], words: str) -> None:
    assert words in told(Sample(**{**SECOND.as_dict(), **more}))


def test_a_way_back_that_stands_still_is_named_unless_postgres_is_gone() -> None:
    problems = {"return_path": "a row does not fit."}
    assert "the way back stands still (a row does not fit.)" in told(SECOND, problems=problems)
    gone = Sample(**{**SECOND.as_dict(), "postgres_ok": False})
    assert "stands still" not in told(gone, problems=problems)


def test_the_triggers_that_are_closest_come_first() -> None:
    near = [
        trigger("a", held_s=10, needed_s=100),
        trigger("b", held_s=90, needed_s=100),
        trigger("c", held_s=1, needed_s=2),
    ]
    assert told(SECOND, *near).endswith("; closest: b for 1 min 30 s of 1 min 40 s; c for 1 s of 2 s")


def test_one_that_fired_is_all_that_counts() -> None:
    text = told(SECOND, trigger("a", held_s=10, needed_s=100), trigger("b", FAILED))
    assert text.endswith("; FIRED b (b said so)")
