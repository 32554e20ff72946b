# SPDX-License-Identifier: GPL-3.0-or-later
"""The migration tables of the tools as they are in PostgreSQL, and the shape of a schema as its catalogue has it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import psycopg2
import pytest
from _databases import Database, fresh_database
from _module_process import run_process
from _servers import Server
from ansible_collections.sxops.pg_cutover.plugins.module_utils._migration_history import History, read_history
from ansible_collections.sxops.pg_cutover.plugins.module_utils._schema_shape import compare_shape, shape
from ansible_collections.sxops.pg_cutover.plugins.module_utils._verdict import FAILED, PASSED

TABLES = """
CREATE SCHEMA sx_a;
CREATE TABLE sx_a.alembic_version (version_num varchar(32) PRIMARY KEY);
INSERT INTO sx_a.alembic_version VALUES ('20251114_0011');
CREATE TABLE public."__EFMigrationsHistory" ("MigrationId" varchar(150) PRIMARY KEY, "ProductVersion" varchar(32));
INSERT INTO public."__EFMigrationsHistory" VALUES ('20250101_Initial', '8.0.1'), ('20250301_Slugs', '8.0.1');
CREATE TABLE sx_a.schema_migrations (version int PRIMARY KEY, checksum text, applied_at timestamptz DEFAULT now());
INSERT INTO sx_a.schema_migrations VALUES (1, 'AA'), (2, 'bb');
"""
SHAPED = """
CREATE TABLE authors (id int PRIMARY KEY, name text NOT NULL);
CREATE TABLE items (id bigint GENERATED ALWAYS AS IDENTITY, author int REFERENCES authors ON DELETE CASCADE,
  "Title" varchar(20) CHECK (length("Title") > 0), UNIQUE ("Title", author)) PARTITION BY RANGE (author);
CREATE TABLE items_one PARTITION OF items FOR VALUES FROM (0) TO (100);
CREATE INDEX recent ON items (author DESC, lower("Title")) WHERE author IS NOT NULL;
"""


@pytest.fixture(scope="module")
def database(server: Server) -> Iterator[Database]:
    with fresh_database(server, "migration_history") as created:
        created.run(TABLES)
        yield created


def history(database: Database, **wanted: Any) -> History:
    with contextlib.closing(psycopg2.connect(database.dsn)) as connection:
        return read_history(connection, "sx_a", wanted)


def test_the_head_of_alembic(database: Database) -> None:
    wanted = {"table": "alembic_version", "column": "version_num"}
    found = history(database, **wanted, expected=["20251108_0001", "20251114_0011"])
    assert (found.verdict, found.missing) == (PASSED, ())
    assert found.checks[0].name == "migration history sx_a.alembic_version"
    assert history(database, **wanted, expected=["20251114_0011", "20251201_0012"]).missing == ("20251201_0012",)


def test_the_history_of_entity_framework(database: Database) -> None:
    wanted = {"table": "public.__EFMigrationsHistory", "column": "MigrationId"}
    assert history(database, **wanted, expected=["20250101_Initial", "20250301_Slugs"]).verdict == PASSED
    assert history(database, **wanted, expected=["20250401_Later"]).missing == ("20250401_Later",)


def test_numbers_and_checksums(database: Database) -> None:
    wanted = {"table": "schema_migrations", "column": "version", "checksum_column": "checksum"}
    found = history(database, **wanted, expected=[1], expected_checksums={"1": "aa", "2": "cc"})
    assert found.applied == (("1", "AA"), ("2", "bb"))
    assert (found.verdict, found.missing, found.mismatched) == (FAILED, (), ("2",))


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ({"table": "nowhere", "column": "v"}, "the table does not exist"),
        ({"table": "public.__EFMigrationsHistory", "column": "migrationid"}, "MigrationId, ProductVersion"),
    ],
)
def test_what_is_not_there_is_a_failure_with_everything_missing(
    database: Database, wanted: dict[str, Any], said: str
) -> None:
    found = history(database, **wanted, expected=["x"])
    assert (found.verdict, found.missing) == (FAILED, ("x",))
    assert said in found.checks[0].message


def test_the_module_tells_and_fails_where_it_is_asked_to(database: Database) -> None:
    params = {
        "dsn": database.dsn,
        "source_id": "a",
        "migrations": {"table": "alembic_version", "column": "version_num", "expected": ["later"]},
    }
    told = run_process("migration_history_info", params)
    assert (told["changed"], told["verdict"], told["missing"]) == (False, "failed", ["later"])
    assert told["applied"] == [{"id": "20251114_0011", "checksum": None}]
    refused = run_process("migration_history_info", {**params, "fail_on_open": True})
    assert (refused["failed"], refused["error"]) == (True, "migrations_open")
    assert "missing: later" in refused["msg"]


@pytest.mark.parametrize(
    ("statement", "table", "said"),
    [
        ("DROP TABLE sx_c.items", "items", "the table is missing"),
        ('ALTER TABLE sx_c.items DROP COLUMN "Title"', "items", "column Title is missing; index "),
        ("DROP INDEX sx_c.recent", "items", "index recent is missing: btree (author DESC, lower((\"Title\")::text))"),
        ("ALTER TABLE sx_c.items DROP CONSTRAINT items_author_fkey", "items", "REFERENCES authors (id) ON DELETE"),
        ('ALTER TABLE sx_c.items DROP CONSTRAINT "items_Title_check"', "items", "items_Title_check is missing"),
        ("ALTER TABLE sx_c.authors ALTER name DROP NOT NULL", "authors", "is text and should be text NOT NULL"),
    ],
)  # fmt: skip
def test_the_shape_of_one_schema_is_expected_of_another(
    database: Database, statement: str, table: str, said: str
) -> None:
    for schema in ("sx_b", "sx_c"):
        database.run(
            f"DROP SCHEMA IF EXISTS {schema} CASCADE; CREATE SCHEMA {schema}; SET search_path TO {schema}; {SHAPED}"
        )
    with contextlib.closing(psycopg2.connect(database.dsn)) as connection:
        connection.autocommit = True
        expected = shape(connection, "sx_b")
        assert sorted(expected) == ["authors", "items"]
        assert {check.verdict for check in compare_shape(expected, shape(connection, "sx_c"))} == {PASSED}
        database.run(statement)
        found = {check.name: check for check in compare_shape(expected, shape(connection, "sx_c"))}
    assert found[f"schema of {table}"].verdict == FAILED
    assert said in found[f"schema of {table}"].message
    assert [name for name, check in found.items() if check.verdict == FAILED] == [f"schema of {table}"]
