# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What an operator is told of the progress, and how much of it."""

from __future__ import annotations

import json
import typing as t

import pytest
from ansible_collections.sxops.pg_cutover.plugins.plugin_utils._progress_lines import Choice, duration, wording

STARTED: dict[str, t.Any] = {
    "phase": "load",
    "table": "videos",
    "state": "started",
    "done": 0,
    "rows": 2_000_000,
    "seconds": 0.0,
    "rows_per_s": 0,
    "seconds_left": None,
}
RUNNING = {
    **STARTED,
    "state": "running",
    "done": 1_200_000,
    "seconds": 7.9,
    "rows_per_s": 151_899,
    "seconds_left": 5.26,
}
DONE = {**RUNNING, "state": "done", "done": 2_000_000, "seconds": 13.1, "seconds_left": None}
QUICK = {**DONE, "seconds": 0.2}


@pytest.mark.parametrize(
    ("line", "text"),
    [
        (STARTED, "load videos: 2,000,000 rows to go"),
        ({**STARTED, "rows": 0}, "load videos: started"),
        (RUNNING, "load videos: 1,200,000 of 2,000,000 rows (60 %), 152,000 rows/s, 5 s left"),
        ({**RUNNING, "rows": 0, "seconds_left": None}, "load videos: 1,200,000 rows, 152,000 rows/s"),
        ({**RUNNING, "done": 2_000_001}, "load videos: 2,000,001 of 2,000,000 rows (100 %), 152,000 rows/s, 5 s left"),
        ({**RUNNING, "done": 1_999_999}, "load videos: 1,999,999 of 2,000,000 rows (99 %), 152,000 rows/s, 5 s left"),
        (DONE, "load videos: 2,000,000 rows in 13 s, 152,000 rows/s"),
        ({**QUICK, "done": 1}, "load videos: 1 row in 0.2 s"),
        ({**DONE, "phase": "index", "done": 0}, "index videos: done in 13 s"),
        ({**DONE, "phase": "index", "done": 1}, "index videos: 1 index or constraint in 13 s"),
        (
            {**RUNNING, "phase": "index", "done": 3, "rows": 8},
            "index videos: 3 of 8 indexes and constraints (37 %), 5 s left",
        ),
        (
            {**RUNNING, "phase": "watch", "text": "5 s of 20 s, 3 requests\n"},
            r"watch: 5 s of 20 s, 3 requests\n",
        ),
        ({**DONE, "phase": "watch"}, "watch: over after 13 s"),
        (
            {**STARTED, "rows": 1, "table": "a\nPLAY RECAP \x1b[2J\udc80ä"},
            r"load a\nPLAY RECAP \x1b[2J\udc80ä: 1 row to go",
        ),
    ],
)
def test_wording(line: dict[str, t.Any], text: str) -> None:
    assert wording(line) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (0.24, "0.2 s"), (1.4, "1 s"), (59.6, "1 min 0 s"), (130, "2 min 10 s"), (3900, "1 h 5 min")],
)
def test_duration(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def looks(*looks: list[dict[str, t.Any]], last: bool = False) -> list[list[tuple[str, str]]]:
    """Return the (table, state) that is shown at each look."""
    choice = Choice()
    texts = ["".join(json.dumps(line) + "\n" for line in look) for look in looks]
    shown = [choice.of(text, last and number == len(texts)) for number, text in enumerate(texts, 1)]
    return [[(line["table"], line["state"]) for line in lines] for lines in shown]


def named(line: dict[str, t.Any], table: str) -> dict[str, t.Any]:
    return {**line, "table": table}


def test_a_large_table_is_told_from_its_beginning_to_its_end() -> None:
    assert looks([STARTED], [], [], [RUNNING], [RUNNING, RUNNING], [], [DONE], [], last=True) == [
        [],
        [("videos", "started")],  # only now: it could have been a quick one
        [],
        [("videos", "running")],
        [("videos", "running")],
        [],
        [("videos", "done")],
        [],
    ]


def test_what_was_over_before_anybody_looked_is_not_told() -> None:
    assert looks([STARTED, QUICK, STARTED, QUICK], last=True) == [[]]
    assert looks([STARTED, QUICK], []) == [[], []]


def test_a_table_that_was_told_to_run_is_told_to_be_done() -> None:
    assert looks([STARTED], [], [QUICK]) == [[], [("videos", "started")], [("videos", "done")]]
    assert looks([STARTED], [], [STARTED, QUICK])[2] == []


def test_the_end_of_a_long_table_is_told_also_at_the_last_look_and_a_beginning_is_not() -> None:
    assert looks([STARTED], [DONE, named(STARTED, "tags")], last=True) == [[], [("videos", "done")]]
    assert looks([STARTED], [RUNNING], last=True) == [[], []]


def test_a_thousand_small_tables_give_a_line_every_five_looks() -> None:
    small = [[line for name in range(50) for line in (named(STARTED, f"t{name}"), named(QUICK, f"t{name}"))]] * 20
    shown = looks(*small)
    assert [len(lines) for lines in shown] == [0, 0, 0, 0, 1] * 4
    assert shown[4] == [("t49", "done")]


def test_what_is_no_line_is_left_out() -> None:
    choice = Choice()
    texts = ["no JSON", "[]", '"text"', "7", "{}", json.dumps({**DONE, "rows": None}), json.dumps({**DONE, "table": 7})]
    assert choice.of("\n".join([*texts, json.dumps(DONE)[:-9], json.dumps(DONE), ""])) == [DONE]
