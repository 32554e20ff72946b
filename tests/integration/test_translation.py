# SPDX-License-Identifier: GPL-3.0-or-later
"""SQLite files of every kind become PostgreSQL schemas that take the same rows and refuse the same ones."""

from __future__ import annotations

import contextlib
import dataclasses
import re
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from _ansible import run_module
from _databases import Database, Tenant, fresh_database
from _servers import Server
from ansible_collections.sxops.pg_cutover.plugins.module_utils import (
    _postgres_store,
    _sqlite_store,
    _tenant_schema,
    _translated_schema,
    _translated_types,
)
from ansible_collections.sxops.pg_cutover.plugins.module_utils._errors import PostgresError, SchemaRefused
from ansible_collections.sxops.pg_cutover.plugins.module_utils._profile import profile_of
from ansible_collections.sxops.pg_cutover.plugins.module_utils._verdict import PASSED


@pytest.fixture(scope="module")
def database(server: Server) -> Iterator[Database]:
    with fresh_database(server, "translation") as found:
        yield found


@pytest.fixture
def file(database: Database, tmp_path: Path) -> Tenant:
    """A file to be translated, without tables, and nothing in PostgreSQL yet."""
    database.run("DROP SCHEMA IF EXISTS sx_new CASCADE; DROP TABLE IF EXISTS public.registry")
    return Tenant(database, tmp_path / "snapshot.db", "new")


@pytest.fixture
def translated(file: Tenant) -> Tenant:
    """A file with tables and rows, and nothing in PostgreSQL yet."""
    file.sqlite(
        'CREATE TABLE "Order" ("Select" INTEGER PRIMARY KEY AUTOINCREMENT, "MiXed" TEXT NOT NULL DEFAULT \'x\','
        " price NUMERIC, ok BOOLEAN, raw BLOB, f REAL, code TEXT UNIQUE)",
        'CREATE TABLE item (o INTEGER REFERENCES "order" ON DELETE CASCADE, n INT, up INT, PRIMARY KEY (o, n))',
        'CREATE INDEX by_code ON "Order" (code DESC, "MiXed")',
        "INSERT INTO \"Order\" VALUES (5, 'a', 1.50, 1, x'00', 0.1, 'c'), (9, 'b', 2, 0, NULL, 1, NULL)",
        "INSERT INTO item VALUES (5, 1, NULL), (9, 1, 3)",
    )
    return file


def connected(tenant: Tenant) -> contextlib.closing[Any]:
    return contextlib.closing(_postgres_store.connect(tenant.params))


def source_of(tenant: Tenant, **options: Any) -> _translated_schema.Source:
    with contextlib.closing(_sqlite_store.open_readonly(tenant.sqlite_path)) as connection:
        catalog = _sqlite_store.read_catalog(connection)
        names = [table.name for table in catalog.tables if table.kind == "table"]
        observed = _translated_types.read_observed(connection, catalog, names)
    return _translated_schema.Source(catalog, names, observed, **options)


def plan_of(tenant: Tenant, connection: Any, nocase: str = "lower_index", **options: Any) -> _tenant_schema.SchemaPlan:
    facts = {"owner": None, "app_role": None, "registry_table": "public.registry", **options}
    source = source_of(tenant, nocase=nocase)
    return _tenant_schema.plan_present(connection, profile_of(tenant.source_id, "sx"), source=source, **facts)


def ensure(tenant: Tenant, **options: Any) -> list[str]:
    """Translate the file into the profile's schema, and return what was done."""
    return applied(tenant, **options).actions


def applied(tenant: Tenant, **options: Any) -> _tenant_schema.SchemaPlan:
    with connected(tenant) as connection:
        plan = plan_of(tenant, connection, **options)
        _tenant_schema.apply(connection, plan)
    return plan


def nothing_there(tenant: Tenant) -> bool:
    return tenant.database.run("SELECT 1 FROM pg_namespace WHERE nspname = 'sx_new'") == []


def test_a_translated_schema_takes_every_row_and_behaves_like_the_file(translated: Tenant) -> None:
    assert "table Order" in ensure(translated)
    translated.load()
    assert translated.parity().verdict == PASSED
    assert translated.postgres('INSERT INTO "Order" (f) VALUES (1) RETURNING "Select", "MiXed"') == [(10, "x")]
    assert translated.postgres('DELETE FROM "Order" WHERE "Select" = 5; SELECT count(*) FROM item') == [(1,)]
    with pytest.raises(psycopg2.errors.UniqueViolation):
        translated.postgres("INSERT INTO \"Order\" (code) VALUES ('u'), ('u')")


def test_a_second_translation_has_nothing_to_do_and_a_new_table_is_added(translated: Tenant) -> None:
    ensure(translated)
    assert ensure(translated) == []
    translated.sqlite('CREATE TABLE late (o INTEGER REFERENCES "Order")')
    assert ensure(translated) == ["table late", "foreign key (o) of late"]
    assert ensure(translated) == []


def test_a_table_that_cannot_be_translated_stops_everything(translated: Tenant) -> None:
    translated.sqlite("CREATE TABLE bad (x, y INT CHECK (date(y) > 0))", "INSERT INTO bad VALUES (1, 1), ('a', 1)")
    with pytest.raises(SchemaRefused, match=r"bad\.x: declared without a type.*table bad: CHECK constraint 1: the fun"):
        ensure(translated)
    assert nothing_there(translated)


def test_what_postgresql_refuses_is_undone_as_a_whole_and_known_before(translated: Tenant) -> None:
    names = [f"c{n}" for n in range(33)]
    translated.sqlite(f"CREATE TABLE wide ({', '.join(names)})", f"CREATE INDEX w ON wide ({', '.join(names)})")
    with connected(translated) as connection:
        plan = plan_of(translated, connection)
        with pytest.raises(PostgresError, match=r"Trying to create index w failed: cannot use more than 32 columns"):
            _tenant_schema.rehearse(connection, plan)
    with pytest.raises(PostgresError, match=r"Creating index w failed: cannot use more than 32 columns"):
        ensure(translated)
    assert nothing_there(translated)


def test_a_rehearsal_leaves_nothing(translated: Tenant) -> None:
    before = translated.database.describe()
    with connected(translated) as connection:
        _tenant_schema.rehearse(connection, plan_of(translated, connection))
    assert translated.database.describe() == before


def test_the_module_shows_in_check_mode_what_will_be_there_in_another_form(file: Tenant) -> None:
    file.sqlite("CREATE TABLE t (x TEXT COLLATE NOCASE UNIQUE, y DATETIME)")
    options = {"source_id": "new", "dsn": file.database.dsn, "tables": "translate", "tenant_column": ""}
    options.update(sqlite_path=str(file.sqlite_path), registry_table="")
    planned = run_module("tenant_schema", options, check=True)
    assert nothing_there(file)
    made = run_module("tenant_schema", options)
    assert planned["notes"] == made["notes"]
    assert [note.split(":")[0] for note in made["notes"]] == ["column t.y", "column t.x"]
    assert planned["actions"] == made["actions"]
    file.database.run("DROP SCHEMA sx_new CASCADE")
    refused = run_module("tenant_schema", {**options, "nocase": "refuse"}, check=True)
    assert (refused["failed"], refused["error"]) == (True, "schema_refused")
    assert refused["refusals"][0] == "column t.x: the collation NOCASE has no exact counterpart"


@pytest.fixture
def app_role(database: Database) -> Iterator[str]:
    """A role that may nothing."""
    database.run('CREATE ROLE "App role"')
    yield "App role"
    database.run('DROP OWNED BY "App role"; DROP ROLE "App role"')


def test_the_applications_role_may_use_rows_and_sequences_and_nothing_else(translated: Tenant, app_role: str) -> None:
    actions = ensure(translated, app_role=app_role)
    assert actions[-1] == "grants to App role on sx_new"
    assert ensure(translated, app_role=app_role) == []
    role = f'SET ROLE "{app_role}"; '
    translated.postgres(role + 'INSERT INTO "Order" (f) VALUES (1); UPDATE "Order" SET f = 2; DELETE FROM "Order"')
    journal = "SELECT * FROM sxops_cutover.load"
    for forbidden in ("CREATE TABLE x (y int)", 'TRUNCATE "Order"', 'DROP TABLE "Order"', journal):
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            translated.postgres(role + forbidden)


def test_a_table_that_is_added_later_is_granted_in_the_same_run(translated: Tenant, app_role: str) -> None:
    ensure(translated, app_role=app_role)
    translated.sqlite("CREATE TABLE late (x INT)")
    assert ensure(translated, app_role=app_role) == ["table late", "grants to App role on sx_new"]
    translated.postgres(f'SET ROLE "{app_role}"; SELECT * FROM late')


def test_a_sequence_without_a_grant_is_noticed(translated: Tenant, app_role: str) -> None:
    ensure(translated, app_role=app_role)
    translated.postgres("CREATE SEQUENCE extra")
    assert ensure(translated, app_role=app_role) == ["grants to App role on sx_new"]


def test_a_role_that_does_not_exist_is_refused(translated: Tenant) -> None:
    with pytest.raises(PostgresError, match="Role 'nobody there' does not exist"):
        ensure(translated, app_role="nobody there")


def test_the_owner_gets_the_schema_and_its_tables(translated: Tenant, app_role: str) -> None:
    translated.database.run(f'GRANT CREATE ON DATABASE translation TO "{app_role}"')
    ensure(translated, owner=app_role)
    owners = translated.database.run(
        "SELECT DISTINCT pg_get_userbyid(relowner) FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace"
        " WHERE nspname = 'sx_new'"
    )
    assert owners == [(app_role,)]


# Everything at once

EVERYTHING = (
    """CREATE TABLE user (
         id INTEGER PRIMARY KEY, email TEXT COLLATE NOCASE NOT NULL UNIQUE, flag BOOLEAN DEFAULT 'f',
         status TEXT DEFAULT "new" CHECK (status IN ('new', 'old')), age INT CONSTRAINT grown CHECK (age >= 18),
         score number, anything, twice AS (age * 2), label TEXT AS (email || ' ' || status) STORED,
         more INT AS (twice + 1), CHECK ((age IS NULL) + (score IS NULL) < 2))""",
    "CREATE UNIQUE INDEX one_old ON user (age DESC) WHERE status = 'old' AND flag = 1",
    "CREATE INDEX low ON user (lower(status), age % 10 DESC, twice)",
    "CREATE TABLE head (id INTEGER PRIMARY KEY DESC, last INT REFERENCES line (n) DEFERRABLE INITIALLY DEFERRED)",
    "CREATE TABLE line (n INT PRIMARY KEY, head INT REFERENCES head, before INT REFERENCES line ON DELETE SET NULL)",
    """CREATE TABLE "select * from" (
         "Größe" TEXT, [order] REAL, `x"y` BLOB, PRIMARY KEY ("Größe", [order])) WITHOUT ROWID""",
    "CREATE TABLE strict (a INTEGER, b ANY, c REAL, d TEXT, e BLOB, UNIQUE (a, c)) STRICT",
    f"CREATE INDEX {'long_' * 14} ON strict (a)",
    f"CREATE INDEX {'long_' * 14}2 ON strict (a)",
    "CREATE TABLE user_pkey (id INTEGER PRIMARY KEY)",
    "CREATE TABLE user_id_seq (id INTEGER PRIMARY KEY)",
    """INSERT INTO user (id, email, flag, status, age, score, anything) VALUES
         (1, 'A@b.c', 1, 'old', 20, 2, x'01'), (2, 'é@b.c', 0, 'new', NULL, 0.5, x'02'),
         (3, 'É@b.c', 0, 'old', 20, NULL, NULL)""",
    "INSERT INTO \"select * from\" VALUES ('ä', 0.1, x'00')",
    "INSERT INTO strict VALUES (1, 'any', 1, 'x', x'')",
    "INSERT INTO head VALUES (1, 20)",
    "INSERT INTO line VALUES (10, 1, 20), (20, 1, 10)",
)


def test_a_file_of_everything_arrives_and_is_proven(file: Tenant) -> None:
    file.sqlite(*EVERYTHING)
    plan = applied(file)
    file.load()
    assert file.parity().verdict == PASSED
    assert file.postgres('SELECT twice, label, more FROM "user" WHERE id = 1') == [(40, "A@b.c old", 41)]
    assert file.postgres("INSERT INTO \"user\" (email, age) VALUES ('n@b.c', 18) RETURNING id, flag, status") == [
        (4, False, "new")
    ]
    notes = "\n".join(plan.notes)
    for said in (
        "column user.flag: the default 'f' is false",
        "column user.score: declared as 'number', holds 1 integer and 1 real value(s): double precision",
        "column user.anything: declared without a type, holds 2 blob value(s): bytea",
        "column user.twice: VIRTUAL becomes STORED, since it is indexed",
        "column user.email: NOCASE holds in its unique keys and indexes",
        "table head: its primary key takes NULL in id in SQLite, not",
        "table line: its primary key takes NULL in n in SQLite, not",
        f"index {'long_' * 14} of table strict: its name becomes long_long_",
        "column strict.b: declared as 'ANY', holds 1 text value(s): text",
    ):
        assert said in notes


def test_the_plan_of_a_schema_to_come_is_what_comes(file: Tenant) -> None:
    file.sqlite(*EVERYTHING)
    with (
        contextlib.closing(_sqlite_store.open_readonly(file.sqlite_path)) as source,
        connected(file) as connection,
    ):
        catalog = _sqlite_store.read_catalog(source)
        names = [table.name for table in catalog.tables]
        planned = _translated_schema.planned_tables(source, connection, catalog, names)
    ensure(file)
    with connected(file) as connection:
        created = _postgres_store.read_tables(connection, "sx_new")

    def comparable(table: _postgres_store.Table, schema: str) -> Any:
        columns = [dataclasses.replace(column, sequence=None) for column in table.columns]
        foreign = {(k.columns, (k.parent[0] or schema, k.parent[1]), k.parent_columns) for k in table.foreign_keys}
        return columns, table.key, {tuple(sorted(names)) for names in table.uniques}, foreign

    assert set(planned) == set(created)
    for name, table in planned.items():
        assert comparable(table, "sx_new") == comparable(created[name], "sx_new")


# What both accept and what both refuse


@pytest.mark.parametrize(
    ("tables", "inserts"),
    [
        (
            ["CREATE TABLE t (x INT CHECK (x > 0), y TEXT CHECK (length(y) BETWEEN 1 AND 3 OR y = ''))"],
            ["(1, 'a')", "(0, 'a')", "(NULL, NULL)", "(1, 'abcd')", "(1, '')", "(1, 'äöü')"],
        ),
        (
            ["CREATE TABLE t (x TEXT CHECK (x LIKE 'a%'), y TEXT CHECK (y GLOB '[0-9]*' AND y NOT LIKE '%z'))"],
            ["('Abc', '1')", "('bc', '1')", "('a', 'x')", "('a', '1Z')", "('a', '1é')"],
        ),
        (
            ["CREATE TABLE t (x TEXT, y INT)", "CREATE UNIQUE INDEX i ON t (x) WHERE y IS NOT NULL AND x <> 'free'"],
            ["('a', 1)", "('a', NULL)", "('a', 2)", "('free', 1)", "('free', 1)", "(NULL, 1)", "(NULL, 1)"],
        ),
        (
            ["CREATE TABLE t (x TEXT COLLATE NOCASE UNIQUE, y TEXT)", "CREATE UNIQUE INDEX i ON t (y COLLATE NOCASE)"],
            ["('a', 'é')", "('A', 'x')", "('b', 'É')", "('c', 'X')", "('d', 'x')", "('é', '1')", "('É', '2')"],
        ),
        (
            ["CREATE TABLE t (x TEXT COLLATE NOCASE PRIMARY KEY, y INT)"],
            ["('a', 1)", "('A', 1)", "('b', 1)"],
        ),
        (
            ["CREATE TABLE t (x TEXT COLLATE NOCASE, y INT)", "CREATE UNIQUE INDEX i ON t (x COLLATE BINARY)"],
            ["('a', 1)", "('A', 1)", "('a', 1)"],
        ),
        (
            ["CREATE TABLE t (x TEXT, y INT)", "CREATE UNIQUE INDEX i ON t (lower(trim(x)), y % 2)"],
            ["('a', 1)", "(' A ', 3)", "('a', 2)", "('é', 1)", "('É', 1)", "(NULL, 1)", "(NULL, 1)"],
        ),
        (
            ["CREATE TABLE t (x INT, y INT, UNIQUE (x, y))"],
            ["(1, NULL)", "(1, NULL)", "(1, 2)", "(1, 2)"],
        ),
        (
            ["CREATE TABLE t (x INT, y INT, PRIMARY KEY (y DESC, x))"],
            ["(1, 1)", "(2, 1)", "(1, 1)"],
        ),
        (
            ["CREATE TABLE t (x BOOLEAN CHECK (x IN (0, 1)), y INT GENERATED ALWAYS AS (x + 1) UNIQUE)"],
            ["(x) VALUES (true)", "(x) VALUES (false)", "(x) VALUES (true)", "(x) VALUES (NULL)"],
        ),
        (
            [
                "CREATE TABLE p (a INT, b TEXT, PRIMARY KEY (b, a))",
                "CREATE TABLE t (x INT, y TEXT, FOREIGN KEY (y, x) REFERENCES p)",
                "INSERT INTO p VALUES (1, 'k')",
            ],
            ["(1, 'k')", "(2, 'k')", "(NULL, 'zz')"],
        ),
        (
            ["CREATE TABLE t (x INTEGER PRIMARY KEY, y INT REFERENCES t)"],
            ["(1, NULL)", "(2, 1)", "(3, 3)", "(4, 9)"],
        ),
        (
            ["CREATE TABLE t (x INT NOT NULL ON CONFLICT ROLLBACK, y INT UNIQUE ON CONFLICT FAIL)"],
            ["(1, 1)", "(NULL, 2)", "(1, 1)"],
        ),
    ],
)  # fmt: skip
def test_both_accept_the_same_rows(file: Tenant, tables: list[str], inserts: list[str]) -> None:
    file.sqlite(*tables)
    ensure(file)
    with contextlib.closing(sqlite3.connect(file.sqlite_path, isolation_level=None)) as source:
        source.execute("PRAGMA foreign_keys = ON")
        for statement in tables:
            if statement.startswith("INSERT"):
                file.postgres(statement)
        for values in inserts:
            statement = f"INSERT INTO t {values}" if "VALUES" in values else f"INSERT INTO t VALUES {values}"
            try:
                source.execute(statement)
                theirs = "accepted"
            except sqlite3.IntegrityError:
                theirs = "refused"
            try:
                file.postgres(statement)
                ours = "accepted"
            except psycopg2.errors.IntegrityError:
                ours = "refused"
            assert (values, ours) == (values, theirs)


def test_a_deferred_key_is_checked_at_the_end_and_any_other_at_once(file: Tenant) -> None:
    file.sqlite(
        "CREATE TABLE late (x INT PRIMARY KEY, y INT REFERENCES late DEFERRABLE INITIALLY DEFERRED)",
        "CREATE TABLE soon (x INT PRIMARY KEY, y INT REFERENCES soon NOT DEFERRABLE INITIALLY DEFERRED)",
    )
    ensure(file)
    file.postgres("INSERT INTO late VALUES (1, 2); INSERT INTO late VALUES (2, 1)")
    with pytest.raises(psycopg2.errors.ForeignKeyViolation):
        file.postgres("INSERT INTO soon VALUES (1, 2); INSERT INTO soon VALUES (2, 1)")


DEFAULTS = [
    "INT DEFAULT -7",
    "INT DEFAULT (+7)",
    "INT DEFAULT '12'",
    'INT DEFAULT "0"',
    "INT DEFAULT 0x10",
    "INT DEFAULT ((1) + (2))",
    "REAL DEFAULT 1.5e3",
    "REAL DEFAULT 1",
    "NUMERIC DEFAULT 0.1",
    "NUMERIC DEFAULT '5'",
    "BOOLEAN DEFAULT 0",
    "BOOLEAN DEFAULT TRUE",
    "BOOLEAN DEFAULT false",
    "TEXT DEFAULT 'it''s \\ %s'",
    "TEXT DEFAULT ''",
    "TEXT DEFAULT 5",
    "TEXT DEFAULT 1.0",
    'TEXT DEFAULT "double"',
    "TEXT DEFAULT bare",
    "TEXT DEFAULT 'null'",
    "TEXT DEFAULT NULL",
    "TEXT DEFAULT ('a' || 'b')",
    "BLOB DEFAULT X'00ff'",
    "DATE DEFAULT '2024-01-01'",
    "TEXT DEFAULT current_timestamp",
    "DATETIME DEFAULT CURRENT_TIMESTAMP",
    "DATE DEFAULT (Current_Date)",
    "TEXT DEFAULT CURRENT_TIME",
    "TEXT DEFAULT (datetime('now'))",
    "TEXT DEFAULT (datetime())",
    "DATE DEFAULT (date('NOW'))",
    "TEXT DEFAULT (time('now'))",
    "TEXT DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))",
    "TEXT DEFAULT (strftime('on %d.%m.%Y, %j (day %w), 100%% sure', 'now'))",
    "INTEGER DEFAULT (strftime('%s', 'now'))",
    "TEXT DEFAULT (strftime('%s', 'now'))",
    "INTEGER DEFAULT (CAST(strftime('%s','now') AS INT) * 1000)",
    "INTEGER DEFAULT (strftime('%s', 'now') || '000')",
    "INTEGER DEFAULT (unixepoch())",
    "INTEGER DEFAULT (unixepoch('now') * 1000)",
    "TEXT DEFAULT (lower(hex(randomblob(16))))",
    "BLOB DEFAULT (randomblob(32))",
    "INTEGER DEFAULT (random())",
    "INTEGER DEFAULT (abs(random()) % 1)",
    "TEXT DEFAULT (lower(hex(randomblob(4))) || '-4' || substr('89ab', abs(random()) % 4 + 1, 1))",
]


def shape(value: Any) -> Any:
    """Return a value with what chance and the time of day decide blanked out."""
    if isinstance(value, memoryview):
        value = bytes(value)
    if isinstance(value, int) and abs(value) > 10**15:
        return "a random number"
    if isinstance(value, int) and value > 10**9:
        return "seconds" if abs(value - time.time()) < 60 else "milliseconds"
    if isinstance(value, bytes) and len(value) == 32:
        return "random bytes"
    if isinstance(value, str) and re.fullmatch(r"[0-9a-f]{8,}(-4[89ab])?", value):
        return re.sub("[0-9a-f]", "x", value)
    if isinstance(value, str):  # the two rows may be of two seconds, though hardly of two hours
        return re.sub(r":\d\d(:\d\d(\.\d{3})?)?", lambda found: ":" + "5" * len(found.group()), value)
    return value


def test_a_row_without_the_column_gets_the_same_default(file: Tenant) -> None:
    columns = ", ".join(f"c{n} {declared}" for n, declared in enumerate(DEFAULTS))
    file.sqlite(f"CREATE TABLE t (k INT, {columns})")
    ensure(file)
    file.sqlite("INSERT INTO t (k) VALUES (1)")
    file.postgres("INSERT INTO t (k) VALUES (1)")
    with contextlib.closing(sqlite3.connect(file.sqlite_path)) as source:
        theirs = source.execute("SELECT * FROM t").fetchone()[1:]
    ours = file.postgres("SELECT * FROM t")[0][1:]
    for declared, one, other in zip(DEFAULTS, theirs, ours, strict=True):
        other = float(other) if type(other).__name__ == "Decimal" else other
        assert (declared, shape(other)) == (declared, shape(one))
        assert isinstance(one, (int, float)) or type(shape(one)) is type(shape(other)), declared


def test_a_random_default_is_another_one_for_every_row(file: Tenant) -> None:
    file.sqlite("CREATE TABLE t (k INT, a INTEGER DEFAULT (random()), b TEXT DEFAULT (hex(randomblob(8))))")
    ensure(file)
    file.postgres("INSERT INTO t SELECT n FROM generate_series(1, 50) n")
    seen = file.postgres("SELECT count(DISTINCT a), count(DISTINCT b), bool_or(a < 0), bool_or(a > 0) FROM t")
    assert seen == [(50, 50, True, True)]


def test_a_column_without_a_promise_is_typed_by_what_it_holds_and_loads(file: Tenant) -> None:
    file.sqlite(
        """CREATE TABLE t (
             k INTEGER PRIMARY KEY, a, b number, c "byte[]", d "TEXT[]", e timestampz, f intege, g UUID, h)""",
        "INSERT INTO t VALUES (1, 1, 2.5, x'00', 'x', '2024-01-01', 9007199254740993, 'u', 9007199254740993)",
        "INSERT INTO t VALUES (2, 9, 3, NULL, 'y', NULL, 1, 'v', 0.5)",
    )
    ensure(file)
    file.load()
    assert file.parity().verdict == PASSED
    types = file.postgres("SELECT array_agg(format_type(atttypid, atttypmod) ORDER BY attnum) FROM pg_attribute"
                          " WHERE attrelid = 't'::regclass AND attnum > 1")  # fmt: skip
    assert types == [(["bigint", "double precision", "bytea", "text", "text", "bigint", "text", "numeric"],)]


def test_texts_sort_as_in_the_file(file: Tenant) -> None:
    words = ["b", "B", "a", "é", "_", "Z", "z", "", "ä"]
    file.sqlite("CREATE TABLE words (x TEXT)", *(("INSERT INTO words VALUES (?)", (word,)) for word in words))
    ensure(file)
    file.load()
    with contextlib.closing(sqlite3.connect(file.sqlite_path)) as source:
        assert (
            file.postgres("SELECT x FROM words ORDER BY x")
            == source.execute("SELECT x FROM words ORDER BY x").fetchall()
        )


def test_an_icu_collation_is_refused_by_a_server_without_icu(file: Tenant) -> None:
    file.sqlite("CREATE TABLE t (x TEXT COLLATE NOCASE)")
    if file.database.run("SELECT 1 FROM pg_collation WHERE collname LIKE 'und-%'"):
        assert "collation nocase" in ensure(file, nocase="icu")
        file.postgres("INSERT INTO t VALUES ('Bob')")
        assert file.postgres("SELECT x FROM t WHERE x = 'bob'") == [("Bob",)]
    else:
        with pytest.raises(PostgresError, match="built without ICU"):
            ensure(file, nocase="icu")
        assert nothing_there(file)
