# SPDX-License-Identifier: GPL-3.0-or-later
"""S35 to S41: names that PostgreSQL reads in another way, and foreign keys of every shape."""

from __future__ import annotations

import contextlib
import sqlite3

import psycopg2
import pytest
from _databases import Tenant
from _outcomes import (
    assert_arrives,
    assert_both_accept,
    assert_both_refuse,
    assert_not_translated,
    assert_refused,
    assert_same_rows,
    in_sqlite,
    only,
    tables_of,
    translate_and_prove,
)

# S35

NAMES = ["Order", "select", "user", "MiXeD Case", 'quo"te', "it's", "per%cent", "%s", "a.b", "ä€😀", "$1", "{x}", "[x]"]


@pytest.mark.parametrize(
    "name",
    ["Order", "select", "user", "MiXeD Case", 'quo"te', "it's", "per%cent", "%s", "a.b", "ä€😀", "$1", "{x}", "[x]"],
)
def test_s35_any_name_of_table_column_index_and_reference_arrives(tenant: Tenant, name: str) -> None:
    q = '"' + name.replace('"', '""') + '"'
    translate_and_prove(
        tenant,
        f"CREATE TABLE {q} ({q} INTEGER PRIMARY KEY, x TEXT DEFAULT 'a')",
        f"CREATE TABLE child (id INTEGER PRIMARY KEY, {q} INTEGER REFERENCES {q} ({q}) ON DELETE CASCADE)",
        f'CREATE INDEX "{name.replace(chr(34), chr(34) * 2)} by x" ON {q} (x)',
        f"INSERT INTO {q} VALUES (1, 'b')",
        "INSERT INTO child VALUES (1, 1)",
    )
    assert name in tables_of(tenant)
    assert_both_refuse(tenant, "INSERT INTO child VALUES (2, 99)")


def test_s35_the_applications_own_spelling_is_paired_by_sqlites_rules(tenant: Tenant) -> None:
    tenant.sqlite(
        'CREATE TABLE "UserAccount" (ID INTEGER PRIMARY KEY, "Name" TEXT)', "INSERT INTO useraccount VALUES (1, 'a')"
    )
    tenant.create_schema("CREATE TABLE useraccount (id int PRIMARY KEY, name text)")
    tenant.load()
    assert tenant.postgres("SELECT * FROM useraccount") == [(1, "a")]
    assert tenant.parity().verdict == "passed"


# S36


LONG = "a_name_that_is_exactly_as_long_as_postgresql_takes_it_and_no_lo"  # 63 octets
LONGER = LONG + "nger"


def test_s36_a_name_of_63_octets_arrives_whole(tenant: Tenant) -> None:
    assert len(LONG.encode()) == 63
    translate_and_prove(
        tenant, f"CREATE TABLE {LONG} (id INTEGER PRIMARY KEY, {LONG} TEXT)", f"INSERT INTO {LONG} VALUES (1, 'x')"
    )
    assert LONG in tables_of(tenant)


@pytest.mark.parametrize("name", [LONGER, "ä" * 32])
def test_s36_a_longer_name_of_a_table_or_column_is_refused_and_not_cut(tenant: Tenant, name: str) -> None:
    tenant.sqlite(f"CREATE TABLE {name} (id INTEGER PRIMARY KEY)", f"CREATE TABLE t ({name} TEXT)")
    for what in ("table", "column of table t"):
        assert_not_translated(tenant, f"{what} {name!r}: the name is longer than 63 bytes")


def test_s36_longer_names_of_indexes_do_not_collide(tenant: Tenant) -> None:
    translate_and_prove(
        tenant,
        "CREATE TABLE t (id INTEGER PRIMARY KEY, x TEXT, y TEXT)",
        f"CREATE UNIQUE INDEX {LONGER}_x ON t (x)",
        f"CREATE UNIQUE INDEX {LONGER}_y ON t (y)",
        "INSERT INTO t VALUES (1, 'x', 'y')",
    )
    assert_both_refuse(tenant, "INSERT INTO t VALUES (2, 'x', 'other')")
    assert_both_refuse(tenant, "INSERT INTO t VALUES (2, 'other', 'y')")


# S37


def test_s37_a_reference_without_a_column_means_the_parents_key(tenant: Tenant) -> None:
    translate_and_prove(
        tenant,
        "CREATE TABLE parent (id INTEGER PRIMARY KEY, x TEXT)",
        "CREATE TABLE pair (a TEXT, b TEXT, PRIMARY KEY (b, a))",
        "CREATE TABLE child (id INTEGER PRIMARY KEY, up INTEGER REFERENCES Parent ON DELETE SET NULL,"
        " a TEXT, b TEXT, FOREIGN KEY (b, a) REFERENCES pair)",
        "INSERT INTO parent VALUES (1, 'x')",
        "INSERT INTO pair VALUES ('a', 'b')",
        "INSERT INTO child VALUES (1, 1, 'a', 'b'), (2, NULL, NULL, 'b')",
    )
    assert_both_refuse(tenant, "INSERT INTO child VALUES (3, 2, NULL, NULL)")
    assert_both_refuse(tenant, "INSERT INTO child VALUES (3, 1, 'b', 'a')")
    assert_both_accept(tenant, "DELETE FROM parent")
    assert_same_rows(tenant, "child")


# S38


@pytest.mark.parametrize(("parent", "child"), [("TEXT", "INTEGER"), ("INTEGER", "TEXT"), ("BLOB", "TEXT")])
def test_s38_a_reference_between_types_that_do_not_fit_is_refused_by_name(
    tenant: Tenant, parent: str, child: str
) -> None:
    tenant.sqlite(
        f"CREATE TABLE parent (id {parent} PRIMARY KEY)",
        f"CREATE TABLE child (id INTEGER PRIMARY KEY, up {child} REFERENCES parent (id))",
    )
    assert_not_translated(tenant, "child", "(up)", "parent")


# S39


@pytest.mark.parametrize(
    "parent", ["id INTEGER, x TEXT", "id INTEGER PRIMARY KEY, x TEXT", "id INTEGER, x TEXT, UNIQUE (id, x)"]
)
def test_s39_a_reference_to_what_is_not_unique_is_refused_by_name(tenant: Tenant, parent: str) -> None:
    tenant.sqlite(
        f"CREATE TABLE parent ({parent})",
        "CREATE TABLE child (id INTEGER PRIMARY KEY, up TEXT REFERENCES parent (x))",
    )
    assert_not_translated(tenant, "child", "(up)", "parent")


def test_s39_a_reference_to_a_unique_index_is_kept(tenant: Tenant) -> None:
    translate_and_prove(
        tenant,
        "CREATE TABLE parent (id INTEGER PRIMARY KEY, x TEXT)",
        "CREATE UNIQUE INDEX xs ON parent (x)",
        "CREATE TABLE child (id INTEGER PRIMARY KEY, up TEXT REFERENCES parent (x) ON UPDATE CASCADE)",
        "INSERT INTO parent VALUES (1, 'a')",
        "INSERT INTO child VALUES (1, 'a')",
    )
    assert_both_refuse(tenant, "INSERT INTO child VALUES (2, 'b')")
    assert_both_accept(tenant, "UPDATE parent SET x = 'c'")
    assert_same_rows(tenant, "child")


# S40


ORPHANS = (
    "CREATE TABLE parent (id TEXT PRIMARY KEY)",
    "CREATE TABLE child (id INTEGER PRIMARY KEY, up TEXT REFERENCES parent)",
    "INSERT INTO parent VALUES ('a')",
    "INSERT INTO child VALUES (1, 'a'), (2, 'gone'), (3, ''), (4, NULL), (5, 'A')",
)


@pytest.mark.parametrize("way", ["translated", "the application's"])
def test_s40_orphans_are_refused_by_key_and_an_empty_text_is_no_null(tenant: Tenant, way: str) -> None:
    tenant.sqlite(*ORPHANS)
    if way == "translated":
        tenant.translate()
    else:
        tenant.create_schema(
            "CREATE TABLE parent (id text PRIMARY KEY);"
            "CREATE TABLE child (id int PRIMARY KEY, up text);"
            "ALTER TABLE child ADD FOREIGN KEY (up) REFERENCES parent NOT VALID"
        )
    assert_refused(tenant, "child", "up", "orphan", "(id=2)", "(id=3)", "(id=5)")


def test_s40_a_parent_of_another_profile_is_none(tenant: Tenant) -> None:
    both = Tenant(tenant.database, tenant.sqlite_path, options={"tenant_column": "source_id"})
    both.sqlite(
        "CREATE TABLE parent (source_id TEXT, id INTEGER PRIMARY KEY)",
        "CREATE TABLE child (source_id TEXT, id INTEGER PRIMARY KEY, up INTEGER REFERENCES parent)",
        "INSERT INTO parent VALUES ('a', 1), ('b', 2)",
        "INSERT INTO child VALUES ('a', 1, 1), ('a', 2, 2), ('b', 3, 2)",
    )
    both.translate()
    assert_refused(both, "child", "up", "orphan", "(id=2)")


# S41


def test_s41_a_table_that_refers_to_itself_arrives_in_any_order(tenant: Tenant) -> None:
    translate_and_prove(
        tenant,
        "CREATE TABLE node (id INTEGER PRIMARY KEY, up INTEGER REFERENCES node)",
        "INSERT INTO node VALUES (1, 3), (2, 2), (3, NULL), (4, 1)",
    )
    assert_both_refuse(tenant, "INSERT INTO node VALUES (5, 99)")


CYCLE = (
    "CREATE TABLE team (id INTEGER PRIMARY KEY, lead INTEGER REFERENCES person)",
    "CREATE TABLE person (id INTEGER PRIMARY KEY, team INTEGER REFERENCES team)",
    "INSERT INTO team VALUES (1, 1), (2, NULL)",
    "INSERT INTO person VALUES (1, 2), (2, 1)",
)


def test_s41_a_cycle_of_references_arrives_and_holds(tenant: Tenant) -> None:
    translate_and_prove(tenant, *CYCLE)
    assert_both_refuse(tenant, "INSERT INTO person VALUES (3, 99)")
    assert_both_refuse(tenant, "INSERT INTO team VALUES (3, 99)")


def test_s41_a_cycle_in_the_applications_own_tables_arrives_and_its_keys_are_as_they_were(tenant: Tenant) -> None:
    tenant.sqlite(*CYCLE)
    tenant.create_schema(
        "CREATE TABLE team (id int PRIMARY KEY, lead int);"
        "CREATE TABLE person (id int PRIMARY KEY, team int CONSTRAINT of_team REFERENCES team ON DELETE SET NULL);"
        "ALTER TABLE team ADD CONSTRAINT led_by FOREIGN KEY (lead) REFERENCES person ON UPDATE CASCADE"
    )
    definitions = (
        "SELECT conname, pg_get_constraintdef(c.oid), convalidated FROM pg_constraint c"
        " JOIN pg_namespace n ON n.oid = connamespace WHERE nspname = 'sx_a' ORDER BY 1"
    )
    before = tenant.database.run(definitions)
    assert_arrives(tenant)
    assert tenant.database.run(definitions) == before


def test_s41_an_orphan_within_a_cycle_is_still_refused(tenant: Tenant) -> None:
    tenant.sqlite(*CYCLE, "INSERT INTO person VALUES (7, 99)")
    tenant.translate()
    assert_refused(tenant, "person", "team", "orphan", "(id=7)")


def test_s41_a_deferred_reference_stays_deferred(tenant: Tenant) -> None:
    translate_and_prove(
        tenant,
        "CREATE TABLE parent (id INTEGER PRIMARY KEY)",
        "CREATE TABLE child (id INTEGER PRIMARY KEY, up INTEGER REFERENCES parent DEFERRABLE INITIALLY DEFERRED)",
        "INSERT INTO parent VALUES (1)",
        "INSERT INTO child VALUES (1, 1)",
    )
    child_first = "BEGIN; INSERT INTO child VALUES (2, 2); INSERT INTO parent VALUES (2); COMMIT"
    tenant.postgres(child_first)
    with contextlib.closing(sqlite3.connect(tenant.sqlite_path)) as connection:
        connection.executescript(f"PRAGMA foreign_keys = ON; {child_first}")
    assert_same_rows(tenant, "child")
    assert in_sqlite(tenant, "SELECT count(*) FROM child") == [(2,)]
    with pytest.raises(psycopg2.errors.ForeignKeyViolation):
        tenant.postgres("INSERT INTO child VALUES (3, 3)")
    assert only(tenant.postgres("SELECT count(*) FROM child")) == 2
