#!/usr/bin/python
# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: runtime_mode
short_description: Point an application's settings file to SQLite or to PostgreSQL
version_added: 1.0.0
description:
  - Brings the named keys of a settings file (env, JSON or YAML) to the values of one store, in one atomic step.
  - Every other line stays as it is, comments, order, quotes and line endings included. Mode, owner and, where the
    file system allows, extended attributes are kept. A link is followed and stays a link.
  - An application reads its settings at its start, so notify the handler that restarts it.
  - To ask without changing anything which store the file points to, run this in check mode. Then
    RV(ignore:changed=false) means it points to O(store), RV(keys_changed) names the keys that do not, and
    RV(observed_settings) what they hold.
extends_documentation_fragment:
  - sxops.pg_cutover.attributes
options:
  path:
    description:
      - Path of the settings file. It must exist, it is never created.
    type: path
    required: true
  format:
    description:
      - How the file is written.
      - V(env) is a dotenv file. Values are quoted so that python-dotenv, a POSIX shell (C(set -a; . file)) and
        systemd's C(EnvironmentFile) read the same; a value for which there is no such way is refused. A key defined
        twice is refused, since readers do not agree on which one counts.
      - V(json) is plain JSON; a file with comments is refused.
      - V(yaml) needs ruamel.yaml on the managed host.
    type: str
    choices: [env, json, yaml]
    default: env
  store:
    description:
      - The store that the file points to once it holds O(settings) and O(secrets). It only names the result.
    type: str
    choices: [postgres, sqlite]
    required: true
  settings:
    description:
      - Key to value, as the file must hold them. A null value means the key must be absent.
      - In V(json) and V(yaml) a key is a dotted path such as V(database.provider), parents are created where they are
        missing, and C(\.) stands for a dot inside a name.
      - In V(env) a boolean becomes V(true) or V(false).
    type: dict
    default: {}
  secrets:
    description:
      - Like O(settings), for values that must not be seen, such as a connection string with a password.
      - They are masked in RV(diff), and left out of RV(observed_settings).
    type: dict
    default: {}
  backup:
    description:
      - Keep a copy of the file as it was beside it, with mode C(0600), when something changes.
    type: bool
    default: true
notes:
  - The file is read once more just before it is replaced. When someone else changed it meanwhile, the task fails and
    nothing is written.
  - Whether the file and its folder can be written is found out in check mode too, for root as well (an immutable
    file, a read-only mount, a single file mounted into a container).
  - A comment behind a value stays where it is. systemd's C(EnvironmentFile) knows no such comments, so there is
    a warning.
  - C(docker run --env-file) takes quotes literally; Compose does not.
seealso:
  - module: sxops.pg_cutover.smoke_check
  - module: sxops.pg_cutover.cutover_ledger
author:
  - pg_cutover developers (@sxops)
"""

EXAMPLES = r"""
- name: Point the application to PostgreSQL
  sxops.pg_cutover.runtime_mode:
    path: /srv/sx/.env
    store: postgres
    settings:
      SX_DB_BACKEND_MODE: POSTGRES_PRIMARY
    secrets:
      SX_POSTGRES_DSN: "{{ vault_sx_dsn }}"
  notify: Restart the application

- name: Point an ASP.NET application back to SQLite
  sxops.pg_cutover.runtime_mode:
    path: /srv/toolnexus/appsettings.Production.json
    format: json
    store: sqlite
    settings:
      Database.Provider: Sqlite
      Database.ConnectionString: Data Source=/srv/toolnexus/data/toolnexus.db
  notify: Restart the application

- name: Ask whether the file points to PostgreSQL
  sxops.pg_cutover.runtime_mode:
    path: /srv/sx/.env
    store: postgres
    settings:
      SX_DB_BACKEND_MODE: POSTGRES_PRIMARY
  check_mode: true
  register: asked # asked is not changed: it does
"""

RETURN = r"""
store:
  description: The store that the file points to now (in check mode, that it would point to).
  returned: success
  type: str
  sample: postgres
path:
  description: The settings file as it was named.
  returned: success
  type: str
  sample: /srv/sx/.env
real_path:
  description: The file that was read and replaced; differs from RV(path) where that is a link.
  returned: success
  type: str
  sample: /srv/sx/config/production.env
keys_changed:
  description: The keys that did not stand in the file as wanted, in the order they were named, settings first.
  returned: success
  type: list
  elements: str
  sample: [SX_DB_BACKEND_MODE, SX_POSTGRES_DSN]
observed_settings:
  description:
    - What the file held for each key of O(settings) before this task, null for an absent key.
    - Keys of O(secrets) are not in it.
  returned: success
  type: dict
  sample:
    SX_DB_BACKEND_MODE: SQLITE
backup_file:
  description: The copy of the file as it was.
  returned: when the file was replaced and O(backup=true)
  type: str
  sample: /srv/sx/.env.before-20261121T093015Z
diff:
  description: The lines of the changed keys only, before and after, secrets masked.
  returned: in diff mode
  type: dict
  sample:
    before_header: /srv/sx/.env
    after_header: /srv/sx/.env
    before: "SX_DB_BACKEND_MODE=SQLITE\n"
    after: "SX_DB_BACKEND_MODE=POSTGRES_PRIMARY\n"
error:
  description: The kind of failure, such as V(settings), V(bad_input) or V(missing_dependency).
  returned: failure
  type: str
  sample: settings
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.sxops.pg_cutover.plugins.module_utils import _entry_point
from ansible_collections.sxops.pg_cutover.plugins.module_utils._settings_file import apply_settings, plan_settings


def flip(module: AnsibleModule) -> dict[str, t.Any]:
    params = module.params
    plan = plan_settings(params["path"], params["format"], params["settings"], params["secrets"])
    backup_file = None
    if not module.check_mode:
        backup_file = apply_settings(plan, backup=params["backup"])
    for note in plan.notes:
        module.warn(note)
    result = {
        "changed": plan.changed,
        "store": params["store"],
        "path": plan.path,
        "real_path": plan.target,
        "keys_changed": list(plan.keys_changed),
        "observed_settings": plan.observed,
        "diff": plan.diff,
    }
    if backup_file:
        result["backup_file"] = backup_file
    return result


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "required": True},
            "format": {"type": "str", "choices": ["env", "json", "yaml"], "default": "env"},
            "store": {"type": "str", "choices": ["postgres", "sqlite"], "required": True},
            "settings": {"type": "dict", "default": {}},
            "secrets": {"type": "dict", "default": {}, "no_log": True},
            "backup": {"type": "bool", "default": True},
        },
        supports_check_mode=True,
    )
    _entry_point.run(module, flip)


if __name__ == "__main__":
    main()
