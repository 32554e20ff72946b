# SPDX-License-Identifier: GPL-3.0-or-later
"""postgres_backup against the embedded server, with its own client programs."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import threading
import time
import urllib.parse
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from _ansible import run_module
from _module_process import run_process
from api_client import free_port
from local_stack.stack import Stack

DATABASE = "backup_test"
SETUP = """
CREATE TABLE public.sx_source_registry (source_id text PRIMARY KEY, schema_name text UNIQUE, created_at text,
  updated_at text);
CREATE TABLE public.sources (id text PRIMARY KEY, label text, seen timestamptz, extra json);
INSERT INTO public.sx_source_registry VALUES ('Assets.1', 'sx_Assets_1', 't', 't'), ('other', 'sx_other', 't', 't');
INSERT INTO public.sources VALUES ('Assets.1', E'a "b"\n\\\\', '2026-11-21 10:00+02', E'{"x":\\n [1, 2]}'),
  ('other', NULL, NULL, NULL);
CREATE SCHEMA "sx_Assets_1"; CREATE SCHEMA sx_other; CREATE TABLE sx_other.videos (id int);
SET search_path TO "sx_Assets_1";
CREATE TABLE videos (source_id text, id int PRIMARY KEY, caption text);
INSERT INTO videos SELECT 'Assets.1', n, E'line\n\\\\.\ttab ' || n FROM generate_series(1, 5000) n;
CREATE TABLE "Odd ""name" (id int); INSERT INTO "Odd ""name" VALUES (1), (2);
CREATE TABLE empty (id int);
CREATE TABLE parts (id int) PARTITION BY RANGE (id); CREATE TABLE part_1 PARTITION OF parts FOR VALUES FROM (0) TO (9);
INSERT INTO parts VALUES (1), (2), (3);
"""
COUNTS = {"videos": 5000, 'Odd "name': 2, "empty": 0, "part_1": 3}


@pytest.fixture(scope="module")
def superuser_dsn(stack: Stack) -> Iterator[str]:
    """A database of this file's own, on the stack's server."""
    dsn = stack.secrets()["superuser_dsn"]
    run_sql(dsn, f"DROP DATABASE IF EXISTS {DATABASE}")
    run_sql(dsn, f"CREATE DATABASE {DATABASE}")
    own = urllib.parse.urlsplit(dsn)._replace(path=f"/{DATABASE}").geturl()
    run_sql(own, SETUP)
    yield own
    run_sql(dsn, f"DROP DATABASE {DATABASE} WITH (FORCE)")


@pytest.fixture(scope="module")
def bin_dir(stack: Stack) -> str:
    return str(stack.describe()["postgres"]["bin_dir"])


def run_sql(dsn: str, statement: str) -> None:
    with closing(psycopg2.connect(dsn)) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(statement)


Backup = Callable[..., dict[str, Any]]


@pytest.fixture
def backup(superuser_dsn: str, bin_dir: str, tmp_path: Path) -> Backup:
    def call(*, check: bool = False, diff: bool = False, run: Backup = run_process, **options: Any) -> dict[str, Any]:
        given = {"dsn": superuser_dsn, "dest": str(tmp_path / "b"), "bin_dir": bin_dir, "source_id": "Assets.1"}
        args = {name: value for name, value in {**given, **options}.items() if value is not None}
        return run("postgres_backup", args, check=check, diff=diff)

    return call


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def tree(folder: Path) -> dict[str, str]:
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_a_snapshot_of_a_profile(backup: Backup, tmp_path: Path, bin_dir: str, superuser_dsn: str) -> None:
    result = backup(diff=True, run=run_module)
    assert (result["changed"], result["verdict"]) == (True, "passed"), result
    snapshot = result["snapshot"]
    assert {table["name"]: table["rows"] for table in snapshot["tables"]} == COUNTS
    assert snapshot["details"]["schema_exists"] is True
    assert snapshot["subject"]["schema_name"] == "sx_Assets_1"
    folder = Path(snapshot["folder"])
    assert names_in(folder) == ["manifest.json", "registry.jsonl", "tenant.dump"]
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o400}
    assert folder.stat().st_mode & 0o777 == 0o700
    assert hashlib.sha256(Path(snapshot["path"]).read_bytes()).hexdigest() == snapshot["sha256"]
    rows = [json.loads(line) for line in (folder / "registry.jsonl").read_text().splitlines()]
    assert [row["table"] for row in rows] == ["public.sx_source_registry", "public.sources"]
    assert rows[1]["row"] == {
        "id": "Assets.1",
        "label": 'a "b"\n\\',
        "seen": "2026-11-21T08:00:00+00:00",
        "extra": {"x": [1, 2]},
    }
    manifest = json.loads((folder / "manifest.json").read_text())
    assert "plpgsql" in [extension["name"] for extension in manifest["environment"]["extensions"]]
    assert len(manifest["environment"]["roles"]) >= 3
    listing = subprocess.run(
        [f"{bin_dir}/pg_restore", "--list", snapshot["path"]], check=False, capture_output=True, text=True
    )
    assert "sx_other" not in listing.stdout
    password = urllib.parse.unquote(urllib.parse.urlsplit(superuser_dsn).password or "")
    assert password
    assert password not in json.dumps(result)
    assert not [name for name in tree(tmp_path) if password.encode() in Path(name).read_bytes()]


def test_the_archive_brings_the_rows_back(backup: Backup, superuser_dsn: str, bin_dir: str, stack: Stack) -> None:
    snapshot = backup()["snapshot"]
    scratch = urllib.parse.urlsplit(superuser_dsn)._replace(path="/backup_scratch").geturl()
    run_sql(stack.secrets()["superuser_dsn"], "CREATE DATABASE backup_scratch")
    try:
        subprocess.run([f"{bin_dir}/pg_restore", "--exit-on-error", "-d", scratch, snapshot["path"]], check=True)
        query = "SELECT count(*), md5(string_agg(v::text, '|' ORDER BY id)) FROM \"sx_Assets_1\".videos v"
        seen = []
        for dsn in (superuser_dsn, scratch):
            with closing(psycopg2.connect(dsn)) as connection, connection.cursor() as cursor:
                cursor.execute(query)
                seen.append(cursor.fetchone())
        assert seen[0] == seen[1]
    finally:
        run_sql(stack.secrets()["superuser_dsn"], "DROP DATABASE backup_scratch WITH (FORCE)")


def test_a_snapshot_of_the_database(backup: Backup) -> None:
    result = backup(scope="database", source_id=None)
    assert (result["changed"], result["verdict"]) == (True, "passed"), result
    snapshot = result["snapshot"]
    assert Path(snapshot["path"]).name == "database.dump"
    counts = {f"{table['schema']}.{table['name']}": table["rows"] for table in snapshot["tables"]}
    assert counts["public.sources"] == 2
    assert counts["sx_Assets_1.videos"] == 5000
    assert counts["sx_other.videos"] == 0
    assert {table["profile_rows"] for table in snapshot["tables"]} == {None}
    assert snapshot["subject"] == {
        "scope": "database",
        "source_id": None,
        "schema_name": None,
        "database": DATABASE,
    }


def test_dump_and_counts_are_of_one_instant_under_a_writer(backup: Backup, superuser_dsn: str) -> None:
    done = threading.Event()

    def write() -> None:
        number = 100_000
        while not done.is_set():
            run_sql(
                superuser_dsn,
                f"INSERT INTO \"sx_Assets_1\".videos VALUES ('Assets.1', {number}, 'late');"
                f' INSERT INTO "sx_Assets_1".empty VALUES ({number})',
            )
            number += 1

    writer = threading.Thread(target=write)
    writer.start()
    try:
        time.sleep(0.2)
        result = backup()
    finally:
        done.set()
        writer.join()
        run_sql(superuser_dsn, 'TRUNCATE "sx_Assets_1".empty; DELETE FROM "sx_Assets_1".videos WHERE id >= 100000')
    assert result["verdict"] == "passed", result
    counts = {table["name"]: table["rows"] for table in result["snapshot"]["tables"]}
    assert counts["videos"] - 5000 == counts["empty"] > 0


def test_a_schema_that_does_not_exist_is_a_snapshot_of_that(backup: Backup) -> None:
    result = backup(source_id="nobody")
    assert (result["changed"], result["verdict"]) == (True, "passed")
    snapshot = result["snapshot"]
    assert snapshot["details"]["schema_exists"] is False
    assert "means dropping it" in snapshot["details"]["restore"]
    assert Path(snapshot["path"]).name == "registry.jsonl"
    assert (snapshot["bytes"], snapshot["tables"]) == (0, [])
    again = backup(source_id="nobody", registry_table="public.none", sources_table="")
    assert again["snapshot"]["details"]["registry"] == [{"table": "public.none", "exists": False, "rows": 0}]


def test_the_second_run_with_one_id_finds_it_done(backup: Backup, tmp_path: Path) -> None:
    first = backup(snapshot_id="run-1")
    before = tree(tmp_path)
    for check in (True, False):
        second = backup(snapshot_id="run-1", check=check)
        assert second["changed"] is False
        assert second["snapshot"] == first["snapshot"]
    # proven again without a server
    verified = backup(state="verified", dsn=None)
    assert (verified["changed"], verified["verdict"]) == (False, "passed"), verified
    assert {check["name"] for check in verified["checks"]} >= {"archive_lists_tables", "rows_in_archive"}
    for options in ({"source_id": "other"}, {"scope": "database"}):
        failed = backup(snapshot_id="run-1", **options)
        assert "is not the one asked for" in failed["msg"]
    assert tree(tmp_path) == before


def test_check_mode_plans_and_writes_nothing(backup: Backup, tmp_path: Path) -> None:
    result = backup(check=True, diff=True, run=run_module)
    assert (result["changed"], result["verdict"]) == (True, "not_verified")
    assert (result["snapshot"]["sha256"], result["snapshot"]["tables"]) == (None, [])
    assert result["snapshot"]["needed_bytes"] > 0
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_archive_is_found(backup: Backup, tmp_path: Path) -> None:
    path = Path(backup(snapshot_id="run-1")["snapshot"]["path"])
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.chmod(0o600)
    path.write_bytes(data)
    for options in ({"snapshot_id": "run-1"}, {"state": "verified"}):
        failed = backup(**options)
        assert failed["error"] == "backup"
        assert "sha256 of tenant.dump: failed" in failed["msg"]


def test_an_archive_that_lost_rows_is_not_kept(backup: Backup, bin_dir: str, tmp_path: Path) -> None:
    """A pg_dump that exits 0 after leaving out a table's rows: only counting finds that."""
    liar = tmp_path / "pg_dump"
    liar.write_text(f'#!/bin/sh\nexec {bin_dir}/pg_dump "$@" --exclude-table-data="*.videos"\n')
    liar.chmod(0o755)
    failed = backup(pg_dump=str(liar))
    assert failed["error"] == "backup"
    assert "rows_in_archive: failed" in failed["msg"]
    assert not (tmp_path / "b").exists()


@pytest.mark.parametrize("check", [False, True])
def test_an_old_pg_dump_is_refused(backup: Backup, tmp_path: Path, check: bool) -> None:
    old = tmp_path / "old"
    old.mkdir()
    for name in ("pg_dump", "pg_restore"):
        (old / name).write_text(f"#!/bin/sh\necho '{name} (PostgreSQL) 13.0'\n")
        (old / name).chmod(0o755)
    failed = backup(bin_dir=str(old), check=check)
    assert failed["error"] == "backup"
    for part in ("pg_dump 13.0", "the server is PostgreSQL", "Install", "bin_dir"):
        assert part in failed["msg"]
    missing = backup(bin_dir=str(tmp_path), check=check)
    assert missing["error"] == "missing_dependency"
    assert not (tmp_path / "b").exists()


def test_wrong_password_and_no_server(backup: Backup, superuser_dsn: str, tmp_path: Path) -> None:
    parts = urllib.parse.urlsplit(superuser_dsn)
    wrong = parts._replace(netloc=f"{parts.username}:hunter2secret@{parts.hostname}:{parts.port}").geturl()
    nobody = parts._replace(netloc=f"{parts.username}:hunter2secret@127.0.0.1:{free_port()}").geturl()
    for check in (True, False):
        for dsn, reason in ((wrong, "authentication"), (nobody, "unreachable")):
            failed = backup(dsn=dsn, check=check, run=run_process if check else run_module)
            assert (failed["error"], failed["reason"]) == ("postgres", reason)
            assert "hunter2secret" not in json.dumps(failed)
    assert not (tmp_path / "b").exists()


def test_no_secret_on_a_command_line(backup: Backup, bin_dir: str, superuser_dsn: str, tmp_path: Path) -> None:
    recorder = tmp_path / "pg_dump"
    recorder.write_text(
        f'#!/bin/sh\ntr "\\0" "\\n" < /proc/$$/cmdline >> {tmp_path}/argv\n'
        f'echo "password:$PGPASSWORD" >> {tmp_path}/environment\nexec {bin_dir}/pg_dump "$@"\n'
    )
    recorder.chmod(0o755)
    password = urllib.parse.unquote(urllib.parse.urlsplit(superuser_dsn).password or "")
    assert backup(pg_dump=str(recorder))["changed"] is True
    seen = (tmp_path / "argv").read_text()
    assert f"dbname={DATABASE}" in seen
    assert '--schema="sx_Assets_1"' in seen
    assert password not in seen
    assert f"password:{password}" in (tmp_path / "environment").read_text()


def test_a_registry_that_says_otherwise_is_believed(backup: Backup, tmp_path: Path) -> None:
    failed = backup(schema_name="sx_wrong")
    assert failed["error"] == "profile_refused"
    assert "'sx_Assets_1'" in failed["msg"]
    failed = backup(source_id="Assets-1", schema_prefix="sx")
    assert failed["error"] == "profile_refused"
    assert "already belongs to source_id 'Assets.1'" in failed["msg"]
    for hostile in ("assets_1; DROP SCHEMA public", "../../etc", "", "x" * 80):
        failed = backup(source_id=hostile)
        assert "source_id" in failed["msg"]
    assert not (tmp_path / "b").exists()


def test_a_locked_table_is_not_waited_for_forever(backup: Backup, superuser_dsn: str, tmp_path: Path) -> None:
    with closing(psycopg2.connect(superuser_dsn)) as holder, holder.cursor() as cursor:
        cursor.execute('LOCK TABLE "sx_Assets_1".videos IN ACCESS EXCLUSIVE MODE')
        failed = backup(lock_timeout=0.3)
    assert failed["error"] == "postgres"
    assert "sx_Assets_1.videos" in failed["msg"]
    assert not (tmp_path / "b").exists()


def test_the_registry_is_not_locked_while_dumping(
    backup: Backup, bin_dir: str, superuser_dsn: str, tmp_path: Path
) -> None:
    """The application runs DDL on it with every request."""
    slow = tmp_path / "pg_dump"
    slow.write_text(
        f'#!/bin/sh\n[ "$1" = --version ] || {{ touch {tmp_path}/dumping; sleep 1; }}\nexec {bin_dir}/pg_dump "$@"\n'
    )
    slow.chmod(0o755)
    results: list[dict[str, Any]] = []
    thread = threading.Thread(target=lambda: results.append(backup(pg_dump=str(slow))))
    thread.start()
    deadline = time.monotonic() + 30
    while not (tmp_path / "dumping").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    run_sql(superuser_dsn, "SET lock_timeout = '200ms'; ALTER TABLE public.sources ALTER label SET DEFAULT 'x'")
    thread.join()
    assert results[0]["verdict"] == "passed", results


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 512 KiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=512k", "pg_cutover_test", str(folder)]
    if os.geteuid() or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting a small file system needs root")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.parametrize("check", [False, True])
def test_a_disk_that_is_too_small(backup: Backup, small_disk: Path, check: bool) -> None:
    failed = backup(dest=str(small_disk / "b"), check=check)
    assert failed["error"] == "backup"
    assert failed["needed_bytes"] > failed["free_bytes"]
    assert str(failed["free_bytes"]) in failed["msg"]
    assert names_in(small_disk) == []


def test_a_disk_that_fills_up_while_dumping(backup: Backup, small_disk: Path, superuser_dsn: str, bin_dir: str) -> None:
    """The check before did not help: other writers took the room. The real error of a full disk, from pg_dump."""
    import shutil

    from ansible_collections.sxops.pg_cutover.plugins.module_utils._errors import BackupError
    from ansible_collections.sxops.pg_cutover.plugins.module_utils._postgres_dump import PostgresSource, take

    def run(arguments: list[str], environ_update: dict[str, str]) -> tuple[int, str, str]:
        environment = {**os.environ, **environ_update}
        done = subprocess.run(arguments, env=environment, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout, done.stderr

    filler = 'INSERT INTO "sx_Assets_1".empty SELECT (random() * 2e9)::int FROM generate_series(1, 200000)'
    run_sql(superuser_dsn, filler)
    first = [shutil.disk_usage(small_disk)._replace(free=10**12)]
    try:
        with pytest.raises(BackupError, match="No space for the backup"):
            take(
                PostgresSource({"dsn": superuser_dsn, "bin_dir": bin_dir}, run, None),
                small_disk / "b",
                disk_usage=lambda path: first.pop() if first else shutil.disk_usage(path),
            )
    finally:
        run_sql(superuser_dsn, 'TRUNCATE "sx_Assets_1".empty')
    assert names_in(small_disk) == []


def test_a_missing_psycopg2_is_said_so(backup: Backup, tmp_path: Path) -> None:
    """On a host without the library the task names it and how to get it."""
    code = (
        "import sys; sys.modules['psycopg2'] = None\n"
        "from ansible_collections.sxops.pg_cutover.plugins.module_utils import _postgres_dump as dump\n"
        "from ansible_collections.sxops.pg_cutover.plugins.module_utils._errors import MissingDependency\n"
        "try:\n    dump.PostgresSource({'dsn': 'host=h'}, None, None).plan()\n"
        "except MissingDependency as error:\n    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "psycopg2 is missing on this host" in done.stdout, done.stderr
