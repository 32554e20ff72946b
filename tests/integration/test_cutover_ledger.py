# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""cutover_ledger through a real Ansible: one run, two runs at once, and runs that were killed."""

from __future__ import annotations

import json
import os
import pathlib
import signal
import subprocess
import textwrap
import typing as t

import pytest
from _ansible import Playbook, run_module, run_modules, run_playbook, start_playbook, wait_for

RUN = textwrap.dedent("""\
    - name: A run
      hosts: localhost
      gather_facts: false
      module_defaults:
        sxops.pg_cutover.cutover_ledger: {source_id: assets_1, state_dir: "{{ state }}"}
      tasks:
        - name: Begin
          sxops.pg_cutover.cutover_ledger:
            action: begin
            verb: "{{ verb | default('cutover') }}"
            take_over: "{{ take_over | default(omit) }}"
            facts: {dsn: "postgresql://sx:hunter2@db/sx"}
          register: run
        - name: Load
          sxops.pg_cutover.cutover_ledger:
            {action: record, run_id: "{{ run.run_id }}", phase: load, status: passed, facts: {rows: 20000}}
        - name: Work
          ansible.builtin.wait_for: {path: "{{ gate }}", timeout: 120}
          when: gate is defined
        - name: End
          sxops.pg_cutover.cutover_ledger:
            {action: end, run_id: "{{ run.run_id }}", outcome: completed, store: postgres}
    """)


@pytest.fixture
def state(tmp_path: pathlib.Path) -> str:
    return str(tmp_path / "state")


def ask(state: str, action: str = "read", check: bool = False, **more: t.Any) -> dict[str, t.Any]:
    return run_module(
        "cutover_ledger", {"source_id": "assets_1", "state_dir": state, "action": action, **more}, check=check
    )


def reads(state: str, *options: dict[str, t.Any]) -> list[dict[str, t.Any]]:
    base = {"source_id": "assets_1", "state_dir": state, "action": "read"}
    return run_modules([("cutover_ledger", {**base, **more}) for more in options])


def lock_of(state: str) -> dict[str, t.Any] | None:
    path = pathlib.Path(state) / "assets_1" / "lock.json"
    try:
        found: dict[str, t.Any] = json.loads(path.read_text())
    except FileNotFoundError:
        return None
    return found


def loaded(state: str) -> bool:
    path = pathlib.Path(state) / "assets_1" / "ledger.jsonl"
    return path.exists() and '"phase":"load"' in path.read_text()


def begin_of(done: Playbook) -> dict[str, t.Any]:
    return done.results("Begin")[0]


def test_a_whole_run_reports_nothing_changed_and_no_secret(state: str) -> None:
    done = run_playbook(RUN, {"state": state})
    assert done.process.returncode == 0, done.process.stdout
    assert done.stats["changed"] == 0 and lock_of(state) is None
    begun = begin_of(done)
    assert begun["resumes"] is False and begun["took_over"] is None and begun["written"] == 1
    ledger = pathlib.Path(state) / "assets_1" / "ledger.jsonl"
    before = ledger.read_bytes()
    found, last, every = reads(state, {}, {"tail": 1}, {"tail": 0})
    assert ledger.read_bytes() == before and found["ledger_file"] == str(ledger)
    assert [entry["kind"] for entry in found["entries"]] == ["run_started", "phase", "run_ended"]
    assert found["summary"]["live_store"] == "postgres" and found["lock"] is None
    assert found["summary"]["last_cutover"]["run_id"] == begun["run_id"]
    assert found["summary"]["last_cutover"]["phases"]["load"]["facts"] == {"rows": 20000}
    assert last["entries"] == found["entries"][-1:] and every["entries"] == found["entries"]
    assert b"hunter2" not in before and "hunter2" not in json.dumps(found)


def test_the_holder_is_the_ansible_playbook_process_itself(state: str, tmp_path: pathlib.Path) -> None:
    with start_playbook(RUN, {"state": state, "gate": str(tmp_path / "gate")}) as process:
        lock = wait_for(lambda: lock_of(state), "the lock")
        holder = lock["holder"]
        assert holder["pid"] == process.pid
        fields = pathlib.Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
        assert holder["started"] == int(fields[19])
        assert holder["boot_id"] == pathlib.Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        wait_for(lambda: loaded(state), "the load")
        # A second run names the first one, in check mode too, and asking is never refused.
        for check in (False, True):
            second = run_playbook(RUN, {"state": state, "verb": "rollback"}, check=check)
            failed = begin_of(second)
            assert second.process.returncode == 2 and failed["failed"] and failed["error"] == "lock_held"
            for part in (
                "assets_1",
                "cutover of",
                f"process {process.pid}",
                f"take_over={lock['run_id']}",
                "running on",
            ):
                assert part in failed["msg"]
        assert ask(state)["lock"] == lock
        # Nor may it be pushed aside while it is seen to live.
        refused = begin_of(run_playbook(RUN, {"state": state, "take_over": lock["run_id"]}))
        assert refused["error"] == "lock_held" and "end it before you take over" in refused["msg"]
        (tmp_path / "gate").touch()
        assert process.wait(60) == 0
    assert lock_of(state) is None


def test_a_killed_run_is_taken_over_and_resumed(state: str, tmp_path: pathlib.Path) -> None:
    with start_playbook(RUN, {"state": state, "gate": str(tmp_path / "gate")}) as process:
        wait_for(lambda: loaded(state), "the load")
        os.kill(process.pid, signal.SIGKILL)
        process.wait(30)
        dead = lock_of(state)
        assert dead
        planned = ask(state, "begin", check=True, verb="cutover")
        assert planned["took_over"] == dead["run_id"] and lock_of(state) == dead
        begun = begin_of(run_playbook(RUN, {"state": state}))
    assert begun["took_over"] == begun["run_id"] == dead["run_id"] and begun["resumes"] is True
    assert begun["summary"]["open_run"]["phases_passed"] == ["load"]
    found = ask(state)
    assert lock_of(state) is None and found["summary"]["last_cutover"]["run_id"] == dead["run_id"]
    assert [entry["kind"] for entry in found["entries"]] == ["run_started", "phase", "note", "run_ended"]


def test_a_zombie_is_dead(state: str, tmp_path: pathlib.Path) -> None:
    with start_playbook(RUN, {"state": state, "gate": str(tmp_path / "gate")}) as process:
        wait_for(lambda: loaded(state), "the load")
        os.kill(process.pid, signal.SIGKILL)  # and not waited for: its entry in the process table stays
        stat = pathlib.Path(f"/proc/{process.pid}/stat")
        wait_for(lambda: stat.read_text().rpartition(")")[2].split()[0] == "Z", "the zombie")
        assert begin_of(run_playbook(RUN, {"state": state, "verb": "rollback"}))["took_over"]


@pytest.mark.parametrize(
    ("holder", "taken"),
    [
        ({"boot_id": "another"}, True),  # the machine was started anew since
        ({"host": "elsewhere"}, False),
    ],
)
def test_only_what_is_known_to_be_dead_is_taken_over(state: str, holder: dict[str, t.Any], taken: bool) -> None:
    begun = ask(state, "begin", verb="cutover")
    path = pathlib.Path(state) / "assets_1" / "lock.json"
    lock = json.loads(path.read_text())
    lock["holder"].update({"pid": os.getpid(), "started": own_start()} | holder)
    path.write_text(json.dumps(lock))
    second = ask(state, "begin", verb="cutover")
    if taken:
        assert second["took_over"] == begun["run_id"]
        return
    assert second["error"] == "lock_held" and "running on this control node" not in second["msg"]
    wrong = ask(state, "begin", verb="cutover", take_over="other")
    assert wrong["error"] == "lock_held" and "take_over named other" in wrong["msg"]
    third = ask(state, "begin", verb="cutover", take_over=second["take_over"])
    assert third["took_over"] == begun["run_id"] and third["resumes"]


def own_start() -> int:
    return int(pathlib.Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])


def test_of_two_that_find_a_dead_run_one_resumes_it(state: str, tmp_path: pathlib.Path) -> None:
    ask(state, "begin", verb="cutover")  # that process is gone by now
    gate = {"state": state, "gate": str(tmp_path / "gate")}
    with start_playbook(RUN, gate) as one, start_playbook(RUN, gate) as other:
        wait_for(lambda: one.poll() is not None or other.poll() is not None, "the loser")
        loser, winner = (one, other) if one.poll() is not None else (other, one)
        output = loser.stdout.read() if loser.stdout else ""
        assert loser.poll() == 2 and "Another run works on profile assets_1" in output
        (tmp_path / "gate").touch()
        assert winner.wait(60) == 0
    assert lock_of(state) is None
    assert ask(state)["summary"]["last_cutover"]["outcome"] == "completed"


def test_check_mode_writes_nothing(state: str) -> None:
    done = run_playbook(RUN, {"state": state}, check=True)
    assert done.process.returncode == 0 and not pathlib.Path(state).exists()
    empty = ask(state)
    assert empty["entries"] == [] and empty["summary"]["entry_count"] == 0 and empty["lock"] is None
    assert not pathlib.Path(state).exists()


def test_hostile_ids_are_refused(state: str) -> None:
    base = {"state_dir": state, "action": "begin", "verb": "cutover"}
    hostile = ["", "..", "../../etc", "assets_1; DROP SCHEMA public", "a/b"]
    for failed in run_modules([("cutover_ledger", {**base, "source_id": source_id}) for source_id in hostile]):
        assert failed["failed"] and failed["error"] == "profile_refused"
    assert not pathlib.Path(state).exists()


def test_a_foreign_run_is_neither_recorded_nor_ended(state: str) -> None:
    ask(state, "begin", verb="cutover", run_id="mine")
    for action, more in (("record", {"text": "x"}), ("end", {"outcome": "completed"})):
        failed = ask(state, action, run_id="mine", **more)  # another ansible process by now
        assert failed["error"] == "ledger" and "does not hold profile assets_1 any more" in failed["msg"]
    assert lock_of(state)


def test_a_broken_chain_is_named_and_a_torn_line_is_warned_about(state: str) -> None:
    run_playbook(RUN, {"state": state})
    path = pathlib.Path(state) / "assets_1" / "ledger.jsonl"
    whole = path.read_text()
    path.write_text(whole + '{"seq":4')
    assert "is unfinished (8 bytes)" in str(ask(state)["warnings"])
    assert "was set aside in" in str(ask(state, "begin", verb="cutover")["warnings"])
    path.write_text(whole.replace("20000", "20001"))
    failed = ask(state)
    assert failed["error"] == "ledger" and failed["line"] == 2 and "broken at line 2" in failed["msg"]


def test_missing_options_are_named(state: str) -> None:
    base = {"source_id": "assets_1", "state_dir": state}
    calls = [{"action": "begin"}, {"action": "record", "text": "x"}, {"action": "end", "run_id": "x"}]
    failed = run_modules([("cutover_ledger", {**base, **call}) for call in calls])
    assert [name in one["msg"] for name, one in zip(("verb", "run_id", "outcome"), failed, strict=True)] == [True] * 3


def test_state_folder_that_cannot_be_written(tmp_path: pathlib.Path) -> None:
    folder = tmp_path / "state"
    folder.mkdir()
    if subprocess.run(["chattr", "+i", str(folder)], capture_output=True, check=False).returncode:
        pytest.skip("this file system has no immutable flag, or we are not root")
    try:
        failed = ask(str(folder), "begin", verb="cutover")
    finally:
        subprocess.run(["chattr", "-i", str(folder)], check=True)
    assert failed["error"] == "ledger" and "cannot be created" in failed["msg"] and "state_dir" in failed["msg"]
