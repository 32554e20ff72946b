# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""The parts of a translated expression: what they are in PostgreSQL, and how two of them compare as in SQLite."""

from __future__ import annotations

import dataclasses
import decimal
import re
import typing as t

from ._errors import SchemaRefused
from ._psycopg2 import sql
from ._translated_types import BIGINT, BOOLEAN, BYTEA, DOUBLE, NUMERIC, TEXT

NULL = "null"
# A column without REAL affinity that holds reals and integers: as double precision they compare as in SQLite, but
# SQLite divides the integers as such.
MIXED = "double precision that may hold an integer"
# Numbers up to here are the same whether SQLite keeps them as an integer or as a real.
_SAFE = 2**53
_NUMERIC_AFFINITIES = ("INTEGER", "REAL", "NUMERIC")
LOOKS_NUMERIC = re.compile(r"[ \t\n\v\f\r]*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?[ \t\n\v\f\r]*", re.ASCII)


@dataclasses.dataclass(frozen=True)
class Value:
    """A translated expression and what SQLite knows about it.

    Attributes:
        sql: The expression in PostgreSQL.
        type: Its type there; C(null) for NULL itself. The truth values of SQLite, 0 and 1, are boolean.
        affinity: The affinity of a column; empty for anything that has none.
        literal: The constant that it is, if it is one.
        collation: The collation that a comparison uses, in capitals; empty for BINARY.
        explicit: Whether that one was written down with the expression.
        column: Whether it is a column, or a column under CAST or a plus sign.
        in_c: Whether PostgreSQL compares it by its octets without being told.
        natural: Whether it is an integer that is never negative.
        digits: Whether it is a text that is an integer as SQLite writes it.
        worded: Whether it is a text that never looks like a number.
    """

    sql: sql.Composable
    type: str
    affinity: str = ""
    literal: int | float | str | bytes | None = None
    collation: str = ""
    explicit: bool = False
    column: bool = False
    in_c: bool = False
    natural: bool = False
    digits: bool = False
    worded: bool = False


def template(text: str, *parts: sql.Composable | Value) -> sql.Composable:
    """Return a piece of SQL with its parts put in."""
    return sql.SQL(text).format(*(part.sql if isinstance(part, Value) else part for part in parts))


def integer(number: int) -> Value:
    if not -(2**63) <= number < 2**63:
        raise SchemaRefused("an integer beyond 64 bits has no exact counterpart")
    smallest = number == -(2**63)  # PostgreSQL would make the minus an operator on a numeric
    text = sql.SQL(f"'{number}'::bigint" if smallest else str(number))
    return Value(text, BIGINT, literal=number, natural=number >= 0)


def real(number: float) -> Value:
    if number in (float("inf"), float("-inf")):
        raise SchemaRefused("a number beyond the range of double precision has no exact counterpart")
    return Value(sql.SQL(f"'{number!r}'::double precision"), DOUBLE, literal=number)


def string(text: str) -> Value:
    if "\x00" in text:
        raise SchemaRefused("a NUL character is no part of a text in PostgreSQL")
    worded = LOOKS_NUMERIC.fullmatch(text) is None
    return Value(sql.Literal(text), TEXT, literal=text, worded=worded)


def blob(octets: bytes) -> Value:
    return Value(sql.SQL(f"'\\x{octets.hex()}'::bytea"), BYTEA, literal=octets)


def as_bigint(value: Value) -> Value:
    """Return an integer or a truth value as bigint.

    Raises:
        SchemaRefused: It is neither.
    """
    if value.type == BOOLEAN:
        return Value(template("({}::int::bigint)", value), BIGINT, natural=True)
    if value.type == BIGINT:
        if value.literal is None:
            return value
        return dataclasses.replace(value, sql=template("{}::bigint", parenthesized(value)))
    raise SchemaRefused(f"{value.type} is taken where SQLite would make an integer of it")


def parenthesized(value: Value) -> sql.Composable:
    negative = isinstance(value.literal, (int, float)) and value.literal < 0
    return template("({})", value) if negative else value.sql


def condition(value: Value) -> sql.Composable:
    """Return it as what SQLite takes for true: any number but 0.

    Raises:
        SchemaRefused: It is a text or a blob, of which SQLite makes a number first.
    """
    if value.type == BOOLEAN:
        return value.sql
    if value.type in (BIGINT, DOUBLE, NUMERIC, MIXED):
        return template("({} <> 0)", value)
    if value.type == NULL:
        return sql.SQL("NULL::boolean")
    raise SchemaRefused(f"{value.type} is taken for a condition, of which SQLite makes a number first")


def compare(operator: str, left: Value, right: Value) -> Value:
    """Return a comparison: C(operator) is =, <>, <, <=, >, >=, or C(IS [NOT] DISTINCT FROM).

    Raises:
        SchemaRefused: SQLite would convert one of the two, or compare different types.
    """
    first, second = _matched(left, right)
    if first.type == TEXT and second.type == TEXT:
        collation = _collation(left, right)
        if collation == "NOCASE":
            first, second = (dataclasses.replace(side, sql=folded(side)) for side in (first, second))
        elif collation not in ("", "BINARY"):
            raise SchemaRefused(f"the collation {collation} has no exact counterpart")
        elif not (first.in_c and (second.in_c or second.literal is not None)) and not (
            second.in_c and first.literal is not None
        ):
            first = dataclasses.replace(first, sql=template('({} COLLATE "C")', first))
    return Value(template(f"({{}} {operator} {{}})", first, second), BOOLEAN)


def folded(value: Value) -> sql.Composable:
    """Return a text in lower case as NOCASE and LIKE fold it: ASCII letters only, which is what C does."""
    return template('lower({} COLLATE "C")', value)


def _collation(left: Value, right: Value) -> str:
    # https://www.sqlite.org/datatype3.html, 7.1: what is written down counts first, then the left column
    for side in (left, right):
        if side.explicit:
            return side.collation
    for side in (left, right):
        if side.column:
            return side.collation
    return ""


def _matched(left: Value, right: Value) -> tuple[Value, Value]:
    """Return both sides as PostgreSQL has to get them in order to compare what SQLite compares."""
    if NULL in (left.type, right.type):
        return left, right
    if left.type == right.type == TEXT:
        _refuse_conversion(left, right)
        _refuse_conversion(right, left)
        return left, right
    if left.type == right.type:
        return left, right
    if {left.type, right.type} == {BIGINT, BOOLEAN}:
        return _truths(left, right)
    for one, other, turn in ((left, right, False), (right, left, True)):
        found = _literal_as(one.literal, other)
        if found is not None:
            return (found, other) if turn is False else (other, found)
    if {left.type, right.type} == {BIGINT, NUMERIC}:
        return left, right
    raise SchemaRefused(f"{left.type} is compared with {right.type}")


def _truths(left: Value, right: Value) -> tuple[Value, Value]:
    if all(side.type == BOOLEAN or side.literal in (0, 1) for side in (left, right)):
        left, right = (
            side if side.type == BOOLEAN else Value(sql.SQL("true" if side.literal else "false"), BOOLEAN)
            for side in (left, right)
        )
        return left, right
    return as_bigint(left), as_bigint(right)


def _refuse_conversion(column: Value, other: Value) -> None:
    # A column with a numeric affinity makes numbers of texts that look like one. It holds none that does.
    if column.affinity in _NUMERIC_AFFINITIES and not (other.worded or other.affinity in _NUMERIC_AFFINITIES):
        raise SchemaRefused("a text that may look like a number is compared with a column that takes numbers")


def _literal_as(literal: int | float | str | bytes | None, other: Value) -> Value | None:
    """Return a constant in the type of the other side, as SQLite's affinities make it; None where they do not."""
    takes_numbers = other.affinity in _NUMERIC_AFFINITIES and other.type in (BIGINT, DOUBLE, NUMERIC, MIXED)
    if takes_numbers and isinstance(literal, str) and re.fullmatch(r"[+-]?\d{1,15}", literal, re.ASCII):
        literal = int(literal)
        if other.type == BIGINT:
            return integer(literal)
    if isinstance(literal, (int, float)) and abs(literal) <= _SAFE:
        if other.type in (DOUBLE, MIXED):
            return real(float(literal))
        if other.type == NUMERIC:
            return dataclasses.replace(integer(0), sql=sql.SQL(repr(literal)), literal=literal)
        if other.type == BIGINT:  # the digits of the double itself
            return dataclasses.replace(real(0.0), sql=sql.SQL(f"{decimal.Decimal(literal):f}"), literal=literal)
    if isinstance(literal, int) and other.type == TEXT and other.affinity == "TEXT":
        return string(str(literal))
    return None


def unified(values: t.Sequence[Value]) -> tuple[list[sql.Composable], str]:
    """Return alternatives of which one becomes the value, in the type that all of them have.

    Raises:
        SchemaRefused: They have different ones.
    """
    types = {value.type for value in values} - {NULL}
    if types <= {BIGINT, BOOLEAN} and len(types) == 2:
        return [value.sql if value.type == NULL else as_bigint(value).sql for value in values], BIGINT
    if len(types) > 1:
        raise SchemaRefused(f"one expression is {' or '.join(sorted(types))}")
    return [value.sql for value in values], (types or {NULL}).pop()


def stored(value: Value, type_name: str, affinity: str) -> sql.Composable:
    """Return what a column keeps of a value, by its affinity.

    Raises:
        SchemaRefused: SQLite would keep another type than the column has in PostgreSQL.
    """
    number = affinity in _NUMERIC_AFFINITIES
    if value.type == NULL:
        return value.sql
    if type_name == {MIXED: DOUBLE}.get(value.type, value.type):
        if not (type_name == TEXT and number and not value.worded):
            return value.sql
    elif value.type == BOOLEAN and type_name == BIGINT:
        return as_bigint(value).sql
    elif value.type == BIGINT:
        if type_name == NUMERIC or (type_name == DOUBLE and affinity == "REAL"):
            return template(f"({{}}::{type_name})", value)
        if type_name == TEXT and affinity == "TEXT":
            return template("({}::text)", value)
    elif value.digits and type_name == BIGINT and number:
        return template("({}::bigint)", value)
    raise SchemaRefused(f"it is {value.type}, the column is {type_name}")
