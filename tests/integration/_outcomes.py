# SPDX-License-Identifier: GPL-3.0-or-later
"""What became of rows that were loaded: read back by the clients of both databases, and never by our own codec."""

from __future__ import annotations

import contextlib
import sqlite3
import struct
from collections import Counter
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import psycopg2
import pytest
from _databases import Tenant
from ansible_collections.sxops.pg_cutover.plugins.module_utils._errors import DataRefused, SchemaRefused
from ansible_collections.sxops.pg_cutover.plugins.module_utils._sqlite_store import quote
from ansible_collections.sxops.pg_cutover.plugins.module_utils._verdict import PASSED

_BOOL, _BYTEA, _INT8, _INT2, _INT4, _TEXT, _FLOAT4, _FLOAT8 = 16, 17, 20, 21, 23, 25, 700, 701
_BPCHAR, _VARCHAR, _NUMERIC = 1042, 1043, 1700
_STORED_AS: Mapping[int, tuple[type, ...]] = {
    _BOOL: (int,),
    _BYTEA: (bytes,),
    **dict.fromkeys((_INT2, _INT4, _INT8), (int,)),
    **dict.fromkeys((_TEXT, _VARCHAR, _BPCHAR), (str,)),
    **dict.fromkeys((_FLOAT4, _FLOAT8, _NUMERIC), (int, float)),
}


def _exact(value: Any, oid: int) -> Any:
    """Return a value of either client as something that is equal only for the same value, down to the bits."""
    if value is None:
        return None
    if oid == _BYTEA:
        return bytes(value)
    if oid == _NUMERIC:
        return value if isinstance(value, Decimal) else Decimal(repr(value))
    if oid in (_FLOAT4, _FLOAT8):
        return struct.pack(">d", value)
    return bool(value) if oid == _BOOL else value


def tables_of(tenant: Tenant) -> list[str]:
    """Return the tables of the tenant schema."""
    return [
        name
        for (name,) in tenant.database.run(
            "SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
            " WHERE n.nspname = %s AND c.relkind = 'r' ORDER BY 1",
            [tenant.schema],
        )
    ]


def assert_same_rows(tenant: Tenant, table: str) -> None:
    """Assert that both stores hold the same rows of a table, each value down to its bits, duplicates counted."""
    with contextlib.closing(sqlite3.connect(tenant.sqlite_path)) as connection:
        names = [row[1] for row in connection.execute(f"PRAGMA table_xinfo({quote(table)})")]
        columns = ", ".join(map(quote, names))
        stored = connection.execute(f"SELECT {columns} FROM {quote(table)}").fetchall()
    with contextlib.closing(psycopg2.connect(tenant.database.dsn)) as connection, connection.cursor() as cursor:
        cursor.execute(f"SELECT {columns} FROM {quote(tenant.schema)}.{quote(table)}")
        oids = [column.type_code for column in cursor.description]
        arrived = cursor.fetchall()
    for row in stored:
        for name, value, oid in zip(names, row, oids, strict=True):
            expected = _STORED_AS[oid]
            assert value is None or type(value) in expected, f"{table}.{name}: {value!r} became a type {oid}"
    left, right = (
        Counter(tuple(_exact(value, oid) for value, oid in zip(row, oids, strict=True)) for row in rows)
        for rows in (stored, arrived)
    )
    assert left == right


def assert_arrives(tenant: Tenant) -> dict[str, Any]:
    """Load, and assert that both stores hold the same rows, and that parity says so; return the load's result."""
    result = tenant.load()
    for table in result["tables"]:
        assert_same_rows(tenant, table["table"])
    found = tenant.parity()
    assert found.verdict == PASSED, [check for check in found.checks if check.verdict != PASSED]
    return result


def translate_and_prove(tenant: Tenant, *statements: str, **options: Any) -> dict[str, Any]:
    """Fill the file, let its tables be translated, load them and prove them; return the result of the translation."""
    tenant.sqlite(*statements)
    result = tenant.translate(**options)
    assert_arrives(tenant)
    return result


def assert_refused(tenant: Tenant, table: str, column: str, problem_class: str, *keys: str) -> DataRefused:
    """Assert that the load and its check are refused by table, column and keys, and that nothing was written."""
    return assert_refused_rows(tenant, table, column, problem_class, len(keys), *keys)


def assert_refused_rows(
    tenant: Tenant, table: str, column: str, problem_class: str, rows: int, *keys: str
) -> DataRefused:
    """Assert L(assert_refused) of so many rows, which need not be one for each key."""
    for check in (True, False):
        with pytest.raises(DataRefused) as refusal:
            tenant.load(check=check)
    findings = {
        (found["table"], found["column"], found["problem_class"]): found for found in refusal.value.facts["findings"]
    }
    assert (table, column, problem_class) in findings, findings
    found = findings[table, column, problem_class]
    assert (found["rows"], list(found["first_keys"])) == (rows, list(keys))
    for part in (f"{table}.{column}", *keys):
        assert part in str(refusal.value)
    assert_empty(tenant)
    return refusal.value


def assert_empty(tenant: Tenant) -> None:
    """Assert that no table of the tenant schema holds a row."""
    assert {name: tenant.postgres(f"SELECT count(*) FROM {quote(name)}") for name in tables_of(tenant)} == {
        name: [(0,)] for name in tables_of(tenant)
    }


def assert_not_translated(tenant: Tenant, *parts: str, **options: Any) -> None:
    """Assert that the translation is refused with these words, and that no schema came to be."""
    with pytest.raises(SchemaRefused) as refusal:
        tenant.translate(**options)
    for part in parts:
        assert part in str(refusal.value)
    assert tenant.database.run("SELECT 1 FROM pg_namespace WHERE nspname = %s", [tenant.schema]) == []


def only(rows: list[tuple[Any, ...]]) -> Any:
    """Return the one value of the one row."""
    ((value,),) = rows
    return value


def in_sqlite(tenant: Tenant, statement: str) -> list[tuple[Any, ...]]:
    """Run a statement in the SQLite file, foreign keys enforced, and return its rows."""
    with contextlib.closing(sqlite3.connect(tenant.sqlite_path, isolation_level=None)) as connection:
        connection.execute("PRAGMA foreign_keys = ON")
        return connection.execute(statement).fetchall()


def assert_both_refuse(tenant: Tenant, statement: str) -> None:
    """Assert that a statement that both databases understand breaks a rule of both."""
    with pytest.raises(sqlite3.IntegrityError):
        in_sqlite(tenant, statement)
    with pytest.raises(psycopg2.errors.IntegrityError):
        tenant.postgres(statement)


def assert_both_accept(tenant: Tenant, statement: str) -> None:
    """Run a statement in both databases; both must take it."""
    in_sqlite(tenant, statement)
    tenant.postgres(statement)
