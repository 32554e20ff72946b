# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whole logs, in parts and by several processes: nothing is missed, nothing twice, and whatever is wrong is named."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import os
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.sxops.pg_cutover.plugins.module_utils._errors import BadInput
from ansible_collections.sxops.pg_cutover.plugins.module_utils._log_lines import Window
from ansible_collections.sxops.pg_cutover.plugins.module_utils._log_spans import LogFigures, read_logs
from ansible_collections.sxops.pg_cutover.plugins.module_utils._open_log import RequestLogError
from ansible_collections.sxops.pg_cutover.plugins.module_utils._request_figures import figures
from ansible_collections.sxops.pg_cutover.plugins.module_utils._request_line import parser_for
from hypothesis import given, settings
from hypothesis import strategies as st

START = 1795791600  # 2026-11-27T15:00:00Z


def line(second: int, status: int = 200, latency: float = 5.0) -> str:
    moment = datetime.fromtimestamp(START + second, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return json.dumps({"timestamp": moment, "route": "/a", "status": status, "latency": latency}) + "\n"


def read(*paths: Path, window: Window = Window(), form: str = "json", **options: Any) -> LogFigures:  # noqa: B008
    return read_logs([str(path) for path in paths], parser_for(form), window, **options)


def asked(*paths: Path, **options: Any) -> dict[str, Any]:
    """What the module returns."""
    defaults: dict[str, Any] = dict.fromkeys(
        ["pattern", "exclude_request_ids", "since", "until", "last_seconds", "position"]
    )
    given_ = {**defaults, "paths": [str(path) for path in paths], "format": "json", "rotated": True, "top": 20}
    return figures({**given_, **options}, now=START + 1000.0)


@settings(max_examples=60)
@given(
    lengths=st.lists(st.integers(0, 400), min_size=1, max_size=30),
    part=st.integers(1, 700),
    last=st.sampled_from(["\n", ""]),
    packed=st.booleans(),
)
def test_parts_of_any_size_come_to_the_whole(
    tmp_path_factory: pytest.TempPathFactory, lengths: list[int], part: int, last: str, packed: bool
) -> None:
    path = tmp_path_factory.mktemp("parts") / ("log.1.gz" if packed else "log")
    text = ""
    for number, length in enumerate(lengths):
        text += json.dumps({"status": 200, "latency": number, "x": "ä" * length}, ensure_ascii=False) + "\n"
        text += "broken\n" * (length % 3 == 0)
    text = text[:-1] + last
    data = text.encode()
    path.write_bytes(gzip.compress(data) if packed else data)
    found = read(path, part=part, workers=1)
    whole = text.split("\n")[:-1]
    assert found.tally.requests == sum(line.startswith("{") for line in whole)
    assert found.tally.malformed == whole.count("broken")
    assert [entry["line"] for entry in found.malformed_lines] == [
        number for number, line in enumerate(whole, 1) if line == "broken"
    ][:5]
    assert found.files == [{"path": str(path), "lines": len(whole)}]
    assert found.position[str(path)]["line"] == len(whole)
    assert found.position[str(path)]["offset"] == data.rfind(b"\n") + 1


def test_several_processes_come_to_the_same(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text("".join(line(n, 500 if n % 10 == 0 else 200, n) for n in range(20_000)) + "broken\n" + line(1))
    several, one = read(path, workers=3, part=100_000), read(path, workers=1, part=10**9)
    assert several == LogFigures(several.tally, one.malformed_lines, one.files, one.position)
    assert several.tally.as_dict() == one.tally.as_dict()
    assert one.malformed_lines == [{"file": str(path), "line": 20_001, "reason": "it is not JSON"}]
    assert (one.tally.requests, one.tally.errors_5xx) == (20_001, 2000)


@pytest.mark.parametrize("suffix, pack", [(".gz", gzip.compress), (".bz2", bz2.compress), (".xz", lzma.compress)])
def test_packed_logs_read_by_several_processes(tmp_path: Path, suffix: str, pack: Callable[[bytes], bytes]) -> None:
    paths = [tmp_path / f"log{number}{suffix}" for number in range(3)]
    for path in paths:
        path.write_bytes(pack("".join(line(n) for n in range(3000)).encode()))
    found = read(*paths, workers=3)
    assert found.tally.requests == 9000
    assert read(*paths, workers=3, position=found.position).tally.requests == 0
    assert read(*paths, workers=3, position=found.position).gaps == []


def test_an_expression_given_up_in_another_process_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from ansible_collections.sxops.pg_cutover.plugins.module_utils import _pattern_line

    monkeypatch.setattr(_pattern_line, "SECONDS_FOR_A_MEGABYTE", 0.3)
    path = tmp_path / "log"
    path.write_text(("a" * 200 + "!\n") * 2)
    with pytest.raises(BadInput, match="takes too long"):
        read_logs([str(path)], parser_for("regex", r"^(\w+\s?)+(?P<status>\d{3})$"), Window(), workers=2, part=201)


class TestRotated:
    """What rotation made of a log belongs to it as far as the span reaches back."""

    @pytest.fixture
    def path(self, tmp_path: Path) -> Path:
        """A log with three older files of a hundred seconds each, written to until their last second."""
        path = tmp_path / "log"
        contents = ["".join(line(100 * k + n) for n in range(100)).encode() for k in range(4)]
        path.write_bytes(contents[3])
        (tmp_path / "log.1").write_bytes(contents[2])
        (tmp_path / "log.2.gz").write_bytes(gzip.compress(contents[1]))
        (tmp_path / "log-20261127.xz").write_bytes(lzma.compress(contents[0]))
        (tmp_path / "log.bak").write_bytes(contents[0])
        (tmp_path / "log2").write_bytes(contents[0])
        (tmp_path / "log.3").mkdir()
        for k, name in enumerate(("log-20261127.xz", "log.2.gz", "log.1", "log")):
            os.utime(tmp_path / name, (START + 100 * k + 99,) * 2)
        return path

    def test_in_a_span_as_far_as_it_reaches(self, path: Path) -> None:
        found = read(path, window=Window(since=START + 150))
        assert (found.tally.requests, found.tally.first, found.tally.last) == (250, START + 150, START + 399)
        # The first one was last written 51 s before, which is less than times may differ.
        assert [Path(entry["path"]).name for entry in found.files] == ["log-20261127.xz", "log.2.gz", "log.1", "log"]
        found = read(path, window=Window(since=START + 300))
        assert found.tally.requests == 100
        assert [Path(entry["path"]).name for entry in found.files] == ["log.1", "log"]

    def test_a_span_has_a_begin_and_no_end_of_its_own(self, path: Path) -> None:
        one, other = Window(START + 50, START + 250), Window(START + 250, START + 350)
        assert [read(path, window=window).tally.requests for window in (one, other)] == [200, 100]
        assert read(path, window=Window(until=START + 10)).tally.requests == 10

    def test_not_without_a_span_and_not_when_unwanted(self, path: Path) -> None:
        assert read(path).tally.requests == 100
        assert read(path, window=Window(since=START), with_rotated=False).tally.requests == 100

    def test_one_that_is_being_packed_is_read_once(self, path: Path) -> None:
        path.with_name("log.1.gz").write_bytes(b"\x1f\x8b half of it")
        assert read(path, window=Window(since=START + 200)).tally.requests == 200

    def test_a_damaged_one_is_named(self, path: Path) -> None:
        packed = path.with_name("log.2.gz")
        packed.write_bytes(packed.read_bytes()[:200])
        with pytest.raises(RequestLogError, match=r"log\.2\.gz"):
            read(path, window=Window(since=START))


@pytest.mark.parametrize("rotation", ["none", "rename", "gzip", "copy"])
def test_goes_on_from_a_position(tmp_path: Path, rotation: str) -> None:
    path = tmp_path / "log"
    path.write_text(line(1) + line(2))
    position = json.loads(json.dumps(asked(path)["position"]))
    with path.open("a") as log:
        log.write("broken\n" + line(3))
    if rotation == "gzip":
        path.with_name("log.1.gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
    elif rotation == "rename":
        path.rename(path.with_name("log.1"))
    elif rotation == "copy":
        shutil.copy(path, path.with_name("log.1"))
        os.truncate(path, 0)
    with path.open("a") as log:
        log.write(line(4))
    found = asked(path, position=position)
    assert (found["requests"], found["first"], found["verdict"]) == (2, "2026-11-27T15:00:03.000Z", "not_verified")
    assert found["malformed_lines"][0]["line"] == 3
    again = asked(path, position=found["position"])
    assert (again["requests"], again["malformed"]) == (0, 0)


class TestVerdict:
    """Figures that are not those of the requests asked for are not verified."""

    def test_passed(self, tmp_path: Path) -> None:
        path = tmp_path / "log"
        path.write_text("".join(line(n, 500 if n == 5 else 404 if n < 3 else 200) for n in range(10)))
        found = asked(path, last_seconds=1000)
        assert found["verdict"] == "passed"
        assert found["message"] == (
            "10 requests from 2026-11-27T15:00:00.000Z to 2026-11-27T15:00:09.000Z, 3 of them answered 4xx and 1 5xx"
            " (10 %), 95 % of them within 5 ms."
        )
        assert found["since"] == "2026-11-27T15:00:00.000Z"
        assert found["until"] is None

    @pytest.mark.parametrize("text", ["", "not JSON at all\n", "\n\n", line(1)[:-1]])
    def test_zero_requests(self, tmp_path: Path, text: str) -> None:
        path = tmp_path / "log"
        path.write_text(text)
        found = asked(path)
        assert (found["requests"], found["verdict"]) == (0, "not_verified")
        assert "zero requests compared" in found["message"]

    def test_lines_without_a_time_where_one_is_asked_for(self, tmp_path: Path) -> None:
        path = tmp_path / "log"
        path.write_text(line(1) + '{"status": 500}\n')
        found = asked(path, since="2026-11-27T15:00:00Z")
        assert (found["requests"], found["errors_5xx"], found["without_time"]) == (1, 0, 1)
        assert found["verdict"] == "not_verified"
        whole = asked(path)
        assert (whole["requests"], whole["without_time"], whole["verdict"]) == (2, 0, "passed")

    @pytest.mark.parametrize("broken, verdict", [(10, "passed"), (11, "not_verified")])
    def test_too_many_malformed_lines(self, tmp_path: Path, broken: int, verdict: str) -> None:
        path = tmp_path / "log"
        path.write_text(line(1) * (100 - broken) + "password=hunter2\n" * broken)
        found = asked(path)
        assert (found["malformed"], found["verdict"]) == (broken, verdict)
        assert [entry["line"] for entry in found["malformed_lines"]] == list(range(101 - broken, 106 - broken))
        assert "hunter2" not in json.dumps(found)

    def test_a_position_that_is_gone(self, tmp_path: Path) -> None:
        path = tmp_path / "log"
        path.write_text(line(1))
        position = asked(path)["position"]
        path.unlink()
        path.write_text(line(2))
        found = asked(path, position=position)
        assert (found["requests"], found["verdict"]) == (1, "not_verified")
        assert "may be missing" in found["message"]


def test_two_names_of_one_log_are_one(tmp_path: Path) -> None:
    path, link = tmp_path / "log", tmp_path / "link"
    path.write_text(line(1))
    link.symlink_to(path)
    assert asked(path, link)["requests"] == 1


def test_several_logs_are_added_up(tmp_path: Path) -> None:
    for number in range(3):
        (tmp_path / f"log{number}").write_text(line(number) * (number + 1))
    found = asked(*(tmp_path / f"log{number}" for number in range(3)))
    assert found["requests"] == 6
    assert len(found["position"]) == len(found["files"]) == 3


@pytest.mark.parametrize(
    "options, message",
    [
        ({"since": "2026-11-27T15:00:00"}, "since is '2026-11-27T15:00:00', which is no time"),
        ({"until": "noon"}, "until is 'noon'"),
        ({"since": "2026-11-27T15:00:00Z", "until": "2026-11-27T16:00:00+01:00"}, "No time lies between"),
        ({"last_seconds": 0}, "last_seconds is 0"),
        ({"paths": []}, "names no request log"),
        ({"top": -1}, "top is -1"),
    ],
)
def test_options_that_cannot_be_used(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    (tmp_path / "log").touch()
    with pytest.raises(BadInput, match=message):
        asked(tmp_path / "log", **options)


def test_what_is_missing_or_no_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(RequestLogError, match="missing: No such file"):
        asked(tmp_path / "missing")
    with pytest.raises(RequestLogError, match="is not a file"):
        asked(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(RequestLogError, match="is not a file"):
        asked(tmp_path / "pipe")
