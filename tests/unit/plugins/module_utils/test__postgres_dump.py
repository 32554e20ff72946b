# SPDX-License-Identifier: GPL-3.0-or-later
"""Client programs, their command lines and their archives, with scripts in the place of the programs."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.sxops.pg_cutover.plugins.module_utils import _postgres_programs
from ansible_collections.sxops.pg_cutover.plugins.module_utils._errors import (
    BackupError,
    BadInput,
    MissingDependency,
)
from ansible_collections.sxops.pg_cutover.plugins.module_utils._postgres_archive import (
    archive_checks,
    count_rows,
    lists,
)
from ansible_collections.sxops.pg_cutover.plugins.module_utils._postgres_catalog import RegistryRows
from ansible_collections.sxops.pg_cutover.plugins.module_utils._postgres_dump import PostgresSource
from ansible_collections.sxops.pg_cutover.plugins.module_utils._postgres_programs import (
    Program,
    call,
    child_address,
    database_of,
    find_program,
)
from ansible_collections.sxops.pg_cutover.plugins.module_utils._profile import Profile
from ansible_collections.sxops.pg_cutover.plugins.module_utils._verdict import FAILED, PASSED, overall

REASON = "the server is PostgreSQL 18.4"


def run(arguments: list[str], environ_update: dict[str, str] | None = None) -> tuple[int, str, str]:
    done = subprocess.run(
        arguments, env={**os.environ, **(environ_update or {})}, capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout, done.stderr


Scripts = Callable[[str, str], Path]


@pytest.fixture
def script(tmp_path: Path) -> Scripts:
    def write(name: str, body: str) -> Path:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("#!/bin/sh\n" + body)
        path.chmod(0o755)
        return path

    return write


def program_at(path: Path, name: str = "pg_restore") -> Program:
    return Program(name, str(path), "18.4", 18)


def test_an_old_program_is_refused_with_both_versions_and_what_to_do(script: Scripts) -> None:
    old = script("bin/pg_dump", "echo 'pg_dump (PostgreSQL) 13.0'")
    for params in ({"bin_dir": str(old.parent)}, {"pg_dump": str(old), "bin_dir": "/nowhere"}):
        with pytest.raises(BackupError) as caught:
            find_program("pg_dump", params, run, 18, REASON)
        text = caught.value.message()
        assert all(part in text for part in ("pg_dump 13.0", str(old), "18.4", "postgresql-client-18", "bin_dir"))


def test_a_missing_or_broken_program_is_named(script: Scripts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(MissingDependency, match="it is not at /nowhere/pg_dump"):
        find_program("pg_dump", {"bin_dir": "/nowhere"}, run, 18, REASON)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(_postgres_programs, "_VERSIONED_FOLDERS", ())
    with pytest.raises(MissingDependency, match="not on PATH"):
        find_program("pg_dump", {}, run, 18, REASON)
    script("pg_dump", "echo 'cannot start' >&2; exit 127")
    with pytest.raises(MissingDependency, match="cannot start"):
        find_program("pg_dump", {}, run, 18, REASON)


def test_the_program_on_path_comes_first_and_the_server_s_own_version_next(
    script: Scripts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script("path/pg_dump", "echo 'pg_dump (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)'")
    script("v18/pg_dump", "echo 'pg_dump (PostgreSQL) 18beta1'")
    monkeypatch.setenv("PATH", f"{tmp_path}/path:/usr/bin:/bin")
    monkeypatch.setattr(_postgres_programs, "_VERSIONED_FOLDERS", (str(tmp_path / "v{major}"),))
    assert find_program("pg_dump", {}, run, 15, REASON).version == "15.18"
    found = find_program("pg_dump", {}, run, 18, REASON)
    assert (found.version, found.major, found.path) == ("18beta1", 18, f"{tmp_path}/v18/pg_dump")


def connection_to(host: str = "10.0.0.2", port: int = 5433, dbname: str = "sx") -> Any:
    return SimpleNamespace(info=SimpleNamespace(host=host, port=port, dbname=dbname))


def test_no_secret_is_in_the_address_and_the_host_is_the_one_that_answered() -> None:
    params = {
        "dsn": "postgresql+psycopg2://u:p%40ss'%20w@10.0.0.1,10.0.0.2:5432,5433/sx?target_session_attrs=read-write"
    }
    where = child_address(params, connection_to())
    assert where.environment["PGPASSWORD"] == "p@ss' w"
    assert "p@ss" not in where.conninfo
    assert "p@ss" not in repr(where)
    for part in ("host=10.0.0.2", "port=5433", "dbname=sx", "user=u", "target_session_attrs=read-write"):
        assert part in where.conninfo
    assert "PGPASSWORD" not in child_address({"login_host": "h", "pgpass_file": "/x"}, connection_to()).environment


def test_a_secret_that_only_fits_on_a_command_line_is_refused() -> None:
    with pytest.raises(BadInput, match="sslpassword"):
        child_address({"dsn": "host=h sslpassword=secret"}, connection_to())


def test_which_snapshots_are_of_the_same_thing() -> None:
    params = {"dsn": "postgresql://u@h/sx"}
    assert PostgresSource(params, run, Profile("a.1", "sx_a_1")).subject == {
        "scope": "profile",
        "source_id": "a.1",
        "schema_name": "sx_a_1",
        "database": "sx",
    }
    assert PostgresSource({}, run, None).subject["database"] is None
    assert database_of({"login_host": "h"}) is None


def test_a_failing_program_is_quoted_without_the_password(script: Scripts) -> None:
    program = program_at(script("pg_dump", 'echo "pg_dump: error: no way, $PGPASSWORD" >&2; exit 3'), "pg_dump")
    with pytest.raises(BackupError, match=r"Dumping failed: pg_dump 18\.4 ended with code 3: .*no way, \*{8}\."):
        call(program, [], run, "Dumping", {"PGPASSWORD": "hunter2"}, ["hunter2"])


def test_a_full_disk_is_told_from_the_program_s_words(script: Scripts) -> None:
    program = program_at(script("pg_dump", 'echo "could not write: No space left on device" >&2; exit 1'))
    with pytest.raises(OSError, match="No space left"):
        call(program, [], run, "Dumping")


FAKE_RESTORE = r"""
case "$1" in
--list) cat "$(dirname "$2")/list";;
--data-only) cat "$(dirname "$3")/data" > "${2#--file=}"; exit "$(cat "$(dirname "$3")/rc")";;
esac
"""
LIST = """;
; Archive created at 2026-11-21
;     TOC Entries: 4
6; 2615 16385 SCHEMA - sx_a admin
217; 1259 16386 TABLE sx_a v admin
3456; 0 16386 TABLE DATA sx_a v admin
218; 1259 16390 TABLE sx_a odd "name admin
3457; 0 16390 TABLE DATA sx_a odd "name admin
"""
DATA = (
    "SET row_security = off;\n"
    "-- COPY sx_a.fake (id) FROM stdin;\n"
    "COPY sx_a.v (id, t) FROM stdin;\n1\tCOPY sx_a.v (id) FROM stdin;\n2\t\\\\.\n3\t\\N\n\\.\n\n"
    'COPY sx_a."odd ""name"  FROM stdin;\n\n\n\\.\n'
    "SELECT pg_catalog.setval('sx_a.s', 3, true);\n"
)
ROWS = {("sx_a", "v"): 3, ("sx_a", 'odd "name'): 2}


@pytest.fixture
def archive(script: Scripts, tmp_path: Path) -> tuple[Path, Program]:
    for name, text in (("list", LIST), ("data", DATA), ("rc", "0")):
        (tmp_path / name).write_text(text)
    return tmp_path / "tenant.dump", program_at(script("pg_restore", FAKE_RESTORE))


def test_rows_of_an_archive_are_counted_from_its_data(archive: tuple[Path, Program]) -> None:
    path, pg_restore = archive
    assert count_rows(path, pg_restore, run) == ROWS
    assert overall(archive_checks(path, "sx_a", ROWS, pg_restore, run)) == PASSED


@pytest.mark.parametrize(
    ("rows", "schema", "failing"),
    [
        ({("sx_a", "v"): 4}, "sx_a", ["rows_in_archive"]),
        ({("sx_a", "w"): 0}, "sx_a", ["archive_lists_tables", "rows_in_archive"]),
        ({}, "sx_b", ["archive_lists_schema"]),
    ],
)
def test_what_an_archive_lacks_is_named(
    archive: tuple[Path, Program], rows: dict[tuple[str, str], int], schema: str, failing: list[str]
) -> None:
    path, pg_restore = archive
    checks = archive_checks(path, schema, rows, pg_restore, run)
    assert [check.name for check in checks if check.verdict == FAILED] == failing


def test_an_archive_that_cannot_be_read_to_its_end_fails(archive: tuple[Path, Program], script: Scripts) -> None:
    path, pg_restore = archive
    (path.parent / "rc").write_text("1")
    (check,) = archive_checks(path, "sx_a", ROWS, pg_restore, run)
    assert (check.name, check.verdict) == ("archive_readable", FAILED)
    never_opens = program_at(script("dead", "exit 1"))
    with pytest.raises(BackupError):
        count_rows(path, never_opens, run)


def test_a_name_is_not_taken_for_the_beginning_of_another() -> None:
    assert lists(["TABLE sx_a videos owner"], "TABLE", "sx_a", "videos")
    assert not lists(["TABLE sx_a videos_fts owner"], "TABLE", "sx_a", "videos")
    assert not lists(["TABLE sx_a videos owner"], "TABLE DATA", "sx_a", "videos")


def test_registry_lines_name_their_table() -> None:
    assert RegistryRows('public."odd', True, ('{"id":"a"}',)).lines() == [
        '{"table": "public.\\"odd", "row": {"id":"a"}}'
    ]
