# SPDX-License-Identifier: GPL-3.0-or-later
"""S24 to S28: generated columns, indexes, collations and CHECKs do in PostgreSQL what they did in SQLite."""

from __future__ import annotations

import contextlib
import re
import sqlite3

import psycopg2
import pytest
from _databases import Tenant
from _outcomes import (
    assert_arrives,
    assert_both_accept,
    assert_both_refuse,
    assert_not_translated,
    assert_refused_rows,
    assert_same_rows,
    in_sqlite,
    tables_of,
    translate_and_prove,
)
from ansible_collections.sxops.pg_cutover.plugins.module_utils._errors import PostgresError

# S24


@pytest.mark.parametrize("kept", ["STORED", "VIRTUAL", ""])
def test_s24_generated_columns_are_generated_and_equal(tenant: Tenant, kept: str) -> None:
    translate_and_prove(
        tenant,
        f"CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER, s TEXT, twice INTEGER AS (n * 2) {kept},"
        f" full TEXT GENERATED ALWAYS AS (s || '!') {kept})",
        "INSERT INTO t (id, n, s) VALUES (1, 21, 'a'), (2, NULL, ''), (3, -1, NULL)",
    )
    assert_both_accept(tenant, "INSERT INTO t (id, n, s) VALUES (4, 5, 'ä')")
    assert_same_rows(tenant, "t")
    assert tenant.postgres('SELECT twice, "full" FROM t WHERE id = 4') == [(10, "ä!")]


def test_s24_an_expression_that_means_something_else_is_refused_by_name(tenant: Tenant) -> None:
    tenant.sqlite("CREATE TABLE t (id INTEGER PRIMARY KEY, s TEXT, x TEXT AS (printf('%05d', s)))")
    assert_not_translated(tenant, "t.x", "printf")


# S25


def test_s25_a_partial_unique_index_stays_partial(tenant: Tenant) -> None:
    translate_and_prove(
        tenant,
        "CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT, deleted INTEGER)",
        "CREATE UNIQUE INDEX live_names ON t (name) WHERE deleted = 0",
        "CREATE INDEX gone ON t (deleted) WHERE deleted IS NOT NULL AND name <> ''",
        "INSERT INTO t VALUES (1, 'a', 1), (2, 'a', 1), (3, 'a', 0), (4, NULL, 0), (5, NULL, 0)",
    )
    assert_both_accept(tenant, "INSERT INTO t VALUES (6, 'a', 2)")
    assert_both_refuse(tenant, "INSERT INTO t VALUES (7, 'a', 0)")


def test_s25_rows_that_break_only_the_targets_full_index_are_refused(tenant: Tenant) -> None:
    tenant.sqlite(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, x TEXT)", "INSERT INTO t VALUES (1, 'a'), (2, 'b'), (3, 'a')"
    )
    tenant.create_schema("CREATE TABLE t (id int PRIMARY KEY, x text UNIQUE)")
    assert_refused_rows(tenant, "t", "x", "duplicate_key", 2, "(x=a)")


# S26


def test_s26_a_unique_expression_index_holds_in_both(tenant: Tenant) -> None:
    translate_and_prove(
        tenant,
        "CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT, n INTEGER)",
        "CREATE UNIQUE INDEX folded ON t (lower(name))",
        "CREATE INDEX sums ON t (n + 1, abs(n) DESC)",
        "INSERT INTO t VALUES (1, 'Bob', 1), (2, 'alice', 2), (3, NULL, 3), (4, 'Ä', 4), (5, 'ä', 5)",
    )
    assert_both_refuse(tenant, "INSERT INTO t VALUES (6, 'BOB', 1)")


def test_s26_an_expression_that_means_something_else_is_refused_by_name(tenant: Tenant) -> None:
    tenant.sqlite(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, s TEXT)",
        "CREATE INDEX odd ON t (unicode(s))",
    )
    assert_not_translated(tenant, "odd")


# S27


NAMES = (
    "CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT COLLATE NOCASE UNIQUE, note TEXT COLLATE NOCASE)",
    "INSERT INTO t VALUES (1, 'Bob', 'x'), (2, 'alice', 'X'), (3, NULL, ''), (4, 'Ä', NULL), (5, 'ä', 'a')",
)


def test_s27_bob_and_bob_stay_one_user(tenant: Tenant) -> None:
    translate_and_prove(tenant, *NAMES, nocase="lower_index")
    assert_both_refuse(tenant, "INSERT INTO t (id, name) VALUES (9, 'bOB')")
    assert_both_accept(tenant, "INSERT INTO t (id, name) VALUES (9, 'Bobby')")


def test_s27_an_index_may_be_nocase_where_its_column_is_not(tenant: Tenant) -> None:
    translate_and_prove(
        tenant,
        "CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT)",
        "CREATE UNIQUE INDEX names ON t (name COLLATE NOCASE)",
        "INSERT INTO t VALUES (1, 'Bob'), (2, 'Bobby')",
    )
    assert_both_refuse(tenant, "INSERT INTO t VALUES (3, 'BOB')")


def test_s27_a_choice_compares_as_nocase_does_where_the_server_can(tenant: Tenant) -> None:
    statements = [statement.replace(", (4, 'Ä', NULL), (5, 'ä', 'a')", "") for statement in NAMES]
    if not tenant.database.run("SELECT 1 FROM pg_collation WHERE collname = 'und-x-icu'"):
        tenant.sqlite(*statements)
        with pytest.raises(PostgresError, match="this PostgreSQL was built without ICU"):
            tenant.translate(nocase="icu")
        assert tables_of(tenant) == []
        return
    translate_and_prove(tenant, *statements, nocase="icu")
    assert_both_refuse(tenant, "INSERT INTO t (id, name) VALUES (9, 'bOB')")
    question = "SELECT id FROM t WHERE name = 'BOB'"
    assert in_sqlite(tenant, question) == tenant.postgres(question) == [(1,)]


def test_s27_it_is_refused_by_name_where_that_was_chosen(tenant: Tenant) -> None:
    tenant.sqlite(*NAMES)
    assert_not_translated(tenant, "t.name", "NOCASE", nocase="refuse")


@pytest.mark.parametrize("collation", ["RTRIM", "unicode_nocase"])
def test_s27_any_other_collation_is_refused_by_name(tenant: Tenant, collation: str) -> None:
    with contextlib.closing(sqlite3.connect(tenant.sqlite_path)) as connection:
        connection.create_collation("unicode_nocase", lambda one, other: (one > other) - (one < other))
        connection.execute(f"CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT COLLATE {collation})")
    assert_not_translated(tenant, "t.name", collation.upper())


# S28


def test_s28_checks_hold_in_both(tenant: Tenant) -> None:
    translate_and_prove(
        tenant,
        "CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER CHECK (n BETWEEN 1 AND 5 OR n IS NULL),"
        " kind TEXT NOT NULL CHECK (kind IN ('a', 'b')), flag BOOLEAN CHECK (flag IN (0, 1)),"
        " CONSTRAINT both_or_none CHECK ((n IS NULL) = (flag IS NULL)), CHECK (length(kind) < 3))",
        "INSERT INTO t VALUES (1, 3, 'a', 1), (2, NULL, 'b', NULL)",
    )
    for values in ("3, 6, 'a', 1", "3, 1, 'c', 1", "3, 1, 'a', NULL"):
        with pytest.raises(sqlite3.IntegrityError):
            in_sqlite(tenant, f"INSERT INTO t VALUES ({values})")
        with pytest.raises(psycopg2.errors.CheckViolation):
            tenant.postgres(f"INSERT INTO t VALUES ({re.sub(', 1$', ', true', values)})")


def test_s28_a_check_that_means_something_else_is_refused_by_name(tenant: Tenant) -> None:
    tenant.sqlite("CREATE TABLE t (id INTEGER PRIMARY KEY, s TEXT CHECK (julianday(s) > 0))")
    assert_not_translated(tenant, "t", "julianday")


def test_s28_views_and_triggers_are_refused_by_name_unless_left_behind_by_name(tenant: Tenant) -> None:
    tenant.sqlite(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER)",
        "CREATE VIEW sums AS WITH s(n) AS (SELECT sum(n) FROM t) SELECT n FROM s",
        "CREATE TRIGGER touch AFTER UPDATE ON t BEGIN UPDATE t SET n = n + 1 WHERE id = new.id; END",
        "INSERT INTO t VALUES (1, 1)",
    )
    assert_not_translated(tenant, "view sums", "trigger touch")
    left = Tenant(tenant.database, tenant.sqlite_path, options={"exclude_tables": ["sums", "touch"]})
    left.translate()
    assert_arrives(left)
