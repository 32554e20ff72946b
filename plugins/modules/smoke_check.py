#!/usr/bin/python
# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: smoke_check
short_description: Ask a running application whether it works, and on which store
version_added: 1.0.0
description:
  - Sends the requests of an application's preset and holds the answers against what is expected. The checks are
    data, so any HTTP application can be asked.
  - A round trip writes a marker text (a canary) through the application, finds by SQL in which store it landed, and
    leaves the row exactly as it was. That is the only proof of the store an application works on; what it reports
    about itself is an expectation like any other.
  - A check is V(passed), V(failed) or V(not_verified). Anything but V(passed) blocks, and so does an empty list.
extends_documentation_fragment:
  - sxops.pg_cutover.attributes
  - sxops.pg_cutover.postgres
  - sxops.pg_cutover.requests
attributes:
  check_mode:
    support: partial
    details:
      - In check mode nothing is sent and no store is opened, since an application may write on every request, health
        included. Every check is V(not_verified), its message says what would be asked, and the task does not fail.
  diff_mode:
    support: none
    details:
      - There is nothing to show, what a round trip writes is put back.
  idempotent:
    support: full
    details:
      - Round trips leave the row as it was, so C(changed) is false; it is true only when a row was put back that an
        interrupted run had left changed, or when putting back did not work.
options:
  base_url:
    description:
      - Where the application listens, such as V(http://127.0.0.1:8123). User and password in it are refused.
    type: str
    required: true
  source_id:
    description:
      - The profile. Fills C({source_id}) in headers, paths, bodies and expectations, and C(:source_id) in queries.
    type: str
  timeout:
    description: How many seconds one request may take, from connecting to the last byte.
    type: float
    default: 10
  wait:
    description:
      - Whether to wait until the application is ready before the first check. Readiness becomes a check named C(ready).
    type: bool
    default: false
  wait_timeout:
    description: How many seconds to wait at most.
    type: float
    default: 60
  wait_sleep:
    description: How many seconds to pause between two attempts.
    type: float
    default: 0.5
  wait_path:
    description: The path to ask while waiting.
    type: str
    default: /health
  wait_status:
    description: The statuses that mean ready.
    type: list
    elements: int
    default: [200]
  expect_store:
    description:
      - The store in which the canary of a round trip must land. Required for round trips.
      - When the other store is among the options too, the canary must not be found there; when that store cannot be
        looked into, the check is V(not_verified). Leave its options out where it is known to be down.
    type: str
    choices: [postgres, sqlite]
  sqlite_path:
    description: Path of the application's SQLite file, for subjects and round trips.
    type: path
  schema_name:
    description: The schema of the profile, for subjects and round trips in PostgreSQL; C(public) comes after it.
    type: str
  journal:
    description:
      - File that keeps the original row while a canary stands, mode C(0600). Required for round trips, one per
        profile.
      - When it is found, an earlier run was interrupted, and the row in it is put back before anything else, once it
        is O(timeout) seconds old, since a request of that run may still be at work.
    type: path
  fail_on_open:
    description:
      - Whether the task fails when the verdict is not V(passed). When V(false), read RV(verdict).
    type: bool
    default: true
  subjects:
    description:
      - Rows picked by SQL, read only, before the checks. The columns of the first row fill C({name.column}) in
        paths (percent-encoded), headers, bodies and expectations. A text that is nothing but one placeholder takes the
        type of the column.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: Name of the subject.
        type: str
        required: true
      store:
        description: The store to ask.
        type: str
        choices: [postgres, sqlite]
        required: true
      query:
        description:
          - A SELECT. Parameters are C(:source_id), and C(:subject.column) of an earlier subject.
        type: str
        required: true
      if_none:
        description:
          - What it means when the query gives no row. Checks that use the subject then pass with this text as what was
            observed.
          - Without it they are V(not_verified).
        type: str
  checks:
    description:
      - What to ask, in this order. Each has one of O(checks[].path), O(checks[].subject) and O(checks[].round_trip).
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Name of the check.
        type: str
        required: true
      path:
        description: Path and query to ask.
        type: str
      subject:
        description:
          - Name of a subject whose row is what O(checks[].expect_json) and O(checks[].expect_json_min) look at; nothing
            is sent.
        type: str
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
        description: The statuses that are right. Redirects are not followed, so they can be expected too.
        type: list
        elements: int
        default: [200]
      expect_json:
        description:
          - Dotted path to the value that must stand there, type included, such as C(backend.backend).
          - A number picks a list's element, C(*) stands for any element, one that is right is enough.
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
      round_trip:
        description:
          - Write a canary through the application, find it by SQL, put everything back.
          - The original is written back through the application; what the application sets itself is then put back by
            SQL, or the row is deleted if there was none.
        type: dict
        suboptions:
          read:
            description: How to read what is written.
            type: dict
            required: true
            suboptions:
              path:
                description: Path to ask with GET.
                type: str
                required: true
          write:
            description: How to write it.
            type: dict
            required: true
            suboptions:
              method:
                description: HTTP method.
                type: str
                default: PUT
              path:
                description: Path to write to.
                type: str
                required: true
              body:
                description: The whole document to send, as JSON.
                type: dict
              from_read:
                description: Dotted path in the read answer whose object is sent back whole.
                type: str
          field:
            description:
              - Dotted path of the field that takes the canary, inside O(checks[].round_trip.write.body) or the object
                of O(checks[].round_trip.write.from_read). A text gets it appended, a list as one more element.
            type: str
            required: true
          value_at:
            description:
              - Dotted path in the read answer where that field is shown. By default
                O(checks[].round_trip.write.from_read) and O(checks[].round_trip.field) joined.
            type: str
          volatile:
            description: Columns that the application sets itself on every write; put back by SQL.
            type: list
            elements: str
            default: []
          lands_in:
            description: The row that must hold the canary.
            type: dict
            required: true
            suboptions:
              table:
                description: Table, in SQLite and in O(schema_name) alike.
                type: str
                required: true
              column:
                description: Column that must hold the canary.
                type: str
                required: true
              where:
                description: Column to value; together they must name one row.
                type: dict
                required: true
seealso:
  - module: sxops.pg_cutover.runtime_mode
  - module: sxops.pg_cutover.tenant_parity
notes:
  - Pick a row that nobody edits for a round trip, and one whose write does not spread to other rows. A change that
    somebody else makes to it meanwhile is kept, and the check fails.
author:
  - pg_cutover developers (@sxops)
"""

EXAMPLES = r"""
- name: Wait until the application is up, and make sure that it runs on PostgreSQL
  sxops.pg_cutover.smoke_check:
    base_url: http://127.0.0.1:8123
    source_id: assets_1
    headers:
      X-SX-Source-ID: assets_1
    wait: true
    checks:
      - name: backend
        path: /health
        expect_json:
          ok: true
          backend.backend: postgres_primary
      - name: missing source refused
        path: /stats
        headers:
          X-SX-Source-ID: null
        expect_status: [400]

- name: Write a note through the application and prove that it lands in PostgreSQL
  sxops.pg_cutover.smoke_check:
    base_url: http://127.0.0.1:8123
    source_id: assets_1
    headers:
      X-SX-Source-ID: "{source_id}"
    expect_store: postgres
    dsn: "{{ vault_sx_dsn }}"
    schema_name: sx_assets_1
    sqlite_path: /srv/sx/data/sx_obsidian.db
    journal: /var/lib/pg_cutover/assets_1/smoke.json
    subjects:
      - name: noted
        store: postgres
        query: SELECT video_id FROM video_notes WHERE source_id = :source_id ORDER BY video_id LIMIT 1
    checks:
      - name: note round trip
        round_trip:
          read:
            path: /items/{noted.video_id}/note
          write:
            path: /items/{noted.video_id}/note-md
            body:
              markdown: ""
          field: markdown
          volatile: [updated_at]
          lands_in:
            table: video_notes
            column: markdown
            where:
              source_id: "{source_id}"
              video_id: "{noted.video_id}"
"""

RETURN = r"""
verdict:
  description:
    - V(passed) when every check passed, V(failed) when one failed, V(not_verified) when one could not be made or there
      was none.
  returned: always
  type: str
  sample: passed
checks:
  description: Every check in the order it was made, long texts cut.
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
      description: Why it did not pass, or what is worth knowing.
      type: str
  sample:
    - name: backend
      verdict: passed
      expected: {status: 200, backend.backend: postgres_primary}
      observed: {status: 200, backend.backend: postgres_primary}
      message: ""
subjects:
  description: Every subject, long texts cut.
  returned: always
  type: list
  elements: dict
  contains:
    name:
      description: Name of the subject.
      type: str
    store:
      description: The store that was asked.
      type: str
    row:
      description: Its first row, null when there was none.
      type: dict
    if_none:
      description: What no row means.
      type: str
    why:
      description: Why there is no row.
      type: str
base_url:
  description: The application that was asked.
  returned: always
  type: str
  sample: http://127.0.0.1:8123
duration_ms:
  description: How long everything took, in milliseconds.
  returned: always
  type: int
  sample: 412
ready_after_ms:
  description: How long it took until the application was ready, in milliseconds; null without O(wait).
  returned: always
  type: int
  sample: 1312
answered_at:
  description: When the last check was made, by the clock of this host (UTC).
  returned: always
  type: str
  sample: "2026-11-21T09:31:05.118Z"
error:
  description: Kind of the failure, V(smoke_failed) when a check is open.
  returned: failure
  type: str
  sample: smoke_failed
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.sxops.pg_cutover.plugins.module_utils._entry_point import run
from ansible_collections.sxops.pg_cutover.plugins.module_utils._options import postgres_options, requests_options
from ansible_collections.sxops.pg_cutover.plugins.module_utils._smoke import smoke


def argument_spec() -> dict:
    """Return the options; PostgreSQL's are shared."""
    stores = ["postgres", "sqlite"]
    lands_in = {
        "table": {"type": "str", "required": True},
        "column": {"type": "str", "required": True},
        "where": {"type": "dict", "required": True},
    }
    write = {
        "method": {"type": "str", "default": "PUT"},
        "path": {"type": "str", "required": True},
        "body": {"type": "dict"},
        "from_read": {"type": "str"},
    }
    round_trip = {
        "read": {"type": "dict", "required": True, "options": {"path": {"type": "str", "required": True}}},
        "write": {
            "type": "dict",
            "required": True,
            "options": write,
            "mutually_exclusive": [("body", "from_read")],
            "required_one_of": [("body", "from_read")],
        },
        "field": {"type": "str", "required": True},
        "value_at": {"type": "str"},
        "volatile": {"type": "list", "elements": "str", "default": []},
        "lands_in": {"type": "dict", "required": True, "options": lands_in},
    }
    check = {
        "name": {"type": "str", "required": True},
        "path": {"type": "str"},
        "subject": {"type": "str"},
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
        "round_trip": {"type": "dict", "options": round_trip},
    }
    subject = {
        "name": {"type": "str", "required": True},
        "store": {"type": "str", "required": True, "choices": stores},
        "query": {"type": "str", "required": True},
        "if_none": {"type": "str"},
    }
    return {
        "base_url": {"type": "str", "required": True},
        "source_id": {"type": "str"},
        "timeout": {"type": "float", "default": 10},
        "wait": {"type": "bool", "default": False},
        "wait_timeout": {"type": "float", "default": 60},
        "wait_sleep": {"type": "float", "default": 0.5},
        "wait_path": {"type": "str", "default": "/health"},
        "wait_status": {"type": "list", "elements": "int", "default": [200]},
        "expect_store": {"type": "str", "choices": stores},
        "sqlite_path": {"type": "path"},
        "schema_name": {"type": "str"},
        "journal": {"type": "path"},
        "fail_on_open": {"type": "bool", "default": True},
        "subjects": {"type": "list", "elements": "dict", "default": [], "options": subject},
        "checks": {
            "type": "list",
            "elements": "dict",
            "required": True,
            "options": check,
            "mutually_exclusive": [("path", "subject", "round_trip"), ("json", "body")],
            "required_one_of": [("path", "subject", "round_trip")],
        },
        **postgres_options(),
        **requests_options(),
    }


def main() -> None:
    module = AnsibleModule(argument_spec=argument_spec(), supports_check_mode=True)
    run(module, smoke)


if __name__ == "__main__":
    main()
