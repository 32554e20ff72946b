# SPDX-License-Identifier: GPL-3.0-or-later
"""The tenant schema on a real PostgreSQL, and the connection to it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

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
    _tenant_schema,
)
from ansible_collections.sxops.pg_cutover.plugins.module_utils._errors import (
    PostgresError,
    ProfileError,
)
from ansible_collections.sxops.pg_cutover.plugins.module_utils._profile import Profile
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
