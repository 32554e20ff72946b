# SPDX-License-Identifier: GPL-3.0-or-later
"""S42 to S46: keys that are NULL, rows too wide for an index, search indexes, other people's tables, no key at all."""

from __future__ import annotations

import random

import pytest
from _databases import Tenant
from _outcomes import (
    assert_arrives,
    assert_both_refuse,
    assert_not_translated,
    assert_refused,
    assert_refused_rows,
    in_sqlite,
    only,
    tables_of,
)
from ansible_collections.sxops.pg_cutover.plugins.module_utils._errors import SchemaRefused, TargetNotEmpty

# S42


@pytest.mark.parametrize("way", ["translated", "the application's"])
def test_s42_null_in_a_primary_key_is_refused_by_its_row(tenant: Tenant, way: str) -> None:
    tenant.sqlite(
        "CREATE TABLE t (k TEXT PRIMARY KEY, x INTEGER)",
        "INSERT INTO t VALUES ('a', 1), (NULL, 2), (NULL, 3)",
    )
    if way == "translated":
        tenant.translate()
    else:
        tenant.create_schema("CREATE TABLE t (k text PRIMARY KEY, x int)")
    refusal = assert_refused_rows(tenant, "t", "k", "null_value", 2, "(k=None)", "(k=None)")
    assert "2 row(s)" in str(refusal)


def test_s42_null_in_one_column_of_a_key_is_refused(tenant: Tenant) -> None:
    tenant.sqlite(
        "CREATE TABLE t (a TEXT, b INTEGER, PRIMARY KEY (a, b))",
        "INSERT INTO t VALUES ('a', 1), ('a', NULL), ('a', NULL)",
    )
    tenant.translate()
    assert_refused_rows(tenant, "t", "b", "null_value", 2, "(a=a, b=None)", "(a=a, b=None)")


def test_s42_null_in_a_unique_column_is_no_duplicate_in_either(tenant: Tenant) -> None:
    tenant.sqlite("CREATE TABLE t (id INTEGER PRIMARY KEY, x TEXT UNIQUE)", "INSERT INTO t VALUES (1, NULL), (2, NULL)")
    tenant.translate()
    assert_arrives(tenant)


# S43


def incompressible(octets: int) -> str:
    draw = random.Random(43)
    return "".join(draw.choices([chr(code) for code in range(33, 127) if chr(code) not in "\"'\\"], k=octets))


@pytest.mark.parametrize(
    ("made", "indexed"),
    [
        ("CREATE TABLE t (id int PRIMARY KEY, x text); CREATE INDEX ON t (x)", "x"),
        ("CREATE TABLE t (id int PRIMARY KEY, x text UNIQUE)", "x"),
        ("CREATE TABLE t (id int, x text, PRIMARY KEY (x, id))", "x, id"),
        ("CREATE TABLE t (id int PRIMARY KEY, x text); CREATE INDEX ON t (id) INCLUDE (x)", "id, x"),
    ],
    ids=["index", "unique", "key", "included"],
)
def test_s43_a_value_too_wide_for_an_index_is_refused_before_the_load(tenant: Tenant, made: str, indexed: str) -> None:
    tenant.hold("TEXT", "text", incompressible(100), incompressible(2000), incompressible(9000))
    tenant.create_schema(made)
    assert_refused(tenant, "t", indexed, "long_index_key", "(id=3)")


def test_s43_a_wide_value_without_an_index_arrives(tenant: Tenant) -> None:
    tenant.hold("TEXT", "text", incompressible(9000), "x" * 100_000)
    assert_arrives(tenant)


# S44


def test_s44_a_search_index_is_left_out_by_name_and_its_storage_is_never_copied(tenant: Tenant) -> None:
    tenant.sqlite(
        "CREATE TABLE notes (id INTEGER PRIMARY KEY, body TEXT)",
        "CREATE VIRTUAL TABLE found USING fts5(body, content='notes', content_rowid='id')",
        "CREATE VIRTUAL TABLE old USING fts4(body)",
        "CREATE VIRTUAL TABLE boxes USING rtree(id, low, high)",
        "CREATE TABLE found_history (id INTEGER PRIMARY KEY, x TEXT)",
        "INSERT INTO notes VALUES (1, 'body')",
        "INSERT INTO found (found) VALUES ('rebuild')",
        "INSERT INTO boxes VALUES (1, 0, 1)",
        "INSERT INTO found_history VALUES (1, 'no storage of the index')",
    )
    tenant.translate()
    assert tables_of(tenant) == ["found_history", "notes"]
    left = {entry["table"]: entry["reason"] for entry in assert_arrives(tenant)["left_out"]}
    for name in ("found", "old", "boxes"):
        assert left[name].startswith("virtual table")
    for name in ("found_data", "found_idx", "found_docsize", "old_segdir", "boxes_node"):
        assert left[name].startswith("storage of a virtual table")


def test_s44_a_virtual_table_whose_module_is_not_there_is_no_obstacle(tenant: Tenant) -> None:
    tenant.sqlite(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, x TEXT)",
        "INSERT INTO t VALUES (1, 'x')",
        "PRAGMA writable_schema = ON",
        "INSERT INTO sqlite_master VALUES ('table', 'vectors', 'vectors', 0,"
        " 'CREATE VIRTUAL TABLE vectors USING vec0(embedding float[3])')",
    )
    tenant.translate()
    assert [entry["table"] for entry in assert_arrives(tenant)["left_out"]] == ["vectors"]


# S45


INFRASTRUCTURE = ("_litestream_seq", "_litestream_lock", "_prisma_migrations", "knex_migrations", "_debezium_cdc_log")


def with_infrastructure(tenant: Tenant, *excluded: str) -> Tenant:
    tenant = Tenant(tenant.database, tenant.sqlite_path, options={"exclude_tables": list(excluded)})
    tenant.sqlite(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, x TEXT)",
        "CREATE INDEX xs ON t (x)",
        "INSERT INTO t VALUES (1, 'x')",
        *(f"CREATE TABLE {name} (id INTEGER PRIMARY KEY, name TEXT)" for name in INFRASTRUCTURE),
        *(f"INSERT INTO {name} VALUES (1, '0001_init')" for name in INFRASTRUCTURE),
        "ANALYZE",
    )
    return tenant


def test_s45_tables_of_other_programs_stop_the_load_by_name_until_they_are_named(tenant: Tenant) -> None:
    tenant = with_infrastructure(tenant)
    tenant.create_schema("CREATE TABLE t (id int PRIMARY KEY, x text)")
    with pytest.raises(SchemaRefused) as refusal:
        tenant.load()
    for name in INFRASTRUCTURE:
        assert f"table {name}: the tenant schema has no such table" in str(refusal.value)


@pytest.mark.parametrize("way", ["translated", "the application's"])
def test_s45_tables_that_are_left_behind_by_name_are_listed_and_sqlites_own_never_travel(
    tenant: Tenant, way: str
) -> None:
    tenant = with_infrastructure(tenant, *INFRASTRUCTURE)
    if way == "translated":
        tenant.translate()
    else:
        tenant.create_schema("CREATE TABLE t (id int PRIMARY KEY, x text)")
    result = assert_arrives(tenant)
    assert in_sqlite(tenant, "SELECT count(*) FROM sqlite_stat1") == [(len(INFRASTRUCTURE) + 1,)]
    assert tables_of(tenant) == ["t"]
    assert [table["table"] for table in result["tables"]] == ["t"]
    assert {entry["table"] for entry in result["left_out"]} >= set(INFRASTRUCTURE)


def test_s45_a_ledger_that_the_applications_migrations_wrote_is_not_written_over(tenant: Tenant) -> None:
    tenant = with_infrastructure(tenant, *(set(INFRASTRUCTURE) - {"knex_migrations"}))
    made = (
        "CREATE TABLE t (id int PRIMARY KEY, x text); CREATE TABLE knex_migrations (id int PRIMARY KEY, name text);"
        "INSERT INTO knex_migrations VALUES (1, 'pg_0001_init')"
    )
    tenant.create_schema(made)
    with pytest.raises(TargetNotEmpty, match=r"knex_migrations holds 1 row\(s\) that nobody loaded"):
        tenant.load()
    left = Tenant(tenant.database, tenant.sqlite_path, options={"exclude_tables": list(INFRASTRUCTURE)})
    assert_arrives(left)
    assert tenant.postgres("SELECT * FROM knex_migrations") == [(1, "pg_0001_init")]


# S46


def test_s46_a_table_without_rowid_arrives(tenant: Tenant) -> None:
    tenant.sqlite(
        "CREATE TABLE t (k TEXT, n INTEGER, x TEXT, PRIMARY KEY (k, n)) WITHOUT ROWID",
        "CREATE TABLE one (id INTEGER PRIMARY KEY, x TEXT) WITHOUT ROWID",
        "INSERT INTO t VALUES ('b', 1, 'x'), ('a', 2, NULL), ('a', 1, '')",
        "INSERT INTO one VALUES (5, 'x')",
    )
    tenant.translate()
    assert_arrives(tenant)


def test_s46_a_table_without_rowid_or_ids_of_its_own_makes_no_numbers_in_either(tenant: Tenant) -> None:
    tenant.sqlite("CREATE TABLE t (id INTEGER PRIMARY KEY, x TEXT) WITHOUT ROWID", "INSERT INTO t VALUES (5, 'x')")
    tenant.translate()
    assert_both_refuse(tenant, "INSERT INTO t (x) VALUES ('no id')")


@pytest.mark.parametrize("way", ["translated", "the application's"])
def test_s46_rows_without_a_key_arrive_as_often_as_they_are_there(tenant: Tenant, way: str) -> None:
    tenant.sqlite(
        "CREATE TABLE t (x TEXT, n INTEGER)",
        "INSERT INTO t VALUES ('a', 1), ('a', 1), ('a', 1), ('b', NULL), ('b', NULL), (NULL, NULL), ('', NULL)",
    )
    if way == "translated":
        tenant.translate()
    else:
        tenant.create_schema("CREATE TABLE t (x text, n int)")
    assert_arrives(tenant)
    tenant.postgres("DELETE FROM t WHERE ctid = (SELECT min(ctid) FROM t WHERE x = 'a')")
    tenant.postgres("INSERT INTO t VALUES ('b', NULL)")
    found = tenant.parity()
    assert found.verdict == "failed"
    said = "; ".join(check.message for check in found.checks)
    assert "missing t (x=a, n=1)" in said
    assert "extra t (x=b, n=" in said


def test_s46_a_view_of_the_application_is_not_taken_for_its_table(tenant: Tenant) -> None:
    tenant.sqlite("CREATE TABLE t (id INTEGER PRIMARY KEY, x TEXT)", "INSERT INTO t VALUES (1, 'x')")
    tenant.create_schema("CREATE TABLE base (id int PRIMARY KEY, x text); CREATE VIEW t AS SELECT * FROM base")
    with pytest.raises(SchemaRefused, match="table t: the tenant schema has no such table"):
        tenant.load()
    assert only(tenant.postgres("SELECT count(*) FROM base")) == 0


def test_s46_a_view_in_the_file_stands_in_nobodys_way_under_the_applications_tables(tenant: Tenant) -> None:
    tenant.sqlite("CREATE TABLE t (id INTEGER PRIMARY KEY)", "INSERT INTO t VALUES (1)", "CREATE VIEW v AS SELECT 1")
    assert_not_translated(tenant, "view v")
    tenant.create_schema("CREATE TABLE t (id int PRIMARY KEY); CREATE TABLE v (x int)")
    assert_arrives(tenant)
