#!/usr/bin/python
# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: stabilization_watch
short_description: Watch a profile after its switch, and say when it has to go back
version_added: 1.0.0
description:
  - For O(duration) seconds, every O(interval) seconds, takes a look at a profile that PostgreSQL is the live store of.
    It brings what PostgreSQL took to SQLite, asks every instance whether it is ready, reads on in the request logs,
    counts connections, and now and then compares the data.
  - Holds what it saw against the rollback triggers. One that wants an immediate rollback ends the watch at once; one
    that wants a scheduled rollback is reported. A trigger that fires does not fail the task; read RV(fired).
  - Nothing that a look meets fails the task. A PostgreSQL that cannot be reached and an application that hangs are what
    the watch is there to see. RV(problems) says what could not be measured.
  - A write of the application never looks like damage. The data are compared at one instant, without the keys that are
    still on their way to SQLite, and what seems wrong is looked at three times.
options:
  duration:
    description: For how many seconds to watch. V(0) takes one look.
    type: float
    default: 0
  interval:
    description: How many seconds lie between two looks.
    type: float
    default: 5
  check_interval:
    description:
      - How many seconds lie between two looks that also compare the data and the schema and try for leakage. The first
        and the last look always do.
    type: float
    default: 60
  drain:
    description: Whether to bring what PostgreSQL took to SQLite. Without it that is only counted.
    type: bool
    default: true
  online:
    description:
      - Whether the profile was cut over online. After a cutover offline nothing is captured in PostgreSQL, so there is
        nothing to bring to SQLite, and nothing to compare the data with; RV(triggers) says V(not_verified) then.
    type: bool
    default: true
  since:
    description:
      - When PostgreSQL became the live store. The samples in O(samples_file) that were taken since the same switch are
        gone on with, those of another one are put aside beside it.
      - By default the watch begins anew now.
    type: str
  samples_file:
    description:
      - File that takes every look, one JSON object in a line, mode C(0600). What is needed to go on lies beside it, in
        a file with C(.state) behind its name.
    type: path
    required: true
  record:
    description:
      - Whether the looks are kept in O(samples_file). Without it the looks that are there are only judged together with
        this one, also while another watch is at work.
    type: bool
    default: true
  app_dsn:
    description:
      - The application's own connection string. PostgreSQL counts as reachable when this one leads there, and its
        limits of connections count. By default O(dsn).
    type: str
  base_url:
    description: Where O(data_checks) and O(leakage_checks) are asked. By default the first one of O(instances).
    type: str
  probe_timeout:
    description: How many seconds one question to the application may take.
    type: float
    default: 5
  ready_checks:
    description:
      - Tell that an instance is ready. As O(sxops.pg_cutover.smoke_check#module:checks), with C(path) only.
    type: list
    elements: dict
    required: true
  request_logs:
    description: The request logs of the instances, on the managed host.
    type: list
    elements: path
    default: []
  request_log:
    description: How their lines are written.
    type: dict
    suboptions:
      format:
        description: As O(sxops.pg_cutover.request_log_info#module:format).
        type: str
        choices: [combined, json, regex, uvicorn]
        default: json
      pattern:
        description: As O(sxops.pg_cutover.request_log_info#module:pattern).
        type: str
      exclude_request_ids:
        description: As O(sxops.pg_cutover.request_log_info#module:exclude_request_ids).
        type: str
  data_subjects:
    description: Rows for O(data_checks). As O(sxops.pg_cutover.smoke_check#module:subjects).
    type: list
    elements: dict
    default: []
  data_checks:
    description:
      - Lookups and ordered lists that must answer as the store holds them. As
        O(sxops.pg_cutover.smoke_check#module:checks), with C(path) and C(subject) only, and only what reads.
    type: list
    elements: dict
    default: []
  leakage_subjects:
    description: Rows for O(leakage_checks).
    type: list
    elements: dict
    default: []
  leakage_checks:
    description: Tell that the profile does not see another one's rows. As O(data_checks).
    type: list
    elements: dict
    default: []
  migrations:
    description: The migration history. As the options of M(sxops.pg_cutover.migration_history_info) of these names.
    type: dict
    suboptions:
      table:
        description: The table that holds it, in the tenant schema, or as C(schema.table).
        type: str
        required: true
      column:
        description: The column that holds the id of a migration.
        type: str
        required: true
      checksum_column:
        description: The column that holds its checksum.
        type: str
      expected:
        description: The ids that must be there.
        type: list
        elements: str
        default: []
      expected_checksums:
        description: The checksum that belongs to an id.
        type: dict
        default: {}
  baseline:
    description: How the application did before the cutover, as RV(sxops.pg_cutover.baseline_info#module:baseline).
    type: dict
  triggers:
    description: When a trigger fires.
    type: dict
    suboptions:
      startup_timeout:
        description: C(startup) fires when an instance is not ready for longer than so many seconds.
        type: float
        default: 300
      failed_instances_percent:
        description: C(instances) fires when more than so many percent of the instances are not ready.
        type: float
        default: 20
      readiness_failures:
        description: In how many looks in a row that must be so.
        type: int
        default: 3
      error_ratio:
        description: C(error_ratio) fires when the share of answers 5xx is more than so many times that of the baseline.
        type: float
        default: 2
      error_ratio_duration:
        description: For how many seconds that must be so.
        type: float
        default: 600
      error_floor_percent:
        description: A share of answers 5xx up to so many percent is never too much for C(error_ratio).
        type: float
        default: 0.1
      error_percent:
        description: C(error_percent) fires when more than so many percent of the answers are 5xx.
        type: float
        default: 1
      error_percent_duration:
        description: For how many seconds that must be so.
        type: float
        default: 300
      min_requests:
        description: Rates and latencies are judged from so many requests on.
        type: int
        default: 20
      latency_ratio_immediate:
        description:
          - C(latency_immediate) fires when the 95th percentile of the latency is more than so many times that of the
            baseline.
        type: float
        default: 10
      latency_ratio_scheduled:
        description: The same for C(latency_scheduled), which wants a scheduled rollback.
        type: float
        default: 2
      latency_duration:
        description: For how many seconds that must be so.
        type: float
        default: 60
      latency_floor_ms:
        description: A latency up to so many milliseconds is never too much.
        type: float
        default: 100
      connection_timeout:
        description: C(connection) fires when PostgreSQL cannot be reached for longer than so many seconds.
        type: float
        default: 300
      pool_percent:
        description: C(pool) fires when more than so many percent of the connections that there may be are taken.
        type: float
        default: 90
      pool_duration:
        description: For how many seconds that must be so.
        type: float
        default: 60
  answers:
    description: What only people know, for RV(advice). What is left out is not known.
    type: dict
    default: {}
    suboptions:
      fixable_within_hours:
        description: In how many hours what is wrong can be mended.
        type: float
      data_loss:
        description: Whether data were lost or damaged.
        type: bool
      unavailable:
        description: Whether the application is unavailable.
        type: bool
      much_slower:
        description: Whether queries are more than ten times slower.
        type: bool
      security_breach:
        description: Whether security is breached.
        type: bool
      feature_incompatible:
        description: Whether something that the application does, does not work on PostgreSQL.
        type: bool
      cost:
        description: Whether it costs more than it may.
        type: bool
      testing:
        description: Whether to go back for a comparison.
        type: bool
extends_documentation_fragment:
  - sxops.pg_cutover.attributes
  - sxops.pg_cutover.postgres
  - sxops.pg_cutover.instances
  - sxops.pg_cutover.requests
  - sxops.pg_cutover.profile
  - sxops.pg_cutover.tenant_data
  - sxops.pg_cutover.data_policies
  - sxops.pg_cutover.progress
attributes:
  check_mode:
    support: partial
    details:
      - Takes one look, brings nothing to SQLite and keeps nothing. Nothing is asked of the application, which may write
        on every question, so whatever is measured there is V(not_verified).
  diff_mode:
    support: N/A
    details: The rows themselves are not shown.
  idempotent:
    support: full
    details: C(changed) is true when rows were brought to SQLite. A second call goes on where the first one ended.
seealso:
  - module: sxops.pg_cutover.tenant_replay
  - module: sxops.pg_cutover.tenant_switch
  - module: sxops.pg_cutover.smoke_check
author:
  - pg_cutover developers (@sxops)
"""

EXAMPLES = r"""
- name: Watch for an hour
  sxops.pg_cutover.stabilization_watch:
    source_id: assets_1
    dsn: "{{ vault_admin_dsn }}"
    app_dsn: "{{ vault_dsn }}"
    sqlite_path: /srv/sx/data/sx_obsidian.db
    since: "2026-11-21T09:31:02.410Z"
    samples_file: /var/lib/pg_cutover/assets_1/watch.jsonl
    duration: 3600
    instances:
      - name: api-1
        base_url: http://127.0.0.1:8123
    headers:
      X-SX-Source-ID: "{source_id}"
    ready_checks:
      - name: health
        path: /health
        expect_json:
          ok: true
    request_logs: [/var/log/sx/requests.jsonl]
    triggers:
      error_percent: 0.5
      error_percent_duration: 120
  register: watched

- name: Go back when a trigger fired
  ansible.builtin.fail:
    msg: "{{ watched.fired | join(', ') }}"
  when: watched.stopped_by == 'trigger'

- name: Say what to do, without changing anything
  sxops.pg_cutover.stabilization_watch:
    source_id: assets_1
    dsn: "{{ vault_admin_dsn }}"
    sqlite_path: /srv/sx/data/sx_obsidian.db
    since: "2026-11-21T09:31:02.410Z"
    samples_file: /var/lib/pg_cutover/assets_1/watch.jsonl
    drain: false
    record: false
    instances:
      - name: api-1
        base_url: http://127.0.0.1:8123
    ready_checks:
      - name: health
        path: /health
    answers:
      fixable_within_hours: 2
"""

RETURN = r"""
fired:
  description: The triggers that fired, those that want a scheduled rollback included.
  returned: success
  type: list
  elements: str
  sample: [error_percent]
triggers:
  description: Every trigger as it stands at the end.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: Its name.
      type: str
    verdict:
      description: V(failed) when it fires, V(passed), or V(not_verified) when what it needs was not measured.
      type: str
    severity:
      description: V(immediate) or V(scheduled).
      type: str
    observed:
      description: What was measured last.
      type: raw
    threshold:
      description: From where on it counts.
      type: raw
    unit:
      description: The unit of both.
      type: str
    held_s:
      description: For how many seconds it has been so.
      type: float
    needed_s:
      description: For how many seconds it must be so.
      type: float
    since:
      description: Since when it has been so, or null.
      type: str
    message:
      description: A sentence with the numbers.
      type: str
    source:
      description: Where it is asked for.
      type: str
  sample:
    - name: error_percent
      verdict: failed
      severity: immediate
      observed: 4.2
      threshold: 1.0
      unit: percent
      held_s: 305.0
      needed_s: 300.0
      since: "2026-11-21T09:40:00.000Z"
      message: 4.2 % of the answers are 5xx for 305 s, more than 1 % for 300 s
      source: seed 002 §2.3
checks:
  description: The same as checks, as the ledger keeps them.
  returned: success
  type: list
  elements: dict
  sample:
    - name: error_percent
      verdict: failed
      expected: at most 1.0 percent, or more for less than 300 s
      observed: 4.2 percent for 305 s
      message: 4.2 % of the answers are 5xx for 305 s, more than 1 % for 300 s
fired_meanwhile:
  description:
    - The triggers that fired at an earlier look of this call and do not any more, as they were when they first did. A
      trigger that wants an immediate rollback ends the watch, so these want a scheduled one.
  returned: success
  type: list
  elements: dict
  sample: []
advice:
  description: What the decision tree says.
  returned: success
  type: dict
  contains:
    decision:
      description: V(IMMEDIATE), V(SCHEDULED) or V(CONTINUE).
      type: str
    path:
      description: The questions of the tree, each with C(question), C(answer) (V(yes), V(no), V(not_known)) and C(why).
      type: list
      elements: dict
    reasons:
      description: Why.
      type: list
      elements: str
  sample:
    decision: CONTINUE
    path: [{question: "Is there data loss or corruption?", answer: "no", why: every check passed}]
    reasons: []
samples:
  description: How many looks there are of this switch.
  returned: success
  type: int
  sample: 720
samples_file:
  description: The file that holds them.
  returned: success
  type: str
  sample: /var/lib/pg_cutover/assets_1/watch.jsonl
samples_sha256:
  description: Its SHA-256; null when there is none.
  returned: success
  type: str
  sample: 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
series:
  description: At most 240 of the looks with their numbers, for charts.
  returned: success
  type: list
  elements: dict
  sample:
    - {time: "2026-11-21T09:31:07.410Z", elapsed_s: 5.0, requests: 120, error_percent: 0.0, latency_p95_ms: 12.0,
       probe_ms: 4.1, ready: 1.0, connections_percent: 8.0, pending: 0, lag_s: null, postgres_ok: true}
problems:
  description: What could not be measured or done at the last attempt, and why, such as C(return_path) or C(data).
  returned: success
  type: dict
  sample: {}
stopped_by:
  description:
    - Why it ended, one of V(duration), V(looked) after one look, V(trigger) when a trigger wants an immediate rollback,
      and V(fence_down) where the profile is no longer fenced in SQLite, because somebody has gone back.
  returned: success
  type: str
  sample: duration
started:
  description: When it began (UTC).
  returned: success
  type: str
  sample: "2026-11-21T09:31:02.410Z"
ended:
  description: When it ended (UTC).
  returned: success
  type: str
  sample: "2026-11-21T10:31:02.410Z"
duration_ms:
  description: How long it took, in milliseconds.
  returned: success
  type: int
  sample: 3600000
replayed:
  description: How many rows were added to or changed in SQLite.
  returned: success
  type: int
  sample: 120
deleted:
  description: How many rows were deleted there.
  returned: success
  type: int
  sample: 3
pending:
  description: How many keys were still to be brought there at the last look; null when that is not known.
  returned: success
  type: int
  sample: 0
lag_seconds:
  description: How old the oldest of them was, in seconds; null where nothing was pending.
  returned: success
  type: float
  sample: 0.2
schema_name:
  description: The schema of the profile.
  returned: success
  type: str
  sample: sx_assets_1
error:
  description: The kind of failure, one word.
  returned: failure
  type: str
  sample: bad_input
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.sxops.pg_cutover.plugins.module_utils._entry_point import run
from ansible_collections.sxops.pg_cutover.plugins.module_utils._options import (
    data_policies_options,
    instances_options,
    postgres_options,
    profile_options,
    progress_options,
    requests_options,
    tenant_data_options,
)
from ansible_collections.sxops.pg_cutover.plugins.module_utils._progress import open_progress
from ansible_collections.sxops.pg_cutover.plugins.module_utils._watch import Watch


def watch(module: AnsibleModule) -> dict[str, t.Any]:
    """Watch until there is a reason to stop."""
    return Watch(module.params, module.check_mode, open_progress(module.params)).run()


def argument_spec() -> dict[str, t.Any]:
    """Return the options; those of the stores are shared."""
    request_log = {
        "format": {"type": "str", "choices": ["combined", "json", "regex", "uvicorn"], "default": "json"},
        "pattern": {"type": "str"},
        "exclude_request_ids": {"type": "str"},
    }
    migrations = {
        "table": {"type": "str", "required": True},
        "column": {"type": "str", "required": True},
        "checksum_column": {"type": "str"},
        "expected": {"type": "list", "elements": "str", "default": []},
        "expected_checksums": {"type": "dict", "default": {}},
    }
    triggers = {
        "startup_timeout": {"type": "float", "default": 300},
        "failed_instances_percent": {"type": "float", "default": 20},
        "readiness_failures": {"type": "int", "default": 3},
        "error_ratio": {"type": "float", "default": 2},
        "error_ratio_duration": {"type": "float", "default": 600},
        "error_floor_percent": {"type": "float", "default": 0.1},
        "error_percent": {"type": "float", "default": 1},
        "error_percent_duration": {"type": "float", "default": 300},
        "min_requests": {"type": "int", "default": 20},
        "latency_ratio_immediate": {"type": "float", "default": 10},
        "latency_ratio_scheduled": {"type": "float", "default": 2},
        "latency_duration": {"type": "float", "default": 60},
        "latency_floor_ms": {"type": "float", "default": 100},
        "connection_timeout": {"type": "float", "default": 300},
        "pool_percent": {"type": "float", "default": 90},
        "pool_duration": {"type": "float", "default": 60},
    }
    answers = {
        "fixable_within_hours": {"type": "float"},
        "data_loss": {"type": "bool"},
        "unavailable": {"type": "bool"},
        "much_slower": {"type": "bool"},
        "security_breach": {"type": "bool"},
        "feature_incompatible": {"type": "bool"},
        "cost": {"type": "bool"},
        "testing": {"type": "bool"},
    }
    dicts = {"type": "list", "elements": "dict"}
    return {
        **postgres_options(),
        **instances_options(),
        **requests_options(),
        **profile_options(),
        **tenant_data_options(),
        **data_policies_options(),
        **progress_options(),
        "duration": {"type": "float", "default": 0},
        "interval": {"type": "float", "default": 5},
        "check_interval": {"type": "float", "default": 60},
        "drain": {"type": "bool", "default": True},
        "online": {"type": "bool", "default": True},
        "since": {"type": "str"},
        "samples_file": {"type": "path", "required": True},
        "record": {"type": "bool", "default": True},
        "app_dsn": {"type": "str", "no_log": True},
        "base_url": {"type": "str"},
        "probe_timeout": {"type": "float", "default": 5},
        "ready_checks": {**dicts, "required": True},
        "request_logs": {"type": "list", "elements": "path", "default": []},
        "request_log": {"type": "dict", "options": request_log},
        "data_subjects": {**dicts, "default": []},
        "data_checks": {**dicts, "default": []},
        "leakage_subjects": {**dicts, "default": []},
        "leakage_checks": {**dicts, "default": []},
        "migrations": {"type": "dict", "options": migrations},
        "baseline": {"type": "dict"},
        "triggers": {"type": "dict", "options": triggers, "apply_defaults": True},
        "answers": {"type": "dict", "options": answers, "default": {}},
    }


def main() -> None:
    module = AnsibleModule(argument_spec=argument_spec(), supports_check_mode=True)
    run(module, watch)


if __name__ == "__main__":
    main()
