# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Following a progress file that grows, and when to say nothing."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from ansible.plugins.loader import callback_loader
from ansible_collections.sxops.pg_cutover.plugins.module_utils._progress import Progress
from ansible_collections.sxops.pg_cutover.plugins.plugin_utils._live_progress import Follower, writes_for_people


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_a_file_is_followed_while_it_grows(tmp_path: Path) -> None:
    path = tmp_path / "progress.jsonl"
    shown: list[str] = []
    asked: list[tuple[int, bool]] = []

    def look(seen: int, last: bool) -> str:
        asked.append((seen, last))
        return "".join(path.read_text().splitlines(keepends=True)[seen:]) if path.exists() else ""

    now = [0.0]
    follower = Follower(look, shown.append, pause=0.01)
    follower.start()
    progress = Progress(str(path), lambda: now[0])
    progress.begin("load", "videos", 1000)
    wait_for(lambda: len(shown) == 1)
    now[0] = 4.0
    progress.advance(250)
    wait_for(lambda: len(shown) == 2)
    with path.open("a") as stream:
        stream.write('{"half": ')  # as a line looks that is being written
    looks = len(asked)
    wait_for(lambda: len(asked) > looks + 1)
    assert asked[-1] == (2, False)
    with path.open("a") as stream:
        stream.write("1}\n")
    wait_for(lambda: asked[-1] == (3, False))
    now[0] = 8.0
    assert follower.stop()
    progress.end()
    follower.tell(last=True)
    assert asked[-1] == (3, True)
    assert shown == [
        "load videos: 1,000 rows to go",
        "load videos: 250 of 1,000 rows (25 %), 62 rows/s, 12 s left",
        "load videos: 250 rows in 8 s, 31 rows/s",
    ]


def test_a_look_that_fails_is_the_last_one() -> None:
    asked: list[int] = []

    def look(seen: int, _last: bool) -> str:
        asked.append(seen)
        raise OSError("the host is gone")

    follower = Follower(look, asked.append, pause=0.01)
    follower.start()
    time.sleep(0.2)
    assert follower.stop()
    assert asked == [0]


def test_a_look_takes_a_tenth_of_the_time_at_most() -> None:
    asked: list[int] = []

    def look(seen: int, _last: bool) -> str:
        asked.append(seen)
        time.sleep(0.05)
        return ""

    follower = Follower(look, asked.append, pause=0.001)
    follower.start()
    time.sleep(0.4)
    assert follower.stop()
    assert len(asked) == 1


@pytest.mark.parametrize(
    ("callback", "expected"),
    [
        ("default", True),
        ("built_on_default", True),
        ("minimal", False),
        ("oneline", False),
        ("lines_of_json", False),
        ("as_jsonl_too", False),
        ("ansible.posix.no_such_callback", False),
    ],
)
def test_only_callbacks_for_people_are_written_between(tmp_path: Path, callback: str, expected: bool) -> None:
    default = "from ansible.plugins.callback.default import CallbackModule as Base"
    base = "from ansible.plugins.callback import CallbackBase as Base"
    for name, start in (("built_on_default", default), ("lines_of_json", base), ("as_jsonl_too", default)):
        (tmp_path / f"{name}.py").write_text(
            f"DOCUMENTATION = '''\nname: {name}\ntype: stdout\nshort_description: x\ndescription: x\n'''\n"
            f"{start}\n\nclass CallbackModule(Base):\n    CALLBACK_TYPE = 'stdout'\n    CALLBACK_NAME = '{name}'\n"
        )
    callback_loader.add_directory(str(tmp_path))
    assert writes_for_people(callback) is expected
