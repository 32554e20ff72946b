# SPDX-License-Identifier: GPL-3.0-or-later
"""Rows that changed in SQLite while it was live arrive in PostgreSQL, or stop by table, key and column."""

from __future__ import annotations

import contextlib
import dataclasses
import multiprocessing
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from _databases import Database, fresh_database, two_profiles
from _replays import Online
from _servers import Server
from ansible_collections.sxops.pg_cutover.plugins.module_utils import _change_log
from ansible_collections.sxops.pg_cutover.plugins.module_utils._errors import CaptureError, ReplayError


@pytest.fixture(scope="module")
def database(server: Server) -> Iterator[Database]:
    with fresh_database(server, "replay_forward") as found:
        yield found


@pytest.fixture
def online(database: Database, tmp_path: Path) -> Online:
    """A whole file that is one profile's; the test makes the tables."""
    return Online(database, tmp_path / "live.db")


@pytest.fixture
def videos(database: Database, tmp_path: Path) -> Online:
    made = two_profiles(database, tmp_path / "live.db")
    made.sqlite("DROP TABLE events")
    made.postgres("DROP TABLE events")
    return Online(made.database, made.sqlite_path, made.source_id, made.options)


@pytest.mark.parametrize("one_transaction", [True, False])
def test_changes_arrive_and_a_second_pass_changes_nothing(videos: Online, one_transaction: bool) -> None:
    videos.begin()
    videos.sqlite(
        "UPDATE videos SET title = 'new', score = NULL WHERE id IN ('v01', 'v02')",
        "DELETE FROM notes WHERE id = 'v03' AND source_id = 'a'",
        "DELETE FROM videos WHERE id = 'v03' AND source_id = 'a'",
        "INSERT INTO videos VALUES ('a', 'v99', 'x \" '' , \n y', 0.1, 7)",
        "INSERT INTO notes VALUES ('a', 'v99', 'a note')",
        "UPDATE jobs SET id = 500 WHERE id = 100",
    )
    done = videos.forward(one_transaction=one_transaction)
    assert (done.upserted, done.deleted) == (5, 3)
    assert videos.equal()
    again = videos.forward(one_transaction=one_transaction)
    assert (again.upserted, again.deleted) == (0, 0)
    videos.database.run("UPDATE sxops_cutover.tenant SET position = 0")
    again = videos.forward(one_transaction=one_transaction)
    assert (again.upserted, again.deleted) == (0, 0)
    assert videos.equal()


def test_rows_come_back(videos: Online) -> None:
    videos.begin()
    videos.postgres(
        "UPDATE videos SET title = 'new', score = NULL WHERE id IN ('v01', 'v02');"
        "DELETE FROM notes WHERE id = 'v03'; DELETE FROM videos WHERE id = 'v03';"
        "INSERT INTO videos VALUES ('a', 'v99', 'x', 0.1, 7); UPDATE jobs SET id = 50 WHERE id = 100"
    )
    done = videos.back()
    assert (done.upserted, done.deleted) == (4, 3)
    assert videos.equal()
    assert videos.back().tables == {}


def test_keys_of_every_sort_are_found_exactly(online: Online) -> None:
    online.sqlite(
        "CREATE TABLE names (name TEXT COLLATE NOCASE PRIMARY KEY, x INT)",
        "CREATE TABLE pairs (a TEXT, b INT, x TEXT, PRIMARY KEY (b, a)) WITHOUT ROWID",
        "CREATE TABLE blobs (k BLOB PRIMARY KEY, x TEXT)",
        "CREATE TABLE floats (k REAL PRIMARY KEY, x TEXT)",
        "CREATE TABLE ids (k TEXT PRIMARY KEY, x TEXT)",
        "CREATE TABLE people (name TEXT PRIMARY KEY, x TEXT)",
        "INSERT INTO names VALUES ('bob', 1), ('eve', 2)",
        "INSERT INTO pairs VALUES ('a', 1, 'x'), ('b', 1, 'y')",
        "INSERT INTO blobs VALUES (x'00ff', 'x'), (x'', 'y')",
        "INSERT INTO floats VALUES (0.1, 'x'), (3, 'y')",
        "INSERT INTO ids VALUES ('6f9619ff8b86d011b42d00c04fc964ff', 'x')",
        "INSERT INTO people VALUES ('Ann', 'x')",
    )
    letters = "text"
    if online.database.run("SELECT 1 FROM pg_available_extensions WHERE name = 'citext'"):
        online.database.run("CREATE EXTENSION IF NOT EXISTS citext SCHEMA public")
        letters = "public.citext"
    online.create_schema(
        "CREATE TABLE names (name text PRIMARY KEY, x int);"
        "CREATE TABLE pairs (a text, b int, x text, PRIMARY KEY (a, b));"
        "CREATE TABLE blobs (k bytea PRIMARY KEY, x text);"
        "CREATE TABLE floats (k double precision PRIMARY KEY, x text);"
        "CREATE TABLE ids (k uuid PRIMARY KEY, x text);"
        f"CREATE TABLE people (name {letters} PRIMARY KEY, x text)"
    )
    online.begin()
    online.sqlite(
        "UPDATE names SET name = 'Bob' WHERE name = 'bob'",
        "UPDATE pairs SET a = 'c' WHERE a = 'b'",
        "UPDATE blobs SET k = x'01' WHERE k = x''",
        "UPDATE floats SET k = 0.30000000000000004 WHERE k = 3",
        "UPDATE ids SET k = '6F9619FF-8B86-D011-B42D-00C04FC964FF'",
        "UPDATE people SET name = 'ANN'",
    )
    online.forward()
    assert online.equal()
    assert online.postgres("SELECT name FROM names ORDER BY 1") == [("Bob",), ("eve",)]
    assert online.postgres("SELECT name, x FROM people") == [("ANN", "x")]
    assert online.postgres("SELECT count(*) FROM ids") == [(1,)]


@pytest.mark.parametrize("batch", [1, 5000])
def test_rows_that_refer_to_each_other_arrive_together(online: Online, batch: int) -> None:
    online.sqlite(
        "CREATE TABLE nodes (id INTEGER PRIMARY KEY, parent INT REFERENCES nodes)",
        "CREATE TABLE hens (id INTEGER PRIMARY KEY, egg INT REFERENCES eggs)",
        "CREATE TABLE eggs (id INTEGER PRIMARY KEY, hen INT REFERENCES hens)",
        "INSERT INTO nodes VALUES (1, NULL), (2, 1)",
    )
    online.create_schema(
        "CREATE TABLE nodes (id bigint PRIMARY KEY, parent bigint REFERENCES nodes);"
        "CREATE TABLE hens (id bigint PRIMARY KEY, egg bigint);"
        "CREATE TABLE eggs (id bigint PRIMARY KEY, hen bigint NOT NULL REFERENCES hens);"
        "ALTER TABLE hens ADD FOREIGN KEY (egg) REFERENCES eggs"
    )
    online.begin()
    online.sqlite(
        "INSERT INTO nodes VALUES (10, 11), (11, 12), (12, 10)",
        "UPDATE nodes SET parent = 12 WHERE id = 2",
        "DELETE FROM nodes WHERE id = 1",
        "INSERT INTO hens VALUES (1, 1), (2, 2)",
        "INSERT INTO eggs VALUES (1, 1), (2, 1)",
    )
    online.forward(batch=batch)
    assert online.equal()
    online.sqlite("DELETE FROM nodes WHERE id > 9", "DELETE FROM hens", "DELETE FROM eggs", "DELETE FROM nodes")
    done = online.forward(batch=batch)
    assert done.deleted == 8
    assert online.equal()


def test_a_child_moves_to_another_parent_before_its_old_one_goes(online: Online) -> None:
    online.sqlite(
        "CREATE TABLE parents (id INTEGER PRIMARY KEY)",
        "CREATE TABLE children (id INTEGER PRIMARY KEY, parent INT NOT NULL REFERENCES parents)",
        "INSERT INTO parents VALUES (1)",
        "INSERT INTO children VALUES (1, 1), (2, 1)",
    )
    online.create_schema(
        "CREATE TABLE parents (id int PRIMARY KEY);"
        "CREATE TABLE children (id int PRIMARY KEY, parent int NOT NULL REFERENCES parents ON DELETE CASCADE)"
    )
    online.begin()
    online.sqlite(
        "INSERT INTO parents VALUES (2)",
        "UPDATE children SET parent = 2 WHERE id = 1",
        "DELETE FROM children WHERE id = 2",
        "DELETE FROM parents WHERE id = 1",
    )
    online.forward(batch=1)
    assert online.equal()


def test_a_child_that_remains_is_never_taken_along(online: Online) -> None:
    online.sqlite(
        "CREATE TABLE parents (id INTEGER PRIMARY KEY)",
        "CREATE TABLE children (id INTEGER PRIMARY KEY, parent INT REFERENCES parents)",
        "INSERT INTO parents VALUES (1)",
        "INSERT INTO children VALUES (7, 1)",
    )
    online.create_schema(
        "CREATE TABLE parents (id int PRIMARY KEY);"
        "CREATE TABLE children (id int PRIMARY KEY, parent int REFERENCES parents ON DELETE CASCADE)"
    )
    online.begin()
    online.sqlite("DELETE FROM parents")  # as SQLite lets everybody who does not ask for foreign keys
    with pytest.raises(ReplayError) as refused:
        online.forward()
    assert refused.value.facts["table"] == "parents"
    assert refused.value.facts["key"] == "(id=1)"
    assert "children still do, by (parent)" in refused.value.why
    assert online.position == 0
    assert online.postgres("SELECT count(*) FROM children") == [(1,)]


def test_a_row_without_its_parent_stops_by_key(online: Online) -> None:
    online.sqlite(
        "CREATE TABLE parents (id INTEGER PRIMARY KEY)",
        "CREATE TABLE children (id INTEGER PRIMARY KEY, parent INT REFERENCES parents)",
        "INSERT INTO parents VALUES (1)",
    )
    online.create_schema(
        "CREATE TABLE parents (id int PRIMARY KEY);"
        "CREATE TABLE children (id int PRIMARY KEY, parent int REFERENCES parents)"
    )
    online.begin()
    online.sqlite("INSERT INTO children VALUES (1, 1), (2, 99), (3, 1)")
    with pytest.raises(ReplayError) as refused:
        online.forward()
    assert (refused.value.facts["key"], refused.value.facts["column"]) == ("(id=2)", "parent")


UNIQUE = {
    "a swap": "UPDATE t SET name = 'z' WHERE id = 1; UPDATE t SET name = 'a' WHERE id = 2;"
    "UPDATE t SET name = 'b' WHERE id = 1",
    "a chain": "UPDATE t SET name = 'd' WHERE id = 3; UPDATE t SET name = 'c' WHERE id = 2;"
    "UPDATE t SET name = 'b' WHERE id = 1",
    "of a deleted row": "DELETE FROM u WHERE t = 1; DELETE FROM t WHERE id = 1; INSERT INTO t VALUES (9, 'a')",
    "by REPLACE": "DELETE FROM u WHERE t = 2; INSERT OR REPLACE INTO t VALUES (9, 'b')",
}


@pytest.mark.parametrize("null", ["", "NOT NULL"])
@pytest.mark.parametrize("batch", [1, 5000])
@pytest.mark.parametrize("what", list(UNIQUE))
def test_unique_values_that_change_hands(online: Online, what: str, batch: int, null: str) -> None:
    online.sqlite(
        f"CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT {null} UNIQUE)",
        "CREATE TABLE u (t INTEGER PRIMARY KEY REFERENCES t)",
        "INSERT INTO t VALUES (1, 'a'), (2, 'b'), (3, 'c')",
        "INSERT INTO u VALUES (1), (2)",
    )
    online.create_schema(
        f"CREATE TABLE t (id int PRIMARY KEY, name text {null} UNIQUE); CREATE TABLE u (t int PRIMARY KEY REFERENCES t)"
    )
    online.begin()
    online.sqlite(*UNIQUE[what].split(";"))
    online.forward(batch=batch)
    assert online.equal()


def test_two_rows_with_one_unique_value_stop_by_key(online: Online) -> None:
    online.sqlite("CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT)", "INSERT INTO t VALUES (1, 'a'), (2, 'b')")
    online.create_schema("CREATE TABLE t (id int PRIMARY KEY, name text UNIQUE)")
    online.begin()
    online.sqlite("UPDATE t SET name = 'c' WHERE id = 1", "INSERT INTO t VALUES (5, 'b'), (6, 'd')")
    with pytest.raises(ReplayError) as refused:
        online.forward()
    assert refused.value.facts["key"] == "(id=5)"


VALUES = {
    "a NUL": ("TEXT", "text", "a\0b", "nul_character"),
    "out of range": ("INT", "int", 2**31, "out_of_range"),
    "too long": ("TEXT", "varchar(3)", "abcd", "too_long"),
    "blanks": ("TEXT", "char(3)", "a ", "too_long"),
    "rounded": ("REAL", "numeric(6,2)", 0.125, "inexact_number"),
    "float4": ("REAL", "real", 0.1, "inexact_number"),
    "text for a number": ("INT", "int", "x", "storage_class"),
    "no time": ("TEXT", "timestamptz", "2024-02-30", "invalid_time"),
    "no label": ("TEXT", "mood", "ok", "unknown_label"),
    "null": ("TEXT", "text NOT NULL", None, "null_value"),
    "json": ("TEXT", "jsonb", '"\\u0000"', "invalid_json"),
    "uuid": ("TEXT", "uuid", "x", "invalid_uuid"),
}


@pytest.mark.parametrize("one_transaction", [True, False])
@pytest.mark.parametrize("what", list(VALUES))
def test_a_value_that_does_not_travel_stops_by_key(online: Online, what: str, one_transaction: bool) -> None:
    declared, target, value, problem = VALUES[what]
    online.sqlite(f"CREATE TABLE t (id INTEGER PRIMARY KEY, x {declared})")
    online.create_schema(f"CREATE TYPE mood AS ENUM ('b'); CREATE TABLE t (id int PRIMARY KEY, x {target})")
    online.begin()
    online.sqlite(*(("INSERT INTO t VALUES (?, ?)", (key, value)) for key in (41, 42)))
    with pytest.raises(ReplayError) as refused:
        online.forward(one_transaction=one_transaction)
    facts = refused.value.facts
    assert (facts["table"], facts["key"], facts["column"]) == ("t", "(id=41)", "x")
    assert facts["problem_class"] == problem
    assert online.position == 0
    assert online.postgres("SELECT count(*) FROM t") == [(0,)]


def test_what_a_check_of_postgres_refuses_stops_by_key(online: Online) -> None:
    online.sqlite("CREATE TABLE t (id INTEGER PRIMARY KEY, x INT)")
    online.create_schema("CREATE TABLE t (id int PRIMARY KEY, x int CHECK (x < 100))")
    online.begin()
    online.sqlite(*(f"INSERT INTO t VALUES ({key}, {100 if key == 77 else 1})" for key in range(1, 200)))
    with pytest.raises(ReplayError) as refused:
        online.forward()
    assert refused.value.facts["key"] == "(id=77)"
    assert refused.value.facts["sqlstate"] == "23514"


def test_what_a_trigger_of_postgres_changes_is_found(online: Online) -> None:
    online.sqlite("CREATE TABLE t (id INTEGER PRIMARY KEY, x TEXT)")
    online.create_schema(
        "CREATE TABLE t (id int PRIMARY KEY, x text);"
        "CREATE FUNCTION shout() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN NEW.x := upper(NEW.x); RETURN NEW; END $$;"
        "CREATE TRIGGER shout BEFORE INSERT OR UPDATE ON t FOR EACH ROW EXECUTE FUNCTION shout()"
    )
    online.begin()
    online.sqlite("INSERT INTO t VALUES (1, 'X'), (2, 'x')")
    with pytest.raises(ReplayError) as refused:
        online.forward()
    assert (refused.value.facts["key"], refused.value.facts["column"]) == ("(id=2)", "x")


def test_the_quarantine_follows_the_rows(online: Online) -> None:
    online = dataclasses.replace(online, options={"policies": {"nul_character": "quarantine"}})
    online.sqlite(
        "CREATE TABLE t (id TEXT PRIMARY KEY, x TEXT)",
        *(("INSERT INTO t VALUES (?, ?)", row) for row in [("a", "a\0"), ("b", "b"), ("c", "c\0"), ("d\0", "d")]),
    )
    online.create_schema("CREATE TABLE t (id text PRIMARY KEY, x text)")
    online.begin()
    online.sqlite(
        ("UPDATE t SET x = ? WHERE id = 'a'", ("fine",)),
        ("UPDATE t SET x = ? WHERE id = 'b'", ("b\0",)),
        "DELETE FROM t WHERE id = 'c'",
        ("INSERT INTO t VALUES (?, ?)", ("e" * 120 + "1", "\0")),
        ("INSERT INTO t VALUES (?, ?)", ("e" * 120 + "2", "\0")),
        ("UPDATE t SET id = 'd' WHERE id = ?", ("d\0",)),
    )
    online.forward()
    assert online.equal()
    assert online.postgres("SELECT id FROM t ORDER BY 1") == [("a",), ("d",)]
    online.sqlite(("UPDATE t SET x = 'y' WHERE id = ?", ("e" * 120 + "1",)))
    online.forward()
    assert online.equal()
    assert online.database.run("SELECT count(*) FROM sxops_cutover.quarantine WHERE schema_name = 'sx_a'") == [(2,)]


def test_sequences_identities_and_generated_columns(online: Online) -> None:
    online.sqlite(
        "CREATE TABLE t (id INTEGER PRIMARY KEY AUTOINCREMENT, n INT, twice INT GENERATED ALWAYS AS (2 * n))",
        "INSERT INTO t (n) VALUES (1)",
    )
    online.create_schema(
        "CREATE TABLE t (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, n int,"
        " twice int GENERATED ALWAYS AS (2 * n) STORED)"
    )
    online.begin()
    online.sqlite(
        "INSERT INTO t (id, n) VALUES (50, 3)", "UPDATE t SET n = 7 WHERE id = 1", "DELETE FROM t WHERE id = 50"
    )
    online.forward()
    assert online.equal()
    assert online.postgres("INSERT INTO t (n) VALUES (1) RETURNING id, twice") == [(51, 2)]


def test_a_wide_row_arrives(online: Online) -> None:
    online.sqlite("CREATE TABLE t (id INTEGER PRIMARY KEY, x TEXT, y BLOB)")
    online.create_schema("CREATE TABLE t (id int PRIMARY KEY, x text, y bytea)")
    online.begin()
    online.sqlite(
        ("INSERT INTO t VALUES (1, ?, ?)", ('"é\n' * 3_000_000, b"\0\xff" * 4_000_000)),
        ("INSERT INTO t VALUES (2, ?, ?)", ("x", b"")),
        ("INSERT INTO t VALUES (3, NULL, ?)", (bytes(2_000_000),)),
    )
    assert online.forward().upserted == 3
    assert online.equal()


def test_a_killed_pass_is_done_again(videos: Online) -> None:
    videos.begin()
    videos.sqlite(
        *(("INSERT INTO videos VALUES ('a', ?, 'x', 1, 1)", (f"n{number}",)) for number in range(300)),
        "DELETE FROM notes WHERE source_id = 'a'",
        "DELETE FROM videos WHERE source_id = 'a' AND id LIKE 'v%'",
    )
    for batches in (3, 320):
        process = multiprocessing.get_context("fork").Process(target=_die_after, args=(videos, batches))
        process.start()
        process.join()
        assert process.exitcode == -signal.SIGKILL
        assert videos.position == 0
        assert not videos.equal()
    videos.forward()
    assert videos.equal()
    assert videos.database.run("SELECT count(*) FROM sxops_cutover.passing") == [(0,)]


def _die_after(videos: Online, batches: int) -> None:
    left = iter(range(batches))

    def say(_table: str, _done: int, _rows: int) -> None:
        if next(left, None) is None:
            os.kill(os.getpid(), signal.SIGKILL)

    videos.forward(batch=1, say=say)


def test_other_profiles_do_not_travel(videos: Online) -> None:
    videos.begin()
    videos.sqlite(
        "UPDATE videos SET title = 'theirs' WHERE source_id = 'b'",
        "UPDATE jobs SET source_id = 'b' WHERE id = 100",
        "UPDATE jobs SET source_id = 'a' WHERE id = 101",
    )
    done = videos.forward()
    assert done.tables == {"jobs": {"upserted": 1, "deleted": 1}}
    assert videos.equal()


def test_the_log_has_to_be_the_one_that_was_replayed_from(videos: Online) -> None:
    videos.begin()
    videos.sqlite(*(f"UPDATE videos SET size = {n}" for n in range(3)))
    videos.forward()
    with contextlib.closing(videos.writer()) as connection:
        connection.execute("BEGIN IMMEDIATE")
        assert _change_log.prune_sqlite(connection, videos.names, videos.position) == videos.position - 1
        connection.execute("COMMIT")
    assert videos.forward().tables == {}
    videos.database.run("UPDATE sxops_cutover.tenant SET position = 3")
    with pytest.raises(CaptureError, match="not the one that was replayed from"):
        videos.forward()
    videos.database.run("UPDATE sxops_cutover.tenant SET position = 999")
    with pytest.raises(CaptureError, match="not the one that was replayed from"):
        videos.forward()
