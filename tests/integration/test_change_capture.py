# SPDX-License-Identifier: GPL-3.0-or-later
"""The module change_capture as Ansible runs it: what an operator gives, and gets to read."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from _databases import Database, Tenant, fresh_database
from _module_process import run_process
from _servers import Server

TABLES = (
    "PRAGMA journal_mode = WAL",
    "CREATE TABLE videos (source_id TEXT, id TEXT, title TEXT, PRIMARY KEY (source_id, id))",
    "CREATE TABLE jobs (id INTEGER PRIMARY KEY, source_id TEXT, name TEXT)",
    "CREATE TABLE sources (id TEXT PRIMARY KEY, label TEXT)",
    "INSERT INTO videos VALUES ('a', 'v1', 'one'), ('b', 'v1', 'other')",
)
SHARED = [{"name": "sources", "key": "id"}]
KEYS = {"videos": ["source_id", "id"], "jobs": ["id"]}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    found = tmp_path / "sx.db"
    write(found, *TABLES)
    return found


def write(path: Path, *statements: str) -> list[tuple[Any, ...]]:
    rows: list[tuple[Any, ...]] = []
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in statements:
            rows = connection.execute(statement).fetchall()
    return rows


def schema(path: Path) -> list[tuple[Any, ...]]:
    return write(path, "SELECT type, name, tbl_name, sql FROM sqlite_master ORDER BY rowid")


def capture(path: Path, check: bool = False, diff: bool = False, **options: Any) -> dict[str, Any]:
    given = {"source_id": "a", "side": "sqlite", "sqlite_path": str(path), "shared_tables": SHARED, **options}
    return run_process("change_capture", given, check, diff)


def test_capture_comes_and_goes_without_a_trace(path: Path) -> None:
    before = schema(path)
    planned = capture(path, check=True, diff=True)
    assert (planned["changed"], planned["capture_id"], planned["tables"]) == (True, None, KEYS)
    assert schema(path) == before
    made = capture(path, diff=True)
    assert (made["changed"], made["position"], made["tables"], made["unsupported"]) == (True, 0, KEYS, [])
    assert made["actions"] == planned["actions"] == ["capture installed on videos, jobs"]
    assert made["diff"] == planned["diff"]
    assert made["diff"]["before"] == ""
    assert "sxops_capture_sx_a.videos.delete\n" in made["diff"]["after"]
    write(path, "UPDATE videos SET title = 'x'")
    again = capture(path)
    assert (again["changed"], again["capture_id"], again["position"]) == (False, made["capture_id"], 1)
    assert "diff" not in again
    assert write(path, "PRAGMA journal_mode") == [("wal",)]
    gone = capture(path, check=True, state="absent")
    assert (gone["changed"], gone["actions"]) == (True, ["capture removed with the 1 changes of its log"])
    assert capture(path)["changed"] is False
    gone = capture(path, state="absent", diff=True)
    assert gone["changed"] is True
    assert (gone["diff"]["before"], gone["diff"]["after"]) == (made["diff"]["after"], "")
    assert capture(path, state="absent")["changed"] is False
    assert schema(path) == before


def test_what_was_changed_since_is_told_and_all_of_it_made_anew(path: Path) -> None:
    first = capture(path)
    write(path, "ALTER TABLE jobs ADD COLUMN more TEXT", "UPDATE videos SET title = 'x'")
    planned = capture(path, check=True)
    assert (planned["changed"], planned["capture_id"], planned["position"]) == (True, first["capture_id"], 1)
    second = capture(path)
    assert second["actions"] == planned["actions"]
    assert second["actions"][0] == (
        f"capture {first['capture_id']} removed, since it is not complete: table jobs was changed: column more added"
    )
    assert second["capture_id"] not in (None, first["capture_id"])
    assert second["position"] == 0


def test_tables_without_a_key_fail_the_task_or_are_returned(path: Path) -> None:
    write(path, "CREATE TABLE events (source_id TEXT, what TEXT)")
    before = schema(path)
    failed = capture(path)
    assert failed["failed"] is True
    assert failed["error"] == "capture"
    assert "table events: it has no primary key" in failed["msg"]
    assert "Nothing was installed" in failed["msg"]
    found = capture(path, fail_on_unsupported=False)
    assert (found["changed"], found["capture_id"]) == (False, None)
    assert found["unsupported"] == failed["unsupported"]
    assert [entry["table"] for entry in found["unsupported"]] == ["events"]
    assert schema(path) == before
    assert capture(path, exclude_tables=["events"])["changed"] is True


def test_a_locked_file_says_who_may_hold_the_lock(path: Path) -> None:
    before = schema(path)
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        failed = capture(path, busy_timeout=0.1)
        assert failed["error"] == "sqlite"
        assert "another process holds its write lock" in failed["msg"]
        assert f"fuser {path}" in failed["msg"]
        writer.execute("ROLLBACK")
        capture(path)
        writer.execute("BEGIN IMMEDIATE")
        assert capture(path, busy_timeout=0.1)["changed"] is False  # needs no lock
        writer.execute("ROLLBACK")
    capture(path, state="absent")
    assert schema(path) == before


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"sqlite_path": None}, "sqlite_path"),
        ({"sqlite_path": "/does/not/exist.db"}, "does not exist"),
        ({"side": "oracle"}, "value of side must be one of"),
        ({"source_id": "a;b"}, "is refused"),
        ({"exclude_tables": ["videos", "jobs"]}, "There is nothing to capture"),
        ({"side": "postgres"}, "No PostgreSQL server was named"),
    ],
)
def test_bad_input_is_refused(path: Path, options: dict[str, Any], told: str) -> None:
    assert told in capture(path, **options)["msg"]


@pytest.fixture(scope="module")
def database(server: Server) -> Iterator[Database]:
    with fresh_database(server, "change_capture") as found:
        yield found


def test_capture_in_postgres_comes_and_goes(database: Database, path: Path) -> None:
    tenant = Tenant(database, path)
    tenant.create_schema(
        "CREATE TABLE videos (source_id text, id text, title text, PRIMARY KEY (source_id, id));"
        "CREATE TABLE jobs (id bigint PRIMARY KEY, source_id text, name text)"
    )
    there = {"side": "postgres", "dsn": database.dsn}
    planned = capture(path, check=True, diff=True, **there)
    assert planned["changed"] is True
    assert capture(path, check=True, state="absent", **there)["changed"] is False
    made = capture(path, diff=True, **there)
    assert (made["changed"], made["capture_id"], made["position"], made["tables"]) == (True, None, 0, KEYS)
    assert made["actions"] == planned["actions"] == ["capture installed on jobs, videos"]
    assert made["diff"] == planned["diff"]
    assert made["diff"]["after"].splitlines() == [
        "sxops_capture on jobs",
        "sxops_capture on videos",
        "sxops_capture_truncate on jobs",
        "sxops_capture_truncate on videos",
    ]
    tenant.postgres("INSERT INTO jobs VALUES (1, 'a', 'x')")
    again = capture(path, **there)
    assert (again["changed"], again["position"]) == (False, 1)
    tenant.postgres("DROP TRIGGER sxops_capture ON jobs")
    planned = capture(path, check=True, **there)
    assert "trigger sxops_capture of table jobs is missing" in planned["actions"][0]
    assert capture(path, **there)["changed"] is True
    gone = capture(path, check=True, state="absent", sqlite_path=None, **there)
    assert gone["actions"] == ["capture removed", "1 changes removed from the log"]
    gone = capture(path, state="absent", sqlite_path=None, diff=True, **there)
    assert gone["actions"] == ["capture removed", "1 changes removed from the log"]
    assert (gone["diff"]["before"], gone["diff"]["after"]) == (made["diff"]["after"], "")
    assert capture(path, state="absent", sqlite_path=None, **there)["changed"] is False
    assert database.dsn not in str([planned, made, gone])


def test_a_table_without_a_key_in_postgres_is_returned(database: Database, path: Path) -> None:
    write(path, "CREATE TABLE events (source_id TEXT, what TEXT)")
    tenant = Tenant(database, path)
    tenant.create_schema(
        "CREATE TABLE videos (source_id text, id text, title text, PRIMARY KEY (source_id, id));"
        "CREATE TABLE jobs (id bigint PRIMARY KEY, source_id text, name text);"
        "CREATE TABLE events (source_id text, what text)"
    )
    there = {"side": "postgres", "dsn": database.dsn}
    assert "table events: it has no key" in capture(path, **there)["msg"]
    found = capture(path, fail_on_unsupported=False, **there)
    assert (found["changed"], [entry["table"] for entry in found["unsupported"]]) == (False, ["events"])
