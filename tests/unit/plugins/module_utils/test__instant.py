# Copyright (c) 2026, pg_cutover developers
# SPDX-License-Identifier: GPL-3.0-or-later

"""One way to write an instant, and to read it again."""

from __future__ import annotations

import datetime
import typing as t

import pytest
from ansible_collections.sxops.pg_cutover.plugins.module_utils._instant import instant_of, instant_text

NOON = datetime.datetime(2026, 11, 27, 12, 0, 0, 410_999, datetime.UTC)


def test_an_instant_is_written_in_utc_to_the_millisecond_and_read_again() -> None:
    assert instant_text(NOON) == "2026-11-27T12:00:00.410Z"
    assert instant_text(NOON.astimezone(datetime.timezone(datetime.timedelta(hours=2)))) == "2026-11-27T12:00:00.410Z"
    assert instant_of(instant_text(NOON)) == NOON.replace(microsecond=410_000)


@pytest.mark.parametrize("text", ["2026-11-27T12:00:00Z", "2026-11-27T13:00:00+01:00", "2026-11-27T12:00:00.000000Z"])
def test_other_writings_of_the_same_instant_are_read(text: str) -> None:
    assert instant_of(text) == NOON.replace(microsecond=0)


@pytest.mark.parametrize("text", ["2026-11-27T12:00:00", "2026-11-27", "2026-02-30T12:00:00Z", "noon", "", None, 1])
def test_what_is_no_instant_or_names_no_zone_is_none(text: t.Any) -> None:
    assert instant_of(text) is None
