# SPDX-License-Identifier: GPL-3.0-or-later
"""baseline_info against the reference API, SQLite and PostgreSQL: what is measured, and what is said when it is not."""

from __future__ import annotations

import contextlib
import datetime
import json
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from _ansible import run_module
from _module_process import run_process
from _servers import Server
from ansible_collections.sxops.pg_cutover.plugins.module_utils._verdict import FAILED, PASSED
from api_client import Api, free_port
from local_stack.seed import seed_database

ITEMS = {"assets_1": 120, "assets_2": 40}
HEADERS = {"X-SX-Source-ID": "{source_id}", "X-Request-ID": "pg-cutover-{source_id}"}
READY = [
    {"name": "health", "path": "/health", "expect_json": {"ok": True, "source_id": "{source_id}"}},
    {"name": "backend", "path": "/health", "expect_headers": {"x-sx-backend": "sqlite"}},
]
SHARED = [{"name": "sources", "key": "id"}]
NOW = datetime.datetime.now(datetime.UTC)


@pytest.fixture(scope="module")
def seeded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("seeded") / "sx.db"
    seed_database(path, ITEMS)
    return path


@pytest.fixture(scope="module")
def api(seeded: Path, start_api: Callable[..., Api]) -> Api:
    return start_api(SX_DB_PATH=str(seeded))


def options(api: Api, seeded: Path, **more: Any) -> dict[str, Any]:
    given = {
        "source_id": "assets_1",
        "sqlite_path": str(seeded),
        "shared_tables": SHARED,
        "instances": [{"name": "api-1", "base_url": api.base_url}],
        "headers": HEADERS,
        "ready_checks": READY,
        "probes": 6,
        "probe_pause": 0,
        "request_logs": {"paths": [str(log_of(api))], "exclude_request_ids": "^pg-cutover-"},
    }
    return {name: value for name, value in {**given, **more}.items() if value is not None}


def log_of(api: Api) -> Path:
    return Path(api.environment["SX_API_LOG"])


def measured(api: Api, seeded: Path, **more: Any) -> dict[str, Any]:
    result = run_process("baseline_info", options(api, seeded, **more))
    assert not result.get("failed"), result["msg"]
    found: dict[str, Any] = result["baseline"]
    return found


def rows(seeded: Path, source: str) -> dict[str, int]:
    """Count the rows of every table that belongs to profiles, by SQL of our own."""
    with contextlib.closing(sqlite3.connect(seeded)) as connection:
        names = [
            name
            for (name,) in connection.execute(
                "SELECT name FROM sqlite_schema WHERE type = 'table' AND sql NOT LIKE '%VIRTUAL%'"
            )
        ]
        own = [n for n in names if "source_id" in [row[1] for row in connection.execute(f"PRAGMA table_info({n})")]]
        return {
            name: connection.execute(f"SELECT count(*) FROM {name} WHERE source_id = ?", (source,)).fetchone()[0]
            for name in own
        }


def test_everything_is_measured(api: Api, seeded: Path, server: Server) -> None:
    for path in ("/items?limit=1", "/items/nothing", "/stats"):
        api.get(path)
    args = options(api, seeded, dsn=server.superuser_dsn)
    result = run_module("baseline_info", args)
    found = result["baseline"]
    assert (result["changed"], result["verdict"], result["notes"]) == (False, PASSED, [])
    assert [(check["name"], check["verdict"]) for check in result["checks"]] == [
        ("health", PASSED),
        ("backend", PASSED),
        ("request log", PASSED),
    ]
    assert set(found) == {
        *("taken", "store", "health", "probes", "requests", "requests_span_s"),
        *("tables", "connections", "startup_ms", "stats"),
    }
    (health,) = found["health"]
    assert (health["instance"], health["ready"], health["latency_ms"] > 0) == ("api-1", True, True)
    assert (found["probes"]["count"], found["probes"]["errors"]) == (6, 0)
    assert 0 < found["probes"]["latency_ms"]["p50"] <= found["probes"]["latency_ms"]["p95"]
    assert found["requests"]["requests"] >= 3, "ours are left out, these are not"
    assert found["requests"]["errors_4xx"] >= 1
    assert (found["requests_span_s"], found["startup_ms"], found["stats"]) == (900, None, {})
    assert {entry["table"]: entry["rows"] for entry in found["tables"]} == rows(seeded, "assets_1")
    assert 1 <= found["connections"]["used"] < found["connections"]["limit"]
    assert found["taken"] >= NOW.strftime("%Y-%m-%dT%H:%M:%S")
    assert server.superuser_dsn not in json.dumps(result["baseline"])


def test_our_own_questions_are_left_out_of_the_log(api: Api, seeded: Path) -> None:
    before = measured(api, seeded)["requests"]["requests"]
    assert measured(api, seeded)["requests"]["requests"] == before
    counted = measured(api, seeded, request_logs={"paths": [str(log_of(api))]})["requests"]["requests"]
    assert counted >= before + 3 * (6 + 2)


def test_another_profile_has_other_rows(api: Api, seeded: Path) -> None:
    found = measured(api, seeded, source_id="assets_2", request_logs=None)
    assert {entry["table"]: entry["rows"] for entry in found["tables"]} == rows(seeded, "assets_2")
    assert rows(seeded, "assets_2") != rows(seeded, "assets_1")


def test_a_file_of_one_profile_is_counted_whole(api: Api, seeded: Path) -> None:
    found = measured(api, seeded, tenant_column="", exclude_tables=["job_queue"])
    both = {name: number + rows(seeded, "assets_2")[name] for name, number in rows(seeded, "assets_1").items()}
    counted = {entry["table"]: entry["rows"] for entry in found["tables"]}
    assert "job_queue" not in counted
    assert {name: both[name] for name in counted if name in both} == {n: v for n, v in both.items() if n != "job_queue"}


def test_without_a_log_and_without_postgres_there_are_no_such_figures(api: Api, seeded: Path) -> None:
    found = measured(api, seeded, request_logs=None)
    assert (found["requests"], found["requests_span_s"], found["connections"]) == (None, None, None)


def test_a_postgres_that_cannot_be_reached_is_no_failure_on_sqlite(api: Api, seeded: Path) -> None:
    dsn = f"postgresql://app:s3cret@127.0.0.1:{free_port()}/none"
    result = run_process("baseline_info", options(api, seeded, dsn=dsn))
    assert (result["verdict"], result["baseline"]["connections"]) == (PASSED, None)
    (note,) = result["notes"]
    assert "the connections were not counted" in note and "s3cret" not in json.dumps(result)


def test_only_the_span_counts(api: Api, seeded: Path, tmp_path: Path) -> None:
    log = tmp_path / "request.jsonl"
    lines = [{"route": "/a", "status": 500, "latency": 1.0, "timestamp": stamp(-2000)}]
    lines += [{"route": "/a", "status": 200, "latency": 10.0, "timestamp": stamp(-20)}] * 9
    lines += [{"route": "/a", "status": 503, "latency": 90.0, "timestamp": stamp(-10)}]
    log.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    found = measured(api, seeded, request_logs={"paths": [str(log)]})["requests"]
    assert (found["requests"], found["errors_5xx"], found["error_percent"]) == (10, 1, 10.0)
    longer = measured(api, seeded, request_logs={"paths": [str(log)]}, span=4000)
    assert (longer["requests"]["requests"], longer["requests_span_s"]) == (11, 4000)


def test_lines_without_a_time_all_count_and_that_is_said(api: Api, seeded: Path, tmp_path: Path) -> None:
    log = tmp_path / "request.jsonl"
    log.write_text('{"route": "/a", "status": 500, "latency": 4.0}\n' * 5, encoding="utf-8")
    result = run_process("baseline_info", options(api, seeded, request_logs={"paths": [str(log)]}))
    found = result["baseline"]
    assert (result["verdict"], found["requests"]["requests"], found["requests_span_s"]) == (PASSED, 5, None)
    assert result["notes"] == ["the lines of the request log have no time, so all of them count"]


@pytest.mark.parametrize(("content", "word"), [(None, "No such file"), ("what is this\n" * 4, "none of 4 lines")])
def test_a_log_that_cannot_be_used_is_a_failed_check(
    api: Api, seeded: Path, tmp_path: Path, content: str | None, word: str
) -> None:
    log = tmp_path / "request.jsonl"
    if content:
        log.write_text(content, encoding="utf-8")
    result = run_process("baseline_info", options(api, seeded, request_logs={"paths": [str(log)]}))
    assert (result["failed"], result["error"], result["verdict"]) == (True, "baseline_open", FAILED)
    assert word in result["msg"] and "Nothing was changed" in result["msg"]


def test_an_instance_that_does_not_answer_keeps_nobody_from_being_measured(api: Api, seeded: Path) -> None:
    gone = {"name": "api-2", "base_url": f"http://127.0.0.1:{free_port()}"}
    instances = [gone, {"name": "api-1", "base_url": api.base_url}]
    result = run_process("baseline_info", options(api, seeded, instances=instances))
    assert (result["failed"], result["error"], result["verdict"]) == (True, "baseline_open", FAILED)
    assert "2 of 5 checks of the baseline of assets_1 did not pass: health at api-2: failed" in result["msg"]
    found = result["baseline"]
    assert [(one["instance"], one["ready"]) for one in found["health"]] == [("api-2", False), ("api-1", True)]
    assert (found["health"][0]["latency_ms"], found["probes"]["count"]) == (None, 6)
    assert {entry["table"]: entry["rows"] for entry in found["tables"]} == rows(seeded, "assets_1")
    lenient = run_process("baseline_info", options(api, seeded, instances=instances, fail_on_open=False))
    assert (lenient.get("failed", False), lenient["verdict"]) == (False, FAILED)


def test_an_instance_on_the_other_store_is_not_ready(api: Api, seeded: Path) -> None:
    checks = [{"name": "backend", "path": "/health", "expect_headers": {"x-sx-backend": "postgres_primary"}}]
    result = run_process("baseline_info", options(api, seeded, ready_checks=checks))
    assert (result["verdict"], result["baseline"]["probes"]["count"]) == (FAILED, 0)
    assert "x-sx-backend is 'sqlite' instead of 'postgres_primary'" in result["msg"]


def test_check_mode_asks_nobody(api: Api, seeded: Path) -> None:
    before = log_of(api).read_bytes()
    gone = str(seeded.with_name("gone.db"))
    result = run_process("baseline_info", options(api, seeded, sqlite_path=gone), check=True)
    assert (result["changed"], result["baseline"], result["verdict"]) == (False, None, "not_verified")
    assert [check["name"] for check in result["checks"]] == [f"ask GET {api.base_url}/health"] * 2
    assert log_of(api).read_bytes() == before


def test_the_file_is_left_as_it_is(api: Api, seeded: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.db"
    shutil.copy(seeded, copy)
    before = copy.read_bytes()
    measured(api, seeded, sqlite_path=str(copy))
    assert copy.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["copy.db"]


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"source_id": "../etc"}, "source_id"),
        ({"sqlite_path": None}, "Give sqlite_path"),
        ({"probes": 0}, "Ask at least once"),
        ({"span": 0}, "Ask at least once"),
        ({"instances": []}, "instances is empty"),
        ({"sqlite_path": "/nowhere/sx.db"}, "does not exist"),
        ({"store": "postgres"}, "No PostgreSQL server was named"),
        ({"request_logs": {"paths": ["/x"], "format": "regex"}}, "needs a pattern"),
    ],
)
def test_what_cannot_be_measured_is_refused(api: Api, seeded: Path, changes: dict[str, Any], word: str) -> None:
    result = run_process("baseline_info", options(api, seeded, **changes))
    assert result["failed"] and word in result["msg"], result["msg"]
    assert "Traceback" not in json.dumps(result)


def stamp(seconds: float) -> str:
    moment = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=seconds)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
