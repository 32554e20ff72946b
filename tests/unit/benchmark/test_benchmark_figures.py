# SPDX-License-Identifier: GPL-3.0-or-later
"""The figures of the benchmark: which time is divided by which, and what counts as met."""

from __future__ import annotations

import sqlite3
import sys
from pathlib import Path

import pytest
from benchmark.contestants import Measured, _pgloader_tables
from benchmark.dataset import make_dataset, small_rows
from benchmark.figures import TARGETS, derive
from benchmark.measured_process import run_measured


def a_round(copy_s: float = 2.0, pgloader: Measured | None = None) -> dict[str, Measured | None]:
    return {
        "collection": {
            "copy_s": copy_s,
            "copy_all_s": 2.5,
            "load_s": 5.0,
            "load_module_s": 4.4,
            "parity_s": 5.0,
            "load_peak_mb": 40 + copy_s,
        },
        "scan": {"scan_s": 1.0},
        "pgloader": pgloader,
        "ready_file": {"copy_s": 1.6},
        "small": {"load_module_s": 0.4, "load_peak_mb": 39.0},
    }


def test_every_ratio_has_the_right_side_up() -> None:
    rounds = [a_round(copy_s, {"copy_s": 6.0, "load_s": 9.0}) for copy_s in (2.0, 30.0, 1.0)]
    assert derive(rounds, 2_000_000, 2_200_000, 220_000) == {
        "copy_vs_pgloader": 3.0,
        "total_vs_pgloader": 1.8,
        "copy_vs_ready_file": 1.25,
        "parity_vs_copy": 2.0,
        "parity_vs_scan": 5.0,
        "time_per_row_growth": 1.1,
        "worker_rss_mb": 70.0,  # the greatest, where times are medians
        "worker_rss_mb_small": 39.0,
        "rows_per_s": 1_000_000.0,
    }


def test_what_was_not_measured_is_neither_met_nor_missed() -> None:
    figures = derive([a_round()], 2_000_000, 2_200_000, 220_000)
    judged = {target.figure: target.judge(figures[target.figure])["met"] for target in TARGETS}
    assert (judged["copy_vs_pgloader"], judged["total_vs_pgloader"]) == (None, None)
    assert judged["parity_vs_copy"] is True


@pytest.mark.parametrize(("measured", "met"), [(2.49, False), (2.5, True), (2.51, True)])
def test_a_lower_limit(measured: float, met: bool) -> None:
    (target,) = [target for target in TARGETS if target.figure == "copy_vs_pgloader"]
    assert target.judge(measured)["met"] is met


@pytest.mark.parametrize(("measured", "met"), [(64.0, True), (64.01, False)])
def test_an_upper_limit(measured: float, met: bool) -> None:
    (target,) = [target for target in TARGETS if target.figure == "worker_rss_mb"]
    assert target.judge(measured)["met"] is met


def test_the_times_of_tables_are_found_in_the_summary_of_pgloader(tmp_path: Path) -> None:
    # As pgloader 3.6.7 of Debian 12 wrote it.
    summary = tmp_path / "summary.csv"
    summary.write_text(
        '"Set Table OIDs";2;2;0;0;"0.008s"\n"items";2000000;2000000;0;377629944;"1m20.428s"\n'
        '"notes";200000;200000;0;32250708;"3.440s"\n"COPY Threads Completion";4;4;0;0;"20.428s"\n'
    )
    assert _pgloader_tables(summary) == {"items": 80.428, "notes": 3.44}
    assert _pgloader_tables(tmp_path / "missing.csv") == {}


def test_the_peak_of_a_child_is_seen() -> None:
    script = (
        "import os, time\nif os.fork() == 0:\n    x = bytearray(120 << 20)\n    time.sleep(0.3)\nelse:\n    os.wait()"
    )
    done = run_measured([sys.executable, "-c", script])
    assert (done.returncode, done.peak_mb > 120) == (0, True)


def test_the_data_is_the_same_every_time(tmp_path: Path) -> None:
    one, other = (make_dataset(tmp_path / name, 101) for name in ("one", "other"))
    assert one.sqlite.read_bytes() == other.sqlite.read_bytes()
    assert one.csv.read_bytes() == other.csv.read_bytes()
    connection = sqlite3.connect(one.sqlite)
    assert connection.execute("SELECT count(*) FROM items").fetchone() == (101,)
    assert connection.execute("SELECT count(*) FROM notes").fetchone() == (small_rows(101),)
    assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
    connection.close()
