# SPDX-License-Identifier: GPL-3.0-or-later
"""A value of PostgreSQL becomes what the column of SQLite holds already, or is refused."""

from __future__ import annotations

import datetime
from decimal import Decimal
from typing import Any

import pytest
from ansible_collections.sxops.pg_cutover.plugins.module_utils import _value_numbers, _value_texts
from ansible_collections.sxops.pg_cutover.plugins.module_utils._return_values import Misfit, return_value, shape
from hypothesis import given
from hypothesis import strategies as st

SPELLINGS = [
    None,
    "2024-01-02",
    "2024-01-02 03:04",
    "2024-01-02 03:04:05",
    "2024-01-02T03:04:05Z",
    "2024-01-02T03:04:05.678Z",
    "2024-01-02 03:04:05.678901+00:00",
    "2024-01-02 03:04:05 +0530",
    "2024-01-02T03:04:05-11",
    "no time at all",
    1700000000,
    1700000000000,
    1700000000.5,
    2460000.5,
    b"octets",
]


@given(moment=st.datetimes(), like=st.sampled_from(SPELLINGS))
def test_a_moment_stays_the_same_in_any_spelling_that_can_hold_it(moment: datetime.datetime, like: Any) -> None:
    shown = moment.isoformat(" ")
    canonical = (shown.rstrip("0") if moment.microsecond else shown) + "+00"
    value = return_value("timestamptz", canonical, like)
    if isinstance(value, float):  # which does not count every microsecond: such a one is found when it is verified
        return
    held = value.encode() if isinstance(value, str) else value
    every = "naive_time epoch_seconds epoch_milliseconds julian_day"
    if isinstance(value, int) and abs(value) < 10**11 <= abs(like):
        return  # thousands of a second near 1970 look like seconds, which is found as well
    if isinstance(value, int) and abs(value) >= 10**11 and abs(like) < 10**11:
        return
    assert _value_texts.moment(held, 1, 6, every) == canonical


@pytest.mark.parametrize(
    ("kind", "text", "like", "value"),
    [
        ("timestamptz", "2025-03-04 00:00:00+00", "2024-01-02", "2025-03-04"),
        ("timestamptz", "2025-03-04 05:06:00+00", "2024-01-02 03:04Z", "2025-03-04 05:06Z"),
        ("timestamptz", "2025-03-04 05:06:07+00", "2024-01-02 03:04Z", "2025-03-04 05:06:07Z"),
        ("timestamptz", "2025-03-04 05:06:07.5+00", 1700000000, "2025-03-04 05:06:07.5+00"),
        ("time", "10:20:00", "11:22", "10:20"),
        ("time", "10:20:00.5", "11:22:33.000", "10:20:00.500"),
        ("bool", "1", None, 1),
        ("bool", "false", "TRUE", "FALSE"),
        ("bool", "0", "maybe", 0),
        ("uuid", "6f9619ff-8b86-d011-b42d-00c04fc964ff", b"x", bytes.fromhex("6f9619ff8b86d011b42d00c04fc964ff")),
        ("bytea", "\\xff", "text", b"\xff"),
        ("bytea", b"ok", "text", "ok"),
        ("numeric", "5", 1.5, 5.0),
        ("numeric", "1E+2", None, 100),
        ("numeric", "Infinity", None, float("inf")),
        ("float8", "-0", None, -0.0),
        ("int4", "7", "8", "7"),
        ("text", "7.0", 1.5, 7.0),
        ("text", "7.10", 1.5, "7.10"),
        ("json", "{}", None, "{}"),
    ],
)
def test_values(kind: str, text: Any, like: Any, value: Any) -> None:
    found = return_value(kind, text, like)
    assert (type(found), found) == (type(value), value)


@pytest.mark.parametrize(
    ("kind", "text", "like"),
    [
        ("numeric", "0.1234567890123456789", None),
        ("numeric", "9223372036854775809", None),
        ("numeric", "NaN", 1),
        ("float8", "NaN", None),
        ("timestamptz", "infinity", "2024-01-02"),
        ("timestamptz", "0044-03-15 00:00:00+00 BC", 5),
    ],
)
def test_a_value_that_sqlite_cannot_hold_is_refused(kind: str, text: str, like: Any) -> None:
    with pytest.raises(Misfit):
        return_value(kind, text, like)


@given(st.decimals(allow_nan=False, allow_infinity=False))
def test_a_number_is_exact_or_refused(number: Decimal) -> None:
    try:
        found = return_value("numeric", format(number, "f"))
    except (Misfit, OverflowError):
        return
    assert Decimal(str(_value_numbers.numeric_text(found))) == number


def test_values_of_one_spelling_have_one_shape() -> None:
    assert shape("2024-01-02T03:04:05Z") == shape("1999-12-31T23:59:59Z")
    assert shape("2024-01-02T03:04:05Z") != shape("2024-01-02 03:04:05Z")
    assert shape("6f9619ff8b86d011b42d00c04fc964ff") != shape("6F9619FF8B86D011B42D00C04FC964FF")
    assert shape(1700000000) != shape(1700000000000) != shape(2460000.5)
