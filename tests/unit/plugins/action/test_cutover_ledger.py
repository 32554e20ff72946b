# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether the holder of a lock lives, told from a process table of our making and from the real one."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys
import typing as t

import pytest
from ansible_collections.sxops.pg_cutover.plugins.action import cutover_ledger as action

HERE = {"host": "control-1", "boot_id": "b1", "pid_namespace": "pid:[1]"}


@pytest.fixture
def proc(tmp_path: pathlib.Path) -> pathlib.Path:
    """A process table: 7 runs, 8 is a zombie; both have brackets and spaces in their names, as they may."""
    for pid, state in ((7, "S"), (8, "Z")):
        (tmp_path / str(pid)).mkdir()
        rest = " ".join([state, *(str(number) for number in range(4, 22)), "815000", *["0"] * 30])
        (tmp_path / str(pid) / "stat").write_text(f"{pid} (odd) name (x) {rest}\n")
    return tmp_path


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        ({}, action.ALIVE),
        ({"pid": 8}, action.DEAD),  # a zombie: killed, and its parent has not asked yet
        ({"pid": 9}, action.DEAD),
        ({"started": 1}, action.DEAD),  # the number was given to another process since
        ({"boot_id": "b0"}, action.DEAD),  # the machine was started anew since
        ({"boot_id": "b0", "pid_namespace": "pid:[2]"}, action.DEAD),
        ({"host": "control-2"}, action.UNKNOWN),
        ({"host": None}, action.UNKNOWN),
        ({"boot_id": None}, action.UNKNOWN),
        ({"pid": None}, action.UNKNOWN),
        ({"pid_namespace": "pid:[2]"}, action.UNKNOWN),  # another container of this machine: not seen from here
        ({"pid_namespace": None}, action.UNKNOWN),
    ],
)
def test_liveness(proc: pathlib.Path, other: dict[str, t.Any], expected: str) -> None:
    assert action.liveness({**HERE, "pid": 7, "started": 815000, **other}, HERE, proc) == expected


def test_nothing_is_known_where_there_is_no_process_table(tmp_path: pathlib.Path) -> None:
    here = action.this_holder(tmp_path / "absent")
    assert here["boot_id"] is None and here["started"] is None and here["pid_namespace"] is None
    assert here["pid"] == os.getppid() and here["user"]
    assert action.liveness(here, here, tmp_path) == action.UNKNOWN


@pytest.mark.skipif(sys.platform != "linux", reason="the process table is Linux's")
def test_real_processes() -> None:
    here = action.this_holder()
    assert action.liveness(here, here) == action.ALIVE
    child = subprocess.Popen(["sleep", "60"])
    state = action.process_state(child.pid)
    assert state
    holder = {**here, "pid": child.pid, "started": state[1]}
    assert action.liveness(holder, here) == action.ALIVE
    child.kill()
    child.wait()
    assert action.liveness(holder, here) == action.DEAD
