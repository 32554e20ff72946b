# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.


"""Foreign keys of SQLite after a merge: rows of two histories must not leave one without its parent.

Our connection does not enforce foreign keys, so that rows can be written in any order. On the return path both stores
become the same, and nothing needs to be looked at; after a merge a child that one side added may refer to a parent that
the other side has deleted. Only rows that were touched are looked at, by their key.
"""

from __future__ import annotations

import typing as t

from . import _row_lookup
from ._errors import ReplayError
from ._sqlite_store import quote, read_catalog, reading
from ._sqlite_tokens import fold

if t.TYPE_CHECKING:
    import sqlite3

    from ._change_log import Key
    from ._planned_table import TablePlan
    from ._sqlite_catalog import Catalog, ForeignKey
    from ._table_plan import Plan


class Touched(t.NamedTuple):
    """A row that a merge wrote or deleted: its table, and its key as it stands in SQLite."""

    plan: TablePlan
    key: Key


def refuse_orphans(target: sqlite3.Connection, plan: Plan, touched: t.Sequence[Touched]) -> None:
    """Look whether a touched row has no parent, or was one that others still refer to.

    Args:
        target: SQLite, inside the transaction of the merge.
        plan: The tables.
        touched: What the merge wrote and deleted.

    Raises:
        ReplayError: There is such a row; it names it.
        SqliteError: The file cannot be read.
    """
    catalog = read_catalog(target)
    keys = {table.source: table.key for table in plan.tables}
    with reading(target, "looking at foreign keys after a merge"):
        for one in touched:
            for reference in _references(catalog, one.plan.source):
                _refuse_child(target, one, reference)
            for child, reference in _referring(catalog, one.plan.source):
                if child in keys and set(reference.parent_columns) <= set(one.plan.key):
                    _refuse_parent(target, one, child, reference)


def _references(catalog: Catalog, table: str) -> tuple[ForeignKey, ...]:
    return next((one.foreign_keys for one in catalog.tables if one.name == table), ())


def _referring(catalog: Catalog, table: str) -> list[tuple[str, ForeignKey]]:
    return [
        (child.name, reference)
        for child in catalog.tables
        for reference in child.foreign_keys
        if fold(reference.parent) == fold(table)
    ]


def _refuse_child(target: sqlite3.Connection, one: Touched, reference: ForeignKey) -> None:
    where, values = _row_lookup.key_condition(one.plan.key, one.key)
    joined = " AND ".join(
        f"p.{quote(theirs)} = c.{quote(ours)}" for ours, theirs in zip(reference.columns, reference.parent_columns)
    )
    present = " AND ".join(f"c.{quote(name)} IS NOT NULL" for name in reference.columns)
    found = target.execute(
        f"SELECT 1 FROM {quote(one.plan.source)} AS c WHERE {where} AND {present}"
        f" AND NOT EXISTS (SELECT 1 FROM {quote(reference.parent)} AS p WHERE {joined})",
        values,
    ).fetchone()
    if found:
        raise _refusal(one, f"its parent in {reference.parent} is not there", ", ".join(reference.columns))


def _refuse_parent(target: sqlite3.Connection, one: Touched, child: str, reference: ForeignKey) -> None:
    where, values = _row_lookup.key_condition(one.plan.key, one.key)
    if target.execute(f"SELECT 1 FROM {quote(one.plan.source)} WHERE {where}", values).fetchone():
        return
    held = dict(zip(one.plan.key, one.key))
    condition, referred = _row_lookup.key_condition(
        reference.columns, tuple(held[name] for name in reference.parent_columns)
    )
    if target.execute(f"SELECT 1 FROM {quote(child)} WHERE {condition} LIMIT 1", referred).fetchone():
        raise _refusal(one, f"it is deleted, and rows of {child} in SQLite refer to it", "")


def _refusal(one: Touched, why: str, column: str) -> ReplayError:
    shown = _row_lookup.shown(one.plan, one.key)
    return ReplayError(
        f"Row {shown} of table {one.plan.source} cannot be merged into SQLite",
        why,
        "Nothing was changed. Settle this row in the application, or choose another conflict strategy.",
        table=one.plan.source,
        key=shown,
        column=column,
    )
