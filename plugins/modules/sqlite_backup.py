#!/usr/bin/python
# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: sqlite_backup
short_description: Take a verified snapshot of a SQLite file while the application goes on writing
version_added: 1.0.0
description:
  - Copies a SQLite file as of one instant, by SQLite's own backup API and never as a file. What is still in the WAL is
    in the copy, and a busy writer cannot tear it.
  - The copy is a single file without a WAL, proven by C(PRAGMA integrity_check) and by counting the rows of each table.
    A C(manifest.json) beside it, written last, holds its SHA-256 and the counts. A folder without one is no snapshot.
  - A snapshot is either whole and proven, or not there. A failure removes what it wrote, and what a killed run left.
  - Rows that violate a foreign key are reported in RV(snapshot.findings). They are a fault of the data, not the copy.
extends_documentation_fragment:
  - sxops.pg_cutover.attributes
attributes:
  idempotent:
    support: partial
    details: Only with O(snapshot_id). Without it each run takes a new snapshot.
options:
  sqlite_path:
    description: Path of the SQLite file of the application.
    type: path
    required: true
  dest:
    description:
      - The folder of backups. The snapshot becomes a folder in it, named by its id, with mode C(0700); its files have
        mode C(0400). It is made with mode C(0700) when it does not exist.
    type: path
    required: true
  name:
    description: Name of the copy, without suffix. By default that of O(sqlite_path).
    type: str
  snapshot_id:
    description:
      - Name of the snapshot. By default the instant in UTC, such as V(20261121T101500.123456Z).
      - When a snapshot of that name and of the same file exists, its digests are checked again and it is returned
        unchanged. One that no longer verifies fails the task and is never overwritten.
      - With O(state=verified), the snapshot to check. By default the newest one of O(sqlite_path).
    type: str
  source_id:
    description: The profile whose rows are counted besides and exported. By default all rows are exported.
    type: str
  tenant_column:
    description:
      - The column that holds the O(source_id) of a row. Empty when the file holds a single profile.
    type: str
    default: source_id
  export_tables:
    description:
      - User-owned tables to write as JSON lines too, one file per table, one row a line, ordered by key, as of the same
        instant. Only rows of O(source_id).
      - Nothing is lost. V(null) and the empty string stay apart, bytes are C({"$base64"}), text that is not UTF-8 is
        C({"$text_base64"}), infinities are C({"$real"}), integers are exact and real numbers round-trip.
    type: list
    elements: str
    default: []
  busy_timeout:
    description: How many seconds to wait for the lock of another process.
    type: float
    default: 10.0
  state:
    description:
      - V(present) takes a snapshot.
      - V(verified) takes none, it proves an existing one again by its digests, C(integrity_check) and its counts.
    type: str
    choices: [present, verified]
    default: present
notes:
  - The free space is checked first. A snapshot needs the size of the file, twice that with O(export_tables).
  - In WAL mode writers are never held up. In the other journal modes a file that is written all the time is at last
    copied in one step, while which its writers wait on their busy timeout.
seealso:
  - module: sxops.pg_cutover.postgres_backup
  - module: sxops.pg_cutover.tenant_load
author:
  - pg_cutover developers (@sxops)
"""

EXAMPLES = r"""
- name: Take a snapshot, with the user-owned tables as JSON lines
  sxops.pg_cutover.sqlite_backup:
    sqlite_path: /srv/sx/data/sx_obsidian.db
    dest: /srv/sx/backups/sqlite
    source_id: assets_1
    export_tables: [user_meta, video_notes]

- name: Take the snapshot of a run, once
  sxops.pg_cutover.sqlite_backup:
    sqlite_path: /srv/sx/data/sx_obsidian.db
    dest: /srv/sx/backups/sqlite
    snapshot_id: "{{ run_id }}"

- name: Prove the newest snapshot again
  sxops.pg_cutover.sqlite_backup:
    sqlite_path: /srv/sx/data/sx_obsidian.db
    dest: /srv/sx/backups/sqlite
    state: verified
"""

RETURN = r"""
snapshot:
  description: The snapshot. In check mode the planned one, with null or nothing for what only the copy could tell.
  returned: success
  type: dict
  contains:
    id:
      description: Its name.
      returned: always
      type: str
      sample: 20261121T101500.123456Z
    kind:
      description: Always V(sqlite).
      returned: always
      type: str
      sample: sqlite
    created_at:
      description: The instant, in UTC.
      returned: always
      type: str
      sample: "2026-11-21T10:15:00.123456Z"
    folder:
      description: Its folder.
      returned: always
      type: str
      sample: /srv/sx/backups/sqlite/20261121T101500.123456Z
    path:
      description: The copied database.
      returned: always
      type: str
      sample: /srv/sx/backups/sqlite/20261121T101500.123456Z/sx_obsidian.db
    sha256:
      description: SHA-256 of the copied database.
      returned: always
      type: str
      sample: 3f0c3a5b9f1d0c5d3c8e1b2a7f6e5d4c3b2a190817263544536271809f0e1d2c
    bytes:
      description: Size of the copied database in bytes.
      returned: always
      type: int
      sample: 10485760
    needed_bytes:
      description: How many bytes it will need at most.
      returned: in check mode, when a snapshot would be taken
      type: int
      sample: 20971520
    manifest_path:
      description: Its manifest.
      returned: always
      type: str
      sample: /srv/sx/backups/sqlite/20261121T101500.123456Z/manifest.json
    subject:
      description: What it is a snapshot of.
      returned: always
      type: dict
      sample: {path: /srv/sx/data/sx_obsidian.db, source_id: assets_1}
    tables:
      description: Rows per table; RV(snapshot.tables[].profile_rows) are those of O(source_id), null where unknown.
      returned: always
      type: list
      elements: dict
      contains:
        name:
          description: Name of the table.
          returned: always
          type: str
          sample: videos
        rows:
          description: Its rows.
          returned: always
          type: int
          sample: 25000
        profile_rows:
          description: Its rows of O(source_id).
          returned: always
          type: int
          sample: 20000
    exports:
      description: The tables written as JSON lines.
      returned: always
      type: list
      elements: dict
      sample:
        - table: video_notes
          path: /srv/sx/backups/sqlite/20261121T101500.123456Z/video_notes.jsonl
          rows: 1000
          bytes: 81920
          sha256: 9b1deb4d3b7d4bad9bdd2b0d7b3dcb6d9b1deb4d3b7d4bad9bdd2b0d7b3dcb6d
    files:
      description: All its files with size and digest, the copied database first.
      returned: always
      type: list
      elements: dict
      sample:
        - name: sx_obsidian.db
          path: /srv/sx/backups/sqlite/20261121T101500.123456Z/sx_obsidian.db
          purpose: database
          bytes: 10485760
          sha256: 3f0c3a5b9f1d0c5d3c8e1b2a7f6e5d4c3b2a190817263544536271809f0e1d2c
          table: null
          rows: null
    findings:
      description: What was found in the data, such as rows that violate a foreign key.
      returned: always
      type: list
      elements: dict
      sample:
        - finding: foreign_key_violation
          table: user_meta
          parent: videos
          rows: 2
          message: 2 rows of user_meta point at rows of videos that do not exist
    details:
      description:
        - The source (size, inode, journal mode), the copy (pages, encoding, digest of the schema), and the rows of each
          profile by table.
      returned: always
      type: dict
      sample:
        source_bytes: 10485760
        source_inode: 1234
        journal_mode: wal
        restarts: 0
        page_size: 4096
        page_count: 2560
        encoding: UTF-8
        schema_sha256: 5d41402abc4b2a76b9719d911017c5925d41402abc4b2a76b9719d911017c592
        profiles: {assets_1: {videos: 20000}, assets_2: {videos: 5000}}
checks:
  description: The checks that were made. Empty in check mode.
  returned: success, and when a snapshot does not verify
  type: list
  elements: dict
  sample:
    - {name: integrity_check, verdict: passed, expected: ok, observed: ok, message: ""}
    - {name: tables_counted, verdict: passed, expected: null, observed: 9, message: 26000 rows}
verdict:
  description: The verdict over all checks. In check mode V(not_verified), as nothing was copied.
  returned: success, and when a snapshot does not verify
  type: str
  sample: passed
duration_ms:
  description: How long it took, in milliseconds.
  returned: success
  type: int
  sample: 640
diff:
  description: Which snapshot is there before and after.
  returned: in diff mode
  type: dict
  sample:
    before: {}
    after:
      snapshot: 20261121T101500.123456Z
      path: /srv/sx/backups/sqlite/20261121T101500.123456Z/sx_obsidian.db
      sha256: 3f0c3a5b9f1d0c5d3c8e1b2a7f6e5d4c3b2a190817263544536271809f0e1d2c
error:
  description: The kind of failure, such as V(sqlite), V(backup), V(bad_input) or V(lock_held).
  returned: failure
  type: str
  sample: backup
"""

import pathlib
import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.sxops.pg_cutover.plugins.module_utils import _entry_point
from ansible_collections.sxops.pg_cutover.plugins.module_utils._backup import backup
from ansible_collections.sxops.pg_cutover.plugins.module_utils._snapshot import SqliteSource


def back_up(module: AnsibleModule) -> dict[str, t.Any]:
    params = module.params
    source = SqliteSource(
        path=pathlib.Path(params["sqlite_path"]),
        name=params["name"],
        source_id=params["source_id"] or None,
        tenant_column=params["tenant_column"],
        export_tables=tuple(params["export_tables"]),
        busy_timeout_s=params["busy_timeout"],
    )
    return backup(source, params, module.check_mode)


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "sqlite_path": {"type": "path", "required": True},
            "dest": {"type": "path", "required": True},
            "name": {"type": "str"},
            "snapshot_id": {"type": "str"},
            "source_id": {"type": "str"},
            "tenant_column": {"type": "str", "default": "source_id"},
            "export_tables": {"type": "list", "elements": "str", "default": []},
            "busy_timeout": {"type": "float", "default": 10.0},
            "state": {"type": "str", "choices": ["present", "verified"], "default": "present"},
        },
        supports_check_mode=True,
    )
    _entry_point.run(module, back_up)


if __name__ == "__main__":
    main()
