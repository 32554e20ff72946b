# SPDX-License-Identifier: GPL-3.0-or-later
"""Decimal texts in columns of numbers: what PostgreSQL would give back as the same number, and nothing else."""

from __future__ import annotations

import math
import struct
from decimal import Decimal

import pytest
from ansible_collections.sxops.pg_cutover.plugins.module_utils._value_numbers import (
    changed_by_scale,
    float4_bits,
    number_problem,
    number_text,
    number_token,
    numeric_text,
)
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize(
    ("type_name", "text", "problem"),
    [
        ("int2", b"32767", ""),
        ("int2", b"32768", "out_of_range"),
        ("int2", b"-32768", ""),
        ("int4", b"+0012", ""),
        ("int4", b"12.0", "storage_class"),
        ("int4", b"1e2", "storage_class"),
        ("int4", b" 12", "storage_class"),
        ("int4", b"12\x00", "storage_class"),
        ("int4", b"1_000", "storage_class"),
        ("int4", b"0x1f", "storage_class"),
        ("int4", "\u0661".encode(), "storage_class"),
        ("int4", b"", "storage_class"),
        ("int8", b"9223372036854775808", "out_of_range"),
        ("int8", b"1" * 5000, "out_of_range"),
        ("float8", b"0.1", ""),
        ("float8", b".5", ""),
        ("float8", b"5.", ""),
        ("float8", b"-1E-5", ""),
        ("float8", b"1e22", ""),
        ("float8", b"0e999", ""),
        ("float8", b"9007199254740993", "inexact_number"),
        ("float8", b"0.1000000000000000055", "inexact_number"),
        ("float8", b"1e309", "out_of_range"),
        ("float8", b"1e-400", "out_of_range"),
        ("float8", b"1e99999999999999999999", "out_of_range"),
        ("float8", b"inf", "storage_class"),
        ("float8", b"nan", "storage_class"),
        ("float8", b".", "storage_class"),
        ("float8", b"1e", "storage_class"),
        ("float4", b"0.1", ""),
        ("float4", b"16777215", ""),
        ("float4", b"16777217", "inexact_number"),
        ("float4", b"3.4028235e38", ""),
        ("float4", b"3.5e38", "out_of_range"),
        ("float4", b"1e-46", "out_of_range"),
        ("numeric", b"1.500", ""),
        ("numeric", b"1e131071", ""),
        ("numeric", b"1e131072", "out_of_range"),
        ("numeric", b"1e-16383", ""),
        ("numeric", b"1.5e-16383", "out_of_range"),
        ("numeric", b"Infinity", "storage_class"),
    ],
)
def test_a_text_has_the_class_of_what_postgresql_would_do_with_it(type_name: str, text: bytes, problem: str) -> None:
    assert number_problem(text, type_name, None, None) == problem


@pytest.mark.parametrize(
    ("text", "problem"),
    [(b"999.99", ""), (b"999.990", ""), (b"-0.001e1", ""), (b"0.001", "inexact_number"), (b"1000", "inexact_number")],
)
def test_a_declared_scale_counts(text: bytes, problem: str) -> None:
    assert number_problem(text, "numeric", 5, 2) == problem


@given(st.integers(-(2**63), 2**63 - 1))
def test_every_integer_is_itself(value: int) -> None:
    text = str(value).encode()
    assert number_problem(text, "int8", None, None) == ""
    assert number_text(text, "int8") == number_token(text, "int8") == str(value)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_the_shortest_text_of_a_double_is_that_double(value: float) -> None:
    text = repr(value).encode()
    assert number_problem(text, "float8", None, None) == ""
    assert number_token(text, "float8") == struct.pack(">d", float(number_text(text, "float8"))).hex()
    assert math.copysign(1, float(number_text(text, "float8"))) == math.copysign(1, value)


@given(st.floats(allow_nan=False, allow_infinity=False, width=32))
def test_a_real_travels_as_a_text_that_reads_back_as_itself(value: float) -> None:
    text = f"{value:.9g}".encode()
    assert number_token(text, "float4") == float4_bits(value)
    shown = number_text(text, "float4")
    assert struct.pack(">f", float(shown)) == struct.pack(">f", value)
    assert number_problem(shown.encode(), "float4", None, None) == ""


@given(st.decimals(allow_nan=False, allow_infinity=False, places=6) | st.decimals(-1, 1, allow_nan=False))
def test_a_numeric_keeps_every_digit(value: Decimal) -> None:
    text = str(value).encode()
    assert number_problem(text, "numeric", None, None) == ""
    assert Decimal(number_token(text, "numeric")) == Decimal(number_text(text, "numeric")) == value
    assert "E" not in number_token(text, "numeric")


@pytest.mark.parametrize(("value", "shown"), [(1e22, "1" + "0" * 22), (-0.0, "0"), (2.50, "2.5"), (10, "10")])
def test_a_number_of_sqlite_is_shown_without_exponent_and_zeros(value: float, shown: str) -> None:
    assert numeric_text(value) == shown


@pytest.mark.parametrize(
    ("value", "changed"), [(1.25, 0), (1.255, 1), (0.0, 0), (99.5, 0), (100, 1), (math.inf, 1), (5e-324, 1)]
)
def test_what_a_scale_would_round_or_refuse(value: float, changed: int) -> None:
    assert changed_by_scale(value, 4, 2) == changed
