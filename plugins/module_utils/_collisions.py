# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Which rows of a SQLite table a new row would push out: REPLACE deletes them without firing a delete trigger.

A trigger before the change can still see them. For every unique index this makes the condition that picks the rows
which hold the new row's place there, so that SQLite looks them up in that very index. In a trigger the values of the
new row have their column's collation, but not its affinity.
"""

from __future__ import annotations

import typing as t

from ._errors import SchemaRefused
from ._sqlite_declaration import IndexDeclaration, index_declaration, table_declaration
from ._sqlite_expression import Node, parse
from ._sqlite_tokens import (
    BLOB,
    NAME,
    OPERATOR,
    QUOTED,
    STRING,
    WORD,
    Token,
    fold,
    free_row_name,
    quote,
    tokens_of,
)
from ._translated_types import affinity

if t.TYPE_CHECKING:
    from ._sqlite_catalog import Column, Index, Table

# fmt: off
_KEYWORDS = frozenset((
    "AND", "AS", "BETWEEN", "CASE", "CAST", "COLLATE", "ELSE", "END", "ESCAPE", "FALSE", "FROM", "GLOB", "IN", "IS",
    "ISNULL", "LIKE", "MATCH", "NOT", "NOTNULL", "NULL", "OR", "REGEXP", "THEN", "TRUE", "WHEN",
))
# fmt: on
_NOW = ("CURRENT_DATE", "CURRENT_TIME", "CURRENT_TIMESTAMP")
_CLASSES = {"TEXT": "text", "INTEGER": "number", "REAL": "number", "NUMERIC": "number"}
_COMPARISONS = ("=", "<>", "<", "<=", ">", ">=")


class _Row(t.NamedTuple):
    """The table of a new row, with its columns by their folded names."""

    table: Table
    columns: t.Mapping[str, Column]

    def made_of(self, column: Column) -> tuple[Token, ...]:
        """Return what a generated column is made of.

        Raises:
            SchemaRefused: The declaration was not understood.
        """
        found = table_declaration(self.table.sql).generated.get(fold(column.name))
        if found is None:
            raise SchemaRefused(f"what column {column.name} is generated from was not understood")
        return found

    def may_be_default(self, column: Column) -> bool:
        """Return whether a default may come in place of a NULL of the column, or of one that it is made of."""
        if not column.generated:
            return column.not_null and column.default is not None
        parts = [self.columns.get(fold(token.text)) for token in self.made_of(column) if token.is_name]
        return any(self.may_be_default(part) for part in parts if part)


def literal(text: str) -> str:
    """Return the text as a literal of SQLite's."""
    return "'" + text.replace("'", "''") + "'"


def row_name(table: Table) -> str | None:
    """Return a name of the rowid that no column hides; None where there is none, or no rowid."""
    return None if table.without_rowid else free_row_name(table.column_names)


def collisions(table: Table, tenant_column: str | None, *, strict: bool = True) -> list[str]:
    """Return the conditions on a row of the table under which a new row C(NEW) would push it out.

    Left out are those places that only rows of one profile and one key can compete for: whoever takes such a place is
    logged under the very key of the row that loses it.

    Args:
        table: The table.
        tenant_column: The column that tells the profiles apart, None when the whole file is one profile's.
        strict: Whether to refuse an index of which it cannot be told, or to pass over it.

    Raises:
        SchemaRefused: It cannot be told for an index, which is named.
    """
    conditions = []
    row = _Row(table, {fold(column.name): column for column in table.columns})
    for index in table.indexes:
        if not index.unique or (index.origin == "pk" and _same_key(table, index, row.columns, tenant_column)):
            continue
        try:
            conditions.append(_condition(index, row))
        except SchemaRefused as error:
            if not strict:
                continue
            raise SchemaRefused(
                f"unique index {index.name}", f"what a new row would push out of it cannot be told ({error.what})"
            ) from None
    rowid = row_name(table)
    if table.without_rowid:
        return conditions
    if not any(index.origin == "pk" for index in table.indexes) and table.key:  # the key is the rowid itself
        if tenant_column is not None and fold(tenant_column) != fold(table.key[0]):
            conditions.append(f"{quote(table.key[0])} = NEW.{quote(table.key[0])}")
    elif rowid:
        conditions.append(f"{rowid} = NEW.{rowid}")
    return conditions


def holds_one_value(column: Column) -> bool:
    """Return whether two values of the column that compare equal as octets are the same also by their type."""
    return affinity(column.declared_type) in ("TEXT", "INTEGER")


def _same_key(table: Table, index: Index, columns: t.Mapping[str, Column], tenant_column: str | None) -> bool:
    names = [fold(name) for name in table.key]
    return (
        (tenant_column is None or fold(tenant_column) in names)
        and all(collation == "BINARY" for collation in index.collations)
        and all(holds_one_value(columns[name]) for name in names)
    )


def _condition(index: Index, row: _Row) -> str:
    declared = index_declaration(index.sql) if index.sql else IndexDeclaration((), ())
    for tokens in (*declared.terms, declared.condition):
        _refuse_spacing(tokens, index.sql or "")
    parts = []
    for place, (name, collation) in enumerate(zip(index.columns, index.collations)):
        if name is not None:
            held, new = quote(name), _new(row.columns[fold(name)], row)
        else:
            held, new = f"({_spelt(declared.terms[place])})", _over_new(declared.terms[place], row)
        parts.append(f"{held} = {new} COLLATE {quote(collation)}")
    if declared.condition:  # without it SQLite would not look into a partial index
        parts.append(f"({_spelt(declared.condition)})")
    return " AND ".join(parts)


def _new(column: Column, row: _Row) -> str:
    """Return the value that the new row will have: REPLACE puts the default in place of a NULL that may not be.

    What is generated from such a column is not known yet when the trigger fires.
    """
    name = f"NEW.{quote(column.name)}"
    if not row.may_be_default(column):
        return name
    if column.generated:
        return _over_new(row.made_of(column), row)
    default = tokens_of(column.default or "")
    if (
        len(default) == 1
        and default[0].kind in (WORD, QUOTED)
        and not default[0].is_word("NULL", "TRUE", "FALSE", *_NOW)
    ):
        default = [Token(STRING, default[0].text)]
    return f"coalesce({name}, ({_spelt(default)}))"


def _over_new(tokens: t.Sequence[Token], row: _Row) -> str:
    """Return an expression over columns as one over the new row."""
    _refuse_affinity(parse(tokens), row.columns)
    new: list[Token] = []
    in_type = 0
    for place, token in enumerate(tokens):
        before = tokens[place - 1] if place else Token("", "")
        called = place + 1 < len(tokens) and tokens[place + 1].is_operator("(")
        if token.is_word("AS"):  # only CAST has it: what follows is a type
            in_type = 1
        elif in_type:
            in_type += token.is_operator("(") - token.is_operator(")")
        if in_type or not token.is_name or before.is_word("COLLATE"):
            new.append(token)
            continue
        column = row.columns.get(fold(token.text))
        keyword = token.kind == WORD and token.text.upper() in _KEYWORDS
        if (keyword and column is None) or (called and token.kind == WORD and not keyword):
            new.append(token)
        elif column is None or keyword:
            raise SchemaRefused(f"{token.text!r} was not understood")
        else:
            new.append(Token(OPERATOR, _new(column, row)))
    return f"({_spelt(new)})"


def _refuse_affinity(node: Node, columns: t.Mapping[str, Column]) -> None:
    """Refuse an expression in which the affinity of a column could decide a comparison."""
    compares = node.kind in ("in", "between", "is") or (node.kind == "binary" and node.text in _COMPARISONS)
    if compares:
        operands = [_operand(part, columns) for part in node.parts]
        wanted = {kind for kind, is_column in operands if is_column}
        if (wanted and any(kind not in (*wanted, "null") for kind, _is_column in operands)) or len(wanted) > 1:
            raise SchemaRefused("it compares values of different types")
    for part in node.parts:
        _refuse_affinity(part, columns)


def _operand(node: Node, columns: t.Mapping[str, Column]) -> tuple[str, bool]:
    """Return C(text), C(number), C(null) or C(other), and whether it is a column that has an affinity."""
    while node.kind == "collate":
        (node,) = node.parts
    if node.kind in ("null", "number"):
        return node.kind, False
    column = columns.get(fold(node.text)) if node.kind in ("name", "quoted") else None
    found = _CLASSES.get(affinity(column.declared_type)) if column else None
    if found:
        return found, True
    return ("text" if node.kind == "string" else "other"), False


def _refuse_spacing(tokens: t.Sequence[Token], statement: str) -> None:
    """Refuse a CAST whose type is spaced as it would not be here: SQLite compares it letter by letter.

    It would not find the index for the expression then, and read through the table for every row that is written.
    """
    for start in [place + 1 for place, token in enumerate(tokens) if token.is_word("AS")]:
        depth = 0
        end = start
        while end < len(tokens) and not (depth == 0 and tokens[end].is_operator(")")):
            depth += tokens[end].is_operator("(") - tokens[end].is_operator(")")
            end += 1
        if _spelt(tokens[start:end]) not in statement:
            raise SchemaRefused("the type of a CAST is written with unusual white space")


def _spelt(tokens: t.Iterable[Token]) -> str:
    text = ""
    for token in tokens:
        tight = text.endswith("(") or token.is_operator("(", ")", ",") or not text
        text += _token(token) if tight else f" {_token(token)}"
    return text


def _token(token: Token) -> str:
    if token.kind in (NAME, QUOTED):
        return quote(token.text)
    if token.kind == STRING:
        return literal(token.text)
    return f"x'{token.text}'" if token.kind == BLOB else token.text
