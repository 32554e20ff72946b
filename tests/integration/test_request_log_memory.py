# SPDX-License-Identifier: GPL-3.0-or-later
"""A large request log takes no more memory than a small one; the benchmark that says how long it takes works."""

from __future__ import annotations

from pathlib import Path

import pytest
from benchmark.request_log import MEGABYTE, read_log, write_log


@pytest.mark.slow
def test_six_times_the_log_takes_no_more_memory(tmp_path: Path) -> None:
    peaks = {}
    for size in (5, 30):
        path = tmp_path / f"{size}.jsonl"
        expected = write_log(path, size * MEGABYTE)
        result, done = read_log(path)
        assert {name: result[name] for name in expected} == expected
        assert result["verdict"] == "passed"
        peaks[size] = done.peak_mb
    # Read whole, 25 MB more of the log would be at least 25 MB more.
    assert peaks[30] - peaks[5] < 12, peaks
    assert peaks[30] < 1.25 * peaks[5], peaks
