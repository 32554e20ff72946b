# SPDX-License-Identifier: GPL-3.0-or-later
"""Times, UUIDs and JSON: one text for every value, the one that PostgreSQL shows, and a mark for what has none."""

from __future__ import annotations

import datetime
import hashlib
import uuid

import pytest
from ansible_collections.sxops.pg_cutover.plugins.module_utils._value_texts import (
    clock,
    day,
    invalid_utf8,
    is_hex,
    is_json,
    jsonb_digest,
    long_token,
    moment,
    moment_problem,
    unhex,
    uuid_text,
)
from hypothesis import given
from hypothesis import strategies as st

UTC = datetime.UTC
ALL = "naive_time zoned_time epoch_seconds epoch_milliseconds julian_day"
MOMENTS = st.datetimes(datetime.datetime(1, 1, 2), datetime.datetime(9999, 12, 30))
OFFSETS = st.integers(-15 * 60 - 59, 15 * 60 + 59).map(lambda minutes: datetime.timedelta(minutes=minutes))
ZONES = OFFSETS.map(datetime.timezone)


@given(MOMENTS, ZONES)
def test_a_time_of_any_zone_is_shown_in_utc(value: datetime.datetime, zone: datetime.timezone) -> None:
    shown = value.replace(tzinfo=zone).astimezone(UTC).replace(tzinfo=None).isoformat(" ")
    shown = shown.rstrip("0") if "." in shown else shown
    written = value.replace(tzinfo=zone).isoformat().encode()
    assert moment(written, 1, 6, "") == shown + "+00"
    assert moment_problem(written, 1, 6) == ""
    assert moment_problem(written, 0, 6) == "zoned_time"


@given(MOMENTS)
def test_a_number_counts_exactly(value: datetime.datetime) -> None:
    whole = value.replace(microsecond=0, tzinfo=UTC)
    seconds = round((whole - datetime.datetime(1970, 1, 1, tzinfo=UTC)).total_seconds())
    if abs(seconds) < 10**11:
        assert moment(seconds, 1, 0, ALL) == f"{whole:%Y-%m-%d %H:%M:%S}+00".rjust(22, "0")
    if abs(seconds) * 1000 >= 10**11:
        assert moment_problem(seconds * 1000, 1, 0) == "epoch_milliseconds"


@pytest.mark.parametrize(
    ("value", "shown", "problem"),
    [
        (137438953472.625, "6325-04-08 15:04:32.625", "epoch_seconds"),
        (1700000000.1, "2023-11-14 22:13:20.1", "epoch_seconds"),
        (-0.5, "1969-12-31 23:59:59.5", "epoch_seconds"),
        (2440587.5, "1970-01-01 00:00:00", "julian_day"),
        (2460000.75, "2023-02-25 06:00:00", "julian_day"),
        (1627303906122, "2021-07-26 12:51:46.122", "epoch_milliseconds"),
    ],
)
def test_a_number_is_the_instant_that_it_counts(value: float, shown: str, problem: str) -> None:
    assert moment(value, 0, 6, ALL) == shown
    assert moment_problem(value, 0, 6) == problem
    assert moment(value, 0, 6, "") == f"!{value}"


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"2024",
        b"2024-02-30",
        b"2024-01-01T24:00",
        b"2024-01-01 00:00:60",
        b"0000-01-01",
        b"2024-1-1",
        b"\xff",
        b"now",
        b"2024-01-01T00:00+16:00",
        b"2024-01-01T00:00:00.1234567",
        "\u0662024-01-01".encode(),
        b"2024-01-01\n",
    ],
)
def test_what_is_no_time_has_a_mark_and_a_class(text: bytes) -> None:
    assert moment(text, 1, 6, ALL) == "!" + text.hex()
    assert moment_problem(text, 1, 6) == "invalid_time"


@pytest.mark.parametrize(
    ("text", "digits", "shown"),
    [(b"01:02", 6, "01:02:00"), (b"01:02:03.100", 1, "01:02:03.1"), (b"01:02:03.12", 1, "!"), (b"24:00", 6, "!")],
)
def test_a_time_of_day_keeps_its_digits_or_is_refused(text: bytes, digits: int, shown: str) -> None:
    assert clock(text, digits) == (shown if shown != "!" else "!" + text.hex())


def test_a_date_has_one_spelling() -> None:
    assert day(b"2024-02-29") == "2024-02-29"
    assert day(b"2023-02-29") == "!" + b"2023-02-29".hex()


@given(st.uuids())
def test_a_uuid_is_one_value_in_all_its_spellings(value: uuid.UUID) -> None:
    spellings: list[tuple[bytes, bytes]] = [
        (str(value).encode(), b"text"),
        (str(value).upper().encode(), b"text"),
        (value.hex.encode(), b"text"),
        (value.bytes, b"blob"),
    ]
    assert {uuid_text(octets, storage) for octets, storage in spellings} == {str(value)}


@pytest.mark.parametrize(
    ("text", "json", "jsonb"),
    [
        (b'{"a": 1, "a": 2}', 1, 0),
        (b'"\\u0000"', 0, 0),
        (b'["\\ud800"]', 0, 0),
        (b'"\\ud83d\\ude00"', 1, 1),
        (b"[1e400]", 1, 1),
        (b"[1e4000]", 0, 0),
        (b"NaN", 0, 0),
        (b"\xff", 0, 0),
        (b"", 0, 0),
    ],
)
def test_json_is_what_the_column_gives_back(text: bytes, json: int, jsonb: int) -> None:
    assert (is_json(text, 0), is_json(text, 1)) == (json, jsonb)


def test_jsonb_is_compared_as_postgresql_shows_it() -> None:
    shown = '{"a": [100, 0.0, 0], "bb": 1.50, "é": null}'
    digest = hashlib.sha256(shown.encode()).hexdigest()
    assert jsonb_digest('{"bb":1.50,"é":null,"a":[1E2,-0.0,0E+5]}'.encode()) == digest


@given(st.binary(max_size=20))
def test_hexadecimal_text_stands_for_its_octets(octets: bytes) -> None:
    text = b"\\x" + octets.hex().encode()
    assert is_hex(text)
    assert is_hex(text.upper().replace(b"\\X", b"\\x"))
    assert unhex(text) == octets
    assert not is_hex(text + b"0")
    assert not is_hex(text + b"\n")
    assert not is_hex(text[1:])


@given(st.binary(max_size=20))
def test_octets_are_utf8_when_python_reads_them(octets: bytes) -> None:
    assert invalid_utf8(octets) == (octets.decode(errors="ignore").encode() != octets)


def test_a_long_value_is_its_length_and_digest() -> None:
    assert long_token(b"ab") == f"2:{hashlib.sha256(b'ab').hexdigest()}"


def test_null_stays_null() -> None:
    assert moment(None, 1, 6, "") is day(None) is uuid_text(None, "null") is None
