# SPDX-License-Identifier: GPL-3.0-or-later
"""A stack of its own with the collection's real playbooks run on it, and everything a run may or may not change."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import signal
import sqlite3
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg2
from _ansible import ROOT, Playbook, command_for, environment, home, run_playbook, wait_for
from api_client import Api
from local_stack.stack import Stack
from psycopg2 import sql

HOST = "demo"
DETAILS = {"status_details": True}  # status.yml then says everything of each profile, in a sentence
PLAYBOOKS = ROOT / "playbooks"
TABLES = (
    "videos",
    "user_meta",
    "video_notes",
    "csv_consolidated_raw",
    "csv_authors_raw",
    "csv_bookmarks_raw",
    "scheduling_artifacts",
    "job_queue",
)
Rows = dict[str, list[tuple[Any, ...]]]


@dataclass(frozen=True)
class World:
    """A running stack, and the inventory of the demo pointed at it; C(variables) are typed with every playbook."""

    stack: Stack
    description: dict[str, Any]
    secrets: dict[str, str]
    variables: dict[str, Any] = field(default_factory=dict)

    # Playbooks

    def play(self, playbook: str, source_id: str | None = "assets_1", **options: Any) -> Playbook:
        """Run a playbook as it is typed in playbooks/; other options are those of L(overlay) and L(run_playbook)."""
        variables = dict(options.pop("variables", None) or {})
        arguments = [*self.arguments(source_id, variables), *options.pop("arguments", ())]
        return run_playbook(
            playbook,
            cwd=PLAYBOOKS,
            env=self.environment,
            inventory_file=ROOT / "inventories/demo",
            arguments=arguments,
            **options,
        )

    @contextlib.contextmanager
    def running(
        self, playbook: str, source_id: str = "assets_1", **variables: Any
    ) -> Iterator[subprocess.Popen[bytes]]:
        """Start a playbook in a session of its own; what is left of it at the end is killed."""
        command = command_for(
            playbook, inventory_file=ROOT / "inventories/demo", arguments=self.arguments(source_id, variables)
        )
        with (self.folder().parents[1] / "killed.log").open("wb") as output:
            process = subprocess.Popen(
                command,
                cwd=PLAYBOOKS,
                env=environment(**self.environment),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            try:
                yield process
            finally:
                kill_all(process)

    def kill_when(self, playbook: str, happened: Callable[[], Any], what: str, source_id: str = "assets_1") -> None:
        """Start a playbook and kill it, with everything it started, as soon as something has happened."""
        with self.running(playbook, source_id) as process:

            def now() -> bool:
                if process.poll() is not None:
                    raise AssertionError(f"it ended before it could be killed at {what}:\n{self.log()[-6000:]}")
                return bool(happened())

            wait_for(now, what, 900)
            kill_all(process)

    @property
    def environment(self) -> dict[str, str]:
        """The environment of the operator: the settings of playbooks/ and this stack."""
        return {"ANSIBLE_CONFIG": str(PLAYBOOKS / "ansible.cfg"), "PG_CUTOVER_DEMO_DIR": self.description["state_dir"]}

    def arguments(self, source_id: str | None, variables: Mapping[str, Any]) -> list[str]:
        """Return what is typed behind the playbook's name; variables go by a file, as they may hold passwords."""
        arguments = [] if source_id is None else ["-e", f"source_id={json.dumps(source_id)}"]
        handle, name = tempfile.mkstemp(prefix="vars_", suffix=".json", dir=home())
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            # Nobody waits for a window that is not what is tested.
            json.dump({"demo_window": 0, **self.variables, **variables}, stream)
        return [*arguments, "-e", f"@{name}"]

    def profile(self, source_id: str, /, **changes: Any) -> dict[str, Any]:
        """Return the profile as the demo's inventory has it, with changes; what is None is left out."""
        described = self.description["profiles"][source_id]

        def instance(name: str, of: Mapping[str, Any]) -> dict[str, Any]:
            control = self.description["supervisor"]["supervisorctl"]
            service = {"manager": "supervisor", "name": of["service"], "command": control}
            return {"name": name, "base_url": of["base_url"], "request_log": of["request_log"], "service": service}

        python = self.description["python"]
        entry = {
            "source_id": source_id,
            "app": "sx_obsidian",
            "profile_index": 1 + list(self.description["profiles"]).index(source_id),
            "sqlite_path": self.description["sqlite_path"],
            "settings_file": described["settings_file"],
            "instances": [instance(described["service"], described)],
            "standby": {
                **instance(described["standby"]["service"], described["standby"]),
                "settings_file": described["standby"]["settings_file"],
            },
            "postgres": {
                "dsn": self.secrets["dsn"],
                "admin_dsn": self.secrets["admin_dsn"],
                "bin_dir": self.description["postgres"]["bin_dir"],
            },
            "bootstrap": {
                "method": "command",
                "command": [python, "-m", "reference_api", "pg-bootstrap", "--source", source_id],
                "environment": {"PYTHONPATH": str(ROOT / "demo"), "SX_DB_BACKEND_MODE": "POSTGRES_PRIMARY"},
            },
            "stabilization_window": 0,
            **changes,
        }
        return {name: value for name, value in entry.items() if value is not None}

    def profiles(self, source_id: str = "assets_1", /, **changes: Any) -> dict[str, Any]:
        """Return the variables that give one profile other values and leave the others as they are."""
        return {
            "cutover_profiles": [
                self.profile(name, **(changes if name == source_id else {})) for name in self.description["profiles"]
            ]
        }

    # The application

    def api(self, source_id: str = "assets_1") -> Api:
        """Return the profile's API process."""
        described = self.description["profiles"][source_id]
        return Api(described["base_url"], source_id, Path(described["settings_file"]).parent, {})

    def backend(self, source_id: str = "assets_1") -> str:
        """Return the store that the running application says it works on; it must answer with rows."""
        answer = self.api(source_id).get("/items?limit=1")
        assert answer.status == 200 and answer.json["items"], answer.text
        return answer.headers["x-sx-backend"]

    def settings(self, source_id: str = "assets_1") -> Path:
        """Return the profile's settings file."""
        return Path(self.description["profiles"][source_id]["settings_file"])

    def control(self, *words: str) -> str:
        """Say something to the service manager."""
        command = [*self.description["supervisor"]["supervisorctl"], *words]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False).stdout

    def pid(self, service: str) -> int | None:
        """Return the process of a service; None when it does not run."""
        text = self.control("pid", service).strip()
        return int(text) if text.isdigit() and text != "0" else None

    # The stores, asked by SQL that is not the collection's

    @contextlib.contextmanager
    def postgres(self, database: str = "sx") -> Iterator[Any]:
        """Open a cursor as the superuser; what it does is committed."""
        connection = psycopg2.connect(self.secrets["superuser_dsn"], dbname=database)
        try:
            with connection, connection.cursor() as cursor:
                yield cursor
        finally:
            connection.close()

    def sqlite(self) -> sqlite3.Connection:
        """Open the SQLite file, not through the application."""
        return sqlite3.connect(self.description["sqlite_path"], isolation_level=None, timeout=10)

    def sqlite_rows(self, source_id: str = "assets_1") -> Rows:
        """Return every row that the profile has in SQLite, by table."""
        found: Rows = {}
        with contextlib.closing(self.sqlite()) as connection:
            for table in TABLES:
                names = self._columns(connection, table)
                query = f"SELECT {', '.join(names)} FROM {table} WHERE source_id = ?"
                found[table] = sorted(connection.execute(query, (source_id,)), key=repr)
        return found

    def postgres_rows(self, schema: str = "sx_assets_1") -> Rows:
        """Return every row of a schema, by table, its columns in the order of SQLite's."""
        found: Rows = {}
        with contextlib.closing(self.sqlite()) as connection, self.postgres() as cursor:
            for table in TABLES:
                names = sql.SQL(", ").join(map(sql.Identifier, self._columns(connection, table)))
                cursor.execute(sql.SQL("SELECT {} FROM {}").format(names, sql.Identifier(schema, table)))
                found[table] = sorted(cursor.fetchall(), key=repr)
        return found

    def notes(self, store: str, source_id: str = "assets_1") -> dict[str, str]:
        """Return the text of every note that a store holds, by item."""
        if store == "sqlite":
            with contextlib.closing(self.sqlite()) as connection:
                query = "SELECT video_id, markdown FROM video_notes WHERE source_id = ?"
                return dict(connection.execute(query, (source_id,)).fetchall())
        with self.postgres() as cursor:
            schema = sql.Identifier(f"sx_{source_id}")
            cursor.execute(sql.SQL("SELECT video_id, markdown FROM {}.video_notes").format(schema))
            return dict(cursor.fetchall())

    def sqlite_declared(self) -> list[tuple[Any, ...]]:
        """Return what the SQLite file declares: tables, indexes, triggers and views, word by word."""
        with contextlib.closing(self.sqlite()) as connection:
            return sorted(connection.execute("SELECT type, name, tbl_name, sql FROM sqlite_schema"), key=repr)

    def schemas(self) -> list[str]:
        """Return the names of the tenant schemas, those kept under a dated name included."""
        with self.postgres() as cursor:
            cursor.execute(r"SELECT nspname FROM pg_namespace WHERE nspname LIKE 'sx\_%' ORDER BY 1")
            return [name for (name,) in cursor.fetchall()]

    # Everything there is, for "nothing was changed"

    def everything(self) -> dict[str, Any]:
        """Return the whole state of the stack: both stores byte by byte or row by row, settings and processes."""
        states = self.stack.status()
        return {
            "sqlite": self.sqlite_files(),
            "postgres schema": self._schema_dump() if states["postgres"] == "RUNNING" else None,
            "postgres rows": self._row_digests() if states["postgres"] == "RUNNING" else None,
            "settings": {
                path.parent.name: (path.read_bytes(), path.stat().st_mtime_ns, path.stat().st_ino)
                for path in sorted(Path(self.description["state_dir"]).glob("services/*/.env*"))
            },
            "processes": {name: (state, self.pid(name)) for name, state in states.items()},
        }

    def sqlite_files(self) -> dict[str, str]:
        """Return the digests of the SQLite file and its log."""
        main = Path(self.description["sqlite_path"])
        files = [main, main.with_name(main.name + "-wal")]
        return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files if path.exists()}

    def _schema_dump(self) -> str:
        server = self.description["postgres"]
        address = ["-h", server["host"], "-p", str(server["port"]), "-U", server["superuser"]]
        command = [f"{server['bin_dir']}/pg_dump", *address, "--schema-only", server["dbname"]]
        env = {"PGPASSFILE": server["pgpass"]}
        process = subprocess.run(command, env=env, capture_output=True, text=True, check=True)
        return "\n".join(line for line in process.stdout.splitlines() if "restrict " not in line)

    def _row_digests(self) -> dict[str, str]:
        with self.postgres() as cursor:
            cursor.execute(
                "SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
                " WHERE c.relkind = 'r' AND n.nspname !~ '^(pg_|information_schema)'"
            )
            digests = {}
            for schema, table in cursor.fetchall():
                query = "SELECT md5(coalesce(string_agg(t::text, '|' ORDER BY t::text), '')) FROM {} t"
                cursor.execute(sql.SQL(query).format(sql.Identifier(schema, table)))
                digests[f"{schema}.{table}"] = cursor.fetchone()[0]
            return digests

    @staticmethod
    def _columns(connection: sqlite3.Connection, table: str) -> list[str]:
        return [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]

    # What a run leaves

    def folder(self, source_id: str = "assets_1") -> Path:
        """Return the folder of the profile's ledger."""
        return Path(self.description["state_dir"]) / "cutover" / source_id

    def ledger(self, source_id: str = "assets_1") -> list[dict[str, Any]]:
        """Return the entries of the ledger, whole lines only."""
        path = self.folder(source_id) / "ledger.jsonl"
        lines = path.read_text(encoding="utf-8").split("\n")[:-1] if path.exists() else []
        return [json.loads(line) for line in lines]

    def phases(self, status: str = "passed", source_id: str = "assets_1") -> list[str]:
        """Return the phases with that status since the last run was started, in order."""
        entries = self.ledger(source_id)
        starts = [at for at, entry in enumerate(entries) if entry["kind"] == "run_started"]
        since = entries[starts[-1] :] if starts else []
        return [entry["phase"] for entry in since if entry["kind"] == "phase" and entry["status"] == status]

    def resumed(self, source_id: str = "assets_1") -> bool:
        """Return whether the last run goes on after an interruption."""
        return bool(self.phases_since_resumed("started", source_id))

    def phases_since_resumed(self, status: str = "passed", source_id: str = "assets_1") -> list[str]:
        """Return the phases with that status since a run went on after an interruption; none when none did."""
        entries = self.ledger(source_id)
        places = [at for at, entry in enumerate(entries) if entry.get("event") == "resumed"]
        since = entries[places[-1] :] if places else []
        return [entry["phase"] for entry in since if entry["kind"] == "phase" and entry["status"] == status]

    def report(self, source_id: str = "assets_1") -> dict[str, Any]:
        """Return the last report of a profile; its page and its Markdown are there as well, and say the same."""
        folder = Path(self.description["state_dir"]) / "reports"
        found = max(folder.glob(f"{source_id}-*.json"), key=lambda path: path.stat().st_mtime_ns)
        told: dict[str, Any] = json.loads(found.read_text(encoding="utf-8"))
        page = found.with_suffix(".html").read_text(encoding="utf-8")
        assert f'data-verdict="{told["verdict"]}"' in page and told["next"]["command"] in page
        assert told["next"]["command"] in found.with_suffix(".md").read_text(encoding="utf-8")
        return told

    def log(self) -> str:
        """Return what the last playbook printed that L(running) started."""
        return (self.folder().parents[1] / "killed.log").read_text(encoding="utf-8", errors="replace")

    def last_end(self, source_id: str = "assets_1") -> dict[str, Any]:
        """Return how the last run ended."""
        return [entry for entry in self.ledger(source_id) if entry["kind"] == "run_ended"][-1]


@contextlib.contextmanager
def new_world(state_dir: Path, variables: Mapping[str, Any] | None = None, **up: Any) -> Iterator[World]:
    """Start a stack with little data; it is gone at the end."""
    stack = Stack(state_dir)
    try:
        stack.up(**{"items": 400, **up})
        yield World(stack, stack.describe(), stack.secrets(), dict(variables or {}))
    finally:
        stack.down(purge=False)


def message(run: Playbook) -> str:
    """Return what the operator reads last of a run: of a failed one why, of a good one what was printed."""
    wanted = [
        task["result"]
        for task in run.tasks
        if (task["outcome"] == "failed" if run.process.returncode else task["action"].endswith("debug"))
        and task["outcome"] != "skipped"
    ]
    assert wanted, f"{run.process.stdout}\n{run.process.stderr}"
    text = wanted[-1].get("msg", "")
    return text if isinstance(text, str) else "\n".join(text)


def details(status: Playbook) -> list[str]:
    """Return the sentences of a run of status.yml that was asked for them, one for each profile."""
    (found,) = status.results("Print the details", HOST)
    return list(found["msg"])


def succeeded(run: Playbook) -> Playbook:
    """Return the run, which must not have failed."""
    assert run.process.returncode == 0, f"{message(run)}\n{run.process.stdout[-6000:]}\n{run.process.stderr[-2000:]}"
    return run


def refused(run: Playbook, *parts: str) -> str:
    """Return the message of a run, which must have failed with all of these in it, and without a traceback."""
    output = run.process.stdout + run.process.stderr
    assert run.process.returncode != 0, output[-6000:]
    text = message(run)
    missing = [part for part in parts if part not in text]
    assert not missing, f"{missing} not in: {text}"
    assert "Traceback" not in output and "is undefined" not in output, output[-6000:]
    return text


def kill_all(process: subprocess.Popen[bytes]) -> None:
    """Kill a process, its group and everything it started (Ansible's workers are sessions of their own)."""
    if process.poll() is None:
        process.send_signal(signal.SIGSTOP)
        # While they are killed they may start others; their parent stands still meanwhile.
        while found := _descendants(process.pid):
            for pid in found:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    process.wait(30)


def _descendants(pid: int) -> list[int]:
    parents: dict[int, list[int]] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with contextlib.suppress(OSError):
                fields = (folder / "stat").read_text(errors="replace").rpartition(")")[2].split()
                if fields[0] not in "ZX":
                    parents.setdefault(int(fields[1]), []).append(int(folder.name))
    found: list[int] = []
    todo: Sequence[int] = [pid]
    while todo:
        todo = [child for parent in todo for child in parents.get(parent, [])]
        found += todo
    return found


@contextlib.contextmanager
def holding(connection: sqlite3.Connection, statement: str) -> Iterator[sqlite3.Connection]:
    """Hold a lock on a SQLite file, taken by a statement, until the end."""
    connection.execute(statement)
    try:
        yield connection
    finally:
        connection.rollback()
        connection.close()
