# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Values that have many spellings in SQLite and one text in PostgreSQL: times, UUIDs, JSON.

Every function takes what SQLite holds, text as its octets, and returns PostgreSQL's own output text (in UTC, ISO), so
that both sides can be compared; a value that has none is marked by L(misplaced).
"""

from __future__ import annotations

import datetime
import hashlib
import json
import re
import typing as t
import uuid
from decimal import Decimal
from fractions import Fraction

_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
_MICROSECOND = datetime.timedelta(microseconds=1)
_SMALLEST_MILLISECONDS = 10**11
_JULIAN_EPOCH = 2440587.5
_JULIAN_DAYS = (1721425.5, 5373484.5)  # the years 1 to 9999
_DAY = 86_400_000_000
_DATE = r"(\d{4})-(\d\d)-(\d\d)"
_CLOCK = r"(\d\d):(\d\d)(?::(\d\d)(?:\.(\d+))?)?"
_MOMENT = re.compile(rf"{_DATE}(?:[T ]{_CLOCK} ?(Z|[+-]\d\d(?::?\d\d)?)?)?", re.ASCII)
_ONLY_DATE = re.compile(_DATE, re.ASCII)
_ONLY_CLOCK = re.compile(_CLOCK, re.ASCII)
_UUID = re.compile(r"[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}|[0-9a-f]{32}", re.IGNORECASE | re.ASCII)
_HEX = re.compile(rb"\\x([0-9a-fA-F]{2})*")
_LARGEST_EXPONENT = 1000
_LARGEST_JSONB = 1 << 28  # octets; PostgreSQL's own limit for what one value holds


def misplaced(value: t.Any) -> t.Any:
    """Return a mark that is no value of PostgreSQL's, so that the two sides differ; NULL stays NULL."""
    if isinstance(value, bytes):
        return "!" + value.hex()
    return value if value is None else f"!{value}"


def invalid_utf8(value: bytes | None) -> int:
    """Return whether the octets of a text are no UTF-8."""
    if value is None:  # SQLite evaluates both sides of an AND
        return 0
    try:
        value.decode()
    except UnicodeDecodeError:
        return 1
    return 0


def is_hex(value: bytes | None) -> int:
    """Return whether the octets of a text are what PostgreSQL shows of a bytea: a backslash, an x and digits."""
    return int(value is not None and _HEX.fullmatch(value) is not None)


def unhex(value: bytes) -> bytes:
    """Return the octets that such a text stands for."""
    return bytes.fromhex(value[2:].decode())


def long_token(value: bytes) -> str:
    """Return what a text or blob of more than L(_value_kind.INLINE_OCTETS) is compared as."""
    return f"{len(value)}:{hashlib.sha256(value).hexdigest()}"


def moment(value: t.Any, zoned: int, digits: int, converted: str) -> t.Any:
    """Return a timestamp (with time zone where C(zoned)) of at most so many digits after its seconds.

    Args:
        value: Text as octets, or a number.
        zoned: Whether the column is a timestamptz.
        digits: How many digits after the seconds it keeps.
        converted: The classes of L(_policies.CONVERTIBLE) that are to be converted, separated by blanks.
    """
    if value is None:
        return None
    found, problem = _moment(value, bool(zoned), digits)
    if found is None or (problem and problem not in converted.split()):
        return misplaced(value)
    return _show(found) + ("+00" if zoned else "")


def moment_problem(value: t.Any, zoned: int, digits: int) -> str:
    """Return the class of problem that a value is for such a column, an empty text for none."""
    return "" if value is None else _moment(value, bool(zoned), digits)[1]


def _moment(value: t.Any, zoned: bool, digits: int) -> tuple[datetime.datetime | None, str]:
    try:
        if isinstance(value, bytes):
            return _written_moment(value.decode(), zoned, digits)
        return _counted_moment(value, digits)
    except (ValueError, OverflowError):
        return None, "invalid_time"


def _written_moment(text: str, zoned: bool, digits: int) -> tuple[datetime.datetime | None, str]:
    parts = _MOMENT.fullmatch(text)
    if parts is None:
        return None, "invalid_time"
    year, month, day, hour, minute, second, fraction, zone = parts.groups()
    found = datetime.datetime(
        int(year),
        int(month),
        int(day),
        int(hour or 0),
        int(minute or 0),
        int(second or 0),
        _microseconds(fraction, digits),
        datetime.timezone.utc,
    )
    if zone and zone != "Z":
        hours, minutes = int(zone[1:3]), int(zone[3:].lstrip(":") or 0)
        if hours > 15 or minutes > 59:  # PostgreSQL knows no zone further away
            return None, "invalid_time"
        shift = datetime.timedelta(hours=hours, minutes=minutes)
        found = found - shift if zone[0] == "+" else found + shift
    if bool(zone) == zoned:
        return found, ""
    return found, "naive_time" if zoned else "zoned_time"


def _microseconds(fraction: str | None, digits: int) -> int:
    kept = (fraction or "").rstrip("0")
    if len(kept) > digits:
        raise ValueError("more digits than are kept")
    return int(kept.ljust(6, "0"))


def _counted_moment(value: float, digits: int) -> tuple[datetime.datetime | None, str]:
    if isinstance(value, int):
        milliseconds = abs(value) >= _SMALLEST_MILLISECONDS
        count = value * 1000 if milliseconds else value * 1_000_000
        problem = "epoch_milliseconds" if milliseconds else "epoch_seconds"
    elif _JULIAN_DAYS[0] <= value <= _JULIAN_DAYS[1]:
        count, problem = round((Fraction(value) - Fraction(_JULIAN_EPOCH)) * _DAY), "julian_day"
        if count / _DAY + _JULIAN_EPOCH != value:
            return None, "invalid_time"
    else:
        # Not as a double: so many microseconds are more than it can count.
        count, problem = round(Fraction(value) * 1_000_000), "epoch_seconds"
        if count / 1_000_000 != value:
            return None, "invalid_time"
    if count % 10 ** (6 - digits):
        return None, "invalid_time"
    return _EPOCH + count * _MICROSECOND, problem


def _show(found: datetime.datetime) -> str:
    text = found.replace(tzinfo=None).isoformat(" ")
    return text.rstrip("0") if found.microsecond else text


def day(value: t.Any) -> t.Any:
    """Return a date; it has no other spelling than C(2026-11-21)."""
    if isinstance(value, bytes):
        try:
            parts = _ONLY_DATE.fullmatch(value.decode())
            if parts:
                return datetime.date(*map(int, parts.groups())).isoformat()
        except ValueError:
            pass
    return misplaced(value)


def clock(value: t.Any, digits: int) -> t.Any:
    """Return a time of day of at most so many digits after its seconds."""
    if isinstance(value, bytes):
        try:
            parts = _ONLY_CLOCK.fullmatch(value.decode())
            if parts:
                hour, minute, second, fraction = parts.groups()
                found = datetime.time(int(hour), int(minute), int(second or 0), _microseconds(fraction, digits))
                text = found.isoformat()
                return text.rstrip("0") if found.microsecond else text
        except ValueError:
            pass
    return misplaced(value)


def uuid_text(value: t.Any, storage: t.Any) -> t.Any:
    """Return a UUID from 36 or 32 characters of text, or from 16 octets."""
    if isinstance(value, bytes):
        if storage in (b"blob", "blob"):
            return str(uuid.UUID(bytes=value)) if len(value) == 16 else misplaced(value)
        try:
            text = value.decode()
        except UnicodeDecodeError:
            return misplaced(value)
        if _UUID.fullmatch(text):
            return str(uuid.UUID(text))
    return misplaced(value)


def jsonb_digest(value: t.Any) -> t.Any:
    """Return the SHA-256 of the text that PostgreSQL makes of a jsonb value."""
    if isinstance(value, bytes):
        try:
            return hashlib.sha256(_jsonb_text(_parse_json(value.decode(), True)).encode()).hexdigest()
        except (ValueError, RecursionError):
            pass
    return misplaced(value)


def is_json(value: t.Any, binary: int) -> int:
    """Return whether a json column, or with C(binary) a jsonb column, gives back all that the text says."""
    if binary and len(value or b"") >= _LARGEST_JSONB:
        return 0
    try:
        _jsonb_text(_parse_json(value.decode(), bool(binary))).encode()
    except (ValueError, RecursionError, AttributeError):
        return 0
    return 1


def _parse_json(text: str, binary: bool) -> t.Any:
    def members(pairs: list[tuple[str, t.Any]]) -> dict[str, t.Any]:
        found = dict(pairs)
        if binary and len(found) < len(pairs):
            raise ValueError("jsonb keeps one of several members with one name")
        return found

    return json.loads(
        text, object_pairs_hook=members, parse_float=_number, parse_int=_number, parse_constant=_no_constant
    )


def _number(text: str) -> Decimal:
    number = Decimal(text)
    exponent = number.as_tuple().exponent
    if not isinstance(exponent, int) or abs(number.adjusted()) > _LARGEST_EXPONENT or abs(exponent) > _LARGEST_EXPONENT:
        raise ValueError("a number of this size is not taken for granted")
    return number


def _no_constant(name: str) -> t.NoReturn:
    raise ValueError(f"{name} is no JSON")


def _jsonb_text(value: t.Any) -> str:
    if isinstance(value, dict):
        # In the order in which jsonb keeps them: by the length of the name, then by its octets.
        members = sorted(value.items(), key=lambda member: (len(member[0].encode()), member[0].encode()))
        return "{" + ", ".join(f"{_jsonb_text(name)}: {_jsonb_text(held)}" for name, held in members) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_jsonb_text, value)) + "]"
    if isinstance(value, Decimal):
        text = format(value, "f")
        return text if value else text.lstrip("-")
    if isinstance(value, str) and "\0" in value:
        raise ValueError("PostgreSQL has no NUL character")
    return json.dumps(value, ensure_ascii=False)
