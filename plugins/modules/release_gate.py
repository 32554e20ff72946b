#!/usr/bin/python
# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: release_gate
short_description: Ask the go/no-go gates of a cutover
version_added: 1.0.0
description:
  - Asks every gate of a stage. What a machine can measure is measured; what only people know, they attest by name and
    time. One open gate is NO-GO.
  - Every gate yields exactly one check, or is waived, or is left out because it does not apply to the profile. A gate
    that could not be measured is open, as one that failed.
  - C(docs/gates.md) has every gate, how it is measured and how to open it.
  - Reads the ledger, the backups, the settings file, the request logs and PostgreSQL, and changes nothing.
options:
  stage:
    description:
      - V(before_change) asks what can be known before anything is changed, V(before_switch) what has to hold right
        before the switch, and V(close) the checklist after it.
    type: str
    choices: [before_change, before_switch, close]
    required: true
  app_dsn:
    description:
      - The application's own connection string. By default O(dsn), which is the administrator's otherwise.
    type: str
  state_dir:
    description: The folder of the ledger, as for M(sxops.pg_cutover.cutover_ledger).
    type: path
    default: /var/lib/pg_cutover
  sqlite_path:
    description: The SQLite file. Needed for O(stage=before_change).
    type: path
  backup_dir:
    description: The folder of the profile's snapshots of SQLite. Needed for O(stage=before_change).
    type: path
  takes_backup:
    description: Whether the run takes a verified snapshot itself, before anything rests on it.
    type: bool
    default: true
  bin_dir:
    description: The folder of PostgreSQL's client programs. By default those on PATH.
    type: path
  settings_file:
    description: The settings file that O(settings) is about.
    type: path
  settings_format:
    description: How it is written.
    type: str
    choices: [env, json, yaml]
    default: env
  settings:
    description: Keys of the settings file, and the values that they must have. They must not be secrets.
    type: dict
    default: {}
  extensions:
    description: Extensions of PostgreSQL that the application needs.
    type: list
    elements: str
    default: []
  bootstrap:
    description:
      - Who makes the schema and its tables, which tells which privileges are needed. With V(module) it is we; otherwise
        the application does, as the role of O(app_dsn).
    type: str
    choices: [api, command, module]
    default: module
  migrations:
    description: The migration history, as the profile has it (C(table), C(column) and what is expected).
    type: dict
    default: {}
  standby:
    description: Whether the profile has a standby instance, which is asked on PostgreSQL before the switch.
    type: bool
    default: false
  stabilization_window:
    description: How many seconds a switch is to be watched. V(0) means not at all.
    type: int
    default: 3600
  early_reason:
    description: Why the cutover is closed before it was watched to the end.
    type: str
    default: ""
  ready_checks:
    description: Names of the checks of phase C(verify) that tell which store answers.
    type: list
    elements: str
    default: []
  read_checks:
    description: Names of the checks of phase C(verify) that read.
    type: list
    elements: str
    default: []
  write_checks:
    description: Names of the checks of phase C(verify) that write.
    type: list
    elements: str
    default: []
  plugin_checks:
    description: Names of the checks of phase C(verify) that do what the application's users do.
    type: list
    elements: str
    default: []
  data_checks:
    description:
      - Comparisons of both stores that the caller has just made. Without any, parity of the cutover counts, as the
        ledger has it.
    type: list
    elements: dict
    default: []
  request_logs:
    description: The request logs of the instances that answer from PostgreSQL.
    type: list
    elements: path
    default: []
  request_log:
    description: How a line of them is written (C(format), C(pattern), C(exclude_request_ids)), as the profile has it.
    type: dict
    default: {}
  attested:
    description: What people attest, with C(gate), C(by), C(at) and C(note). A time is ISO 8601 with its zone.
    type: list
    elements: dict
    default: []
  waived:
    description:
      - Gates that people waive, with C(gate), C(by), C(at) and C(reason). A gate that is measured cannot be waived.
    type: list
    elements: dict
    default: []
  backup_max_age_hours:
    description: How old a snapshot of SQLite may be, in hours.
    type: int
    default: 24
  drill_max_age_days:
    description: How long ago the restore drill may have been, in days.
    type: int
    default: 30
  rehearsal_max_age_days:
    description: How long ago the rehearsal may have been, in days.
    type: int
    default: 30
  rto_limit_minutes:
    description: How long the way back may have taken in the rehearsal, in minutes.
    type: int
    default: 15
  attestation_max_age_days:
    description: How old what people say may be, in days.
    type: int
    default: 7
  min_free_connections:
    description: How many connections PostgreSQL must have to spare for the application's role.
    type: int
    default: 10
  require_tls:
    description: Whether connections that leave the host have to be encrypted and their server verified.
    type: bool
    default: true
  fail_on_open:
    description: Whether the task fails while a gate is open.
    type: bool
    default: true
extends_documentation_fragment:
  - sxops.pg_cutover.attributes
  - sxops.pg_cutover.postgres
  - sxops.pg_cutover.profile
  - sxops.pg_cutover.registry
attributes:
  check_mode:
    details:
      - Does the same in check mode, because it only reads. Gate C(search_path_sessions) sets a search path and makes a
        temporary table in two sessions of its own, once it has seen that they are sessions and not a pooler's.
  diff_mode:
    support: N/A
    details: Nothing is ever changed.
seealso:
  - module: sxops.pg_cutover.cutover_ledger
author:
  - pg_cutover developers (@sxops)
"""

EXAMPLES = r"""
- name: Ask everything that can be known before anything is changed
  sxops.pg_cutover.release_gate:
    stage: before_change
    source_id: assets_1
    dsn: "{{ vault_admin_dsn }}"
    app_dsn: "{{ vault_dsn }}"
    sqlite_path: /srv/sx/data/sx_obsidian.db
    backup_dir: /var/lib/pg_cutover/backups/assets_1/sqlite
    attested:
      - {gate: qa_sign_off, by: Ada Example, at: "2026-11-27T09:30:00Z", note: regression and bad paths}
    waived:
      - {gate: restore_drill, by: Ada Example, at: "2026-11-27T09:30:00Z", reason: drilled on the sister host}
"""

RETURN = r"""
stage:
  description: The stage.
  returned: always
  type: str
  sample: before_change
go:
  description: Whether no gate is open.
  returned: always
  type: bool
  sample: false
verdict:
  description: V(passed) when every gate passed, V(failed) when one failed, else V(not_verified).
  returned: always
  type: str
  sample: not_verified
checks:
  description: A check for every gate that was asked, named like the gate.
  returned: always
  type: list
  elements: dict
  sample:
    - name: qa_sign_off
      verdict: not_verified
      expected: QA has signed off
      observed:
      message: nobody has said that QA has signed off
open:
  description: The names of the gates that are open.
  returned: always
  type: list
  elements: str
  sample: [qa_sign_off]
waived:
  description: The gates that were waived, which are not among RV(checks).
  returned: always
  type: list
  elements: dict
  sample:
    - {gate: restore_drill, by: Ada Example, at: "2026-11-27T09:30:00Z", reason: drilled on the sister host}
attested:
  description: What people said that counted.
  returned: always
  type: list
  elements: dict
  sample: []
left_out:
  description: The gates that do not apply to the profile, with the reason.
  returned: always
  type: list
  elements: dict
  sample:
    - {gate: extensions, reason: the profile names no extensions}
summary:
  description: GO with its numbers, or NO-GO with every open gate and what opens it.
  returned: always
  type: str
  sample: "GO: 22 gates passed, 1 waived."
duration_ms:
  description: How long it took, in milliseconds.
  returned: always
  type: int
  sample: 180
error:
  description: The kind of failure, one word, V(no_go) while a gate is open.
  returned: failure
  type: str
  sample: no_go
"""

import datetime
import time
import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.sxops.pg_cutover.plugins.module_utils import _run_journal
from ansible_collections.sxops.pg_cutover.plugins.module_utils._entry_point import run
from ansible_collections.sxops.pg_cutover.plugins.module_utils._gate_measures import ask_gates
from ansible_collections.sxops.pg_cutover.plugins.module_utils._gates import STAGES
from ansible_collections.sxops.pg_cutover.plugins.module_utils._options import (
    postgres_options,
    profile_options,
    registry_options,
)


def ask(module: AnsibleModule) -> dict[str, t.Any]:
    """Ask the gates of the stage, and fail while one is open."""
    started = time.monotonic()
    params = module.params
    ledger = _run_journal.read(_run_journal.Journal(params["state_dir"], params["source_id"]))
    for warning in ledger.warnings:
        module.warn(warning)
    now = datetime.datetime.now(datetime.timezone.utc)
    decision = ask_gates(params, module.run_command, now, ledger.entries)
    result = {**decision.as_dict(), "duration_ms": round((time.monotonic() - started) * 1000)}
    if params["fail_on_open"]:
        decision.refuse(result)
    return {"changed": False, **result}


def main() -> None:
    names = {"type": "list", "elements": "str", "default": []}
    said = {"type": "list", "elements": "dict", "default": []}
    module = AnsibleModule(
        argument_spec={
            **postgres_options(),
            **profile_options(),
            **registry_options(),
            "stage": {"type": "str", "choices": list(STAGES), "required": True},
            "app_dsn": {"type": "str", "no_log": True},
            "state_dir": {"type": "path", "default": "/var/lib/pg_cutover"},
            "sqlite_path": {"type": "path"},
            "backup_dir": {"type": "path"},
            "takes_backup": {"type": "bool", "default": True},
            "bin_dir": {"type": "path"},
            "settings_file": {"type": "path"},
            "settings_format": {"type": "str", "choices": ["env", "json", "yaml"], "default": "env"},
            "settings": {"type": "dict", "default": {}},
            "extensions": names,
            "bootstrap": {"type": "str", "choices": ["api", "command", "module"], "default": "module"},
            "migrations": {"type": "dict", "default": {}},
            "standby": {"type": "bool", "default": False},
            "stabilization_window": {"type": "int", "default": 3600},
            "early_reason": {"type": "str", "default": ""},
            "ready_checks": names,
            "read_checks": names,
            "write_checks": names,
            "plugin_checks": names,
            "data_checks": said,
            "request_logs": {"type": "list", "elements": "path", "default": []},
            "request_log": {"type": "dict", "default": {}},
            "attested": said,
            "waived": said,
            "backup_max_age_hours": {"type": "int", "default": 24},
            "drill_max_age_days": {"type": "int", "default": 30},
            "rehearsal_max_age_days": {"type": "int", "default": 30},
            "rto_limit_minutes": {"type": "int", "default": 15},
            "attestation_max_age_days": {"type": "int", "default": 7},
            "min_free_connections": {"type": "int", "default": 10},
            "require_tls": {"type": "bool", "default": True},
            "fail_on_open": {"type": "bool", "default": True},
        },
        required_if=[("stage", "before_change", ["sqlite_path", "backup_dir"])],
        supports_check_mode=True,
    )
    run(module, ask)


if __name__ == "__main__":
    main()
