# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""The present and chance in a default: SQLite's date and random functions in PostgreSQL.

SQLite's present is that of the statement, in UTC and cut to milliseconds; so it is here.
"""

from __future__ import annotations

import re
import typing as t

from ._errors import SchemaRefused
from ._expression_values import Value, template
from ._psycopg2 import sql
from ._translated_types import BIGINT, BYTEA, TEXT

_NOW = "statement_timestamp() AT TIME ZONE 'UTC'"
_EPOCH = "floor(extract(epoch FROM statement_timestamp()))::bigint"
_DATE, _TIME = "%Y-%m-%d", "%H:%M:%S"
_FORMATS = {
    "date": _DATE,
    "current_date": _DATE,
    "time": _TIME,
    "current_time": _TIME,
    "datetime": f"{_DATE} {_TIME}",
    "current_timestamp": f"{_DATE} {_TIME}",
}
_FIELDS = {"Y": "YYYY", "m": "MM", "d": "DD", "H": "HH24", "M": "MI", "S": "SS", "f": "SS.MS", "j": "DDD"}
_DIGITS = {"s": f"({_EPOCH})::text", "w": f"extract(dow FROM {_NOW})::int::text"}
_RANDOM_BYTES = 32  # two UUIDs of 122 random bits each, through a hash that spreads them
_ENTROPY = "sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()))"


def present_or_chance(name: str, arguments: t.Sequence[Value]) -> Value | None:
    """Return a function of the present or of chance, None for any other.

    Args:
        name: The function or keyword, in small letters.
        arguments: What it is called with.

    Raises:
        SchemaRefused: It has modifiers, or a format without an exact counterpart.
    """
    texts = [argument.literal for argument in arguments]
    if name in _FORMATS:
        _refuse_modifiers(name, texts)
        return _formatted(_FORMATS[name])
    if name == "strftime" and texts and isinstance(texts[0], str):
        _refuse_modifiers(name, texts[1:])
        return _formatted(texts[0])
    if name == "unixepoch":
        _refuse_modifiers(name, texts)
        return Value(sql.SQL(_EPOCH), BIGINT, natural=True)
    if name == "random" and not texts:
        number = f"(('x' || encode(substring({_ENTROPY} FROM 1 FOR 8), 'hex'))::bit(64)::bigint)"
        return Value(sql.SQL(number), BIGINT)
    if name == "randomblob" and len(texts) == 1 and isinstance(texts[0], int):
        if not 1 <= texts[0] <= _RANDOM_BYTES:
            raise SchemaRefused(f"randomblob of other than 1 to {_RANDOM_BYTES} bytes has no counterpart")
        return Value(sql.SQL(f"substring({_ENTROPY} FROM 1 FOR {texts[0]})"), BYTEA)
    return None


def _refuse_modifiers(name: str, texts: t.Sequence[object]) -> None:
    if texts and not (len(texts) == 1 and isinstance(texts[0], str) and texts[0].lower() == "now"):
        raise SchemaRefused(f"{name} of another time than now, or with modifiers, has no exact counterpart")


def _formatted(form: str) -> Value:
    pieces: list[sql.Composable] = []
    plain = ""  # gathered for one call of to_char
    for found in re.finditer(r"%(.?)|([^%]+)", form, re.DOTALL):
        code, text = found.group(1), found.group(2)
        if code in _FIELDS:
            plain += _FIELDS[code]
        elif code in _DIGITS:
            pieces += [*_to_char(plain), sql.SQL(_DIGITS[code])]
            plain = ""
        elif text or code == "%":
            plain += _literal(text or "%")
        else:
            raise SchemaRefused(f"the format {form!r} of strftime has no exact counterpart")
    pieces += _to_char(plain)
    if not pieces:
        raise SchemaRefused("an empty format of strftime has no counterpart")
    fields = re.findall(r"%[A-Za-z]", form)
    digits = form == "%s" or form == "%w"
    worded = len(fields) > 1 and re.fullmatch(r"(%[A-Za-z][-:T ]+)+%[A-Za-z]Z?", form) is not None
    return Value(template("({})", sql.SQL(" || ").join(pieces)), TEXT, digits=digits, worded=worded)


def _to_char(plain: str) -> list[sql.Composable]:
    return [template(f"to_char({_NOW}, {{}})", sql.Literal(plain))] if plain else []


def _literal(text: str) -> str:
    if re.fullmatch(r"[-:/ .,]+", text):
        return text
    if '"' in text or "\\" in text:
        raise SchemaRefused(f"{text!r} in a format of strftime has no exact counterpart")
    return f'"{text}"'
