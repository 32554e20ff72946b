#!/usr/bin/python
# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: cutover_report
short_description: Make the report of a cutover from its ledger
version_added: 1.0.0
description:
  - Reads a profile's ledger on the managed host, proves its chain of digests on the control node, and writes there one
    self-contained HTML page, Markdown and JSON. The three say the same; the JSON is what the other two are made from.
  - A report covers the story of one cutover. That is the run of the cutover and what came of it until the next one,
    such as its watch, a rollback, the close. It is named after the cutover, and each run of the story brings it up to
    date.
  - A ledger that was changed makes no failure. The report names the line, says that the evidence is broken, and shows
    what stands before it. It is written beside an earlier report, never over it.
  - Lines that are missing at the end, or a ledger that was written anew, leave a chain that holds. Both are found as
    long as an earlier JSON report of the profile is in O(dest).
extends_documentation_fragment:
  - sxops.pg_cutover.attributes
attributes:
  action:
    description: Runs as an action plugin on the control node, where the report is made.
    support: full
  check_mode:
    details: Says which files would change, and writes none.
  diff_mode:
    support: N/A
    details: A report is no state to compare.
  idempotent:
    details: The same ledger makes the same files, as nothing in them tells when they were made.
options:
  source_id:
    description:
      - The profile. Must match C([A-Za-z0-9._-]+); anything else is refused, not cleaned.
    type: str
    required: true
  state_dir:
    description: The folder on the managed host that holds the ledger, as of M(sxops.pg_cutover.cutover_ledger).
    type: path
    default: /var/lib/pg_cutover
  run_id:
    description: A run of the story to tell. By default the last run of the ledger.
    type: str
  dest:
    description:
      - The folder on the control node to write to, relative to where the playbook was started. It is made with mode
        V(0700) when it is missing; the files have V(0600).
    type: path
    default: cutover_reports
  formats:
    description: What to write.
    type: list
    elements: str
    choices: [html, json, md]
    default: [html, md, json]
  host:
    description: The name of the managed host, for the page. By default the inventory's.
    type: str
  schema_name:
    description: The tenant schema, for the page.
    type: str
  commands:
    description:
      - What an operator types for C(cutover), C(rollback), C(close), C(restore) and C(status). By default
        C(ansible-playbook <name>.yml -e source_id=<source_id>).
    type: dict
    default: {}
notes:
  - Jinja2 makes the pages, which every control node has. Nothing but the ledger is read from the managed host.
seealso:
  - module: sxops.pg_cutover.cutover_ledger
author:
  - pg_cutover developers (@sxops)
"""

EXAMPLES = r"""
- name: Make the report of the last cutover
  sxops.pg_cutover.cutover_report:
    source_id: assets_1
    dest: /srv/evidence
  register: report

- name: Say where it is
  ansible.builtin.debug:
    msg: "{{ report.verdict }}: {{ report.html }}"
"""

RETURN = r"""
html:
  description: The HTML page on the control node; null when O(formats) leaves it out.
  returned: success
  type: str
  sample: /srv/evidence/assets_1-20261121T093015Z-cutover-1a2b3c.html
paths:
  description: Every file of the report, by its format.
  returned: success
  type: dict
  sample:
    html: /srv/evidence/assets_1-20261121T093015Z-cutover-1a2b3c.html
    json: /srv/evidence/assets_1-20261121T093015Z-cutover-1a2b3c.json
written:
  description: The names of the files that were written, because they were missing or different.
  returned: success
  type: list
  elements: str
  sample: [assets_1-20261121T093015Z-cutover-1a2b3c.html]
run_id:
  description: The cutover that the story is named after; null when no run stands before the damage of a ledger.
  returned: success
  type: str
  sample: 20261121T093015Z-cutover-1a2b3c
verdict:
  description:
    - What the story came to. V(completed), V(closed), V(failed), V(refused), V(rolled_back), V(fired) when a trigger of
      the window did and the profile is still on PostgreSQL, V(open) when a run has not ended, or V(broken) when the
      ledger was changed.
  returned: success
  type: str
  sample: completed
live_store:
  description: The store that the ledger says is live.
  returned: success
  type: str
  sample: postgres
chain:
  description: Whether the ledger holds.
  returned: success
  type: dict
  contains:
    verified:
      description: Whether every line does.
      type: bool
    line:
      description: The first line that does not, or null.
      type: int
    why:
      description: What is wrong with it.
      type: str
    remedy:
      description: What to do then.
      type: str
    entries:
      description: How many lines hold.
      type: int
    first_digest:
      description: The digest of the first of them.
      type: str
    last_digest:
      description: The digest of the last of them.
      type: str
  sample: {verified: true, line: null, why: "", remedy: "", entries: 42, first_digest: 7d0c1b0c, last_digest: 1b0c5f0f}
error:
  description: The kind of failure, such as V(bad_input) or V(ledger).
  returned: failure
  type: str
  sample: ledger
"""

from ansible.module_utils.basic import AnsibleModule


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "source_id": {"type": "str", "required": True},
            "state_dir": {"type": "path", "default": "/var/lib/pg_cutover"},
            "run_id": {"type": "str"},
            "dest": {"type": "path", "default": "cutover_reports"},
            "formats": {
                "type": "list",
                "elements": "str",
                "choices": ["html", "json", "md"],
                "default": ["html", "md", "json"],
            },
            "host": {"type": "str"},
            "schema_name": {"type": "str"},
            "commands": {"type": "dict", "default": {}},
        },
        supports_check_mode=True,
    )
    module.fail_json(
        msg="The report is made on the control node by the action plugin of this module, which was not found; call it "
        "by its full name, sxops.pg_cutover.cutover_report.",
        error="bad_input",
    )


if __name__ == "__main__":
    main()
