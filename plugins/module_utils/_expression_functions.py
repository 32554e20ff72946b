# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""The functions of SQLite that mean exactly the same in PostgreSQL, for the types their arguments have."""

from __future__ import annotations

import dataclasses
import typing as t

from ._errors import SchemaRefused
from ._expression_patterns import glob, like
from ._expression_values import NULL, Value, as_bigint, compare, condition, folded, string, template, unified
from ._psycopg2 import sql
from ._translated_types import BIGINT, BOOLEAN, BYTEA, DOUBLE, NUMERIC, TEXT

_IS_JSON_SINCE = 160000
_STORAGE_CLASSES = {BIGINT: "integer", BOOLEAN: "integer", TEXT: "text", BYTEA: "blob"}


def call(name: str, arguments: t.Sequence[Value], server_version: int) -> Value:
    """Return a call of a function.

    Args:
        name: Its name in small letters.
        arguments: What it is called with.
        server_version: As C(server_version_num) of PostgreSQL.

    Raises:
        SchemaRefused: It has no exact counterpart for these arguments.
    """
    function, fewest, most = _FUNCTIONS.get(name, (None, 0, 0))
    if name == "json_valid" and len(arguments) == 1:
        return _json_valid(arguments[0], server_version)
    if function is None:
        raise SchemaRefused(f"the function {name} has no exact counterpart")
    if not fewest <= len(arguments) <= most:
        raise SchemaRefused(f"the function {name} is not known with {len(arguments)} argument(s)")
    try:
        return function(*arguments)
    except SchemaRefused as error:
        raise SchemaRefused(f"in {name}: {error.what}") from None


def _text(value: Value) -> Value:
    if value.type != TEXT:
        raise SchemaRefused(f"{value.type} is taken where SQLite would make a text of it")
    return value


def _of_text(template_text: str, value: Value, *others: Value) -> Value:
    return Value(template(template_text, _text(value), *(_text(other) for other in others)), TEXT, in_c=value.in_c)


def _length(value: Value) -> Value:
    if value.type == BYTEA:
        found = template("octet_length({})::bigint", value)
    elif value.type == BIGINT:
        found = template("length({}::text)::bigint", as_bigint(value))
    else:
        found = template("length({})::bigint", _text(value))
    return Value(found, BIGINT, natural=True)


def _absolute(value: Value) -> Value:
    if value.type not in (BIGINT, DOUBLE, NUMERIC):
        raise SchemaRefused(f"{value.type} is taken for a number")
    return Value(template("abs({})", value), value.type, natural=value.type == BIGINT)


def _coalesce(*values: Value) -> Value:
    parts, found = unified(values)
    if found == NULL:
        return values[0]
    in_c = any(value.in_c for value in values) and all(value.in_c or value.literal is not None for value in values)
    return Value(template("coalesce({})", sql.SQL(", ").join(parts)), found, in_c=in_c)


def _nullif(value: Value, other: Value) -> Value:
    if value.type != other.type:
        raise SchemaRefused(f"{value.type} is compared with {other.type}")
    equal = compare("=", dataclasses.replace(value, affinity=""), dataclasses.replace(other, affinity=""))
    return Value(template("CASE WHEN {} THEN NULL ELSE {} END", equal, value), value.type, in_c=value.in_c)


def choose(pairs: t.Sequence[tuple[Value, Value]], otherwise: Value) -> Value:
    """Return CASE: pairs of a condition and a value, and what it is when none holds."""
    parts, found = unified([*(value for _when, value in pairs), otherwise])
    if found == NULL:
        return otherwise
    branches = [template("WHEN {} THEN {}", condition(when), part) for (when, _value), part in zip(pairs, parts)]
    return Value(template("CASE {} ELSE {} END", sql.SQL(" ").join(branches), parts[-1]), found)


def _iif(when: Value, then: Value, otherwise: Value) -> Value:
    return choose([(when, then)], otherwise)


def _trim(function: str) -> t.Callable[..., Value]:
    def trim(value: Value, signs: Value | None = None) -> Value:
        return _of_text(f"{function}({{}}, {{}})", value, signs or string(" "))

    return trim


def _substr(value: Value, start: Value, length: Value | None = None) -> Value:
    if not start.natural or (length is not None and not length.natural):
        raise SchemaRefused("a place or a length that may be negative has no exact counterpart")
    places = [template("({})::int", as_bigint(part)) for part in (start, length) if part is not None]
    return Value(template("substr({}, {})", _text(value), sql.SQL(", ").join(places)), TEXT, in_c=value.in_c)


def _instr(value: Value, other: Value) -> Value:
    found = template('strpos({} COLLATE "C", {})::bigint', _text(value), _text(other))
    return Value(found, BIGINT, natural=True)


def _hex(value: Value) -> Value:
    if value.type != BYTEA:
        raise SchemaRefused(f"{value.type} is taken where SQLite would make a blob of it")
    # SQLite's hex of NULL is an empty text.
    return Value(template("coalesce(upper(encode({}, 'hex')), '')", value), TEXT)


def _typeof(value: Value) -> Value:
    found = "real" if value.affinity == "REAL" else _STORAGE_CLASSES.get(value.type)
    if found is None:
        raise SchemaRefused(f"what SQLite stores as {value.type} may be an integer or a real")
    made = template("CASE WHEN {} IS NULL THEN 'null' ELSE {} END", value, sql.Literal(found))
    return Value(made, TEXT, worded=True)


def _json_valid(value: Value, server_version: int) -> Value:
    if server_version < _IS_JSON_SINCE:
        raise SchemaRefused("the function json_valid has a counterpart only since PostgreSQL 16")
    return Value(template("({} IS JSON)", _text(value)), BOOLEAN)


def _like(pattern: Value, value: Value, escape: Value | None = None) -> Value:
    return like(value, pattern, escape)


# The function, and how many arguments it takes at least and at most.
_FUNCTIONS: t.Mapping[str, tuple[t.Callable[..., Value], int, int]] = {
    "abs": (_absolute, 1, 1),
    "coalesce": (_coalesce, 2, 100),
    "glob": (lambda pattern, value: glob(value, pattern), 2, 2),
    "hex": (_hex, 1, 1),
    "ifnull": (_coalesce, 2, 2),
    "iif": (_iif, 3, 3),
    "instr": (_instr, 2, 2),
    "length": (_length, 1, 1),
    "like": (_like, 2, 3),
    "likely": (lambda value: value, 1, 1),
    "lower": (lambda value: Value(folded(_text(value)), TEXT, in_c=True), 1, 1),
    "ltrim": (_trim("ltrim"), 1, 2),
    "nullif": (_nullif, 2, 2),
    "replace": (lambda *values: _of_text('replace({} COLLATE "C", {}, {})', *values), 3, 3),
    "rtrim": (_trim("rtrim"), 1, 2),
    "substr": (_substr, 2, 3),
    "substring": (_substr, 2, 3),
    "trim": (_trim("btrim"), 1, 2),
    "typeof": (_typeof, 1, 1),
    "unlikely": (lambda value: value, 1, 1),
    "upper": (lambda value: Value(template('upper({} COLLATE "C")', _text(value)), TEXT, in_c=True), 1, 1),
}
