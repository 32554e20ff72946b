# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""What a copied SQLite file holds, and whether it is sound."""

from __future__ import annotations

import dataclasses
import hashlib
import sqlite3
import typing as t

from ._jsonl_export import column_named
from ._manifest import TableCount
from ._sqlite_store import Catalog, quote, read_catalog
from ._verdict import FAILED, PASSED, Check, compare, not_verified


@dataclasses.dataclass(frozen=True)
class Contents:
    """What was read of a copy. C(findings) are faults of the data, not of the copy."""

    catalog: Catalog
    tables: tuple[TableCount, ...]
    checks: tuple[Check, ...]
    findings: tuple[dict[str, t.Any], ...]
    details: dict[str, t.Any]


def inspect(copy: sqlite3.Connection, source_id: str | None, tenant_column: str | None) -> Contents:
    """Make the copy a single file, check it, and count its rows.

    Args:
        copy: The copied database, writable.
        source_id: The profile whose rows are counted besides.
        tenant_column: The column that holds the profile's id; None or empty when there is none.
    """
    copy.execute("PRAGMA journal_mode = DELETE")  # one file: the copy of a WAL database would ask for a WAL again
    integrity = integrity_check(copy)
    if integrity.verdict != PASSED:
        return Contents(Catalog((), (), ()), (), (integrity,), (), {})
    catalog = read_catalog(copy)
    tables, profiles = count_rows_by_table(copy, catalog, source_id, tenant_column)
    return Contents(
        catalog,
        tables,
        (integrity, _tables_check(tables)),
        tuple(_foreign_key_findings(copy)),
        {
            "page_size": pragma(copy, "page_size"),
            "page_count": pragma(copy, "page_count"),
            "encoding": pragma(copy, "encoding"),
            "schema_sha256": schema_sha256(copy),
            "profiles": profiles,
        },
    )


def pragma(connection: sqlite3.Connection, name: str) -> t.Any:
    """Return the value of a pragma."""
    return connection.execute(f"PRAGMA {name}").fetchone()[0]


def schema_sha256(connection: sqlite3.Connection) -> str:
    """Return the SHA-256 over everything that the file declares (type, name, table and SQL, sorted)."""
    digest = hashlib.sha256()
    query = "SELECT type, name, tbl_name, coalesce(sql, '') FROM sqlite_master ORDER BY type, name"
    for row in connection.execute(query):
        digest.update("\0".join(map(str, row)).encode() + b"\n")
    return digest.hexdigest()


def integrity_check(connection: sqlite3.Connection) -> Check:
    """Return the verdict of SQLite's own check of every page and index."""
    try:
        lines = [str(row[0]) for row in connection.execute("PRAGMA integrity_check(20)")]
    except sqlite3.DatabaseError as error:
        return Check("integrity_check", FAILED, "ok", str(error))
    return compare("integrity_check", "ok", "; ".join(lines))


def _tables_check(tables: tuple[TableCount, ...]) -> Check:
    # aegis-stack#1198: a copy that opened cleanly, with no tables in it
    if not tables:
        return not_verified("tables_counted", "the copy holds no table at all, so there is nothing that it proves")
    return Check("tables_counted", PASSED, observed=len(tables), message=f"{sum(x.rows for x in tables)} rows")


def count_rows_by_table(
    connection: sqlite3.Connection, catalog: Catalog, source_id: str | None, tenant_column: str | None
) -> tuple[tuple[TableCount, ...], dict[str, dict[str, int]]]:
    """Return the rows of each ordinary table, and those of each profile by profile and table."""
    counts = []
    profiles: dict[str, dict[str, int]] = {}
    for table in catalog.tables:
        if table.kind != "table":
            continue
        tenant = column_named(table, tenant_column) if tenant_column else None
        if tenant is None:
            rows = connection.execute(f"SELECT count(*) FROM {quote(table.name)}").fetchone()[0]
            counts.append(TableCount(table.name, rows))
            continue
        column = f"{quote(tenant)} COLLATE BINARY"
        by_profile = connection.execute(f"SELECT {column}, count(*) FROM {quote(table.name)} GROUP BY 1").fetchall()
        for profile, rows in by_profile:
            if isinstance(profile, str):
                profiles.setdefault(profile, {})[table.name] = rows
        own = dict(by_profile).get(source_id, 0) if source_id else None
        counts.append(TableCount(table.name, sum(rows for _profile, rows in by_profile), own))
    return tuple(counts), profiles


def _foreign_key_findings(connection: sqlite3.Connection) -> t.Iterator[dict[str, t.Any]]:
    violations: dict[tuple[str, str], int] = {}
    try:
        for table, _rowid, parent, _number in connection.execute("PRAGMA foreign_key_check"):
            violations[table, parent] = violations.get((table, parent), 0) + 1
    except sqlite3.OperationalError as error:  # a key that points at columns which are not unique
        yield {"finding": "foreign_keys_not_checkable", "message": str(error)}
    for (table, parent), rows in sorted(violations.items()):
        yield {
            "finding": "foreign_key_violation",
            "table": table,
            "parent": parent,
            "rows": rows,
            "message": f"{rows} rows of {table} point at rows of {parent} that do not exist",
        }
