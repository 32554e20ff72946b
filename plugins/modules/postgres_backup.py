#!/usr/bin/python
# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: postgres_backup
short_description: Take a verified snapshot of one profile, or of the whole database, of PostgreSQL
version_added: 1.0.0
description:
  - Dumps a profile's schema and its rows in the registry, or the whole database, with pg_dump in its custom format.
  - The dump, the row counts and the registry rows are all of one instant, seen through one exported snapshot.
  - The archive is proven by reading it back. Its list must name every table, and every row that was counted in the
    server must be in it. A C(manifest.json) beside it, written last, holds its SHA-256, the counts, and the roles and
    extensions that a restore has to find. A folder without one is no snapshot.
  - A snapshot is either whole and proven, or not there. A failure removes what it wrote, and what a killed run left.
extends_documentation_fragment:
  - sxops.pg_cutover.attributes
  - sxops.pg_cutover.postgres
  - sxops.pg_cutover.profile
  - sxops.pg_cutover.registry
attributes:
  idempotent:
    support: partial
    details: Only with O(snapshot_id). Without it each run takes a new snapshot.
options:
  sources_table:
    description: The application's table of sources, as C(schema.table). Empty when it keeps none.
    type: str
    default: public.sources
  dest:
    description:
      - The folder of backups. The snapshot becomes a folder in it, named by its id, with mode C(0700); its files have
        mode C(0400). It is made with mode C(0700) when it does not exist.
    type: path
    required: true
  snapshot_id:
    description:
      - Name of the snapshot. By default the instant in UTC, such as V(20261121T101500.123456Z).
      - When a snapshot of that name and of the same scope exists, its digests are checked again and it is returned
        unchanged. One that no longer verifies fails the task and is never overwritten.
      - With O(state=verified), the snapshot to check. By default the newest one of the same scope.
    type: str
  scope:
    description:
      - V(profile) dumps the schema of O(source_id) to C(tenant.dump), and its rows of O(registry_table) and
        O(sources_table) to C(registry.jsonl). A schema that does not exist is recorded as such, and restoring that
        snapshot means dropping it.
      - V(database) dumps the whole database to C(database.dump).
    type: str
    choices: [database, profile]
    default: profile
  source_id:
    description:
      - The profile (tenant) to dump, required with O(scope=profile). Must match C([A-Za-z0-9._-]+); anything else is
        refused, not cleaned.
    type: str
    required: false
  bin_dir:
    description:
      - The folder of PostgreSQL's client programs. By default they are looked for on E(PATH), and after that where the
        packages of the server's version put them.
      - They must be of the server's major version or newer.
    type: path
  pg_dump:
    description: Path of pg_dump, when it is not the one in O(bin_dir).
    type: path
  pg_restore:
    description: Path of pg_restore, when it is not the one in O(bin_dir).
    type: path
  lock_timeout:
    description: How many seconds to wait for a table that another session has locked.
    type: float
    default: 30.0
  state:
    description:
      - V(present) takes a snapshot.
      - V(verified) takes none, it proves an existing one again by its digests, the list of the archive and every row in
        it. The server is not asked.
    type: str
    choices: [present, verified]
    default: present
notes:
  - The password goes to pg_dump in its environment, never on its command line.
  - The free space is checked first. A snapshot needs at most the size of the tables with their indexes. It is mostly
    far smaller, being compressed.
  - With O(scope=database) the tables of the registry are locked against DDL for as long as the dump takes, as every
    dump does. With O(scope=profile) they are read in a moment.
  - Roles are recorded in the manifest and are not dumped. They belong to the server, not to the database.
requirements:
  - pg_dump and pg_restore on the managed host
seealso:
  - module: sxops.pg_cutover.sqlite_backup
  - module: sxops.pg_cutover.tenant_schema
author:
  - pg_cutover developers (@sxops)
"""

EXAMPLES = r"""
- name: Take a snapshot of a profile
  sxops.pg_cutover.postgres_backup:
    dsn: "{{ vault_sx_admin_dsn }}"
    source_id: assets_1
    dest: /srv/sx/backups/postgres

- name: Take a snapshot of the whole database, with the programs of a certain version
  sxops.pg_cutover.postgres_backup:
    dsn: "{{ vault_sx_admin_dsn }}"
    scope: database
    dest: /srv/sx/backups/postgres
    bin_dir: /usr/lib/postgresql/18/bin

- name: Prove the newest snapshot of the profile again
  sxops.pg_cutover.postgres_backup:
    source_id: assets_1
    dest: /srv/sx/backups/postgres
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
      description: Always V(postgres).
      returned: always
      type: str
      sample: postgres
    created_at:
      description: The instant, in UTC.
      returned: always
      type: str
      sample: "2026-11-21T10:15:00.123456Z"
    folder:
      description: Its folder.
      returned: always
      type: str
      sample: /srv/sx/backups/postgres/20261121T101500.123456Z
    path:
      description: The archive, or the registry rows when the schema did not exist.
      returned: always
      type: str
      sample: /srv/sx/backups/postgres/20261121T101500.123456Z/tenant.dump
    sha256:
      description: SHA-256 of RV(snapshot.path).
      returned: always
      type: str
      sample: 3f0c3a5b9f1d0c5d3c8e1b2a7f6e5d4c3b2a190817263544536271809f0e1d2c
    bytes:
      description: Size of RV(snapshot.path) in bytes.
      returned: always
      type: int
      sample: 1048576
    needed_bytes:
      description: How many bytes it will need at most.
      returned: in check mode, when a snapshot would be taken
      type: int
      sample: 10485760
    manifest_path:
      description: Its manifest.
      returned: always
      type: str
      sample: /srv/sx/backups/postgres/20261121T101500.123456Z/manifest.json
    subject:
      description: What it is a snapshot of.
      returned: always
      type: dict
      sample: {scope: profile, source_id: assets_1, schema_name: sx_assets_1, database: sx}
    tables:
      description: Rows per table at that instant.
      returned: always
      type: list
      elements: dict
      contains:
        schema:
          description: Schema of the table.
          returned: always
          type: str
          sample: sx_assets_1
        name:
          description: Name of the table.
          returned: always
          type: str
          sample: videos
        rows:
          description: Its rows.
          returned: always
          type: int
          sample: 20000
        profile_rows:
          description: The same with O(scope=profile), otherwise null.
          returned: always
          type: int
          sample: 20000
    exports:
      description: Always empty, PostgreSQL's tables are in the archive.
      returned: always
      type: list
      elements: dict
      sample: []
    files:
      description: All its files with size and digest.
      returned: always
      type: list
      elements: dict
      sample:
        - name: tenant.dump
          path: /srv/sx/backups/postgres/20261121T101500.123456Z/tenant.dump
          purpose: dump
          bytes: 1048576
          sha256: 3f0c3a5b9f1d0c5d3c8e1b2a7f6e5d4c3b2a190817263544536271809f0e1d2c
          table: null
          rows: null
        - name: registry.jsonl
          path: /srv/sx/backups/postgres/20261121T101500.123456Z/registry.jsonl
          purpose: registry
          bytes: 412
          sha256: 9b1deb4d3b7d4bad9bdd2b0d7b3dcb6d9b1deb4d3b7d4bad9bdd2b0d7b3dcb6d
          table: null
          rows: 2
    findings:
      description: Always empty.
      returned: always
      type: list
      elements: dict
      sample: []
    details:
      description: The server, whether the schema existed, the rows in the registry, and what restoring means.
      returned: always
      type: dict
      sample:
        server: "127.0.0.1:5432, database 'sx', user 'sx_admin'"
        server_version: "18.0"
        pg_dump_version: "18.0"
        schema_exists: true
        registry:
          - {table: public.sx_source_registry, exists: true, rows: 1}
          - {table: public.sources, exists: true, rows: 1}
        restore: Restore the registry rows, then schema sx_assets_1.
checks:
  description: The checks that were made. Empty in check mode.
  returned: success, and when a snapshot does not verify
  type: list
  elements: dict
  sample:
    - name: rows_in_archive
      verdict: passed
      expected: {sx_assets_1.videos: 20000}
      observed: {sx_assets_1.videos: 20000}
      message: ""
verdict:
  description: The verdict over all checks. In check mode V(not_verified), as nothing was dumped.
  returned: success, and when a snapshot does not verify
  type: str
  sample: passed
duration_ms:
  description: How long it took, in milliseconds.
  returned: success
  type: int
  sample: 910
diff:
  description: Which snapshot is there before and after.
  returned: in diff mode
  type: dict
  sample:
    before: {}
    after:
      snapshot: 20261121T101500.123456Z
      path: /srv/sx/backups/postgres/20261121T101500.123456Z/tenant.dump
      sha256: 3f0c3a5b9f1d0c5d3c8e1b2a7f6e5d4c3b2a190817263544536271809f0e1d2c
error:
  description: The kind of failure, such as V(postgres), V(backup), V(missing_dependency) or V(profile_refused).
  returned: failure
  type: str
  sample: backup
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.sxops.pg_cutover.plugins.module_utils import _entry_point
from ansible_collections.sxops.pg_cutover.plugins.module_utils._backup import backup
from ansible_collections.sxops.pg_cutover.plugins.module_utils._options import (
    postgres_options,
    profile_options,
    registry_options,
)
from ansible_collections.sxops.pg_cutover.plugins.module_utils._postgres_dump import PostgresSource
from ansible_collections.sxops.pg_cutover.plugins.module_utils._profile import profile_of


def back_up(module: AnsibleModule) -> dict[str, t.Any]:
    params = module.params
    profile = None
    if params["scope"] == "profile":
        profile = profile_of(params["source_id"], params["schema_prefix"], params["schema_name"])
    source = PostgresSource(
        params=params,
        run=module.run_command,
        profile=profile,
        registry_table=params["registry_table"],
        sources_table=params["sources_table"],
        lock_timeout_s=params["lock_timeout"],
    )
    return backup(source, params, module.check_mode)


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **postgres_options(),
            **profile_options(),
            **registry_options(),
            "sources_table": {"type": "str", "default": "public.sources"},
            "source_id": {"type": "str"},
            "dest": {"type": "path", "required": True},
            "snapshot_id": {"type": "str"},
            "scope": {"type": "str", "choices": ["database", "profile"], "default": "profile"},
            "bin_dir": {"type": "path"},
            "pg_dump": {"type": "path"},
            "pg_restore": {"type": "path"},
            "lock_timeout": {"type": "float", "default": 30.0},
            "state": {"type": "str", "choices": ["present", "verified"], "default": "present"},
        },
        supports_check_mode=True,
        required_if=[("scope", "profile", ("source_id",))],
    )
    _entry_point.run(module, back_up)


if __name__ == "__main__":
    main()
