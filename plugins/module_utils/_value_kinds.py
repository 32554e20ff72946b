# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""How values of one PostgreSQL type are held in SQLite, travel, and compare: one kind per type and policies.

A type that is not here is refused by name: guessing a conversion would be a silent change of data.
"""

from __future__ import annotations

import dataclasses
import re
import typing as t

from . import _value_numbers, _value_texts
from ._policies import CONVERT
from ._value_conversions import with_conversions
from ._value_kind import INLINE_OCTETS, Kind, Problem

if t.TYPE_CHECKING:
    import sqlite3

    from ._postgres_store import Column

_EXACT_INTEGER_AS_FLOAT = 2**53
# A text as its octets: a function of ours would not be called with one that is no valid UTF-8.
_OCTETS = "CASE typeof({x}) WHEN 'text' THEN CAST({x} AS BLOB) ELSE {x} END"


def _number(name: str, function: str, postgres_text: str, csv: str) -> Kind:
    # Texts and blobs sort after all numbers; one that stands here by mistake must not look like a number.
    token = f"CASE WHEN +{{x}} <= 9e999 THEN {function} ELSE '!'||hex({{x}}) END"
    return Kind(name, ("integer", "real"), csv, token, postgres_text, null_safe=False)


def _integer(name: str, low: int, high: int, postgres_text: str = "{x}::text") -> Kind:
    outside = f"({{x}} NOT BETWEEN {low} AND {high} AND typeof({{x}}) = 'integer')"
    problem = Problem("out_of_range", f"out of range for {{type}} ({low} to {high})", outside)
    kind = _number(name, "{x}", postgres_text, "{x}")
    # SQLite has no larger integers than int8.
    return dataclasses.replace(kind, storages=("integer",), problems=() if name == "int8" else (problem,))


_TEXT_PROBLEMS = (
    Problem(
        "nul_character",
        "NUL character in text",
        "(typeof({x}) = 'text' AND instr(CAST({x} AS BLOB), x'00') > 0)",
        False,
    ),
    Problem(
        "invalid_utf8",
        "text that is not valid UTF-8",
        "(typeof({x}) = 'text' AND pgc_invalid_utf8(CAST({x} AS BLOB)))",
        False,
    ),
)
TEXT = Kind("text", ("text",), "{x}", "{x}", "{x}::text", is_text=True, quoted=True, problems=_TEXT_PROBLEMS)
_TEXT_ELSEWHERE = dataclasses.replace(TEXT, same_order=False)


def _json(name: str, binary: int) -> Kind:
    condition = f"(typeof({{x}}) = 'text' AND NOT pgc_is_json(CAST({{x}} AS BLOB), {binary}))"
    problem = Problem("invalid_json", "text that {type} does not take, or not all of it", condition)
    return dataclasses.replace(_TEXT_ELSEWHERE, name=name, problems=(*_TEXT_PROBLEMS, problem))


def _time(name: str, call: str, postgres_text: str = "{x}::text") -> Kind:
    return Kind(name, ("text",), call, call, postgres_text, equality=call)


COUNTED = ("int2", "int4", "int8")
# By the name of the type in pg_type, as they are without any conversion.
KINDS: t.Mapping[str, Kind] = {
    **{name: _integer(name, *_value_numbers.INTEGERS[name]) for name in COUNTED},
    "text": TEXT,
    "varchar": TEXT,
    "bpchar": dataclasses.replace(
        _TEXT_ELSEWHERE,
        problems=(
            *_TEXT_PROBLEMS,
            Problem("too_long", "blanks at the end, which {type} does not keep", "(substr({x}, -1) = ' ')"),
        ),
    ),
    # Of other letters PostgreSQL decides by the locale of its own: what they make equal, it names itself.
    "citext": dataclasses.replace(_TEXT_ELSEWHERE, equality="lower({x})"),
    "float8": dataclasses.replace(
        _number("float8", "lower(hex(pgc_float_octets({x})))", "encode(float8send({x}),'hex')", "pgc_float_text({x})"),
        storages=("real", "integer"),
        problems=(
            Problem(
                "inexact_number",
                "integer too large to be exact as double precision",
                f"({{x}} NOT BETWEEN -{_EXACT_INTEGER_AS_FLOAT} AND {_EXACT_INTEGER_AS_FLOAT}"
                " AND typeof({x}) = 'integer')",
            ),
        ),
    ),
    "float4": dataclasses.replace(
        _number("float4", "pgc_float4_bits({x})", "encode(float4send({x}),'hex')", "pgc_float_text({x})"),
        storages=("real", "integer"),
        problems=(
            Problem(
                "inexact_number",
                "number that real would round",
                "(CASE WHEN typeof({x}) IN ('real', 'integer') THEN pgc_float4_bits({x}) LIKE '!%' ELSE 0 END)",
            ),
        ),
    ),
    "numeric": dataclasses.replace(
        _number("numeric", "pgc_numeric_text({x})", "trim_scale({x})::text", "pgc_numeric_text({x})"),
        equality="pgc_numeric_text({x})",
    ),
    "bool": _integer("bool", 0, 1, "{x}::int::text"),
    "bytea": Kind(
        "bytea",
        ("blob",),
        r"'\x'||hex({x})",
        f"CASE WHEN length({{x}}) > {INLINE_OCTETS} THEN pgc_long({{x}}) ELSE hex({{x}}) END",
        f"CASE WHEN octet_length({{x}}) > {INLINE_OCTETS}"
        " THEN octet_length({x})||':'||encode(sha256({x}),'hex') ELSE upper(encode({x},'hex')) END",
        null_safe=False,
    ),
    "date": _time("date", f"pgc_day({_OCTETS})"),
    "uuid": dataclasses.replace(
        _time("uuid", f"pgc_uuid({_OCTETS}, typeof({{x}}))"),
        storages=("text", "blob"),
        same_order=False,
        problems=(
            Problem(
                "invalid_uuid",
                "value that is no UUID",
                f"(typeof({{x}}) IN ('text', 'blob') AND pgc_uuid({_OCTETS}, typeof({{x}})) LIKE '!%')",
            ),
        ),
    ),
    "json": _json("json", 0),
    "jsonb": dataclasses.replace(
        _json("jsonb", 1),
        is_text=False,
        sqlite_text=f"pgc_jsonb({_OCTETS})",
        postgres_text="encode(sha256(textsend({x}::text)),'hex')",
        equality=f"pgc_jsonb({_OCTETS})",
    ),
}
_MOMENTS = {"timestamptz": 1, "timestamp": 0}


def kind_of(column: Column, policies: t.Mapping[str, str] | None = None) -> Kind | None:
    """Return how values of a column travel under the policies, None when there is no exact way.

    Args:
        column: The column of PostgreSQL.
        policies: As L(_policies.check_policies) returned them.
    """
    converted = {name for name, policy in (policies or {}).items() if policy == CONVERT}
    declared = re.search(r"\((\d+)(?:,(-?\d+))?\)", column.declared)
    size = (int(declared.group(1)), int(declared.group(2) or 0)) if declared else None
    digits = size[0] if size else 6
    kind: Kind | None
    if column.labels:
        labels = ", ".join(_literal(label) for label in column.labels)
        problem = Problem(
            "unknown_label", "text that is no label of {type}", f"(typeof({{x}}) = 'text' AND {{x}} NOT IN ({labels}))"
        )
        kind = dataclasses.replace(_TEXT_ELSEWHERE, problems=(*_TEXT_PROBLEMS, problem))
    elif column.type_name in _MOMENTS:
        kind = _moment(column.type_name, digits, converted)
    elif column.type_name == "time":
        kind = _with_invalid_time(_time("time", f"pgc_clock({_OCTETS}, {digits})"))
    else:
        kind = KINDS.get(column.type_name)
    if kind is None:
        return None
    if kind.name == "date":
        kind = _with_invalid_time(kind)
    if kind.name == "numeric" and size:
        changed = f"pgc_changed_by_scale({{x}}, {size[0]}, {size[1]})"
        condition = f"(CASE WHEN typeof({{x}}) IN ('integer', 'real') THEN {changed} ELSE 0 END)"
        problem = Problem("inexact_number", "more digits than {type} keeps", condition)
        kind = dataclasses.replace(kind, problems=(*kind.problems, problem))
    if column.type_name in ("varchar", "bpchar") and size:
        problem = Problem("too_long", "longer than {type}", f"(length({{x}}) > {size[0]})")
        kind = dataclasses.replace(kind, problems=(*kind.problems, problem))
    return with_conversions(kind, converted, size)


def _literal(text: str) -> str:
    # Taken apart where it looks like the place of the column.
    return "'" + text.replace("'", "''").replace("{x}", "{'||'x}") + "'"


def _with_invalid_time(kind: Kind) -> Kind:
    condition = f"(typeof({{x}}) = 'text' AND {kind.sqlite_text} LIKE '!%')"
    problem = Problem("invalid_time", "text that is no {type}, or one it would round", condition)
    return dataclasses.replace(kind, problems=(*kind.problems, problem))


def _moment(name: str, digits: int, converted: t.Collection[str]) -> Kind:
    zoned = _MOMENTS[name]
    call = f"pgc_moment({_OCTETS}, {zoned}, {digits}, '{' '.join(sorted(converted))}')"
    texts = {
        "invalid_time": "value that is no {type}, or one it would round",
        "naive_time" if zoned else "zoned_time": f"time with{'out' if zoned else ''} a zone for {{type}}",
        "epoch_seconds": "seconds since 1970 for {type}",
        "epoch_milliseconds": "milliseconds since 1970 for {type}",
        "julian_day": "Julian day for {type}",
    }
    problems = [
        Problem(
            found, text, f"(typeof({{x}}) <> 'blob' AND pgc_moment_problem({_OCTETS}, {zoned}, {digits}) = '{found}')"
        )
        for found, text in texts.items()
        if found not in converted
    ]
    kind = _time(name, call)
    # A number is looked at as what it counts, so every storage class but blob has its own problem.
    return dataclasses.replace(kind, storages=("text", "integer", "real"), same_order=False, problems=tuple(problems))


def prepare(connection: sqlite3.Connection) -> None:
    """Add the functions that the expressions need to a SQLite connection, and make it return bytes for text."""
    connection.text_factory = bytes
    for name, arguments, function in (
        ("pgc_float_text", 1, _value_numbers.float_text),
        ("pgc_float_octets", 1, _value_numbers.float_octets),
        ("pgc_float4_bits", 1, _value_numbers.float4_bits),
        ("pgc_numeric_text", 1, _value_numbers.numeric_text),
        ("pgc_changed_by_scale", 3, _value_numbers.changed_by_scale),
        ("pgc_number_problem", 4, _value_numbers.number_problem),
        ("pgc_number_text", 2, _value_numbers.number_text),
        ("pgc_number_token", 2, _value_numbers.number_token),
        ("pgc_is_hex", 1, _value_texts.is_hex),
        ("pgc_unhex", 1, _value_texts.unhex),
        ("pgc_long", 1, _value_texts.long_token),
        ("pgc_invalid_utf8", 1, _value_texts.invalid_utf8),
        ("pgc_moment", 4, _value_texts.moment),
        ("pgc_moment_problem", 3, _value_texts.moment_problem),
        ("pgc_day", 1, _value_texts.day),
        ("pgc_clock", 2, _value_texts.clock),
        ("pgc_uuid", 2, _value_texts.uuid_text),
        ("pgc_jsonb", 1, _value_texts.jsonb_digest),
        ("pgc_is_json", 2, _value_texts.is_json),
    ):
        connection.create_function(name, arguments, function, deterministic=True)
