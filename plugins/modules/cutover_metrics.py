#!/usr/bin/python
# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: cutover_metrics
short_description: Write the figures of a profile for Prometheus
version_added: 1.0.0
description:
  - Writes C(pg_cutover_<source_id>.prom) for the textfile collector of node_exporter, from the profile's ledger and
    from how its stores stand. Times are in seconds, and nothing of it is a secret.
  - The file is put in place as a whole, with mode C(0644), as the exporter is another user.
extends_documentation_fragment:
  - sxops.pg_cutover.attributes
attributes:
  check_mode:
    support: full
    details: In check mode nothing is written.
  diff_mode:
    support: none
    details: The figures are returned.
  idempotent:
    support: none
    details: The time of writing is among the figures.
options:
  source_id:
    description: The profile.
    type: str
    required: true
  state_dir:
    description: The folder of the ledgers, as M(sxops.pg_cutover.cutover_ledger) has it.
    type: path
    default: /var/lib/pg_cutover
  directory:
    description: Where the collector looks. It must exist.
    type: path
    required: true
  standing:
    description:
      - What M(sxops.pg_cutover.tenant_switch_info) returned. Without it lag and what is pending are left out.
    type: dict
    default: {}
seealso:
  - module: sxops.pg_cutover.cutover_ledger
  - module: sxops.pg_cutover.tenant_switch_info
author:
  - pg_cutover developers (@sxops)
"""

EXAMPLES = r"""
- name: Write the figures of a profile
  sxops.pg_cutover.cutover_metrics:
    source_id: assets_1
    directory: /var/lib/node_exporter/textfile_collector
"""

RETURN = r"""
path:
  description: The file.
  returned: success
  type: str
  sample: /var/lib/node_exporter/textfile_collector/pg_cutover_assets_1.prom
text:
  description: What is in it.
  returned: success
  type: str
  sample: |
    # HELP pg_cutover_live_store Whether the store takes the writes of the profile.
    # TYPE pg_cutover_live_store gauge
    pg_cutover_live_store{source_id="assets_1",store="sqlite"} 0
    pg_cutover_live_store{source_id="assets_1",store="postgres"} 1
error:
  description: The kind of failure, V(metrics), V(ledger) or V(profile_refused).
  returned: failure
  type: str
  sample: metrics
"""

import pathlib
import time
import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.sxops.pg_cutover.plugins.module_utils import _ledger
from ansible_collections.sxops.pg_cutover.plugins.module_utils._entry_point import run
from ansible_collections.sxops.pg_cutover.plugins.module_utils._prometheus_text import put, render
from ansible_collections.sxops.pg_cutover.plugins.module_utils._run_metrics import families_of


def write(module: AnsibleModule) -> dict[str, t.Any]:
    params = module.params
    folder, name = pathlib.Path(params["directory"]), f"pg_cutover_{params['source_id']}.prom"
    entries = _ledger.read(_ledger.ledger_folder(params["state_dir"], params["source_id"])).entries
    text = render(families_of(params["source_id"], entries, params["standing"], round(time.time(), 3)))
    path = folder / name if module.check_mode else put(folder, name, text)
    return {"changed": True, "path": str(path), "text": text}


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "source_id": {"type": "str", "required": True},
            "state_dir": {"type": "path", "default": "/var/lib/pg_cutover"},
            "directory": {"type": "path", "required": True},
            "standing": {"type": "dict", "default": {}},
        },
        supports_check_mode=True,
    )
    run(module, write)


if __name__ == "__main__":
    main()
