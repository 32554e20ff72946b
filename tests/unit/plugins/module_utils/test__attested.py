# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What people say about gates: what counts, what does not, and why."""

from __future__ import annotations

import datetime
import typing as t

import pytest
from ansible_collections.sxops.pg_cutover.plugins.module_utils._attested import age_text, read_statements

NOW = datetime.datetime(2026, 11, 27, 12, 0, tzinfo=datetime.UTC)
WEEK = datetime.timedelta(days=7)


def fault(waives: bool = False, **entry: t.Any) -> str:
    given = {"gate": "qa_sign_off", "by": "release manager", "at": "2026-11-27T11:00:00Z", **entry}
    said = read_statements([] if waives else [given], [given] if waives else [], NOW, WEEK)
    assert len(said) == 1 and said[0].waives is waives
    return said[0].fault


@pytest.mark.parametrize(
    ("entry", "part"),
    [
        ({}, ""),
        ({"at": "2026-11-20T12:00:00Z"}, ""),  # to the second
        ({"at": "2026-11-27T17:44:59+05:45"}, ""),
        ({"at": "2026-11-27T12:04:00Z"}, ""),  # clocks differ
        ({"by": "  "}, "does not say who"),
        ({"by": None}, "does not say who"),
        ({"at": ""}, "does not say when"),
        ({"at": "yesterday"}, "cannot be read"),
        ({"at": "2026-11-27T11:00:00"}, "has no zone"),
        ({"at": "2026-11-27"}, "has no zone"),
        ({"at": "2026-11-27T12:06:00Z"}, "lies in the future"),
        ({"at": "2026-11-20T11:59:59Z"}, "it was said 7 days ago, and counts for 7 days"),
        ({"waives": True}, "needs a reason"),
        ({"waives": True, "reason": "rehearsed elsewhere"}, ""),
    ],
)
def test_what_counts(entry: dict[str, t.Any], part: str) -> None:
    found = fault(**entry)
    assert bool(found) is bool(part) and part in found


def test_it_is_told_as_it_was_said() -> None:
    entry = {"gate": "owners", "by": "release manager", "at": "2026-11-27T11:00:00Z"}
    attested, waived = read_statements([{**entry, "note": "ticket 7"}], [{**entry, "reason": "not needed"}], NOW, WEEK)
    assert attested.as_dict() == {**entry, "note": "ticket 7"}
    assert waived.as_dict() == {**entry, "reason": "not needed"}
    assert attested.describe() == "release manager, 2026-11-27T11:00:00Z (ticket 7)"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 seconds"),
        (59, "59 seconds"),
        (60, "1 minute"),
        (5400, "1.5 hours"),
        (86400, "1 day"),
        (86400 * 30, "30 days"),
    ],
)
def test_spans_are_told_in_the_unit_that_people_use(seconds: int, text: str) -> None:
    assert age_text(datetime.timedelta(seconds=seconds)) == text
