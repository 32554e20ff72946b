# SPDX-License-Identifier: GPL-3.0-or-later
"""SQLite's declarations as PostgreSQL's: exact, or refused by name."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from typing import Any

import pytest
from ansible_collections.sxops.pg_cutover.plugins.module_utils import _postgres_store
from ansible_collections.sxops.pg_cutover.plugins.module_utils._psycopg2 import sql
from ansible_collections.sxops.pg_cutover.plugins.module_utils._schema_translation import (
    Target,
    Translation,
    translate,
)
from ansible_collections.sxops.pg_cutover.plugins.module_utils._sqlite_store import read_catalog
from ansible_collections.sxops.pg_cutover.plugins.module_utils._translated_types import (
    affinity,
    postgres_type,
    read_observed,
)


def translated(
    *statements: str, names: Sequence[str] = (), version: int = 180000, nocase: str = "lower_index", **more: Any
) -> Translation:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)
        catalog = read_catalog(connection)
        wanted = names or [table.name for table in catalog.tables if table.name not in more.get("existing", ())]
        observed = read_observed(connection, catalog, wanted)
    return translate(catalog, wanted, Target("sx_a", version, nocase), observed=observed, **more)


def existing(name: str, key: str, declared: str = "bigint") -> dict[str, _postgres_store.Table]:
    column = _postgres_store.Column(key, "int8", declared, True, False, "", False, None)
    return {name: _postgres_store.Table(name, (column,), (key,), ((key,),), ())}


def text(part: sql.Composable) -> str:
    """Return a statement as it would be sent, without a server."""
    if isinstance(part, sql.Composed):
        return "".join(map(text, part.seq))
    if isinstance(part, sql.Identifier):
        return ".".join('"' + name.replace('"', '""') + '"' for name in part.strings)
    if isinstance(part, sql.Literal):
        return "'" + str(part.wrapped).replace("'", "''") + "'"
    assert isinstance(part, sql.SQL)
    return part.string


def statements_of(*statements: str, **more: Any) -> list[str]:
    found = translated(*statements, **more)
    assert found.refusals == ()
    return [" ".join(text(entry.statement).split()) for entry in found.statements]


def refusals_of(*statements: str, **more: Any) -> list[str]:
    return list(translated(*statements, **more).refusals)


@pytest.mark.parametrize(
    ("declared", "expected", "found_affinity"),
    [
        ("INTEGER", "bigint", "INTEGER"),
        ("int", "bigint", "INTEGER"),
        ("UNSIGNED BIG INT", "bigint", "INTEGER"),
        ("INT(11) UNSIGNED", "bigint", "INTEGER"),
        ("BOOLEAN", "boolean", "NUMERIC"),
        ("bool", "boolean", "NUMERIC"),
        ("VARCHAR(20)", "text", "TEXT"),
        ("NATIVE CHARACTER(70)", "text", "TEXT"),
        ("VARYING CHARACTER(5)", "text", "TEXT"),
        ("NVARCHAR(20)", "text", "TEXT"),
        ("CLOB", "text", "TEXT"),
        ("BLOB", "bytea", "BLOB"),
        ("REAL", "double precision", "REAL"),
        ("DOUBLE PRECISION", "double precision", "REAL"),
        ("FLOAT", "double precision", "REAL"),
        ("DECIMAL(10,2)", "numeric", "NUMERIC"),
        ("NUMERIC", "numeric", "NUMERIC"),
        ("DATETIME", None, "NUMERIC"),
        ("TIMESTAMP", None, "NUMERIC"),
        ("timestamp with time zone", None, "NUMERIC"),
        ("JSON", "text", "NUMERIC"),
        ("", None, "BLOB"),
        ("UUID", None, "NUMERIC"),
        ("ANY", None, "NUMERIC"),
        ("timestampz", None, "NUMERIC"),
        ("number", None, "NUMERIC"),
        ("byte[]", None, "NUMERIC"),
        ("TEXT[]", None, "TEXT"),
        ("intege", None, "INTEGER"),
        ("FLOATING POINT", None, "INTEGER"),
        ("STRING", None, "NUMERIC"),
    ],
)
def test_a_declared_type_promises_a_type_or_no_more_than_its_affinity(
    declared: str, expected: str | None, found_affinity: str
) -> None:
    assert postgres_type(declared) == expected
    assert affinity(declared) == found_affinity


@pytest.mark.parametrize(
    ("declared", "values", "expected"),
    [
        ("", "1, 2, NULL", "bigint"),
        ("number", "1.5, 2", "double precision"),
        ("number", "1.5, 9007199254740993", "numeric"),
        ("intege", "1.5", "double precision"),
        ("UUID", "'a', 'b'", "text"),
        ("UUID", "x'00'", "bytea"),
        ("number", "NULL", "numeric"),
        ("DATETIME", "1700000000, 1700000001000", "bigint"),
        ("timestamp with time zone", "2460000.5, 0", "double precision"),
        ("DATE", "'2026-11-21', 1700000000", "text"),
        ("TIME", "x'00'", "text"),
        ("DATE", "NULL", "text"),
        ("UUID", "NULL", "text"),
        ("", "NULL", "text"),
        ("TEXT[]", "NULL", "text"),
        ("intege", "NULL", "bigint"),
    ],
)
def test_values_decide_where_the_declaration_does_not(declared: str, values: str, expected: str) -> None:
    rows = "), (".join(values.split(", "))
    found = translated(f'CREATE TABLE t (x "{declared}")', f"INSERT INTO t VALUES ({rows})")
    assert found.tables[0].columns[0].type == expected
    assert found.notes[0].startswith("column t.x: declared ")
    assert expected in found.notes[0]


def test_an_empty_column_takes_the_type_of_what_it_refers_to() -> None:
    found = translated(
        "CREATE TABLE p (id INTEGER PRIMARY KEY)", "CREATE TABLE t (x REFERENCES p, y REFERENCES p (id))"
    )
    assert found.refusals == ()
    assert [column.type for column in found.tables[1].columns] == ["bigint", "bigint"]
    assert "column t.x: declared without a type, holds no value: bigint, as what it refers to" in found.notes


def test_what_stays_text_or_becomes_wider_is_noted() -> None:
    assert translated("CREATE TABLE t (a DATETIME, b VARCHAR(3), c SMALLINT)").notes == (
        "column t.a: declared as 'DATETIME', stays text as it is spelt",
        "integer columns become bigint, as wide as SQLite's integers, whatever width is declared",
    )


def test_values_that_no_one_type_keeps_apart_are_refused_with_their_numbers() -> None:
    (refusal,) = refusals_of("CREATE TABLE t (x)", "INSERT INTO t VALUES (1), ('a'), ('b'), (x'00'), (NULL)")
    assert refusal == (
        "column t.x: declared without a type, it holds 1 blob and 1 integer and 2 text value(s), which no one type of "
        "PostgreSQL keeps apart"
    )


def test_columns_keys_and_unique_constraints_become_one_create_table() -> None:
    (statement,) = statements_of(
        'CREATE TABLE "my ""t" (a TEXT NOT NULL, b INT UNIQUE, c REAL, PRIMARY KEY (c, a), UNIQUE (b, c))'
    )
    assert statement == (
        'CREATE TABLE "sx_a"."my ""t" ("a" text COLLATE "C" NOT NULL, "b" bigint, "c" double precision, '
        'CONSTRAINT "my ""t_pkey" PRIMARY KEY ("c", "a"), CONSTRAINT "my ""t_b_key" UNIQUE ("b"), '
        'CONSTRAINT "my ""t_b_c_key" UNIQUE ("b", "c"))'
    )


@pytest.mark.parametrize(
    ("columns", "identity"),
    [
        ("id INTEGER PRIMARY KEY", True),
        ("id integer PRIMARY KEY AUTOINCREMENT", True),
        ("id INTEGER, PRIMARY KEY (id DESC)", True),
        ("id INTEGER PRIMARY KEY DESC", False),
        ("id INT PRIMARY KEY", False),
        ("id BIGINT PRIMARY KEY", False),
        ("id INTEGER, x INT, PRIMARY KEY (id, x)", False),
    ],
)
def test_only_a_rowid_numbers_itself_and_still_takes_explicit_ids(columns: str, identity: bool) -> None:
    (statement,) = statements_of(f"CREATE TABLE t ({columns})")
    assert ('GENERATED BY DEFAULT AS IDENTITY (SEQUENCE NAME "sx_a"."t_id_seq")' in statement) is identity


def test_a_table_without_rowid_does_not_number_itself() -> None:
    (statement,) = statements_of("CREATE TABLE t (id INTEGER PRIMARY KEY) WITHOUT ROWID")
    assert "IDENTITY" not in statement


@pytest.mark.parametrize(
    "declared",
    [
        "TEXT DEFAULT (strftime('%W', 'now'))",
        "TEXT DEFAULT (strftime('%Y', 'now', 'localtime'))",
        "TEXT DEFAULT (datetime('now', '+1 day'))",
        "TEXT DEFAULT (date('2024-01-01'))",
        "TEXT DEFAULT (julianday('now'))",
        "DATE DEFAULT (strftime('%Y', 'now'))",  # SQLite makes a number of it
        "DATE DEFAULT 0",
        "DATE DEFAULT '2024'",
        "INT DEFAULT 'x'",
        "INT DEFAULT 1.5",  # SQLite keeps 1.5, a bigint would round it
        "INT DEFAULT CURRENT_TIMESTAMP",
        "BOOLEAN DEFAULT 2",
        "BOOLEAN DEFAULT 'maybe'",
        "BLOB DEFAULT 'text'",
        "BLOB DEFAULT (randomblob(33))",
        "TEXT DEFAULT (json_object())",
        "REAL DEFAULT 9e999",
        "INT DEFAULT (changes())",
    ],
)
def test_a_default_without_an_exact_counterpart_is_refused_by_column(declared: str) -> None:
    (refusal,) = refusals_of(f"CREATE TABLE t (x {declared})")
    assert refusal.startswith("column t.x: default ")


@pytest.mark.parametrize(
    ("statement", "refused"),
    [
        ("CREATE TABLE t (x INT, CHECK (date(x)))", "table t: CHECK constraint 1: the function date has no exact"),
        ("CREATE TABLE t (x INT CONSTRAINT c CHECK (x > 'a'))", "table t: CHECK constraint c: bigint is compared"),
        ("CREATE TABLE t (x TEXT COLLATE RTRIM)", "column t.x: the collation RTRIM"),
        ("CREATE TABLE t (x TEXT, UNIQUE (x COLLATE rtrim))", "table t: its unique constraint: the collation RTRIM"),
        ("CREATE TABLE t (x TEXT, PRIMARY KEY (x COLLATE rtrim))", "table t: its primary key: the collation RTRIM"),
        ("CREATE TABLE t (x TEXT UNIQUE ON CONFLICT REPLACE)", "table t: ON CONFLICT REPLACE of a constraint"),
        ("CREATE TABLE t (x TEXT NOT NULL ON CONFLICT IGNORE)", "table t: ON CONFLICT IGNORE of a constraint"),
        ("CREATE TABLE t (x INT, y TEXT AS (hex(x)))", "column t.y, which is generated: in hex: bigint"),
        ("CREATE TABLE t (x TEXT, y INT AS (x))", "column t.y, which is generated: it is text, the column is bigint"),
        ("CREATE TABLE t (x INT REFERENCES nowhere)", "table t: its foreign key (x) to nowhere: there is no such"),
        (f"CREATE TABLE {'t' * 64} (x INT)", f"table '{'t' * 64}': the name is longer than 63 bytes"),
        (f"CREATE TABLE t ({'é' * 32} INT)", f"column of table t '{'é' * 32}': the name is longer than 63 bytes"),
        ("CREATE TABLE t (ctid INT)", "column of table t 'ctid': every table of PostgreSQL has a system column"),
        ('CREATE TABLE t ("" INT)', "column of table t '': PostgreSQL knows no empty name"),
    ],
)
def test_what_has_no_exact_counterpart_is_refused_by_name(statement: str, refused: str) -> None:
    refusals = refusals_of(statement)
    assert [refusal[: len(refused)] for refusal in refusals] == [refused]


@pytest.mark.parametrize(
    ("statement", "refused"),
    [
        ("CREATE INDEX i ON t (date(x))", "index i: the function date has no exact counterpart"),
        ("CREATE UNIQUE INDEX i ON t (x) WHERE x > 5 + y", "index i: text is compared with bigint"),
        ("CREATE UNIQUE INDEX i ON t (x COLLATE rtrim)", "index i: the collation RTRIM"),
        ("CREATE INDEX i ON t (x || 'a' COLLATE rtrim)", "index i: the collation RTRIM"),
    ],
)
def test_an_index_without_an_exact_counterpart_is_refused_by_name(statement: str, refused: str) -> None:
    refusals = refusals_of("CREATE TABLE t (x TEXT, y INT)", statement)
    assert [refusal[: len(refused)] for refusal in refusals] == [refused]


@pytest.mark.parametrize(
    ("parent", "child", "reason"),
    [
        ("CREATE TABLE p (x INT)", "x INT REFERENCES p (x)", "neither its primary key nor unique"),
        ("CREATE TABLE p (x INT)", "x INT REFERENCES p", "the parent has no primary key"),
        ("CREATE TABLE p (x TEXT PRIMARY KEY)", "x INT REFERENCES p", "t.x is bigint (declared 'INT'), p.x is text"),
        ("CREATE TABLE p (x INT PRIMARY KEY)", "x INT REFERENCES p (y)", "the parent has no column y"),
        ("CREATE TABLE p (x INT, y INT, PRIMARY KEY (x, y))", "x INT REFERENCES p", "it has 1 column(s), the key"),
        ("CREATE TABLE p (x TEXT COLLATE NOCASE UNIQUE)", "x TEXT REFERENCES p (x)", "neither its primary key nor"),
    ],
)
def test_a_foreign_key_that_postgresql_would_not_take_is_refused(parent: str, child: str, reason: str) -> None:
    (refusal,) = refusals_of(parent, f"CREATE TABLE t ({child})")
    assert refusal.startswith("table t: its foreign key (x) to p: ")
    assert reason in refusal


def test_a_partial_unique_index_is_no_key_to_refer_to() -> None:
    parent = "CREATE TABLE p (x INT)", "CREATE UNIQUE INDEX i ON p (x) WHERE x > 0"
    assert "nor unique" in refusals_of(*parent, "CREATE TABLE t (x INT REFERENCES p (x))")[0]


def test_a_parent_that_stays_behind_is_refused_with_the_reason() -> None:
    statements = "CREATE TABLE a (id INT PRIMARY KEY)", "CREATE TABLE b (x INT REFERENCES a)"
    (refusal,) = refusals_of(*statements, names=("b",))
    assert "left behind or shared" in refusal


def test_a_foreign_key_may_refer_to_a_table_that_is_there_already() -> None:
    statements = "CREATE TABLE a (id INT PRIMARY KEY)", "CREATE TABLE b (x INT REFERENCES a)"
    assert refusals_of(*statements, existing=existing("a", "id")) == []
    (refusal,) = refusals_of(*statements, existing=existing("a", "id", "integer"))
    assert "a.id is integer" in refusal


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE t (x TEXT DEFAULT 'CHECK (y)')",
        "CREATE TABLE t (x TEXT /* CHECK (y) */) -- COLLATE RTRIM",
        'CREATE TABLE t ("CHECK (y)" TEXT COLLATE BINARY)',
        "CREATE TABLE t ([deferrable] TEXT)",
    ],
)
def test_texts_comments_and_names_are_not_taken_for_constraints(statement: str) -> None:
    (made,) = statements_of(statement)
    assert " CHECK (" not in made
    assert "DEFERRABLE" not in made


def test_indexes_sort_null_where_sqlite_does() -> None:
    assert statements_of("CREATE TABLE t (a INT, b INT)", "CREATE UNIQUE INDEX i ON t (a, b DESC)")[1] == (
        'CREATE UNIQUE INDEX "i" ON "sx_a"."t" ("a" NULLS FIRST, "b" DESC NULLS LAST)'
    )


def test_foreign_keys_come_last_after_the_unique_indexes_they_may_rest_on() -> None:
    found = statements_of(
        "CREATE TABLE a (x TEXT REFERENCES B (CODE) ON DELETE CASCADE ON UPDATE SET NULL)",
        "CREATE TABLE b (Code TEXT)",
        "CREATE UNIQUE INDEX i ON b (Code)",
    )
    assert [statement.split("(")[0].strip() for statement in found] == [
        'CREATE TABLE "sx_a"."a"',
        'CREATE TABLE "sx_a"."b"',
        'CREATE UNIQUE INDEX "i" ON "sx_a"."b"',
        'ALTER TABLE "sx_a"."a" ADD FOREIGN KEY',
    ]
    assert found[3].endswith('REFERENCES "sx_a"."b" ("Code") ON UPDATE SET NULL ON DELETE CASCADE')


def test_a_virtual_column_is_stored_where_postgresql_cannot_do_otherwise() -> None:
    table = "CREATE TABLE t (a INT, b INT AS (a + 1))"
    assert statements_of(table)[0].endswith("VIRTUAL)")
    assert statements_of(table, version=170000)[0].endswith("STORED)")
    for index in ("b", "a + b", "a) WHERE (b > 0"):
        assert statements_of(table, f"CREATE INDEX i ON t ({index})")[0].endswith("STORED)")
    assert "column t.b: VIRTUAL becomes STORED, since this PostgreSQL knows no other" in (
        translated(table, version=150000).notes
    )


def test_json_is_checked_where_postgresql_can() -> None:
    table = "CREATE TABLE t (a JSON CHECK (json_valid(a)))"
    assert '"a" IS JSON' in statements_of(table, version=160000)[0]
    assert "only since PostgreSQL 16" in refusals_of(table, version=150000)[0]


NOCASE = "CREATE TABLE t (a TEXT COLLATE NOCASE UNIQUE)", "CREATE INDEX i ON t (a)"


def test_nocase_becomes_what_was_chosen() -> None:
    assert statements_of(*NOCASE)[1:] == [
        'CREATE UNIQUE INDEX "t_a_key" ON "sx_a"."t" (lower("a" COLLATE "C"))',
        'CREATE INDEX "i" ON "sx_a"."t" (lower("a" COLLATE "C") NULLS FIRST)',
    ]
    assert statements_of(*NOCASE, nocase="icu") == [
        """CREATE COLLATION IF NOT EXISTS "sx_a"."nocase" (provider = icu, locale = 'und-u-ks-level2', \
deterministic = false)""",
        'CREATE TABLE "sx_a"."t" ("a" text COLLATE "sx_a"."nocase", CONSTRAINT "t_a_key" UNIQUE ("a"))',
        'CREATE INDEX "i" ON "sx_a"."t" ("a" NULLS FIRST)',
    ]
    assert refusals_of(*NOCASE, nocase="refuse")[0] == "column t.a: the collation NOCASE has no exact counterpart"


def test_an_over_long_name_of_an_index_is_shortened_the_same_way_every_time_and_noted() -> None:
    long = "i" * 70
    statements = "CREATE TABLE t (x INT)", f"CREATE INDEX {long}1 ON t (x)", f"CREATE INDEX {long}2 ON t (x)"
    found = translated(*statements)
    names = [entry.creates.split()[1] for entry in found.statements[1:]]
    assert len(set(names)) == 2
    assert all(len(name) == 63 for name in names)
    assert found.notes == translated(*statements).notes
    assert f"index {long}1 of table t: its name becomes {names[0]}" in found.notes


def test_a_name_that_is_taken_in_the_schema_is_not_taken_twice() -> None:
    statements = "CREATE TABLE t (x INT)", "CREATE INDEX i ON t (x)"
    found = translated(*statements, taken={"i"})
    assert found.statements[1].creates.startswith("index i_")
    assert found.notes


def test_only_the_named_tables_are_translated() -> None:
    found = translated("CREATE TABLE a (x INT)", "CREATE TABLE b (x INT CHECK (date(x)))", names=("a",))
    assert [entry.creates for entry in found.statements] == ["table a"]
    assert found.refusals == ()


def test_every_refusal_is_named_at_once() -> None:
    assert len(refusals_of("CREATE TABLE t (x TEXT COLLATE RTRIM, y INT CHECK (date(y)), z INT DEFAULT 'a')")) == 3


VIEW_AND_TRIGGERS = (
    "CREATE TABLE t (x INT)",
    "CREATE TABLE other (x INT)",
    "CREATE VIEW v AS SELECT x FROM t",
    "CREATE TRIGGER g AFTER INSERT ON t BEGIN DELETE FROM other; END",
    "CREATE TRIGGER elsewhere AFTER INSERT ON other BEGIN DELETE FROM t; END",
)


def test_views_and_triggers_are_refused_by_name_unless_they_are_excluded() -> None:
    assert translated(*VIEW_AND_TRIGGERS, names=("t",)).refusals == (
        "view v: a view cannot be translated exactly",
        "trigger g of t: a trigger cannot be translated exactly",
    )
    assert translated(*VIEW_AND_TRIGGERS, names=("t",), excluded=("v", "g")).refusals == ()


def test_views_and_triggers_do_not_stand_in_the_way_of_what_is_there_already() -> None:
    assert translated(*VIEW_AND_TRIGGERS, existing={**existing("t", "x"), **existing("other", "x")}).refusals == ()
