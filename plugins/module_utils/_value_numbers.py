# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Numbers of SQLite as PostgreSQL writes them: functions that L(_value_kinds) calls from within SQLite."""

from __future__ import annotations

import re
import struct
import typing as t
from decimal import Context, Decimal, InvalidOperation

from ._value_texts import misplaced

_WRITTEN = re.compile(rb"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_WRITTEN_INTEGER = re.compile(rb"[+-]?\d+")
INTEGERS = {name: (-(2**bits), 2**bits - 1) for name, bits in (("int2", 15), ("int4", 31), ("int8", 63))}
_NUMERIC_DIGITS = 131072  # before the decimal point, of a numeric without a precision
_NUMERIC_SCALE = 16383
_INFINITY = float("inf")
_REAL_DIGITS = 9  # tell every real from every other


# SQLite's own printf does not round-trip doubles (0.3 % of random ones are off even with 17 digits); repr does.
# Functions that are built in cost SQLite half as much to call. Both take numbers only.
float_text = repr
float_octets = struct.Struct(">d").pack


def float4_bits(value: t.Any) -> t.Any:
    """Return the bits of a number as real, marked where it would be rounded."""
    if not isinstance(value, (int, float)):
        return misplaced(value)
    try:
        packed = struct.pack(">f", value)
    except OverflowError:
        return "!"
    return packed.hex() if struct.unpack(">f", packed)[0] == value else "!"


def numeric_text(value: t.Any) -> t.Any:
    """Return a number as numeric shows it, without trailing zeros."""
    if not isinstance(value, (int, float)):
        return misplaced(value)
    if value in (float("inf"), float("-inf")):
        return "Infinity" if value > 0 else "-Infinity"
    return _plain(Decimal(repr(value)))


def _plain(number: Decimal) -> str:
    text = format(number, "f") if number else "0"
    return text.rstrip("0").rstrip(".") if "." in text else text


def changed_by_scale(value: float, precision: int, scale: int) -> int:
    """Return whether numeric(precision, scale) would round the number or refuse it."""
    return int(_changed_by_scale(Decimal(repr(value)), precision, scale))


def _changed_by_scale(number: Decimal, precision: int, scale: int) -> bool:
    if not number.is_finite():
        return True
    too_large = bool(number) and number.adjusted() >= precision - scale
    # The lowest digit that is kept stands at 10 ** -scale.
    exact = Context(prec=len(number.as_tuple().digits))
    exponent = number.normalize(exact).as_tuple().exponent
    return too_large or (bool(number) and isinstance(exponent, int) and exponent < -scale)


def number_problem(value: bytes | None, type_name: str, precision: int | None, scale: int | None) -> str:
    """Return the class of problem of a decimal text in a column of numbers, an empty text for none.

    There is none where PostgreSQL reads the text and gives back the same number.

    Args:
        value: The octets of the text.
        type_name: One of L(_value_conversions.NUMBERS).
        precision: Of a numeric, where it is declared.
        scale: The same.
    """
    form = _WRITTEN_INTEGER if type_name in INTEGERS else _WRITTEN
    if value is None or not form.fullmatch(value):
        return "storage_class"
    try:
        number = Decimal(value.decode())
    except InvalidOperation:  # an exponent of many digits
        return "out_of_range"
    if type_name in INTEGERS:
        low, high = INTEGERS[type_name]
        return "" if low <= number <= high else "out_of_range"
    if type_name == "numeric":
        exponent = number.as_tuple().exponent
        if not isinstance(exponent, int) or number.adjusted() >= _NUMERIC_DIGITS or exponent < -_NUMERIC_SCALE:
            return "out_of_range"
        changed = precision is not None and _changed_by_scale(number, precision, scale or 0)
        return "inexact_number" if changed else ""
    try:
        read = _read_float(value, type_name)
    except OverflowError:
        return "out_of_range"
    if read in (_INFINITY, -_INFINITY) or (number and not read):
        return "out_of_range"
    return "" if Decimal(_shown_float(read, type_name)) == number else "inexact_number"


def number_text(value: bytes, type_name: str) -> str:
    """Return how a text without a problem travels into a column of numbers."""
    if type_name in INTEGERS:
        return str(int(value))
    # A numeric keeps the zeros at the end.
    return value.decode() if type_name == "numeric" else _shown_float(_read_float(value, type_name), type_name)


def number_token(value: bytes, type_name: str) -> t.Any:
    """Return the same number as what it is compared as."""
    if type_name in INTEGERS:
        return str(int(value))
    if type_name == "numeric":
        return _plain(Decimal(value.decode()))
    read = _read_float(value, type_name)
    return float4_bits(read) if type_name == "float4" else float_octets(read).hex()


def _read_float(value: bytes, type_name: str) -> float:
    read = float(value)
    return struct.unpack(">f", struct.pack(">f", read))[0] if type_name == "float4" else read


def _shown_float(value: float, type_name: str) -> str:
    """Return the shortest text that PostgreSQL reads as the same number."""
    if type_name == "float8":
        return repr(value)
    for digits in range(1, _REAL_DIGITS):
        text = f"{value:.{digits}g}"
        try:
            if _read_float(text.encode(), "float4") == value:
                return text
        except OverflowError:  # fewer digits may stand for more than the largest real
            continue
    return f"{value:.{_REAL_DIGITS}g}"
