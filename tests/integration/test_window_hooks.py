# SPDX-License-Identifier: GPL-3.0-or-later
"""Hooks of the window, which is watched before it has a run: what stands before it is recorded with that run."""

from __future__ import annotations

import json
import sys
import textwrap
from pathlib import Path
from typing import Any

from _ansible import Playbook, run_playbook

PROGRAM = str(Path(__file__).with_name("_hook_program.py"))
PLAY = textwrap.dedent("""\
    - name: What role window does around the watch
      hosts: localhost
      gather_facts: false
      vars:
        profile_source_id: a
        profile_state_dir: "{{ state }}"
        profile_entry: {app: generic}
        profile_schema: app_a
        profile_current: {sqlite_path: /a.db}
        profile_online: true
        profile_live_store: postgres
        profile_failure: "{{ ansible_failed_result.msg }}"
        profile_hook_files: {}
        profile_notice_events: []
        profile_metrics_dir: ""
      tasks:
        - name: Run the hook before the window
          ansible.builtin.include_role:
            name: sxops.pg_cutover.hook
          vars: {hook_name: before_window}
        - name: Begin the run of the watch
          ansible.builtin.include_role:
            name: sxops.pg_cutover.ledger
            tasks_from: begin
          vars: {ledger_verb: watch, ledger_facts: {}}
        - name: End it, as a trigger has fired
          ansible.builtin.include_role:
            name: sxops.pg_cutover.ledger
            tasks_from: end
          vars: {ledger_outcome: failed, ledger_message: a trigger has fired, ledger_hurry: true}
        - name: Go back by itself
          ansible.builtin.include_role:
            name: sxops.pg_cutover.ledger
            tasks_from: begin
          vars: {ledger_verb: rollback, ledger_facts: {automatic: true, trigger: data_mismatch}}
        - name: End the way back
          ansible.builtin.include_role:
            name: sxops.pg_cutover.ledger
            tasks_from: end
          vars:
            ledger_outcome: completed
            ledger_store: sqlite
            rollback_automatic: {automatic: true, trigger: data_mismatch}
    """)


def run(folder: Path, hooks: dict[str, int]) -> tuple[Playbook, list[dict[str, Any]], list[dict[str, Any]]]:
    """Run the play with hooks that end with these statuses; what they were told, and the ledger."""
    journal = folder / "hooks.jsonl"
    given = {
        name: {"command": [sys.executable, PROGRAM, str(journal), str(status), "0"]} for name, status in hooks.items()
    }
    ledger = folder / "state" / "a" / "ledger.jsonl"
    ledger.parent.mkdir(parents=True, mode=0o700)
    ledger.touch(0o600)
    done = run_playbook(PLAY, {"state": str(folder / "state"), "profile_hooks": given})
    found = [[json.loads(line) for line in path.read_text().splitlines()] for path in (journal, ledger)]
    return done, found[0], found[1]


def test_hooks_of_the_window_and_of_the_way_back_that_follows_by_itself(tmp_path: Path) -> None:
    hooks = {"before_window": 0, "before_rollback": 5, "after_window": 0, "after_rollback": 0}
    done, told, entries = run(tmp_path, hooks)
    assert done.process.returncode == 0, done.process.stdout
    assert [found["told"]["hook"] for found in told] == list(hooks)
    before, back, after, returned = (found["told"] for found in told)
    assert (before["verb"], before["run_id"], before["live_store"]) == ("watch", "", "postgres")
    # It belongs to the window, but nobody waits for it on the way back.
    assert (after["verb"], after["outcome"]) == ("rollback", "failed") and after["run_id"]
    assert (back["automatic"], back["trigger"]) == (True, "data_mismatch")
    assert (returned["live_store"], returned["outcome"]) == ("sqlite", "completed")
    # A hook that fails does not stop a way back that nobody stands by.
    kinds = [entry.get("facts", {}).get("hook") or entry["kind"] for entry in entries]
    assert kinds == [
        "run_started", "before_window", "run_ended",
        "run_started", "before_rollback", "after_window", "after_rollback", "run_ended",
    ]  # fmt: skip
    watch, rollback = {entry["run_id"] for entry in entries[:3]}, {entry["run_id"] for entry in entries[3:]}
    assert len(watch) == len(rollback) == 1 and watch != rollback
    assert entries[4]["facts"]["outcome"] == "failed" and entries[-1]["outcome"] == "completed"
    assert "status 5" in entries[4]["message"]
