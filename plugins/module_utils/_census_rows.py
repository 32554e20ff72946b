# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""The part of the census that looks at rows as a whole: whose they are, and whether one is too large."""

from __future__ import annotations

import typing as t

from ._balanced import balanced
from ._finding import Finding, first_keys
from ._sqlite_store import quote

if t.TYPE_CHECKING:
    import sqlite3

    from ._planned_table import TablePlan

# Neither a line that COPY reads nor a value that SQLite makes can be longer (PostgreSQL's own limit is 1 GiB).
LARGEST_ROW = 1_000_000_000
# What one entry of a btree may have, on pages of 8 kB.
_LARGEST_INDEX_ROW = 2704
_ITEM_HEADER = 8  # of an entry, and at most of each of its columns
_SHORT_OCTETS = 40  # as long as a UUID, a time or a number becomes
_NUMBER_OCTETS = 350  # the smallest double as a numeric


def hidden_rows(connection: sqlite3.Connection, plan: TablePlan, source_id: str) -> list[Finding]:
    """Return the rows of which it is not certain whether they are the profile's.

    Their tenant column holds the id as a blob or a number, which a comparison with a text does not find, or a text
    that only the column's collation takes for the id.
    """
    if plan.tenant_column is None:
        return []
    name = quote(plan.tenant_column)
    unclear = f"(({name} = ?) IS NOT (CAST({name} AS TEXT) = ? COLLATE BINARY))"
    values = (source_id,) * 2
    (rows,) = connection.execute(f"SELECT count(*) FROM {quote(plan.source)} WHERE {unclear}", values).fetchone()
    if not rows:
        return []
    text = f"the id {source_id} in another type or spelling than text"
    keys = first_keys(connection, plan, unclear, values)
    return [Finding(plan.source, plan.tenant_column, text, rows, keys, "hidden_row")]


def large_rows(
    connection: sqlite3.Connection, plan: TablePlan, where: str, values: tuple[str, ...], widest_row: int
) -> list[Finding]:
    """Return the rows that are too large as a line of COPY, and those that an index of the target has no room for.

    Args:
        connection: A connection prepared by L(_value_kinds.prepare).
        plan: The table's plan.
        where: The SQLite condition of the rows.
        values: The values for it.
        widest_row: How many octets no row has more of, as a line; where that is little, no row is looked at.
    """
    findings = []
    conditions = []
    if widest_row > LARGEST_ROW:
        line = balanced(" + ", [line_octets(column.source, column.kind.quoted) for column in plan.columns])
        text = f"more than {LARGEST_ROW} octets as COPY reads it"
        conditions.append(("row", text, f"{line} > {LARGEST_ROW}", "too_large"))
    for index in plan.indexes if widest_row > _LARGEST_INDEX_ROW else ():
        entry = " + ".join(f"ifnull(length(CAST({quote(name)} AS BLOB)), 0) + {_ITEM_HEADER}" for name in index)
        text = f"more than the {_LARGEST_INDEX_ROW} octets that an index entry may have"
        found = f"{entry} + {_ITEM_HEADER} > {_LARGEST_INDEX_ROW}"
        conditions.append((", ".join(index), text, found, "long_index_key"))
    for column, text, condition, problem_class in conditions:
        large = f"({where}) AND {condition}"
        (rows,) = connection.execute(f"SELECT count(*) FROM {quote(plan.source)} WHERE {large}", values).fetchone()
        if rows:
            keys = first_keys(connection, plan, large, values)
            findings.append(Finding(plan.source, column, text, rows, keys, problem_class))
    return findings


def line_octets(name: str, quoted: bool) -> str:
    """Return the SQLite expression of how many octets a field, with what separates it, has no more of."""
    x = quote(name)
    octets = f"length(CAST({x} AS BLOB))"
    if quoted:  # every quote in it travels as two
        return f"ifnull({octets} + length({x}) - length(replace({x}, '\"', '')), 0) + {_SHORT_OCTETS}"
    return f"CASE WHEN typeof({x}) IN ('text', 'blob') THEN 2 * {octets} + {_SHORT_OCTETS} ELSE {_NUMBER_OCTETS} END"
