#!/usr/bin/python
# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: tenant_load
short_description: Copy one profile's rows from a SQLite snapshot or CSV files into its PostgreSQL schema
version_added: 1.0.0
description:
  - Pairs the tables of the SQLite file with those of the tenant schema, looks at every value that is to travel,
    and copies the profile's rows with C(COPY), parents before children. CSV files can stand in for the SQLite file.
  - Several processes read disjoint ranges of a table. Where a table is large, its indexes and keys are taken away
    meanwhile and built again afterwards as they were, if O(session_role) or the login may drop them.
  - A table is loaded as a whole or not at all, and recorded in the transaction that loaded it, so an interrupted
    load goes on where it stopped and a second run finds nothing to do.
  - Values that PostgreSQL could not hold exactly are found before anything is written, and refused by table,
    column and key.
  - Rows that no load of this collection accounts for are never deleted; the load is refused instead.
  - The named columns of the profile's own row in a shared table are brought over as well.
options:
  snapshot_sha256:
    description:
      - The SHA-256 of the snapshot, as its manifest tells it. The load is refused when the file has another one.
    type: str
  workers:
    description:
      - How many processes copy, each with a connection of its own to PostgreSQL; by default as many as this host has
        cores.
      - Each takes some 40 MB of memory, however large the data is, and a value of it or two where values are larger.
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
    details:
      - Returns the whole plan, with the number of rows and everything that would be refused. A tenant schema that
        does not exist yet is planned from the types that SQLite declares.
seealso:
  - module: sxops.pg_cutover.tenant_parity
author:
  - pg_cutover developers (@sxops)
"""

EXAMPLES = r"""
- name: Load a profile from its snapshot
  sxops.pg_cutover.tenant_load:
    source_id: assets_1
    dsn: "{{ vault_admin_dsn }}"
    sqlite_path: "{{ backup.snapshot.path }}"
    snapshot_sha256: "{{ backup.snapshot.sha256 }}"
    shared_tables:
      - {name: sources, target: public.sources, key: id, columns: [id, label, enabled]}

- name: Load two of its tables from CSV files
  sxops.pg_cutover.tenant_load:
    source_id: assets_1
    dsn: "{{ vault_admin_dsn }}"
    csv_files:
      - {table: videos, path: /srv/export/videos.csv}
      - {table: user_meta, path: /srv/export/user_meta.csv, delimiter: ";", null_string: \N}
"""

RETURN = r"""
schema_name:
  description: The schema of the profile.
  returned: success
  type: str
  sample: sx_assets_1
snapshot_sha256:
  description: The SHA-256 of the loaded SQLite file; for CSV files, of the one that was made of them.
  returned: success, not in check mode
  type: str
  sample: 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
tables:
  description: The tables in load order.
  returned: success
  type: list
  elements: dict
  contains:
    table:
      description: The table in the SQLite file.
      type: str
    target:
      description: The table in the tenant schema.
      type: str
    action:
      description: V(load), V(keep) when the same rows are there already, V(replace) when those of an earlier
        load are and nobody changed them.
      type: str
    rows:
      description: How many rows the profile has in it.
      type: int
    copy_ms:
      description: How long copying it took, until all processes had committed, in milliseconds.
      type: int
    duration_ms:
      description: How long its load took, in milliseconds; 0 for V(keep) and in check mode.
      type: int
    columns:
      description: How every column travels, C(name) (C(declared)) to C(name) (C(declared)).
      type: list
      elements: str
    conversions:
      description: The same for people, the names of the columns by what they are declared as on both sides.
      type: dict
  sample:
    - table: videos
      target: videos
      action: load
      rows: 20000
      copy_ms: 800
      duration_ms: 900
      columns: ["id (TEXT) to id (text)"]
      conversions: {TEXT to text: [id]}
csv_files:
  description: The CSV files as they were read.
  returned: success with O(csv_files)
  type: list
  elements: dict
  contains:
    table:
      description: The table.
      type: str
    path:
      description: The file.
      type: str
    delimiter:
      description: The character between fields.
      type: str
    null_string:
      description: What means NULL.
      type: str
    sha256:
      description: The SHA-256 of the file.
      type: str
    rows:
      description: How many records it has.
      type: int
    other_rows:
      description: How many of them are other profiles', by the tenant column. They do not travel.
      type: int
policies:
  description: The O(policies) in effect, with those that O(csv_files) bring along.
  returned: success
  type: dict
  sample: {nul_character: quarantine}
shared_rows:
  description: What is done to the profile's own row in tables that all profiles share; nothing for equal rows.
  returned: success
  type: list
  elements: str
  sample: [update row assets_1 of public.sources]
left_out:
  description: What does not travel, and why.
  returned: success
  type: list
  elements: dict
  sample:
    - {table: sources, reason: "shared by all profiles, compared by named columns only"}
rows:
  description: How many rows the profile has in all tables together.
  returned: success
  type: int
  sample: 22000
put_back:
  description:
    - Indexes and constraints that a load which was stopped had taken away and this one puts back.
  returned: success
  type: list
  elements: str
  sample: [index idx_videos_updated of videos]
workers:
  description: How many processes copied.
  returned: success, not in check mode
  type: int
  sample: 4
worker_peak_bytes:
  description: How much memory the largest of them had resident at most, in octets.
  returned: success, not in check mode
  type: int
  sample: 33554432
index_ms:
  description: How long building the indexes and constraints took that had been taken away, in milliseconds.
  returned: success, not in check mode
  type: int
  sample: 900
planned_only:
  description: Whether the tenant schema does not exist yet, so that the plan rests on SQLite's declared types.
  returned: success
  type: bool
  sample: false
quarantine:
  description: The rows that the O(policies) set aside; a row with several faults counts under the first of them.
  returned: success
  type: list
  elements: dict
  sample:
    - table: videos
      column: title
      problem: NUL character in text
      problem_class: nul_character
      rows: 1
      first_keys: ["(source_id=assets_1, id=42)"]
findings:
  description: The values that cannot travel, and the C(problem_class) under which O(policies) can name each.
  returned: failure because of the data
  type: list
  elements: dict
duration_ms:
  description: How long the load took, in milliseconds.
  returned: success
  type: int
  sample: 2100
error:
  description: The kind of failure, one word.
  returned: failure
  type: str
  sample: data_refused
"""

import contextlib
import time
import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.sxops.pg_cutover.plugins.module_utils import (
    _bulk_load,
    _census,
    _csv_snapshot,
    _load_census,
    _load_decision,
    _parked_objects,
    _quarantine,
    _schema_promises,
    _shared_rows,
    _snapshot_digest,
)
from ansible_collections.sxops.pg_cutover.plugins.module_utils._entry_point import run
from ansible_collections.sxops.pg_cutover.plugins.module_utils._options import (
    csv_files_options,
    data_policies_options,
    postgres_options,
    profile_options,
    progress_options,
    tenant_data_options,
)
from ansible_collections.sxops.pg_cutover.plugins.module_utils._progress import open_progress
from ansible_collections.sxops.pg_cutover.plugins.module_utils._tenant_stores import Stores, open_stores
from ansible_collections.sxops.pg_cutover.plugins.module_utils._workers import available_cores

if t.TYPE_CHECKING:
    from ansible_collections.sxops.pg_cutover.plugins.module_utils._planned_table import TablePlan


def load(module: AnsibleModule) -> dict[str, t.Any]:
    """Plan the load, look at the data, and copy what is not there yet."""
    started = time.monotonic()
    with _csv_snapshot.as_snapshot(module.params, lambda: module.tmpdir) as params:
        result = _load(module, params)
        if params.get("csv_files"):
            result["csv_files"] = params["csv_files"]
    result["policies"] = params["policies"]
    result["duration_ms"] = round((time.monotonic() - started) * 1000)
    return result


def _load(module: AnsibleModule, params: dict[str, t.Any]) -> dict[str, t.Any]:
    with contextlib.ExitStack() as stack:
        # Before any store is open: neither SQLite nor PostgreSQL may be carried into another process.
        if not module.check_mode:
            digest = stack.enter_context(_snapshot_digest.hashing(params["sqlite_path"], params["snapshot_sha256"]))
        workers = stack.enter_context(_bulk_load.make_workers(params["workers"] or available_cores()))
        stores = stack.enter_context(open_stores(params, plan_only=module.check_mode))
        stack.callback(workers.close)  # first: the last one to leave a SQLite file tidies up behind all
        stores.plan.refuse()
        progress = open_progress(params)
        if not module.check_mode:
            _load_decision.begin(stores.connection, stores.profile.source_id)
        _bulk_load.open_workers(workers, stores, params)
        taken = _load_census.take_all(stores, workers, progress)
        sha256 = "" if module.check_mode else digest()
        if stores.planned_only:
            actions = dict.fromkeys((plan.target for plan in stores.plan.tables), _load_decision.LOAD)
        else:
            actions = _load_decision.decide(
                stores.source,
                stores.connection,
                stores.plan.tables,
                stores.profile.schema_name,
                stores.profile.source_id,
                workers,
            )
        # Before the application's own bootstrap there may be no such table yet.
        shared = [] if stores.planned_only else _read_shared(stores, params["shared_tables"])
        result = _describe(stores, {name: census.rows for name, census in taken.items()}, actions, shared)
        if not module.check_mode:
            result["snapshot_sha256"] = sha256
            _apply(_bulk_load.Load(stores, workers, params, sha256, progress), taken, actions, shared, result)
    return result


def _read_shared(stores: Stores, shared_tables: list[dict[str, t.Any]]) -> list[_shared_rows.SharedRow]:
    rows = _shared_rows.read(stores.source, stores.connection, shared_tables, stores.profile.source_id)
    stores.connection.rollback()
    return rows


def _describe(
    stores: Stores, rows: dict[str, int], actions: dict[str, str], shared: list[_shared_rows.SharedRow]
) -> dict[str, t.Any]:
    tables = [
        {
            "table": plan.source,
            "target": plan.target,
            "action": actions[plan.target],
            "rows": rows[plan.source],
            "copy_ms": 0,
            "duration_ms": 0,
            "columns": [
                f"{column.source} ({column.source_type}) to {column.target} ({column.target_type})"
                for column in plan.columns
            ],
            "conversions": _conversions(plan),
        }
        for plan in stores.plan.tables
    ]
    todo = {table["target"]: table["rows"] for table in tables if table["action"] != _load_decision.KEEP}
    shared_actions = [row.action for row in shared if row.action]
    parked = _parked_objects.read(stores.connection, stores.profile.schema_name)
    stores.connection.rollback()
    return {
        "changed": bool(todo or shared_actions or parked),
        "schema_name": stores.profile.schema_name,
        "tables": tables,
        "shared_rows": shared_actions,
        "left_out": [{"table": name, "reason": reason} for name, reason in stores.plan.left_out],
        "rows": sum(rows.values()),
        "quarantine": [
            found
            for plan in stores.plan.tables
            for found in _quarantine.count(stores.source, plan, stores.profile.source_id)
        ],
        "put_back": [str(one) for one in parked],
        "planned_only": stores.planned_only,
        "diff": {"before": {"rows to load": todo}, "after": {"rows to load": {}}},
    }


def _conversions(plan: TablePlan) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for column in plan.columns:
        name = column.source if column.source == column.target else f"{column.source} as {column.target}"
        found.setdefault(f"{column.source_type or 'no type'} to {column.target_type}", []).append(name)
    return found


def _apply(
    load: _bulk_load.Load,
    taken: dict[str, _census.Census],
    actions: dict[str, str],
    shared: list[_shared_rows.SharedRow],
    result: dict[str, t.Any],
) -> None:
    tables = {table["target"]: table for table in result["tables"]}
    for done in _bulk_load.load_tables(load, actions, taken):
        tables[done.table].update(rows=done.rows, copy_ms=done.copy_ms, duration_ms=done.duration_ms)
    loaded = set(actions.values()) != {_load_decision.KEEP}
    _schema_promises.keep(load.stores.connection, load.schema_name, anew=loaded)
    _shared_rows.bring(load.stores.connection, shared)
    result["workers"] = len(load.workers)
    result["index_ms"] = load.index_ms
    result["worker_peak_bytes"] = max(load.workers.each("peak_memory_bytes"))


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **postgres_options(),
            **profile_options(),
            **tenant_data_options(),
            **csv_files_options(),
            **data_policies_options(),
            **progress_options(),
            "snapshot_sha256": {"type": "str"},
            "workers": {"type": "int"},
        },
        mutually_exclusive=[("sqlite_path", "csv_files"), ("snapshot_sha256", "csv_files")],
        required_one_of=[("sqlite_path", "csv_files")],
        supports_check_mode=True,
    )
    run(module, load)


if __name__ == "__main__":
    main()
