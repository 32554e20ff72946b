# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Translate an expression of SQLite's: what means exactly the same in PostgreSQL, and nothing else.

Every operator and function is here because its meaning is the same for the types concerned. Whatever is not known
is refused with the reason, never guessed.
"""

from __future__ import annotations

import dataclasses
import typing as t

from . import _expression_values as values
from ._errors import SchemaRefused
from ._expression_functions import call, choose
from ._expression_now import present_or_chance
from ._expression_patterns import glob, like
from ._expression_values import Value, as_bigint, compare, condition, parenthesized, stored, template
from ._psycopg2 import sql
from ._sqlite_expression import Node
from ._sqlite_tokens import fold
from ._translated_types import BIGINT, BOOLEAN, DOUBLE, NUMERIC, TEXT, affinity, postgres_type

_BYTES64 = 2**63


@dataclasses.dataclass(frozen=True)
class ScopeColumn:
    """A column as expressions refer to it; C(made_of) is what a generated one is, C(in_c) how its text compares."""

    name: str
    type: str
    affinity: str
    collation: str = ""
    in_c: bool = True
    made_of: Node | None = None


@dataclasses.dataclass(frozen=True)
class Scope:
    """What an expression can refer to.

    Attributes:
        columns: The columns of its table by their folded names.
        server_version: As C(server_version_num) of PostgreSQL.
        inlined: Whether generated columns are replaced by what they are made of: PostgreSQL has none of those in
            what another one is made of.
        present: Whether the present and chance are known, as they are in a default.
    """

    columns: t.Mapping[str, ScopeColumn]
    server_version: int
    inlined: bool = False
    present: bool = False


def translate_condition(node: Node, scope: Scope) -> sql.Composable:
    """Return a condition as boolean.

    Raises:
        SchemaRefused: It has no exact counterpart.
    """
    return condition(translate_value(node, scope))


def translate_value(node: Node, scope: Scope) -> Value:
    """Return an expression with its type.

    Raises:
        SchemaRefused: It has no exact counterpart.
    """
    try:
        return _Translator(scope).value(node)
    except RecursionError:
        raise SchemaRefused("it is nested too deeply") from None


class _Translator:
    def __init__(self, scope: Scope) -> None:
        self._scope = scope

    def value(self, node: Node) -> Value:
        handler: t.Callable[[Node], Value] = getattr(self, "_" + node.kind)
        found = handler(node)
        if found.type == TEXT and not found.explicit:
            # A collation that is written down counts for everything around it as well.
            collation = next(_collations_in(node), "")
            return dataclasses.replace(found, collation=collation, explicit=True) if collation else found
        return found

    def _null(self, _node: Node) -> Value:
        return Value(sql.SQL("NULL"), values.NULL)

    def _number(self, node: Node) -> Value:
        text = node.text.lower()
        if text.startswith("0x"):
            number = int(text, 16)
            return values.integer(number - 2 * _BYTES64 if number >= _BYTES64 else number)
        if text.isdigit() and int(text) < _BYTES64:
            return values.integer(int(text))
        return values.real(float(text))

    def _string(self, node: Node) -> Value:
        return values.string(node.text)

    def _blob(self, node: Node) -> Value:
        return values.blob(bytes.fromhex(node.text))

    def _quoted(self, node: Node) -> Value:
        # SQLite takes "x" for a string where there is no column of that name.
        return self._name(node) if fold(node.text) in self._scope.columns else self._string(node)

    def _name(self, node: Node) -> Value:
        column = self._scope.columns.get(fold(node.text))
        if column is None:
            return self._keyword(node)
        if column.made_of is not None and self._scope.inlined:
            made = stored(self.value(column.made_of), column.type, column.affinity)
            cast = template(f"({{}})::{column.type}", made)
        else:
            cast = sql.Identifier(column.name)
        in_c = column.in_c and column.type == TEXT
        kind = values.MIXED if column.type == DOUBLE and column.affinity != "REAL" else column.type
        return Value(cast, kind, column.affinity, collation=column.collation, column=True, in_c=in_c)

    def _keyword(self, node: Node) -> Value:
        word = node.text.lower()
        if word in ("true", "false"):
            return Value(sql.SQL(word), BOOLEAN, natural=True)
        if self._scope.present and word.startswith("current_"):
            found = present_or_chance(word, [])
            if found:
                return found
        raise SchemaRefused(f"{node.text!r} is no column of its table")

    def _unary(self, node: Node) -> Value:
        if node.text == "-" and node.parts[0] == Node("number", str(_BYTES64)):
            return values.integer(-_BYTES64)
        operand = self.value(node.parts[0])
        if node.text == "+":
            return dataclasses.replace(operand, affinity="")
        if node.text == "-" and isinstance(operand.literal, (int, float)):
            negative = -operand.literal
            return values.integer(negative) if isinstance(negative, int) else values.real(negative)
        if node.text == "-" and operand.type in (DOUBLE, NUMERIC):
            return Value(template("(- {})", operand), operand.type)
        return Value(template(f"({node.text} {{}})", as_bigint(operand)), BIGINT)

    def _not(self, node: Node) -> Value:
        return Value(template("(NOT {})", condition(self.value(node.parts[0]))), BOOLEAN)

    def _binary(self, node: Node) -> Value:
        left, right = (self.value(part) for part in node.parts)
        operator = node.text
        if operator in ("AND", "OR"):
            return Value(template(f"({{}} {operator} {{}})", condition(left), condition(right)), BOOLEAN)
        if operator in ("=", "<>", "<", "<=", ">", ">="):
            return compare(operator, left, right)
        if operator == "||":
            return self._concatenation(left, right)
        if operator in ("&", "|"):
            return Value(template(f"({{}} {operator} {{}})", as_bigint(left), as_bigint(right)), BIGINT)
        if operator in ("+", "-", "*", "/", "%"):
            return self._arithmetic(operator, left, right)
        raise SchemaRefused(f"the operator {operator} has no exact counterpart")

    def _arithmetic(self, operator: str, left: Value, right: Value) -> Value:
        if NUMERIC in (left.type, right.type):
            raise SchemaRefused(f"{operator} of a numeric: SQLite reckons with binary floating point there")
        if left.digits or right.digits:  # the seconds of strftime, of which SQLite makes a number
            left, right = (_digits_as_number(side) for side in (left, right))
        if DOUBLE in (left.type, right.type) and operator != "%":
            sides = [side if side.type == DOUBLE else _as_double(side) for side in (left, right)]
            kind = DOUBLE
        else:
            # One bigint makes the other one; two constants would be int4.
            one = left.type == BIGINT and left.literal is None
            sides = [
                as_bigint(left),
                parenthesized(right) if one and right.type == BIGINT and right.literal else as_bigint(right),
            ]
            kind = BIGINT
        # What SQLite divides by zero is NULL.
        divides = operator in ("/", "%") and not right.literal
        text = f"({{}} {operator} nullif({{}}, 0))" if divides else f"({{}} {operator} {{}})"
        natural = kind == BIGINT and left.natural and right.natural and operator != "-"
        return Value(template(text, *sides), kind, natural=natural)

    def _concatenation(self, left: Value, right: Value) -> Value:
        sides = []
        for side in (left, right):
            if side.type in (BIGINT, BOOLEAN):
                sides.append(template("{}::text", as_bigint(side)))
            elif side.type in (TEXT, values.NULL):
                sides.append(side.sql)
            else:
                raise SchemaRefused(f"|| of {side.type}, of which SQLite makes a text first")
        texts = [side for side in (left, right) if side.type == TEXT and side.literal is None]
        in_c = bool(texts) and all(side.in_c for side in texts)
        return Value(template("({} || {})", *sides), TEXT, in_c=in_c, digits=_digits(left, right))

    def _collate(self, node: Node) -> Value:
        return dataclasses.replace(self.value(node.parts[0]), collation=node.text, explicit=True)

    def _is(self, node: Node) -> Value:
        left = self.value(node.parts[0])
        other = node.parts[1]
        while other.kind == "collate" or (other.kind == "function" and other.text in ("likely", "unlikely")):
            other = other.parts[0]  # SQLite looks through these for TRUE and FALSE
        if other.kind == "null":
            return Value(template(f"({{}} {node.text} NULL)", left), BOOLEAN)
        if other.kind == "name" and other.text.upper() in ("TRUE", "FALSE") and not self._is_column(other):
            return Value(template(f"({{}} {node.text} {other.text.upper()})", condition(left)), BOOLEAN)
        operator = "IS NOT DISTINCT FROM" if node.text == "IS" else "IS DISTINCT FROM"
        return compare(operator, left, self.value(node.parts[1]))

    def _is_column(self, node: Node) -> bool:
        return fold(node.text) in self._scope.columns

    def _in(self, node: Node) -> Value:
        if len(node.parts) == 1:
            raise SchemaRefused("IN of an empty list has no counterpart")
        left = self.value(node.parts[0])
        # The collation and the affinity of the left side alone count here.
        others = [dataclasses.replace(self.value(part), column=False, explicit=False) for part in node.parts[1:]]
        for other in others:
            if other.affinity and other.affinity != left.affinity:
                raise SchemaRefused("IN compares columns of different affinities")
        equal = [compare("=", left, other).sql for other in others]
        return Value(template("({})", sql.SQL(" OR ").join(equal)), BOOLEAN)

    def _between(self, node: Node) -> Value:
        value, low, high = (self.value(part) for part in node.parts)
        found = template("({} AND {})", compare(">=", value, low), compare("<=", value, high))
        return Value(found, BOOLEAN)

    def _pattern(self, node: Node) -> Value:
        value, pattern, *escape = (self.value(part) for part in node.parts)
        if node.text == "LIKE":
            return like(value, pattern, escape[0] if escape else None)
        if node.text == "GLOB" and not escape:
            return glob(value, pattern)
        raise SchemaRefused(f"the operator {node.text} has no exact counterpart")

    def _case(self, node: Node) -> Value:
        parts = [self.value(part) for part in node.parts]
        return choose(list(zip(parts[:-1:2], parts[1:-1:2])), parts[-1])

    def _cast(self, node: Node) -> Value:
        value = self.value(node.parts[0])
        wanted = affinity(node.text)
        target = {"INTEGER": BIGINT, "TEXT": TEXT, "REAL": DOUBLE}.get(wanted)
        if target == BIGINT and (value.type in (BIGINT, BOOLEAN) or value.digits):
            found = template("{}::bigint", value) if value.digits else as_bigint(value).sql
        elif target == TEXT and value.type in (TEXT, BIGINT, BOOLEAN):
            found = value.sql if value.type == TEXT else template("{}::text", as_bigint(value))
        elif target == DOUBLE and value.type in (DOUBLE, BIGINT, BOOLEAN):
            found = value.sql if value.type == DOUBLE else _as_double(value)
        else:
            raise SchemaRefused(f"CAST of {value.type} AS {node.text} has no exact counterpart")
        return dataclasses.replace(value, sql=found, type=target, affinity=wanted, literal=None, digits=False)

    def _function(self, node: Node) -> Value:
        arguments = [self.value(part) for part in node.parts]
        if self._scope.present:
            found = present_or_chance(node.text, arguments)
            if found:
                return found
        return call(node.text, arguments, self._scope.server_version)


def _collations_in(node: Node) -> t.Iterator[str]:
    if node.kind == "collate":
        yield node.text
    for part in node.parts:
        yield from _collations_in(part)


def _as_double(value: Value) -> sql.Composable:
    return template("({}::double precision)", as_bigint(value))


def _digits(left: Value, right: Value) -> bool:
    return left.digits and isinstance(right.literal, str) and right.literal.isdigit()


def _digits_as_number(value: Value) -> Value:
    return Value(template("({}::bigint)", value), BIGINT, natural=True) if value.digits else value


def is_constant(node: Node) -> bool:
    """Return whether an expression is made of constants alone."""
    if node.kind in ("number", "string", "blob", "null", "quoted"):
        return True
    if node.kind == "name":
        return not node.text.upper().startswith("CURRENT_")
    return node.kind in ("unary",) and all(is_constant(part) for part in node.parts)


def type_of_generated(value: Value, declared: str) -> str:
    """Return the type of a generated column: the declared one, or else that of its expression."""
    own = {BOOLEAN: BIGINT, values.MIXED: DOUBLE, values.NULL: TEXT}.get(value.type, value.type)
    return postgres_type(declared) or own
