#!/usr/bin/python
# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: cutover_ledger
short_description: Keep the journal and the lock of a profile's runs
version_added: 1.0.0
description:
  - Writes C(<state_dir>/<source_id>/ledger.jsonl) on the managed host, append-only, one JSON object in a line, each
    with the digest of the line before it and its own. Reports, resuming and the status are made from it.
  - Holds the profile's lock from O(action=begin) to O(action=end), so that one run at a time works on a profile.
  - A run that died leaves its lock and stays open. When that run was started on the same control node and its process
    is gone, the next O(action=begin) takes its place by itself; otherwise it fails, names the holder, and asks for
    O(take_over).
  - A line that a crash left unfinished is set aside in a file of its own, with a warning and a note in the ledger. A
    changed or missing line makes every action fail, naming it.
extends_documentation_fragment:
  - sxops.pg_cutover.attributes
attributes:
  action:
    description: Runs an action plugin on the control node, which knows whether the holder of a lock still lives.
    support: full
  check_mode:
    details: O(action=read) always reads. The other actions write nothing, and O(action=begin) still fails on a lock.
  diff_mode:
    support: N/A
    details: The journal is not a state to compare.
  idempotent:
    support: partial
    details:
      - Every action reports RV(ignore:changed=false). The journal tells of the profile, it is not its state, so writing
        it must not make a run that found nothing to do look like one that did something. RV(written) tells what was
        written.
      - O(action=begin) by the process that holds the lock, O(action=record) of what was recorded last for that phase,
        and O(action=end) of a run that has ended, write nothing.
options:
  source_id:
    description:
      - The profile. Must match C([A-Za-z0-9._-]+); anything else is refused, not cleaned.
    type: str
    required: true
  state_dir:
    description:
      - Folder on the managed host that holds one folder for each profile. Missing folders are made with mode C(0700).
    type: path
    default: /var/lib/pg_cutover
  action:
    description:
      - V(begin) takes the lock and starts a run, or goes on with the open run of the same O(verb). An open run of
        another verb is closed as abandoned.
      - V(record) appends a phase (O(phase) with O(status)), a switch (O(store)) or a note (O(text), alone or with
        O(facts)). The run must hold the lock, so that a run that was taken over cannot go on.
      - V(end) closes the run with its O(outcome) and releases its lock.
      - V(read) returns the summary and the last entries, and writes nothing.
    type: str
    choices: [begin, end, read, record]
    required: true
  verb:
    description: What the run does. Required for O(action=begin).
    type: str
    choices: [close, cutover, drill, rehearse, repair, restore, rollback, watch]
  run_id:
    description:
      - The run, as RV(run_id) of O(action=begin) told it. Required for O(action=record) and O(action=end).
      - Given to O(action=begin), it names a new run, and an open run with another id is closed, not resumed.
    type: str
  phase:
    description: The phase that O(status) is about. Small letters, digits and C(_).
    type: str
  status:
    description: How O(phase) stands. Its duration is counted from its last V(started).
    type: str
    choices: [failed, passed, skipped, started]
  next_phase:
    description:
      - For O(action=record), a phase that begins right then. Its start is recorded behind the other entry, as a call of
        its own with V(started) would.
    type: str
  facts:
    description:
      - What a resumed run or a report needs to know of the phase; for O(action=begin), what the run was started with.
      - Passwords in connection strings, and text under names such as C(password), C(token) or C(secret), are masked.
    type: dict
  checks:
    description: The checks of the phase, as the other modules return them.
    type: list
    elements: dict
  store:
    description:
      - For O(action=record), the store that the profile was switched to; for O(action=end), the one that is live.
    type: str
    choices: [postgres, sqlite]
  outcome:
    description: How the run ended. Required for O(action=end).
    type: str
    choices: [abandoned, completed, failed, refused, rolled_back]
  text:
    description: A sentence for the report, such as why a phase failed. The ledger and its summary call it C(message).
    type: str
  take_over:
    description:
      - The dead run whose lock is to be taken, for O(action=begin), as the failure named it (RV(take_over)). Name it
        only when you are sure that nothing of that run still works.
      - It is refused when that run's process is seen to live on this control node.
    type: str
  holder:
    description:
      - The process on the control node that the run belongs to. The action plugin fills it in, and replaces what is
        given here.
    type: dict
  tail:
    description: How many of the last entries O(action=read) returns; V(0) means all.
    type: int
    default: 50
seealso:
  - module: sxops.pg_cutover.runtime_mode
author:
  - pg_cutover developers (@sxops)
"""

EXAMPLES = r"""
- name: Begin a cutover, or go on with the one that was interrupted
  sxops.pg_cutover.cutover_ledger:
    source_id: assets_1
    action: begin
    verb: cutover
    take_over: "{{ take_over | default(omit) }}"
  register: run

- name: Record that the load has passed
  sxops.pg_cutover.cutover_ledger:
    source_id: assets_1
    action: record
    run_id: "{{ run.run_id }}"
    phase: load
    status: passed
    facts:
      rows: "{{ load.rows }}"
    next_phase: parity

- name: End the cutover
  sxops.pg_cutover.cutover_ledger:
    source_id: assets_1
    action: end
    run_id: "{{ run.run_id }}"
    outcome: completed
    store: postgres

- name: Read which store is live, and what to resume
  sxops.pg_cutover.cutover_ledger:
    source_id: assets_1
    action: read
  register: ledger
"""

RETURN = r"""
ledger_file:
  description: The ledger on the managed host.
  returned: success
  type: str
  sample: /var/lib/pg_cutover/assets_1/ledger.jsonl
run_id:
  description: The run of this call. For O(action=read), the one that holds the lock, or null.
  returned: success
  type: str
  sample: 20261121T093015Z-cutover-1a2b3c
resumes:
  description: Whether an open run of the same verb goes on, whose passed phases may be used.
  returned: O(action=begin)
  type: bool
  sample: false
took_over:
  description: The run whose lock was taken because it is dead, or null.
  returned: O(action=begin)
  type: str
  sample: 20261121T080000Z-cutover-4d5e6f
next_phase:
  description: The phase whose start stands in the ledger with this call, as O(next_phase) named it, or null.
  returned: O(action=record)
  type: str
  sample: parity
written:
  description: How many entries were appended.
  returned: success
  type: int
  sample: 1
lock:
  description: The run that holds the profile now, or null.
  returned: success
  type: dict
  sample:
    run_id: 20261121T093015Z-cutover-1a2b3c
    verb: cutover
    since: "2026-11-21T09:30:15.120Z"
    attempt: 1
    holder: {user: ops, host: control-1, pid: 4711, started: 815000, boot_id: 6b1f0f0e}
summary:
  description: What the ledger comes to, this call included.
  returned: success
  type: dict
  contains:
    entry_count:
      description: How many entries there are.
      type: int
      sample: 12
    live_store:
      description: The store that the last switch made live; null when no run ever switched.
      type: str
      sample: postgres
    live_store_since:
      description: When that was (UTC).
      type: str
      sample: "2026-11-21T09:31:02.410Z"
    schema_used:
      description:
        - Whether catch-up or the application may have written to the tenant schema since it was bootstrapped last, so
          that the next load starts from a clean one.
      type: bool
      sample: true
    closed_since:
      description: Since when the cutover is closed, so that nothing can be replayed any more; null when it is not.
      type: str
      sample: "2026-11-21T10:31:02.410Z"
    open_run:
      description: The run that has not ended, or null.
      type: dict
      contains: &run
        run_id:
          description: Its id.
          type: str
          sample: 20261121T093015Z-cutover-1a2b3c
        verb:
          description: What it does.
          type: str
          sample: cutover
        started:
          description: When it was started (UTC).
          type: str
          sample: "2026-11-21T09:30:15.120Z"
        ended:
          description: When it ended (UTC), or null.
          type: str
          sample: "2026-11-21T09:31:15.733Z"
        duration_ms:
          description: How long it took, or null.
          type: int
          sample: 60613
        outcome:
          description: How it ended, or null.
          type: str
          sample: completed
        live_store:
          description: The store that it switched to last, or null.
          type: str
          sample: postgres
        message:
          description: The sentence that it ended with, or null.
          type: str
          sample: Every check passed
        parameters:
          description: What it was started with.
          type: dict
          sample: {mode: offline}
        controller:
          description: The process on the control node that started it.
          type: dict
          sample: {user: ops, host: control-1, pid: 4711}
        phases:
          description: For each phase its last C(status), C(time), C(duration_ms), C(message) and C(facts).
          type: dict
          sample:
            load: {status: passed, time: "2026-11-21T09:30:40.001Z", duration_ms: 5210, facts: {rows: 20000}}
        phases_passed:
          description: The phases whose last status is V(passed), in order.
          type: list
          elements: str
          sample: [baseline, load]
    last_run:
      description: The last run that was started, or null.
      type: dict
      contains: *run
    last_cutover:
      description: The last cutover that completed, or null.
      type: dict
      contains: *run
    last_rollback:
      description: The last rollback that completed, or null.
      type: dict
      contains: *run
    last_rehearsal:
      description: The last rehearsal that completed, or null.
      type: dict
      contains: *run
    last_drill:
      description: The last drill that completed, or null.
      type: dict
      contains: *run
    last_error:
      description:
        - The last phase that failed, or run that ended neither completed nor abandoned, or null. Has C(run_id),
          C(verb), C(time), C(phase), C(outcome), C(message) and C(open_checks).
      type: dict
      sample: {run_id: 20261121T080000Z-cutover-4d5e6f, verb: cutover, time: "2026-11-21T08:01:00.000Z", phase: load,
        outcome: failed, message: 3 rows differ, open_checks: []}
  sample: {entry_count: 0, live_store: null, live_store_since: null, schema_used: false, closed_since: null,
    open_run: null, last_run: null, last_cutover: null, last_rollback: null, last_rehearsal: null, last_drill: null,
    last_error: null}
entries:
  description: The last O(tail) entries, oldest first.
  returned: O(action=read)
  type: list
  elements: dict
  sample:
    - seq: 1
      time: "2026-11-21T09:30:15.120Z"
      run_id: 20261121T093015Z-cutover-1a2b3c
      kind: run_started
      verb: cutover
      previous: "0000000000000000000000000000000000000000000000000000000000000000"
      digest: 7d0c1b0c5f0f7b3d0e0f6a1d2c3b4a5968778695a4b3c2d1e0f0123456789abc
holder:
  description: The process that holds the lock.
  returned: when O(action=begin) fails because another run holds the profile (RV(error=lock_held))
  type: dict
  sample: {user: ops, host: control-1, pid: 4711, started: 815000, boot_id: 6b1f0f0e}
take_over:
  description: What O(take_over) must name. It is the run_id, with the number of the attempt once the run was resumed.
  returned: when O(action=begin) fails because another run holds the profile (RV(error=lock_held))
  type: str
  sample: 20261121T093015Z-cutover-1a2b3c.2
error:
  description: The kind of failure, such as V(lock_held), V(ledger), V(bad_input) or V(profile_refused).
  returned: failure
  type: str
  sample: lock_held
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.sxops.pg_cutover.plugins.module_utils import _entry_point, _run_journal
from ansible_collections.sxops.pg_cutover.plugins.module_utils._ledger import FILE_NAME
from ansible_collections.sxops.pg_cutover.plugins.module_utils._ledger_summary import summary


def keep(module: AnsibleModule) -> dict[str, t.Any]:
    params = module.params
    journal = _run_journal.Journal(
        params["state_dir"], params["source_id"], params["holder"] or {}, dry_run=module.check_mode
    )
    outcome = _act(journal, params)
    for warning in outcome.warnings:
        module.warn(warning)
    result = {
        "changed": False,
        "ledger_file": str(journal.folder / FILE_NAME),
        "run_id": outcome.run_id,
        "written": outcome.written,
        "lock": outcome.lock.as_dict() if outcome.lock else None,
        "summary": summary(outcome.entries),
    }
    if params["action"] == "begin":
        result.update(resumes=outcome.resumes, took_over=outcome.took_over)
    if params["action"] == "record":
        result["next_phase"] = params["next_phase"]
    if params["action"] == "read":
        result["entries"] = outcome.entries[-params["tail"] :] if params["tail"] > 0 else outcome.entries
    return result


def _act(journal: _run_journal.Journal, params: dict[str, t.Any]) -> _run_journal.Outcome:
    if params["action"] == "begin":
        return _run_journal.begin(journal, params["verb"], params["run_id"], params["facts"], params["take_over"])
    if params["action"] == "record":
        names = ("phase", "status", "facts", "checks", "store")
        fields = {**{name: params[name] for name in names}, "message": params["text"]}
        return _run_journal.record(journal, params["run_id"], fields, params["next_phase"])
    if params["action"] == "end":
        names = ("outcome", "store", "facts", "checks")
        fields = {**{name: params[name] for name in names}, "message": params["text"]}
        return _run_journal.end(journal, params["run_id"], fields)
    return _run_journal.read(journal)


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "source_id": {"type": "str", "required": True},
            "state_dir": {"type": "path", "default": "/var/lib/pg_cutover"},
            "action": {"type": "str", "choices": ["begin", "end", "read", "record"], "required": True},
            "verb": {
                "type": "str",
                "choices": ["close", "cutover", "drill", "rehearse", "repair", "restore", "rollback", "watch"],
            },
            "run_id": {"type": "str"},
            "phase": {"type": "str"},
            "status": {"type": "str", "choices": ["failed", "passed", "skipped", "started"]},
            "next_phase": {"type": "str"},
            "facts": {"type": "dict"},
            "checks": {"type": "list", "elements": "dict"},
            "store": {"type": "str", "choices": ["postgres", "sqlite"]},
            "outcome": {"type": "str", "choices": ["abandoned", "completed", "failed", "refused", "rolled_back"]},
            "text": {"type": "str"},
            "take_over": {"type": "str"},
            "holder": {"type": "dict"},
            "tail": {"type": "int", "default": 50},
        },
        required_if=[
            ("action", "begin", ["verb"]),
            ("action", "record", ["run_id"]),
            ("action", "end", ["run_id", "outcome"]),
        ],
        supports_check_mode=True,
    )
    _entry_point.run(module, keep)


if __name__ == "__main__":
    main()
