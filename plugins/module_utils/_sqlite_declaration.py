# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""What CREATE TABLE and CREATE INDEX say beyond SQLite's PRAGMAs: collations, CHECKs, expressions, conflict clauses."""

from __future__ import annotations

import dataclasses
import typing as t

from ._errors import SchemaRefused
from ._sqlite_tokens import Token, Tokens, fold, split_list, tokens_of

_CONSTRAINTS = ("CONSTRAINT", "PRIMARY", "NOT", "NULL", "UNIQUE", "CHECK", "DEFAULT", "COLLATE", "REFERENCES", "AS")
_TABLE_CONSTRAINTS = ("CONSTRAINT", "PRIMARY", "UNIQUE", "CHECK", "FOREIGN")


@dataclasses.dataclass(frozen=True)
class CheckConstraint:
    """A CHECK constraint, with its name where it has one."""

    name: str
    condition: tuple[Token, ...]


@dataclasses.dataclass(frozen=True)
class TableDeclaration:
    """What CREATE TABLE says that no PRAGMA does; columns are by their folded names.

    Attributes:
        collations: The collations of the columns that have one, in capitals.
        generated: What the generated columns are made of.
        checks: The CHECK constraints in the order they stand there.
        deferred: For every foreign key, in order, whether it is checked at the end of the transaction.
        conflicts: What the ON CONFLICT clauses say, in capitals.
    """

    collations: t.Mapping[str, str]
    generated: t.Mapping[str, tuple[Token, ...]]
    checks: tuple[CheckConstraint, ...]
    deferred: tuple[bool, ...]
    conflicts: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class IndexDeclaration:
    """The expressions of an index by their place, without their direction, and its condition."""

    terms: tuple[tuple[Token, ...], ...]
    condition: tuple[Token, ...]


class _Reader:
    """Reads the columns and constraints of one CREATE TABLE."""

    def __init__(self, tokens: t.Sequence[Token]) -> None:
        self._tokens = Tokens(tokens)
        self.collations: dict[str, str] = {}
        self.generated: dict[str, tuple[Token, ...]] = {}
        self.checks: list[CheckConstraint] = []
        self.deferred: list[bool] = []
        self.conflicts: list[str] = []

    def read(self) -> TableDeclaration:
        while not self._tokens.at_end:
            column = ""
            if not self._tokens.next.is_word(*_TABLE_CONSTRAINTS):
                column = fold(self._tokens.take().text)
                self._skip_type()
            self._constraints(column)
            if not self._tokens.at_end:
                self._tokens.expect(",")
        return TableDeclaration(
            self.collations, self.generated, tuple(self.checks), tuple(self.deferred), tuple(self.conflicts)
        )

    def _skip_type(self) -> None:
        tokens = self._tokens
        while not tokens.at_end and not tokens.next.is_operator(",") and not tokens.next.is_word(*_CONSTRAINTS):
            if tokens.next.is_word("GENERATED") and tokens.after(1).is_word("ALWAYS"):
                return
            if tokens.next.is_operator("("):
                tokens.group()
            else:
                tokens.take()

    def _constraints(self, column: str) -> None:
        tokens = self._tokens
        name = ""
        while not tokens.at_end and not tokens.next.is_operator(","):
            if tokens.took_word("CONSTRAINT"):
                name = tokens.take().text
                continue
            if tokens.took_word("CHECK"):
                self.checks.append(CheckConstraint(name, tuple(tokens.group())))
            elif tokens.took_word("COLLATE"):
                self.collations[column] = tokens.take().text.upper()
            elif tokens.took_word("AS"):
                self.generated[column] = tuple(tokens.group())
            elif tokens.took_word("DEFAULT"):
                self._skip_value()
            elif tokens.took_word("REFERENCES"):
                tokens.take()
                self.deferred.append(False)
            elif tokens.took_word("DEFERRABLE"):
                self._deferral()
            elif tokens.next.is_word("NOT") and tokens.after(1).is_word("DEFERRABLE"):
                tokens.take()
                self._deferral()
                self.deferred[-1:] = [False]
            elif tokens.next.is_word("ON") and tokens.after(1).is_word("CONFLICT"):
                tokens.take()
                tokens.take()
                self.conflicts.append(tokens.take().text.upper())
            elif tokens.next.is_operator("("):
                tokens.group()
            else:
                tokens.take()
            name = ""

    def _deferral(self) -> None:
        tokens = self._tokens
        tokens.took_word("DEFERRABLE")
        if tokens.took_word("INITIALLY"):
            self.deferred[-1:] = [tokens.take().is_word("DEFERRED")]

    def _skip_value(self) -> None:
        if self._tokens.next.is_operator("("):
            self._tokens.group()
        else:
            self._tokens.took_operator("+", "-")
            self._tokens.take()


def table_declaration(statement: str) -> TableDeclaration:
    """Return what a statement of C(sqlite_master) says of a table.

    Raises:
        SchemaRefused: It was not understood.
    """
    tokens = Tokens(tokens_of(statement))
    while not tokens.at_end and not tokens.next.is_operator("("):
        tokens.take()
    return _Reader(tokens.group()).read()


def index_declaration(statement: str) -> IndexDeclaration:
    """Return what a statement of C(sqlite_master) says of an index.

    Raises:
        SchemaRefused: It was not understood.
    """
    tokens = Tokens(tokens_of(statement))
    while not tokens.at_end and not (tokens.next.is_word("ON") and tokens.after(2).is_operator("(")):
        tokens.take()
    tokens.take()
    tokens.take()
    terms = [
        term[:-1] if term[-1:] and term[-1].is_word("ASC", "DESC") else term for term in split_list(tokens.group())
    ]
    condition = tokens.rest()
    if condition and not condition.pop(0).is_word("WHERE"):
        raise SchemaRefused("what stands behind its columns was not understood")
    return IndexDeclaration(tuple(tuple(term) for term in terms), tuple(condition))
