#!/usr/bin/python
# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: sqlite_integrity_info
short_description: Tell how many rows a profile has in SQLite, and whether its foreign keys hold
version_added: 1.0.0
description:
  - Counts the rows of one profile in each of its tables, and runs C(PRAGMA foreign_key_check) for them, as is asked for
    after a rollback. Rows of other profiles in the same file are left out.
  - Reads at one instant, and changes nothing.
options:
  sqlite_path:
    description: The SQLite file.
    type: path
    required: true
  fail_on_open:
    description: Whether the task fails unless every check has passed.
    type: bool
    default: false
extends_documentation_fragment:
  - sxops.pg_cutover.attributes
  - sxops.pg_cutover.profile
  - sxops.pg_cutover.tenant_data
attributes:
  check_mode:
    details: Does the same in check mode, because it only reads.
  diff_mode:
    support: N/A
    details: Nothing is ever changed.
seealso:
  - module: sxops.pg_cutover.tenant_parity
author:
  - pg_cutover developers (@sxops)
"""

EXAMPLES = r"""
- name: Look at SQLite after a rollback
  sxops.pg_cutover.sqlite_integrity_info:
    source_id: assets_1
    sqlite_path: /srv/sx/data/sx_obsidian.db
    shared_tables:
      - {name: sources, target: public.sources, key: id}
  register: integrity
"""

RETURN = r"""
verdict:
  description: V(passed) when every check passed, V(failed) when one failed, else V(not_verified).
  returned: success
  type: str
  sample: passed
rows:
  description: How many rows the profile has.
  returned: success
  type: int
  sample: 20950
tables:
  description: The same for each of its tables.
  returned: success
  type: list
  elements: dict
  contains:
    table:
      description: The table.
      type: str
    rows:
      description: The profile's rows.
      type: int
checks:
  description: Every check with what was expected and what was observed.
  returned: success
  type: list
  elements: dict
  sample:
    - name: foreign keys of user_meta
      verdict: passed
      expected: {rows without a parent: 0}
      observed: {rows without a parent: 0}
      message: ""
error:
  description: The kind of failure, one word.
  returned: failure
  type: str
  sample: integrity_failed
"""

import contextlib
import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.sxops.pg_cutover.plugins.module_utils import _sqlite_integrity, _sqlite_store
from ansible_collections.sxops.pg_cutover.plugins.module_utils._entry_point import run
from ansible_collections.sxops.pg_cutover.plugins.module_utils._errors import IntegrityFailed
from ansible_collections.sxops.pg_cutover.plugins.module_utils._options import profile_options, tenant_data_options
from ansible_collections.sxops.pg_cutover.plugins.module_utils._profile import profile_of
from ansible_collections.sxops.pg_cutover.plugins.module_utils._tenant_stores import tenant_tables
from ansible_collections.sxops.pg_cutover.plugins.module_utils._verdict import (
    PASSED,
    describe,
    open_checks,
    overall,
)


def look(module: AnsibleModule) -> dict[str, t.Any]:
    """Count and check, and fail where asked to unless everything holds."""
    params = module.params
    source_id = profile_of(params["source_id"], params["schema_prefix"], params["schema_name"]).source_id
    column = params["tenant_column"] or None
    with contextlib.closing(_sqlite_store.open_readonly(params["sqlite_path"])) as source:
        source.execute("BEGIN")
        catalog = _sqlite_store.read_catalog(source)
        rows = _sqlite_integrity.row_counts(source, tenant_tables(catalog, params), source_id, column)
        checks = _sqlite_integrity.check(source, catalog, rows, source_id, column)
    result = {
        "verdict": overall(checks),
        "rows": sum(rows.values()),
        "tables": [{"table": name, "rows": number} for name, number in rows.items()],
        "checks": [check.as_dict() for check in checks],
    }
    if params["fail_on_open"] and result["verdict"] != PASSED:
        raise IntegrityFailed(
            f"The rows of source_id {source_id!r} in SQLite are not in order",
            describe(open_checks(checks)),
            "Nothing was changed. PRAGMA foreign_key_check names the rows.",
            **result,
        )
    return {"changed": False, **result}


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **profile_options(),
            **tenant_data_options(),
            "sqlite_path": {"type": "path", "required": True},
            "fail_on_open": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    run(module, look)


if __name__ == "__main__":
    main()
