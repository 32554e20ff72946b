# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Translate what a SQLite file declares into PostgreSQL statements for a tenant schema.

Whatever has no exact counterpart here is refused by name, never dropped: an application that brings its own
tables (C(bootstrap: api) or C(command)) is the better way for those.
"""

from __future__ import annotations

import dataclasses
import re
import typing as t

from ._profile import MAX_IDENTIFIER_BYTES
from ._psycopg2 import sql
from ._sqlite_store import bare

if t.TYPE_CHECKING:
    from ._sqlite_store import Catalog, Column, ForeignKey, Index, Table


@dataclasses.dataclass(frozen=True)
class Statement:
    """One statement that creates something: what, for the operator, and its SQL with quoted identifiers."""

    creates: str
    statement: sql.Composable


@dataclasses.dataclass(frozen=True)
class Translation:
    """The statements in the order to run them, and everything that cannot be translated."""

    statements: tuple[Statement, ...]
    refusals: tuple[str, ...]


# By words in the declared type, in SQLite's own order of deciding (https://www.sqlite.org/datatype3.html §3.1);
# the exact names before it keep what their declaration promises.
_EXACT_TYPES = {"BOOLEAN": "boolean", "BOOL": "boolean"}
_TYPES = (
    (("INT",), "bigint"),
    (("CHAR", "CLOB", "TEXT"), "text"),
    (("BLOB",), "bytea"),
    (("REAL", "FLOA", "DOUB"), "double precision"),
    (("DATE", "TIME"), "text"),
    (("NUMERIC", "DECIMAL"), "numeric"),
)
_NUMBER = r"[+-]?\d+(\.\d+)?([eE][+-]?\d+)?"
_COLLATE = r"\bCOLLATE\s+(?!BINARY\b)"  # blanked out: a quoted collation is refused as well
_CURRENT = {
    "CURRENT_TIMESTAMP": "YYYY-MM-DD HH24:MI:SS",
    "CURRENT_DATE": "YYYY-MM-DD",
    "CURRENT_TIME": "HH24:MI:SS",
}


def postgres_type(declared: str) -> str | None:
    """Return the PostgreSQL type for a declared SQLite type, None when there is no exact one."""
    name = declared.upper().split("(")[0].strip()
    if name in _EXACT_TYPES:
        return _EXACT_TYPES[name]
    for words, found in _TYPES:
        if any(word in name for word in words):
            return found
    return None


def translate(
    catalog: Catalog,
    names: t.Collection[str],
    schema_name: str,
    existing: t.Collection[str] = (),
    excluded: t.Collection[str] = (),
) -> Translation:
    """Translate the named tables, with keys, defaults, NOT NULL, UNIQUE, foreign keys and plain indexes.

    Args:
        catalog: What the SQLite file declares.
        names: The tables to create; the others are not looked at.
        schema_name: The tenant schema.
        existing: The tables that the tenant schema has already; foreign keys may refer to them as well.
        excluded: Views and triggers to leave behind; any other of the named tables stands in the way.
    """
    tables = [table for table in catalog.tables if table.name in names]
    parents = {*names, *existing}
    statements: list[Statement] = []
    indexes: list[Statement] = []  # before the foreign keys, which may refer to a unique one
    foreign_keys: list[Statement] = []
    refusals = _views_and_triggers(catalog, {table.name for table in tables}, excluded)
    for table in tables:
        refusals += _untranslatable(table)
        statements.append(_create_table(table, schema_name, refusals))
        for index in table.indexes:
            if index.origin == "c":
                indexes.append(_create_index(table, index, schema_name, refusals))
        for key in table.foreign_keys:
            foreign_keys.append(_foreign_key(table, key, schema_name, parents, refusals))
    return Translation((*statements, *indexes, *foreign_keys), tuple(refusals))


def _views_and_triggers(catalog: Catalog, names: t.Collection[str], excluded: t.Collection[str]) -> list[str]:
    if not names:
        return []
    found = [f"view {name}: a view cannot be translated exactly" for name in catalog.views if name not in excluded]
    found += [
        f"trigger {name} of {table}: a trigger cannot be translated exactly"
        for name, table in zip(catalog.triggers, catalog.trigger_tables)
        if table in names and name not in excluded
    ]
    return found


def _untranslatable(table: Table) -> list[str]:
    # PRAGMAs say nothing about these, so the statement itself is looked at.
    statement = bare(table.sql)
    found = [
        f"table {table.name}: {what} cannot be translated exactly"
        for word, what in (
            (r"\bCHECK\s*\(", "a CHECK constraint"),
            (_COLLATE, "a COLLATE clause other than BINARY"),
            (r"\bDEFERRABLE\b", "a DEFERRABLE constraint"),
            (r"\bON\s+CONFLICT\b", "an ON CONFLICT clause"),
        )
        if re.search(word, statement)
    ]
    found += [
        f"column {table.name}.{column.name}: a generated column cannot be translated exactly"
        for column in table.columns
        if column.generated
    ]
    found += [
        f"{what} {name!r}: the name is longer than {MAX_IDENTIFIER_BYTES} bytes, PostgreSQL would cut it"
        for what, name in [
            ("table", table.name),
            *(("column", name) for name in table.column_names),
            *(("index", index.name) for index in table.indexes if index.origin == "c"),
        ]
        if len(name.encode()) > MAX_IDENTIFIER_BYTES
    ]
    return found


def _create_table(table: Table, schema_name: str, refusals: list[str]) -> Statement:
    lines = [_column(table, column, refusals) for column in table.columns]
    if table.key:
        lines.append(sql.SQL("PRIMARY KEY ({})").format(_names(table.key)))
    for index in table.indexes:
        if index.origin == "u" and None not in index.columns:
            lines.append(sql.SQL("UNIQUE ({})").format(_names([name for name in index.columns if name])))
    statement = sql.SQL("CREATE TABLE {} ({})").format(
        sql.Identifier(schema_name, table.name), sql.SQL(", ").join(lines)
    )
    return Statement(f"table {table.name}", statement)


def _column(table: Table, column: Column, refusals: list[str]) -> sql.Composable:
    type_name = postgres_type(column.declared_type)
    if type_name is None:
        refusals.append(
            f"column {table.name}.{column.name}: no PostgreSQL type is known for its declared type "
            f"{column.declared_type!r}"
        )
        type_name = "text"
    parts = [sql.Identifier(column.name), sql.SQL(type_name)]
    if table.key == (column.name,) and column.declared_type.upper() == "INTEGER" and not table.without_rowid:
        # An INTEGER PRIMARY KEY numbers itself; BY DEFAULT, because explicit ids must stay possible (S33).
        parts.append(sql.SQL("GENERATED BY DEFAULT AS IDENTITY"))
    elif column.default is not None:
        default = _default(column.default, type_name)
        if default is None:
            refusals.append(f"column {table.name}.{column.name}: default {column.default} cannot be translated exactly")
        else:
            parts.append(sql.SQL("DEFAULT {}").format(default))
    if column.not_null:
        parts.append(sql.SQL("NOT NULL"))
    return sql.SQL(" ").join(parts)


def _default(default: str, type_name: str) -> sql.Composable | None:
    text = default.strip()
    while text.startswith("(") and text.endswith(")"):
        text = text[1:-1].strip()
    if text.upper() == "NULL":
        return sql.SQL("NULL")
    if text.upper() in _CURRENT and type_name == "text":
        return sql.SQL("to_char(now() AT TIME ZONE 'UTC', {})").format(sql.Literal(_CURRENT[text.upper()]))
    string = re.fullmatch(r"'((?:[^']|'')*)'", text)
    if string and type_name == "text":
        return sql.Literal(string.group(1).replace("''", "'"))
    if type_name == "boolean" and text.upper() in ("0", "1", "TRUE", "FALSE"):
        return sql.SQL("true" if text.upper() in ("1", "TRUE") else "false")
    number = {"bigint": r"[+-]?\d+", "double precision": _NUMBER, "numeric": _NUMBER}.get(type_name)
    if number and re.fullmatch(number, text):
        return sql.SQL(text)
    return None


def _foreign_key(
    table: Table,
    key: ForeignKey,
    schema_name: str,
    names: t.Collection[str],
    refusals: list[str],
) -> Statement:
    if key.parent not in names or not key.parent_columns:
        refusals.append(
            f"table {table.name}: its foreign key ({', '.join(key.columns)}) refers to {key.parent}, which is "
            "not among the tables of the profile or has no key"
        )
    # PostgreSQL names it: a name made here could be cut, and then be the same as another one's.
    statement = sql.SQL("ALTER TABLE {} ADD FOREIGN KEY ({}) REFERENCES {} ({}) ON UPDATE {} ON DELETE {}").format(
        sql.Identifier(schema_name, table.name),
        _names(key.columns),
        sql.Identifier(schema_name, key.parent),
        _names(key.parent_columns),
        sql.SQL(key.on_update),
        sql.SQL(key.on_delete),
    )
    return Statement(f"foreign key ({', '.join(key.columns)}) of {table.name}", statement)


def _create_index(table: Table, index: Index, schema_name: str, refusals: list[str]) -> Statement:
    if index.partial or None in index.columns:
        what = "a partial" if index.partial else "an expression"
        refusals.append(f"index {index.name}: {what} index cannot be translated exactly")
    elif re.search(_COLLATE, bare(index.sql or "")):
        refusals.append(f"index {index.name}: a COLLATE clause other than BINARY cannot be translated exactly")
    parts = [
        sql.SQL("{} DESC NULLS LAST" if descending else "{} NULLS FIRST").format(sql.Identifier(name))
        for name, descending in zip(index.columns, index.descending)
        if name is not None
    ]
    statement = sql.SQL("CREATE {} INDEX {} ON {} ({})").format(
        sql.SQL("UNIQUE" if index.unique else ""),
        sql.Identifier(index.name),
        sql.Identifier(schema_name, table.name),
        sql.SQL(", ").join(parts),
    )
    return Statement(f"index {index.name}", statement)


def _names(names: t.Iterable[str]) -> sql.Composable:
    return sql.SQL(", ").join([sql.Identifier(name) for name in names])
