#!/usr/bin/python
# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: tenant_parity
short_description: Prove that a profile's rows are the same in SQLite and in PostgreSQL
version_added: 1.0.0
description:
  - Reads both stores again and compares every row of every table of the profile, whatever any loader reported.
  - On a difference it names the rows by key (the first 20 per table) and the columns that differ.
  - Also checks unique keys, orphans, sequences, ordered slices, samples, rows of other profiles in the tenant
    schema, and the named columns of shared tables.
  - Compares CSV files with PostgreSQL in the same way, where those were loaded.
  - Changes nothing.
options:
  mode:
    description:
      - V(full) compares every value of every row.
      - V(keys) compares the identifying columns only, V(counts) only the numbers of rows. Both can fail, but their
        best verdict is V(not_verified).
    type: str
    choices: [full, keys, counts]
    default: full
  live:
    description:
      - Whether PostgreSQL takes the profile's writes, as after an online switch.
      - Then exactly the keys in the return log are left out, which wait to be brought back to SQLite, so that no write
        looks like damage. Samples, ordered slices and shared tables are not looked at, because the application may
        change them meanwhile.
      - Where SQLite is not fenced, or not everything that changes in PostgreSQL is captured, as after an offline
        cutover, the rows are V(not_verified) and only what holds on its own in PostgreSQL is checked.
      - Needs O(mode=full), and O(sqlite_path).
    type: bool
    default: false
  fail_on_open:
    description: Whether the task fails unless every check has passed.
    type: bool
    default: true
  workers:
    description:
      - How many processes read the SQLite file; by default as many as this host has cores.
    type: int
extends_documentation_fragment:
  - sxops.pg_cutover.attributes
  - sxops.pg_cutover.postgres
  - sxops.pg_cutover.profile
  - sxops.pg_cutover.tenant_data
  - sxops.pg_cutover.csv_files
  - sxops.pg_cutover.data_policies
  - sxops.pg_cutover.progress
attributes:
  check_mode:
    details: Does the same in check mode, because it only reads.
  diff_mode:
    support: N/A
    details: Nothing is ever changed.
seealso:
  - module: sxops.pg_cutover.tenant_load
author:
  - pg_cutover developers (@sxops)
"""

EXAMPLES = r"""
- name: Prove that every row of the snapshot arrived
  sxops.pg_cutover.tenant_parity:
    source_id: assets_1
    dsn: "{{ vault_admin_dsn }}"
    sqlite_path: "{{ backup.snapshot.path }}"
    shared_tables:
      - {name: sources, target: public.sources, key: id, columns: [id, label, enabled]}

- name: Look for damage while the application works on PostgreSQL
  sxops.pg_cutover.tenant_parity:
    source_id: assets_1
    dsn: "{{ vault_admin_dsn }}"
    sqlite_path: /srv/sx/data/sx_obsidian.db
    shared_tables:
      - {name: sources, target: public.sources, key: id, columns: [id, label, enabled]}
    live: true
"""

RETURN = r"""
verdict:
  description: V(passed) when every check passed, V(failed) when one failed, else V(not_verified).
  returned: always
  type: str
  sample: passed
checks:
  description: Every check with what was expected and what was observed.
  returned: always
  type: list
  elements: dict
  sample:
    - name: rows of videos
      verdict: passed
      expected: {rows: 20000, missing: 0, extra: 0, different: 0}
      observed: {rows: 20000, missing: 0, extra: 0, different: 0}
      message: ""
tables:
  description: The comparison of every table.
  returned: always
  type: list
  elements: dict
  contains:
    table:
      description: The table.
      type: str
    verdict:
      description: Its verdict.
      type: str
    sqlite_rows:
      description: The profile's rows in SQLite.
      type: int
    postgres_rows:
      description: All rows of the tenant's table.
      type: int
    missing:
      description: Rows that are only in SQLite; at least so many where RV(tables[].complete) is false.
      type: int
    extra:
      description: Rows that are only in PostgreSQL.
      type: int
    different:
      description: Rows with one key and different values.
      type: int
    complete:
      description: Whether every differing row was looked at.
      type: bool
    first_differences:
      description: The first rows that differ, by key, and their columns.
      type: list
      elements: dict
    pending:
      description: How many keys were left out, with their rows on both sides, because they wait in the return log.
      type: int
quarantine:
  description:
    - The rows that the O(policies) set aside, which only SQLite has. A row with several faults counts under the first
      of them. Whether the quarantine holds just these is one of the checks.
  returned: always
  type: list
  elements: dict
  sample:
    - table: videos
      column: title
      problem: NUL character in text
      problem_class: nul_character
      rows: 1
      first_keys: ["(source_id=assets_1, id=42)"]
rows:
  description: How many rows of SQLite were compared.
  returned: always
  type: int
  sample: 22000
duration_ms:
  description: How long the comparison took, in milliseconds.
  returned: always
  type: int
  sample: 800
error:
  description: The kind of failure, one word.
  returned: failure
  type: str
  sample: parity_failed
"""

import contextlib
import time
import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.sxops.pg_cutover.plugins.module_utils import _csv_snapshot, _parity_run, _quarantine
from ansible_collections.sxops.pg_cutover.plugins.module_utils._entry_point import run
from ansible_collections.sxops.pg_cutover.plugins.module_utils._errors import BadInput
from ansible_collections.sxops.pg_cutover.plugins.module_utils._options import (
    csv_files_options,
    data_policies_options,
    postgres_options,
    profile_options,
    progress_options,
    tenant_data_options,
)
from ansible_collections.sxops.pg_cutover.plugins.module_utils._parity import MODES
from ansible_collections.sxops.pg_cutover.plugins.module_utils._progress import open_progress
from ansible_collections.sxops.pg_cutover.plugins.module_utils._snapshot_reader import (
    SnapshotReader,
    read_at_one_instant,
)
from ansible_collections.sxops.pg_cutover.plugins.module_utils._tenant_stores import open_stores
from ansible_collections.sxops.pg_cutover.plugins.module_utils._workers import Workers, available_cores


def prove(module: AnsibleModule) -> dict[str, t.Any]:
    """Compare the two stores, and fail unless every check passed."""
    started = time.monotonic()
    if module.params["live"] and (module.params["mode"] != "full" or module.params["csv_files"]):
        raise BadInput("live needs mode full, and sqlite_path")
    with contextlib.ExitStack() as stack:
        params = stack.enter_context(_csv_snapshot.as_snapshot(module.params, lambda: module.tmpdir))
        # Before any store is open: no connection may be carried into another process.
        workers = stack.enter_context(Workers(params["workers"] or available_cores(), SnapshotReader))
        stores = stack.enter_context(open_stores(params))
        stack.callback(workers.close)  # first: the last one to leave a SQLite file tidies up behind all
        progress = open_progress(params)

        def begin() -> Workers | None:
            # A file that is written to without a pause is read by this process alone.
            return workers if read_at_one_instant(workers, stores.source, stores.sqlite_path) else None

        if params["live"]:  # a table of the file that was added since keeps nobody from looking for damage
            outcome = _parity_run.compare_live_stores(stores, begin, progress)
        else:
            stores.plan.refuse()
            outcome = _parity_run.compare_stores(stores, params["shared_tables"], params["mode"], progress, begin())
        quarantine = [
            found
            for plan in stores.plan.tables
            for found in _quarantine.count(stores.source, plan, stores.profile.source_id)
        ]
    result = {**outcome.as_dict(), "quarantine": quarantine, "duration_ms": round((time.monotonic() - started) * 1000)}
    if module.params["fail_on_open"]:
        outcome.refuse(stores.profile.source_id, result)
    return {"changed": False, **result}


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **postgres_options(),
            **profile_options(),
            **tenant_data_options(),
            **csv_files_options(),
            **data_policies_options(),
            **progress_options(),
            "mode": {"type": "str", "choices": list(MODES), "default": "full"},
            "live": {"type": "bool", "default": False},
            "fail_on_open": {"type": "bool", "default": True},
            "workers": {"type": "int"},
        },
        mutually_exclusive=[("sqlite_path", "csv_files")],
        required_one_of=[("sqlite_path", "csv_files")],
        supports_check_mode=True,
    )
    run(module, prove)


if __name__ == "__main__":
    main()
