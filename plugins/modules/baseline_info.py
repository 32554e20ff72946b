#!/usr/bin/python
# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: baseline_info
short_description: Measure how an application serves a profile, to compare with later
version_added: 1.0.0
description:
  - Asks every instance whether it is ready and how long its answers take, reads error rate and latency from the request
    log, counts the profile's rows and PostgreSQL's connections.
  - What M(sxops.pg_cutover.stabilization_watch) and the closing of a cutover call too slow or too many errors is a
    multiple of these numbers.
  - An instance that does not answer is a failed check. It does not keep the others from being measured.
extends_documentation_fragment:
  - sxops.pg_cutover.attributes
  - sxops.pg_cutover.postgres
  - sxops.pg_cutover.instances
  - sxops.pg_cutover.requests
  - sxops.pg_cutover.profile
  - sxops.pg_cutover.tenant_data
attributes:
  check_mode:
    support: partial
    details:
      - In check mode nothing is asked, no store and no log is opened, since an application may write on every request.
        Every check is V(not_verified), its name says what would be asked, RV(baseline) is null, and the task does not
        fail.
  diff_mode:
    support: none
    details:
      - There is nothing to show, nothing is changed.
options:
  store:
    description:
      - The store that the profile is on. Its rows are counted there.
      - For V(postgres) the options of PostgreSQL are required. For V(sqlite) they are optional, and a server that
        cannot be reached is no failure.
    type: str
    choices: [postgres, sqlite]
    default: sqlite
  sqlite_path:
    description: The SQLite file, opened for reading only. Required when O(store=sqlite).
    type: path
  timeout:
    description: How many seconds one request may take, from connecting to the last byte.
    type: float
    default: 10
  ready_checks:
    description:
      - What an instance must answer to be ready, as in M(sxops.pg_cutover.smoke_check), but only questions.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Name of the check. With several instances the result adds which one.
        type: str
        required: true
      path:
        description: Path and query to ask; C({source_id}) in it is filled.
        type: str
        required: true
      method:
        description: HTTP method.
        type: str
        default: GET
      headers:
        description: Added to O(headers); null removes one of those.
        type: dict
      json:
        description: Sent as JSON.
        type: raw
      body:
        description: Sent as it is.
        type: str
      expect_status:
        description: The statuses that are right.
        type: list
        elements: int
        default: [200]
      expect_json:
        description: Dotted path to the value that must stand there, type included.
        type: dict
      expect_json_min:
        description: Dotted path to the least number; of a list or an object its length counts.
        type: dict
      expect_headers:
        description: Header to the value it must have.
        type: dict
      expect_text:
        description: Text that must stand in the answer.
        type: str
      expect_no_text:
        description: Text that must not stand in the answer.
        type: str
      max_latency:
        description: How many milliseconds the answer may take.
        type: float
  probes:
    description: How many questions more each instance is asked, O(ready_checks) in turn, for the latency.
    type: int
    default: 10
  probe_pause:
    description: How many seconds to pause between two of them.
    type: float
    default: 0.1
  request_logs:
    description:
      - The application's request logs. Without them error rate and latency are those of our own questions only.
      - A log that cannot be read, or has no line of the format, is a failed check.
    type: dict
    suboptions:
      paths:
        description: The logs.
        type: list
        elements: path
        required: true
      format:
        description: How a line is written. As O(sxops.pg_cutover.request_log_info#module:format).
        type: str
        choices: [combined, json, regex, uvicorn]
        default: json
      pattern:
        description: For V(regex), the expression. As O(sxops.pg_cutover.request_log_info#module:pattern).
        type: str
      exclude_request_ids:
        description: An expression; lines whose request id it matches anywhere are not counted.
        type: str
  span:
    description:
      - How many seconds of the request logs count, up to now. Where the lines have no time, all of those in the newest
        file do, and RV(baseline.requests_span_s) is null.
    type: float
    default: 900
  fail_on_open:
    description: Whether the task fails when the verdict is not V(passed). When V(false), read RV(verdict).
    type: bool
    default: true
seealso:
  - module: sxops.pg_cutover.smoke_check
  - module: sxops.pg_cutover.request_log_info
  - module: sxops.pg_cutover.stabilization_watch
author:
  - pg_cutover developers (@sxops)
"""

EXAMPLES = r"""
- name: Measure how the application serves a profile on SQLite
  sxops.pg_cutover.baseline_info:
    source_id: assets_1
    sqlite_path: /srv/sx/data/sx_obsidian.db
    dsn: "{{ vault_sx_dsn }}"
    instances:
      - name: sx-api-1
        base_url: http://127.0.0.1:8123
    headers:
      X-SX-Source-ID: "{source_id}"
      X-Request-ID: pg-cutover-baseline
    ready_checks:
      - name: health
        path: /health
        expect_json:
          ok: true
    request_logs:
      paths: [/var/log/sx/request.jsonl]
      exclude_request_ids: ^pg-cutover-
  register: measured
"""

RETURN = r"""
baseline:
  description: The measurement. Null in check mode.
  returned: always
  type: dict
  contains:
    taken:
      description: When, in UTC.
      type: str
    store:
      description: The store that the profile is on.
      type: str
    health:
      description: Whether each C(instance) is C(ready), and the longest of its answers in milliseconds (C(latency_ms)).
      type: list
      elements: dict
    probes:
      description:
        - How many questions were asked for the latency (C(count)), the C(p50), C(p95) and C(p99) of what they took, in
          milliseconds (C(latency_ms)), and how many were answered with a 5xx (C(errors)).
      type: dict
    requests:
      description: The figures of the request logs, as M(sxops.pg_cutover.request_log_info) returns them. Null without.
      type: dict
    requests_span_s:
      description: How many seconds these are of. Null without request logs, and where their lines have no time.
      type: float
    tables:
      description: How many C(rows) of each C(table) are the profile's.
      type: list
      elements: dict
    connections:
      description:
        - How many connections of PostgreSQL are in use (C(used)) and how many there may be (C(limit)), of the server,
          the role or the database, where the fewest are left. Null where nobody could count them.
      type: dict
    startup_ms:
      description: How long the application takes to start, which role C(baseline) adds. Null here.
      type: int
    stats:
      description: What the application counts, which role C(baseline) adds. Empty here.
      type: dict
  sample:
    taken: "2026-03-01T12:00:00.000Z"
    store: sqlite
    health:
      - {instance: sx-api-1, ready: true, latency_ms: 8.1}
    probes: {count: 10, latency_ms: {p50: 4.2, p95: 8.0, p99: 8.0}, errors: 0}
    requests: null
    requests_span_s: null
    tables:
      - {table: videos, rows: 400}
    connections: {used: 7, limit: 97}
    startup_ms: null
    stats: {}
checks:
  description: Every ready check of every instance, and the check of the request logs where there are any.
  returned: always
  type: list
  elements: dict
  contains:
    name:
      description: Name of the check.
      type: str
    verdict:
      description: V(passed), V(failed) or V(not_verified).
      type: str
    expected:
      description: What was expected.
      type: raw
    observed:
      description: What was found.
      type: raw
    message:
      description: Why it did not pass.
      type: str
  sample:
    - name: health
      verdict: passed
      expected: {status: 200, ok: true}
      observed: {status: 200, ok: true}
      message: ""
verdict:
  description: V(passed) when every check passed, V(failed) when one failed, V(not_verified) in check mode.
  returned: always
  type: str
  sample: passed
notes:
  description: What could not be found out, and does not matter for the verdict.
  returned: always
  type: list
  elements: str
  sample: []
duration_ms:
  description: How long everything took, in milliseconds.
  returned: always
  type: int
  sample: 1204
error:
  description: Kind of the failure, V(baseline_open) when a check is open.
  returned: failure
  type: str
  sample: baseline_open
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.sxops.pg_cutover.plugins.module_utils._baseline import baseline
from ansible_collections.sxops.pg_cutover.plugins.module_utils._entry_point import run
from ansible_collections.sxops.pg_cutover.plugins.module_utils._options import (
    instances_options,
    postgres_options,
    profile_options,
    requests_options,
    tenant_data_options,
)


def argument_spec() -> dict:
    """Return the options; those of PostgreSQL, the profile and its data are shared."""
    check = {
        "name": {"type": "str", "required": True},
        "path": {"type": "str", "required": True},
        "method": {"type": "str", "default": "GET"},
        "headers": {"type": "dict"},
        "json": {"type": "raw"},
        "body": {"type": "str"},
        "expect_status": {"type": "list", "elements": "int", "default": [200]},
        "expect_json": {"type": "dict"},
        "expect_json_min": {"type": "dict"},
        "expect_headers": {"type": "dict"},
        "expect_text": {"type": "str"},
        "expect_no_text": {"type": "str"},
        "max_latency": {"type": "float"},
    }
    logs = {
        "paths": {"type": "list", "elements": "path", "required": True},
        "format": {"type": "str", "choices": ["combined", "json", "regex", "uvicorn"], "default": "json"},
        "pattern": {"type": "str"},
        "exclude_request_ids": {"type": "str"},
    }
    return {
        "store": {"type": "str", "choices": ["postgres", "sqlite"], "default": "sqlite"},
        "timeout": {"type": "float", "default": 10},
        "ready_checks": {
            "type": "list",
            "elements": "dict",
            "required": True,
            "options": check,
            "mutually_exclusive": [("json", "body")],
        },
        "probes": {"type": "int", "default": 10},
        "probe_pause": {"type": "float", "default": 0.1},
        "request_logs": {"type": "dict", "options": logs},
        "span": {"type": "float", "default": 900},
        "fail_on_open": {"type": "bool", "default": True},
        **postgres_options(),
        **instances_options(),
        **requests_options(),
        **profile_options(),
        **tenant_data_options(),
    }


def main() -> None:
    module = AnsibleModule(argument_spec=argument_spec(), supports_check_mode=True)
    run(module, baseline)


if __name__ == "__main__":
    main()
