# SPDX-License-Identifier: GPL-3.0-or-later
"""The figures of a soak: what its JSON holds, what counts as good, and what its page says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from faults.soak import MOVED, _with_earlier, is_good, summary
from faults.soak_page import render_section

PROFILE = {"refused": 0, "unanswered": 0, "failed_reads": 0}


def a_round(number: int, **changes: Any) -> dict[str, Any]:
    return {
        "seed": 40 + number,
        "lock_hold_ms": float(number),
        "write_outage_ms": 10.0 * number,
        "rollback_ms": 100.0 * number,
        "rollback_lock_hold_ms": 2.0 * number,
        "rollback_outage_ms": None,
        "others_added_ms": -1.0 * number,
        "acknowledged": 1000,
        "lost": 0,
        "duplicated": 0,
        "done_though_refused": 0,
        "examples": [],
        "profiles": {MOVED: {**PROFILE, "refused": 2, "unanswered": 1}, "assets_2": PROFILE},
        **changes,
    }


def test_the_figures_of_a_hundred_rounds() -> None:
    results = summary([a_round(number) for number in range(1, 101)], "route")
    assert results["rounds"] == 100 and results["acknowledged"] == 100_000
    assert results["seeds"] == list(range(41, 141))
    assert results["lock_hold_ms"] == {"p50": 50.0, "p95": 95.0, "p99": 99.0, "max": 100.0}
    assert results["write_outage_ms"]["p99"] == 990.0
    assert results["rollback_ms"]["p95"] == 9500.0
    assert results["rollback_outage_ms"] is None
    assert (results["refused"], results["unanswered"], results["others_refused"]) == (200, 100, 0)
    assert is_good(results)


@pytest.mark.parametrize(
    "changes",
    [
        {"lost": 1},
        {"duplicated": 1},
        {"done_though_refused": 1},
        {"acknowledged": 0},
        {"profiles": {MOVED: PROFILE, "assets_2": {**PROFILE, "refused": 1}}},
        {"profiles": {MOVED: PROFILE, "assets_2": {**PROFILE, "unanswered": 1}}},
        {"profiles": {MOVED: PROFILE, "assets_2": {**PROFILE, "failed_reads": 1}}},
    ],
)
def test_what_is_not_good(changes: dict[str, Any]) -> None:
    assert not is_good(summary([a_round(1, **changes)], "route"))
    assert not is_good(summary([], "route"))


def test_the_page_shows_the_last_run_of_each_method(tmp_path: Path) -> None:
    path = tmp_path / "soak.json"
    for method, acknowledged in (("restart", 7), ("route", 8), ("route", 9)):
        results = summary([a_round(number, acknowledged=acknowledged) for number in (1, 2)], method)
        results |= {"date": "2026-11-27", "machine": {"processor": "2 cores"}, "each": ["long"]}
        whole = _with_earlier(path, results)
        path.write_text(json.dumps(whole), encoding="utf-8")
    whole = json.loads(path.read_text(encoding="utf-8"))
    assert (whole["method"], whole["acknowledged"]) == ("route", 18)
    assert {method: run["acknowledged"] for method, run in whole["runs"].items()} == {"restart": 14, "route": 18}
    assert "each" in whole and "each" not in whole["runs"]["route"]
    old = {**whole, "runs": {"restart": {"acknowledged": 1}}}
    path.write_text(json.dumps(old), encoding="utf-8")
    assert list(_with_earlier(path, whole["runs"]["route"])["runs"]) == ["route"]
    page = render_section(whole["runs"])
    assert "`route`, 2026-11-27: 2 round(s), 18 acknowledged writes, **0 lost, 0 duplicated**" in page
    assert "`restart`, 2026-11-27: 2 round(s), 14 acknowledged writes" in page
    assert page.index("`route`") < page.index("`restart`")
    assert "| restart | lock of the live store, there " in page
