# SPDX-License-Identifier: GPL-3.0-or-later
"""Capture in SQLite: whatever the application does, the key of every row of the profile that changed is in the log."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

import pytest
from _captured import CapturedFile, Row, logged
from ansible_collections.sxops.pg_cutover.plugins.module_utils import _capture_sqlite, _fence_sqlite, _sqlite_store
from ansible_collections.sxops.pg_cutover.plugins.module_utils._errors import CaptureError, SqliteError
from ansible_collections.sxops.pg_cutover.plugins.module_utils._online_names import OnlineNames

TABLES = (
    "CREATE TABLE videos (source_id TEXT, id TEXT, title TEXT, PRIMARY KEY (source_id, id))",
    "CREATE TABLE jobs (id INTEGER PRIMARY KEY, source_id TEXT, name TEXT)",
    (
        'CREATE TABLE "Sel""ect ü" ("Group" TEXT, source_id TEXT, "order" INT, x TEXT,'
        ' PRIMARY KEY ("Group", source_id, "order")) WITHOUT ROWID'
    ),
    (
        "CREATE TABLE notes (source_id TEXT, id TEXT, body TEXT, PRIMARY KEY (source_id, id),"
        " FOREIGN KEY (source_id, id) REFERENCES videos (source_id, id) ON DELETE CASCADE ON UPDATE CASCADE)"
    ),
)
ROWS = (
    "INSERT INTO videos VALUES ('a', 'v1', 'one'), ('a', 'v2', 'two'), ('b', 'v1', 'other')",
    "INSERT INTO jobs VALUES (1, 'a', 'x'), (2, 'b', 'y')",
    """INSERT INTO "Sel""ect ü" VALUES ('É', 'a', 1, 'x'), ('É', 'b', 1, 'x')""",
    "INSERT INTO notes VALUES ('a', 'v1', 'n'), ('b', 'v1', 'n')",
)


@pytest.fixture
def file(tmp_path: Path) -> CapturedFile:
    found = CapturedFile(tmp_path / "sx.db")
    found.run("PRAGMA journal_mode = WAL", *TABLES, *ROWS)
    return found


@pytest.fixture
def captured(file: CapturedFile) -> CapturedFile:
    assert file.install() is True
    return file


V1, V2, NOTE = ("videos", "a", "v1"), ("videos", "a", "v2"), ("notes", "a", "v1")
STRANGE = 'Sel"ect ü'
CHANGES: dict[str, tuple[str, list[Row]]] = {
    "insert": ("INSERT INTO videos VALUES ('a', 'v3', NULL), ('b', 'v3', NULL)", [("videos", "a", "v3")]),
    "update": ("UPDATE videos SET title = 'x'", [V1, V2]),
    "delete": ("DELETE FROM videos WHERE id = 'v1'", [V1]),
    "delete without a condition": ("DELETE FROM videos", [V1, V2]),
    "upsert of a new row": (
        "INSERT INTO videos VALUES ('a', 'v9', 'x') ON CONFLICT (source_id, id) DO UPDATE SET title = 'y'",
        [("videos", "a", "v9")],
    ),
    "upsert of a row that is there": (
        "INSERT INTO videos VALUES ('a', 'v1', 'x') ON CONFLICT (source_id, id) DO UPDATE SET title = 'y'",
        [V1],
    ),
    "insert or replace": ("INSERT OR REPLACE INTO videos VALUES ('a', 'v1', 'x'), ('b', 'v1', 'x')", [V1]),
    "insert or ignore": ("INSERT OR IGNORE INTO videos VALUES ('a', 'v1', 'x')", []),
    "a change of the key": (
        "UPDATE videos SET id = 'v7' WHERE id = 'v1'",
        [V1, ("videos", "a", "v7")],
    ),
    "a row that moves to another profile": ("UPDATE jobs SET source_id = 'b' WHERE id = 1", [("jobs", 1)]),
    "a row that comes from another profile": ("UPDATE jobs SET source_id = 'a' WHERE id = 2", [("jobs", 2)]),
    "a row that moves with its key": (
        "UPDATE videos SET source_id = 'c', id = 'v5' WHERE source_id = 'a' AND id = 'v1'",
        [V1],
    ),
    "a row without a profile that gets one": (
        "UPDATE jobs SET source_id = NULL WHERE id = 2; UPDATE jobs SET source_id = 'a' WHERE source_id IS NULL",
        [("jobs", 2)],
    ),
    "another profile's write": ("UPDATE videos SET title = 'x' WHERE source_id = 'b'", []),
    "an explicit number": ("INSERT INTO jobs VALUES (40, 'a', 'z')", [("jobs", 40)]),
    "the next number": ("INSERT INTO jobs (source_id) VALUES ('a')", [("jobs", 3)]),
    "a table without rowid": (
        """UPDATE "Sel""ect ü" SET "order" = 2 WHERE source_id = 'a'""",
        [(STRANGE, "É", "a", 1), (STRANGE, "É", "a", 2)],
    ),
    "a table without rowid, replaced": (
        """REPLACE INTO "Sel""ect ü" VALUES ('É', 'a', 1, 'y')""",
        [(STRANGE, "É", "a", 1)],
    ),
    "cascade": ("PRAGMA foreign_keys = ON; DELETE FROM videos WHERE source_id = 'a' AND id = 'v1'", [NOTE, V1]),
    "cascade of a changed key": (
        "PRAGMA foreign_keys = ON; UPDATE videos SET id = 'v8' WHERE source_id = 'a' AND id = 'v1'",
        [NOTE, ("notes", "a", "v8"), V1, ("videos", "a", "v8")],
    ),
    "cascade of a replaced row": (
        "PRAGMA foreign_keys = ON; REPLACE INTO videos VALUES ('a', 'v1', 'x')",
        [NOTE, V1],
    ),
    "update from another table": (
        (
            "UPDATE videos SET title = notes.body FROM notes WHERE notes.id = videos.id AND notes.source_id = 'a'"
            " AND videos.source_id = 'a'"
        ),
        [V1],
    ),
}


@pytest.mark.parametrize("change", list(CHANGES))
def test_every_change_of_the_profile_is_logged_and_no_other(captured: CapturedFile, change: str) -> None:
    statements, expected = CHANGES[change]
    captured.run(*statements.split("; "))
    assert captured.logged() == expected
    assert captured.look().position == len(expected)


def test_a_file_of_one_profile_is_captured_as_a_whole(file: CapturedFile) -> None:
    file.tenant_column = None
    file.install()
    file.run("UPDATE jobs SET name = 'z'")
    assert file.logged() == [("jobs", 1), ("jobs", 2)]


def test_values_of_a_key_are_logged_as_they_are(tmp_path: Path) -> None:
    file = CapturedFile(tmp_path / "sx.db", tenant_column=None)
    file.run("CREATE TABLE t (k PRIMARY KEY, x)")
    file.install()
    values = [1, 1.5, "1", "é\x00x", b"\x00\xff", 2**63 - 1, -0.0, "", b""]
    for value in values:
        file.run(("INSERT INTO t VALUES (?, 1)", (value,)))
    assert [(type(key), key) for _table, key in file.logged()] == [(type(value), value) for value in values]
    file.forget()
    file.run("UPDATE t SET k = 1.0 WHERE typeof(k) = 'integer' AND k = 1")
    assert [repr(key) for _table, key in file.logged()] == ["1", "1.0"]


def test_a_tenant_column_of_numbers_or_with_a_collation_is_told_apart(tmp_path: Path) -> None:
    file = CapturedFile(tmp_path / "sx.db", source_id="7")
    file.run("CREATE TABLE t (id INTEGER PRIMARY KEY, source_id INT)")
    file.install()
    file.run("INSERT INTO t VALUES (1, 7), (2, 8), (3, '7')")
    assert file.logged() == [("t", 1), ("t", 3)]
    other = CapturedFile(tmp_path / "other.db")
    other.run("CREATE TABLE t (id INTEGER PRIMARY KEY, Source_ID TEXT COLLATE NOCASE)")
    other.install()
    other.run("INSERT INTO t VALUES (1, 'a'), (2, 'A')")
    assert other.logged() == [("t", 1)]


def test_a_transaction_that_is_rolled_back_leaves_no_entry(captured: CapturedFile) -> None:
    with contextlib.closing(captured.connect()) as application:
        application.execute("BEGIN")
        application.execute("UPDATE videos SET title = 'x'")
        application.execute("SAVEPOINT s")
        application.execute("DELETE FROM jobs")
        application.execute("ROLLBACK TO s")
        application.execute("ROLLBACK")
        with pytest.raises(sqlite3.IntegrityError):
            application.execute("INSERT INTO videos VALUES ('a', 'v9', 'x'), ('a', 'v1', 'x')")
    assert captured.logged() == []


def test_the_application_notices_nothing(captured: CapturedFile) -> None:
    with contextlib.closing(captured.connect()) as application:
        cursor = application.execute("INSERT INTO jobs (source_id, name) VALUES ('a', 'n') RETURNING id")
        assert cursor.fetchall() == [(3,)]
        assert application.execute("SELECT last_insert_rowid()").fetchone() == (3,)
        assert application.execute("UPDATE videos SET title = 'x' WHERE source_id = 'a'").rowcount == 2
        assert application.execute("SELECT changes()").fetchone() == (2,)
        assert application.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        application.execute("VACUUM")
        application.execute("ALTER TABLE jobs RENAME TO tasks")
        application.execute("ALTER TABLE tasks RENAME TO jobs")
        application.execute("ALTER TABLE jobs ADD COLUMN more TEXT")
        application.execute("ALTER TABLE jobs DROP COLUMN more")
        assert application.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert captured.look().complete


def test_a_column_that_a_trigger_names_is_not_dropped_and_the_error_says_whose_it_is(file: CapturedFile) -> None:
    file.run("CREATE UNIQUE INDEX names ON jobs (name)")
    file.install()
    file.run("DROP INDEX names")
    with pytest.raises(sqlite3.OperationalError, match=r"error in trigger sxops_capture_sx_a\.jobs\."):
        file.run("ALTER TABLE jobs DROP COLUMN name")
    assert "table jobs was changed: unique index names dropped" in file.look().missing
    file.install()
    file.run("ALTER TABLE jobs DROP COLUMN name")


def test_triggers_of_the_application_are_followed(file: CapturedFile) -> None:
    file.run(
        "CREATE TRIGGER stamp AFTER UPDATE ON videos BEGIN"
        " UPDATE jobs SET name = 'stamped' WHERE source_id = NEW.source_id;"
        " UPDATE videos SET title = title || '!' WHERE rowid = NEW.rowid; END"
    )
    file.install()
    file.run("UPDATE videos SET title = 'x' WHERE source_id = 'a' AND id = 'v1'")
    assert set(file.logged()) == {V1, ("jobs", 1)}


def test_our_own_writes_are_not_logged(captured: CapturedFile) -> None:
    with captured.locked() as connection:
        with _fence_sqlite.passing(connection, captured.names):
            connection.execute("UPDATE videos SET title = 'ours'")
            assert captured.run('SELECT count(*) FROM "sxops_pass_sx_a"') == [(0,)]
        connection.execute("UPDATE jobs SET name = 'seen' WHERE id = 1")
    assert captured.logged() == [("jobs", 1)]
    assert captured.run("SELECT count(*) FROM videos WHERE title = 'ours'") == [(3,)]


def test_a_second_run_changes_nothing_and_removal_leaves_no_trace(file: CapturedFile) -> None:
    file.run("ANALYZE")
    before = file.schema()
    assert file.look() == _capture_sqlite.Capture(None, False, ("nothing is captured",), 0, {})
    assert file.install() is True
    first = file.look()
    assert first.complete
    assert first.tables["videos"] == ("source_id", "id")
    schema = file.schema()
    file.run("UPDATE videos SET title = 'x'", "ANALYZE")
    assert file.install() is False
    assert file.schema() == schema
    assert file.look().capture_id == first.capture_id
    assert file.remove() is True
    assert file.remove() is False
    assert file.schema() == before
    assert file.run("SELECT count(*) FROM sqlite_stat1 WHERE tbl LIKE 'sxops%'") == [(0,)]


def test_two_profiles_of_one_file_are_captured_beside_each_other(captured: CapturedFile) -> None:
    alone = captured.schema()
    # Were names just joined by underscores, both would have a trigger for sx_a + b_videos.
    captured.run("CREATE TABLE b_videos (source_id TEXT, id TEXT, PRIMARY KEY (source_id, id))")
    captured.install()
    other = CapturedFile(captured.path, "b", names=OnlineNames("sx_a_b"))
    assert other.install() is True
    captured.run("UPDATE videos SET title = 'x'", "INSERT INTO b_videos VALUES ('a', 'x'), ('b', 'y')")
    assert captured.logged() == [V1, V2, ("b_videos", "a", "x")]
    assert other.logged() == [("videos", "b", "v1"), ("b_videos", "b", "y")]
    assert captured.look().complete
    assert other.look().complete
    assert other.remove() is True
    assert captured.look().complete
    captured.remove()
    assert other.install() is True
    other.remove()
    captured.run("DROP TABLE b_videos")
    captured.install()
    assert captured.schema() == alone


def test_another_profiles_capture_is_never_taken_for_ours(captured: CapturedFile) -> None:
    for names, source_id in ((captured.names, "b"), (OnlineNames("SX_A"), "b")):
        other = CapturedFile(captured.path, source_id, names=names)
        for act in (other.install, other.look, other.resume):
            with pytest.raises(CaptureError, match="belongs to source_id 'a'"):
                act()
    assert captured.look().complete


FOUND = {
    "a table that is made anew": (
        (
            "CREATE TABLE new (source_id TEXT, id TEXT, title TEXT, PRIMARY KEY (source_id, id));"
            "INSERT INTO new SELECT * FROM videos; DROP TABLE videos; ALTER TABLE new RENAME TO videos"
        ),
        "trigger sxops_capture_sx_a.videos.update of table videos is missing",
    ),
    "a table that is set aside": (
        "ALTER TABLE jobs RENAME TO old; CREATE TABLE jobs (id INTEGER PRIMARY KEY, source_id TEXT, name TEXT)",
        "trigger sxops_capture_sx_a.jobs.insert of table jobs was changed",
    ),
    "a table that is added": (
        "CREATE TABLE more (id INTEGER PRIMARY KEY, source_id TEXT)",
        "table more is not captured",
    ),
    "a table without a key": (
        "CREATE TABLE more (source_id TEXT)",
        "table more is not captured: it has no primary key, so a changed row cannot be found again in the other store",
    ),
    "a table without a profile": (
        "CREATE TABLE more (id INTEGER PRIMARY KEY)",
        "table more is not captured: it has no column source_id to tell the profiles apart",
    ),
    "a table that is dropped": ("DROP TABLE jobs", "table jobs is gone"),
    "a column that is added": ("ALTER TABLE jobs ADD COLUMN x", "table jobs was changed: column x added"),
    "a column that is dropped": ("ALTER TABLE jobs DROP COLUMN name", "table jobs was changed: column name dropped"),
    "a column that is renamed": (
        "ALTER TABLE jobs RENAME COLUMN name TO title",
        "table jobs was changed: column title added",
    ),
    "a key column that is renamed": (
        "ALTER TABLE videos RENAME COLUMN id TO video",
        "table videos was changed: its key is (source_id, video) and was (source_id, id)",
    ),
    "a unique index that is added": (
        "CREATE UNIQUE INDEX names ON jobs (name)",
        "table jobs was changed: unique index names added",
    ),
    "a trigger that is dropped": (
        'DROP TRIGGER "sxops_capture_sx_a.jobs.delete"',
        "trigger sxops_capture_sx_a.jobs.delete of table jobs is missing",
    ),
    "a trigger that is another one": (
        (
            'DROP TRIGGER "sxops_capture_sx_a.jobs.delete";'
            'CREATE TRIGGER "sxops_capture_sx_a.jobs.delete" AFTER DELETE ON jobs BEGIN SELECT 1; END'
        ),
        "trigger sxops_capture_sx_a.jobs.delete of table jobs was changed",
    ),
    "a log that is dropped": ("DROP TABLE sxops_log_sx_a", "table sxops_log_sx_a of this collection is missing"),
}


@pytest.mark.parametrize("change", list(FOUND))
def test_what_makes_the_log_incomplete_is_found_by_name(captured: CapturedFile, change: str) -> None:
    statements, named = FOUND[change]
    with contextlib.closing(captured.connect()) as application:
        application.executescript(statements)
    found = captured.look()
    assert not found.complete
    assert named in found.missing


def test_a_captured_table_that_is_no_longer_asked_for_is_named(captured: CapturedFile) -> None:
    found = captured.look("videos", "jobs", "notes")
    assert found.missing == (f"table {STRANGE} is captured, but is none of the profile's",)


def test_what_is_incomplete_is_made_anew_under_another_id(captured: CapturedFile) -> None:
    before = captured.look()
    captured.run("UPDATE videos SET title = 'x'", "ALTER TABLE jobs ADD COLUMN x")
    assert captured.install() is True
    after = captured.look()
    assert after.complete
    assert (after.position, captured.logged()) == (0, [])
    assert after.capture_id != before.capture_id


def test_suspended_capture_goes_on_where_it_was(captured: CapturedFile) -> None:
    captured.run("UPDATE jobs SET name = 'x'")
    before = captured.look()
    with captured.locked() as connection:
        _capture_sqlite.suspend(connection, captured.names)
    assert not captured.look().complete
    assert captured.look().position == 1
    captured.resume()
    assert captured.look() == before
    captured.run("UPDATE jobs SET name = 'y'")
    assert captured.look().position == 2


def test_capture_does_not_go_on_over_a_table_that_changed(captured: CapturedFile) -> None:
    with captured.locked() as connection:
        _capture_sqlite.suspend(connection, captured.names)
    captured.run("ALTER TABLE jobs ADD COLUMN x")
    with pytest.raises(CaptureError, match="table jobs was changed: column x added"):
        captured.resume()
    captured.remove()
    with pytest.raises(CaptureError, match="holds no log"):
        captured.resume()


def test_tables_that_cannot_be_captured_are_refused_by_name(file: CapturedFile) -> None:
    file.run(
        "CREATE TABLE events (source_id TEXT, what TEXT)",
        "CREATE TABLE odd (id INTEGER PRIMARY KEY, source_id TEXT, n INT, m TEXT)",
        "CREATE UNIQUE INDEX odd_index ON odd (n = m)",
        "CREATE TABLE plain (id INTEGER PRIMARY KEY)",
    )
    before = file.schema()
    with contextlib.closing(file.connect()) as connection:
        catalog = _sqlite_store.read_catalog(connection)
    found = _capture_sqlite.unsupported(catalog, ["videos", "events", "odd", "plain", "none"], "source_id")
    assert {name: reason.split(",")[0] for name, reason in found.items()} == {
        "events": "it has no primary key",
        "odd": "unique index odd_index: what a new row would push out of it cannot be told"
        " (it compares values of different types)",
        "plain": "it has no column source_id to tell the profiles apart",
        "none": "the SQLite file has no such table",
    }
    with pytest.raises(CaptureError, match="table events: it has no primary key") as refused:
        file.install()
    assert [entry["table"] for entry in refused.value.facts["unsupported"]] == ["events", "odd", "plain"]
    assert file.schema() == before


def test_triggers_that_sqlite_could_not_run_are_refused(file: CapturedFile) -> None:
    with contextlib.closing(file.connect()) as connection:
        outdated = _sqlite_store.read_catalog(connection)
        connection.execute("ALTER TABLE jobs RENAME COLUMN source_id TO tenant")
        before = file.schema()
        for act in (_capture_sqlite.install, _fence_sqlite.put_up):
            connection.execute("BEGIN IMMEDIATE")
            with pytest.raises(CaptureError, match=r"no such column: (NEW|victim)\.source_id") as found:
                act(connection, outdated, ["jobs"], file.names, "a", "source_id")
            connection.execute("ROLLBACK")
            assert "Table jobs can have no triggers" in str(found.value)
    assert file.schema() == before


def test_a_file_in_use_is_not_waited_for_forever(file: CapturedFile) -> None:
    with contextlib.closing(file.connect()) as writer, contextlib.closing(file.connect(0.05)) as ours:
        writer.execute("BEGIN IMMEDIATE")
        catalog = _sqlite_store.read_catalog(ours)
        with pytest.raises(SqliteError, match="another process holds its write lock") as found:
            _capture_sqlite.install(ours, catalog, ["videos"], file.names, "a", "source_id")
        assert found.value.facts["locked"] is True


def test_a_connection_that_returns_octets_will_do(file: CapturedFile) -> None:
    with file.locked() as connection:
        connection.text_factory = bytes
        subject = (connection, _sqlite_store.read_catalog(connection), ["videos"], file.names, "a", "source_id")
        assert _capture_sqlite.install(*subject) is True
        assert _capture_sqlite.install(*subject) is False
        assert _capture_sqlite.look(*subject).complete
        _fence_sqlite.put_up(*subject)
        assert _fence_sqlite.state(*subject[:4]) == "up"
        assert _fence_sqlite.lift(connection, file.names)
        assert connection.text_factory is bytes
        connection.execute("UPDATE videos SET title = 'x' WHERE id = 'v2'")
        connection.text_factory = str
        assert logged(connection, file.names) == [V2]
