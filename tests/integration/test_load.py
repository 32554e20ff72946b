# SPDX-License-Identifier: GPL-3.0-or-later
"""Rows from a real SQLite file into a real PostgreSQL: again, interrupted, replaced, and never over other rows."""

from __future__ import annotations

import concurrent.futures
import contextlib
from collections.abc import Iterator
from pathlib import Path

import psycopg2
import pytest
from _databases import (
    NOTHING,
    VIDEOS,
    WHOLE,
    Database,
    Tenant,
    counts,
    failed,
    fresh_database,
    two_profiles,
)
from _servers import Server
from ansible_collections.sxops.pg_cutover.plugins.module_utils import (
    _bulk_load,
    _census,
    _load_decision,
    _postgres_store,
)
from ansible_collections.sxops.pg_cutover.plugins.module_utils._errors import (
    BackupError,
    DataRefused,
    LockHeld,
    PostgresError,
    SqliteError,
    TargetNotEmpty,
)
from ansible_collections.sxops.pg_cutover.plugins.module_utils._progress import SILENT
from ansible_collections.sxops.pg_cutover.plugins.module_utils._verdict import PASSED


@pytest.fixture(scope="module")
def database(server: Server) -> Iterator[Database]:
    with fresh_database(server, "load") as found:
        yield found


@pytest.fixture
def tenant(database: Database, tmp_path: Path) -> Tenant:
    """A whole file that is one profile's; the test makes the tables."""
    return Tenant(database, tmp_path / "snapshot.db")


@pytest.fixture
def videos(database: Database, tmp_path: Path) -> Tenant:
    return two_profiles(database, tmp_path / "snapshot.db")


@contextlib.contextmanager
def loading(tenant: Tenant) -> Iterator[Iterator[_bulk_load.TableLoad]]:
    """Begin a load, which goes on table by table."""
    with _bulk_load.make_workers(2) as workers, tenant.stores() as stores:
        _load_decision.begin(stores.connection, tenant.source_id)
        _bulk_load.open_workers(workers, stores, tenant.params)
        plans = stores.plan.tables
        taken = {plan.source: _census.take_census(stores.source, plan, tenant.source_id) for plan in plans}
        actions = {plan.target: _load_decision.LOAD for plan in plans}
        yield _bulk_load.load_tables(_bulk_load.Load(stores, workers, tenant.params, "digest", SILENT), actions, taken)


def test_a_second_load_finds_nothing_to_do(videos: Tenant) -> None:
    assert set(videos.actions().values()) == {"load"}
    assert counts(videos) == WHOLE
    before = videos.postgres("SELECT * FROM sxops_cutover.load ORDER BY 1, 2")
    assert set(videos.actions().values()) == {"keep"}
    assert videos.postgres("SELECT * FROM sxops_cutover.load ORDER BY 1, 2") == before


def test_the_other_profile_in_the_file_does_not_travel_and_its_own_load_does_not_mix(videos: Tenant) -> None:
    videos.load()
    other = Tenant(videos.database, videos.sqlite_path, "b", videos.options)
    other.create_schema(VIDEOS)
    other.load()
    assert counts(other) == WHOLE
    assert videos.postgres("SELECT DISTINCT source_id FROM videos") == [("a",)]
    assert videos.parity().verdict == other.parity().verdict == PASSED


def test_a_check_says_the_same_and_touches_nothing(videos: Tenant) -> None:
    videos.database.run("DROP SCHEMA sxops_cutover CASCADE")
    before = videos.database.describe()
    assert videos.actions(check=True) == dict.fromkeys(("events", "jobs", "videos", "notes"), "load")
    assert videos.database.describe() == before
    assert counts(videos) == NOTHING
    assert set(videos.actions().values()) == {"load"}  # and the load makes its own journal


def test_a_load_that_was_killed_after_one_table_goes_on_with_the_next(videos: Tenant) -> None:
    with loading(videos) as tables:
        next(tables)
    assert counts(videos) == {**NOTHING, "events": 6}
    assert videos.actions() == {"events": "keep", "jobs": "load", "videos": "load", "notes": "load"}
    assert videos.parity().verdict == PASSED


def test_a_session_that_ends_within_a_table_leaves_nothing_of_it_and_says_so(videos: Tenant) -> None:
    videos.postgres(
        "CREATE FUNCTION die() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NEW; END $$;"
        "CREATE TRIGGER die BEFORE INSERT ON videos FOR EACH ROW WHEN (NEW.id = 'v30') EXECUTE FUNCTION die()"
    )
    with pytest.raises(PostgresError, match=r"Loading table sx_a\.videos failed: .*terminat"):
        videos.load()
    assert counts(videos) == {**NOTHING, "events": 6, "jobs": 3}
    videos.postgres("DROP TRIGGER die ON videos")
    assert videos.actions() == {"events": "keep", "jobs": "keep", "videos": "load", "notes": "load"}


def test_a_row_that_postgresql_refuses_leaves_the_table_as_it_was(videos: Tenant) -> None:
    videos.postgres("ALTER TABLE videos ADD CONSTRAINT small CHECK (size < 30)")
    with pytest.raises(PostgresError, match="small") as refusal:
        videos.load()
    assert refusal.value.facts["constraint"] == "small"
    assert refusal.value.facts["row"] == "(source_id=a, id=v30)"
    assert counts(videos)["videos"] == 0


def test_rows_that_a_trigger_withholds_stop_the_load(videos: Tenant) -> None:
    videos.postgres(
        "CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;"
        "CREATE TRIGGER nothing BEFORE INSERT ON events FOR EACH ROW EXECUTE FUNCTION nothing()"
    )
    with pytest.raises(PostgresError, match=r"6 row\(s\) were sent, the table held 0"):
        videos.load()


def test_a_changed_snapshot_replaces_everything_of_the_earlier_load(videos: Tenant) -> None:
    videos.load()
    videos.sqlite("UPDATE videos SET title = 'new' WHERE id = 'v01'", "DELETE FROM notes WHERE id = 'v02'")
    assert set(videos.actions().values()) == {"replace"}
    assert counts(videos) == {**WHOLE, "notes": 19}
    assert videos.parity().verdict == PASSED


@pytest.mark.parametrize(
    ("statement", "named"),
    [
        ("INSERT INTO events VALUES ('a', 'late')", r"sx_a\.events holds 7 row\(s\) and was changed after 6"),
        ("UPDATE videos SET title = 'edited' WHERE id = 'v07'", r"sx_a\.videos holds 40 row\(s\) and was changed"),
        ("DELETE FROM notes", r"sx_a\.notes holds 0 row\(s\) and was changed after 20"),
    ],
)
@pytest.mark.parametrize("newer", [True, False], ids=["newer snapshot", "same snapshot"])
def test_rows_changed_since_the_load_are_refused_and_left_as_they_are(
    videos: Tenant, statement: str, named: str, newer: bool
) -> None:
    videos.load()
    videos.postgres(statement)
    before = [videos.postgres(f"SELECT * FROM {name} ORDER BY 1, 2") for name in WHOLE]
    if newer:
        videos.sqlite("UPDATE videos SET title = 'new'")
    with pytest.raises(TargetNotEmpty, match=named):
        videos.load()
    assert [videos.postgres(f"SELECT * FROM {name} ORDER BY 1, 2") for name in WHOLE] == before


def test_rows_that_nobody_loaded_are_refused_and_left_as_they_are(videos: Tenant) -> None:
    videos.postgres("INSERT INTO jobs (source_id, name) VALUES ('a', 'seeded by the application')")
    with pytest.raises(TargetNotEmpty, match=r"sx_a\.jobs holds 1 row\(s\) that nobody loaded") as refusal:
        videos.load()
    assert "archive" in refusal.value.remedy
    assert counts(videos) == {**NOTHING, "jobs": 1}


def test_rows_that_come_between_the_decision_and_the_replacement_are_kept(videos: Tenant) -> None:
    videos.load()
    videos.sqlite("UPDATE videos SET title = 'new'")
    with videos.stores() as stores:
        tables = stores.plan.tables
        actions = _load_decision.decide(stores.source, stores.connection, tables, videos.schema, "a")
        assert set(actions.values()) == {"replace"}
        videos.postgres("INSERT INTO events VALUES ('a', 'late')")
        with pytest.raises(TargetNotEmpty, match=r"events holds 7 row\(s\)"):
            _load_decision.clear(stores.connection, tables, videos.schema)
    assert counts(videos) == {**WHOLE, "events": 7}


def test_rows_of_the_applications_own_tables_are_not_deleted_along(videos: Tenant) -> None:
    videos.postgres(
        "CREATE TABLE clicks (source_id text, id text, FOREIGN KEY (source_id, id) REFERENCES videos ON DELETE CASCADE)"
    )
    videos.load()
    videos.postgres("INSERT INTO clicks VALUES ('a', 'v01')")
    videos.sqlite("UPDATE videos SET title = 'new'")
    with pytest.raises(TargetNotEmpty, match=r"sx_a\.clicks holds 1 row\(s\) that would be deleted or changed along"):
        videos.load()
    assert videos.postgres("SELECT * FROM clicks") == [("a", "v01")]
    assert counts(videos) == WHOLE


def test_a_row_written_while_a_table_is_being_loaded_is_never_taken_for_ours(videos: Tenant) -> None:
    with loading(videos) as tables:
        videos.postgres("INSERT INTO events VALUES ('a', 'meanwhile')")
        with pytest.raises(PostgresError, match=r"6 row\(s\) were sent, the table held 7"):
            next(tables)
    assert videos.postgres("SELECT what FROM events") == [("meanwhile",)]


def test_another_snapshot_than_the_verified_one_is_not_loaded(videos: Tenant) -> None:
    other = Tenant(videos.database, videos.sqlite_path, "a", {**videos.options, "snapshot_sha256": "0" * 64})
    videos.database.run("DROP SCHEMA sxops_cutover CASCADE")
    with pytest.raises(BackupError, match="is not the one that was verified"):
        other.load()
    assert counts(videos) == NOTHING
    assert not videos.database.run("SELECT 1 FROM pg_namespace WHERE nspname = 'sxops_cutover'"), "nothing was written"
    # Another file explains what is wrong in it.
    videos.sqlite("UPDATE videos SET title = x'00'")
    with pytest.raises(BackupError, match="is not the one that was verified"):
        other.load()


def test_a_snapshot_that_is_damaged_inside_is_sqlites_fault_and_not_postgresqls(tenant: Tenant) -> None:
    tenant.sqlite(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, x TEXT)",
        *(("INSERT INTO t VALUES (?, ?)", (n, "y" * 900)) for n in range(400)),
    )
    tenant.create_schema("CREATE TABLE t (id int PRIMARY KEY, x text)")
    with loading(tenant) as tables:
        content = bytearray(tenant.sqlite_path.read_bytes())
        content[-4096 * 20 :] = b"\xff" * (4096 * 20)
        tenant.sqlite_path.write_bytes(content)
        with pytest.raises(SqliteError, match="malformed"):
            next(tables)
    assert tenant.postgres("SELECT count(*) FROM t") == [(0,)]


def test_the_order_satisfies_foreign_keys_and_a_table_may_refer_to_itself(tenant: Tenant) -> None:
    tenant.sqlite(
        "CREATE TABLE a_child (id INTEGER PRIMARY KEY, up INT)",
        "CREATE TABLE z_parent (id INTEGER PRIMARY KEY, up INT)",
        "INSERT INTO z_parent VALUES (1, 2), (2, NULL), (3, 3)",
        "INSERT INTO a_child VALUES (1, 3)",
    )
    tenant.create_schema(
        "CREATE TABLE z_parent (id int PRIMARY KEY, up int REFERENCES z_parent);"
        "CREATE TABLE a_child (id int PRIMARY KEY, up int REFERENCES z_parent)"
    )
    assert list(tenant.actions()) == ["z_parent", "a_child"]
    assert tenant.parity().verdict == PASSED


def test_an_orphan_is_refused_before_anything_is_written(videos: Tenant) -> None:
    videos.sqlite("INSERT INTO notes VALUES ('a', 'gone', 'x')")
    with pytest.raises(DataRefused, match=r"notes\.source_id, id: no parent row in videos .*id=gone"):
        videos.load()
    assert counts(videos) == NOTHING


def test_a_file_in_another_encoding_is_refused_as_such(tenant: Tenant) -> None:
    tenant.sqlite("PRAGMA encoding = 'UTF-16le'", "CREATE TABLE t (x TEXT)", "INSERT INTO t VALUES ('x')")
    tenant.create_schema("CREATE TABLE t (x text)")
    with pytest.raises(SqliteError, match="UTF-16le"):
        tenant.load()


@pytest.mark.parametrize(
    "column",
    [
        "id bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY",
        "id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY",
        "id serial PRIMARY KEY",
        "id bigint PRIMARY KEY DEFAULT nextval('\"Own Seq\"')",  # a sequence that no column owns
    ],
)
def test_the_next_number_lies_above_every_loaded_one(tenant: Tenant, column: str) -> None:
    tenant.sqlite("CREATE TABLE t (id INTEGER PRIMARY KEY, x TEXT)", "INSERT INTO t VALUES (7, 'x'), (41, 'y')")
    tenant.create_schema(f'CREATE SEQUENCE "Own Seq"; CREATE TABLE t ({column}, x text)')
    tenant.load()
    assert tenant.parity().verdict == PASSED
    assert tenant.postgres("INSERT INTO t (x) VALUES ('z') RETURNING id") == [(42,)]


def test_an_empty_table_starts_at_its_beginning(tenant: Tenant) -> None:
    tenant.sqlite("CREATE TABLE t (id INTEGER PRIMARY KEY, x TEXT)")
    tenant.create_schema("CREATE TABLE t (id serial PRIMARY KEY, x text)")
    tenant.load()
    assert tenant.postgres("INSERT INTO t (x) VALUES ('z') RETURNING id") == [(1,)]


def test_a_sequence_that_lags_behind_its_table_fails(videos: Tenant) -> None:
    videos.load()
    videos.postgres("ALTER SEQUENCE jobs_id_seq RESTART WITH 3")
    assert failed(videos) == {"sequence of jobs.id"}


def test_a_second_run_for_the_profile_is_refused_by_the_name_of_the_first(videos: Tenant) -> None:
    first = psycopg2.connect(videos.database.dsn, application_name="night shift")
    with contextlib.closing(first):
        _postgres_store.try_profile_lock(first, "a")
        with pytest.raises(LockHeld, match="night shift, user postgres") as refusal:
            videos.load()
        assert refusal.value.facts == {"holder_pid": first.info.backend_pid}
        assert counts(videos) == NOTHING
        Tenant(videos.database, videos.sqlite_path, "b", videos.options).create_schema(VIDEOS)
        Tenant(videos.database, videos.sqlite_path, "b", videos.options).load()  # another profile is not held up
    assert set(videos.actions().values()) == {"load"}


def _load(tenant: Tenant) -> dict[str, str] | None:
    try:
        return tenant.actions()
    except LockHeld:
        return None


def test_two_loads_at_once_load_the_rows_once(videos: Tenant) -> None:
    with concurrent.futures.ProcessPoolExecutor(3) as pool:
        outcomes = list(pool.map(_load, [videos] * 3))
    assert any(outcomes)
    assert counts(videos) == WHOLE
    assert videos.parity().verdict == PASSED
