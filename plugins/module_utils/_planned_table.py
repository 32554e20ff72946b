# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""One table on its way, as L(_table_plan) plans it: its columns, its key, what it refers to, what is set aside."""

from __future__ import annotations

import dataclasses
import typing as t

if t.TYPE_CHECKING:
    from ._value_kind import Kind


@dataclasses.dataclass(frozen=True)
class ColumnPlan:
    """One column on its way: names on both sides, declared types for the operator, and the codec's kind."""

    source: str
    target: str
    source_type: str
    target_type: str
    kind: Kind
    not_null: bool
    sequence: str | None = None


@dataclasses.dataclass(frozen=True)
class Reference:
    """A foreign key that the target enforces, by the SQLite names, and the parent by its names there.

    C(parent_set_aside) are the SQLite conditions of parents that stay behind.
    """

    columns: tuple[str, ...]
    parent: str
    parent_columns: tuple[str, ...]
    parent_target: str
    parent_target_columns: tuple[str, ...]
    parent_kinds: tuple[Kind, ...] = ()
    parent_set_aside: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class SetAside:
    """Rows to set aside by the policy quarantine: the class, the column, and the SQLite condition that picks them."""

    problem_class: str
    column: str
    text: str
    condition: str


@dataclasses.dataclass(frozen=True)
class TablePlan:
    """One table on its way.

    C(key) names the identifying columns on the SQLite side; empty when there are none. C(row_name) is a name of the
    rowid there that no column hides; None where there is no rowid. C(row_label) is what the rowid is to an operator,
    where it is something, such as a line of a file. C(stored_by) are the columns by which SQLite stores a table
    WITHOUT ROWID, empty for any other. C(compare_only) are columns that both stores
    generate: they do not travel, but are compared. C(indexes) are the columns of the target's btree indexes.
    """

    source: str
    target: str
    columns: tuple[ColumnPlan, ...]
    key: tuple[str, ...]
    tenant_column: str | None
    uniques: tuple[tuple[str, ...], ...]
    source_uniques: tuple[tuple[str, ...], ...]
    references: tuple[Reference, ...]
    set_aside: tuple[SetAside, ...] = ()
    row_name: str | None = None
    row_label: str | None = None
    stored_by: tuple[str, ...] = ()
    compare_only: tuple[ColumnPlan, ...] = ()
    indexes: tuple[tuple[str, ...], ...] = ()

    def with_compared(self) -> TablePlan:
        """Return the plan of a comparison: with the columns that both stores generate."""
        return dataclasses.replace(self, columns=(*self.columns, *self.compare_only), compare_only=())

    @property
    def source_codec(self) -> list[tuple[str, Kind]]:
        return [(column.source, column.kind) for column in self.columns]

    @property
    def target_codec(self) -> list[tuple[str, Kind]]:
        return [(column.target, column.kind) for column in self.columns]

    @property
    def source_key_codec(self) -> list[tuple[str, Kind]]:
        """The columns that tell which rows of both stores belong together: all of them where there is no key."""
        return [self.source_codec[place] for place in self.key_places] or self.source_codec

    @property
    def target_key_codec(self) -> list[tuple[str, Kind]]:
        return [self.target_codec[place] for place in self.key_places] or self.target_codec

    @property
    def shown_key(self) -> list[tuple[str, str]]:
        """What tells an operator which row of SQLite is meant: label and name of each column, never none."""
        shown = [(name, name) for name in self.key]
        if self.row_label and self.row_name:
            shown.append((self.row_label, self.row_name))
        if not shown and self.row_name:
            return [("rowid", self.row_name)]
        return shown or [(column.source, column.source) for column in self.columns]

    @property
    def key_places(self) -> tuple[int, ...]:
        """The places of the key's columns among L(columns)."""
        names = [column.source for column in self.columns]
        return tuple(names.index(name) for name in self.key)
