# SPDX-License-Identifier: GPL-3.0-or-later
"""The tenant schema on a real PostgreSQL, and the connection to it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from _databases import (
    VIDEOS,
    Database,
    Tenant,
    fresh_database,
    two_profiles,
)
from ansible_collections.sxops.pg_cutover.plugins.module_utils import (
    _postgres_store,
    _sqlite_store,
    _tenant_schema,
)
from ansible_collections.sxops.pg_cutover.plugins.module_utils._errors import (
    PostgresError,
    ProfileError,
    SchemaRefused,
)
from ansible_collections.sxops.pg_cutover.plugins.module_utils._profile import Profile, profile_of
from ansible_collections.sxops.pg_cutover.plugins.module_utils._verdict import PASSED
from local_stack.stack import Stack


@pytest.fixture(scope="module")
def database(stack: Stack) -> Iterator[Database]:
    with fresh_database(stack, "tenant_engine") as found:
        yield found


@pytest.fixture
def tenant(database: Database, tmp_path: Path) -> Tenant:
    """A whole file that is one profile's; the test makes the tables."""
    return Tenant(database, tmp_path / "snapshot.db")


@pytest.fixture
def videos(database: Database, tmp_path: Path) -> Tenant:
    return two_profiles(database, tmp_path / "snapshot.db")


# The tenant schema


def connected(tenant: Tenant) -> contextlib.closing[Any]:
    return contextlib.closing(_postgres_store.connect(tenant.params))


def ensure(tenant: Tenant, **options: Any) -> list[str]:
    """Translate the file into the profile's schema, and return what was done."""
    profile = profile_of(tenant.source_id, "sx")
    with contextlib.closing(_sqlite_store.open_readonly(tenant.sqlite_path)) as source:
        catalog = _sqlite_store.read_catalog(source)
    facts = {"owner": None, "app_role": None, "registry_table": "public.registry", **options}
    with connected(tenant) as connection:
        plan = _tenant_schema.plan_present(
            connection,
            profile,
            catalog=catalog,
            translate_tables=[table.name for table in catalog.tables if table.kind == "table"],
            **facts,
        )
        _tenant_schema.apply(connection, plan)
    return plan.actions


@pytest.fixture
def translated(database: Database, tmp_path: Path) -> Tenant:
    """A file to be translated, and nothing in PostgreSQL yet."""
    tenant = Tenant(database, tmp_path / "snapshot.db", "new")
    database.run("DROP SCHEMA IF EXISTS sx_new CASCADE; DROP SCHEMA IF EXISTS sx_new_kept CASCADE")
    database.run("DROP TABLE IF EXISTS public.registry")
    tenant.sqlite(
        'CREATE TABLE "Order" ("Select" INTEGER PRIMARY KEY AUTOINCREMENT, "MiXed" TEXT NOT NULL DEFAULT \'x\','
        " price NUMERIC, ok BOOLEAN, raw BLOB, f REAL, code TEXT UNIQUE)",
        'CREATE TABLE item (o INTEGER REFERENCES "order" ON DELETE CASCADE, n INT, up INT, PRIMARY KEY (o, n))',
        'CREATE INDEX by_code ON "Order" (code DESC, "MiXed")',
        "INSERT INTO \"Order\" VALUES (5, 'a', 1.50, 1, x'00', 0.1, 'c'), (9, 'b', 2, 0, NULL, 1, NULL)",
        "INSERT INTO item VALUES (5, 1, NULL), (9, 1, 3)",
    )
    return tenant


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
    translated.sqlite("CREATE TABLE bad (x JSON, y INT CHECK (y > 0))")
    with pytest.raises(SchemaRefused, match=r"table bad: a CHECK constraint.*column bad\.x"):
        ensure(translated)
    assert translated.database.run("SELECT 1 FROM pg_namespace WHERE nspname = 'sx_new'") == []


def test_what_postgresql_refuses_is_undone_as_a_whole(translated: Tenant) -> None:
    translated.sqlite("CREATE TABLE parent (x INT)", "CREATE TABLE child (x INT REFERENCES parent (x))")
    with pytest.raises(PostgresError, match=r"Creating foreign key \(x\) of child failed"):
        ensure(translated)
    assert translated.database.run("SELECT 1 FROM pg_namespace WHERE nspname = 'sx_new'") == []


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
    translated.database.run(f'GRANT CREATE ON DATABASE tenant_engine TO "{app_role}"')
    ensure(translated, owner=app_role)
    owners = translated.database.run(
        "SELECT DISTINCT pg_get_userbyid(relowner) FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace"
        " WHERE nspname = 'sx_new'"
    )
    assert owners == [(app_role,)]


def test_an_archived_schema_keeps_its_rows_and_makes_room_for_the_next_attempt(videos: Tenant) -> None:
    videos.load()
    videos.postgres("UPDATE videos SET title = 'kept for forensics' WHERE id = 'v00'")
    videos.database.run("DROP SCHEMA IF EXISTS sx_a_kept CASCADE")
    kept_as = _tenant_schema.archive_name(videos.schema, "kept")
    with connected(videos) as connection:
        _tenant_schema.archive(connection, videos.schema, kept_as)
    assert videos.database.run("SELECT title FROM sx_a_kept.videos WHERE id = 'v00'") == [("kept for forensics",)]
    videos.create_schema(VIDEOS)
    assert set(videos.actions().values()) == {"load"}


def test_a_schema_is_never_archived_over_another(videos: Tenant) -> None:
    videos.database.run("DROP SCHEMA IF EXISTS sx_a_kept CASCADE; CREATE SCHEMA sx_a_kept")
    videos.load()
    with connected(videos) as connection, pytest.raises(PostgresError, match="already exists"):
        _tenant_schema.archive(connection, videos.schema, "sx_a_kept")
    assert set(videos.actions().values()) == {"keep"}


def test_the_name_of_an_archived_schema_always_fits() -> None:
    assert _tenant_schema.archive_name("s" * 63, "kept_20261121T030000") == "s" * 42 + "_kept_20261121T030000"
    for suffix in ("x" * 63, "a b", "é", 'x"; DROP SCHEMA public'):
        with pytest.raises(ProfileError):
            _tenant_schema.archive_name("sx_a", suffix)


@pytest.mark.parametrize(
    ("mapped", "inventory", "named"),
    [
        ({"a.b": "sx_a_b"}, {}, "already belongs to source_id 'a.b'"),
        ({}, {"a.b": "sx_a_b"}, "already belongs to source_id 'a.b'"),
        ({"a-b": "sx_other"}, {}, "is mapped to schema 'sx_other'"),
    ],
)
def test_a_profile_that_would_share_a_schema_is_refused(
    mapped: dict[str, str], inventory: dict[str, str], named: str
) -> None:
    with pytest.raises(ProfileError, match=named):
        _tenant_schema.check_mapping(Profile("a-b", "sx_a_b"), mapped, inventory)


# The connection


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"login_password": "wr0ng-Secret"}, "refused the login"),
        ({"login_port": 1, "login_password": "wr0ng-Secret"}, "cannot be reached at 127.0.0.1:1"),
        ({"dsn": "postgresql://postgres:wr0ng@Secret@127.0.0.1:1/x"}, "percent-encoded"),
        ({"dsn": "host=127.0.0.1 port=1 password='wr0ng-Secret"}, "cannot be parsed"),
        ({"login_db": "no such database"}, "no such database"),
    ],
)
def test_a_failed_connection_says_where_and_why_and_never_the_password(
    videos: Tenant, change: dict[str, Any], said: str
) -> None:
    with pytest.raises(PostgresError, match=said) as refusal:
        _postgres_store.connect({**videos.params, **change})
    assert "Secret" not in str(refusal.value)


@pytest.mark.parametrize("prefix", ["postgresql+psycopg://", "postgresql+asyncpg://", "postgres://"])
def test_the_spellings_of_applications_are_understood(videos: Tenant, prefix: str) -> None:
    dsn = videos.database.dsn.replace("postgresql://", prefix)
    with contextlib.closing(_postgres_store.connect({"dsn": dsn})) as connection:
        assert connection.info.dbname == "tenant_engine"


def test_a_session_reads_and_writes_alike_whatever_the_role_is_set_to(database: Database, tmp_path: Path) -> None:
    database.run(
        "ALTER DATABASE tenant_engine SET extra_float_digits TO -15;"
        "ALTER DATABASE tenant_engine SET bytea_output TO escape;"
        "ALTER DATABASE tenant_engine SET client_encoding TO latin1"
    )
    try:
        tenant = Tenant(database, tmp_path / "x.db")
        tenant.sqlite("CREATE TABLE t (x REAL, y BLOB, z TEXT)", "INSERT INTO t VALUES (0.1, x'00ff', 'ä😀')")
        tenant.create_schema("CREATE TABLE t (x double precision, y bytea, z text)")
        tenant.load()
        assert tenant.parity().verdict == PASSED
    finally:
        database.run(
            "ALTER DATABASE tenant_engine RESET ALL; ALTER DATABASE tenant_engine SET synchronous_commit TO off"
        )
