# SPDX-License-Identifier: GPL-3.0-or-later
"""A row that only PostgreSQL can refuse is named by its key, whatever stands in the rows before it."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from _databases import Database, Tenant, fresh_database
from _servers import Server
from ansible_collections.sxops.pg_cutover.plugins.module_utils import _copy_failure
from ansible_collections.sxops.pg_cutover.plugins.module_utils._errors import PostgresError
from ansible_collections.sxops.pg_cutover.plugins.module_utils._postgres_store import postgres_errors
from ansible_collections.sxops.pg_cutover.plugins.module_utils._row_codec import csv_options, sqlite_csv_row
from psycopg2 import sql


@pytest.fixture(scope="module")
def database(server: Server) -> Iterator[Database]:
    with fresh_database(server, "copy_failure") as found:
        yield found


def copy_all(tenant: Tenant, marked: bool) -> PostgresError:
    """Copy every row in one piece, and return what PostgreSQL refuses, explained."""
    with tenant.stores() as stores:
        (plan,) = stores.plan.tables
        lines = stores.source.execute(f"SELECT {sqlite_csv_row(plan.source_codec, marked)} FROM t").fetchall()
        text = b"".join(line + b"\n" for (line,) in lines)
        copy = sql.SQL("COPY {} FROM STDIN {}").format(
            sql.Identifier(tenant.schema, "t"), csv_options(plan.target_codec, marked)
        )
        with pytest.raises(PostgresError) as refusal, postgres_errors("Loading table t"):
            stores.connection.cursor().copy_expert(copy, io.BytesIO(text))
        stores.connection.rollback()
        return _copy_failure.explain(stores.source, plan, refusal.value, [("1", ())])


@pytest.mark.parametrize("marked", [True, False])
@pytest.mark.parametrize("first", ["a", "a\nb", "a\rb", "a\r\nb\n\n", "\r\r"])
@pytest.mark.parametrize(
    "constraint",
    ["CHECK (x <> 'bad' || chr(10))", "UNIQUE", "GENERATED"],
)
def test_the_row_is_named_by_its_key(
    database: Database, tmp_path: Path, constraint: str, first: str, marked: bool
) -> None:
    tenant = Tenant(database, tmp_path / "snapshot.db")
    tenant.sqlite(
        "CREATE TABLE t (k TEXT PRIMARY KEY, x TEXT)",
        "CREATE INDEX covering ON t (k DESC)",
        *(
            ("INSERT INTO t VALUES (?, ?)", (key, text))
            for key, text in [("z", first), ("y", 'one\n"two"\r\n,three'), ("x", "bad\n"), ("w", None), ("v", "bad\n")]
        ),
    )
    column = "short" if constraint == "GENERATED" else f"text {constraint}"
    tenant.create_schema(
        f"CREATE DOMAIN short AS text CHECK (VALUE <> 'bad' || chr(10)); CREATE TABLE t (k text, x {column})"
    )
    error = copy_all(tenant, marked)
    named = "v" if constraint == "UNIQUE" else "x"
    assert error.facts["row"] == f"(k={named})"
    assert error.why.endswith(f"; the row is t (k={named})")


def test_rows_are_counted_in_the_order_of_the_parts_that_were_sent(database: Database, tmp_path: Path) -> None:
    tenant = Tenant(database, tmp_path / "snapshot.db")
    tenant.sqlite("CREATE TABLE t (x INT)", "INSERT INTO t VALUES (1), (2), (3), (4), (5)")
    tenant.create_schema("CREATE TABLE t (x int)")
    with tenant.stores() as stores:
        (plan,) = stores.plan.tables
        parts = [("x > ?", (3,)), ("x <= ?", (3,))]
        named = [_copy_failure.key_of_row(stores.source, plan, line, parts) for line in range(1, 7)]
    assert named == ["(rowid=4)", "(rowid=5)", "(rowid=1)", "(rowid=2)", "(rowid=3)", None]


def test_an_error_without_a_line_stays_as_it_is(database: Database, tmp_path: Path) -> None:
    tenant = Tenant(database, tmp_path / "snapshot.db")
    tenant.sqlite("CREATE TABLE t (x INT)")
    tenant.create_schema("CREATE TABLE t (x int)")
    error = PostgresError("Loading failed", "the session is gone")
    with tenant.stores() as stores:
        assert _copy_failure.explain(stores.source, stores.plan.tables[0], error, [("1", ())]) is error
