# SPDX-License-Identifier: GPL-3.0-or-later
"""sqlite_backup on real files, beside a real writer and on a real full disk."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from _ansible import run_module
from _module_process import run_process
from local_stack.seed import seed_database

WRITER = """
import random, sqlite3, sys, time
connection = sqlite3.connect(sys.argv[1], timeout=30, isolation_level=None)
connection.execute("PRAGMA synchronous = OFF")
print("writing", flush=True)
while True:
    amount = random.randrange(1, 50)
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("UPDATE purse SET money = money - ? WHERE id = abs(random()) % 2000", (amount,))
    connection.execute("UPDATE vault SET money = money + ? WHERE id = abs(random()) % 2000", (amount,))
    connection.execute("COMMIT")
"""
TOTAL = 2000 * 1000
Runner = Callable[..., dict[str, Any]]


@pytest.fixture
def store(tmp_path: Path) -> Path:
    path = tmp_path / "sx.db"
    seed_database(path, {"assets_1": 200, "assets_2": 50})
    return path


@pytest.fixture
def purses(tmp_path: Path) -> Path:
    """Two tables whose money always sums up to the same; each is many pages long."""
    path = tmp_path / "purses.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        for table, money in (("purse", 1000), ("vault", 0)):
            connection.execute(f"CREATE TABLE {table} (id INTEGER PRIMARY KEY, money INTEGER, filler TEXT)")
            rows = ((number, money, "x" * 2000) for number in range(2000))
            connection.executemany(f"INSERT INTO {table} VALUES (?, ?, ?)", rows)
        connection.commit()
    return path


@contextmanager
def writer(path: Path) -> Iterator[None]:
    with subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "writing\n"
            time.sleep(0.2)
            yield
            assert process.poll() is None, "the writer was thrown out"
        finally:
            process.kill()


def money_in(path: str | Path) -> int:
    with closing(sqlite3.connect(f"file:{path}?mode=ro&immutable=1", uri=True)) as connection:
        query = "SELECT (SELECT sum(money) FROM purse) + (SELECT sum(money) FROM vault)"
        return int(connection.execute(query).fetchone()[0])


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def tree(folder: Path) -> dict[str, str]:
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def backup(
    path: Path, dest: Path, *, check: bool = False, diff: bool = False, run: Runner = run_process, **options: Any
) -> dict[str, Any]:
    args = {"sqlite_path": str(path), "dest": str(dest), "busy_timeout": 0.5, **options}
    return run("sqlite_backup", args, check=check, diff=diff)


def test_a_snapshot_of_the_application_s_file(store: Path, tmp_path: Path) -> None:
    options = {"source_id": "assets_1", "export_tables": ["user_meta", "video_notes"]}
    result = backup(store, tmp_path / "b", diff=True, run=run_module, **options)
    assert result["changed"] is True
    assert result["verdict"] == "passed"
    snapshot = result["snapshot"]
    counts = {table["name"]: table for table in snapshot["tables"]}
    assert (counts["videos"]["rows"], counts["videos"]["profile_rows"]) == (250, 200)
    assert counts["sources"]["profile_rows"] is None
    assert hashlib.sha256(Path(snapshot["path"]).read_bytes()).hexdigest() == snapshot["sha256"]
    assert Path(snapshot["path"]).stat().st_size == snapshot["bytes"]
    assert result["diff"]["after"]["snapshot"] == snapshot["id"]
    with closing(sqlite3.connect(store)) as live:
        for export in snapshot["exports"]:
            live.row_factory = sqlite3.Row
            query = f"SELECT * FROM {export['table']} WHERE source_id = 'assets_1' ORDER BY source_id, video_id"
            expected = [dict(row) for row in live.execute(query)]
            lines = Path(export["path"]).read_text(encoding="utf-8").split("\n")[:-1]
            assert [json.loads(line) for line in lines] == expected
            assert export["rows"] == len(expected) > 0
    manifest = json.loads(Path(snapshot["manifest_path"]).read_text())
    assert manifest["subject"] == {"path": str(store), "source_id": "assets_1"}
    assert manifest["details"]["source_inode"] == store.stat().st_ino


def test_a_snapshot_under_a_busy_writer_is_consistent(purses: Path, tmp_path: Path) -> None:
    with writer(purses):
        results = [backup(purses, tmp_path / "b", busy_timeout=10) for _turn in range(5)]
    assert {result["verdict"] for result in results} == {"passed"}
    assert [money_in(result["snapshot"]["path"]) for result in results] == [TOTAL] * 5
    assert len({result["snapshot"]["sha256"] for result in results}) == 5, "the writer did write meanwhile"


def test_a_plain_copy_of_the_same_moment_is_not(purses: Path, tmp_path: Path) -> None:
    """What the module is there for: the file alone lacks what is in the WAL."""
    with closing(sqlite3.connect(purses)) as live:
        live.execute("PRAGMA wal_autocheckpoint = 0")
        live.execute("UPDATE purse SET money = 0")
        live.commit()
        shutil.copy(purses, tmp_path / "copied.db")
        result = backup(purses, tmp_path / "b")
        assert money_in(result["snapshot"]["path"]) == 0
        assert money_in(tmp_path / "copied.db") == TOTAL


def test_a_busy_writer_without_a_wal(purses: Path, tmp_path: Path) -> None:
    with closing(sqlite3.connect(purses)) as live:
        live.execute("PRAGMA journal_mode = DELETE")
    with writer(purses):
        result = backup(purses, tmp_path / "b", busy_timeout=20)
    assert result["verdict"] == "passed"
    assert money_in(result["snapshot"]["path"]) == TOTAL


def test_the_second_run_with_one_id_finds_it_done(store: Path, tmp_path: Path) -> None:
    dest = tmp_path / "b"
    options = {"snapshot_id": "run-1", "source_id": "assets_1", "export_tables": ["video_notes"]}
    first = backup(store, dest, **options)
    before = tree(dest)
    with closing(sqlite3.connect(store)) as live:
        live.execute("DELETE FROM video_notes")
        live.commit()
    for check in (True, False):
        second = backup(store, dest, check=check, **options)
        assert second["changed"] is False
        assert second["snapshot"] == first["snapshot"]
    assert tree(dest) == before
    verified = backup(store, dest, state="verified", check=True)
    assert (verified["changed"], verified["verdict"]) == (False, "passed")
    assert verified["snapshot"]["id"] == "run-1"


def test_an_id_of_another_store_profile_or_purpose_is_refused(store: Path, purses: Path, tmp_path: Path) -> None:
    dest = tmp_path / "b"
    backup(store, dest, snapshot_id="run-1", source_id="assets_1")
    before = tree(dest)
    for path, options, why in (
        (purses, {}, "its path is"),
        (store, {"source_id": "assets_2"}, "its source_id is 'assets_1', not 'assets_2'"),
        (store, {"export_tables": ["video_notes"]}, "no export of video_notes"),
    ):
        failed = backup(path, dest, snapshot_id="run-1", **options)
        assert failed["error"]
        assert why in failed["msg"]
    none = backup(purses, dest, state="verified")
    assert "No snapshot to verify" in none["msg"]
    assert tree(dest) == before


def test_check_mode_plans_and_writes_nothing(store: Path, tmp_path: Path) -> None:
    with closing(sqlite3.connect(store)) as application:
        application.execute("SELECT count(*) FROM videos").fetchone()
        before = tree(tmp_path)
        result = backup(store, tmp_path / "b", check=True, diff=True, run=run_module)
        assert (result["changed"], result["verdict"]) == (True, "not_verified")
        assert (result["snapshot"]["sha256"], result["snapshot"]["tables"]) == (None, [])
        assert result["snapshot"]["needed_bytes"] >= store.stat().st_size
        assert tree(tmp_path) == before
        assert not (tmp_path / "b").exists()


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0x10
    path.chmod(0o600)
    path.write_bytes(data)


def cut(path: Path) -> None:
    path.chmod(0o600)
    os.truncate(path, path.stat().st_size - 512)


@pytest.mark.parametrize("harm", [flip, cut, Path.unlink])
def test_a_damaged_snapshot_fails_and_is_not_overwritten(store: Path, tmp_path: Path, harm: Any) -> None:
    dest = tmp_path / "b"
    taken = backup(store, dest, snapshot_id="run-1")
    harm(Path(taken["snapshot"]["path"]))
    before = tree(dest)
    for options in (
        {"snapshot_id": "run-1"},
        {"snapshot_id": "run-1", "state": "verified"},
        {"state": "verified"},
    ):
        failed = backup(store, dest, **options)
        assert failed["error"] == "backup"
        assert "does not verify: sha256 of sx.db: failed" in failed["msg"]
        assert failed["verdict"] == "failed"
    assert tree(dest) == before


def test_a_snapshot_without_manifest_is_none(store: Path, tmp_path: Path) -> None:
    dest = tmp_path / "b"
    taken = backup(store, dest, snapshot_id="run-1")
    Path(taken["snapshot"]["manifest_path"]).unlink()
    assert "is not a snapshot" in backup(store, dest, snapshot_id="run-1", state="verified")["msg"]
    assert "No snapshot to verify" in backup(store, dest, state="verified")["msg"]
    failed = backup(store, dest, snapshot_id="run-1")
    assert "is not a snapshot of ours" in failed["msg"]
    assert (dest / "run-1" / "sx.db").exists()


@pytest.mark.parametrize("check", [False, True])
def test_a_source_that_cannot_be_used_is_named_in_check_mode_too(store: Path, tmp_path: Path, check: bool) -> None:
    with closing(sqlite3.connect(store)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    for suffix in ("-wal", "-shm"):
        store.with_name(store.name + suffix).unlink(missing_ok=True)
    text, short = tmp_path / "text.db", tmp_path / "short.db"
    text.write_text("-- not a database --" * 100)
    short.write_bytes(store.read_bytes()[: store.stat().st_size // 2])
    cases = {
        tmp_path / "gone.db": "does not exist",
        text: "is not a SQLite database",
        short: "is truncated",
    }
    for path, why in cases.items():
        failed = backup(path, tmp_path / "b", check=check)
        assert failed["error"] == "sqlite"
        assert why in failed["msg"]
        assert str(path) in failed["msg"]
    assert not (tmp_path / "b").exists()


@pytest.mark.parametrize("check", [False, True])
def test_an_exclusive_writer_is_waited_for_and_named(store: Path, tmp_path: Path, check: bool) -> None:
    with closing(sqlite3.connect(store, isolation_level=None)) as holder:
        holder.execute("PRAGMA journal_mode = DELETE")
        holder.execute("BEGIN EXCLUSIVE")
        failed = backup(store, tmp_path / "b", check=check)
    assert failed["error"] == "sqlite"
    assert failed["locked"] is True
    assert "is locked" in failed["msg"]
    assert "fuser" in failed["msg"]
    assert not (tmp_path / "b").exists()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 3 MiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=3m", "pg_cutover_test", str(folder)]
    if os.geteuid() or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting a small file system needs root")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.parametrize("check", [False, True])
def test_a_disk_that_is_too_small(purses: Path, store: Path, small_disk: Path, check: bool) -> None:
    kept = backup(store, small_disk / "b", snapshot_id="old")
    assert kept["changed"] is True
    before = tree(small_disk)
    failed = backup(purses, small_disk / "b", check=check)
    assert failed["error"] == "backup"
    assert f"No space for the backup in {small_disk}" in failed["msg"]
    assert failed["needed_bytes"] > 8_000_000 > 3_145_728 > failed["free_bytes"]
    assert str(failed["needed_bytes"]) in failed["msg"]
    assert str(failed["free_bytes"]) in failed["msg"]
    assert tree(small_disk) == before
    assert names_in(small_disk / "b") == ["old"]


def test_a_disk_that_fills_up_while_copying(purses: Path, small_disk: Path) -> None:
    """The check before did not help: other writers took the room. The real error of a full disk, from SQLite."""
    from ansible_collections.sxops.pg_cutover.plugins.module_utils._errors import BackupError
    from ansible_collections.sxops.pg_cutover.plugins.module_utils._snapshot import SqliteSource, take

    with pytest.raises(BackupError, match="No space for the backup") as caught:
        take(SqliteSource(purses), small_disk / "b", disk_usage=_generous(small_disk))
    assert caught.value.facts["needed_bytes"] > 8_000_000
    assert names_in(small_disk) == []


def _generous(folder: Path) -> Any:
    first = [shutil.disk_usage(folder)._replace(free=10**9)]
    return lambda path: first.pop() if first else shutil.disk_usage(path)


def test_a_folder_that_cannot_be_written(store: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    failed = backup(store, tmp_path / "file" / "b", run=run_module)
    assert failed["error"] == "backup"
    assert "could not be written" in failed["msg"]


def test_hostile_names_are_refused(store: Path, tmp_path: Path) -> None:
    before = tree(tmp_path)
    for options in ({"snapshot_id": "../up"}, {"name": "a/b"}, {"snapshot_id": "x" * 200}):
        failed = backup(store, tmp_path / "b", **options)
        assert failed["error"] == "bad_input", failed
    assert tree(tmp_path) == before
