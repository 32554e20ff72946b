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

if t.TYPE_CHECKING:
    import sqlite3

    from ._postgres_store import Column

_EXACT_INTEGER_AS_FLOAT = 2**53
# A text as its octets: a function of ours would not be called with one that is no valid UTF-8.
_OCTETS = "CASE typeof({x}) WHEN 'text' THEN CAST({x} AS BLOB) ELSE {x} END"


@dataclasses.dataclass(frozen=True)
class Problem:
    """Values that cannot travel as they are: the class of its policy, a text for the operator, a SQLite condition.

    The condition is false or NULL for NULL, unless NULL is the problem. One that a single function answers for all
    texts of a row is not C(glanced) at: the census looks for it only where that function found something. One of
    C(another_storage) is a storage class that the column does not take, with a conversion that was not asked for.
    """

    problem_class: str
    text: str
    condition: str
    glanced: bool = True
    another_storage: bool = False


@dataclasses.dataclass(frozen=True)
class Kind:
    """How values of one PostgreSQL type travel and compare.

    The templates take the quoted column as C({x}); they are NULL where it is, unless C(null_safe) is false. What a
    token is made of holds none of C(; | ~ #).

    Attributes:
        name: What the plan calls it.
        storages: The storage classes (C(typeof)) that SQLite may hold in such a column.
        csv: SQLite expression of the CSV field, without its quotes.
        sqlite_text: SQLite expression of the token, or of the whole text.
        postgres_text: PostgreSQL expression of the same.
        is_text: Whether it is compared as a text of any length and content.
        quoted: Whether its CSV field needs quotes.
        null_safe: Whether the SQLite expressions make NULL of NULL.
        same_order: Whether both stores sort such values alike (text by its octets).
        problems: What the census looks for beside the storage class.
    """

    name: str
    storages: tuple[str, ...]
    csv: str
    sqlite_text: str
    postgres_text: str
    is_text: bool = False
    quoted: bool = False
    null_safe: bool = True
    same_order: bool = True
    problems: tuple[Problem, ...] = ()


def _number(name: str, function: str, postgres_text: str, csv: str) -> Kind:
    # Texts and blobs sort after all numbers; one that stands here by mistake must not look like a number.
    token = f"CASE WHEN +{{x}} <= 9e999 THEN {function} ELSE '!'||hex({{x}}) END"
    return Kind(name, ("integer", "real"), csv, token, postgres_text, null_safe=False)


def _integer(name: str, low: int, high: int, postgres_text: str = "{x}::text") -> Kind:
    outside = f"(typeof({{x}}) = 'integer' AND {{x}} NOT BETWEEN {low} AND {high})"
    problem = Problem("out_of_range", f"out of range for {{type}} ({low} to {high})", outside)
    kind = _number(name, "{x}", postgres_text, "{x}")
    return dataclasses.replace(kind, storages=("integer",), problems=(problem,))


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
    return Kind(name, ("text",), call, call, postgres_text)


COUNTED = ("int2", "int4", "int8")
# By the name of the type in pg_type, as they are without any conversion.
KINDS: t.Mapping[str, Kind] = {
    "int2": _integer("int2", -(2**15), 2**15 - 1),
    "int4": _integer("int4", -(2**31), 2**31 - 1),
    "int8": _integer("int8", -(2**63), 2**63 - 1),
    "text": TEXT,
    "varchar": TEXT,
    "bpchar": dataclasses.replace(
        _TEXT_ELSEWHERE,
        problems=(
            *_TEXT_PROBLEMS,
            Problem("too_long", "blanks at the end, which {type} does not keep", "(substr({x}, -1) = ' ')"),
        ),
    ),
    "citext": _TEXT_ELSEWHERE,
    "float8": dataclasses.replace(
        _number("float8", "pgc_float_bits({x})", "encode(float8send({x}),'hex')", "pgc_float_text({x})"),
        storages=("real", "integer"),
        problems=(
            Problem(
                "inexact_number",
                "integer too large to be exact as double precision",
                f"(typeof({{x}}) = 'integer' AND {{x}} NOT BETWEEN -{_EXACT_INTEGER_AS_FLOAT}"
                f" AND {_EXACT_INTEGER_AS_FLOAT})",
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
    "numeric": _number("numeric", "pgc_numeric_text({x})", "trim_scale({x})::text", "pgc_numeric_text({x})"),
    "bool": _integer("bool", 0, 1, "{x}::int::text"),
    "bytea": Kind("bytea", ("blob",), r"'\x'||hex({x})", "hex({x})", "upper(encode({x},'hex'))", null_safe=False),
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
    size = re.search(r"\((\d+)(?:,(-?\d+))?\)", column.declared)
    digits = int(size.group(1)) if size else 6
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
        changed = f"pgc_changed_by_scale({{x}}, {size.group(1)}, {size.group(2) or 0})"
        condition = f"(CASE WHEN typeof({{x}}) IN ('integer', 'real') THEN {changed} ELSE 0 END)"
        problem = Problem("inexact_number", "more digits than {type} keeps", condition)
        kind = dataclasses.replace(kind, problems=(*kind.problems, problem))
    if column.type_name in ("varchar", "bpchar") and size:
        problem = Problem("too_long", "longer than {type}", f"(length({{x}}) > {size.group(1)})")
        kind = dataclasses.replace(kind, problems=(*kind.problems, problem))
    return _with_conversions(kind, converted)


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


_FALSE_AND_TRUE = "('t', 'f', 'true', 'false', 'yes', 'no')"


def _with_conversions(kind: Kind, converted: t.Collection[str]) -> Kind:
    """Return the kind with the conversions of values of another storage class, or with their problems by name."""
    if kind.name == "bool":
        is_word = f"(typeof({{x}}) = 'text' AND lower({{x}}) IN {_FALSE_AND_TRUE})"
        value = f"CASE WHEN {is_word} THEN lower({{x}}) IN ('t', 'true', 'yes') ELSE {{x}} END"
        token = kind.sqlite_text.replace("{x}", f"({value})")
        return _convert(kind, converted, "boolean_text", "text of a boolean", is_word, value, token, "text")
    if kind.name == "bytea":
        return _convert(
            kind, converted, "text_as_bytes", "text", "(typeof({x}) = 'text')", kind.csv, kind.sqlite_text, "text"
        )
    if kind.name == "text" and kind.same_order:
        is_number = "(typeof({x}) IN ('integer', 'real'))"
        value = "CASE typeof({x}) WHEN 'real' THEN pgc_float_text({x}) ELSE {x} END"
        return _convert(kind, converted, "number_as_text", "number", is_number, value, value, "integer", "real")
    return kind


def _convert(
    kind: Kind,
    converted: t.Collection[str],
    name: str,
    what: str,
    condition: str,
    csv: str,
    token: str,
    *storages: str,
) -> Kind:
    if name not in converted:
        problem = Problem(name, f"{what} stored for {{type}}", condition, another_storage=True)
        return dataclasses.replace(kind, problems=(*kind.problems, problem))
    others = kind.problems
    if name == "boolean_text":
        others = (
            *others,
            Problem("storage_class", "text that is no {type}", f"(typeof({{x}}) = 'text' AND NOT {condition})"),
        )
    return dataclasses.replace(
        kind, csv=csv, sqlite_text=token, storages=(*kind.storages, *storages), same_order=False, problems=others
    )


def problems_of(kind: Kind, declared: str, not_null: bool) -> list[Problem]:
    """Return everything the census has to look for in a column, no value being counted under two classes."""
    named = [problem.condition for problem in kind.problems if problem.another_storage]
    other = " AND NOT ".join([_another_storage(kind), *named])
    text = f"{'/'.join(kind.storages)} expected for {{type}}, another type stored"
    found = [Problem("storage_class", text, f"({other})"), *kind.problems]
    if not_null:
        found.append(Problem("null_value", "NULL where {type} NOT NULL is declared", "({x} IS NULL)"))
    return [dataclasses.replace(problem, text=problem.text.replace("{type}", declared)) for problem in found]


def suspicions_of(kind: Kind, not_null: bool) -> list[str]:
    """Return the fewest conditions of which one holds wherever one of the glanced problems is."""
    found = [f"({_another_storage(kind)})"]
    found += [problem.condition for problem in kind.problems if problem.glanced and not problem.another_storage]
    return [*found, "({x} IS NULL)"] if not_null else found


def _another_storage(kind: Kind) -> str:
    return " AND ".join(f"typeof({{x}}) <> '{storage}'" for storage in (*kind.storages, "null"))


def prepare(connection: sqlite3.Connection) -> None:
    """Add the functions that the expressions need to a SQLite connection, and make it return bytes for text."""
    connection.text_factory = bytes
    for name, arguments, function in (
        ("pgc_float_text", 1, _value_numbers.float_text),
        ("pgc_float_bits", 1, _value_numbers.float_bits),
        ("pgc_float4_bits", 1, _value_numbers.float4_bits),
        ("pgc_numeric_text", 1, _value_numbers.numeric_text),
        ("pgc_changed_by_scale", 3, _value_numbers.changed_by_scale),
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
