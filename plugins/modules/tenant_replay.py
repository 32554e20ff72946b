#!/usr/bin/python
# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: tenant_replay
short_description: Bring the rows that changed in one store of a profile into the other
version_added: 1.0.0
description:
  - Reads the keys that capture has logged in the live store, and makes the other store hold of each what the live
    one holds now. Doing it again changes nothing, and one that was killed is simply done again.
  - Into PostgreSQL it catches up with a SQLite file that is written to, pass by pass. The tenant schema is fenced
    before the first pass.
  - Into SQLite it is the return path, as long as the profile is fenced there. Only columns whose value is another one
    are written, and every row is read again before it counts.
  - A value that SQLite can spell in several ways follows those that the row and the column hold already, such as the
    separator, the zone and the digits of a time, the dashes and letters of a UUID, a number of seconds, or the word for
    a boolean. Where there is nothing to follow it is PostgreSQL's text (C(2026-11-21 09:30:15+00)), a UUID with dashes
    in small letters, 0 or 1 for a boolean, an integer or the shortest double for a number. Of C(jsonb) it always is
    PostgreSQL's text.
  - Where the profile has gone back and SQLite is live, what stayed in PostgreSQL is merged by O(conflict).
  - A row that cannot be brought over as it is stops the replay by table, key and column, and stays pending.
options:
  direction:
    description: Into which store the rows are brought.
    type: str
    choices: [to_postgres, to_sqlite]
    required: true
  max_lag:
    description: The replay into PostgreSQL goes on until at most so many keys are pending.
    type: int
    default: 0
  timeout:
    description:
      - For how many seconds at most it tries to get there, once O(hold_file) is gone; it fails after that.
      - V(0) means that it tries for ever.
    type: int
    default: 600
  hold_file:
    description: It goes on for as long as this file exists, with the lag kept low.
    type: path
  duration:
    description: It goes on for so many seconds.
    type: float
    default: 0
  interval:
    description: How many seconds pass between two looks at the log when it goes on.
    type: float
    default: 5
  conflict:
    description:
      - What happens to rows that changed in both stores, when SQLite is live again. A key is in conflict when it is
        pending in PostgreSQL and in SQLite's log since the switch, and the rows are not the same; where SQLite has
        no capture, whenever the rows are not the same.
      - V(refuse) changes nothing and names them, V(report_only) lists them and changes nothing.
      - V(postgres_wins) and V(sqlite_wins) take the row of that store.
      - V(last_write_wins) takes the row whose O(timestamp_column) is newer. Where it is NULL, no time, or the same, and
        where the row was deleted on one side, SQLite's row stays and is reported.
    type: str
    choices: [refuse, last_write_wins, postgres_wins, sqlite_wins, report_only]
    default: refuse
  timestamp_column:
    description: The column that tells when a row was written, for O(conflict=last_write_wins).
    type: str
  snapshot_path:
    description:
      - The snapshot that was loaded into the tenant schema. Its log says from where the catch-up starts.
      - Needed once after each load; given again it changes nothing.
    type: path
  snapshot_sha256:
    description: The SHA-256 of O(snapshot_path), as its manifest tells it.
    type: str
  proven:
    description: Whether M(sxops.pg_cutover.tenant_parity) has passed for the snapshot and the schema.
    type: bool
    default: false
  export:
    description:
      - With O(direction=to_sqlite), also writes the rows that changed in PostgreSQL into files, one per table, in a
        folder for its owner only. Rows that were deleted are there by their key.
    type: dict
    suboptions:
      path:
        description: The folder; it is made where it does not exist.
        type: path
        required: true
      format:
        description: CSV with a header, or one JSON object per line.
        type: str
        choices: [csv, jsonl]
        default: csv
      since:
        description: Only what changed at this time or later, as PostgreSQL reads a time. Everything without it.
        type: str
extends_documentation_fragment:
  - sxops.pg_cutover.attributes
  - sxops.pg_cutover.postgres
  - sxops.pg_cutover.profile
  - sxops.pg_cutover.tenant_data
  - sxops.pg_cutover.data_policies
  - sxops.pg_cutover.progress
attributes:
  check_mode:
    details:
      - Reports by table and key what is pending (V(to_postgres)), or what going back without a replay would lose
        (V(to_sqlite)). Nothing is changed, and nothing is exported.
  diff_mode:
    support: N/A
    details: The rows themselves are not shown.
seealso:
  - module: sxops.pg_cutover.change_capture
  - module: sxops.pg_cutover.tenant_parity
author:
  - pg_cutover developers (@sxops)
"""

EXAMPLES = r"""
- name: Catch up with the live SQLite file
  sxops.pg_cutover.tenant_replay:
    direction: to_postgres
    source_id: assets_1
    dsn: "{{ vault_admin_dsn }}"
    sqlite_path: /srv/sx/data/sx_obsidian.db
    snapshot_path: "{{ backup.snapshot.path }}"
    snapshot_sha256: "{{ backup.snapshot.sha256 }}"
    proven: true
    max_lag: 100

- name: Drain the return path every five seconds for ten minutes
  sxops.pg_cutover.tenant_replay:
    direction: to_sqlite
    source_id: assets_1
    dsn: "{{ vault_admin_dsn }}"
    sqlite_path: /srv/sx/data/sx_obsidian.db
    duration: 600

- name: Tell what would be lost by going back now
  sxops.pg_cutover.tenant_replay:
    direction: to_sqlite
    source_id: assets_1
    dsn: "{{ vault_admin_dsn }}"
    sqlite_path: /srv/sx/data/sx_obsidian.db
  check_mode: true
"""

RETURN = r"""
replayed:
  description: How many rows were added or changed. Rows that were there already as they are do not count.
  returned: success
  type: int
  sample: 120
deleted:
  description: How many rows were deleted.
  returned: success
  type: int
  sample: 3
pending:
  description: How many keys were pending at the end.
  returned: success
  type: int
  sample: 0
lag_seconds:
  description: How old the oldest of them was, in seconds; V(null) where nothing was pending.
  returned: success
  type: float
  sample: 0.2
tables:
  description: The same by table.
  returned: success
  type: list
  elements: dict
  sample:
    - {table: videos, upserted: 120, deleted: 3}
conflicts:
  description: The rows that changed in both stores, which store's row was taken, and why.
  returned: success
  type: list
  elements: dict
  sample:
    - table: videos
      key: (source_id=assets_1, id=42)
      kind: different
      columns: [caption]
      changed_at: "2026-11-21 09:30:15.123456+00"
      winner: sqlite
      why: by strategy
left:
  description:
    - In check mode, the rows that going back without a replay would lose (V(to_sqlite)) or that are pending
      (V(to_postgres)). After a merge, the rows that stay as they are in SQLite. At most 10000 of them.
  returned: success
  type: list
  elements: dict
  contains:
    table:
      description: The table in the SQLite file.
      type: str
    key:
      description: The key of the row.
      type: str
    kind:
      description: V(only_in_postgres), V(different), V(deleted_in_postgres) or V(pending).
      type: str
    columns:
      description: The columns that differ.
      type: list
      elements: str
    changed_at:
      description: When the row changed in PostgreSQL.
      type: str
left_rows:
  description: How many there are of them in all.
  returned: success
  type: int
  sample: 0
exported:
  description: The files that O(export) wrote.
  returned: success
  type: list
  elements: dict
  sample:
    - {table: videos, path: /srv/export/videos.csv, rows: 120, deleted: 3}
passes:
  description: How many passes there were.
  returned: success
  type: int
  sample: 3
stopped_by:
  description:
    - Why it ended, one of V(caught_up), V(drained), V(merged), V(reported), V(hold_released), V(duration), V(check),
      V(postgres_gone) where its time was over while PostgreSQL could not be reached, and V(fence_down) where the
      profile is no longer fenced in SQLite, because somebody has gone back.
  returned: success
  type: str
  sample: caught_up
schema_name:
  description: The schema of the profile.
  returned: success
  type: str
  sample: sx_assets_1
duration_ms:
  description: How long it took, in milliseconds.
  returned: success
  type: int
  sample: 800
table:
  description: The table of the row that could not be brought over.
  returned: failure because of a row
  type: str
  sample: videos
key:
  description: The key of that row.
  returned: failure because of a row
  type: str
  sample: (source_id=assets_1, id=42)
column:
  description: The column of the value, where it is one.
  returned: failure because of a row
  type: str
  sample: rating
error:
  description: The kind of failure, one word.
  returned: failure
  type: str
  sample: replay
"""

import time
import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.sxops.pg_cutover.plugins.module_utils._delta_export import FORMATS
from ansible_collections.sxops.pg_cutover.plugins.module_utils._entry_point import run
from ansible_collections.sxops.pg_cutover.plugins.module_utils._merge import STRATEGIES
from ansible_collections.sxops.pg_cutover.plugins.module_utils._options import (
    data_policies_options,
    postgres_options,
    profile_options,
    progress_options,
    tenant_data_options,
)
from ansible_collections.sxops.pg_cutover.plugins.module_utils._profile import profile_of
from ansible_collections.sxops.pg_cutover.plugins.module_utils._progress import open_progress
from ansible_collections.sxops.pg_cutover.plugins.module_utils._replay_loop import TO_POSTGRES, TO_SQLITE
from ansible_collections.sxops.pg_cutover.plugins.module_utils._replaying import Replaying


def replay(module: AnsibleModule) -> dict[str, t.Any]:
    """Replay in one direction until there is a reason to stop."""
    started = time.monotonic()
    params = module.params
    outcome = Replaying(params, module.check_mode, open_progress(params)).run()
    would_change = module.check_mode and outcome.left_rows > 0
    return {
        "changed": bool(outcome.replayed.tables or outcome.exported or would_change),
        **outcome.as_dict(),
        "schema_name": profile_of(params["source_id"], params["schema_prefix"], params["schema_name"]).schema_name,
        "duration_ms": round((time.monotonic() - started) * 1000),
    }


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **postgres_options(),
            **profile_options(),
            **tenant_data_options(),
            **data_policies_options(),
            **progress_options(),
            "direction": {"type": "str", "choices": [TO_POSTGRES, TO_SQLITE], "required": True},
            "max_lag": {"type": "int", "default": 0},
            "timeout": {"type": "int", "default": 600},
            "hold_file": {"type": "path"},
            "duration": {"type": "float", "default": 0},
            "interval": {"type": "float", "default": 5},
            "conflict": {"type": "str", "choices": list(STRATEGIES), "default": "refuse"},
            "timestamp_column": {"type": "str"},
            "snapshot_path": {"type": "path"},
            "snapshot_sha256": {"type": "str"},
            "proven": {"type": "bool", "default": False},
            "export": {
                "type": "dict",
                "options": {
                    "path": {"type": "path", "required": True},
                    "format": {"type": "str", "choices": list(FORMATS), "default": "csv"},
                    "since": {"type": "str"},
                },
            },
        },
        required_together=[("snapshot_path", "snapshot_sha256")],
        required_if=[("conflict", "last_write_wins", ["timestamp_column"])],
        supports_check_mode=True,
    )
    run(module, replay)


if __name__ == "__main__":
    main()
