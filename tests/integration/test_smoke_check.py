# SPDX-License-Identifier: GPL-3.0-or-later
"""The real module through real Ansible against the reference API, on both stores, right and wrong."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import jinja2.nativetypes
import psycopg2
import pytest
import yaml
from _ansible import run_module
from api_client import Api, run_cli
from local_stack.seed import seed_database
from local_stack.stack import Stack

ITEMS = {"assets_1": 200, "assets_2": 60}
TABLES = ("videos", "user_meta", "video_notes", "csv_consolidated_raw")
ROUND_TRIP_TABLES = ("user_meta", "video_notes")

# The checks of the sx_obsidian preset as this module was proven with; see roles/profile/vars.
PRESET = yaml.safe_load(r"""
headers:
  X-SX-Source-ID: "{source_id}"
smoke_subjects:
  - name: total
    store: "{{ store }}"
    query: SELECT count(*) AS n FROM videos WHERE source_id = :source_id
smoke_checks:
  - name: health
    path: /health
    expect_json: {ok: true, source_id: "{source_id}"}
  - name: backend
    path: /health
    expect_json:
      backend.backend: "{{ 'postgres_primary' if store == 'postgres' else 'sqlite' }}"
      backend.active: "{{ store == 'postgres' }}"
      backend.schema: "{{ profile_schema if store == 'postgres' else none }}"
      backend.source_id: "{source_id}"
    expect_headers:
      x-sx-backend: "{{ 'postgres_primary' if store == 'postgres' else 'sqlite' }}"
  - name: header routing
    path: /stats
    expect_headers: {x-sx-source-id: "{source_id}"}
    expect_json_min: {counts.items: "{total.n}"}
  - name: query routing
    path: /stats?source_id={source_id}
    headers: {X-SX-Source-ID: null}
    expect_headers: {x-sx-source-id: "{source_id}"}
    expect_json_min: {counts.items: "{total.n}"}
  - name: source mismatch refused
    path: /health
    headers: {X-SX-Profile-Index: "{{ 1 if profile_index == 2 else 2 }}"}
    expect_status: [400]
  - name: missing source refused
    path: /stats
    headers: {X-SX-Source-ID: null}
    expect_status: [400]
    expect_text: Missing explicit source_id
  - name: items answered
    path: /items?limit=1
    expect_json_min: {total: "{total.n}", items: 1}
smoke_checks_postgres:
  - name: source without a mapping refused
    path: /stats
    headers: {X-SX-Source-ID: pg-cutover-unmapped}
    expect_status: [400]
    expect_text: No schema mapping
plugin_subjects:
  - name: item
    store: "{{ store }}"
    query: >-
      SELECT id, caption, author_unique_id, csv_row_hash FROM videos
      WHERE source_id = :source_id AND author_unique_id <> '' AND author_unique_id NOT LIKE '%\%'
      ORDER BY id LIMIT 1
  - name: rated
    store: "{{ store }}"
    query: >-
      SELECT v.id FROM videos v
      LEFT JOIN user_meta m ON m.source_id = v.source_id AND m.video_id = v.id
      WHERE v.source_id = :source_id AND coalesce(m.author_links, '') IN ('', '[]')
      ORDER BY m.video_id IS NULL, v.id LIMIT 1
  - name: noted
    store: "{{ store }}"
    query: >-
      SELECT v.id FROM videos v
      LEFT JOIN video_notes n ON n.source_id = v.source_id AND n.video_id = v.id
      WHERE v.source_id = :source_id
      ORDER BY n.video_id IS NULL, v.id LIMIT 1
plugin_checks:
  - name: search
    path: /search?q={item.author_unique_id}
    expect_json: {results.*.author_unique_id: "{item.author_unique_id}"}
    expect_json_min: {results: 1}
  - name: item open
    path: /items/{item.id}
    expect_json: {item.id: "{item.id}", item.source_id: "{source_id}", item.caption: "{item.caption}"}
  - name: meta round trip
    round_trip:
      read: {path: "/items/{rated.id}/meta"}
      write: {method: PUT, path: "/items/{rated.id}/meta", from_read: meta}
      field: notes
      volatile: [updated_at, statuses, author_links]
      lands_in: {table: user_meta, column: notes, where: {source_id: "{source_id}", video_id: "{rated.id}"}}
  - name: note round trip
    round_trip:
      read: {path: "/items/{noted.id}/note"}
      write: {method: PUT, path: "/items/{noted.id}/note-md", body: {markdown: ""}}
      field: markdown
      volatile: [updated_at, template_version]
      lands_in: {table: video_notes, column: markdown, where: {source_id: "{source_id}", video_id: "{noted.id}"}}
leakage_subjects:
  - name: foreign
    store: sqlite
    query: >-
      SELECT o.id FROM sources s JOIN videos o ON o.source_id = s.id
      WHERE s.id <> :source_id
      AND NOT EXISTS (SELECT 1 FROM videos m WHERE m.source_id = :source_id AND m.id = o.id) LIMIT 1
    if_none: no other profile holds rows that this one has not
  - name: foreign_here
    store: "{{ store }}"
    query: >-
      SELECT :foreign.id AS id
      WHERE NOT EXISTS (SELECT 1 FROM videos WHERE source_id = :source_id AND id = :foreign.id)
    if_none: by now this profile has that id too
  - name: shared
    store: sqlite
    query: >-
      SELECT m.id FROM sources s
      JOIN videos o ON o.source_id = s.id
      JOIN videos m ON m.source_id = :source_id AND m.id = o.id
      WHERE s.id <> :source_id AND m.caption <> o.caption LIMIT 1
    if_none: no id is in two profiles with different content
  - name: shared_here
    store: "{{ store }}"
    query: SELECT id, caption, video_path FROM videos WHERE source_id = :source_id AND id = :shared.id
    if_none: by now this profile has that id no more
leakage_subjects_postgres:
  - name: foreign_rows
    store: postgres
    query: >-
      SELECT count(*) AS n FROM (
      SELECT source_id FROM videos UNION ALL SELECT source_id FROM user_meta
      UNION ALL SELECT source_id FROM video_notes UNION ALL SELECT source_id FROM csv_consolidated_raw
      UNION ALL SELECT source_id FROM csv_authors_raw UNION ALL SELECT source_id FROM csv_bookmarks_raw
      UNION ALL SELECT source_id FROM scheduling_artifacts UNION ALL SELECT source_id FROM job_queue
      ) AS every_row WHERE source_id IS DISTINCT FROM :source_id
leakage_checks:
  - name: another profile's item is not found
    path: /items/{foreign_here.id}
    expect_status: [404]
  - name: another profile's item is not in the search
    path: /search?q={foreign_here.id}
    expect_json: {results: []}
  - name: an id of two profiles shows this profile's content
    path: /items/{shared_here.id}
    expect_json:
      item.source_id: "{source_id}"
      item.caption: "{shared_here.caption}"
      item.video_path: "{shared_here.video_path}"
leakage_checks_postgres:
  - name: the schema holds only rows of this profile
    subject: foreign_rows
    expect_json: {n: 0}
""")


def rendered(value: Any, variables: dict[str, Any]) -> Any:
    """Return the preset with its Jinja filled, as Ansible does."""
    if isinstance(value, dict):
        return {key: rendered(item, variables) for key, item in value.items()}
    if isinstance(value, list):
        return [rendered(item, variables) for item in value]
    if isinstance(value, str) and "{{" in value:
        return jinja2.nativetypes.NativeEnvironment().from_string(value).render(variables)
    return value


class System:
    """One profile in a SQLite file and in a schema of its own, an API process on one of them, and the module."""

    def __init__(self, api: Api, store: str, sqlite_path: Path, dsn: str, schema: str, folder: Path) -> None:
        self.api = api
        self.store = store
        self.sqlite = sqlite_path
        self.dsn = dsn
        self.schema = schema
        self.journal = folder / "smoke.json"

    def preset(self, *parts: str) -> dict[str, Any]:
        variables = {"store": self.store, "profile_schema": self.schema, "profile_index": 1}
        chosen: dict[str, Any] = {"checks": [], "subjects": []}
        for part in parts:
            for kind in chosen:
                chosen[kind] += PRESET.get(f"{part}_{kind}", [])
                if self.store == "postgres":
                    chosen[kind] += PRESET.get(f"{part}_{kind}_postgres", [])
        return dict(rendered(chosen, variables))

    def arguments(self, **options: Any) -> dict[str, Any]:
        return {
            "base_url": self.api.base_url,
            "source_id": self.api.source,
            "headers": PRESET["headers"],
            "expect_store": self.store,
            "sqlite_path": str(self.sqlite),
            "dsn": self.dsn,
            "schema_name": self.schema,
            "journal": str(self.journal),
            **options,
        }

    def smoke(self, *parts: str, check: bool = False, **options: Any) -> dict[str, Any]:
        arguments = self.arguments(**{**self.preset(*parts), **options})
        return run_module("sxops.pg_cutover.smoke_check", arguments, check=check)

    def contents(self) -> dict[str, list[Any]]:
        """Return every row that a round trip could touch, in both stores, exactly."""
        found: dict[str, list[Any]] = {}
        with closing(sqlite3.connect(self.sqlite)) as connection:
            for table in ("videos", *ROUND_TRIP_TABLES):
                found[table] = sorted(connection.execute(f"SELECT * FROM {table}").fetchall(), key=repr)
        with closing(psycopg2.connect(self.dsn)) as connection, connection.cursor() as cursor:
            for table in ("videos", *ROUND_TRIP_TABLES):
                cursor.execute(f'SELECT * FROM "{self.schema}"."{table}"')
                found[f"{self.schema}.{table}"] = sorted(cursor.fetchall(), key=repr)
        return found


@pytest.fixture(scope="module")
def systems(stack: Stack, start_api: Callable[..., Api], tmp_path_factory: pytest.TempPathFactory) -> dict[str, System]:
    """A profile with the same rows in both stores, and a process in each mode."""
    folder = tmp_path_factory.mktemp("smoke")
    source, other = (f"smoke_{uuid.uuid4().hex[:6]}" for _turn in range(2))
    path, dsn = folder / "sx.db", stack.secrets()["dsn"]
    seed_database(path, ITEMS)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for old, new in (("assets_1", source), ("assets_2", other)):
            connection.execute("UPDATE sources SET id = ? WHERE id = ?", (new, old))
            for table in TABLES:
                connection.execute(f"UPDATE {table} SET source_id = ? WHERE source_id = ?", (new, old))
        shared = "SELECT id FROM videos WHERE source_id = ? AND id IN (SELECT id FROM videos WHERE source_id = ?)"
        assert connection.execute(shared, (source, other)).fetchone(), "the seed has ids in both profiles"
    settings = {"SX_DB_PATH": str(path), "SX_PROFILES": f"{source},{other}", "SX_POSTGRES_DSN": dsn}
    sqlite_api = start_api(source=source, **settings)
    primary = start_api(source=source, SX_DB_BACKEND_MODE="POSTGRES_PRIMARY", **settings)
    done = run_cli(primary.environment, "pg-bootstrap", "--source", source, cwd=folder)
    assert done.returncode == 0, done.stderr
    copy_rows(path, dsn, source)
    schema = f"sx_{source}"
    return {
        "sqlite": System(sqlite_api, "sqlite", path, dsn, schema, folder),
        "postgres": System(primary, "postgres", path, dsn, schema, folder),
    }


def copy_rows(path: Path, dsn: str, source: str) -> None:
    """Copy a profile's rows, as a load does."""
    with closing(sqlite3.connect(path)) as lite, closing(psycopg2.connect(dsn)) as connection:
        connection.autocommit = True
        for table in TABLES:
            cursor = lite.execute(f"SELECT * FROM {table} WHERE source_id = ?", (source,))
            names = [part[0] for part in cursor.description]
            marks = ", ".join(["%s"] * len(names))
            statement = f'INSERT INTO "sx_{source}".{table} ({", ".join(names)}) VALUES ({marks})'
            connection.cursor().executemany(statement, cursor.fetchall())


@pytest.fixture(params=["sqlite", "postgres"])
def system(request: pytest.FixtureRequest, systems: dict[str, System]) -> System:
    return systems[request.param]


def names(result: dict[str, Any], verdict: str) -> list[str]:
    return [check["name"] for check in result["checks"] if check["verdict"] == verdict]


def test_the_whole_preset_passes_and_leaves_every_row(system: System) -> None:
    before = system.contents()
    result = system.smoke("smoke", "plugin", "leakage", wait=True)
    assert "error" not in result, result
    assert (result["verdict"], result["changed"]) == ("passed", False), result
    assert len(result["checks"]) == (17 if system.store == "postgres" else 15)
    assert all(subject["row"] is not None for subject in result["subjects"])
    assert result["ready_after_ms"] >= 0 and result["base_url"] == system.api.base_url
    assert system.contents() == before
    assert not system.journal.exists()
    password = psycopg2.extensions.parse_dsn(system.dsn)["password"]
    assert password not in str(result)


def test_the_wrong_mode_is_named(system: System, systems: dict[str, System]) -> None:
    other = systems["sqlite" if system.store == "postgres" else "postgres"]
    before = system.contents()
    result = system.smoke("smoke", "plugin", base_url=other.api.base_url)
    assert (result["error"], result["verdict"]) == ("smoke_failed", "failed"), result
    assert {"backend", "meta round trip", "note round trip"} <= set(names(result, "failed"))
    assert f"landed in {other.store} instead of {system.store}" in result["msg"]
    assert system.contents() == before and result["changed"] is False


def test_items_without_meta_or_note(system: System) -> None:
    preset = system.preset("plugin")
    for subject in preset["subjects"]:
        subject["query"] = subject["query"].replace(" IS NULL, v.id", " IS NOT NULL, v.id")
    before = system.contents()
    result = system.smoke(**preset)
    assert result["verdict"] == "passed", result
    assert system.contents() == before


def test_check_mode_sends_nothing(system: System) -> None:
    asked = len(system.api.request_log())
    result = system.smoke("smoke", "plugin", check=True)
    assert "error" not in result and result["verdict"] == "not_verified"
    assert all(check["message"].startswith("check mode: would ") for check in result["checks"])
    assert len(system.api.request_log()) == asked


def test_a_fenced_store_fails_the_round_trips_only(systems: dict[str, System]) -> None:
    system = systems["sqlite"]
    before = system.contents()
    with closing(sqlite3.connect(system.sqlite, timeout=20)) as connection:
        for table in ROUND_TRIP_TABLES:
            for verb in ("INSERT", "UPDATE"):
                connection.execute(
                    f"CREATE TRIGGER fence_{table}_{verb} BEFORE {verb} ON {table}"
                    " BEGIN SELECT RAISE(ROLLBACK, 'fenced'); END"
                )
        connection.commit()
        try:
            result = system.smoke("smoke", "plugin", fail_on_open=False)
        finally:
            for table in ROUND_TRIP_TABLES:
                for verb in ("INSERT", "UPDATE"):
                    connection.execute(f"DROP TRIGGER fence_{table}_{verb}")
            connection.commit()
    assert "error" not in result and result["verdict"] == "failed"
    assert names(result, "failed") == ["meta round trip", "note round trip"]
    assert system.contents() == before and not system.journal.exists()


def test_rows_of_another_profile_in_the_schema(systems: dict[str, System]) -> None:
    system = systems["postgres"]
    with closing(psycopg2.connect(system.dsn)) as connection:
        connection.autocommit = True
        cursor = connection.cursor()
        cursor.execute(f"INSERT INTO {system.schema}.videos (source_id, id) VALUES ('stray', 'x')")
        try:
            result = system.smoke("leakage", fail_on_open=False)
        finally:
            cursor.execute(f"DELETE FROM {system.schema}.videos WHERE source_id = 'stray'")
    assert names(result, "failed") == ["the schema holds only rows of this profile"]


def test_postgres_down_is_not_verified(systems: dict[str, System]) -> None:
    system = systems["sqlite"]
    result = system.smoke("plugin", dsn="host=127.0.0.1 port=9 dbname=x", fail_on_open=False)
    assert names(result, "not_verified") == ["meta round trip", "note round trip"]
    assert not system.journal.exists()
    result = system.smoke("plugin", dsn=None)
    assert result["verdict"] == "passed"


def test_a_killed_run_is_put_right(system: System, tmp_path: Path) -> None:
    """Kill the process that makes round trips as soon as its journal is there, many times at any moment."""
    program = tmp_path / "endless.py"
    arguments = system.arguments(**system.preset("plugin"), fail_on_open=False)
    program.write_text(
        "import types\n"
        "from ansible_collections.sxops.pg_cutover.plugins.module_utils._smoke import smoke\n"
        "from ansible.module_utils.common.arg_spec import ArgumentSpecValidator\n"
        "from ansible_collections.sxops.pg_cutover.plugins.modules.smoke_check import argument_spec\n"
        f"valid = ArgumentSpecValidator(argument_spec()).validate({arguments!r})\n"
        "assert not valid.error_messages, valid.error_messages\n"
        "while True:\n"
        "    smoke(types.SimpleNamespace(params=valid.validated_parameters, check_mode=False))\n",
        encoding="utf-8",
    )
    before = system.contents()
    leftovers = 0
    for turn in range(6):
        process = subprocess.Popen([sys.executable, str(program)], stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + 20
        while not system.journal.exists() and time.monotonic() < deadline:
            time.sleep(0.0005)
        time.sleep(turn * 0.004)
        process.send_signal(signal.SIGKILL)
        process.wait()
        leftovers += system.journal.exists()
        result = system.smoke("smoke", timeout=4)
        assert result["verdict"] == "passed", result
        assert not system.journal.exists() and system.contents() == before
    assert leftovers
