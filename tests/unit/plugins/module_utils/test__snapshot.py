# SPDX-License-Identifier: GPL-3.0-or-later
"""Snapshots of real SQLite files: whole and proven, or not there."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
from collections import namedtuple
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.sxops.pg_cutover.plugins.module_utils import _backup_folder, _sqlite_copy
from ansible_collections.sxops.pg_cutover.plugins.module_utils._errors import (
    BackupError,
    BadInput,
    CutoverError,
    LockHeld,
    SqliteError,
)
from ansible_collections.sxops.pg_cutover.plugins.module_utils._manifest import (
    MANIFEST,
    Snapshot,
    list_snapshots,
    load_manifest,
)
from ansible_collections.sxops.pg_cutover.plugins.module_utils._snapshot import SqliteSource, take, verify
from ansible_collections.sxops.pg_cutover.plugins.module_utils._verdict import FAILED, PASSED, open_checks, overall

Usage = namedtuple("Usage", "total used free")


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A WAL database of two profiles whose last commits are in the WAL only."""
    path = tmp_path / "sx store.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("CREATE TABLE videos (source_id TEXT, id TEXT, PRIMARY KEY (source_id, id))")
        connection.execute(
            "CREATE TABLE notes (source_id TEXT, id TEXT, body TEXT, PRIMARY KEY (source_id, id),"
            " FOREIGN KEY (source_id, id) REFERENCES videos (source_id, id))"
        )
        connection.execute("CREATE TABLE settings (key TEXT PRIMARY KEY)")
        for source, count in (("a", 300), ("b", 20)):
            ids = [(source, f"v{number}") for number in range(count)]
            connection.executemany("INSERT INTO videos VALUES (?, ?)", ids)
            connection.executemany("INSERT INTO notes VALUES (?, ?, 'x')", ids[:10])
        connection.commit()
    return path


def source_of(path: Path, **options: Any) -> SqliteSource:
    return SqliteSource(path, **{"source_id": "a", "busy_timeout_s": 0.3, **options})


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def tree(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_a_snapshot_has_its_rows_its_digest_and_its_manifest(store: Path, tmp_path: Path) -> None:
    dest = tmp_path / "deep" / "backups"
    live = sqlite3.connect(store)
    live.execute("INSERT INTO settings VALUES ('only in the WAL')")
    live.commit()
    steps: list[tuple[int, int]] = []
    taken = take(
        source_of(store, export_tables=("notes",)), dest, "s1", progress=lambda done, total: steps.append((done, total))
    )
    live.close()
    assert {(table.name, table.rows, table.profile_rows) for table in taken.tables} == {
        ("videos", 320, 300),
        ("notes", 20, 10),
        ("settings", 1, None),
    }
    assert taken.details["profiles"] == {"a": {"videos": 300, "notes": 10}, "b": {"videos": 20, "notes": 10}}
    assert overall(taken.checks) == PASSED
    assert steps[-1][0] == steps[-1][1] == taken.details["page_count"]
    assert names_in(dest / "s1") == ["manifest.json", "notes.jsonl", "sx_store.db"]
    assert {path.stat().st_mode & 0o777 for path in (dest / "s1").iterdir()} == {0o400}
    assert {path.stat().st_mode & 0o777 for path in (dest, dest / "s1")} == {0o700}
    assert names_in(dest) == ["s1"]
    with closing(sqlite3.connect(f"file:{taken.path}?mode=ro", uri=True)) as copy:
        assert copy.execute("PRAGMA journal_mode").fetchone() == ("delete",)
        assert copy.execute("SELECT * FROM settings").fetchall() == [("only in the WAL",)]
    assert load_manifest(dest / "s1") == taken
    assert overall(verify(taken)) == PASSED
    assert [snapshot.id for snapshot in list_snapshots(dest, "sqlite")] == ["s1"]
    assert list_snapshots(dest, "postgres") == []


def test_ids_sort_by_time_and_names_come_from_the_file(store: Path, tmp_path: Path) -> None:
    first, second = (take(source_of(store), tmp_path / "b") for _turn in range(2))
    assert first.id < second.id
    assert [snapshot.id for snapshot in list_snapshots(tmp_path / "b", "sqlite")] == [second.id, first.id]
    assert take(source_of(store, name="other"), tmp_path / "b").path.name == "other.db"


@pytest.mark.parametrize("name", ["../up", "a/b", ".hidden", "", "x" * 200])
def test_a_name_that_could_leave_the_folder_is_refused(store: Path, tmp_path: Path, name: str) -> None:
    with pytest.raises(BadInput):
        take(source_of(store), tmp_path / "b", name or "/")
    assert not (tmp_path / "b").exists()


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.chmod(0o600)
    path.write_bytes(data)


def cut(path: Path) -> None:
    path.chmod(0o600)
    path.write_bytes(path.read_bytes()[:-100])


@pytest.mark.parametrize("harm", [flip, cut, Path.unlink])
@pytest.mark.parametrize("name", ["sx_store.db", "notes.jsonl"])
def test_any_harm_to_a_file_is_found(store: Path, tmp_path: Path, harm: Callable[[Path], None], name: str) -> None:
    taken = take(source_of(store, export_tables=("notes",)), tmp_path / "b", "s1")
    harm(taken.folder / name)
    assert [check.name for check in open_checks(verify(taken))] == [f"sha256 of {name}"]


def test_a_manifest_that_was_changed_moved_or_cut_is_refused(store: Path, tmp_path: Path) -> None:
    dest = tmp_path / "b"
    taken = take(source_of(store), dest, "s1")
    text = taken.manifest_path.read_text()
    taken.manifest_path.chmod(0o600)
    taken.manifest_path.write_text(text.replace('"rows": 320', '"rows": 321'))
    with pytest.raises(BackupError, match="changed after it was written"):
        load_manifest(dest / "s1")
    with pytest.raises(BackupError, match="changed after it was written"):
        list_snapshots(dest, "sqlite")
    taken.manifest_path.write_text(text[:50])
    with pytest.raises(BackupError, match="not JSON"):
        load_manifest(dest / "s1")
    taken.manifest_path.write_text(text)
    (dest / "s1").rename(dest / "s2")
    with pytest.raises(BackupError, match=r"describes snapshot 's1', not 's2'"):
        load_manifest(dest / "s2")
    (dest / "s2" / MANIFEST).unlink()
    with pytest.raises(BackupError, match=r"is not a snapshot: it has no manifest\.json"):
        load_manifest(dest / "s2")
    assert list_snapshots(dest, "sqlite") == []


def test_a_manifest_cannot_point_out_of_its_folder(store: Path, tmp_path: Path) -> None:
    from ansible_collections.sxops.pg_cutover.plugins.module_utils import _manifest

    taken = take(source_of(store), tmp_path / "b", "s1")
    content = json.loads(taken.manifest_path.read_text())
    content["files"][0]["name"] = "../../etc/passwd"
    del content["digest"]
    content["digest"] = _manifest._digest(content)
    taken.manifest_path.chmod(0o600)
    taken.manifest_path.write_text(json.dumps(content))
    with pytest.raises(BackupError, match="outside its folder"):
        load_manifest(tmp_path / "b" / "s1")


def test_nothing_that_exists_is_overwritten(store: Path, tmp_path: Path) -> None:
    dest = tmp_path / "b"
    take(source_of(store), dest, "s1")
    (dest / "mine").mkdir()
    (dest / "mine" / "photo").write_text("x")
    before = tree(dest)
    for name in ("s1", "mine"):
        with pytest.raises(BackupError, match="exists already"):
            take(source_of(store), dest, name)
    assert tree(dest) == before


def test_no_room_is_found_before_anything_is_written(store: Path, tmp_path: Path) -> None:
    with pytest.raises(BackupError, match=r"needs \d+ bytes .* free are 4096 bytes") as caught:
        take(source_of(store), tmp_path / "b", disk_usage=lambda _path: Usage(8192, 4096, 4096))
    assert caught.value.facts["free_bytes"] == 4096
    assert not (tmp_path / "b").exists()


def test_a_failure_halfway_leaves_older_snapshots_and_nothing_else(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dest = tmp_path / "b"
    take(source_of(store), dest, "old")
    before = tree(dest)

    def full(*_args: Any, **_options: Any) -> Any:
        raise OSError(28, os.strerror(28), "manifest.json.partial")

    monkeypatch.setattr(_backup_folder, "manifest_text", full)
    with pytest.raises(BackupError, match="No space for the backup"):
        take(source_of(store), dest, "new")
    monkeypatch.setattr(_backup_folder, "manifest_text", lambda _snapshot: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        take(source_of(store), tmp_path / "fresh", "new")
    assert tree(dest) == before
    assert names_in(dest) == ["old"]
    assert not (tmp_path / "fresh").exists()


def test_what_a_killed_run_left_is_removed_but_not_what_is_being_written(store: Path, tmp_path: Path) -> None:
    dest = tmp_path / "b"
    for name in (".killed.partial", ".busy.partial", ".s1.partial"):
        (dest / name).mkdir(parents=True)
        (dest / name / "half").write_text("x")
    lock = _backup_folder._try_lock(dest / ".busy.partial")
    assert lock is not None
    try:
        take(source_of(store), dest, "s1")
        assert names_in(dest) == [".busy.partial", "s1"]
        assert names_in(dest / "s1") == ["manifest.json", "sx_store.db"]
        with pytest.raises(LockHeld, match="being written"):
            take(source_of(store), dest, "busy")
    finally:
        os.close(lock)
    assert (dest / ".busy.partial" / "half").exists()


def test_a_source_that_is_no_sound_database_is_refused_in_the_plan_already(store: Path, tmp_path: Path) -> None:
    whole = tmp_path / "whole.db"
    with closing(sqlite3.connect(whole)) as connection:
        connection.executescript("CREATE TABLE t (v); INSERT INTO t VALUES (zeroblob(9000))")
    (tmp_path / "text.db").write_text("no database at all, but long enough to be one" * 10)
    (tmp_path / "short.db").write_bytes(whole.read_bytes()[:8192])
    for name, why in (("gone.db", "does not exist"), ("text.db", "is not a SQLite"), ("short.db", "is truncated")):
        with pytest.raises(SqliteError, match=why):
            source_of(tmp_path / name).plan()
        with pytest.raises(SqliteError, match=why):
            take(source_of(tmp_path / name), tmp_path / "b")
    assert not (tmp_path / "b").exists()


def test_a_damaged_page_is_found_on_the_copy_and_the_copy_is_not_kept(store: Path, tmp_path: Path) -> None:
    with closing(sqlite3.connect(store)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    data = bytearray(store.read_bytes())
    data[-4096 : -4096 + 8] = b"\xff" * 8
    store.write_bytes(data)
    with pytest.raises(CutoverError, match=r"integrity_check|damaged"):
        take(source_of(store), tmp_path / "b")
    assert not (tmp_path / "b").exists()


def test_a_database_without_tables_proves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "empty.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript("CREATE TABLE t (v); DROP TABLE t")
    with pytest.raises(BackupError, match=r"tables_counted: not_verified .* no table"):
        take(source_of(path), tmp_path / "b")


def test_foreign_key_violations_are_findings_and_do_not_fail(store: Path, tmp_path: Path) -> None:
    with closing(sqlite3.connect(store)) as connection:
        connection.execute("DELETE FROM videos WHERE id IN ('v1', 'v2') AND source_id = 'a'")
        connection.commit()
    taken = take(source_of(store), tmp_path / "b")
    (finding,) = taken.findings
    assert (finding["table"], finding["parent"], finding["rows"]) == ("notes", "videos", 2)
    assert overall(taken.checks) == PASSED


@pytest.mark.parametrize("journal_mode", ["WAL", "DELETE"])
def test_an_exclusive_lock_is_waited_for_and_then_named(store: Path, tmp_path: Path, journal_mode: str) -> None:
    holder = sqlite3.connect(store, isolation_level=None)
    holder.execute("PRAGMA locking_mode = EXCLUSIVE")
    holder.execute(f"PRAGMA journal_mode = {journal_mode}")
    holder.execute("BEGIN EXCLUSIVE")
    holder.execute("INSERT INTO settings VALUES ('held')")
    with pytest.raises(SqliteError, match="is locked") as caught:
        take(source_of(store), tmp_path / "b")
    assert caught.value.facts["locked"] is True
    holder.close()
    assert not (tmp_path / "b").exists()


def test_a_lock_that_comes_while_copying_is_waited_for_and_then_named(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(sqlite3.connect(store)) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")
    monkeypatch.setattr(_sqlite_copy, "_STEP_PAGES", 1)
    holder = sqlite3.connect(store, isolation_level=None)

    def lock(done: int, total: int) -> None:
        if done == 2:
            holder.execute("BEGIN EXCLUSIVE")

    with pytest.raises(SqliteError, match="is locked"):
        take(source_of(store), tmp_path / "b", progress=lock)
    holder.close()
    assert not (tmp_path / "b").exists()


@pytest.mark.parametrize("journal_mode", ["WAL", "DELETE"])
def test_a_writer_that_never_stops_cannot_keep_a_copy_from_ending(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, journal_mode: str
) -> None:
    writer = sqlite3.connect(store, isolation_level=None)
    writer.execute(f"PRAGMA journal_mode = {journal_mode}")
    monkeypatch.setattr(_sqlite_copy, "_STEP_PAGES", 2)
    written = 0

    def write(_done: int, _total: int) -> None:
        nonlocal written
        writer.execute("INSERT INTO settings VALUES (?)", (f"k{written}",))
        written += 1

    taken = take(source_of(store), tmp_path / "b", progress=write)
    writer.close()
    assert written > 2
    if journal_mode == "WAL":
        assert taken.details["restarts"] == 0
        assert {table.name: table.rows for table in taken.tables}["settings"] == 0, "as of the instant it began"
    else:
        assert taken.details["restarts"] > _sqlite_copy._MAX_RESTARTS


def test_verify_counts_what_the_manifest_counted(store: Path, tmp_path: Path) -> None:
    taken = take(source_of(store), tmp_path / "b", "s1")
    wrong = [table.rows + 1 for table in taken.tables]
    tables = tuple(type(table)(table.name, rows) for table, rows in zip(taken.tables, wrong, strict=True))
    other = Snapshot(**{**vars(taken), "tables": tables})
    assert [check.name for check in verify(other) if check.verdict == FAILED] == ["row_counts"]
    shutil.copytree(taken.folder, tmp_path / "elsewhere" / "s1")
    assert overall(verify(load_manifest(tmp_path / "elsewhere" / "s1"))) == PASSED
