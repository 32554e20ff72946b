# SPDX-License-Identifier: GPL-3.0-or-later
"""S17 to S23: infinities, rounding, ranges, lengths, UUIDs, and declared types that say nothing."""

from __future__ import annotations

import math
import random
import struct
import uuid
from decimal import Decimal
from typing import Any

import pytest
from _databases import Tenant
from _outcomes import assert_arrives, assert_not_translated, assert_refused, in_sqlite, only
from ansible_collections.sxops.pg_cutover.plugins.module_utils._errors import DataRefused


def translated(tenant: Tenant, declared: str, *values: Any) -> Tenant:
    """Put values into a column x declared so, numbered from 1, and let the table be translated."""
    tenant.hold(declared, "text", *values).drop_schema()
    tenant.translate()
    return tenant


# S17


@pytest.mark.parametrize("target", ["double precision", "real", "numeric"])
def test_s17_infinities_arrive_as_infinities(tenant: Tenant, target: str) -> None:
    tenant.hold("REAL", target, math.inf, -math.inf, 1.5)
    assert_arrives(tenant)
    assert tenant.postgres("SELECT x = 'Infinity', x = '-Infinity' FROM t ORDER BY id") == [
        (True, False),
        (False, True),
        (False, False),
    ]


def test_s17_a_nan_is_null_in_sqlite_and_arrives_as_null_and_not_as_zero(tenant: Tenant) -> None:
    tenant.hold("REAL", "double precision", math.nan, 9e999 - 9e999, 0.0)
    assert in_sqlite(tenant, "SELECT typeof(x) FROM t") == [("null",), ("null",), ("real",)]
    assert_arrives(tenant)
    assert tenant.postgres("SELECT x FROM t ORDER BY id") == [(None,), (None,), (0.0,)]


@pytest.mark.parametrize("text", ["NaN", "Infinity", "-inf", "nan"])
@pytest.mark.parametrize("target", ["double precision", "numeric"])
def test_s17_their_names_as_text_are_no_numbers_whatever_was_asked_for(tenant: Tenant, text: str, target: str) -> None:
    tenant.hold("REAL", target, 1.5, text)
    assert_refused(tenant.under(boolean_text="convert"), "t", "x", "storage_class", "(id=2)")


@pytest.mark.parametrize("target", ["integer", "numeric(8,2)", "boolean"])
def test_s17_an_infinity_where_there_is_none_is_refused(tenant: Tenant, target: str) -> None:
    tenant.hold("REAL", target, math.inf)
    found = "inexact_number" if target.startswith("numeric") else "storage_class"
    assert_refused(tenant, "t", "x", found, "(id=1)")


# S18


def test_s18_every_double_keeps_every_bit(tenant: Tenant) -> None:
    draw = random.Random(18)
    values = [struct.unpack(">d", draw.randbytes(8))[0] for _number in range(500)]
    values = [value for value in values if not math.isnan(value)]
    tenant.hold("REAL", "double precision", 123456789.123456789, 0.1, -0.0, 5e-324, 1.7976931348623157e308, *values)
    assert_arrives(tenant)


@pytest.mark.parametrize("value", [123456789.123456789, 0.1, 16777217, 1e39])
def test_s18_a_number_that_a_real_column_would_round_is_refused(tenant: Tenant, value: float) -> None:
    tenant.hold("REAL", "real", 0.5, value)
    assert_refused(tenant, "t", "x", "inexact_number", "(id=2)")


def test_s18_a_declared_real_is_never_translated_into_four_bytes(tenant: Tenant) -> None:
    for declared in ("REAL", "FLOAT", "DOUBLE"):
        tenant.sqlite(f"CREATE TABLE {declared}_ (id INTEGER PRIMARY KEY, x {declared})")
        tenant.sqlite(f"INSERT INTO {declared}_ VALUES (1, 123456789.123456789)")
    tenant.translate()
    assert_arrives(tenant)


@pytest.mark.parametrize(
    "values",
    [(2.5, -0.1), (1, 2**62), (1, 2.5, None), ("a", ""), (b"\x00", b""), (None,)],
    ids=["reals", "integers", "both", "texts", "blobs", "nothing"],
)
def test_s18_a_column_without_a_type_arrives_as_what_it_holds(tenant: Tenant, values: tuple[Any, ...]) -> None:
    assert_arrives(translated(tenant, "", *values))


# S19


def test_s19_decimals_arrive_as_sqlite_already_rounded_them(tenant: Tenant) -> None:
    tenant.sqlite(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, x NUMERIC(22,2))",
        "INSERT INTO t VALUES (1, '12345678901234567890.12'), (2, '0.10'), (3, '7.00'), (4, '1e3')",
    )
    assert in_sqlite(tenant, "SELECT typeof(x) FROM t") == [("real",), ("real",), ("integer",), ("integer",)]
    tenant.translate()
    assert_arrives(tenant)
    arrived = [Decimal(str(x)) for (x,) in tenant.postgres("SELECT x FROM t ORDER BY id")]
    assert arrived == [Decimal("12345678901234567000"), Decimal("0.1"), 7, 1000]


def test_s19_an_integer_beyond_64_bits_is_a_real_in_sqlite_and_no_bigint(tenant: Tenant) -> None:
    tenant.sqlite(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, x INTEGER)",
        "INSERT INTO t VALUES (1, 9223372036854775807), (2, 9223372036854775808)",
    )
    assert in_sqlite(tenant, "SELECT typeof(x) FROM t") == [("integer",), ("real",)]
    tenant.translate()
    assert_refused(tenant, "t", "x", "storage_class", "(id=2)")


@pytest.mark.parametrize("value", [1.005, 12345678.9, 0.1 + 0.2])
def test_s19_digits_that_the_declared_scale_would_round_are_refused(tenant: Tenant, value: float) -> None:
    tenant.hold("NUMERIC", "numeric(9,2)", 1.25, 7, value)
    assert_refused(tenant, "t", "x", "inexact_number", "(id=3)")


# S20


@pytest.mark.parametrize(
    ("target", "fits", "beyond"),
    [
        ("smallint", -(2**15), 2**15),
        ("integer", 2**31 - 1, 180303235924),
        ("integer", -(2**31), -(2**31) - 1),
    ],
)
def test_s20_an_integer_beyond_the_columns_range_is_refused(
    tenant: Tenant, target: str, fits: int, beyond: int
) -> None:
    tenant.hold("INTEGER", target, fits, beyond)
    assert_refused(tenant, "t", "x", "out_of_range", "(id=2)")
    tenant.sqlite("DELETE FROM t WHERE id = 2")
    assert_arrives(tenant)
    # The application's own type is still there: an int4 that became a bigint broke every login of vaultwarden.
    assert only(tenant.postgres("SELECT pg_typeof(x)::text FROM t")) == target


def test_s20_every_integer_fits_into_a_translated_column(tenant: Tenant) -> None:
    assert_arrives(translated(tenant, "INT", 180303235924, -(2**63), 2**63 - 1))


# S21


@pytest.mark.parametrize(
    ("target", "fits", "beyond"),
    [
        ("varchar(4)", "ä€😀x", "ä€😀xy"),
        ("varchar(4)", "", "abcd "),
        ("char(4)", "abcd", "abcde"),
        ("char(4)", "ab", "ab "),  # char(n) does not keep blanks at its end
    ],
)
def test_s21_text_longer_than_declared_is_refused_by_key_and_counted_in_characters(
    tenant: Tenant, target: str, fits: str, beyond: str
) -> None:
    tenant.hold("TEXT", target, fits, beyond)
    assert_refused(tenant, "t", "x", "too_long", "(id=2)")
    tenant.sqlite("DELETE FROM t WHERE id = 2")
    tenant.load()
    assert only(tenant.postgres("SELECT x::text FROM t")) == fits


def test_s21_a_declared_length_that_sqlite_never_enforced_does_not_cut_a_translated_column(tenant: Tenant) -> None:
    assert_arrives(translated(tenant, "VARCHAR(4)", "far longer than four", "ab  "))


# S22


ID = uuid.UUID("6f9619ff-8b86-d011-b42d-00c04fc964ff")


@pytest.mark.parametrize("value", [str(ID), str(ID).upper(), ID.hex, ID.hex.upper(), ID.bytes])
def test_s22_every_spelling_of_a_uuid_arrives_as_that_uuid(tenant: Tenant, value: Any) -> None:
    tenant.hold("CHAR(36)", "uuid", value, None).load()
    assert tenant.postgres("SELECT x::text FROM t ORDER BY id") == [(str(ID),), (None,)]
    assert tenant.parity().verdict == "passed"


@pytest.mark.parametrize("value", ["", "no uuid", str(ID)[:-1], "{" + str(ID) + "}", ID.bytes[:-1], b""])
def test_s22_a_value_that_is_no_uuid_is_refused(tenant: Tenant, value: Any) -> None:
    tenant.hold("CHAR(36)", "uuid", str(ID), value)
    assert_refused(tenant, "t", "x", "invalid_uuid", "(id=2)")


FAMILY = (
    "CREATE TABLE parent (id uuid PRIMARY KEY);CREATE TABLE child (id int PRIMARY KEY, up uuid REFERENCES parent (id))"
)


@pytest.mark.parametrize("child", [ID.bytes, ID.hex, str(ID).upper()], ids=["blob", "32 digits", "capitals"])
def test_s22_a_reference_that_is_spelt_in_another_way_than_its_parent_is_no_orphan(tenant: Tenant, child: Any) -> None:
    tenant.sqlite(
        "CREATE TABLE parent (id PRIMARY KEY)",
        "CREATE TABLE child (id INTEGER PRIMARY KEY, up)",
        ("INSERT INTO parent VALUES (?)", (str(ID),)),
        ("INSERT INTO child VALUES (1, ?)", (child,)),
    )
    tenant.create_schema(FAMILY)
    tenant.load()
    assert only(tenant.postgres("SELECT count(*) FROM child JOIN parent ON parent.id = up")) == 1
    assert tenant.parity().verdict == "passed"


def test_s22_two_spellings_of_one_uuid_are_duplicates_of_a_key(tenant: Tenant) -> None:
    tenant.sqlite(
        "CREATE TABLE parent (id PRIMARY KEY)",
        ("INSERT INTO parent VALUES (?), (?)", (str(ID), str(ID).upper())),
        "CREATE TABLE child (id INTEGER PRIMARY KEY, up)",
    )
    tenant.create_schema(FAMILY)
    with pytest.raises(DataRefused, match="(?i)parent.id.*" + str(ID)) as refusal:
        tenant.load()
    assert [found["problem_class"] for found in refusal.value.facts["findings"]] == ["duplicate_key"]


# S23


@pytest.mark.parametrize("declared", ['"number"', '"byte[]"', '"TEXT[]"', "timestampz", "intege"])
@pytest.mark.parametrize(
    "values", [(1, -(2**62)), (0.5, 2.25), ("text", ""), (None,)], ids=["integers", "reals", "texts", "nothing"]
)
def test_s23_a_declared_type_that_says_nothing_arrives_as_what_the_column_holds(
    tenant: Tenant, declared: str, values: tuple[Any, ...]
) -> None:
    translated(tenant, declared, *values)
    tenant.under(number_as_text="convert").load()
    stored = in_sqlite(tenant, "SELECT id, x FROM t ORDER BY id")
    arrived = tenant.postgres("SELECT id, x FROM t ORDER BY id")
    assert [(number, text_of(x)) for number, x in arrived] == [(number, text_of(x)) for number, x in stored]


def text_of(value: Any) -> Any:
    return None if value is None else str(value)


def test_s23_blobs_under_a_strange_type_arrive_as_bytes(tenant: Tenant) -> None:
    assert_arrives(translated(tenant, '"byte[]"', b"\x00\xff", b""))


def test_s23_a_strict_any_column_is_told_by_its_values(tenant: Tenant) -> None:
    tenant.sqlite("CREATE TABLE t (id INTEGER PRIMARY KEY, x ANY) STRICT", "INSERT INTO t VALUES (1, 'a'), (2, '5')")
    tenant.translate()
    assert_arrives(tenant)


def test_s23_values_that_have_no_type_in_common_are_refused_by_name_with_their_numbers(tenant: Tenant) -> None:
    tenant.sqlite(
        'CREATE TABLE t (id INTEGER PRIMARY KEY, x "byte[]")',
        "INSERT INTO t VALUES (1, x'00'), (2, 'a'), (3, 'b'), (4, 5)",
    )
    assert_not_translated(tenant, "t.x")
