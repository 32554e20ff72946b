# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Defaults of SQLite's columns in PostgreSQL."""

from __future__ import annotations

import contextlib
import sqlite3

from . import _expression_values as values
from ._errors import SchemaRefused
from ._expression_translation import Scope, is_constant, translate_value
from ._psycopg2 import sql
from ._sqlite_expression import Node, parse
from ._sqlite_tokens import tokens_of
from ._translated_types import BIGINT, BOOLEAN, BYTEA, DOUBLE, NUMERIC, TEXT

_TRUTHS = {"t": True, "true": True, "yes": True, "f": False, "false": False, "no": False}
_LARGEST_EXACT = 2**53


def default_of(default: str, type_name: str, affinity: str, server_version: int) -> tuple[sql.Composable, str]:
    """Return a default in PostgreSQL, and what is worth a note about it.

    Args:
        default: As C(PRAGMA table_xinfo) shows it.
        type_name: The type of the column in PostgreSQL.
        affinity: Its affinity in SQLite.
        server_version: As C(server_version_num).

    Raises:
        SchemaRefused: It has no exact counterpart.
    """
    node = parse(tokens_of(default))
    if is_constant(node):
        return _constant(node, type_name, affinity)
    value = translate_value(node, Scope({}, server_version, present=True))
    return values.template("({})", values.stored(value, type_name, affinity)), ""


def _constant(node: Node, type_name: str, affinity: str) -> tuple[sql.Composable, str]:
    """Return a constant as SQLite itself keeps it in a column of this affinity."""
    with contextlib.closing(sqlite3.connect(":memory:")) as scratch:
        scratch.execute(f"CREATE TABLE scratch (x {affinity if affinity != 'BLOB' else ''})")
        try:
            scratch.execute(f"INSERT INTO scratch VALUES ({_literal(node)})")
        except sqlite3.Error as error:
            raise SchemaRefused(f"SQLite says {error}") from None
        (kept,) = scratch.execute("SELECT x FROM scratch").fetchone()
    if kept is None:
        return sql.SQL("NULL"), ""
    if type_name == BOOLEAN and isinstance(kept, str) and kept in _TRUTHS:
        truth = "true" if _TRUTHS[kept] else "false"
        return sql.SQL(truth), f"the default {kept!r} is {truth}"
    if isinstance(kept, int):
        if type_name == BOOLEAN and kept in (0, 1):
            return sql.SQL("true" if kept else "false"), ""
        if type_name in (BIGINT, NUMERIC) or (type_name == DOUBLE and abs(kept) <= _LARGEST_EXACT):
            return values.integer(kept).sql, ""
    if isinstance(kept, float) and type_name in (DOUBLE, NUMERIC):
        return (values.real(kept).sql if type_name == DOUBLE else sql.SQL(repr(kept))), ""
    if isinstance(kept, str) and type_name == TEXT:
        return values.string(kept).sql, ""
    if isinstance(kept, bytes) and type_name == BYTEA:
        return values.blob(kept).sql, ""
    raise SchemaRefused(f"SQLite stores {_NAMES[type(kept)]} {kept!r}, the column is {type_name}")


_NAMES = {int: "the integer", float: "the real", str: "the text", bytes: "the blob"}


def _literal(node: Node) -> str:
    if node.kind == "number":
        return node.text
    if node.kind == "blob":
        return f"x'{node.text}'"
    if node.kind == "null" or (node.kind == "name" and node.text.upper() in ("TRUE", "FALSE")):
        return node.text or "NULL"
    if node.kind == "unary":
        return f"({node.text} {_literal(node.parts[0])})"
    return "'" + node.text.replace("'", "''") + "'"  # a bare or double-quoted word is a text to SQLite
