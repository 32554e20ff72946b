# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""The columns of one SQLite table in PostgreSQL: types, collations, defaults, and what generates them."""

from __future__ import annotations

import dataclasses
import typing as t

from ._errors import SchemaRefused
from ._expression_translation import Scope, ScopeColumn, translate_value, type_of_generated
from ._expression_values import stored
from ._psycopg2 import sql
from ._sqlite_declaration import TableDeclaration, index_declaration
from ._sqlite_expression import Node, names_in, parse
from ._sqlite_tokens import fold
from ._translated_defaults import default_of
from ._translated_types import TEXT, Observed, affinity, choose

if t.TYPE_CHECKING:
    from ._sqlite_catalog import Column, Table
    from ._translated_names import Findings

_VIRTUAL_SINCE = 180000
ICU_COLLATION = "nocase"


@dataclasses.dataclass(frozen=True)
class Target:
    """Where a schema is translated to.

    Attributes:
        schema_name: The tenant schema.
        server_version: As C(server_version_num).
        nocase: What becomes of NOCASE: C(lower_index), C(icu) or C(refuse).
    """

    schema_name: str
    server_version: int
    nocase: str = "lower_index"

    def collation(self, name: str) -> sql.Composable:
        """Return the collation of PostgreSQL's for one of SQLite's."""
        if name == "NOCASE" and self.nocase == "icu":
            return sql.Identifier(self.schema_name, ICU_COLLATION)
        return sql.Identifier("C")


@dataclasses.dataclass(frozen=True)
class TranslatedColumn:
    """One column; C(collation) is SQLite's, empty for BINARY.

    C(numbered) is whether its values are the numbers of the rows, C(generated) what makes it up, C(kept) whether that
    is stored.
    """

    name: str
    type: str
    affinity: str
    collation: str
    not_null: bool
    numbered: bool
    default: sql.Composable | None
    generated: sql.Composable | None
    kept: bool


def translate_columns(
    table: Table, declaration: TableDeclaration, target: Target, observed: Observed, findings: Findings
) -> tuple[list[TranslatedColumn], Scope]:
    """Return the columns of a table, and what its expressions can refer to."""
    reader = _Columns(table, declaration, target, observed, findings)
    return reader.columns, reader.scope


class _Columns:
    def __init__(
        self, table: Table, declaration: TableDeclaration, target: Target, observed: Observed, findings: Findings
    ) -> None:
        self._table = table
        self._declaration = declaration
        self._target = target
        self._findings = findings
        self._known: dict[str, ScopeColumn] = {}
        self._made: dict[str, sql.Composable] = {}
        # Types first: a generated column may be made of others that stand behind it, and of generated ones too.
        plain = [column for column in table.columns if not column.generated]
        for column in plain:
            findings.check_name(f"column of table {table.name}", column.name, column=True)
            self._know(column, self._type(column, observed), None)
        waiting = [column for column in table.columns if column.generated]
        while waiting:
            ready = [column for column in waiting if not self._made_of_unknown(column, waiting)] or waiting
            for column in ready:
                self._know_generated(column)
            waiting = [column for column in waiting if column not in ready]
        self.scope = Scope(self._known, target.server_version)
        indexed = _indexed(table)
        self.columns = [self._column(column, indexed) for column in table.columns]

    def _what(self, column: Column) -> str:
        return f"column {self._table.name}.{column.name}"

    def _type(self, column: Column, observed: Observed) -> str:
        choice = choose(self._table.name, column, self._table.strict, observed)
        if choice.refusal:
            self._findings.refusals.append(choice.refusal)
        if choice.note:
            self._findings.notes.append(choice.note)
        return choice.type

    def _know(self, column: Column, type_name: str, made_of: Node | None) -> None:
        collation = self._declaration.collations.get(fold(column.name), "")
        collation = "" if collation == "BINARY" or type_name != TEXT else collation
        if collation and (collation != "NOCASE" or self._target.nocase == "refuse"):
            self._findings.refusals.append(f"{self._what(column)}: the collation {collation} has no exact counterpart")
        self._known[fold(column.name)] = ScopeColumn(
            column.name,
            type_name,
            affinity(column.declared_type, self._table.strict),
            collation,
            in_c=not (collation == "NOCASE" and self._target.nocase == "icu"),
            made_of=made_of,
        )

    def _tree(self, column: Column) -> Node:
        return parse(self._declaration.generated.get(fold(column.name), ()))

    def _made_of_unknown(self, column: Column, waiting: t.Collection[Column]) -> bool:
        unknown = {fold(other.name) for other in waiting}
        try:
            return not unknown.isdisjoint(fold(name) for name in names_in(self._tree(column)))
        except SchemaRefused:
            return False  # refused when its turn comes

    def _know_generated(self, column: Column) -> None:
        type_name, made_of = TEXT, None  # what is refused here
        with self._findings.refusing(f"{self._what(column)}, which is generated"):
            tree = self._tree(column)
            value = translate_value(tree, Scope(self._known, self._target.server_version, inlined=True))
            type_name = type_of_generated(value, column.declared_type)
            self._made[fold(column.name)] = stored(value, type_name, affinity(column.declared_type, self._table.strict))
            made_of = tree
        self._know(column, type_name, made_of)

    def _column(self, column: Column, indexed: t.Collection[str]) -> TranslatedColumn:
        known = self._known[fold(column.name)]
        numbered = is_numbered(self._table) and column.primary_key > 0
        default = generated = None
        kept = column.stored
        if column.generated:
            generated = self._made.get(fold(column.name))  # nothing where it was refused
            if not kept and (self._target.server_version < _VIRTUAL_SINCE or fold(column.name) in indexed):
                kept = True
                why = "it is indexed" if fold(column.name) in indexed else "this PostgreSQL knows no other"
                self._findings.notes.append(f"{self._what(column)}: VIRTUAL becomes STORED, since {why}")
        elif column.default is not None and not numbered:
            with self._findings.refusing(f"{self._what(column)}: default {column.default}"):
                default, note = default_of(column.default, known.type, known.affinity, self._target.server_version)
                if note:
                    self._findings.notes.append(f"{self._what(column)}: {note}")
        return TranslatedColumn(
            column.name,
            known.type,
            known.affinity,
            known.collation,
            column.not_null,
            numbered,
            default,
            generated,
            kept,
        )


def is_numbered(table: Table) -> bool:
    """Return whether SQLite numbers the rows in the primary key: an INTEGER one that is the rowid itself.

    The rowid has no index of its own, C(INTEGER PRIMARY KEY DESC) and WITHOUT ROWID do.
    """
    return len(table.key) == 1 and not table.without_rowid and all(index.origin != "pk" for index in table.indexes)


def _indexed(table: Table) -> set[str]:
    """Return the folded names of the columns that an index or a foreign key needs, its condition included."""
    found = {fold(name) for key in table.foreign_keys for name in key.columns}
    for index in table.indexes:
        found |= {fold(name) for name in index.columns if name is not None}
        if index.sql and (index.partial or None in index.columns):
            try:
                declared = index_declaration(index.sql)
                terms = [term for term in (*declared.terms, declared.condition) if term]
                found |= {fold(name) for term in terms for name in names_in(parse(term))}
            except SchemaRefused:
                pass  # the index itself is refused
    return found
