# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""SQLite's LIKE and GLOB in PostgreSQL, where the pattern is a constant."""

from __future__ import annotations

import re

from ._errors import SchemaRefused
from ._expression_values import Value, as_bigint, folded, template
from ._psycopg2 import sql
from ._sqlite_tokens import fold
from ._translated_types import BIGINT, BOOLEAN, TEXT

_IN_CLASS = re.compile(r"[A-Za-z0-9 _.,:;@#+/-]", re.ASCII)


def like(value: Value, pattern: Value, escape: Value | None) -> Value:
    """Return LIKE: regardless of case in ASCII, and without an escape character unless one is named.

    Raises:
        SchemaRefused: The pattern is no constant, or ends in the midst of an escape.
    """
    text = _constant(pattern)
    sign = _constant(escape) if escape else ""
    if escape and (len(sign) != 1 or sign.isalpha()):
        raise SchemaRefused("the escape character of LIKE is no single sign")
    if sign and len(text) - len(text.rstrip(sign)) & 1:
        raise SchemaRefused("the pattern of LIKE ends with its escape character")
    found = template("({} LIKE {} ESCAPE {})", folded(_text(value)), sql.Literal(fold(text)), sql.Literal(sign))
    return Value(found, BOOLEAN)


def glob(value: Value, pattern: Value) -> Value:
    """Return GLOB as a regular expression.

    Raises:
        SchemaRefused: The pattern is no constant, or has a class with signs whose meaning is not plain.
    """
    text = _constant(pattern)
    made = ["^"]
    place = 0
    while place < len(text):
        sign = text[place]
        place += 1
        if sign == "[":
            found, place = _class(text, place)
            made.append(found)
        else:
            made.append({"*": ".*", "?": "."}.get(sign) or _plain(sign))
    return Value(template('(({} COLLATE "C") ~ {})', _text(value), sql.Literal("".join([*made, "$"]))), BOOLEAN)


def _class(text: str, place: int) -> tuple[str, int]:
    negated = text.startswith("^", place)
    place += negated
    end = text.find("]", place)
    content = text[place:end]
    if end <= place or not all(_IN_CLASS.fullmatch(sign) for sign in content):
        raise SchemaRefused(f"the class in the pattern {text!r} of GLOB has no exact counterpart")
    ranges = re.findall(r"([A-Za-z0-9])-([A-Za-z0-9])", content)
    if content.count("-") != len(ranges) or any(low > high for low, high in ranges):
        raise SchemaRefused(f"the hyphen in the pattern {text!r} of GLOB has no exact counterpart")
    return f"[{'^' if negated else ''}{content}]", end + 1


def _plain(sign: str) -> str:
    return sign if sign.isalnum() or ord(sign) > 127 else "\\" + sign


def _constant(value: Value) -> str:
    if not isinstance(value.literal, str):
        raise SchemaRefused("a pattern that is no constant has no exact counterpart")
    return value.literal


def _text(value: Value) -> Value:
    if value.type == BIGINT:
        return Value(template("({}::text)", as_bigint(value)), TEXT)
    if value.type != TEXT:
        raise SchemaRefused(f"a pattern is matched against {value.type}, of which SQLite makes a text first")
    return value
