# SPDX-License-Identifier: GPL-3.0-or-later
"""What an operator sees while tenant_load and tenant_parity work, through a real ansible-playbook.

A lock on the table that is to be written (or read) holds the module in the middle of its work for as long as the test
wants, so that a line that appears meanwhile has appeared during the task, however fast the machine is.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from _ansible import command_for, environment, home, run_playbook, wait_for
from _databases import Database, Tenant, fresh_database
from local_stack.stack import Stack

ROWS = 150
LOAD, PARITY = "tenant_load", "tenant_parity"
# So long that a line would have come: two looks, one second apart.
LONG_ENOUGH = 3.5


@pytest.fixture(scope="module")
def database(stack: Stack) -> Iterator[Database]:
    with fresh_database(stack, "live_progress") as found:
        yield found


@pytest.fixture
def tenant(database: Database, tmp_path: Path) -> Tenant:
    """A profile with a table whose rows are large, and an empty schema for it."""
    # A module whose task was ended goes on until it finds out, and holds the profile's lock.
    others = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    wait_for(lambda: database.run(others) == [(0,)], "the sessions of the last test to end")
    tenant = Tenant(database, tmp_path / "snapshot.db")
    tenant.sqlite(
        "CREATE TABLE videos (source_id TEXT, id INTEGER, title TEXT, PRIMARY KEY (source_id, id))",
        "CREATE TABLE tags (source_id TEXT, id INTEGER, PRIMARY KEY (source_id, id))",
        "INSERT INTO tags VALUES ('a', 1)",
        *(
            ("INSERT INTO videos VALUES ('a', ?, ?)", (number, f"{number}" * 20_000))
            for number in range(100, 100 + ROWS)
        ),
    )
    tenant.create_schema(
        "CREATE TABLE videos (source_id text, id bigint, title text, PRIMARY KEY (source_id, id));"
        "CREATE TABLE tags (source_id text, id bigint, PRIMARY KEY (source_id, id))"
    )
    return tenant


@dataclass
class Run:
    """A playbook that runs: what it has printed so far, each line with the time at which it came."""

    process: subprocess.Popen[str]
    folder: Path
    lines: list[tuple[float, str]] = field(default_factory=list)

    def read(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            self.lines.append((time.monotonic(), line.rstrip("\n")))

    @property
    def text(self) -> str:
        return "\n".join(line for _moment, line in self.lines)

    def moment(self, pattern: str) -> float | None:
        """Return when the first line came that holds the pattern."""
        return next((moment for moment, line in self.lines if re.search(pattern, line)), None)

    def wait(self, pattern: str) -> float:
        moment: float = wait_for(lambda: self.moment(pattern), f"{pattern} in the output")
        return moment

    def end(self) -> str:
        """Wait for its end, see that it left no file behind, and return what it printed."""
        assert self.process.wait(120) is not None
        wait_for(lambda: not self._reader.is_alive(), "the end of the output")
        assert list(self.folder.iterdir()) == []
        return self.text

    def start(self) -> None:
        self._reader = threading.Thread(target=self.read, daemon=True)
        self._reader.start()


@contextlib.contextmanager
def playing(
    tenant: Tenant, module: str, hosts: int = 1, env: dict[str, str] | None = None, **task: Any
) -> Iterator[Run]:
    """Start a playbook of one task on so many hosts, all of them this machine."""
    folder = tenant.sqlite_path.parent / "tmp"
    folder.mkdir()
    local = {
        "ansible_connection": "local",
        "ansible_python_interpreter": sys.executable,
        "ansible_async_dir": f"{folder}_async",
    }
    inventory = tenant.sqlite_path.parent / "inventory.json"
    inventory.write_text(json.dumps({"all": {"hosts": {f"host-{number}": local for number in range(1, hosts + 1)}}}))
    play = {"name": "Play", "hosts": "all", "gather_facts": False, "tasks": [task_for(tenant, module, **task)]}
    process = subprocess.Popen(
        command_for(json.dumps([play]), inventory_file=inventory),
        cwd=home(),
        env=environment(**{"ANSIBLE_SYSTEM_TMPDIRS": str(folder), "PYTHONUNBUFFERED": "1", **(env or {})}),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    run = Run(process, folder)
    run.start()
    try:
        yield run
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()


def task_for(tenant: Tenant, module: str, options: dict[str, Any] | None = None, **task: Any) -> dict[str, Any]:
    given = {"source_id": "a", "dsn": tenant.database.dsn, "sqlite_path": str(tenant.sqlite_path), **(options or {})}
    return {"name": module, f"sxops.pg_cutover.{module}": given, **task}


@contextlib.contextmanager
def locked(tenant: Tenant, mode: str = "EXCLUSIVE") -> Iterator[psycopg2.extensions.connection]:
    """Hold a lock on the large table: EXCLUSIVE stops writers, ACCESS EXCLUSIVE readers too. A rollback releases it."""
    with contextlib.closing(psycopg2.connect(tenant.database.dsn)) as connection:
        connection.cursor().execute(f"LOCK TABLE {tenant.schema}.videos IN {mode} MODE")
        yield connection


def wait_for_waiter(tenant: Tenant, number: int = 1) -> None:
    """Wait until so many sessions wait for the lock."""
    waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted AND database = (SELECT oid FROM pg_database"
    waiting += " WHERE datname = current_database())"
    wait_for(lambda: tenant.database.run(waiting)[0][0] >= number, "the module to wait for the lock")


def test_a_load_is_told_while_it_runs_and_a_comparison_too(tenant: Tenant) -> None:
    with locked(tenant) as lock, playing(tenant, LOAD) as run:
        run.wait(f"^a load videos: {ROWS} rows to go$")
        (file,) = run.folder.iterdir()
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        lock.rollback()
        printed = run.end()
    assert re.search(rf"^a load videos: {ROWS} rows in \d+ s, \d+ rows/s$", printed, re.M)
    assert "changed: [host-1]" in printed
    shutil.rmtree(run.folder)
    with locked(tenant, "ACCESS EXCLUSIVE") as lock, playing(tenant, PARITY, hosts=2) as run:
        # Two hosts at once: each says which one it is.
        run.wait(f"^host-1: a compare videos: {ROWS} rows to go$")
        run.wait(f"^host-2: a compare videos: {ROWS} rows to go$")
        lock.rollback()
        assert run.end().count("ok: [host-") == 2


def test_a_long_load_tells_how_far_it_is(tenant: Tenant) -> None:
    tenant.postgres(
        "CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS"
        " 'BEGIN PERFORM pg_sleep(0.04); RETURN new; END';"
        "CREATE TRIGGER wait BEFORE INSERT ON videos FOR EACH ROW EXECUTE FUNCTION wait()"
    )
    with playing(tenant, LOAD) as run:
        printed = run.end()
    shape = rf"^a load videos: (\d+) of {ROWS} rows \((\d+) %\), \d+ rows/s, [\d.]+ s left$"
    shares = [(int(done), int(share)) for done, share in re.findall(shape, printed, re.M)]
    assert shares and shares == sorted(set(shares))
    assert all(share == 100 * done // ROWS for done, share in shares)
    first, over = run.moment(shape), run.moment("^changed: ")
    assert first and over and over - first > 0.5


@pytest.mark.parametrize(
    "quiet",
    [
        {"no_log": True},
        {"async": 60, "poll": 1},
        {"env": {"ANSIBLE_STDOUT_CALLBACK": "one_object_a_line"}},
    ],
    ids=["no_log", "async", "json"],
)
def test_where_nothing_is_to_be_told_nothing_is(tenant: Tenant, quiet: dict[str, Any]) -> None:
    folder = tenant.sqlite_path.parent / "callbacks"
    folder.mkdir()
    shutil.copy(Path(__file__).with_name("_jsonl_callback.py"), folder / "one_object_a_line.py")
    more = {**quiet, "env": {**quiet.get("env", {}), "ANSIBLE_CALLBACK_PLUGINS": str(folder)}}
    with locked(tenant) as lock, playing(tenant, LOAD, **more) as run:
        wait_for_waiter(tenant)
        time.sleep(LONG_ENOUGH)
        assert list(run.folder.iterdir()) == []
        lock.rollback()
        printed = run.end()
    assert run.process.returncode == 0, printed
    assert "rows to go" not in printed and "load videos" not in printed
    if quiet.get("env", {}).get("ANSIBLE_STDOUT_CALLBACK") == "one_object_a_line":
        assert [json.loads(line) for line in printed.splitlines()] == [{"changed": True, "msg": None}]
    assert tenant.postgres("SELECT count(*) FROM videos") == [(ROWS,)]


@pytest.mark.parametrize("module", [LOAD, PARITY])
def test_the_result_is_what_it_is_without_the_progress(tenant: Tenant, module: str) -> None:
    own = tenant.sqlite_path.parent / "own.jsonl"
    missing = {"sqlite_path": "/nowhere/missing.db"}
    calls: list[dict[str, Any]] = [{}, {"progress_file": str(own)}, missing, {**missing, "progress_file": str(own)}]
    tasks = [task_for(tenant, module, call, check_mode=True, ignore_errors=True) for call in calls]
    play = {"name": "Play", "hosts": "localhost", "gather_facts": False, "tasks": tasks}
    results = [found["result"] for found in run_playbook(json.dumps([play])).tasks]
    for result, call in zip(results, calls, strict=True):
        result.pop("duration_ms", None)
        assert result["invocation"]["module_args"].pop("progress_file") == call.get("progress_file")
    shown, plain, failed, failed_plain = results
    assert shown == plain
    assert failed == failed_plain
    assert failed["failed"] and failed["error"] == "sqlite" and "/nowhere/missing.db" in failed["msg"]
    # The operator's own file is kept, and not written again.
    told = [json.loads(line) for line in own.read_text().splitlines()]
    assert {line["table"] for line in told} == {"videos", "tags"}
    assert stat.S_IMODE(own.stat().st_mode) == 0o600


def test_a_loop_and_a_delegated_task_name_the_profile(tenant: Tenant) -> None:
    task: dict[str, Any] = {"options": {"source_id": "{{ item }}", "schema_name": tenant.schema}, "loop": ["a"]}
    with locked(tenant) as lock, playing(tenant, LOAD, **task, delegate_to="host-1") as run:
        run.wait("^a load videos: ")
        lock.rollback()
        assert "(item=a)" in run.end()


def test_a_run_that_is_interrupted_ends_at_once(tenant: Tenant) -> None:
    with locked(tenant) as lock, playing(tenant, LOAD) as run:
        run.wait("^a load videos: ")
        started = time.monotonic()
        run.process.send_signal(signal.SIGINT)
        run.process.wait(60)
        assert time.monotonic() - started < 10
        lock.rollback()
    assert run.process.returncode


def test_a_task_that_takes_too_long_is_ended_in_time(tenant: Tenant) -> None:
    with locked(tenant) as lock, playing(tenant, LOAD, timeout=6) as run:
        printed = run.end()
        lock.rollback()
    assert "fatal: [host-1]: FAILED!" in printed and "6 second" in printed, printed


def test_a_folder_that_is_missing_stops_nothing(tenant: Tenant) -> None:
    nowhere = tenant.sqlite_path.parent / "nowhere"
    with playing(tenant, LOAD, env={"ANSIBLE_SYSTEM_TMPDIRS": str(nowhere)}) as run:
        printed = run.end()
    assert "changed: [host-1]" in printed and not os.path.lexists(nowhere), printed
