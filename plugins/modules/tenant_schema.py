#!/usr/bin/python
# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: tenant_schema
short_description: Give a profile its own PostgreSQL schema, or move that schema aside
version_added: 1.0.0
description:
  - Makes sure that a profile (tenant) has its schema, its mapping in the application's registry, its tables, its
    grants, and the bookkeeping of this collection.
  - Refuses two profiles that would share one schema, naming both.
  - Never drops anything. A schema that is in the way is renamed, with all its rows.
options:
  state:
    description:
      - V(present) makes sure that everything is there.
      - V(archived) renames the schema to a dated name and keeps it for forensics, so that the next attempt starts
        from a clean one. Nothing happens when there is no schema.
    type: str
    choices: [present, archived]
    default: present
  tables:
    description:
      - V(application) leaves the tables to the application's own bootstrap, which has run before or will.
      - V(translate) creates missing tables from what the SQLite file declares, with their keys, indexes, checks,
        defaults, generated columns and foreign keys. Anything without an exact counterpart in PostgreSQL is refused
        by name, and what is there in another form is among RV(notes).
      - In check mode PostgreSQL itself is asked as well, when the schema does not exist yet. The statements run in a
        transaction that is rolled back, and touch nothing that is there.
    type: str
    choices: [application, translate]
    default: application
  sqlite_path:
    description: The SQLite file to translate tables from; required with O(tables=translate).
    type: path
    required: false
  nocase:
    description:
      - What becomes of the collation C(NOCASE) with O(tables=translate).
      - V(lower_index) keeps unique keys and indexes regardless of case, by C(lower\(...\)) of the text. That is exactly
        what C(NOCASE) compares, and works on every server. A comparison in a query regards case.
      - V(icu) makes an ICU collation in the tenant schema, so that comparisons in queries disregard case as well. It
        takes accented and other letters for the same regardless of case too, which SQLite does not. It needs a server
        with ICU.
      - V(refuse) refuses such columns and indexes by name.
    type: str
    choices: [lower_index, icu, refuse]
    default: lower_index
  owner:
    description: Role that is to own the schema and the tables created with O(tables=translate).
    type: str
  app_role:
    description: Role that gets USAGE on the schema and SELECT, INSERT, UPDATE and DELETE on its tables.
    type: str
  known_profiles:
    description:
      - The other profiles of the inventory, C(source_id) to schema name, so that a collision is found before the
        second one is ever mapped.
    type: dict
    default: {}
  archive_suffix:
    description:
      - What is appended to the name of an archived schema, after an underscore.
      - By default C(kept_) and the current time in UTC.
    type: str
extends_documentation_fragment:
  - sxops.pg_cutover.attributes
  - sxops.pg_cutover.postgres
  - sxops.pg_cutover.profile
  - sxops.pg_cutover.registry
  - sxops.pg_cutover.tenant_data
author:
  - pg_cutover developers (@sxops)
"""

EXAMPLES = r"""
- name: See that the application's own bootstrap gave the profile its schema
  sxops.pg_cutover.tenant_schema:
    source_id: assets_1
    dsn: "{{ vault_admin_dsn }}"

- name: Create the tables from what the SQLite file declares
  sxops.pg_cutover.tenant_schema:
    source_id: assets_1
    dsn: "{{ vault_admin_dsn }}"
    tables: translate
    sqlite_path: /srv/app/data/app.db
    app_role: app

- name: Move the schema of a failed attempt aside
  sxops.pg_cutover.tenant_schema:
    source_id: assets_1
    dsn: "{{ vault_admin_dsn }}"
    state: archived
"""

RETURN = r"""
schema_name:
  description: The schema of the profile.
  returned: success
  type: str
  sample: sx_assets_1
schema_exists:
  description: Whether the schema is there now (in check mode, before the change).
  returned: success
  type: bool
  sample: true
mapped:
  description: Whether the registry maps the profile to this schema now (in check mode, before the change).
  returned: O(state=present)
  type: bool
  sample: true
tables:
  description: The tables of the schema, before the change.
  returned: O(state=present)
  type: list
  elements: str
  sample: [user_meta, video_notes, videos]
actions:
  description: What was created, granted or renamed (in check mode, what would be).
  returned: success
  type: list
  elements: str
  sample: [bookkeeping schema sxops_cutover]
notes:
  description:
    - What of the translated tables is there in another form than in the SQLite file, or was decided by the values and
      not by the declaration.
  returned: O(state=present)
  type: list
  elements: str
  sample: ["column users.total: VIRTUAL becomes STORED, since this PostgreSQL knows no other"]
archived_as:
  description: The name under which the schema is kept.
  returned: O(state=archived) and there was a schema
  type: str
  sample: sx_assets_1_kept_20261121T030000
error:
  description: The kind of failure, one word.
  returned: failure
  type: str
  sample: profile_refused
"""

import contextlib
import datetime
import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.sxops.pg_cutover.plugins.module_utils import (
    _postgres_store,
    _sqlite_store,
    _tenant_schema,
)
from ansible_collections.sxops.pg_cutover.plugins.module_utils._entry_point import run
from ansible_collections.sxops.pg_cutover.plugins.module_utils._errors import ProfileError
from ansible_collections.sxops.pg_cutover.plugins.module_utils._options import (
    postgres_options,
    profile_options,
    registry_options,
    tenant_data_options,
)
from ansible_collections.sxops.pg_cutover.plugins.module_utils._profile import Profile, profile_of
from ansible_collections.sxops.pg_cutover.plugins.module_utils._tenant_stores import tenant_tables
from ansible_collections.sxops.pg_cutover.plugins.module_utils._translated_schema import Source
from ansible_collections.sxops.pg_cutover.plugins.module_utils._translated_types import read_observed


def ensure(module: AnsibleModule) -> dict[str, t.Any]:
    """Bring the tenant schema into the wanted state."""
    params = module.params
    profile = profile_of(params["source_id"], params["schema_prefix"], params["schema_name"])
    with contextlib.closing(_postgres_store.connect(params)) as connection:
        if params["state"] == "archived":
            return _archived(module, connection, profile)
        return _present(module, connection, profile)


def _present(module: AnsibleModule, connection: t.Any, profile: Profile) -> dict[str, t.Any]:
    params = module.params
    mapped = _tenant_schema.known_mappings(connection, params["registry_table"])
    _tenant_schema.check_mapping(profile, mapped, params["known_profiles"])
    source = _source(params) if params["tables"] == "translate" else None
    plan = _tenant_schema.plan_present(
        connection,
        profile,
        source=source,
        registry_table=params["registry_table"],
        owner=params["owner"],
        app_role=params["app_role"],
    )
    actions = list(plan.actions)
    if module.check_mode:
        _tenant_schema.rehearse(connection, plan)
    else:
        _postgres_store.try_profile_lock(connection, profile.source_id)
        _tenant_schema.apply(connection, plan)
    return {
        "changed": bool(actions),
        "schema_name": profile.schema_name,
        "schema_exists": plan.schema_exists or (source is not None and not module.check_mode),
        "mapped": profile.source_id in _tenant_schema.known_mappings(connection, params["registry_table"]),
        "tables": list(plan.tables),
        "actions": actions,
        "notes": list(plan.notes),
        "diff": {"before": {"missing": actions}, "after": {"missing": []}},
    }


def _source(params: dict[str, t.Any]) -> Source:
    with contextlib.closing(_sqlite_store.open_readonly(params["sqlite_path"])) as connection:
        catalog = _sqlite_store.read_catalog(connection)
        names = tenant_tables(catalog, params)
        observed = read_observed(connection, catalog, names)
    return Source(catalog, names, observed, params["exclude_tables"], params["nocase"])


def _archived(module: AnsibleModule, connection: t.Any, profile: Profile) -> dict[str, t.Any]:
    if profile.schema_name == "public":
        raise ProfileError(
            f"Schema public of source_id {profile.source_id!r} cannot be kept under another name",
            "extensions and other applications live in it too",
            "Nothing was changed. Restore the database from its dump instead.",
        )
    result: dict[str, t.Any] = {"changed": False, "schema_name": profile.schema_name, "actions": []}
    result["schema_exists"] = _postgres_store.schema_exists(connection, profile.schema_name)
    if not result["schema_exists"]:
        return result
    now = datetime.datetime.now(datetime.timezone.utc)
    suffix = module.params["archive_suffix"] or now.strftime("kept_%Y%m%dT%H%M%S")
    kept_as = _tenant_schema.archive_name(profile.schema_name, suffix)
    result.update(changed=True, archived_as=kept_as, actions=[f"schema {profile.schema_name} kept as {kept_as}"])
    result["diff"] = {"before": {"schema": profile.schema_name}, "after": {"schema": kept_as}}
    if not module.check_mode:
        _postgres_store.try_profile_lock(connection, profile.source_id)
        _tenant_schema.archive(connection, profile.schema_name, kept_as)
        result["schema_exists"] = False
    return result


def main() -> None:
    data_options = tenant_data_options()
    data_options["sqlite_path"] = {"type": "path"}
    module = AnsibleModule(
        argument_spec={
            **postgres_options(),
            **profile_options(),
            **registry_options(),
            **data_options,
            "state": {"type": "str", "choices": ["present", "archived"], "default": "present"},
            "tables": {"type": "str", "choices": ["application", "translate"], "default": "application"},
            "nocase": {"type": "str", "choices": ["lower_index", "icu", "refuse"], "default": "lower_index"},
            "owner": {"type": "str"},
            "app_role": {"type": "str"},
            "known_profiles": {"type": "dict", "default": {}},
            "archive_suffix": {"type": "str"},
        },
        required_if=[("tables", "translate", ["sqlite_path"])],
        supports_check_mode=True,
    )
    run(module, ensure)


if __name__ == "__main__":
    main()
