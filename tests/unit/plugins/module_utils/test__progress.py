# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is told of long work, when, and that nothing it meets can stop the work."""

from __future__ import annotations

import json
import stat
import typing as t
from pathlib import Path

import pytest
from ansible_collections.sxops.pg_cutover.plugins.module_utils._progress import SILENT, Progress, open_progress


class Clock:
    """A clock that only moves when it is told to."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "progress.jsonl"


def told(path: Path) -> list[dict[str, t.Any]]:
    return [json.loads(line) for line in path.read_text(encoding="ascii").splitlines()]


def work(progress: Progress, clock: Clock, expected: int, rows: int, rows_per_s: int, chunk: int) -> None:
    progress.begin("load", "videos", expected)
    for _chunk in range(rows // chunk):
        clock.now += chunk / rows_per_s
        progress.advance(chunk)
    progress.end()


def test_the_lines_of_a_table(path: Path, clock: Clock) -> None:
    progress = Progress(str(path), clock)
    progress.begin("load", "videos", 2000)
    clock.now += 4
    progress.advance(500)
    clock.now += 12
    progress.advance(1500)
    progress.end()
    common = {"phase": "load", "table": "videos", "rows": 2000}
    assert told(path) == [
        {**common, "state": "started", "done": 0, "seconds": 0.0, "rows_per_s": 0, "seconds_left": None},
        {**common, "state": "running", "done": 500, "seconds": 4.0, "rows_per_s": 125, "seconds_left": 12.0},
        {**common, "state": "running", "done": 2000, "seconds": 16.0, "rows_per_s": 125, "seconds_left": 0.0},
        {**common, "state": "done", "done": 2000, "seconds": 16.0, "rows_per_s": 125, "seconds_left": None},
    ]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_slow_table_is_told_every_five_percent(path: Path, clock: Clock) -> None:
    work(Progress(str(path), clock), clock, 10_000, 10_000, 10, chunk=10)
    assert [line["done"] for line in told(path)] == [0, *range(500, 10_001, 500), 10_000]


def test_a_quick_table_is_told_once_a_second_at_most(path: Path, clock: Clock) -> None:
    work(Progress(str(path), clock), clock, 3_000_000, 3_000_000, 1_000_000, chunk=1000)
    assert [line["state"] for line in told(path)] == ["started", "running", "running", "running", "done"]


def test_where_nobody_knows_how_many_rows_will_come_no_end_is_promised(path: Path, clock: Clock) -> None:
    work(Progress(str(path), clock), clock, 0, 12_000, 1000, chunk=125)
    assert [(line["done"], line["seconds_left"]) for line in told(path)] == [
        (0, None),
        (5000, None),
        (10_000, None),
        (12_000, None),
    ]


def test_more_rows_than_expected_leave_no_time_below_zero(path: Path, clock: Clock) -> None:
    work(Progress(str(path), clock), clock, 100, 500, 10, chunk=100)
    assert [line["seconds_left"] for line in told(path)] == [None, *[0.0] * 5, None]


def test_a_second_table_starts_from_nothing(path: Path, clock: Clock) -> None:
    progress = Progress(str(path), clock)
    work(progress, clock, 1000, 1000, 100, chunk=100)
    progress.begin("index", "videos_title", 0)
    clock.now += 2
    progress.end()
    assert told(path)[-1] == {
        "phase": "index",
        "table": "videos_title",
        "state": "done",
        "done": 0,
        "rows": 0,
        "seconds": 2.0,
        "rows_per_s": 0,
        "seconds_left": None,
    }


def test_any_name_stays_one_line(path: Path, clock: Clock) -> None:
    name = 'a "b"\n\udc80 ä'
    work(Progress(str(path), clock), clock, 1, 1, 1, chunk=1)
    Progress().begin("load", name, 1)
    other = Progress(str(path.with_name("other")), clock)
    other.begin("load", name, 1)
    (line,) = told(path.with_name("other"))
    assert line["table"] == name


def test_without_a_file_nothing_is_told_and_nothing_fails(clock: Clock) -> None:
    for progress in (SILENT, open_progress({}), open_progress({"progress_file": None})):
        work(progress, clock, 100, 100, 10, chunk=10)


def test_a_file_that_is_there_is_left_alone(path: Path, clock: Clock) -> None:
    path.write_bytes(b"SQLite format 3\0")
    link = path.with_name("link")
    link.symlink_to(path)
    for name in (path, link):
        work(open_progress({"progress_file": str(name)}), clock, 100, 100, 10, chunk=10)
    assert path.read_bytes() == b"SQLite format 3\0"


@pytest.mark.parametrize("name", ["missing/progress.jsonl", ".", "nul\0", "x" * 300])
def test_a_file_that_cannot_be_made_is_no_reason_to_fail(tmp_path: Path, clock: Clock, name: str) -> None:
    work(Progress(f"{tmp_path}/{name}", clock), clock, 100, 100, 10, chunk=10)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a disk that is always full is Linux's")
def test_a_full_disk_is_no_reason_to_fail(path: Path, clock: Clock) -> None:
    progress = Progress(str(path), clock)
    progress._path = "/dev/full"
    work(progress, clock, 100, 100, 10, chunk=10)


def test_a_file_that_was_removed_does_not_come_back(path: Path, clock: Clock) -> None:
    progress = Progress(str(path), clock)
    path.unlink()
    work(progress, clock, 100, 100, 10, chunk=10)
    assert not path.exists()


def test_what_goes_by_the_clock_brings_its_own_words(path: Path, clock: Clock) -> None:
    progress = Progress(str(path), clock)
    progress.begin("watch", "assets_1", 20)
    clock.now += 5
    progress.say("5 s of 20 s", 5)
    progress.say("5 s of 20 s, again", 5)  # how often is for the caller to know
    progress.end()
    lines = told(path)
    assert [line["state"] for line in lines] == ["started", "running", "running", "done"]
    assert [line.get("text") for line in lines] == [None, "5 s of 20 s", "5 s of 20 s, again", None]
    assert (lines[1]["done"], lines[1]["rows"], lines[1]["seconds_left"]) == (5, 20, 15.0)
