# SPDX-License-Identifier: GPL-3.0-or-later
"""The real module through real Ansible on the log of a real API process, counted against what was asked of it."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from _ansible import run_module, run_modules
from api_client import Api
from local_stack.seed import seed_database

OURS = {"X-Request-ID": "pg-cutover-assets_1"}


@pytest.fixture(scope="module")
def api(start_api: Callable[..., Api], tmp_path_factory: pytest.TempPathFactory) -> Api:
    """A process in SQLite mode whose log holds 7 answers of 200, 3 of 400, 4 of 404, 2 of 500 and 5 to ourselves."""
    path = tmp_path_factory.mktemp("asked") / "sx.db"
    seed_database(path, {"assets_1": 30})
    api = start_api(SX_DB_PATH=str(path))
    (api.folder / "request.jsonl").unlink(missing_ok=True)  # what starting it asked
    for _number in range(5):
        assert api.get("/items?q=hunter2").status == 200
        assert api.get("/items/nothing-here", OURS).status == 404
    for _number in range(2):
        assert api.get("/stats").status == 200
    for _number in range(3):
        assert api.as_source(None).get("/items").status == 400
    for number in range(4):
        assert api.get(f"/items/nothing-{number}").status == 404
    path.rename(path.with_suffix(".away"))
    path.mkdir()
    for _number in range(2):
        assert api.get("/items").status == 500
    path.rmdir()
    path.with_suffix(".away").rename(path)
    return api


def log(api: Api) -> str:
    return str(api.folder / "request.jsonl")


def test_counts_exactly_what_was_answered_and_leaves_our_own_out(api: Api) -> None:
    options = {"path": log(api), "exclude_request_ids": "^pg-cutover-"}
    found, checked, everything = run_modules(
        [("request_log_info", options), ("request_log_info", options), ("request_log_info", {"path": log(api)})]
    )
    assert found["changed"] is False
    assert (found["requests"], found["errors_4xx"], found["errors_5xx"], found["excluded"]) == (16, 7, 2, 5)
    assert found["error_percent"] == 12.5
    assert (found["malformed"], found["without_time"], found["verdict"]) == (0, 0, "passed")
    routes = {
        entry["route"]: (entry["requests"], entry["errors_4xx"], entry["errors_5xx"]) for entry in found["by_route"]
    }
    assert routes == {"/items": (10, 3, 2), "/items/{id}": (4, 4, 0), "/stats": (2, 0, 0)}
    assert sum(entry["count"] for entry in found["by_error_code"]) == 9
    latencies = sorted(line["latency"] for line in api.request_log() if line["request_id"] != OURS["X-Request-ID"])
    assert found["latency_ms"]["p50"] == pytest.approx(latencies[7], rel=0.01, abs=0.001)
    assert found["latency_ms"]["p99"] == pytest.approx(latencies[15], rel=0.01, abs=0.001)
    assert {**found, "duration_ms": 0} == {**checked, "duration_ms": 0}
    assert (everything["requests"], everything["errors_4xx"], everything["excluded"]) == (21, 12, 0)
    assert "hunter2" not in json.dumps(found)


def test_only_what_is_new_since_a_position_also_after_rotation(api: Api) -> None:
    path = Path(log(api))
    first = run_module("request_log_info", {"path": log(api)}, check=True)
    api.get("/stats")
    Path(f"{path}.1.gz").write_bytes(gzip.compress(path.read_bytes()))
    path.unlink()
    api.get("/health")
    found = run_module("request_log_info", {"path": log(api), "position": first["position"], "last_seconds": 3600})
    assert found["requests"] == 2, found
    assert {entry["route"] for entry in found["by_route"]} == {"/stats", "/health"}
    assert found["verdict"] == "passed"
    whole = run_module("request_log_info", {"path": log(api), "last_seconds": 3600})
    assert whole["requests"] == first["requests"] + 2


def test_what_cannot_be_done_is_said(tmp_path: Path) -> None:
    missing, pattern, empty = run_modules(
        [
            ("request_log_info", {"paths": [str(tmp_path / "none.log")]}),
            ("request_log_info", {"path": __file__, "format": "regex", "pattern": r"^(\d{3})"}),
            ("request_log_info", {"path": __file__, "format": "uvicorn", "last_seconds": 60}),
        ]
    )
    assert missing["failed"] and missing["error"] == "request_log"
    assert missing["msg"].startswith(f"Cannot read the request log {tmp_path / 'none.log'}: No such file or directory.")
    assert pattern["failed"] and pattern["error"] == "bad_input"
    assert "no group named status" in pattern["msg"]
    assert (empty["requests"], empty["verdict"]) == (0, "not_verified")
    assert "zero requests compared" in empty["message"]
