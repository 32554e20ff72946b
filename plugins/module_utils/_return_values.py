# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""What a value of PostgreSQL becomes in SQLite, where it may have many spellings: the one that is used there already.

A column of PostgreSQL shows one text for a moment, a UUID or a truth; the application wrote its own into SQLite, and
reads them back. So a value follows another one of its column: the separator of a time, its zone and its digits, the
dashes and letters of a UUID, seconds since 1970 for a number. Where there is nothing to follow, it is PostgreSQL's text
(C(2026-11-21 09:30:15+00), a UUID with dashes in small letters), 0 or 1 for a boolean, and a number for a number.
"""

from __future__ import annotations

import datetime
import math
import re
import struct
import typing as t
import uuid
from decimal import Decimal, InvalidOperation
from fractions import Fraction

from . import _value_texts
from ._value_numbers import INTEGERS

if t.TYPE_CHECKING:
    from ._change_log import KeyValue

# The kinds (L(_value_kinds)) of which values have more than one spelling, at least under some policy.
SPELT = frozenset(
    ["bool", "bytea", "uuid", "time", "timestamp", "timestamptz", "numeric", "float4", "float8", *INTEGERS, "text"]
)
_WORDS = (("t", "f"), ("true", "false"), ("y", "n"), ("yes", "no"), ("on", "off"), ("1", "0"))
_MOMENT = re.compile(
    r"(\d{4}-\d\d-\d\d)(?:([T ])(\d\d:\d\d)(:\d\d)?(?:\.(\d+))?( ?(?:Z|[+-]\d\d(?::?\d\d)?))?)?", re.ASCII
)
_CLOCK = re.compile(r"(\d\d:\d\d)(:\d\d)?(?:\.(\d+))?", re.ASCII)
_FIXED_DIGITS = (3, 6)  # as JavaScript and Python write them, also where they are zeros
_MILLISECONDS_FROM = 10**11
_JULIAN = (1721425.5, 5373484.5)
_JULIAN_EPOCH = Fraction(2440587.5)
_DAY = 86_400_000_000
_EPOCH = datetime.datetime(1970, 1, 1)


class Misfit(ValueError):
    """The value cannot be held by SQLite as it is; the text says why."""


def return_value(kind: str, text: str | bytes, like: KeyValue = None) -> KeyValue:
    """Return what SQLite is to hold.

    Args:
        kind: The name of the column's kind.
        text: What PostgreSQL shows, or the canonical token of it (L(_row_codec)); of a bytea its octets.
        like: A value of the same column to follow; None for the default spelling.

    Raises:
        Misfit: There is no such value.
    """
    if kind == "bytea":
        return _octets(text, like)
    shown = text.decode() if isinstance(text, bytes) else text
    if kind == "bool":
        return _truth(shown, like)
    if kind in INTEGERS:
        return shown if isinstance(like, str) else int(shown)
    if kind in ("float8", "float4"):
        return _float(kind, shown, like)
    if kind == "numeric":
        return _numeric(shown, like)
    if kind == "uuid":
        return _uuid(shown, like)
    if kind == "time":
        return _clock(shown, like)
    if kind in ("timestamp", "timestamptz"):
        return _moment(shown, like)
    if kind == "text" and isinstance(like, (int, float)):
        return _number_of(shown, like)
    return shown


def shape(value: KeyValue) -> t.Hashable:
    """Return what values of one spelling have in common."""
    if not isinstance(value, str):
        return type(value).__name__, isinstance(value, (int, float)) and abs(value) >= _MILLISECONDS_FROM
    parts = _MOMENT.fullmatch(value)
    if parts:
        return "moment", parts[2], bool(parts[4]), len(parts[5] or ""), parts[6]
    if len(value) in (32, 36):
        return len(value), value.islower(), value.isupper()
    return "text", value.lower() if len(value) <= max(len(word) for pair in _WORDS for word in pair) else ""


def _truth(text: str, like: KeyValue) -> KeyValue:
    truth = text in ("1", "t", "true")
    if not isinstance(like, str):
        return int(truth)
    for pair in _WORDS:
        if like.lower() in pair:
            word = pair[0] if truth else pair[1]
            if like.isupper():
                return word.upper()
            return word.title() if like.istitle() else word
    return int(truth)


def _octets(value: str | bytes, like: KeyValue) -> KeyValue:
    if isinstance(value, str):
        value = bytes.fromhex(value[2:] if value.startswith("\\x") else value)
    if isinstance(like, str):
        if _value_texts.is_hex(like.encode("utf-8", "surrogateescape")):
            return "\\x" + value.hex()
        try:
            return value.decode()
        except UnicodeDecodeError:
            pass
    return value


def _float(kind: str, text: str, like: KeyValue) -> KeyValue:
    number = float(text)
    if math.isnan(number):
        raise Misfit("SQLite has no NaN, it would become NULL")
    if isinstance(like, str):
        return text
    if kind == "float4" and not math.isinf(number):
        # As a double it is the number that PostgreSQL has, not the shortest text that stands for it.
        return t.cast("float", struct.unpack(">f", struct.pack(">f", number))[0])
    return number


def _numeric(text: str, like: KeyValue) -> KeyValue:
    if isinstance(like, str):
        return text
    try:
        number = Decimal(text)
    except InvalidOperation:
        raise Misfit(f"{text} is no number") from None
    if number.is_nan():
        raise Misfit("SQLite has no NaN, it would become NULL")
    if number.is_finite() and number == number.to_integral_value() and not isinstance(like, float):
        low, high = INTEGERS["int8"]
        if low <= number <= high:
            return int(number)
    held = float(number)
    if number.is_finite() and Decimal(repr(held)) != number:
        raise Misfit(f"{text} has more digits than a number of SQLite keeps")
    return held


def _number_of(text: str, like: float) -> KeyValue:
    """Return the number that a text column of PostgreSQL shows as this text, where SQLite holds numbers there."""
    try:
        number: int | float = float(text) if isinstance(like, float) else int(text)
    except ValueError:
        return text
    return number if repr(number) == text else text


def _uuid(text: str, like: KeyValue) -> KeyValue:
    value = uuid.UUID(text)
    if isinstance(like, bytes):
        return value.bytes
    shown = str(value)
    if isinstance(like, str):
        if "-" not in like:
            shown = value.hex
        if like.isupper():
            shown = shown.upper()
    return shown


def _clock(text: str, like: KeyValue) -> KeyValue:
    parts = _CLOCK.fullmatch(like) if isinstance(like, str) else None
    return text if parts is None else _with_digits(text, bool(parts[2]), parts[3])


def _with_digits(clock: str, seconds: bool, fraction: str | None) -> str:
    """Return C(HH:MM:SS.ffffff) with as many digits as another one has, none of them lost."""
    head, _point, digits = clock.partition(".")
    if fraction and len(fraction) in _FIXED_DIGITS:
        digits = digits.ljust(len(fraction), "0")
    if not seconds and not digits and head.endswith(":00") and head.count(":") == 2:
        return head[:-3]
    return f"{head}.{digits}" if digits else head


def _moment(text: str, like: KeyValue) -> KeyValue:
    if like is None or isinstance(like, bytes):
        return text
    parts = _MOMENT.fullmatch(text)
    if parts is None or parts[3] is None:
        raise Misfit(f"{text} is no time that SQLite's side can hold")
    digits = (parts[5] or "").ljust(6, "0")
    found = datetime.datetime.fromisoformat(f"{parts[1]} {parts[3]}{parts[4]}.{digits}")
    if isinstance(like, str):
        return _written(text, found, like)
    count = (found - _EPOCH) // datetime.timedelta(microseconds=1)
    if isinstance(like, float):
        if _JULIAN[0] <= like <= _JULIAN[1]:
            return float(Fraction(count, _DAY) + _JULIAN_EPOCH)
        return count / 1_000_000
    unit = 1000 if abs(like) >= _MILLISECONDS_FROM else 1_000_000
    return text if count % unit else count // unit


def _written(text: str, found: datetime.datetime, like: str) -> str:
    parts = _MOMENT.fullmatch(like)
    if parts is None:
        return text
    _day, between, _minutes, second, fraction, zone = parts.groups()
    try:
        found += _offset(zone)
    except OverflowError:
        return text
    if between is None:
        if found.time() == datetime.time():
            return found.date().isoformat()
        between, second, zone = " ", ":00", ""
    clock = found.time().isoformat("microseconds").rstrip("0").rstrip(".")
    return f"{found.date().isoformat()}{between}{_with_digits(clock, bool(second), fraction)}{zone or ''}"


def _offset(zone: str | None) -> datetime.timedelta:
    name = (zone or "").strip()
    if name in ("", "Z"):
        return datetime.timedelta()
    shift = datetime.timedelta(hours=int(name[1:3]), minutes=int(name[3:].lstrip(":") or 0))
    return -shift if name[0] == "-" else shift
