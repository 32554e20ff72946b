# SPDX-License-Identifier: GPL-3.0-or-later
"""S01 to S08: texts in number columns, booleans of many spellings, dates as texts, counts and Julian days."""

from __future__ import annotations

import math
from typing import Any

import pytest
from _databases import Tenant
from _outcomes import assert_arrives, assert_both_accept, assert_refused, assert_same_rows, in_sqlite, only

# S01


@pytest.mark.parametrize(
    ("text", "target"),
    [
        *((text, "integer") for text in ("toto", "12.3D0", "false", "", " 7", "0x1f", "1_000", "٣")),
        *(("12.3D0", target) for target in ("bigint", "numeric", "double precision")),
    ],
)
def test_s01_text_in_a_number_column_is_refused(tenant: Tenant, text: str, target: str) -> None:
    tenant.hold("BLOB", target, 1, text, 3)
    assert_refused(tenant, "t", "x", "storage_class", "(id=2)")


def test_s01_text_in_a_translated_integer_column_is_refused(tenant: Tenant) -> None:
    tenant.sqlite("CREATE TABLE t (id INTEGER PRIMARY KEY, x INTEGER)", "INSERT INTO t VALUES (1, 5), (2, '12.3D0')")
    tenant.translate()
    assert_refused(tenant, "t", "x", "storage_class", "(id=2)")


@pytest.mark.parametrize("target", ["integer", "bigint", "numeric", "double precision", "real"])
def test_s01_a_number_written_as_text_is_one_when_asked_for(tenant: Tenant, target: str) -> None:
    tenant.hold("BLOB", target, 1, "12", "-7", None)
    assert_refused(tenant, "t", "x", "text_as_number", "(id=2)", "(id=3)")
    asked = tenant.under(text_as_number="convert")
    asked.load()
    assert tenant.postgres("SELECT x::text FROM t ORDER BY id") == [("1",), ("12",), ("-7",), (None,)]
    assert asked.parity().verdict == "passed"


# S02


@pytest.mark.parametrize("declared", ["BOOLEAN", "BOOL", "INTEGER", "TINYINT(1)", "NUMERIC"])
def test_s02_zero_and_one_arrive_in_a_boolean_column(tenant: Tenant, declared: str) -> None:
    tenant.hold(declared, "boolean", 0, 1, None)
    assert_arrives(tenant)
    assert tenant.postgres("SELECT x FROM t ORDER BY id") == [(False,), (True,), (None,)]


def test_s02_a_declared_boolean_is_translated_into_one(tenant: Tenant) -> None:
    tenant.sqlite(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, x BOOLEAN)", "INSERT INTO t VALUES (1, 0), (2, 1), (3, NULL)"
    )
    tenant.translate()
    assert_arrives(tenant)
    assert tenant.postgres("SELECT x FROM t ORDER BY id") == [(False,), (True,), (None,)]


@pytest.mark.parametrize(("value", "found"), [(2, "out_of_range"), (-1, "out_of_range"), (0.5, "storage_class")])
def test_s02_another_number_in_a_boolean_column_is_refused(tenant: Tenant, value: Any, found: str) -> None:
    tenant.hold("BOOLEAN", "boolean", 0, value)
    assert_refused(tenant, "t", "x", found, "(id=2)")


# S03


WORDS = {"t": True, "f": False, "true": True, "FALSE": False, "Yes": True, "no": False}


def test_s03_words_for_booleans_are_refused_until_asked_for_and_then_what_they_say(tenant: Tenant) -> None:
    tenant.hold("BOOLEAN", "boolean", *WORDS)
    assert_refused(tenant, "t", "x", "boolean_text", *(f"(id={number})" for number in range(1, len(WORDS) + 1)))
    asked = tenant.under(boolean_text="convert")
    asked.load()
    assert [x for (x,) in tenant.postgres("SELECT x FROM t ORDER BY id")] == list(WORDS.values())
    assert asked.parity().verdict == "passed"


@pytest.mark.parametrize(
    ("text", "meant"), [("on", True), ("off", False), ("y", True), ("n", False), ("1", True), ("0", False)]
)
def test_s03_every_word_that_postgresql_takes_is_taken(tenant: Tenant, text: str, meant: bool) -> None:
    tenant.hold("TEXT", "boolean", text)
    asked = tenant.under(boolean_text="convert")
    asked.load()
    assert only(tenant.postgres("SELECT x FROM t")) is meant
    assert asked.parity().verdict == "passed"


def test_s03_a_word_that_says_neither_is_refused_also_when_words_are_converted(tenant: Tenant) -> None:
    tenant.hold("TEXT", "boolean", "t", "maybe")
    assert_refused(tenant.under(boolean_text="convert"), "t", "x", "storage_class", "(id=2)")


# S04


@pytest.mark.parametrize(
    ("declared", "value"),
    [
        ("NUMERIC DEFAULT false", 0),
        ("NUMERIC DEFAULT TRUE", 1),
        ("INTEGER DEFAULT false", 0),
        ("BOOLEAN DEFAULT false", 0),
        ("BOOLEAN DEFAULT 1", 1),
        ("BOOLEAN NOT NULL DEFAULT (0)", 0),
    ],
)
def test_s04_a_default_of_true_or_false_gives_the_same_value_in_both(tenant: Tenant, declared: str, value: int) -> None:
    tenant.sqlite(f"CREATE TABLE t (id INTEGER PRIMARY KEY, x {declared})", "INSERT INTO t VALUES (1, 1)")
    tenant.translate()
    assert_arrives(tenant)
    assert_both_accept(tenant, "INSERT INTO t (id) VALUES (2)")
    assert in_sqlite(tenant, "SELECT x FROM t WHERE id = 2") == [(value,)]
    assert_same_rows(tenant, "t")


# S05


@pytest.mark.parametrize("target", ["timestamp", "timestamptz"])
@pytest.mark.parametrize(
    ("value", "found", "instant"),
    [
        (1627303906, "epoch_seconds", "2021-07-26 12:51:46"),
        (0, "epoch_seconds", "1970-01-01 00:00:00"),
        (1627303906122, "epoch_milliseconds", "2021-07-26 12:51:46.122"),
        (1627303906.5, "epoch_seconds", "2021-07-26 12:51:46.5"),
    ],
)
def test_s05_a_count_since_1970_is_refused_until_asked_for_and_then_that_instant(
    tenant: Tenant, target: str, value: float, found: str, instant: str
) -> None:
    tenant.hold("DATETIME", target, value, None)
    assert_refused(tenant, "t", "x", found, "(id=1)")
    asked = tenant.under(**{found: "convert"})
    asked.load()
    zone = "+00" if target == "timestamptz" else ""
    assert tenant.postgres("SET timezone TO 'UTC'; SELECT x::text FROM t ORDER BY id") == [(instant + zone,), (None,)]
    assert asked.parity().verdict == "passed"


def test_s05_a_count_in_a_date_column_is_refused(tenant: Tenant) -> None:
    tenant.hold("DATE", "date", "2024-02-29", 1627303906)
    assert_refused(tenant, "t", "x", "storage_class", "(id=2)")


def test_s05_counts_in_a_translated_datetime_column_are_not_taken_for_texts(tenant: Tenant) -> None:
    tenant.sqlite(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, x DATETIME)",
        "INSERT INTO t VALUES (1, '2024-02-29 01:02:03'), (2, 1627303906122)",
    )
    tenant.translate()
    assert_refused(tenant, "t", "x", "number_as_text", "(id=2)")
    tenant.under(number_as_text="convert").load()
    assert tenant.postgres("SELECT x FROM t ORDER BY id") == [("2024-02-29 01:02:03",), ("1627303906122",)]


# S06


def test_s06_a_julian_day_is_refused_until_asked_for_and_then_that_instant(tenant: Tenant) -> None:
    tenant.hold("DATETIME", "timestamp", 2460000.5, "2024-02-29 12:00:00")
    assert_refused(tenant, "t", "x", "julian_day", "(id=1)")
    asked = tenant.under(julian_day="convert")
    asked.load()
    assert tenant.postgres("SELECT x::text FROM t ORDER BY id") == [("2023-02-25 00:00:00",), ("2024-02-29 12:00:00",)]
    assert asked.parity().verdict == "passed"


def test_s06_the_three_encodings_in_one_column_are_told_apart(tenant: Tenant) -> None:
    tenant.hold("DATETIME", "timestamptz", "2024-02-29T12:00:00Z", 2460000.5, 1627303906)
    refusal = assert_refused(tenant, "t", "x", "julian_day", "(id=2)")
    assert {found["problem_class"] for found in refusal.facts["findings"]} == {"julian_day", "epoch_seconds"}


@pytest.mark.parametrize("value", [math.inf, 1e300, 0.1 + 0.2])
def test_s06_a_number_that_is_no_exact_instant_is_refused_whatever_was_asked_for(tenant: Tenant, value: float) -> None:
    tenant.hold("DATETIME", "timestamp", value)
    asked = tenant.under(julian_day="convert", epoch_seconds="convert", epoch_milliseconds="convert")
    assert_refused(asked, "t", "x", "invalid_time", "(id=1)")


# S07


NO_DATES = ["", "0000-00-00", "2024-02-30", "2023-02-29", "24-01-01", "2024-1-1", "tomorrow", "2024-01-01x"]


@pytest.mark.parametrize("target", ["date", "timestamp", "timestamptz"])
def test_s07_texts_that_are_no_dates_are_refused_by_key_and_no_row_is_lost(tenant: Tenant, target: str) -> None:
    good = "2024-02-29T00:00:00Z" if target == "timestamptz" else "2024-02-29"
    tenant.hold("DATE", target, good, *NO_DATES)
    refusal = assert_refused(tenant, "t", "x", "invalid_time", *(f"(id={n})" for n in range(2, len(NO_DATES) + 2)))
    assert [found["rows"] for found in refusal.facts["findings"]] == [len(NO_DATES)]


def test_s07_they_travel_as_the_texts_they_are_when_the_column_is_translated(tenant: Tenant) -> None:
    tenant.sqlite(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, x DATE)",
        *(("INSERT INTO t VALUES (?, ?)", (number, text)) for number, text in enumerate([*NO_DATES, "2024-02-29"])),
    )
    tenant.translate()
    assert_arrives(tenant)


# S08


@pytest.mark.parametrize("zone", ["UTC", "America/New_York", "Asia/Kathmandu"])
def test_s08_times_without_a_zone_are_never_shifted_by_the_servers(tenant: Tenant, zone: str) -> None:
    name = tenant.database.run("SELECT current_database()")[0][0]
    local = ["2024-03-10 02:30:00", "2024-07-01T12:00", "1999-12-31 23:59:59.999999"]
    tenant.database.run(f"ALTER DATABASE {name} SET timezone TO '{zone}'")
    try:
        tenant.hold("DATETIME", "timestamp", *local)
        tenant.load()
        assert [x for (x,) in tenant.postgres("SELECT x::text FROM t ORDER BY id")] == [
            "2024-03-10 02:30:00",
            "2024-07-01 12:00:00",
            "1999-12-31 23:59:59.999999",
        ]
        assert tenant.parity().verdict == "passed"
        zoned = Tenant(tenant.database, tenant.sqlite_path.with_name("zoned.db"))
        zoned.hold("DATETIME", "timestamptz", *local)
        assert_refused(zoned, "t", "x", "naive_time", "(id=1)", "(id=2)", "(id=3)")
        asked = zoned.under(naive_time="convert")
        asked.load()
        assert only(zoned.postgres("SELECT extract(epoch FROM x)::bigint FROM t WHERE id = 1")) == 1710037800
        assert asked.parity().verdict == "passed"
    finally:
        tenant.database.run(f"ALTER DATABASE {name} RESET timezone")


def test_s08_a_written_offset_is_the_instant_it_says(tenant: Tenant) -> None:
    tenant.hold("DATETIME", "timestamptz", "2024-02-29T12:34:56.120+05:30", "2024-02-29 07:04:56.12Z")
    tenant.load()
    assert only(tenant.postgres("SELECT count(DISTINCT x) FROM t")) == 1
    assert tenant.parity().verdict == "passed"
