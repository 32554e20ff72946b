# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The operator's command, with a real process: what it is told, when it is stopped, what is kept of its words."""

from __future__ import annotations

import json
import os
import pathlib
import shutil
import subprocess
import time
import typing as t

import pytest
from ansible_collections.sxops.pg_cutover.plugins.module_utils._errors import BadInput
from ansible_collections.sxops.pg_cutover.plugins.module_utils._hook_run import (
    MOST_OUTPUT,
    Ran,
    failure,
    last_words,
    own_variables,
    run_hook,
    variables_of,
)

FACTS = {"hook": "before_load", "automatic": False, "facts": {"rows": 3, "token": "t0ken"}, "outcome": None}


def runner(argv: list[str], data: str, variables: t.Mapping[str, str]) -> tuple[int, str, str]:
    done = subprocess.run(
        argv, input=data, env={**os.environ, **variables}, capture_output=True, text=True, check=False, timeout=60
    )
    return done.returncode, done.stdout, done.stderr


def run(script: str, timeout: int = 30, **environment: str) -> Ran:
    program = shutil.which("timeout")
    assert program
    return run_hook(runner, program, ["sh", "-c", script], environment, FACTS, timeout)


def test_it_is_told_by_variables_and_by_json_on_its_input() -> None:
    ran = run('echo "$PG_CUTOVER_HOOK,$PG_CUTOVER_AUTOMATIC,[$PG_CUTOVER_OUTCOME],${PG_CUTOVER_FACTS-none}"; cat')
    first, second = ran.output.splitlines()
    assert first == "before_load,false,[],none"
    assert json.loads(second) == {**FACTS, "facts": {"rows": 3, "token": "********"}}
    assert (ran.status, ran.timed_out) == (0, False)


def test_its_own_variables_reach_it_and_are_masked_in_what_it_says() -> None:
    ran = run('echo "$PASS $SHORT"; echo postgresql://u:hunter2@db/x >&2', PASS="S3cret-word", SHORT="1")
    assert ran.output == "******** 1\npostgresql://u:********@db/x"


def test_what_takes_too_long_is_stopped_with_everything_it_started(tmp_path: pathlib.Path) -> None:
    before = time.monotonic()
    ran = run(f"sleep 300 & echo $! > {tmp_path}/pid; wait", timeout=1)
    assert ran.timed_out and ran.status == 124 and time.monotonic() - before < 60
    pid = int((tmp_path / "pid").read_text())
    state = pathlib.Path(f"/proc/{pid}/stat")
    assert not state.exists() or state.read_text().rpartition(")")[2].split()[0] in "ZX"
    assert "took longer than 1 s and was stopped" in failure("before_load", "sh", 1, ran).message()


def test_a_status_that_looks_like_a_timeout_is_none() -> None:
    ran = run("exit 124")
    assert not ran.timed_out and ran.status == 124
    assert failure("before_load", "sh", 30, ran).message() == (
        "Hook before_load (sh) failed: it ended with status 124, and said nothing."
    )


def test_the_end_of_the_words_is_kept_and_no_secret_is_cut_in_two() -> None:
    text = "x" * 5000 + "SECRETWORD" + "y" * (MOST_OUTPUT - 5)
    kept = last_words(text, "", ["SECRETWORD"])
    assert len(kept) == MOST_OUTPUT + len("[...] ") and "WORD" not in kept


@pytest.mark.parametrize("text", ["[1]", "{", '{"a": {"b": 1}}', '{"PG_CUTOVER_HOOK": "x"}'])
def test_an_environment_that_cannot_be_one_is_refused(text: str) -> None:
    with pytest.raises(BadInput, match="environment of a hook"):
        own_variables(text)


def test_an_environment_may_hold_numbers_and_be_left_out() -> None:
    assert own_variables('{"A": 1, "B": null}') == {"A": "1", "B": ""}
    assert own_variables(None) == {} == own_variables("")


def test_only_single_values_become_variables() -> None:
    assert variables_of({"a": 1, "b": True, "c": [1], "d": {}, "e": None}) == {
        "PG_CUTOVER_A": "1", "PG_CUTOVER_B": "true", "PG_CUTOVER_E": "",
    }  # fmt: skip
