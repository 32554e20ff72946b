# SPDX-License-Identifier: GPL-3.0-or-later
"""The fence in SQLite: the profile's writes are refused at once, and nobody else notices."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

import pytest
from _captured import CapturedFile
from ansible_collections.sxops.pg_cutover.plugins.module_utils import _capture_sqlite, _fence_sqlite, _sqlite_store
from ansible_collections.sxops.pg_cutover.plugins.module_utils._errors import CaptureError, SchemaRefused

REFUSED = "profile a is fenced: its rows are in PostgreSQL, or on their way there, and can only be read here"
TABLES = (
    "PRAGMA journal_mode = WAL",
    "CREATE TABLE videos (source_id TEXT, id TEXT, title TEXT, PRIMARY KEY (source_id, id))",
    (
        "CREATE TABLE notes (source_id TEXT, id TEXT, body TEXT, PRIMARY KEY (source_id, id),"
        " FOREIGN KEY (source_id, id) REFERENCES videos (source_id, id) ON DELETE CASCADE)"
    ),
    "CREATE TABLE events (source_id TEXT, what TEXT)",
    "CREATE TABLE jobs (id INTEGER PRIMARY KEY, source_id TEXT, name TEXT UNIQUE)",
    "CREATE TABLE sources (id TEXT PRIMARY KEY, label TEXT)",
    "INSERT INTO videos VALUES ('a', 'v1', 'one'), ('b', 'v1', 'other')",
    "INSERT INTO notes VALUES ('a', 'v1', 'n'), ('b', 'v1', 'n')",
    "INSERT INTO events VALUES ('a', 'x'), ('b', 'x')",
    "INSERT INTO jobs VALUES (1, 'a', 'x'), (2, 'b', 'y')",
)
FENCED = ("videos", "notes", "events", "jobs")


@pytest.fixture
def file(tmp_path: Path) -> CapturedFile:
    found = CapturedFile(tmp_path / "sx.db")
    found.run(*TABLES)
    return found


@pytest.fixture
def fenced(file: CapturedFile) -> CapturedFile:
    file.fence(*FENCED)
    return file


WRITES = {
    "insert": "INSERT INTO videos VALUES ('a', 'v2', 'x')",
    "insert of many rows": "INSERT INTO videos VALUES ('b', 'v2', 'x'), ('a', 'v2', 'x')",
    "insert or ignore": "INSERT OR IGNORE INTO videos VALUES ('a', 'v1', 'x')",
    "insert or fail": "INSERT OR FAIL INTO videos VALUES ('a', 'v2', 'x')",
    "replace": "REPLACE INTO videos VALUES ('a', 'v1', 'x')",
    "upsert": "INSERT INTO videos VALUES ('a', 'v1', 'x') ON CONFLICT DO UPDATE SET title = 'x'",
    "upsert that does nothing": "INSERT INTO videos VALUES ('a', 'v1', 'x') ON CONFLICT DO NOTHING",
    "update": "UPDATE videos SET title = 'x'",
    "update or ignore": "UPDATE OR IGNORE videos SET title = 'x'",
    "delete": "DELETE FROM videos WHERE source_id = 'a'",
    "delete of everything": "DELETE FROM videos",
    "a table without a key": "UPDATE events SET what = 'x' WHERE source_id = 'a'",
    "a row that would leave the profile": "UPDATE jobs SET source_id = 'b' WHERE id = 1",
    "a row that would join the profile": "UPDATE jobs SET source_id = 'a' WHERE id = 2",
    "another profile that takes a number": "REPLACE INTO jobs VALUES (1, 'b', 'z')",
    "another profile that takes a unique value": "REPLACE INTO jobs VALUES (3, 'b', 'x')",
    "another profile that updates to a unique value": "UPDATE OR REPLACE jobs SET name = 'x' WHERE id = 2",
}


@pytest.mark.parametrize("write", list(WRITES))
def test_a_write_is_refused_and_all_of_its_transaction_undone(fenced: CapturedFile, write: str) -> None:
    before = [fenced.run(f"SELECT * FROM {table}") for table in FENCED]
    with contextlib.closing(fenced.connect()) as application:
        application.execute("BEGIN")
        application.execute("UPDATE videos SET title = 'first' WHERE source_id = 'b'")
        with pytest.raises(sqlite3.IntegrityError, match=REFUSED):
            application.execute(WRITES[write])
        assert not application.in_transaction
        assert before == [application.execute(f"SELECT * FROM {table}").fetchall() for table in FENCED]


def test_a_cascade_into_the_profile_is_refused(file: CapturedFile) -> None:
    file.fence("notes")
    with contextlib.closing(file.connect()) as application:
        application.execute("PRAGMA foreign_keys = ON")
        with pytest.raises(sqlite3.IntegrityError, match=REFUSED):
            application.execute("DELETE FROM videos WHERE source_id = 'a'")
        application.execute("DELETE FROM videos WHERE source_id = 'b'")
    assert file.run("SELECT source_id FROM notes") == [("a",)]


def test_reads_other_profiles_and_housekeeping_go_on(fenced: CapturedFile) -> None:
    fenced.run(
        "SELECT * FROM videos WHERE source_id = 'a'",
        "CREATE TABLE IF NOT EXISTS videos (source_id TEXT, id TEXT)",
        "CREATE INDEX IF NOT EXISTS titles ON videos (title)",
        "UPDATE videos SET source_id = 'b' WHERE source_id IS NULL OR TRIM(source_id) = ''",
        "INSERT INTO sources VALUES ('a', 'A') ON CONFLICT DO UPDATE SET label = 'A'",
        "INSERT INTO videos VALUES ('b', 'v2', 'x'), ('A', 'v1', 'another one, for SQLite')",
        "UPDATE videos SET title = 'y' WHERE source_id = 'b'",
        "REPLACE INTO jobs VALUES (2, 'b', 'z')",
        "INSERT INTO jobs (source_id, name) VALUES ('b', 'w')",
        "INSERT OR IGNORE INTO jobs VALUES (2, 'b', 'q')",
        "DELETE FROM events WHERE source_id = 'b'",
        "VACUUM",
        "ANALYZE",
    )
    assert fenced.fence_state(*FENCED) == "up"


def test_the_fence_outlives_every_connection_and_is_lifted_without_trace(file: CapturedFile) -> None:
    before = file.schema()
    assert file.fence_state(*FENCED) == "down"
    file.fence(*FENCED)
    file.fence(*FENCED)  # as after a crash
    assert file.run("PRAGMA wal_checkpoint(TRUNCATE)") == [(0, 0, 0)]
    with pytest.raises(sqlite3.IntegrityError, match=REFUSED):
        file.run("DELETE FROM videos")
    assert file.lift() is True
    assert file.lift() is False
    assert file.schema() == before
    assert file.fence_state(*FENCED) == "down"
    file.run("DELETE FROM videos")


def test_capture_goes_on_after_the_fence_as_if_nothing_had_been(file: CapturedFile) -> None:
    file.install("videos", "notes", "jobs")
    before, schema = file.look("videos", "notes", "jobs"), file.schema()
    file.fence(*FENCED)
    assert not file.look("videos", "notes", "jobs").complete
    with pytest.raises(CaptureError, match="the profile is fenced there"):
        file.install("videos", "notes", "jobs")
    file.lift()
    with file.locked() as connection:
        catalog = _sqlite_store.read_catalog(connection)
        subject = (connection, catalog, ["videos", "notes", "jobs"], file.names, "a", "source_id")
        _capture_sqlite.resume(*subject)
    assert file.look("videos", "notes", "jobs") == before
    assert sorted(file.schema()) == sorted(schema)
    file.fence(*FENCED)
    assert file.remove() is True
    assert file.fence_state(*FENCED) == "up"  # what lets our writes pass was left to it
    file.lift()
    assert file.run("SELECT count(*) FROM sqlite_master WHERE name LIKE 'sxops%'") == [(0,)]


def test_our_own_writes_pass_and_nobody_ever_sees_the_pass(fenced: CapturedFile) -> None:
    with fenced.locked() as connection:
        with _fence_sqlite.passing(connection, fenced.names):
            connection.execute("UPDATE videos SET title = 'ours' WHERE source_id = 'a'")
            connection.execute("DELETE FROM events WHERE source_id = 'a'")
            assert fenced.run(f'SELECT count(*) FROM "{fenced.names.passing}"') == [(0,)]
        with pytest.raises(sqlite3.IntegrityError, match=REFUSED):
            connection.execute("DELETE FROM videos")
        connection.execute("BEGIN")
    assert fenced.run("SELECT title FROM videos WHERE source_id = 'a'") == [("one",)]  # rolled back by the last one
    with fenced.locked() as connection, _fence_sqlite.passing(connection, fenced.names):
        connection.execute("UPDATE videos SET title = 'ours' WHERE source_id = 'a'")
    assert fenced.run("SELECT title FROM videos WHERE source_id = 'a'") == [("ours",)]
    assert fenced.run(f'SELECT count(*) FROM "{fenced.names.passing}"') == [(0,)]
    assert fenced.fence_state(*FENCED) == "up"


def test_a_pass_outside_of_a_transaction_is_refused(fenced: CapturedFile) -> None:
    with contextlib.closing(fenced.connect()) as connection:
        with pytest.raises(CaptureError, match="no transaction"), _fence_sqlite.passing(connection, fenced.names):
            pytest.fail("must not be reached")
        connection.execute("BEGIN")
        with pytest.raises(ValueError, match="ours"), _fence_sqlite.passing(connection, fenced.names):
            raise ValueError("ours")
        connection.execute("COMMIT")
        connection.execute("BEGIN")
        with pytest.raises(CaptureError, match="no transaction"), _fence_sqlite.passing(connection, fenced.names):
            connection.execute("ROLLBACK")
    assert fenced.fence_state(*FENCED) == "up"


def test_nothing_is_needed_to_pass_where_there_is_no_fence(file: CapturedFile) -> None:
    before = file.schema()
    with file.locked() as connection, _fence_sqlite.passing(connection, file.names):
        connection.execute("DELETE FROM videos")
    assert file.schema() == before


HOLES = {
    "a table is made anew": "CREATE TABLE new (source_id TEXT, what TEXT); DROP TABLE events;"
    "ALTER TABLE new RENAME TO events",
    "a table is set aside": "ALTER TABLE events RENAME TO old; CREATE TABLE events (source_id TEXT, what TEXT)",
    "a trigger is dropped": 'DROP TRIGGER "sxops_fence_sx_a.events.delete"',
    "somebody is let through for good": 'INSERT INTO "sxops_pass_sx_a" VALUES (1)',
    "a table is gone": "DROP TABLE events",
}


@pytest.mark.parametrize("hole", list(HOLES))
def test_a_fence_with_a_hole_is_not_up(fenced: CapturedFile, hole: str) -> None:
    assert fenced.fence_state(*FENCED) == "up"
    with contextlib.closing(fenced.connect()) as application:
        application.executescript(HOLES[hole])
    assert fenced.fence_state(*FENCED) == "partial"


def test_a_table_that_was_added_is_outside_the_fence(fenced: CapturedFile) -> None:
    fenced.run("CREATE TABLE more (id INTEGER PRIMARY KEY, source_id TEXT)")
    assert fenced.fence_state(*FENCED, "more") == "partial"


def test_a_table_whose_profiles_cannot_be_told_apart_is_not_fenced(file: CapturedFile) -> None:
    with pytest.raises(SchemaRefused, match="Table sources: it has no column source_id"):
        file.fence("videos", "sources")
    assert file.fence_state("videos") == "down"


def test_a_file_of_one_profile_is_fenced_as_a_whole(file: CapturedFile) -> None:
    file.tenant_column = None
    file.fence()
    for statement in ("INSERT INTO sources VALUES ('x', 'y')", "DELETE FROM videos WHERE source_id = 'b'"):
        with pytest.raises(sqlite3.IntegrityError, match=REFUSED):
            file.run(statement)


def test_an_index_over_a_function_of_the_applications_is_no_obstacle(file: CapturedFile) -> None:
    with contextlib.closing(file.connect()) as connection:
        connection.create_function("odd", 1, lambda x: x, deterministic=True)
        connection.execute("CREATE UNIQUE INDEX odd_names ON jobs (odd(name))")
    file.install("jobs")
    file.fence("jobs")
    with contextlib.closing(file.connect()) as application:
        application.create_function("odd", 1, lambda x: x, deterministic=True)
        with pytest.raises(sqlite3.IntegrityError, match=REFUSED):
            application.execute("UPDATE jobs SET name = 'new' WHERE id = 1")
        application.execute("UPDATE jobs SET name = 'new' WHERE id = 2")
        with pytest.raises(sqlite3.IntegrityError, match=REFUSED):
            application.execute("REPLACE INTO jobs VALUES (5, 'b', 'x')")


# --- Why it is RAISE(ROLLBACK) ----------------------------------------------------------------------------------------


def with_variant(file: CapturedFile, action: str) -> None:
    """Make the same fence with another action."""
    with file.locked() as connection:
        rows = connection.execute("SELECT name, sql FROM sqlite_master WHERE name LIKE 'sxops_fence%'").fetchall()
        assert rows
        for name, sql in rows:
            assert "RAISE(ROLLBACK, " in sql
            connection.execute(f'DROP TRIGGER "{name}"')
            connection.execute(sql.replace("RAISE(ROLLBACK, ", f"RAISE({action}, "))


@pytest.mark.parametrize(("action", "others_are_blocked"), [("ROLLBACK", False), ("ABORT", True)])
def test_a_careless_application_blocks_the_others_unless_its_transaction_is_rolled_back(
    fenced: CapturedFile, action: str, others_are_blocked: bool
) -> None:
    with_variant(fenced, action)
    with contextlib.closing(fenced.connect()) as careless, contextlib.closing(fenced.connect(0.1)) as other:
        careless.execute("BEGIN")
        careless.execute("UPDATE sources SET label = 'seen'")
        with pytest.raises(sqlite3.IntegrityError, match=REFUSED):
            careless.execute("INSERT INTO videos VALUES ('a', 'v2', 'x')")
        # It neither rolls back nor closes its connection.
        assert careless.in_transaction is others_are_blocked
        if others_are_blocked:
            with pytest.raises(sqlite3.OperationalError, match="database is locked"):
                other.execute("INSERT INTO videos VALUES ('b', 'v2', 'x')")
            with pytest.raises(sqlite3.OperationalError, match="database is locked"):
                other.execute("BEGIN IMMEDIATE")  # nor could the fence be lifted
        else:
            other.execute("INSERT INTO videos VALUES ('b', 'v2', 'x')")
            assert fenced.lift() is True
