#!/usr/bin/python
# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: tenant_switch
short_description: Let the other store take a profile's writes, while the application serves
version_added: 1.0.0
description:
  - Moves the right to write of one profile from SQLite to PostgreSQL or back, as one unit. What the other store does
    not have yet is replayed under a short lock; a fence keeps the profile from writing to the store that was left.
    Reads there go on, and other profiles of the file are not touched.
  - At every instant one store takes the profile's writes, or none does. After a crash the same call finishes or undoes
    what was begun.
  - It switches the stores, not the application. Change its settings (M(sxops.pg_cutover.runtime_mode)) and restart it
    afterwards, or give O(route) to have a router turned in the same call.
options:
  sqlite_path:
    description: The SQLite file.
    type: path
    required: true
  store:
    description:
      - The store that is to take the writes afterwards. Required, but for O(state=closed) and O(repair=true).
    type: str
    choices: [postgres, sqlite]
  state:
    description:
      - V(closed) removes capture and fences from both stores, and what is known of the cutover; the rows stay.
        Afterwards only a restore leads back. Refused while a switch is half done, or while changes of PostgreSQL are
        not in SQLite.
    type: str
    choices: [closed, switched]
    default: switched
  repair:
    description:
      - Finish a switch that was interrupted, or undo it, so that exactly one store takes writes again. O(store) is not
        looked at.
    type: bool
    default: false
  fence_timeout:
    description: How long one attempt waits for SQLite's write lock, in seconds.
    type: float
    default: 3.0
  lock_timeout:
    description: How long one attempt waits for the locks of PostgreSQL's tables, in seconds.
    type: float
    default: 3.0
  retries:
    description: How many further attempts are made. Each leaves nothing behind when it fails.
    type: int
    default: 60
  retry_delay:
    description: How long to wait before the second attempt, in seconds. Twice as long before each further one, up to 5.
    type: float
    default: 0.5
  max_pending:
    description: How many changed rows may be replayed under the lock. More are caught up with before, without it.
    type: int
    default: 1000
  verify:
    description:
      - What of every table is compared while the profile stands still, with O(store=postgres). All touched rows are
        compared in full anyway. V(keys) takes longer, the larger the tables are.
    type: str
    choices: [counts, keys]
    default: counts
  return_data:
    description:
      - With O(store=sqlite), what becomes of what was written to PostgreSQL. V(replay) brings it to SQLite. V(keep)
        leaves it where it is, and captures SQLite's changes from then on, so that M(sxops.pg_cutover.tenant_replay) can
        merge both. V(backup) puts the profile's rows of O(snapshot_path) in place of SQLite's; those of other profiles
        stay.
    type: str
    choices: [backup, keep, replay]
    default: replay
  snapshot_path:
    description: The verified snapshot for O(return_data=backup).
    type: path
  snapshot_sha256:
    description: Its SHA-256, as its manifest tells it. Another file is refused.
    type: str
  allow_unreachable:
    description:
      - With O(store=sqlite), open SQLite even when PostgreSQL cannot be reached. What PostgreSQL has and SQLite has not
        is not lost, and can be merged once PostgreSQL is back.
    type: bool
    default: false
  route:
    description: The line of a HAProxy map to turn as the last step, for an application behind a router.
    type: dict
    suboptions:
      socket:
        description: HAProxy's runtime socket, a path or C(host:port), with the level admin.
        type: str
        required: true
      map:
        description: The map file, as HAProxy's configuration spells it.
        type: path
        required: true
      key:
        description: The key of the line, usually the O(source_id).
        type: str
        required: true
      value:
        description: What the line is to say, usually the name of a backend.
        type: str
        required: true
      timeout:
        description: How long HAProxy may take to answer, in seconds.
        type: float
        default: 2.0
extends_documentation_fragment:
  - sxops.pg_cutover.attributes
  - sxops.pg_cutover.postgres
  - sxops.pg_cutover.profile
  - sxops.pg_cutover.tenant_data
  - sxops.pg_cutover.data_policies
attributes:
  check_mode:
    details:
      - Says which store is live, what is pending and what stands in the way. Whether a row can be brought back is not
        tried, as that takes SQLite's write lock for a moment.
seealso:
  - module: sxops.pg_cutover.change_capture
  - module: sxops.pg_cutover.tenant_replay
  - module: sxops.pg_cutover.tenant_switch_info
author:
  - pg_cutover developers (@sxops)
"""

EXAMPLES = r"""
- name: Let PostgreSQL take the writes
  sxops.pg_cutover.tenant_switch:
    source_id: assets_1
    dsn: "{{ vault_admin_dsn }}"
    sqlite_path: /srv/sx/data/sx_obsidian.db
    store: postgres

- name: Go back, even when PostgreSQL is gone
  sxops.pg_cutover.tenant_switch:
    source_id: assets_1
    dsn: "{{ vault_admin_dsn }}"
    sqlite_path: /srv/sx/data/sx_obsidian.db
    store: sqlite
    allow_unreachable: true
"""

RETURN = r"""
live_store:
  description: The store that takes writes now, as RV(sxops.pg_cutover.tenant_switch_info#module:live_store).
  returned: success
  type: str
  sample: postgres
was:
  description: The store that took them before.
  returned: success
  type: str
  sample: sqlite
summary:
  description: How both stores stand now, as one sentence.
  returned: success
  type: str
  sample: >-
    PostgreSQL, schema sx_assets_1, is the live store of assets_1 (its fence in SQLite is up, it has no fence in
    PostgreSQL)
postgres_reachable:
  description: Whether PostgreSQL could be reached.
  returned: success
  type: bool
  sample: true
attempts:
  description: How often the lock was asked for.
  returned: success
  type: int
  sample: 1
fence_wait_ms:
  description: How long the last attempt waited for it, in milliseconds.
  returned: success
  type: int
  sample: 9
lock_hold_ms:
  description: How long it was held, in milliseconds. All profiles of the file wait so long with their writes.
  returned: success
  type: float
  sample: 7.2
locked_at:
  description:
    - When the lock was taken that kept every writer out, by the clock of this host (UTC). Empty when this call took
      none, because an earlier one had switched already.
  returned: success
  type: str
  sample: "2026-11-21T09:31:02.402Z"
pending_before:
  description: How many changed rows waited when the lock was taken; in check mode, how many wait now.
  returned: success
  type: int
  sample: 3
replayed:
  description: How many rows were brought over by this call, deleted ones among them.
  returned: success
  type: int
  sample: 3
not_replayed:
  description:
    - With O(store=sqlite), how many changed rows of PostgreSQL SQLite does not have; in check mode, has not now. Null
      when that is not known, because PostgreSQL could not be reached.
  returned: success
  type: int
  sample: 0
checks:
  description: What was looked at before the lock, and what was compared while the profile stood still.
  returned: success
  type: list
  elements: dict
  sample:
    - {name: counts of videos, verdict: passed, expected: {rows: 20000}, observed: {rows: 20000}, message: ""}
undone:
  description: Why the switch was undone; empty when it was not.
  returned: success
  type: str
  sample: ""
steps:
  description: The steps that were done, with the milliseconds since the call began.
  returned: success
  type: list
  elements: dict
  sample:
    - {number: 1, name: prepared, at_ms: 31.0}
error:
  description: The kind of failure, one word.
  returned: failure
  type: str
  sample: switch_refused
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.sxops.pg_cutover.plugins.module_utils import (
    _switch,
    _switch_close,
    _switch_repair,
)
from ansible_collections.sxops.pg_cutover.plugins.module_utils._entry_point import run
from ansible_collections.sxops.pg_cutover.plugins.module_utils._options import (
    data_policies_options,
    postgres_options,
    profile_options,
    tenant_data_options,
)
from ansible_collections.sxops.pg_cutover.plugins.module_utils._router import Route
from ansible_collections.sxops.pg_cutover.plugins.module_utils._snapshot_digest import check_digest
from ansible_collections.sxops.pg_cutover.plugins.module_utils._switch_stores import Limits, open_for_switch

if t.TYPE_CHECKING:
    from ansible_collections.sxops.pg_cutover.plugins.module_utils._outcome import Outcome
    from ansible_collections.sxops.pg_cutover.plugins.module_utils._switch_stores import SwitchStores


def switch(module: AnsibleModule) -> dict[str, t.Any]:
    """Switch, repair or close, and say how both stores stand then."""
    params = module.params
    limits = Limits(
        params["fence_timeout"],
        params["lock_timeout"],
        params["retries"],
        params["retry_delay"],
        max_pending=params["max_pending"],
    )
    if params["return_data"] == "backup" and params["store"] == "sqlite":
        # Before SQLite opens any file: reading one as a plain file afterwards would drop SQLite's locks on it.
        check_digest(params["snapshot_path"], params["snapshot_sha256"], "Nothing was changed.")
    alone = params["allow_unreachable"] and params["store"] == "sqlite"
    with open_for_switch(params, limits, without_postgres=alone, looking=module.check_mode) as stores:
        before = stores.standing()
        outcome = _plan(params, stores) if module.check_mode else _apply(params, stores)
        after = stores.standing()
        found = after.as_dict(stores.source_id, stores.schema_name)
        return {
            **outcome.as_dict(),
            "was": before.live_store,
            **{name: found[name] for name in ("live_store", "summary", "postgres_reachable")},
            "diff": {
                "before": {"live_store": before.live_store},
                "after": {"live_store": params["store"] if module.check_mode else after.live_store},
            },
        }


def _plan(params: dict[str, t.Any], stores: SwitchStores) -> Outcome:
    if params["state"] == "closed":
        return _switch_close.plan(stores)
    return _switch.plan(stores, params["store"])


def _apply(params: dict[str, t.Any], stores: SwitchStores) -> Outcome:
    if params["state"] == "closed":
        return _switch_close.close(stores)
    if params["repair"]:
        return _switch_repair.repair(stores, params["verify"])
    given = params["route"]
    route = Route(given["socket"], given["map"], given["key"], given["value"], given["timeout"]) if given else None
    if params["store"] == "postgres":
        return _switch.to_postgres(stores, params["verify"], route)
    return _switch.to_sqlite(stores, params["return_data"], route, params["snapshot_path"])


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **postgres_options(),
            **profile_options(),
            **tenant_data_options(),
            **data_policies_options(),
            "sqlite_path": {"type": "path", "required": True},
            "store": {"type": "str", "choices": ["postgres", "sqlite"]},
            "state": {"type": "str", "choices": ["closed", "switched"], "default": "switched"},
            "repair": {"type": "bool", "default": False},
            "fence_timeout": {"type": "float", "default": 3.0},
            "lock_timeout": {"type": "float", "default": 3.0},
            "retries": {"type": "int", "default": 60},
            "retry_delay": {"type": "float", "default": 0.5},
            "max_pending": {"type": "int", "default": 1000},
            "verify": {"type": "str", "choices": ["counts", "keys"], "default": "counts"},
            "return_data": {"type": "str", "choices": ["backup", "keep", "replay"], "default": "replay"},
            "snapshot_path": {"type": "path"},
            "snapshot_sha256": {"type": "str"},
            "allow_unreachable": {"type": "bool", "default": False},
            "route": {
                "type": "dict",
                "options": {
                    "socket": {"type": "str", "required": True},
                    "map": {"type": "path", "required": True},
                    "key": {"type": "str", "required": True, "no_log": False},
                    "value": {"type": "str", "required": True},
                    "timeout": {"type": "float", "default": 2.0},
                },
            },
        },
        required_if=[("return_data", "backup", ("snapshot_path",))],
        supports_check_mode=True,
    )
    if module.params["state"] == "switched" and not module.params["repair"] and module.params["store"] is None:
        module.fail_json(msg="missing required argument: store, which is to take the writes", error="bad_input")
    run(module, switch)


if __name__ == "__main__":
    main()
