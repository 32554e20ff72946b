# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading a log again and again while it is written, rotated, cut, removed and linked elsewhere."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from ansible_collections.sxops.pg_cutover.plugins.module_utils._open_log import RequestLogError
from ansible_collections.sxops.pg_cutover.plugins.module_utils._request_fields import Request
from ansible_collections.sxops.pg_cutover.plugins.module_utils._request_line import parser_for
from ansible_collections.sxops.pg_cutover.plugins.module_utils._request_log import LogFile
from ansible_collections.sxops.pg_cutover.plugins.module_utils._request_tally import RequestTally

PARSER = parser_for("json")


def line(number: int, status: int = 200) -> str:
    """A line that no other one equals."""
    return json.dumps({"request_id": f"r-{number}", "route": f"/{number}", "status": status, "latency": 1.5}) + "\n"


def write(path: Path, *numbers: int, mode: str = "a") -> None:
    with path.open(mode, encoding="utf-8") as log:
        log.write("".join(line(number) for number in numbers))


class Recorder(RequestTally):
    """A tally that keeps every route: an ordinary one puts the rare ones together."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[int] = []

    def add(self, request: Request) -> None:
        self.seen.append(int(request[2][1:]))
        super().add(request)


def routes(log: LogFile) -> list[int]:
    """The numbers of the lines that are new; none of them is malformed."""
    tally = Recorder()
    log.read_new(tally)
    assert tally.malformed == 0
    return sorted(tally.seen)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A log with three lines."""
    path = tmp_path / "requests.log"
    write(path, 1, 2, 3)
    return path


def test_begins_at_the_end_or_at_the_start(path: Path) -> None:
    with LogFile(str(path), PARSER) as tail, LogFile(str(path), PARSER, start=True) as whole:
        assert routes(tail) == []
        assert routes(whole) == [1, 2, 3]
        write(path, 4)
        assert routes(tail) == routes(whole) == [4]
        assert routes(tail) == routes(whole) == []


def test_the_end_is_behind_the_last_complete_line(path: Path) -> None:
    half = line(4)
    with path.open("a") as log:
        log.write(half[:30])
    with LogFile(str(path), PARSER) as tail:
        assert routes(tail) == []
        with path.open("a") as log:
            log.write(half[30:])
        assert routes(tail) == [4]


def test_a_half_line_waits_for_its_other_half(path: Path) -> None:
    with LogFile(str(path), PARSER, start=True) as log:
        for character in line(4):
            with path.open("a") as written:
                written.write(character)
            assert routes(log) == ([1, 2, 3] if character == "{" else [4] if character == "\n" else [])


def test_renamed_and_made_anew(path: Path) -> None:
    with LogFile(str(path), PARSER) as log:
        write(path, 4)
        old = path.open("a", encoding="utf-8")
        path.rename(path.with_name("requests.log.1"))
        old.write(line(5))
        old.flush()
        assert routes(log) == [4, 5]
        write(path, 6)
        assert routes(log) == [6]
        with old:  # a server that was not told yet goes on in the file that it has open
            old.write(line(7))
        write(path, 8)
        assert routes(log) == [7, 8]
        assert log.gaps == 0


def test_renamed_several_times_between_two_readings(path: Path) -> None:
    first, second = path.with_name("requests.log.1"), path.with_name("requests.log.2")
    with LogFile(str(path), PARSER) as log:
        write(path, 4)
        path.rename(first)
        write(path, 5, 6)
        first.rename(second)
        path.rename(first)
        with second.open("rb") as plain, gzip.open(f"{second}.gz", "wb") as packed:
            shutil.copyfileobj(plain, packed)
        shutil.copystat(second, f"{second}.gz")
        second.unlink()
        write(path, 7)
        assert routes(log) == [4, 5, 6, 7]
        assert routes(log) == []
        assert log.gaps == 0


def test_copied_and_cut(path: Path) -> None:
    with LogFile(str(path), PARSER) as log:
        write(path, 4)
        assert routes(log) == [4]
        write(path, 5)
        shutil.copy(path, f"{path}.1")
        os.truncate(path, 0)
        write(path, 6)
        assert routes(log) == [5, 6]
        assert log.gaps == 0


def test_cut_and_grown_longer_than_before(path: Path) -> None:
    with LogFile(str(path), PARSER) as log:
        shutil.copy(path, f"{path}.1")
        os.truncate(path, 0)
        write(path, *range(100, 150))
        assert routes(log) == list(range(100, 150))
        assert log.gaps == 0


def test_cut_without_a_copy_is_told(path: Path) -> None:
    with LogFile(str(path), PARSER) as log:
        os.truncate(path, 0)
        write(path, 9)
        assert routes(log) == [9]
        assert log.gaps == 1


def test_removed_and_made_again(path: Path) -> None:
    with LogFile(str(path), PARSER) as log:
        write(path, 4)
        path.unlink()
        assert not log.exists
        assert routes(log) == [4]
        assert routes(log) == []
        write(path, 5)
        assert log.exists
        assert routes(log) == [5]


def test_need_not_exist_yet(tmp_path: Path) -> None:
    path = tmp_path / "later.log"
    with LogFile(str(path), PARSER) as log:
        assert routes(log) == []
        assert log.position is None
        write(path, 1)
        assert routes(log) == [1]


def test_a_link_that_leads_elsewhere(path: Path, tmp_path: Path) -> None:
    link, other = tmp_path / "current", tmp_path / "2026-11-28.log"
    link.symlink_to(path)
    with LogFile(str(link), PARSER) as log:
        write(path, 4)
        write(other, 5)
        link.unlink()
        link.symlink_to(other)
        assert routes(log) == [4, 5]


@pytest.mark.parametrize("rotation", ["none", "rename", "gzip", "copy"])
def test_goes_on_from_a_position(path: Path, rotation: str) -> None:
    with LogFile(str(path), PARSER, start=True) as log:
        assert routes(log) == [1, 2, 3]
        position = json.loads(json.dumps(log.position))
    assert position["line"] == 3
    write(path, 4)
    old = path.with_name("requests.log.1")
    if rotation == "rename":
        path.rename(old)
    elif rotation == "gzip":
        Path(f"{old}.gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
    elif rotation == "copy":
        shutil.copy(path, old)
        os.truncate(path, 0)
    write(path, 5)
    with LogFile(str(path), PARSER, position) as log:
        assert routes(log) == [4, 5]
        assert log.gaps == 0


def test_a_position_that_is_gone_is_a_gap(path: Path) -> None:
    with LogFile(str(path), PARSER, start=True) as log:
        routes(log)
        position = log.position
    path.unlink()
    write(path, 8)
    with LogFile(str(path), PARSER, position) as log:
        assert routes(log) == [8]
        assert log.gaps == 1


@pytest.mark.parametrize("position", [{"offset": 1}, {"device": 1, "inode": 1, "offset": -1, "before": ""}])
def test_what_is_no_position_is_refused(path: Path, position: dict[str, object]) -> None:
    with pytest.raises(RequestLogError, match="not a position"):
        LogFile(str(path), PARSER, position)


def test_a_line_without_an_end_takes_no_memory_and_the_next_one_counts(path: Path) -> None:
    with path.open("a") as log:
        log.write("x" * 5_000_000 + "\n" + line(4))
    with LogFile(str(path), PARSER, start=True) as log:
        tally = RequestTally()
        log.read_new(tally)
        assert (tally.requests, tally.malformed) == (4, 1)


WRITER = """
import json, os, sys
path, count = sys.argv[1], int(sys.argv[2])
log = open(path, "a")
for number in range(1, count + 1):
    text = json.dumps({"route": f"/{number}", "status": 200, "latency": 1.5}) + "\\n"
    half = number % len(text)
    log.write(text[:half])
    log.flush()  # so that the reader meets half lines
    log.write(text[half:])
    log.flush()
    if number % 500 == 0:  # as logrotate does it, and a server that reopens its log
        log.close()
        for old in range(8, 0, -1):
            if os.path.exists(f"{path}.{old}"):
                os.rename(f"{path}.{old}", f"{path}.{old + 1}")
        os.rename(path, f"{path}.1")
        log = open(path, "a")
"""


def test_beside_a_process_that_writes_and_rotates(tmp_path: Path) -> None:
    path, count = tmp_path / "busy.log", 4000
    path.touch()
    seen: list[int] = []
    with LogFile(str(path), PARSER) as log:
        writer = subprocess.Popen([sys.executable, "-c", WRITER, str(path), str(count)])
        readings = 0
        while writer.poll() is None:
            seen += routes(log)
            readings += 1
        seen += routes(log)
    assert writer.returncode == 0
    assert readings > 1
    assert sorted(seen) == list(range(1, count + 1))
    assert log.gaps == 0
