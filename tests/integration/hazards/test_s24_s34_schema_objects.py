# SPDX-License-Identifier: GPL-3.0-or-later
"""S24 to S34: generated columns, indexes, CHECKs, sequences and defaults do in PostgreSQL what they did in SQLite."""

from __future__ import annotations

import contextlib
import re
import sqlite3
from typing import Any

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
    only,
    tables_of,
)
from ansible_collections.sxops.pg_cutover.plugins.module_utils._errors import PostgresError


def translated(tenant: Tenant, *statements: str, **options: Any) -> dict[str, Any]:
    """Fill the file, let its tables be translated, load them and prove them; return the result of the translation."""
    tenant.sqlite(*statements)
    result = tenant.translate(**options)
    assert_arrives(tenant)
    return result


# S24


@pytest.mark.parametrize("kept", ["STORED", "VIRTUAL", ""])
def test_s24_generated_columns_are_generated_and_equal(tenant: Tenant, kept: str) -> None:
    translated(
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
    translated(
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
    translated(
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
    translated(tenant, *NAMES, nocase="lower_index")
    assert_both_refuse(tenant, "INSERT INTO t (id, name) VALUES (9, 'bOB')")
    assert_both_accept(tenant, "INSERT INTO t (id, name) VALUES (9, 'Bobby')")


def test_s27_an_index_may_be_nocase_where_its_column_is_not(tenant: Tenant) -> None:
    translated(
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
    translated(tenant, *statements, nocase="icu")
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
    translated(
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


# S29, S30, S31


NUMBERED = {
    "INTEGER PRIMARY KEY": "id INTEGER PRIMARY KEY",
    "AUTOINCREMENT": "id INTEGER PRIMARY KEY AUTOINCREMENT",
    "as a constraint": "id INTEGER, PRIMARY KEY (id)",
}


@pytest.mark.parametrize("declared", NUMBERED.values(), ids=list(NUMBERED))
def test_s29_a_plain_integer_primary_key_is_a_key_and_numbers_itself(tenant: Tenant, declared: str) -> None:
    columns, _comma, constraint = declared.partition(", ")
    body = ", ".join(filter(None, (columns, "x TEXT", constraint)))
    translated(tenant, f"CREATE TABLE t ({body})", "INSERT INTO t VALUES (7, 'x'), (41, 'y')")
    assert_both_accept(tenant, "INSERT INTO t (x) VALUES ('next')")
    assert_same_rows(tenant, "t")
    assert_both_refuse(tenant, "INSERT INTO t VALUES (7, 'again')")


@pytest.mark.parametrize("declared", ["INTEGER PRIMARY KEY", "INTEGER PRIMARY KEY AUTOINCREMENT"])
def test_s30_an_empty_table_numbers_itself_from_the_start(tenant: Tenant, declared: str) -> None:
    tenant.sqlite(
        f"CREATE TABLE t (id {declared}, x TEXT)", "CREATE TABLE other (x INTEGER)", "INSERT INTO other VALUES (1)"
    )
    tenant.translate()
    assert_arrives(tenant)
    assert_both_accept(tenant, "INSERT INTO t (x) VALUES ('first')")
    assert_same_rows(tenant, "t")


@pytest.mark.parametrize("left", ["DELETE FROM t", "DELETE FROM t WHERE id > 3"], ids=["emptied", "its last rows gone"])
def test_s30_a_number_that_was_ever_given_is_never_given_again(tenant: Tenant, left: str) -> None:
    translated(
        tenant,
        "CREATE TABLE t (id INTEGER PRIMARY KEY AUTOINCREMENT, x TEXT)",
        "CREATE TABLE other (x INTEGER)",
        "INSERT INTO t VALUES (3, 'x'), (41, 'y')",
        "INSERT INTO other VALUES (1)",
        left,
    )
    assert_both_accept(tenant, "INSERT INTO t (x) VALUES ('next')")
    assert_same_rows(tenant, "t")
    assert only(tenant.postgres("SELECT max(id) FROM t")) == 42


@pytest.mark.parametrize(
    "column",
    [
        "id serial PRIMARY KEY",
        "id bigserial PRIMARY KEY",
        "id int GENERATED BY DEFAULT AS IDENTITY (INCREMENT BY 10) PRIMARY KEY",
        "id bigint PRIMARY KEY DEFAULT nextval('shared')",
    ],
)
def test_s31_no_sequence_of_the_application_gives_a_number_twice(tenant: Tenant, column: str) -> None:
    tenant.sqlite("CREATE TABLE t (id INTEGER PRIMARY KEY, x TEXT)", "INSERT INTO t VALUES (-5, 'x'), (123, 'y')")
    tenant.create_schema(f"CREATE SEQUENCE shared; CREATE TABLE t ({column}, x text)")
    assert_arrives(tenant)
    assert only(tenant.postgres("INSERT INTO t (x) VALUES ('next') RETURNING id")) > 123


# S32


@pytest.mark.parametrize("name", ["UserAccount", "user account", 'quo"ted', "Ünïcode", "select", "x" * 50])
def test_s32_sequences_behind_quoted_names_are_advanced(tenant: Tenant, name: str) -> None:
    quoted = '"' + name.replace('"', '""') + '"'
    translated(
        tenant,
        f"CREATE TABLE {quoted} ({quoted} INTEGER PRIMARY KEY AUTOINCREMENT, x TEXT)",
        f"INSERT INTO {quoted} VALUES (41, 'x')",
    )
    assert only(tenant.postgres(f"INSERT INTO {quoted} (x) VALUES ('next') RETURNING {quoted}")) == 42


# S33


def test_s33_an_identity_that_is_always_generated_takes_the_rows_ids(tenant: Tenant) -> None:
    tenant.sqlite("CREATE TABLE t (id INTEGER PRIMARY KEY, x TEXT)", "INSERT INTO t VALUES (7, 'x'), (41, 'y')")
    tenant.create_schema("CREATE TABLE t (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, x text)")
    assert_arrives(tenant)
    assert only(tenant.postgres("INSERT INTO t (x) VALUES ('next') RETURNING id")) == 42


def test_s33_a_translated_identity_still_takes_explicit_ids(tenant: Tenant) -> None:
    translated(tenant, "CREATE TABLE t (id INTEGER PRIMARY KEY, x TEXT)", "INSERT INTO t VALUES (1, 'x')")
    assert_both_accept(tenant, "INSERT INTO t VALUES (99, 'explicit')")
    assert_same_rows(tenant, "t")


# S34


CLOCKS = {
    "current_timestamp": r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d",
    "Current_Date": r"\d{4}-\d\d-\d\d",
    "CURRENT_TIME": r"\d\d:\d\d:\d\d",
    "(datetime('now'))": r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d",
    "(date('now'))": r"\d{4}-\d\d-\d\d",
    "(strftime('%Y-%m-%dT%H:%M:%SZ', 'now'))": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ",
    "(strftime('%Y-%m-%d %H:%M:%f', 'now'))": r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}",
    "(strftime('%s', 'now'))": r"\d{10}",
    "(lower(hex(randomblob(16))))": r"[0-9a-f]{32}",
}


@pytest.mark.parametrize("default", list(CLOCKS))
def test_s34_a_default_of_the_clock_gives_a_text_of_the_same_shape_and_moment(tenant: Tenant, default: str) -> None:
    translated(
        tenant,
        f"CREATE TABLE t (id INTEGER PRIMARY KEY, x TEXT DEFAULT {default})",
        "INSERT INTO t VALUES (1, 'old')",
    )
    assert_both_accept(tenant, "INSERT INTO t (id) VALUES (2)")
    theirs, ours = (
        only(rows)
        for rows in (in_sqlite(tenant, "SELECT x FROM t WHERE id = 2"), tenant.postgres("SELECT x FROM t WHERE id = 2"))
    )
    for text in (theirs, ours):
        assert re.fullmatch(CLOCKS[default], text)
    if "random" not in default:
        # UTC in both, and the test does not run for half an hour.
        assert abs(minutes(theirs) - minutes(ours)) in (0, 1, 1439)


def minutes(text: str) -> int:
    """Return the minute of the day, or of the epoch, that a text of the clock tells; 0 where it tells none."""
    if text.isdigit():
        return int(text) // 60
    found = re.search(r"(\d\d):(\d\d):", text)
    return int(found[1]) * 60 + int(found[2]) if found else 0


@pytest.mark.parametrize(
    ("declared", "value"),
    [
        ("TEXT DEFAULT 'null'", "null"),
        ("TEXT DEFAULT null", None),
        ('TEXT DEFAULT "0"', "0"),
        ("TEXT DEFAULT 'it''s'", "it's"),
        ("TEXT DEFAULT ''", ""),
        ("TEXT DEFAULT 5", "5"),
        ("INTEGER DEFAULT '7'", 7),
        ('INTEGER DEFAULT "0"', 0),
        ("INTEGER DEFAULT -1", -1),
        ("INTEGER DEFAULT 0x10", 16),
        ("REAL DEFAULT 1", 1.0),
        ("REAL DEFAULT -1.5e3", -1500.0),
    ],
)
def test_s34_a_literal_default_gives_the_same_value_in_both(tenant: Tenant, declared: str, value: Any) -> None:
    translated(tenant, f"CREATE TABLE t (id INTEGER PRIMARY KEY, x {declared})", "INSERT INTO t VALUES (1, NULL)")
    assert_both_accept(tenant, "INSERT INTO t (id) VALUES (2)")
    assert in_sqlite(tenant, "SELECT x FROM t WHERE id = 2") == [(value,)]
    assert_same_rows(tenant, "t")


@pytest.mark.parametrize("default", ["(datetime('now', 'localtime'))", "(sqlite_version())", "(julianday('now'))"])
def test_s34_a_default_that_means_something_else_is_refused_by_name(tenant: Tenant, default: str) -> None:
    tenant.sqlite(f"CREATE TABLE t (id INTEGER PRIMARY KEY, x TEXT DEFAULT {default})")
    assert_not_translated(tenant, "t.x")
