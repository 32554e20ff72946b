#!/usr/bin/python
# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: hook_command
short_description: Run the operator's own command at the boundary of a phase
version_added: 1.0.0
description:
  - Runs a program with the facts of the run as variables named C(PG_CUTOVER_*), and all of them as one JSON object on
    its standard input. No shell is between.
  - Fails when the command does, or takes longer than it may; it is then stopped with everything that it started. Needs
    the program C(timeout), which Linux has.
  - Role C(hook) calls it. The end of what the command printed is kept, with secrets masked.
extends_documentation_fragment:
  - sxops.pg_cutover.attributes
attributes:
  check_mode:
    support: full
    details: In check mode the command is not run.
  diff_mode:
    support: N/A
    details: What the command changes is not known.
  idempotent:
    support: N/A
    details: It is as idempotent as the command.
options:
  hook:
    description: Name of the hook, for messages.
    type: str
    required: true
  command:
    description: Program and arguments. Arguments can be seen by every user of the machine while it runs.
    type: list
    elements: str
    required: true
  environment:
    description:
      - More variables for the command, as a JSON object. They may hold secrets; what is printed is masked where one of
        four characters or more stands in it.
    type: json
  facts:
    description: What the command is told. What is one value becomes a variable as well.
    type: dict
    default: {}
  timeout:
    description: For how many seconds it may run.
    type: int
    default: 300
seealso:
  - module: sxops.pg_cutover.cutover_ledger
author:
  - pg_cutover developers (@sxops)
"""

EXAMPLES = r"""
- name: Tell the load balancer that a switch is coming
  sxops.pg_cutover.hook_command:
    hook: before_switch
    command: [/usr/local/bin/announce, --soon]
    environment: "{{ {'ANNOUNCE_TOKEN': vault_announce_token} | to_json }}"
    facts:
      source_id: assets_1
      phase: switch
"""

RETURN = r"""
status:
  description: The exit status of the command.
  returned: when it was run
  type: int
  sample: 0
timed_out:
  description: Whether it was stopped because it took too long.
  returned: when it was run
  type: bool
  sample: false
duration_ms:
  description: How long it took, in milliseconds.
  returned: when it was run
  type: int
  sample: 240
output:
  description: The end of what it printed, secrets masked.
  returned: when it was run
  type: str
  sample: announced
error:
  description: The kind of failure, V(hook) or V(bad_input).
  returned: failure
  type: str
  sample: hook
"""

import dataclasses
import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.sxops.pg_cutover.plugins.module_utils._entry_point import run
from ansible_collections.sxops.pg_cutover.plugins.module_utils._hook_run import failure, own_variables, run_hook


def call(module: AnsibleModule) -> dict[str, t.Any]:
    params = module.params
    environment = own_variables(params["environment"])
    if module.check_mode:
        return {"changed": True}

    def runner(argv: list[str], data: str, variables: t.Mapping[str, str]) -> tuple[int, str, str]:
        found: tuple[int, str, str] = module.run_command(
            argv, data=data, environ_update=dict(variables), errors="replace", handle_exceptions=False
        )
        return found

    program = module.get_bin_path("timeout", required=True)
    ran = run_hook(runner, program, params["command"], environment, params["facts"], params["timeout"])
    if ran.status:
        raise failure(params["hook"], params["command"][0], params["timeout"], ran)
    return {"changed": True, **dataclasses.asdict(ran)}


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "hook": {"type": "str", "required": True},
            "command": {"type": "list", "elements": "str", "required": True},
            "environment": {"type": "json", "no_log": True},
            "facts": {"type": "dict", "default": {}},
            "timeout": {"type": "int", "default": 300},
        },
        supports_check_mode=True,
    )
    run(module, call)


if __name__ == "__main__":
    main()
