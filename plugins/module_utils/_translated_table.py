# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""One table of a translated schema: its columns, CHECKs, keys and indexes, and the statements that make them."""

from __future__ import annotations

import dataclasses
import typing as t

from ._errors import SchemaRefused
from ._expression_translation import Scope, translate_condition, translate_value
from ._psycopg2 import sql
from ._sqlite_declaration import TableDeclaration, index_declaration, table_declaration
from ._sqlite_expression import parse
from ._sqlite_tokens import Token, fold
from ._translated_columns import Target, TranslatedColumn, translate_columns
from ._translated_names import Findings, Names
from ._translated_types import TEXT, Observed

if t.TYPE_CHECKING:
    from ._sqlite_catalog import Index, Table

# The row is refused by all three; IGNORE and REPLACE would do something else with it.
_REFUSING = ("ABORT", "FAIL", "ROLLBACK")


@dataclasses.dataclass(frozen=True)
class Statement:
    """One statement that creates something: what, for the operator, and its SQL with quoted identifiers."""

    creates: str
    statement: sql.Composable


@dataclasses.dataclass(frozen=True)
class TranslatedTable:
    """A table as it will be: C(uniques) are the column lists that a foreign key may refer to, without the key."""

    source: Table
    declaration: TableDeclaration
    columns: tuple[TranslatedColumn, ...]
    uniques: tuple[tuple[str, ...], ...]
    create: Statement
    indexes: tuple[Statement, ...]

    def column(self, name: str) -> TranslatedColumn:
        """Return a column by its name, in any spelling of it."""
        return next(column for column in self.columns if fold(column.name) == fold(name))


def translate_table(
    table: Table, target: Target, observed: Observed, names: Names, findings: Findings
) -> TranslatedTable:
    """Return a table with everything but its foreign keys; what cannot be translated is among the findings."""
    findings.check_name("table", table.name)
    declaration = TableDeclaration({}, {}, (), (), ())
    with findings.refusing(f"table {table.name}"):
        declaration = table_declaration(table.sql)
    for conflict in declaration.conflicts:
        if conflict not in _REFUSING:
            findings.refusals.append(
                f"table {table.name}: ON CONFLICT {conflict} of a constraint has no exact counterpart"
            )
        elif conflict != "ABORT":
            findings.notes.append(
                f"table {table.name}: ON CONFLICT {conflict} becomes PostgreSQL's own way: the statement is undone, "
                "and the transaction can only be rolled back"
            )
    columns, scope = translate_columns(table, declaration, target, observed, findings)
    maker = _Maker(table, declaration, columns, scope, target, names, findings)
    return maker.make()


class _Maker:
    def __init__(
        self,
        table: Table,
        declaration: TableDeclaration,
        columns: t.Sequence[TranslatedColumn],
        scope: Scope,
        target: Target,
        names: Names,
        findings: Findings,
    ) -> None:
        self._table = table
        self._declaration = declaration
        self._columns = {column.name: column for column in columns}
        self._scope = scope
        self._target = target
        self._names = names
        self._findings = findings
        self._uniques: list[tuple[str, ...]] = []
        self._indexes: list[Statement] = []

    def make(self) -> TranslatedTable:
        lines = [self._column(column) for column in self._columns.values()]
        with self._findings.refusing(f"table {self._table.name}: its primary key"):
            lines += self._primary_key()
        for index in self._table.indexes:
            if index.origin == "u":
                with self._findings.refusing(f"table {self._table.name}: its unique constraint"):
                    lines += self._unique_constraint(index)
        lines += self._checks()
        for index in self._table.indexes:
            if index.origin == "c":
                self._created_index(index)
        self._note_nocase()
        created = sql.SQL("CREATE TABLE {} ({})").format(
            sql.Identifier(self._target.schema_name, self._table.name), sql.SQL(", ").join(lines)
        )
        return TranslatedTable(
            self._table,
            self._declaration,
            tuple(self._columns.values()),
            tuple(self._uniques),
            Statement(f"table {self._table.name}", created),
            tuple(self._indexes),
        )

    def _column(self, column: TranslatedColumn) -> sql.Composable:
        parts = [sql.Identifier(column.name), sql.SQL(column.type)]
        if column.type == TEXT:
            parts.append(sql.SQL("COLLATE {}").format(self._target.collation(column.collation)))
        if column.numbered:
            # BY DEFAULT, because explicit ids must stay possible (S33).
            sequence = self._names.give(f"{self._table.name}_{column.name}_seq")
            numbering = sql.SQL("GENERATED BY DEFAULT AS IDENTITY (SEQUENCE NAME {})")
            parts.append(numbering.format(sql.Identifier(self._target.schema_name, sequence)))
        elif column.generated is not None:
            kept = sql.SQL("STORED" if column.kept else "VIRTUAL")
            parts.append(sql.SQL("GENERATED ALWAYS AS ({}) {}").format(column.generated, kept))
        elif column.default is not None:
            parts.append(sql.SQL("DEFAULT {}").format(column.default))
        if column.not_null:
            parts.append(sql.SQL("NOT NULL"))
        return sql.SQL(" ").join(parts)

    def _primary_key(self) -> list[sql.Composable]:
        key = self._table.key
        if not key:
            return []
        name = self._names.give(f"{self._table.name}_pkey")
        index = next((index for index in self._table.indexes if index.origin == "pk"), None)
        if index is not None:
            self._key_collations(index)
            loose = [name for name in key if not (self._columns[name].not_null or self._table.without_rowid)]
            if loose:
                self._findings.notes.append(
                    f"table {self._table.name}: its primary key takes NULL in {', '.join(loose)} in SQLite, "
                    "not in PostgreSQL"
                )
        return [sql.SQL("CONSTRAINT {} PRIMARY KEY ({})").format(sql.Identifier(name), _listed(key))]

    def _key_collations(self, index: Index) -> None:
        """Make a key with a collation of its own as unique as SQLite's, by an index beside it."""
        terms = self._terms(index, ())
        if all(plain for _term, plain in terms):
            return
        if self._target.nocase == "icu":
            raise SchemaRefused("its collation is not that of its columns")
        self._add_index(f"{self._table.name}_{'_'.join(self._table.key)}_key", True, terms, None, given=False)

    def _unique_constraint(self, index: Index) -> list[sql.Composable]:
        names = [name for name in index.columns if name is not None]
        wanted = f"{self._table.name}_{'_'.join(names)}_key"
        terms = self._terms(index, ())
        if not all(plain for _term, plain in terms):
            self._add_index(wanted, True, terms, None, given=False)
            return []
        self._uniques.append(tuple(names))
        name = sql.Identifier(self._names.give(wanted))
        return [sql.SQL("CONSTRAINT {} UNIQUE ({})").format(name, _listed(names))]

    def _checks(self) -> list[sql.Composable]:
        lines: list[sql.Composable] = []
        room = Names(())
        for number, check in enumerate(self._declaration.checks, 1):
            what = f"table {self._table.name}: CHECK constraint {check.name or number}"
            with self._findings.refusing(what):
                condition = sql.SQL("CHECK ({})").format(translate_condition(parse(check.condition), self._scope))
                if check.name:
                    name = self._named("CHECK constraint", check.name, room)
                    condition = sql.SQL("CONSTRAINT {} {}").format(sql.Identifier(name), condition)
                lines.append(condition)
        return lines

    def _named(self, what: str, wanted: str, room: Names) -> str:
        given = room.give(wanted)
        if given != wanted:
            self._findings.notes.append(f"{what} {wanted} of table {self._table.name}: its name becomes {given}")
        return given

    def _created_index(self, index: Index) -> None:
        with self._findings.refusing(f"index {index.name}"):
            declared = index_declaration(index.sql or "")
            terms = self._terms(index, declared.terms)
            condition = None
            if declared.condition:
                condition = translate_condition(parse(declared.condition), self._scope)
            if index.unique and condition is None and all(plain for _term, plain in terms):
                self._uniques.append(tuple(name for name in index.columns if name is not None))
            self._add_index(index.name, index.unique, terms, condition, given=True)

    def _add_index(
        self,
        wanted: str,
        unique: bool,
        terms: t.Sequence[tuple[sql.Composable, bool]],
        condition: sql.Composable | None,
        *,
        given: bool,
    ) -> None:
        name = self._named("index", wanted, self._names) if given else self._names.give(wanted)
        statement = sql.SQL("CREATE {}INDEX {} ON {} ({}){}").format(
            sql.SQL("UNIQUE " if unique else ""),
            sql.Identifier(name),
            sql.Identifier(self._target.schema_name, self._table.name),
            sql.SQL(", ").join([term for term, _plain in terms]),
            sql.SQL(" WHERE {}").format(condition) if condition is not None else sql.SQL(""),
        )
        self._indexes.append(Statement(f"index {name}", statement))

    def _terms(self, index: Index, declared: t.Sequence[t.Sequence[Token]]) -> list[tuple[sql.Composable, bool]]:
        """Return what an index sorts by, and whether that is the column itself in its own collation."""
        found: list[tuple[sql.Composable, bool]] = []
        for place, (name, descending) in enumerate(zip(index.columns, index.descending)):
            if name is None:
                term, plain = self._expression(declared[place]), False
            else:
                term, plain = self._indexed_column(self._columns[name], index.collations[place])
            # SQLite sorts NULL before everything else.
            order = " DESC NULLS LAST" if descending else " NULLS FIRST"
            found.append((term + sql.SQL(order if index.origin == "c" else ""), plain))
        return found

    def _indexed_column(self, column: TranslatedColumn, collation: str) -> tuple[sql.Composable, bool]:
        name: sql.Composable = sql.Identifier(column.name)
        return (name, True) if column.type != TEXT else self._collated(name, collation, column.collation)

    def _collated(self, term: sql.Composable, collation: str, own: str) -> tuple[sql.Composable, bool]:
        """Return a text as an index sorts it by a collation, C(own) being that of the column."""
        if collation not in ("BINARY", "NOCASE") or (collation == "NOCASE" and self._target.nocase == "refuse"):
            raise SchemaRefused(f"the collation {collation} has no exact counterpart")
        if collation == "NOCASE" and self._target.nocase == "lower_index":
            return sql.SQL('lower({} COLLATE "C")').format(term), False
        if self._target.collation(collation) == self._target.collation(own):
            return term, True
        return sql.SQL("{} COLLATE {}").format(term, self._target.collation(collation)), False

    def _expression(self, tokens: t.Sequence[Token]) -> sql.Composable:
        value = translate_value(parse(tokens), self._scope)
        if value.type != TEXT:
            return sql.SQL("({})").format(value.sql)
        if value.explicit or value.column:
            return self._collated(sql.SQL("({})").format(value.sql), value.collation or "BINARY", "")[0]
        if value.in_c:
            return sql.SQL("({})").format(value.sql)
        return sql.SQL('({}) COLLATE "C"').format(value.sql)

    def _note_nocase(self) -> None:
        for column in self._columns.values():
            if column.collation == "NOCASE" and self._target.nocase == "lower_index":
                self._findings.notes.append(
                    f"column {self._table.name}.{column.name}: NOCASE holds in its unique keys and indexes, by "
                    'lower(... COLLATE "C"); a comparison in a query regards case'
                )
            elif column.collation == "NOCASE" and self._target.nocase == "icu":
                self._findings.notes.append(
                    f"column {self._table.name}.{column.name}: NOCASE becomes an ICU collation, which takes accented "
                    "and other letters for the same regardless of case as well"
                )


def _listed(names: t.Iterable[str]) -> sql.Composable:
    return sql.SQL(", ").join([sql.Identifier(name) for name in names])
