#!/usr/bin/python
# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: tenant_switch_info
short_description: Tell which store takes a profile's writes
version_added: 1.0.0
description:
  - Looks at the fences of one profile in its SQLite file and in its PostgreSQL schema, at what captures changes, and at
    what is waiting to be brought to the other store. Settings and journals are not asked.
  - Works while PostgreSQL cannot be reached, and says so.
options:
  sqlite_path:
    description: The SQLite file.
    type: path
    required: true
extends_documentation_fragment:
  - sxops.pg_cutover.attributes
  - sxops.pg_cutover.postgres
  - sxops.pg_cutover.profile
  - sxops.pg_cutover.tenant_data
  - sxops.pg_cutover.data_policies
seealso:
  - module: sxops.pg_cutover.tenant_switch
author:
  - pg_cutover developers (@sxops)
"""

EXAMPLES = r"""
- name: See which store is live
  sxops.pg_cutover.tenant_switch_info:
    source_id: assets_1
    dsn: "{{ vault_admin_dsn }}"
    sqlite_path: /srv/sx/data/sx_obsidian.db
  register: standing
"""

RETURN = r"""
live_store:
  description:
    - V(sqlite) or V(postgres), the store that takes writes. V(none) and V(both) are those of an interrupted switch,
      which O(sxops.pg_cutover.tenant_switch#module:repair) mends. V(unfenced) when online mode put no fence anywhere.
  returned: success
  type: str
  sample: sqlite
sqlite_fence:
  description: V(up), V(down), or V(partial) when some of the profile's tables are without.
  returned: success
  type: str
  sample: down
postgres_fence:
  description: The same, or V(unreachable).
  returned: success
  type: str
  sample: up
postgres_reachable:
  description: Whether PostgreSQL could be asked.
  returned: success
  type: bool
  sample: true
capture:
  description: V(complete), V(incomplete) or V(absent), of what captures changes in SQLite.
  returned: success
  type: str
  sample: complete
missing:
  description: What is missing of it, by name.
  returned: success
  type: list
  elements: str
  sample: []
phase:
  description:
    - How far the cutover has come, V(loaded), V(proven), V(switching), V(switched) or V(returned). Empty when
      PostgreSQL knows of none.
  returned: success
  type: str
  sample: proven
resumable:
  description: Whether a cutover can go on with what is loaded and proven, without a new snapshot.
  returned: success
  type: bool
  sample: true
half_done:
  description: Whether a switch was interrupted, and O(sxops.pg_cutover.tenant_switch#module:repair) is needed.
  returned: success
  type: bool
  sample: false
opened_alone:
  description: Whether SQLite was opened while PostgreSQL could not be reached, and PostgreSQL is not fenced since.
  returned: success
  type: bool
  sample: false
pending_to_postgres:
  description: How many rows changed in SQLite are not in PostgreSQL yet. Not known is null.
  returned: success
  type: int
  sample: 0
pending_to_sqlite:
  description: How many rows changed in PostgreSQL are not in SQLite yet. Not known is null.
  returned: success
  type: int
  sample: 0
lag_seconds:
  description: How old the oldest of these changes is, in seconds. Null when none waits.
  returned: success
  type: float
  sample: 0.4
summary:
  description: The same as one sentence.
  returned: success
  type: str
  sample: SQLite is the live store of assets_1 (it has no fence in SQLite, its fence in PostgreSQL is up)
next:
  description: The command that mends what is wrong. Empty when nothing is.
  returned: success
  type: str
  sample: ""
error:
  description: The kind of failure, one word.
  returned: failure
  type: str
  sample: sqlite
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.sxops.pg_cutover.plugins.module_utils._entry_point import run
from ansible_collections.sxops.pg_cutover.plugins.module_utils._options import (
    data_policies_options,
    postgres_options,
    profile_options,
    tenant_data_options,
)
from ansible_collections.sxops.pg_cutover.plugins.module_utils._switch_stores import Limits, open_for_switch


def look(module: AnsibleModule) -> dict[str, t.Any]:
    """Look at both stores."""
    with open_for_switch(module.params, Limits(), without_postgres=True, looking=True) as stores:
        return {"changed": False, **stores.standing().as_dict(stores.source_id, stores.schema_name)}


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **postgres_options(),
            **profile_options(),
            **tenant_data_options(),
            **data_policies_options(),
            "sqlite_path": {"type": "path", "required": True},
        },
        supports_check_mode=True,
    )
    run(module, look)


if __name__ == "__main__":
    main()
