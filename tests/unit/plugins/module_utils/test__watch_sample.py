# SPDX-License-Identifier: GPL-3.0-or-later
"""The samples file of the watch: what is written is read again, also after a crash, and a chart loses no peak."""

from __future__ import annotations

import json
import stat
import typing as t
from pathlib import Path

import pytest
from _looks import look, looks
from ansible_collections.sxops.pg_cutover.plugins.module_utils._watch_sample import (
    SamplesError,
    append_sample,
    read_samples,
    sample_of,
    series,
)
from hypothesis import given
from hypothesis import strategies as st


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "watch.jsonl"
    samples = [*looks(3), look(15, postgres_ok=False, postgres_message="über", probe_ms={"api-1": None})]
    for sample in samples:
        append_sample(str(path), sample)
    assert read_samples(str(path)) == samples
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert len(path.read_bytes().splitlines()) == len(samples)


def test_a_file_that_is_not_there_holds_no_samples(tmp_path: Path) -> None:
    assert read_samples(str(tmp_path / "none.jsonl")) == []


def test_a_line_cut_by_a_crash_costs_no_other_one(tmp_path: Path) -> None:
    path = tmp_path / "watch.jsonl"
    append_sample(str(path), look(0))
    whole = path.read_bytes()
    path.write_bytes(whole + whole[: len(whole) // 2])
    assert read_samples(str(path)) == [look(0)]
    append_sample(str(path), look(5))
    assert read_samples(str(path)) == [look(0), look(5)]


@pytest.mark.parametrize("line", [b"[]\n", b"{}\n", b"null\n", b"\xff\n", b"\n", b'{"time": "now"}\n'])
def test_a_line_that_is_no_sample_is_passed_over(tmp_path: Path, line: bytes) -> None:
    path = tmp_path / "watch.jsonl"
    path.write_bytes(line)
    append_sample(str(path), look(0))
    assert read_samples(str(path)) == [look(0)]


def test_a_field_of_a_later_version_is_passed_over() -> None:
    assert sample_of({**look(0).as_dict(), "added_later": 1}) == look(0)


def test_a_file_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    for use in (lambda: append_sample(str(tmp_path), look(0)), lambda: read_samples(str(tmp_path))):
        with pytest.raises(SamplesError, match=str(tmp_path)):
            use()


def test_a_chart_has_the_numbers_of_a_sample() -> None:
    (point,) = series(
        [look(0, requests=200, errors_5xx=1, ready={"a": True, "b": False}, probe_ms={"a": 7.0, "b": None})]
    )
    assert point == {
        "time": look(0).time,
        "elapsed_s": 0.0,
        "requests": 200,
        "error_percent": 0.5,
        "latency_p95_ms": 80.0,
        "probe_ms": 7.0,
        "ready": 0.5,
        "connections_percent": 10.0,
        "pending": 0,
        "lag_s": 0.0,
        "postgres_ok": True,
    }


def test_what_was_not_measured_is_not_made_up() -> None:
    bare = sample_of({"time": look(0).time, "elapsed_s": 0.0, "run_started": look(0).time})
    (point,) = series([bare])
    assert {name: value for name, value in point.items() if value is not None} == {
        "time": look(0).time,
        "elapsed_s": 0.0,
    }


def test_a_chart_of_nothing_is_empty() -> None:
    assert series([]) == []


@given(number=st.integers(1, 400), most=st.integers(1, 240), runs=st.integers(1, 5))
def test_a_chart_is_short_and_keeps_sums_and_peaks(number: int, most: int, runs: int) -> None:
    samples = [
        look(5 * place, run=100 * (place * runs // number), requests=place % 7, latency_p95_ms=float(place * 37 % 1000))
        for place in range(number)
    ]
    points = series(samples, most)
    assert len(points) <= most
    assert sum(point["requests"] for point in points) == sum(sample.requests or 0 for sample in samples)
    assert max(point["latency_p95_ms"] for point in points) == max(sample.latency_p95_ms or 0 for sample in samples)
    assert points[-1]["time"] == samples[-1].time


def test_a_chart_is_json() -> None:
    charted: t.Any = json.loads(json.dumps(series(looks(500))))
    assert len(charted) == 167
