# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""The part of the census that looks at several rows at once: duplicates of a unique key, rows without a parent.

Both ask what PostgreSQL will find equal, which is not always what SQLite does: one UUID has two spellings there.
"""

from __future__ import annotations

import typing as t

from ._finding import NAMED_KEYS, Finding, first_keys, show_key
from ._sqlite_store import quote

if t.TYPE_CHECKING:
    import sqlite3

    from ._planned_table import Reference, TablePlan
    from ._value_kind import Kind


def duplicates(connection: sqlite3.Connection, plan: TablePlan, where: str, values: tuple[str, ...]) -> list[Finding]:
    """Return the values of unique keys of the target that more than one row has."""
    kinds = {column.source: column.kind for column in plan.columns}
    # What SQLite keeps unique counts only where both stores find the same values equal.
    guaranteed = [
        set(columns) for columns in plan.source_uniques if columns and all(kinds[name].equal_alike for name in columns)
    ]
    findings = []
    for unique in plan.uniques:
        if any(columns <= set(unique) for columns in guaranteed):
            continue
        columns = ", ".join(f"{kinds[name].equality.replace('{x}', quote(name))} COLLATE BINARY" for name in unique)
        present = " AND ".join(f"{quote(name)} IS NOT NULL" for name in unique)
        grouped = (
            f"SELECT {columns}, count(*) FROM {quote(plan.source)} WHERE ({where}) AND {present}"
            f" GROUP BY {columns} HAVING count(*) > 1"
        )
        rows = connection.execute(f"{grouped} ORDER BY {columns}", values).fetchall()
        if rows:
            keys = tuple(show_key(unique, row[:-1]) for row in rows[:NAMED_KEYS])
            number = sum(row[-1] for row in rows)
            found = ", ".join(unique)
            findings.append(Finding(plan.source, found, "duplicates of a unique key", number, keys, "duplicate_key"))
    return findings


def orphans(connection: sqlite3.Connection, plan: TablePlan, where: str, values: tuple[str, ...]) -> list[Finding]:
    """Return the rows that name a parent which does not travel, or does not exist."""
    kinds = {column.source: column.kind for column in plan.columns}
    findings = []
    for reference in plan.references:
        child = quote(plan.source)
        alike = all(kinds[name].equal_alike for name in reference.columns)
        alike = alike and all(kind.equal_alike for kind in reference.parent_kinds)
        own_values = values
        parents = "1"
        if reference.parent_set_aside:
            parents = f"NOT ({' OR '.join(reference.parent_set_aside)})"
        if plan.tenant_column is not None:
            # Another profile's row is no parent: it does not travel into this schema.
            parents += f" AND parent.{quote(plan.tenant_column)} = ?"
            own_values = (*values, *values)
        missing = _is_missing if alike else _is_missing_by_value
        present = " AND ".join(f"{child}.{quote(name)} IS NOT NULL" for name in reference.columns)
        orphaned = f"({where}) AND {present} AND {missing(plan, reference, parents)}"
        (number,) = connection.execute(f"SELECT count(*) FROM {child} WHERE {orphaned}", own_values).fetchone()
        if number:
            keys = first_keys(connection, plan, orphaned, own_values)
            found = ", ".join(reference.columns)
            text = f"no parent row in {reference.parent}"
            findings.append(Finding(plan.source, found, text, number, keys, "orphan"))
    return findings


def _is_missing(plan: TablePlan, reference: Reference, parents: str) -> str:
    join = " AND ".join(
        f"parent.{quote(theirs)} = {quote(plan.source)}.{quote(ours)} COLLATE BINARY"
        for ours, theirs in zip(reference.columns, reference.parent_columns)
    )
    return f"NOT EXISTS (SELECT 1 FROM {quote(reference.parent)} AS parent WHERE {parents} AND {join})"


def _is_missing_by_value(plan: TablePlan, reference: Reference, parents: str) -> str:
    # No index of SQLite's helps with values as PostgreSQL sees them: all of the parents' are gathered once.
    kinds = {column.source: column.kind for column in plan.columns}
    ours = [_value(kinds[name], f"{quote(plan.source)}.{quote(name)}") for name in reference.columns]
    theirs = [
        _value(kind, f"parent.{quote(name)}") for kind, name in zip(reference.parent_kinds, reference.parent_columns)
    ]
    present = " AND ".join(f"parent.{quote(name)} IS NOT NULL" for name in reference.parent_columns)
    row, parent = ", ".join(ours), ", ".join(theirs)
    gathered = f"SELECT {parent} FROM {quote(reference.parent)} AS parent WHERE {parents} AND {present}"
    return f"({row}) NOT IN ({gathered})"


def _value(kind: Kind, name: str) -> str:
    value = kind.sqlite_text if kind.equal_alike else kind.equality
    return f"CAST({value.replace('{x}', name)} AS TEXT) COLLATE BINARY"
