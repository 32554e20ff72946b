# SPDX-License-Identifier: GPL-3.0-or-later
"""The benchmark runs from its data to its page. How fast is never asked here: machines differ."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_a_small_benchmark_writes_its_numbers_and_its_page(tmp_path: Path) -> None:
    numbers, page = tmp_path / "numbers.json", tmp_path / "page.md"
    done = subprocess.run(
        [
            *(sys.executable, "-m", "benchmark", "--rows=3000", "--rounds=1", "--server=embedded"),
            *(f"--folder={tmp_path / 'work'}", f"--json={numbers}", f"--markdown={page}"),
        ],
        env={**os.environ, "PYTHONPATH": f"{ROOT / 'tests'}{os.pathsep}{ROOT / 'demo'}"},
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    results = json.loads(numbers.read_text(encoding="utf-8"))
    measured = {name for name, value in results.items() if isinstance(value, float)}
    assert measured >= {"copy_vs_ready_file", "parity_vs_copy", "worker_rss_mb", "rows_per_s", "time_per_row_growth"}
    assert results["rounds"][0]["collection"]["verdict"] == "passed"
    text = page.read_text(encoding="utf-8")
    assert "pgloader" in text
    assert str(tmp_path) not in text and str(ROOT) not in text
    left = sorted(path.name for path in (tmp_path / "work").iterdir())
    assert left == [f"data-20261121-{rows}.{end}" for rows in (300, 3000) for end in ("csv", "db")]


def test_what_capture_costs_is_measured_for_every_kind_of_statement(tmp_path: Path) -> None:
    numbers = tmp_path / "numbers.json"
    done = subprocess.run(
        [sys.executable, "-m", "benchmark.capture", "--rows=20", "--rounds=2", f"--json={numbers}"],
        env={**os.environ, "PYTHONPATH": str(ROOT / "tests")},
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    results = json.loads(numbers.read_text(encoding="utf-8"))
    assert [list(works) for works in results.values()] == [["insert", "update", "upsert", "delete"]] * 2
    assert done.stdout.count("|\n") == 10
