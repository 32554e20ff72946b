# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Numbers of SQLite as PostgreSQL writes them: functions that L(_value_kinds) calls from within SQLite."""

from __future__ import annotations

import struct
import typing as t
from decimal import Context, Decimal

from ._value_texts import misplaced

_EXACT = Context(prec=400)  # more digits than any integer or double of SQLite has


# SQLite's own printf does not round-trip doubles (0.3 % of random ones are off even with 17 digits); repr does.
def float_text(value: t.Any) -> t.Any:
    """Return a number as the shortest decimal text that reads back as the same double."""
    return repr(float(value)) if isinstance(value, (int, float)) else misplaced(value)


def float_bits(value: t.Any) -> t.Any:
    """Return the bits of a double, in hexadecimal."""
    return struct.pack(">d", value).hex() if isinstance(value, (int, float)) else misplaced(value)


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
    text = format(Decimal(repr(value)), "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def changed_by_scale(value: float, precision: int, scale: int) -> int:
    """Return whether numeric(precision, scale) would round the number or refuse it."""
    number = Decimal(repr(value))
    if not number.is_finite():
        return 1
    too_large = bool(number) and number.adjusted() >= precision - scale
    # The lowest digit that is kept stands at 10 ** -scale.
    exponent = number.normalize(_EXACT).as_tuple().exponent
    return int(too_large or (bool(number) and isinstance(exponent, int) and exponent < -scale))
