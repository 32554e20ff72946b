#!/usr/bin/python
# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: change_capture
short_description: Log the keys of a profile's rows that change in SQLite or in PostgreSQL
version_added: 1.0.0
description:
  - Puts triggers on the profile's tables in one of the two stores. They log the key of every row of the profile that is
    inserted, updated or deleted, within the transaction that does it. The rows themselves are read when they are
    replayed into the other store.
  - The application keeps running and notices nothing. Other profiles of the same SQLite file are not logged.
  - In SQLite also rows that C(REPLACE) deletes are logged, which fires no delete trigger, and rows that are deleted by
    a foreign key's action.
  - In PostgreSQL C(TRUNCATE) is logged as well. The function behind the triggers runs with the rights of the role that
    installs it, and the log is out of reach of the application's role.
  - Where capture is installed and complete, nothing happens. Where a table was made anew, added or changed since, all
    of it is installed anew under another RV(capture_id), because changes may have been missed. A load has to start
    from a snapshot that was taken after that.
  - V(absent) leaves no trace in the SQLite file's schema nor in the tenant schema.
options:
  side:
    description:
      - The store to capture changes in.
      - V(sqlite) needs no PostgreSQL.
      - V(postgres) needs O(sqlite_path) as well with O(state=present), because the tables are paired first.
    type: str
    choices: [sqlite, postgres]
    required: true
  state:
    description:
      - V(present) installs capture.
      - V(absent) removes triggers and log. A fence is left where it is.
    type: str
    choices: [present, absent]
    default: present
  sqlite_path:
    description:
      - The SQLite file. It is opened for writing with O(side=sqlite) where something is to be changed, and for reading
        only otherwise.
      - Required unless O(side=postgres) and O(state=absent).
    type: path
  busy_timeout:
    description:
      - How many seconds to wait for other writers; of SQLite's file as a whole, of PostgreSQL's tables one by one.
      - An application's writes wait meanwhile, too.
    type: float
    default: 5
  fail_on_unsupported:
    description:
      - Whether the task fails when a table of the profile cannot be captured, such as one without a primary key.
      - Otherwise such tables are returned, and nothing is installed.
    type: bool
    default: true
extends_documentation_fragment:
  - sxops.pg_cutover.attributes
  - sxops.pg_cutover.postgres
  - sxops.pg_cutover.profile
  - sxops.pg_cutover.tenant_data
attributes:
  diff_mode:
    details: Lists the triggers.
notes:
  - As long as capture is installed, SQLite refuses to drop a column that a trigger names, such as one that a unique
    index rested on until then. The error names a trigger that begins with C(sxops_capture).
  - With O(side=postgres) the role must own the tables, be a member of their owner, or be a superuser.
seealso:
  - module: sxops.pg_cutover.tenant_load
  - module: sxops.pg_cutover.tenant_parity
author:
  - pg_cutover developers (@sxops)
"""

EXAMPLES = r"""
- name: Log what changes in SQLite from now on
  sxops.pg_cutover.change_capture:
    source_id: assets_1
    side: sqlite
    sqlite_path: /srv/app/data/app.db
    shared_tables:
      - {name: sources, key: id}

- name: See whether the profile can be cut over while it serves
  sxops.pg_cutover.change_capture:
    source_id: assets_1
    side: sqlite
    sqlite_path: /srv/app/data/app.db
    fail_on_unsupported: false
  check_mode: true
  register: capture

- name: Remove capture from PostgreSQL
  sxops.pg_cutover.change_capture:
    source_id: assets_1
    side: postgres
    dsn: "{{ vault_admin_dsn }}"
    state: absent
"""

RETURN = r"""
capture_id:
  description:
    - Which capture of the SQLite file positions belong to. None in PostgreSQL, where nothing is captured, and in check
      mode where nothing is captured yet.
  returned: success
  type: str
  sample: 1b3f0a52-6c1e-4a55-9d0a-0f4f0e6c7b1d
position:
  description: The highest entry of the log; V(0) when nothing was logged yet.
  returned: success
  type: int
  sample: 0
tables:
  description: The captured tables (in check mode, those that would be) with the columns of their keys.
  returned: success
  type: dict
  sample:
    videos: [source_id, id]
unsupported:
  description: The tables of the profile that cannot be captured.
  returned: always
  type: list
  elements: dict
  contains:
    table:
      description: The table.
      type: str
    reason:
      description: Why its changes cannot be captured.
      type: str
  sample: []
actions:
  description: What was installed or removed (in check mode, what would be), and why capture was not complete before.
  returned: success
  type: list
  elements: str
  sample: ["capture installed on videos, user_meta"]
error:
  description: The kind of failure, one word.
  returned: failure
  type: str
  sample: capture
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.sxops.pg_cutover.plugins.module_utils import _capture_run
from ansible_collections.sxops.pg_cutover.plugins.module_utils._entry_point import run
from ansible_collections.sxops.pg_cutover.plugins.module_utils._options import (
    postgres_options,
    profile_options,
    tenant_data_options,
)


def capture(module: AnsibleModule) -> dict[str, t.Any]:
    """Install or remove capture in one store."""
    return _capture_run.run(module.params, module.check_mode)


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **postgres_options(),
            **profile_options(),
            **tenant_data_options(),
            "side": {"type": "str", "choices": ["sqlite", "postgres"], "required": True},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "busy_timeout": {"type": "float", "default": 5},
            "fail_on_unsupported": {"type": "bool", "default": True},
        },
        required_if=[("state", "present", ["sqlite_path"]), ("side", "sqlite", ["sqlite_path"])],
        supports_check_mode=True,
    )
    run(module, capture)


if __name__ == "__main__":
    main()
