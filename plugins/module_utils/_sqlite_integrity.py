# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""What is asked of SQLite after a rollback (seed 003): how many rows a profile has, and whether all have parents."""

from __future__ import annotations

import typing as t

from ._sqlite_store import quote, reading
from ._sqlite_tokens import free_row_name
from ._verdict import PASSED, Check, compare, not_verified

if t.TYPE_CHECKING:
    import sqlite3

    from ._sqlite_catalog import Catalog, Table

NO_ROWS = "rows of the profile"


def row_counts(
    source: sqlite3.Connection, tables: t.Iterable[str], source_id: str, tenant_column: str | None
) -> dict[str, int]:
    """Return the number of the profile's rows in each of its tables.

    Raises:
        SqliteError: The file cannot be read, or a table lacks the column that tells the profiles apart.
    """
    where, values = _own(tenant_column, source_id)
    found = {}
    for table in tables:
        with reading(source, f"counting table {table}"):
            (found[table],) = source.execute(f"SELECT count(*) FROM {quote(table)} WHERE {where}", values).fetchone()
    return found


def check(
    source: sqlite3.Connection,
    catalog: Catalog,
    rows: t.Mapping[str, int],
    source_id: str,
    tenant_column: str | None,
) -> list[Check]:
    """Return whether the profile has rows at all, and for each of its tables whether every row has its parents.

    Args:
        source: The file, inside a read transaction.
        catalog: What it declares.
        rows: As from L(row_counts).
        source_id: The profile.
        tenant_column: The column that tells the profiles apart, None when the whole file is one profile's.

    Raises:
        SqliteError: The file cannot be read.
    """
    total = sum(rows.values())
    checks = [Check(NO_ROWS, PASSED, "at least one", total)] if total else [not_verified(NO_ROWS, "it has none")]
    for table in catalog.tables:
        if table.name in rows and table.foreign_keys:
            checks.append(_foreign_keys(source, table, source_id, tenant_column))
    return checks


def _foreign_keys(source: sqlite3.Connection, table: Table, source_id: str, tenant_column: str | None) -> Check:
    name = f"foreign keys of {table.name}"
    where, values = _own(tenant_column, source_id)
    broken = "SELECT count(DISTINCT f.rowid) FROM pragma_foreign_key_check(?) AS f"
    row_name = free_row_name(table.column_names)
    attributable = not table.without_rowid and row_name is not None
    if attributable and tenant_column:
        broken += f" JOIN {quote(table.name)} AS t ON t.{row_name} = f.rowid WHERE t.{where}"
    elif not attributable:
        broken = "SELECT count(*) FROM pragma_foreign_key_check(?)"
    with reading(source, f"checking the foreign keys of {table.name}"):
        given = (table.name, *(values if attributable else ()))
        (orphans,) = source.execute(broken, given).fetchone()
    if orphans and not attributable and tenant_column:
        why = f"{orphans} row(s) of some profile have no parent; which profile's they are cannot be told"
        return not_verified(name, why, {"rows without a parent": 0})
    said = "PRAGMA foreign_key_check names them" if orphans else ""
    return compare(name, {"rows without a parent": 0}, {"rows without a parent": orphans}, said)


def _own(tenant_column: str | None, source_id: str) -> tuple[str, tuple[str, ...]]:
    return (f"{quote(tenant_column)} = ?", (source_id,)) if tenant_column else ("1", ())
