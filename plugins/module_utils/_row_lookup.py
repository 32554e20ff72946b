# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Find the row of SQLite that a key stands for: by its index, and exactly.

A column with a collation of its own finds C(Bob) for C(bob); both conditions together use its index and still mean one.
"""

from __future__ import annotations

import typing as t

from ._finding import show_key
from ._sqlite_store import quote

if t.TYPE_CHECKING:
    from ._change_log import Key, KeyValue
    from ._planned_table import TablePlan


def key_condition(columns: t.Sequence[str], key: Key) -> tuple[str, tuple[t.Any, ...]]:
    """Return the SQLite condition of the row with this key, and its values; the text depends on NULLs and odd texts."""
    conditions: list[str] = []
    values: list[t.Any] = []
    for name, value in zip(map(quote, columns), key):
        if value is None:
            conditions.append(f"{name} IS NULL")
            continue
        place, bound = placeholder(value)
        if isinstance(value, (int, float)):
            conditions.append(f"{name} = {place}")
            values.append(bound)
        else:
            conditions.append(f"{name} = {place} AND {name} IS {place} COLLATE BINARY")
            values += [bound, bound]
    return " AND ".join(conditions), tuple(values)


def placeholder(value: KeyValue) -> tuple[str, t.Any]:
    """Return what stands for a value in a statement, and what is bound to it."""
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            # The sign keeps the affinity of the cast away from the comparison.
            return "+CAST(? AS TEXT)", value.encode("utf-8", "surrogateescape")
    return "?", value


def own_row(plan: TablePlan, source_id: str) -> tuple[str, tuple[str, ...]]:
    """Return the condition, and its values, of rows that are the profile's, whatever the column takes for equal."""
    if plan.tenant_column is None:
        return "1", ()
    return f"{quote(plan.tenant_column)} IS ? COLLATE BINARY", (source_id,)


def shown(plan: TablePlan, key: Key) -> str:
    """Return a key for an operator: C((source_id=assets_1, id=42))."""
    fields = [value.encode("utf-8", "surrogateescape") if isinstance(value, str) else value for value in key]
    return show_key(plan.key, fields)
