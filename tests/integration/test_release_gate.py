# SPDX-License-Identifier: GPL-3.0-or-later
"""Every gate green, red and not verified, on a real PostgreSQL, real backups, a real ledger and real logs."""

from __future__ import annotations

import contextlib
import json
import shutil
import sqlite3
import subprocess
import urllib.parse
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from _ansible import run_module
from _databases import Database, fresh_database
from _module_process import run_process
from ansible_collections.sxops.pg_cutover.plugins.module_utils import _gate_measures, _ledger, _run_journal, _snapshot
from ansible_collections.sxops.pg_cutover.plugins.module_utils._attested import read_statements
from ansible_collections.sxops.pg_cutover.plugins.module_utils._gate_decision import LeftOut, decide
from ansible_collections.sxops.pg_cutover.plugins.module_utils._gate_look import GateLook
from ansible_collections.sxops.pg_cutover.plugins.module_utils._gates import GATES, PEOPLE, STATEMENTS
from ansible_collections.sxops.pg_cutover.plugins.module_utils._verdict import FAILED, NOT_VERIFIED, PASSED, Check
from api_client import free_port
from local_stack.stack import Stack

ROLE, PASSWORD = "gate_app", "p-4pp-secret"
SCHEMA = "sx_a"


def run_program(arguments: Sequence[str], environ_update: Mapping[str, str] | None = None) -> tuple[int, str, str]:
    """Do what C(module.run_command) does."""
    done = subprocess.run(list(arguments), env=dict(environ_update or {}), capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


@dataclass
class Scene:
    """A profile before, in and after its cutover; what a gate looks at can be changed."""

    database: Database
    folder: Path
    bin_dir: str
    params: dict[str, Any] = field(default_factory=dict)
    entries: list[dict[str, Any]] = field(default_factory=list)
    runs: int = 0

    def __post_init__(self) -> None:
        sqlite_path = self.folder / "live.db"
        with contextlib.closing(sqlite3.connect(sqlite_path)) as connection:
            connection.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, x TEXT)")
            connection.executemany("INSERT INTO t (x) VALUES (?)", [("row",)] * 50)
            connection.commit()
        (self.folder / ".env").write_text("CHECK_PENDING_MIGRATIONS=1\nDB_READ_ONLY=0\n", encoding="utf-8")
        self.params = {
            "stage": "before_change",
            "source_id": "a",
            "schema_prefix": "sx",
            "schema_name": None,
            "dsn": self.database.dsn,
            "app_dsn": self.app_dsn,
            "registry_table": "public.sx_source_registry",
            "state_dir": str(self.folder / "state"),
            "sqlite_path": str(sqlite_path),
            "backup_dir": str(self.folder / "backups"),
            "takes_backup": True,
            "bin_dir": self.bin_dir,
            "settings_file": str(self.folder / ".env"),
            "settings_format": "env",
            "settings": {"CHECK_PENDING_MIGRATIONS": "1", "DB_READ_ONLY": "0"},
            "extensions": ["plpgsql"],
            "bootstrap": "command",
            "migrations": {"table": "schema_migrations", "column": "version", "expected": ["001", "002"]},
            "standby": True,
            "stabilization_window": 60,
            "early_reason": "",
            "ready_checks": ["health"],
            "read_checks": ["items"],
            "write_checks": ["note"],
            "plugin_checks": ["search", "note"],
            "data_checks": [],
            "request_logs": [str(self.folder / "requests.jsonl")],
            "request_log": {"format": "json"},
            "attested": [],
            "waived": [],
            "backup_max_age_hours": 24,
            "drill_max_age_days": 30,
            "rehearsal_max_age_days": 30,
            "rto_limit_minutes": 15,
            "attestation_max_age_days": 7,
            "min_free_connections": 3,
            "require_tls": True,
            "connect_timeout": 5,
        }

    @property
    def app_dsn(self) -> str:
        parts = urllib.parse.urlsplit(self.database.dsn)
        return parts._replace(netloc=f"{ROLE}:{PASSWORD}@{parts.hostname}:{parts.port}").geturl()

    def measure(self, name: str, now: datetime | None = None, **changes: Any) -> Check:
        """Return what one gate comes to, as the stage would see it."""
        params = {**self.params, **changes}
        moment = now or datetime.now(UTC)
        look = GateLook(params, run_program, moment, self.entries)
        try:
            found = _gate_measures.measure(name, look)
        finally:
            look.close()
        assert isinstance(found, (Check, LeftOut)) and not (isinstance(found, Check) and found.name != name)
        assert isinstance(found, Check), found
        assert found.message, "an operator is told what was seen"
        assert PASSWORD not in json.dumps(found.as_dict())
        return found

    def left_out(self, name: str, **changes: Any) -> str:
        look = GateLook({**self.params, **changes}, run_program, datetime.now(UTC), self.entries)
        try:
            found = _gate_measures.measure(name, look)
        finally:
            look.close()
        assert isinstance(found, LeftOut)
        return found.why

    def elsewhere(self, name: str) -> Check:
        """Return what a gate comes to while PostgreSQL cannot be reached."""
        nowhere = f"postgresql://nobody@127.0.0.1:{free_port()}/nothing"
        return self.measure(name, dsn=nowhere, app_dsn=nowhere)

    # The ledger

    def run(self, verb: str, *phases: dict[str, Any], outcome: str | None = "completed", store: str = "") -> Scene:
        """Write a run with its phases; an outcome of None leaves it open."""
        self.runs += 1
        journal = _run_journal.Journal(str(self.folder / "state"), "a", {"pid": self.runs})
        lock = _run_journal.read(journal).lock
        begun = _run_journal.begin(journal, verb, f"{verb}-{self.runs}", take_over=lock.name if lock else None)
        run_id = str(begun.run_id)
        for phase in phases:
            _run_journal.record(journal, run_id, phase)
        if outcome:
            _run_journal.end(journal, run_id, {"outcome": outcome, "message": "so it ended"})
        self.entries = list(_run_journal.read(journal).entries)
        return self

    def backup(self) -> Path:
        """Take a snapshot of SQLite, and record it as phase backup of an open cutover with a dump beside it."""
        source = _snapshot.SqliteSource(Path(self.params["sqlite_path"]), source_id="a", tenant_column=None)
        taken = _snapshot.take(source, self.params["backup_dir"])
        dump = _snapshot.take(source, self.folder / "dumps")  # any folder with a manifest will do
        facts = {"sqlite_snapshot": str(taken.path), "sqlite_sha256": taken.files[0].sha256}
        self.run("cutover", passed("backup", {**facts, "postgres_dump": str(dump.folder)}), outcome=None)
        return Path(taken.path)


def passed(phase: str, facts: Mapping[str, Any] | None = None, *checks: str, status: str = "passed") -> dict[str, Any]:
    """Return a phase for the ledger with its checks; a name behind an exclamation mark is of one that failed."""
    made = [
        {"name": name.lstrip("!"), "verdict": "failed" if name.startswith("!") else "passed", "message": "seen"}
        for name in checks
    ]
    return {"phase": phase, "status": status, "facts": dict(facts or {}), "checks": made}


SWITCHED = {"store": "postgres"}
VERIFIED = ("health", "items", "search", "note")


@pytest.fixture(scope="module")
def database(stack: Stack) -> Iterator[Database]:
    with fresh_database(stack, "release_gates") as made:
        made.run(f"DROP ROLE IF EXISTS {ROLE}")
        made.run(f"CREATE ROLE {ROLE} LOGIN PASSWORD '{PASSWORD}'; GRANT CREATE ON DATABASE release_gates TO {ROLE}")
        try:
            yield made
        finally:
            made.run(f"DROP OWNED BY {ROLE}; DROP ROLE {ROLE}")


@pytest.fixture(scope="module")
def bin_dir(stack: Stack) -> str:
    return str(stack.describe()["postgres"]["bin_dir"])


@pytest.fixture
def scene(database: Database, bin_dir: str, tmp_path: Path) -> Iterator[Scene]:
    yield Scene(database, tmp_path, bin_dir)
    database.run(
        f"DROP SCHEMA IF EXISTS {SCHEMA} CASCADE; DROP TABLE IF EXISTS public.sx_source_registry;"
        f" ALTER ROLE {ROLE} RESET ALL; GRANT CREATE ON DATABASE release_gates TO {ROLE}"
    )


# One green, one red, one not verified for every gate


def spoiled(path: Path) -> None:
    path.chmod(0o600)
    path.write_bytes(path.read_bytes()[:-1] + b"!")


def sqlite_backup_red(scene: Scene) -> Check:
    spoiled(scene.backup())
    return scene.measure("sqlite_backup")


def sqlite_backup_unknown(scene: Scene) -> Check:
    (scene.backup().parent / "manifest.json").write_text("{", encoding="utf-8")
    return scene.measure("sqlite_backup")


def drill(outcome: str) -> Callable[[Scene], Check]:
    return lambda scene: scene.run("drill", passed("restore"), outcome=outcome).measure("restore_drill")


def rehearsal(gate: str, *phases: dict[str, Any]) -> Callable[[Scene], Check]:
    return lambda scene: scene.run("rehearse", *phases).measure(gate)


def tools_red(scene: Scene) -> Check:
    folder = scene.folder / "old"
    folder.mkdir()
    for name in ("pg_dump", "pg_restore", "psql"):
        (folder / name).write_text(f"#!/bin/sh\necho '{name} (PostgreSQL) 9.6.24'\n", encoding="utf-8")
        (folder / name).chmod(0o755)
    return scene.measure("tools", bin_dir=str(folder))


def encoding_red(scene: Scene) -> Check:
    other = "release_gates_ascii"
    with contextlib.suppress(Exception):
        in_autocommit(scene.database.dsn, f"DROP DATABASE {other}")
    in_autocommit(scene.database.dsn, f"CREATE DATABASE {other} ENCODING 'SQL_ASCII' TEMPLATE template0 LOCALE 'C'")
    try:
        parts = urllib.parse.urlsplit(scene.database.dsn)
        return scene.measure("encoding", dsn=parts._replace(path=f"/{other}").geturl())
    finally:
        in_autocommit(scene.database.dsn, f"DROP DATABASE {other} WITH (FORCE)")


def in_autocommit(dsn: str, statement: str) -> None:
    import psycopg2

    with contextlib.closing(psycopg2.connect(dsn)) as connection:
        connection.autocommit = True
        connection.cursor().execute(statement)


def with_sql(gate: str, statements: str, **changes: Any) -> Callable[[Scene], Check]:
    def measured(scene: Scene) -> Check:
        scene.database.run(statements)
        return scene.measure(gate, **changes)

    return measured


def backup_gate(gate: str, spoil: Callable[[Scene, Path], object] = lambda _scene, _path: None) -> Any:
    def measured(scene: Scene) -> Check:
        spoil(scene, scene.backup())
        return scene.measure(gate)

    return measured


def spoil_dump(scene: Scene, _path: Path) -> None:
    (found,) = (scene.folder / "dumps").glob("*/*.db")
    spoiled(found)


def another_backup(scene: Scene, path: Path) -> None:
    facts = {"sqlite_snapshot": str(path), "sqlite_sha256": "0"}
    scene.run("rehearse", passed("backup", facts))


def in_cutover(gate: str, *phases: dict[str, Any], **changes: Any) -> Callable[[Scene], Check]:
    return lambda scene: scene.run("cutover", *phases, outcome=None).measure(gate, **changes)


def after_switch(gate: str, *checks: str, now: timedelta = timedelta(), **changes: Any) -> Callable[[Scene], Check]:
    """Return how a gate of the close finds a cutover whose phase verify made these checks."""

    def measured(scene: Scene) -> Check:
        phases = [passed("parity", {}, "rows of t"), passed("verify", {}, *checks)]
        scene.run("cutover", phases[0], SWITCHED, phases[1])
        return scene.measure(gate, **changes)

    return measured


def logged(*statuses: int, baseline: dict[str, Any] | None = None, seconds: int = 1) -> Callable[[Scene], Check]:
    """Return how the gate finds a log with these statuses, so many seconds after the switch."""

    def measured(scene: Scene) -> Check:
        scene.run("cutover", passed("baseline", {"requests": baseline}), SWITCHED)
        moment = (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()
        lines = [
            {"timestamp": moment, "request_id": str(n), "route": "/items", "status": status, "latency": 2.5}
            for n, status in enumerate(statuses)
        ]
        text = "".join(json.dumps({**line, "error_code": None}) + "\n" for line in lines)
        (scene.folder / "requests.jsonl").write_text(text, encoding="utf-8")
        return scene.measure("logs_reviewed")

    return measured


def watched(*watches: dict[str, Any], **changes: Any) -> Callable[[Scene], Check]:
    def measured(scene: Scene) -> Check:
        scene.run("cutover", SWITCHED, passed("verify", {}, *VERIFIED))
        for facts in watches:
            scene.run("watch", passed("window", facts), outcome="failed" if facts.get("fired") else "completed")
        return scene.measure("window", **changes)

    return measured


SCHEMA_SQL = f"CREATE SCHEMA {SCHEMA} AUTHORIZATION {ROLE}; "
HISTORY = SCHEMA_SQL + f"CREATE TABLE {SCHEMA}.schema_migrations (version text, checksum text); "
APPLIED = HISTORY + f"INSERT INTO {SCHEMA}.schema_migrations VALUES ('001', 'aa'), ('002', 'bb'); "
CHECKSUMS = {"checksum_column": "checksum", "expected_checksums": {"002": "cc"}}
WANTED = {"table": "schema_migrations", "column": "version", "expected": ["001", "002"]}
MAPPED = f"INSERT INTO sx_source_registry VALUES ('a', '{SCHEMA}')"
REGISTRY = "CREATE TABLE public.sx_source_registry (source_id text PRIMARY KEY, schema_name text); "
ROLLBACK = passed("rollback", {"rto_ms": 90_000})
QUIET = {"requests": 1000, "errors_4xx": 10, "errors_5xx": 0}

Cases = dict[str, Callable[[Scene], Check]]
TABLE: dict[str, Cases] = {
    "sqlite_backup": {
        PASSED: backup_gate("sqlite_backup"),
        FAILED: sqlite_backup_red,
        NOT_VERIFIED: sqlite_backup_unknown,
    },
    "restore_drill": {
        PASSED: drill("completed"),
        FAILED: drill("failed"),
        NOT_VERIFIED: lambda scene: scene.measure("restore_drill"),
    },
    "migration_dry_run": {
        PASSED: rehearsal("migration_dry_run", passed("bootstrap"), passed("load")),
        FAILED: rehearsal("migration_dry_run", passed("bootstrap"), passed("load", status="failed")),
        NOT_VERIFIED: rehearsal("migration_dry_run", passed("bootstrap")),
    },
    "import_rehearsal": {
        PASSED: rehearsal("import_rehearsal", passed("load"), passed("parity")),
        FAILED: rehearsal("import_rehearsal", passed("load"), passed("parity", status="failed")),
        NOT_VERIFIED: lambda scene: scene.measure("import_rehearsal"),
    },
    "rollback_rehearsal": {
        PASSED: rehearsal("rollback_rehearsal", ROLLBACK),
        FAILED: rehearsal("rollback_rehearsal", passed("rollback", {"rto_ms": 15 * 60_000 + 1})),
        NOT_VERIFIED: rehearsal("rollback_rehearsal", passed("load")),
    },
    "tools": {
        PASSED: lambda scene: scene.measure("tools"),
        FAILED: tools_red,
        NOT_VERIFIED: lambda scene: scene.elsewhere("tools"),
    },
    "settings_flags": {
        PASSED: lambda scene: scene.measure("settings_flags"),
        FAILED: lambda scene: scene.measure("settings_flags", settings={"DB_READ_ONLY": "1"}),
        NOT_VERIFIED: lambda scene: scene.measure("settings_flags", settings_file=str(scene.folder / "none.env")),
    },
    "disk": {
        PASSED: lambda scene: scene.measure("disk"),
        FAILED: lambda scene: scene.measure("disk", sqlite_path=str(sparse(scene.folder / "huge.db"))),
        NOT_VERIFIED: lambda scene: scene.measure("disk", sqlite_path=str(scene.folder / "none.db")),
    },
    "postgres_version": {
        PASSED: lambda scene: scene.measure("postgres_version"),
        NOT_VERIFIED: lambda scene: scene.elsewhere("postgres_version"),  # red: test__gate_decision.py
    },
    "writable_primary": {
        PASSED: lambda scene: scene.measure("writable_primary"),
        FAILED: with_sql("writable_primary", f"ALTER ROLE {ROLE} SET default_transaction_read_only TO on"),
        NOT_VERIFIED: lambda scene: scene.elsewhere("writable_primary"),
    },
    "encoding": {
        PASSED: lambda scene: scene.measure("encoding"),
        FAILED: encoding_red,
        NOT_VERIFIED: lambda scene: scene.elsewhere("encoding"),
    },
    "privileges": {
        PASSED: lambda scene: scene.measure("privileges"),
        FAILED: with_sql("privileges", f"REVOKE CREATE ON DATABASE release_gates FROM {ROLE}"),
        NOT_VERIFIED: lambda scene: scene.elsewhere("privileges"),
    },
    "tls": {
        PASSED: lambda scene: scene.measure("tls"),
        NOT_VERIFIED: lambda scene: scene.elsewhere("tls"),  # red: test_release_gate_paths.py
    },
    "extensions": {
        PASSED: lambda scene: scene.measure("extensions"),
        FAILED: lambda scene: scene.measure("extensions", extensions=["plpgsql", "no_such_extension"]),
        NOT_VERIFIED: lambda scene: scene.elsewhere("extensions"),
    },
    "connections": {
        PASSED: lambda scene: scene.measure("connections"),
        FAILED: lambda scene: scene.measure("connections", min_free_connections=1_000_000),
        NOT_VERIFIED: lambda scene: scene.elsewhere("connections"),
    },
    "search_path_sessions": {
        PASSED: lambda scene: scene.measure("search_path_sessions"),
        NOT_VERIFIED: lambda scene: scene.elsewhere("search_path_sessions"),  # red: test_release_gate_paths.py
    },
    "migrations": {
        PASSED: with_sql("migrations", APPLIED),
        FAILED: with_sql("migrations", APPLIED, migrations={**WANTED, **CHECKSUMS}),
        NOT_VERIFIED: lambda scene: scene.elsewhere("migrations"),
    },
    "backup_of_this_run": {
        PASSED: backup_gate("backup_of_this_run"),
        FAILED: backup_gate("backup_of_this_run", lambda _scene, path: spoiled(path)),
        NOT_VERIFIED: lambda scene: scene.measure("backup_of_this_run"),
    },
    "postgres_snapshot_of_this_run": {
        PASSED: backup_gate("postgres_snapshot_of_this_run"),
        FAILED: backup_gate("postgres_snapshot_of_this_run", spoil_dump),
        NOT_VERIFIED: lambda scene: scene.measure("postgres_snapshot_of_this_run"),
    },
    "parity": {
        PASSED: in_cutover("parity", passed("load"), passed("parity", {}, "rows of t")),
        FAILED: in_cutover("parity", passed("load"), passed("parity", {}, "!rows of t", status="failed")),
        NOT_VERIFIED: in_cutover("parity", passed("parity", {}, "rows of t"), passed("load")),
    },
    "smoke": {
        PASSED: in_cutover("smoke", passed("smoke", {}, "items")),
        FAILED: in_cutover("smoke", passed("smoke", {}, "items", "!search", status="failed")),
        NOT_VERIFIED: in_cutover("smoke", passed("smoke")),
    },
    "rollback_candidate": {
        PASSED: backup_gate("rollback_candidate"),
        FAILED: backup_gate("rollback_candidate", another_backup),
        NOT_VERIFIED: lambda scene: scene.measure("rollback_candidate"),
    },
    "registry": {
        PASSED: with_sql("registry", SCHEMA_SQL + REGISTRY + MAPPED),
        FAILED: with_sql("registry", SCHEMA_SQL + REGISTRY + "INSERT INTO sx_source_registry VALUES ('a', 'sx_b')"),
        NOT_VERIFIED: lambda scene: scene.elsewhere("registry"),
    },
    "backend_observed": {
        PASSED: after_switch("backend_observed", *VERIFIED),
        FAILED: after_switch("backend_observed", "!health", "items"),
        NOT_VERIFIED: lambda scene: scene.measure("backend_observed"),
    },
    "reads_validated": {
        PASSED: after_switch("reads_validated", *VERIFIED),
        FAILED: after_switch("reads_validated", "health", "items", "!items"),
        NOT_VERIFIED: after_switch("reads_validated", "health"),
    },
    "writes_validated": {
        PASSED: after_switch("writes_validated", *VERIFIED),
        FAILED: after_switch("writes_validated", "!note"),
        NOT_VERIFIED: after_switch("writes_validated", *VERIFIED, write_checks=[]),
    },
    "plugin_validated": {
        PASSED: after_switch("plugin_validated", *VERIFIED),
        FAILED: after_switch("plugin_validated", "search", "!note"),
        NOT_VERIFIED: after_switch("plugin_validated", "search"),
    },
    "logs_reviewed": {
        PASSED: logged(*[200] * 98, 404, 404, baseline=QUIET),
        FAILED: logged(*[200] * 99, 500, baseline=QUIET),
        NOT_VERIFIED: logged(*[200] * 100, seconds=-60),
    },
    "window": {
        PASSED: watched({"fired": [], "stopped_by": "duration"}),
        FAILED: watched({"fired": [], "stopped_by": "duration"}, {"fired": ["latency_scheduled"]}),
        NOT_VERIFIED: watched(),
    },
    "data": {
        PASSED: after_switch("data", data_checks=[{"name": "rows of t", "verdict": "passed"}]),
        FAILED: after_switch("data", data_checks=[{"name": "rows of t", "verdict": "failed", "message": "1 differs"}]),
        NOT_VERIFIED: lambda scene: scene.measure("data"),
    },
}  # fmt: skip


def sparse(path: Path) -> Path:
    """Make a file that looks larger than any disk's free space, and takes none."""
    with path.open("wb") as file:
        file.truncate(shutil.disk_usage(path.parent).free + 1)
    return path


@pytest.mark.parametrize(("gate", "verdict"), [(gate, verdict) for gate, cases in TABLE.items() for verdict in cases])
def test_a_gate(scene: Scene, gate: str, verdict: str) -> None:
    found = TABLE[gate][verdict](scene)
    assert found.verdict == verdict, found


def test_no_gate_is_left_untested() -> None:
    assert set(TABLE) == {gate.name for gate in GATES if gate.kind != PEOPLE} - {STATEMENTS}
    elsewhere = {"postgres_version", "tls", "search_path_sessions"}  # what is red there is tested by itself
    for gate, cases in TABLE.items():
        assert set(cases) == {PASSED, NOT_VERIFIED} | ({FAILED} if gate not in elsewhere else set()), gate


@pytest.mark.parametrize("gate", [gate.name for gate in GATES if gate.kind == PEOPLE])
def test_a_gate_that_only_people_answer(gate: str) -> None:
    (stage,) = next(found for found in GATES if found.name == gate).stages
    now = datetime.now(UTC)

    def verdict(*said: dict[str, str]) -> str:
        decision = decide(stage, {}, read_statements(said, [], now, timedelta(days=7)))
        return next(check.verdict for check in decision.checks if check.name == gate)

    assert verdict({"gate": gate, "by": "release manager", "at": now.isoformat()}) == PASSED
    assert verdict({"gate": gate, "by": "release manager", "at": (now - timedelta(days=8)).isoformat()}) == FAILED
    assert verdict() == NOT_VERIFIED


# What beside these makes a difference


def test_the_first_cutover_of_all_has_no_backup_yet_and_takes_one(scene: Scene) -> None:
    found = scene.measure("sqlite_backup")
    assert found.verdict == PASSED and "phase backup of this run takes one" in found.message
    assert scene.measure("sqlite_backup", takes_backup=False).verdict == FAILED


def test_an_old_backup_is_none_for_a_run_that_takes_none(scene: Scene) -> None:
    scene.backup()
    tomorrow = datetime.now(UTC) + timedelta(hours=25)
    assert scene.measure("sqlite_backup", tomorrow).verdict == PASSED
    found = scene.measure("sqlite_backup", tomorrow, takes_backup=False)
    assert found.verdict == FAILED and "is older than 1 day" in found.message
    assert scene.measure("sqlite_backup", takes_backup=False).verdict == PASSED


def test_a_role_that_may_make_no_temporary_tables_is_tried_without(scene: Scene) -> None:
    scene.database.run("REVOKE TEMPORARY ON DATABASE release_gates FROM PUBLIC")
    try:
        found = scene.measure("search_path_sessions")
    finally:
        scene.database.run("GRANT TEMPORARY ON DATABASE release_gates TO PUBLIC")
    assert found.verdict == PASSED and "may make no temporary tables" in found.message


def test_another_profile_s_backup_is_none(scene: Scene) -> None:
    scene.backup()
    assert scene.measure("sqlite_backup", source_id="b", takes_backup=False).verdict == FAILED


@pytest.mark.parametrize("gate", ["restore_drill", "import_rehearsal"])
def test_what_was_tried_long_ago_must_be_tried_again(scene: Scene, gate: str) -> None:
    scene.run("drill").run("rehearse", passed("load"), passed("parity"))
    now = datetime.now(UTC)
    assert scene.measure(gate, now + timedelta(days=29)).verdict == PASSED
    found = scene.measure(gate, now + timedelta(days=31))
    assert found.verdict == FAILED and "was 31 days ago; it may be 30 days old" in found.message


def test_a_rehearsal_that_failed_counts_more_than_one_before_it(scene: Scene) -> None:
    good = (passed("load"), passed("parity"))
    scene.run("rehearse", *good).run("rehearse", *good, outcome="failed")
    found = scene.measure("import_rehearsal")
    assert found.verdict == FAILED and "ended as failed: so it ended" in found.message


def test_a_way_back_without_a_time_of_its_own_took_as_long_as_its_phase(scene: Scene) -> None:
    scene.run("rehearse", {"phase": "rollback", "status": "started"}, {"phase": "rollback", "status": "passed"})
    assert scene.measure("rollback_rehearsal").verdict == PASSED


def test_a_profile_without_a_standby_is_asked_after_the_switch(scene: Scene) -> None:
    found = scene.measure("smoke", standby=False)
    assert found.verdict == PASSED and "bring SQLite back" in found.message


def test_a_snapshot_that_is_gone_is_no_backup(scene: Scene) -> None:
    scene.backup().unlink()
    found = scene.measure("backup_of_this_run")
    assert found.verdict == FAILED and "No such file" in found.message


def test_an_attempt_that_goes_on_rests_on_the_backup_that_it_was_loaded_from(scene: Scene) -> None:
    scene.backup()
    scene.run("cutover", {"phase": "catch_up", "status": "passed"}, outcome=None)
    assert scene.measure("backup_of_this_run").verdict == PASSED


@pytest.mark.parametrize(
    ("statement", "changes", "part"),
    [
        ("SELECT 1", {"bootstrap": "module"}, ""),
        (f"CREATE SCHEMA {SCHEMA}", {"bootstrap": "module"}, ""),
        (f"CREATE SCHEMA {SCHEMA}", {}, f"{ROLE} may not use schema {SCHEMA}"),
        (f"CREATE SCHEMA {SCHEMA}; GRANT USAGE ON SCHEMA {SCHEMA} TO {ROLE}", {}, "may not create tables"),
        (SCHEMA_SQL, {}, ""),
        (SCHEMA_SQL, {"app_dsn": "postgresql://gate_app:wrong@HOST/release_gates"}, "refused the login"),
    ],
)
def test_privileges(scene: Scene, statement: str, changes: dict[str, Any], part: str) -> None:
    scene.database.run(statement)
    parts = urllib.parse.urlsplit(scene.database.dsn)
    given = {key: value.replace("HOST", f"{parts.hostname}:{parts.port}") for key, value in changes.items()}
    found = scene.measure("privileges", **given)
    assert (found.verdict == FAILED) is bool(part) and part in found.message


def test_an_administrator_who_owns_nothing_there(scene: Scene) -> None:
    scene.database.run(f"CREATE SCHEMA {SCHEMA}; REVOKE CREATE ON DATABASE release_gates FROM {ROLE}")
    found = scene.measure("privileges", dsn=scene.app_dsn, bootstrap="module")
    assert found.verdict == FAILED
    assert "can put up no fence there" in found.message and "may not create schemas" in found.message


@pytest.mark.parametrize(
    ("gate", "changes", "why"),
    [
        ("extensions", {"extensions": []}, "no extensions"),
        ("settings_flags", {"settings": {}}, "no gates.settings"),
        ("migrations", {"migrations": {}}, "no migration history"),
        ("migrations", {}, "is still to be made"),
        ("registry", {"registry_table": ""}, "keeps no registry"),
        ("tls", {"require_tls": False}, "require_tls"),
    ],
)
def test_what_does_not_apply_is_left_out(scene: Scene, gate: str, changes: dict[str, Any], why: str) -> None:
    assert why in scene.left_out(gate, **changes)


def test_migrations_are_asked_before_the_switch_also_without_a_schema(scene: Scene) -> None:
    assert scene.measure("migrations", stage="before_switch").verdict == FAILED


@pytest.mark.parametrize(
    ("mappings", "part"),
    [("", "no mapping for a"), (MAPPED, "does not exist")],
)
def test_a_registry_that_leads_nowhere(scene: Scene, mappings: str, part: str) -> None:
    scene.database.run(REGISTRY + mappings)
    assert part in scene.measure("registry").message


def test_what_was_verified_late_is_to_be_tried_again(scene: Scene) -> None:
    scene.run("cutover", SWITCHED, passed("verify", {}, *VERIFIED))
    late = datetime.now(UTC) + timedelta(minutes=16)
    scene.entries[-2]["time"] = late.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    found = scene.measure("reads_validated")
    assert found.verdict == FAILED and "after the switch, not within 15 minutes" in found.message


def test_a_verify_before_the_last_switch_is_none(scene: Scene) -> None:
    scene.run("cutover", SWITCHED, passed("verify", {}, *VERIFIED)).run("cutover", SWITCHED)
    assert scene.measure("reads_validated").verdict == NOT_VERIFIED


def test_after_a_way_back_there_is_no_switch(scene: Scene) -> None:
    scene.run("cutover", SWITCHED, passed("verify", {}, *VERIFIED)).run("rollback", {"store": "sqlite"})
    assert "no switch" in scene.measure("window").message


@pytest.mark.parametrize(
    ("watches", "changes", "verdict"),
    [
        ([], {"stabilization_window": 0}, PASSED),
        ([{"fired": [], "stopped_by": "looked"}], {}, NOT_VERIFIED),
        ([{"fired": [], "stopped_by": "fence_down"}, {"fired": [], "stopped_by": "duration"}], {}, PASSED),
        ([{"fired": ["pool"], "stopped_by": "trigger"}], {"early_reason": "pool was enlarged"}, PASSED),
    ],
)
def test_windows(scene: Scene, watches: list[dict[str, Any]], changes: dict[str, Any], verdict: str) -> None:
    assert watched(*watches, **changes)(scene).verdict == verdict


def test_a_log_that_nobody_named_is_for_people(scene: Scene) -> None:
    scene.run("cutover", SWITCHED)
    found = scene.measure("logs_reviewed", request_logs=[])
    assert found.verdict == NOT_VERIFIED and "names no request_log" in found.message


def test_4xx_are_held_against_the_baseline(scene: Scene) -> None:
    assert logged(*[200] * 97, *[404] * 3, baseline=QUIET)(scene).verdict == FAILED
    assert logged(*[200] * 97, *[404] * 3, baseline={**QUIET, "errors_4xx": 20})(scene).verdict == PASSED


def test_rows_that_differ_now_count_more_than_a_parity_before(scene: Scene) -> None:
    assert after_switch("data")(scene).verdict == PASSED
    unmade = [{"name": "rows of t", "verdict": "not_verified", "message": "busy"}]
    assert scene.measure("data", data_checks=unmade).verdict == NOT_VERIFIED


# The module


def options(scene: Scene, **changes: Any) -> dict[str, Any]:
    now = datetime.now(UTC).isoformat()
    said = [{"gate": gate, "by": "release manager", "at": now} for gate in ("qa_sign_off", "on_call", "runbook_approval", "owners")]
    waived = [
        {"gate": gate, "by": "release manager", "at": now, "reason": "rehearsed elsewhere"}
        for gate in ("restore_drill", "migration_dry_run", "import_rehearsal", "rollback_rehearsal")
    ]
    given = {name: value for name, value in scene.params.items() if value is not None}
    return {**given, "attested": said, "waived": waived, **changes}


def test_a_go_changes_nothing_and_says_everything(scene: Scene) -> None:
    scene.database.run(APPLIED)
    before, files = scene.database.describe(), sorted(scene.folder.rglob("*"))
    for check in (False, True):
        found = run_module("release_gate", options(scene), check=check)
        assert not found.get("failed"), found
        assert found["go"] is True and found["changed"] is False and found["open"] == []
        assert {check["verdict"] for check in found["checks"]} == {PASSED}
        assert len(found["waived"]) == 4 and len(found["attested"]) == 4
        assert found["summary"] == f"GO: {len(found['checks'])} gates passed, 4 waived."
    assert scene.database.describe() == before and sorted(scene.folder.rglob("*")) == files


def test_a_no_go_fails_and_names_every_open_gate(scene: Scene) -> None:
    found = run_process("release_gate", options(scene, attested=[], settings={"DB_READ_ONLY": "1"}))
    assert found["failed"] and found["error"] == "no_go" and found["go"] is False
    assert found["open"] == ["qa_sign_off", "on_call", "runbook_approval", "owners", "settings_flags"]
    assert found["msg"] == found["summary"] and found["msg"].startswith("NO-GO: 5 of ")
    assert "in the inventory, cutover_attested" in found["msg"] and "Nothing was changed." in found["msg"]
    kept = run_process("release_gate", options(scene, attested=[], fail_on_open=False))
    assert not kept.get("failed") and kept["go"] is False and kept["left_out"]


def test_postgres_that_cannot_be_reached_is_not_verified_and_no_crash(scene: Scene) -> None:
    nowhere = f"postgresql://nobody:h1dden-word@127.0.0.1:{free_port()}/nothing"
    found = run_process("release_gate", options(scene, dsn=nowhere, app_dsn=nowhere))
    assert found["error"] == "no_go" and "h1dden-word" not in json.dumps(found)
    verdicts = {check["name"]: check["verdict"] for check in found["checks"]}
    assert {verdicts[name] for name in ("postgres_version", "tls", "tools", "search_path_sessions")} == {NOT_VERIFIED}
    assert verdicts["disk"] == verdicts["settings_flags"] == PASSED


def test_a_ledger_that_was_changed_decides_nothing(scene: Scene) -> None:
    scene.run("drill")
    path = _ledger.ledger_folder(scene.params["state_dir"], "a") / _ledger.FILE_NAME
    path.write_text(path.read_text(encoding="utf-8").replace("drill", "other"), encoding="utf-8")
    found = run_process("release_gate", options(scene))
    assert found["failed"] and found["error"] == "ledger"
