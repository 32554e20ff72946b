#!/usr/bin/python
# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: webhook_notice
short_description: Tell a webhook what happened to a profile
version_added: 1.0.0
description:
  - Sends one JSON object by POST. Redirections are not followed, the server's certificate is verified.
  - Role C(notify) calls it in the background, so that nothing waits for the answer.
extends_documentation_fragment:
  - sxops.pg_cutover.attributes
attributes:
  check_mode:
    support: full
    details: In check mode nothing is sent.
  diff_mode:
    support: N/A
    details: It changes nothing here.
  idempotent:
    support: N/A
    details: Every call is a message of its own.
options:
  url:
    description: The address. It may hold a token, and is not shown.
    type: str
    required: true
  headers:
    description: More headers, such as one with a token. Their values are not shown.
    type: json
  notice:
    description: What happened. What is not known is left out, and passwords in connection strings are masked.
    type: dict
    required: true
  timeout:
    description: How many seconds each step of the connection may take.
    type: float
    default: 10
seealso:
  - module: sxops.pg_cutover.hook_command
author:
  - pg_cutover developers (@sxops)
"""

EXAMPLES = r"""
- name: Say that the profile was switched
  sxops.pg_cutover.webhook_notice:
    url: "{{ vault_webhook_url }}"
    notice:
      event: switched
      source_id: assets_1
  async: 30
  poll: 0
"""

RETURN = r"""
status:
  description: The status of the answer.
  returned: when it was sent
  type: int
  sample: 200
error:
  description: The kind of failure, V(notice) or V(bad_input).
  returned: failure
  type: str
  sample: notice
"""

import json
import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.sxops.pg_cutover.plugins.module_utils._entry_point import run
from ansible_collections.sxops.pg_cutover.plugins.module_utils._errors import BadInput
from ansible_collections.sxops.pg_cutover.plugins.module_utils._webhook import send


def tell(module: AnsibleModule) -> dict[str, t.Any]:
    params = module.params
    try:
        headers = json.loads(params["headers"] or "{}")
    except ValueError as error:
        raise BadInput("The headers of the webhook cannot be read", "they are not JSON") from error
    if not isinstance(headers, dict):
        raise BadInput("The headers of the webhook cannot be used", "they are no dictionary")
    if module.check_mode:
        return {"changed": False}
    return {"changed": False, "status": send(params["url"], headers, params["notice"], params["timeout"])}


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "url": {"type": "str", "required": True, "no_log": True},
            "headers": {"type": "json", "no_log": True},
            "notice": {"type": "dict", "required": True},
            "timeout": {"type": "float", "default": 10},
        },
        supports_check_mode=True,
    )
    run(module, tell)


if __name__ == "__main__":
    main()
