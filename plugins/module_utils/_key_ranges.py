# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Cut the profile's rows of a table into disjoint ranges that several processes can read at the same time."""

from __future__ import annotations

import typing as t

from ._census import tenant_filter, whole_filter
from ._range import Range
from ._sqlite_store import quote, reading

if t.TYPE_CHECKING:
    import sqlite3

    from ._planned_table import TablePlan

# Fewer are not worth a second process; more would make progress and a failure wait.
_FEWEST_ROWS = 5_000
_MOST_ROWS = 250_000
_RANGES_PER_WORKER = 4
# A profile with a smaller share of the table is found faster by an index than by reading the whole table in pieces.
_SMALLEST_SHARE = 8


def cut(source: sqlite3.Connection, plan: TablePlan, source_id: str, rows: int, workers: int) -> list[Range]:
    """Return ranges that hold every one of the profile's travelling rows exactly once.

    Args:
        source: The SQLite side, inside a read transaction.
        plan: The table's plan.
        source_id: The profile.
        rows: How many rows the profile has there, by the census.
        workers: How many processes share the work.

    Raises:
        SqliteError: The file cannot be read.
    """
    wanted = rows // max(min(rows // (workers * _RANGES_PER_WORKER), _MOST_ROWS), _FEWEST_ROWS) if workers > 1 else 1
    if plan.row_name is None:
        whole = Range(*tenant_filter(plan, source_id))
        return _by_key(plan, whole, rows, wanted) if plan.stored_by and wanted > 1 else [whole]
    with reading(source, f"looking at the row numbers of table {plan.source}"):
        return _by_row_number(source, plan, source_id, rows, wanted)


def whole(source: sqlite3.Connection, plan: TablePlan, source_id: str) -> Range:
    """Return all of the profile's travelling rows, in the way that SQLite reads them fastest.

    Raises:
        SqliteError: The file cannot be read.
    """
    if plan.tenant_column is None:
        return Range(*tenant_filter(plan, source_id))
    return cut(source, plan, source_id, count(source, plan, source_id), 1)[0]


def count(source: sqlite3.Connection, plan: TablePlan, source_id: str) -> int:
    """Return the number of the profile's rows, those that are set aside included.

    Raises:
        SqliteError: The file cannot be read.
    """
    where, values = whole_filter(plan, source_id)
    with reading(source, f"counting table {plan.source}"):
        row = source.execute(f"SELECT count(*) FROM {quote(plan.source)} WHERE {where}", values).fetchone()
    return int(row[0])


def _by_row_number(source: sqlite3.Connection, plan: TablePlan, source_id: str, rows: int, wanted: int) -> list[Range]:
    where, values = tenant_filter(plan, source_id)
    table = quote(plan.source)
    low, high = source.execute(
        f"SELECT (SELECT min({plan.row_name}) FROM {table}), (SELECT max({plan.row_name}) FROM {table})"
    ).fetchone()
    if low is None or high - low >= rows * _SMALLEST_SHARE:
        return [Range(where, values)]
    if plan.tenant_column:
        # Without an index on the tenant column: where most rows are the profile's, it only makes SQLite jump about.
        where = where.replace(quote(plan.tenant_column), f"+{quote(plan.tenant_column)}", 1)
    if wanted < 2:
        return [Range(where, values)]
    width = (high - low) // wanted + 1
    return [
        Range(f"({where}) AND {plan.row_name} BETWEEN ? AND ?", (*values, start, min(start + width - 1, high)), True)
        for start in range(low, high + 1, width)
    ]


def _by_key(plan: TablePlan, whole: Range, rows: int, wanted: int) -> list[Range]:
    # A table WITHOUT ROWID is stored in the order of its key, which therefore never holds NULL.
    names = ", ".join(map(quote, plan.stored_by))
    first = f"(SELECT {names} FROM {quote(plan.source)} WHERE {whole.where} ORDER BY {names} LIMIT 1 OFFSET {{}})"
    bounds = [first.format(place) for place in range(0, rows, rows // wanted + 1)]
    found = []
    for place, bound in enumerate(bounds):
        where, values = f"({whole.where}) AND ({names}) >= {bound}", (*whole.values, *whole.values)
        if place + 1 < len(bounds):
            where, values = f"{where} AND ({names}) < {bounds[place + 1]}", (*values, *whole.values)
        found.append(Range(where, values))
    return found
