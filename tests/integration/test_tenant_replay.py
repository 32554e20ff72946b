# SPDX-License-Identifier: GPL-3.0-or-later
"""The module tenant_replay: catch-up, return path, merge after going back, what would be lost, and the export."""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import json
import multiprocessing
import os
import signal
import sqlite3
import stat
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psycopg2
import pytest
from _databases import Database, fresh_database, two_profiles
from _module_process import run_process
from _replays import Online
from _servers import Server
from ansible_collections.sxops.pg_cutover.plugins.module_utils import (
    _change_log,
    _manifest,
    _online_journal,
    _return_path,
)
from ansible_collections.sxops.pg_cutover.plugins.module_utils._errors import CaptureError, CutoverError, ReplayError
from ansible_collections.sxops.pg_cutover.plugins.modules import tenant_replay

NOTHING = {"replayed": 0, "deleted": 0, "pending": 0, "left": [], "conflicts": []}


@pytest.fixture(scope="module")
def database(server: Server) -> Iterator[Database]:
    with fresh_database(server, "tenant_replay") as found:
        yield found


@pytest.fixture
def profile(database: Database, tmp_path: Path) -> Online:
    """Two profiles in one file; nothing is captured or loaded yet."""
    made = two_profiles(database, tmp_path / "live.db")
    made.sqlite("PRAGMA journal_mode = WAL", "DROP TABLE events")
    made.postgres("DROP TABLE events; ALTER TABLE videos ADD at timestamptz")
    made.sqlite("ALTER TABLE videos ADD at TEXT")
    return Online(made.database, made.sqlite_path, made.source_id, made.options)


@pytest.fixture
def live(profile: Online) -> Online:
    """The same, with everything as it is while SQLite is live and PostgreSQL catches up."""
    return profile.begin()


@pytest.fixture
def switched(profile: Online) -> Online:
    """The same after the switch."""
    profile.begin(_online_journal.SWITCHED)
    profile.fence()
    return profile


def options(online: Online, direction: str, **more: Any) -> dict[str, Any]:
    return {
        **{name: value for name, value in online.params.items() if name not in ("workers", "snapshot_sha256")},
        "direction": direction,
        "max_lag": 0,
        "timeout": 60,
        "hold_file": None,
        "duration": 0.0,
        "interval": 0.1,
        "conflict": "refuse",
        "timestamp_column": None,
        "snapshot_path": None,
        "snapshot_sha256": None,
        "proven": False,
        "export": None,
        "progress_file": None,
        **more,
    }


def replay(online: Online, direction: str, check: bool = False, **more: Any) -> dict[str, Any]:
    """Do what the module does, in this process."""
    return tenant_replay.replay(SimpleNamespace(params=options(online, direction, **more), check_mode=check))


def test_catching_up_from_a_snapshot(profile: Online, tmp_path: Path) -> None:
    profile.sqlite("UPDATE videos SET size = 1 WHERE id = 'v01'")
    profile.capture()
    profile.sqlite("UPDATE videos SET size = 2 WHERE id = 'v01'")
    snapshot = tmp_path / "snapshot.db"
    profile.sqlite(("VACUUM INTO ?", (str(snapshot),)))
    profile.sqlite("UPDATE videos SET size = 3 WHERE id = 'v01'", "DELETE FROM notes WHERE id = 'v02'")
    of_snapshot = dataclasses.replace(profile, sqlite_path=snapshot)
    of_snapshot.load()
    given = {"snapshot_path": str(snapshot), "snapshot_sha256": _manifest.sha256_of(snapshot)}
    with pytest.raises(ReplayError, match="nothing to catch up with"):
        replay(profile, "to_postgres")
    with pytest.raises(ReplayError, match="have not been proven"):
        replay(profile, "to_postgres", **given)
    with pytest.raises(CutoverError, match="not loaded from the snapshot"):
        replay(profile, "to_postgres", **{**given, "snapshot_sha256": "0" * 64})
    done = replay(profile, "to_postgres", **given, proven=True)
    assert done["changed"]
    assert (done["replayed"], done["deleted"], done["stopped_by"]) == (1, 1, "caught_up")
    assert profile.equal()
    for again in (given, {}):
        done = replay(profile, "to_postgres", **again)
        assert not done["changed"]
        assert {name: done[name] for name in NOTHING} == NOTHING
    with pytest.raises(psycopg2.Error, match="fenced"):
        profile.postgres("UPDATE videos SET size = 9")
    profile.sqlite("ALTER TABLE videos ADD more TEXT")
    profile.postgres("ALTER TABLE videos ADD more text")
    with pytest.raises(CaptureError, match="column more added"):
        replay(profile, "to_postgres")


def test_a_snapshot_without_the_log_is_refused(profile: Online, tmp_path: Path) -> None:
    snapshot = tmp_path / "snapshot.db"
    profile.sqlite(("VACUUM INTO ?", (str(snapshot),)))
    profile.capture()
    dataclasses.replace(profile, sqlite_path=snapshot).load()
    given = {"snapshot_path": str(snapshot), "snapshot_sha256": _manifest.sha256_of(snapshot)}
    with pytest.raises(CaptureError, match="holds no log"):
        replay(profile, "to_postgres", **given, proven=True)


def test_catching_up_while_the_application_writes(live: Online) -> None:
    over = threading.Event()

    def write() -> None:
        with contextlib.closing(sqlite3.connect(live.sqlite_path, timeout=30)) as connection:
            for number in range(100_000):
                if over.is_set():
                    return
                connection.execute("UPDATE videos SET size = ? WHERE id = ?", (number, f"v{number % 40:02}"))
                connection.execute("INSERT INTO jobs (source_id, name) VALUES ('a', ?)", (f"new {number}",))
                connection.commit()
                time.sleep(0.001)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        done = replay(live, "to_postgres", max_lag=50, duration=1.0)
        with pytest.raises(ReplayError, match="did not catch up"):
            replay(live, "to_postgres", max_lag=-1, timeout=1)
    finally:
        over.set()
        writer.join()
    assert done["stopped_by"] == "caught_up"
    assert done["passes"] > 1
    replay(live, "to_postgres")
    assert live.equal()


@pytest.mark.parametrize("mode", ["DELETE", "WAL"])
def test_it_goes_on_until_it_is_let_go(live: Online, tmp_path: Path, mode: str) -> None:
    live.sqlite(f"PRAGMA journal_mode = {mode}")
    hold = tmp_path / "hold"
    hold.touch()
    found: list[dict[str, Any]] = []
    thread = threading.Thread(target=lambda: found.append(replay(live, "to_postgres", hold_file=str(hold))))
    thread.start()
    for number in range(3):
        live.sqlite(f"UPDATE videos SET size = {100 + number} WHERE source_id = 'a'")
        wait_until(lambda size=100 + number: live.postgres("SELECT min(size) FROM videos") == [(size,)])
    assert thread.is_alive()
    hold.unlink()
    thread.join()
    assert found[0]["stopped_by"] == "hold_released"
    assert found[0]["passes"] >= 3
    assert live.equal()


def wait_until(what: Any) -> None:
    deadline = time.monotonic() + 60
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_what_is_pending_is_reported(live: Online) -> None:
    live.sqlite("UPDATE videos SET size = 99 WHERE id = 'v01'", "DELETE FROM notes WHERE id = 'v02'")
    found = replay(live, "to_postgres", check=True)
    assert found["changed"]
    assert [(one["table"], one["key"], one["kind"]) for one in found["left"]] == [
        ("videos", "(source_id=a, id=v01)", "pending"),
        ("notes", "(source_id=a, id=v02)", "pending"),
    ]
    assert live.postgres("SELECT size FROM videos WHERE id = 'v01'") == [(1,)]


CHANGES = (
    "UPDATE videos SET title = 'new' WHERE id = 'v01'; DELETE FROM notes WHERE id = 'v02';"
    "INSERT INTO videos VALUES ('a', 'v90', 'x', 1, 1); UPDATE videos SET title = 'same' WHERE id = 'v05';"
    "UPDATE videos SET title = 'a 5' WHERE id = 'v05'"
)
LEFT = [
    ("videos", "(source_id=a, id=v01)", "different", ["title"]),
    ("videos", "(source_id=a, id=v90)", "only_in_postgres", []),
    ("notes", "(source_id=a, id=v02)", "deleted_in_postgres", []),
]


def lost(result: dict[str, Any]) -> list[tuple[Any, ...]]:
    found = [(one["table"], one["key"], one["kind"], one["columns"]) for one in result["left"]]
    return sorted(found, key=lambda one: (one[0] != "videos", one))


def test_what_going_back_would_lose_is_reported_and_the_return_path_brings_it(switched: Online) -> None:
    switched.postgres(CHANGES)
    before = switched.sqlite_path.read_bytes()
    found = replay(switched, "to_sqlite", check=True)
    assert lost(found) == LEFT
    assert (found["pending"], found["left_rows"]) == (4, 3)
    assert switched.sqlite_path.read_bytes() == before
    with pytest.raises(sqlite3.DatabaseError, match="fenced"):
        switched.sqlite("UPDATE videos SET title = 'x' WHERE source_id = 'a'")
    done = replay(switched, "to_sqlite")
    assert (done["replayed"], done["deleted"], done["pending"], done["stopped_by"]) == (2, 1, 0, "drained")
    assert switched.equal()
    assert switched.read(f"SELECT count(*) FROM sxops_log_{switched.schema}") == [(0,)]  # our own writes are not logged
    assert not replay(switched, "to_sqlite")["changed"]
    assert replay(switched, "to_sqlite", check=True)["left"] == []


def test_a_transaction_that_commits_late_is_not_lost(switched: Online) -> None:
    with contextlib.closing(psycopg2.connect(switched.database.dsn)) as late:
        with late.cursor() as cursor:
            cursor.execute(f"UPDATE {switched.schema}.videos SET title = 'late' WHERE id = 'v01'")
            switched.postgres("UPDATE videos SET title = 'early' WHERE id = 'v02'")
            assert replay(switched, "to_sqlite")["replayed"] == 1
            cursor.execute(f"UPDATE {switched.schema}.videos SET size = 7 WHERE id = 'v01'")
        late.commit()
    assert replay(switched, "to_sqlite")["replayed"] == 1
    assert switched.equal()


def test_a_row_that_changes_between_reading_and_acknowledging_stays_pending(switched: Online) -> None:
    switched.postgres("UPDATE videos SET title = 'one' WHERE id = 'v01'")
    with switched.stores() as stores, contextlib.closing(switched.writer()) as target:
        real = _return_path.begin_writing

        def slow(connection: sqlite3.Connection) -> None:
            switched.postgres("UPDATE videos SET title = 'two' WHERE id = 'v01'")
            real(connection)

        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(_return_path, "begin_writing", slow)
            _return_path.drain(stores.connection, target, stores.plan, switched.names, "a")
    assert replay(switched, "to_sqlite", check=True)["pending"] == 1
    replay(switched, "to_sqlite")
    assert switched.equal()


def test_the_return_path_goes_in_steps_and_swaps_whole(switched: Online) -> None:
    switched.postgres("UPDATE jobs SET name = 'z' WHERE id = 100; UPDATE jobs SET name = 'job 100' WHERE id = 104")
    switched.postgres("UPDATE jobs SET name = 'job 104' WHERE id = 100")
    switched.postgres("UPDATE videos SET size = size + 100")
    with switched.stores() as stores, contextlib.closing(switched.writer()) as target:
        done = _return_path.drain(stores.connection, target, stores.plan, switched.names, "a", batch=1)
    assert (done.fenced, done.replayed.upserted) == (True, 42)
    assert switched.equal()


def test_the_return_path_ends_when_somebody_has_gone_back(switched: Online) -> None:
    found: list[dict[str, Any]] = []
    thread = threading.Thread(target=lambda: found.append(replay(switched, "to_sqlite", duration=60.0)))
    thread.start()
    switched.postgres("UPDATE videos SET title = 'new' WHERE id = 'v01'")
    wait_until(lambda: switched.read("SELECT title FROM videos WHERE source_id = 'a' AND id = 'v01'") == [("new",)])
    switched.fence(up=False)
    switched.postgres("UPDATE videos SET title = 'newer' WHERE id = 'v01'")
    thread.join(30)
    assert found[0]["stopped_by"] == "fence_down"
    assert switched.read("SELECT title FROM videos WHERE source_id = 'a' AND id = 'v01'") == [("new",)]
    assert replay(switched, "to_sqlite", duration=60.0)["stopped_by"] == "fence_down"


def test_the_return_path_outlives_its_session(switched: Online) -> None:
    found: list[dict[str, Any]] = []
    thread = threading.Thread(target=lambda: found.append(replay(switched, "to_sqlite", duration=5.0)))
    thread.start()
    for number in range(3):
        switched.postgres(f"UPDATE videos SET size = {500 + number} WHERE id = 'v01'")
        wait_until(lambda size=500 + number: first_size(switched) == size)
        switched.database.run(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    thread.join()
    assert found[0]["stopped_by"] == "duration"
    assert switched.equal()


def first_size(online: Online) -> Any:
    return online.read("SELECT size FROM videos WHERE source_id = 'a' AND id = 'v01'")[0][0]


def test_an_uncaptured_table_is_no_return_path(switched: Online) -> None:
    switched.postgres("DROP TRIGGER sxops_capture ON videos")
    with pytest.raises(CaptureError, match="not all captured in PostgreSQL"):
        replay(switched, "to_sqlite")


@pytest.fixture
def returned(switched: Online) -> Online:
    """After an emergency: SQLite is live again, with its capture, and PostgreSQL has rows that it lacks."""
    switched.postgres(
        "UPDATE videos SET title = 'theirs', at = '2026-01-02' WHERE id IN ('v01', 'v02');"
        "UPDATE videos SET title = 'theirs' WHERE id = 'v03'; UPDATE videos SET title = 'only theirs' WHERE id = 'v04';"
        "DELETE FROM notes WHERE id = 'v05'; INSERT INTO videos VALUES ('a', 'v90', 'theirs', 1, 1, NULL);"
        "UPDATE videos SET title = 'both' WHERE id = 'v06'; DELETE FROM notes WHERE id = 'v07'"
    )
    switched.fence(up=False)
    switched.sqlite(
        "UPDATE videos SET title = 'ours', at = '2026-01-03T00:00:00Z' WHERE id = 'v01' AND source_id = 'a'",
        "UPDATE videos SET title = 'ours', at = '2026-01-01T00:00:00Z' WHERE id = 'v02' AND source_id = 'a'",
        "UPDATE videos SET title = 'ours' WHERE id = 'v03' AND source_id = 'a'",
        "UPDATE notes SET body = 'ours' WHERE id = 'v05' AND source_id = 'a'",
        "UPDATE videos SET title = 'both' WHERE id = 'v06' AND source_id = 'a'",
        "INSERT INTO videos VALUES ('a', 'v91', 'ours', 1, 1, NULL)",
    )
    return switched


def titles(online: Online) -> dict[str, str]:
    return dict(online.read("SELECT id, title FROM videos WHERE source_id = 'a'"))


CONFLICTS = ["(source_id=a, id=v01)", "(source_id=a, id=v02)", "(source_id=a, id=v03)", "(source_id=a, id=v05)"]


def keys(found: list[dict[str, Any]]) -> list[str]:
    return sorted(one["key"] for one in found)


def test_conflicts_are_refused_and_reported(returned: Online) -> None:
    before = titles(returned)
    with pytest.raises(ReplayError, match=r"4 row\(s\) changed in both stores") as refused:
        replay(returned, "to_sqlite")
    assert keys(refused.value.facts["conflicts"]) == CONFLICTS
    found = replay(returned, "to_sqlite", conflict="report_only")
    assert keys(found["conflicts"]) == CONFLICTS
    assert keys(found["left"]) == sorted([*CONFLICTS, *(f"(source_id=a, id={key})" for key in ("v04", "v07", "v90"))])
    assert (found["changed"], found["stopped_by"]) == (False, "reported")
    assert titles(returned) == before
    assert keys(replay(returned, "to_sqlite", check=True)["left"]) == keys(found["left"])


@pytest.mark.parametrize("strategy", ["postgres_wins", "sqlite_wins", "last_write_wins"])
def test_conflicts_are_decided(returned: Online, strategy: str) -> None:
    found = (
        replay(returned, "to_sqlite", conflict=strategy, timestamp_column="at")
        if strategy != "last_write_wins"
        else (replay_without_notes(returned))
    )
    winners = {one["key"][-4:-1]: one["winner"] for one in found["conflicts"]}
    expected = {
        "postgres_wins": dict.fromkeys(["v01", "v02", "v03", "v05"], "postgres"),
        "sqlite_wins": dict.fromkeys(["v01", "v02", "v03", "v05"], "sqlite"),
        "last_write_wins": {"v01": "sqlite", "v02": "postgres", "v03": "sqlite"},
    }[strategy]
    assert winners == expected
    now = titles(returned)
    for key in ("v01", "v02", "v03"):
        assert now[key] == ("theirs" if expected[key] == "postgres" else "ours")
    assert (now["v04"], now["v06"], now["v90"], now["v91"]) == ("only theirs", "both", "theirs", "ours")
    assert found["pending"] == 0
    assert sorted(one["key"][-4:-1] for one in found["left"]) == sorted(
        key for key, winner in expected.items() if winner == "sqlite"
    )
    assert replay(returned, "to_sqlite")["changed"] is False


def replay_without_notes(online: Online) -> dict[str, Any]:
    """Decide by the last write; the conflict in a table without the column is settled first."""
    with pytest.raises(CutoverError, match="Table notes has no column at"):
        replay(online, "to_sqlite", conflict="last_write_wins", timestamp_column="at")
    online.database.run("UPDATE sxops_cutover.change SET replayed_at = now() WHERE row_key = '{a,v05}'")
    return replay(online, "to_sqlite", conflict="last_write_wins", timestamp_column="at")


def test_without_a_capture_every_difference_is_a_conflict(returned: Online) -> None:
    returned.sqlite(f"DROP TRIGGER {quoted(returned, 'insert')}")
    with pytest.raises(ReplayError) as refused:
        replay(returned, "to_sqlite")
    assert len(refused.value.facts["conflicts"]) == 7


def quoted(online: Online, event: str) -> str:
    return '"' + online.names.capture_trigger("videos", event) + '"'


def test_the_export_holds_what_changed(switched: Online, tmp_path: Path) -> None:
    switched.postgres("UPDATE videos SET title = 'old' WHERE id = 'v09'")
    ((since,),) = switched.database.run("SELECT clock_timestamp()::text")
    switched.postgres(
        CHANGES + "; UPDATE videos SET title = '' WHERE id = 'v08'; UPDATE notes SET body = E'x\n\"y' WHERE id = 'v09'"
    )
    folder = tmp_path / "export"
    done = replay(switched, "to_sqlite", export={"path": str(folder), "format": "csv", "since": since})
    assert done["exported"] == [
        {"table": "videos", "path": str(folder / "videos.csv"), "rows": 4, "deleted": 0},
        {"table": "notes", "path": str(folder / "notes.csv"), "rows": 1, "deleted": 1},
    ]
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()} == {0o600}
    with (folder / "notes.csv").open(newline="") as stream:
        rows = {row["id"]: row for row in csv.DictReader(stream)}
    assert (rows["v02"]["_change"], rows["v02"]["body"]) == ("deleted", "")
    assert (rows["v09"]["_change"], rows["v09"]["body"]) == ("changed", 'x\n"y')
    assert ',"",' in (folder / "videos.csv").read_text()
    done = replay(switched, "to_sqlite", export={"path": str(folder), "format": "jsonl", "since": None})
    lines = [json.loads(line) for line in (folder / "videos.jsonl").read_text().splitlines()]
    assert {line["key"]["id"]: line["row"]["title"] for line in lines} == {
        "v01": "new", "v05": "a 5", "v08": "", "v09": "old", "v90": "x",
    }  # fmt: skip
    gone = [json.loads(line) for line in (folder / "notes.jsonl").read_text().splitlines()]
    assert [(line["change"], line["row"]) for line in gone if line["key"]["id"] == "v02"] == [("deleted", None)]


def test_as_a_module_of_its_own(switched: Online) -> None:
    given = {
        name: value
        for name, value in options(switched, "to_sqlite").items()
        if value is not None and name not in ("policies", "snapshot_sha256")
    }
    switched.postgres(CHANGES)
    report = run_process("tenant_replay", given, check=True)
    assert lost(report) == LEFT
    done = run_process("tenant_replay", given)
    assert (done["changed"], done["replayed"], done["deleted"], done["schema_name"]) == (True, 2, 1, "sx_a")
    again = run_process("tenant_replay", given)
    assert (again["changed"], again["stopped_by"]) == (False, "drained")
    switched.postgres("UPDATE videos SET score = 'NaN' WHERE id = 'v01'")
    refused = run_process("tenant_replay", given)
    assert (refused["failed"], refused["error"], refused["table"]) == (True, "replay", "videos")
    assert (refused["key"], refused["column"]) == ("(source_id=a, id=v01)", "score")
    wrong = run_process("tenant_replay", {**given, "conflict": "last_write_wins"})
    assert "timestamp_column" in wrong["msg"]


def test_a_merge_leaves_no_row_without_its_parent(database: Database, tmp_path: Path) -> None:
    online = Online(database, tmp_path / "live.db")
    online.sqlite(
        "CREATE TABLE parents (id INTEGER PRIMARY KEY)",
        "CREATE TABLE children (id INTEGER PRIMARY KEY, parent INT REFERENCES parents)",
        "INSERT INTO parents VALUES (1), (2), (3)",
    )
    online.create_schema(
        "CREATE TABLE parents (id int PRIMARY KEY); CREATE TABLE children (id int PRIMARY KEY, parent int)"
    )
    online.begin(_online_journal.SWITCHED)
    online.postgres("INSERT INTO children VALUES (7, 1)")
    online.sqlite("DELETE FROM parents WHERE id = 1")
    with pytest.raises(ReplayError, match="its parent in parents is not there") as refused:
        replay(online, "to_sqlite")
    assert refused.value.facts["key"] == "(id=7)"
    online.postgres("DELETE FROM children; DELETE FROM parents WHERE id = 2")
    online.sqlite("INSERT INTO children VALUES (8, 2)")
    with pytest.raises(ReplayError, match="rows of children in SQLite refer to it") as refused:
        replay(online, "to_sqlite")
    assert refused.value.facts["key"] == "(id=2)"
    assert online.rows("children") == [("integer:8", "integer:2")]


def test_every_pass_is_told(switched: Online, tmp_path: Path) -> None:
    switched.postgres(CHANGES)
    told = tmp_path / "progress.jsonl"
    replay(switched, "to_sqlite", progress_file=str(told))
    lines = [json.loads(line) for line in told.read_text().splitlines()]
    assert [line["state"] for line in lines] == ["started", "done"]
    assert lines[0]["table"].startswith("pass 1 (4 keys, oldest ")
    assert (lines[1]["phase"], lines[1]["done"]) == ("replay", 4)


def test_a_pass_that_is_killed_before_it_acknowledges_is_done_again(switched: Online) -> None:
    switched.postgres(CHANGES)
    process = multiprocessing.get_context("fork").Process(target=die_unacknowledged, args=(switched,))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert switched.equal()
    found = replay(switched, "to_sqlite", check=True)
    assert (found["pending"], found["left"]) == (4, [])
    done = replay(switched, "to_sqlite")
    assert (done["replayed"], done["deleted"], done["pending"]) == (0, 0, 0)


def die_unacknowledged(online: Online) -> None:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(_change_log, "acknowledge", lambda *_: os.kill(os.getpid(), signal.SIGKILL))
        replay(online, "to_sqlite")
