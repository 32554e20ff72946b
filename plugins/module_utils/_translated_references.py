# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""The foreign keys of a translated schema: all of them after all tables, so that cycles are no problem."""

from __future__ import annotations

import dataclasses
import typing as t

from ._errors import SchemaRefused
from ._psycopg2 import sql
from ._sqlite_tokens import fold
from ._translated_columns import Target
from ._translated_table import Statement, TranslatedTable
from ._translated_types import TEXT

if t.TYPE_CHECKING:
    from . import _postgres_store
    from ._sqlite_catalog import ForeignKey
    from ._translated_names import Findings


@dataclasses.dataclass(frozen=True)
class Parents:
    """The tables that a foreign key may refer to: the new ones, and those that are there already.

    C(left_behind) are tables of the file that do not become part of the tenant schema.
    """

    translated: t.Mapping[str, TranslatedTable]
    existing: t.Mapping[str, _postgres_store.Table]
    left_behind: t.Collection[str]

    def types(self, name: str) -> dict[str, tuple[str, str]]:
        """Return type and collation of the columns of a parent."""
        if name in self.translated:
            return {column.name: (column.type, column.collation) for column in self.translated[name].columns}
        return {column.name: (column.declared, "") for column in self.existing[name].columns}

    def unique(self, name: str) -> list[tuple[str, ...]]:
        """Return the columns of a parent that PostgreSQL takes for unique."""
        if name in self.translated:
            return [self.translated[name].source.key, *self.translated[name].uniques]
        return [self.existing[name].key, *self.existing[name].uniques]


def translate_references(
    table: TranslatedTable, parents: Parents, target: Target, findings: Findings
) -> list[Statement]:
    """Return the foreign keys of a table; what cannot be one is among the findings."""
    found = []
    deferred = table.declaration.deferred
    for place, key in enumerate(table.source.foreign_keys):
        name = f"({', '.join(key.columns)})"
        with findings.refusing(f"table {table.source.name}: its foreign key {name} to {key.parent}"):
            _check(table, key, parents, target)
            late = place < len(deferred) and deferred[place]
            # PostgreSQL names it: its names of constraints are each table's own.
            statement = sql.SQL("ALTER TABLE {} ADD FOREIGN KEY ({}) REFERENCES {} ({}) ON UPDATE {} ON DELETE {}{}")
            found.append(
                Statement(
                    f"foreign key {name} of {table.source.name}",
                    statement.format(
                        sql.Identifier(target.schema_name, table.source.name),
                        _listed(key.columns),
                        sql.Identifier(target.schema_name, key.parent),
                        _listed(key.parent_columns),
                        sql.SQL(key.on_update),
                        sql.SQL(key.on_delete),
                        sql.SQL(" DEFERRABLE INITIALLY DEFERRED" if late else ""),
                    ),
                )
            )
            if any(table.column(column).collation == "NOCASE" for column in key.columns):
                findings.notes.append(
                    f"table {table.source.name}: its foreign key {name} to {key.parent} is matched as PostgreSQL "
                    "compares its columns"
                )
    return found


def _check(table: TranslatedTable, key: ForeignKey, parents: Parents, target: Target) -> None:
    if key.parent in parents.left_behind:
        raise SchemaRefused("the parent is left behind or shared, so it is no table of the tenant schema")
    if key.parent not in parents.translated and key.parent not in parents.existing:
        raise SchemaRefused("there is no such table among those of the profile")
    types = parents.types(key.parent)
    if not key.parent_columns:
        raise SchemaRefused("the parent has no primary key to refer to")
    if len(key.parent_columns) != len(key.columns):
        raise SchemaRefused(
            f"it has {len(key.columns)} column(s), the key of the parent ({', '.join(key.parent_columns)}) has "
            f"{len(key.parent_columns)}"
        )
    missing = [name for name in key.parent_columns if name not in types]
    if missing:
        raise SchemaRefused(f"the parent has no column {', '.join(missing)}")
    if sorted(key.parent_columns) not in [sorted(names) for names in parents.unique(key.parent)]:
        raise SchemaRefused(
            f"the column(s) {', '.join(key.parent_columns)} of the parent are neither its primary key nor unique "
            "in PostgreSQL"
        )
    for name, parent_name in zip(key.columns, key.parent_columns):
        column = table.column(name)
        theirs, collation = types[parent_name]
        if column.type != theirs:
            raise SchemaRefused(
                f"{table.source.name}.{name} is {column.type} (declared {_declared(table, name)!r}), "
                f"{key.parent}.{parent_name} is {theirs}: PostgreSQL compares no values of different types"
            )
        if target.nocase == "icu" and column.type == TEXT and column.collation != collation:
            raise SchemaRefused(f"{table.source.name}.{name} and {key.parent}.{parent_name} differ in their collations")


def _declared(table: TranslatedTable, name: str) -> str:
    return next(column.declared_type for column in table.source.columns if fold(column.name) == fold(name))


def _listed(names: t.Iterable[str]) -> sql.Composable:
    return sql.SQL(", ").join([sql.Identifier(name) for name in names])
