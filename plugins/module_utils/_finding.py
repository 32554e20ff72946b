# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""What the census found wrong with the values of a column, and how it names rows for an operator."""

from __future__ import annotations

import dataclasses
import typing as t

from ._sqlite_store import quote

if t.TYPE_CHECKING:
    import sqlite3

    from ._planned_table import TablePlan

NAMED_KEYS = 20
_SHOWN_CHARACTERS = 100


@dataclasses.dataclass(frozen=True)
class Finding:
    """Values of one column that cannot travel: how many rows, the first of their keys, the class of their policy."""

    table: str
    column: str
    problem: str
    rows: int
    first_keys: tuple[str, ...]
    problem_class: str

    def __str__(self) -> str:
        more = ", …" if self.rows > len(self.first_keys) else ""
        return (
            f"{self.table}.{self.column}: {self.problem} in {self.rows} row(s), key {', '.join(self.first_keys)}{more}"
        )


def first_keys(connection: sqlite3.Connection, plan: TablePlan, where: str, values: tuple[str, ...]) -> tuple[str, ...]:
    """Return the keys of the first rows that meet a SQLite condition."""
    columns = ", ".join(quote(name) for _label, name in plan.shown_key)
    rows = connection.execute(
        f"SELECT {columns} FROM {quote(plan.source)} WHERE {where} ORDER BY {columns} LIMIT {NAMED_KEYS}",
        values,
    )
    labels = [label for label, _name in plan.shown_key]
    return tuple(show_key(labels, row) for row in rows)


def show_key(names: t.Sequence[str], fields: t.Sequence[t.Any]) -> str:
    """Return a key for an operator: C((source_id=assets_1, id=42))."""
    texts = [field.decode(errors="backslashreplace") if isinstance(field, bytes) else str(field) for field in fields]
    texts = [text if len(text) <= _SHOWN_CHARACTERS else text[:_SHOWN_CHARACTERS] + "…" for text in texts]
    return "(" + ", ".join(f"{name}={text}" for name, text in zip(names, texts)) + ")"
