#!/usr/bin/python
# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: migration_history_info
short_description: Tell whether PostgreSQL has the migrations that the application expects
version_added: 1.0.0
description:
  - Reads the table in which the application's migration tool keeps what it has applied, and compares it with the ids,
    and where wanted the checksums, that must be there.
  - Works with any such table, C(alembic_version), C(__EFMigrationsHistory) and C(schema_migrations) among them. Names
    are taken as they are written, capitals included.
  - Alembic keeps only the newest migration of each branch. So of a table named C(alembic_version) the expected ids are
    taken in order, the newest last, and what comes after the newest one that is there is missing.
options:
  migrations:
    description: The table, and what must be in it.
    type: dict
    required: true
    suboptions:
      table:
        description: The table, in the profile's schema, or as C(schema.table).
        type: str
        required: true
      column:
        description: The column that holds the id of a migration.
        type: str
        required: true
      checksum_column:
        description: The column that holds its checksum, where there is one.
        type: str
      expected:
        description:
          - The ids that must be there. Others may be there as well.
          - Without any the verdict is at best V(not_verified).
        type: list
        elements: str
      expected_checksums:
        description:
          - The checksum that belongs to an id; capitals and small letters are the same. Such an id is expected as well.
          - Needs O(migrations.checksum_column).
        type: dict
  fail_on_open:
    description: Whether the task fails unless every check has passed.
    type: bool
    default: false
extends_documentation_fragment:
  - sxops.pg_cutover.attributes
  - sxops.pg_cutover.postgres
  - sxops.pg_cutover.profile
attributes:
  check_mode:
    details: Does the same in check mode, because it only reads.
  diff_mode:
    support: N/A
    details: Nothing is ever changed.
seealso:
  - module: sxops.pg_cutover.tenant_schema
author:
  - pg_cutover developers (@sxops)
"""

EXAMPLES = r"""
- name: See that the schema is at the head of Alembic's migrations
  sxops.pg_cutover.migration_history_info:
    source_id: harvester
    dsn: "{{ vault_admin_dsn }}"
    migrations:
      table: alembic_version
      column: version_num
      expected: ["20251114_0011"]
    fail_on_open: true

- name: Look at the migrations of Entity Framework Core
  sxops.pg_cutover.migration_history_info:
    source_id: toolnexus
    dsn: "{{ vault_admin_dsn }}"
    migrations:
      table: public.__EFMigrationsHistory
      column: MigrationId
      expected: [20250101120000_Initial, 20250301120000_Slugs]
  register: history
"""

RETURN = r"""
verdict:
  description: V(passed) when every check passed, V(failed) when one failed, else V(not_verified).
  returned: success
  type: str
  sample: passed
applied:
  description: The migrations that are there, in the order of their ids.
  returned: success
  type: list
  elements: dict
  contains:
    id:
      description: The id.
      type: str
    checksum:
      description: Its checksum, null where there is none.
      type: str
missing:
  description: The expected ids that are not there.
  returned: success
  type: list
  elements: str
  sample: []
unexpected:
  description: The ids that are there without being expected. They fail nothing.
  returned: success
  type: list
  elements: str
  sample: []
mismatched:
  description: The ids whose checksum is another one.
  returned: success
  type: list
  elements: str
  sample: []
checks:
  description: Every check with what was expected and what was observed.
  returned: success
  type: list
  elements: dict
  sample:
    - name: migration history sx_harvester.alembic_version
      verdict: passed
      expected: ["20251114_0011"]
      observed: ["20251114_0011"]
      message: ""
error:
  description: The kind of failure, one word.
  returned: failure
  type: str
  sample: migrations_open
"""

import contextlib
import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.sxops.pg_cutover.plugins.module_utils._entry_point import run
from ansible_collections.sxops.pg_cutover.plugins.module_utils._migration_history import read_history
from ansible_collections.sxops.pg_cutover.plugins.module_utils._options import postgres_options, profile_options
from ansible_collections.sxops.pg_cutover.plugins.module_utils._postgres_store import connect
from ansible_collections.sxops.pg_cutover.plugins.module_utils._profile import profile_of


def tell(module: AnsibleModule) -> dict[str, t.Any]:
    """Read the history, and fail where asked to unless it is whole."""
    params = module.params
    profile = profile_of(params["source_id"], params["schema_prefix"], params["schema_name"])
    with contextlib.closing(connect(params)) as connection:
        found = read_history(connection, profile.schema_name, params["migrations"])
    if params["fail_on_open"]:
        found.refuse(profile.source_id)
    return {"changed": False, **found.as_dict()}


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **postgres_options(),
            **profile_options(),
            "migrations": {
                "type": "dict",
                "required": True,
                "options": {
                    "table": {"type": "str", "required": True},
                    "column": {"type": "str", "required": True},
                    "checksum_column": {"type": "str"},
                    "expected": {"type": "list", "elements": "str"},
                    "expected_checksums": {"type": "dict"},
                },
                "required_by": {"expected_checksums": "checksum_column"},
            },
            "fail_on_open": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    run(module, tell)


if __name__ == "__main__":
    main()
