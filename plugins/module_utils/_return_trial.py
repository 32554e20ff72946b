# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Try the way back before it is needed: one row of every table is brought back from PostgreSQL, and undone (C4)."""

from __future__ import annotations

import typing as t

from . import _change_log, _fence_sqlite, _replay_back, _row_lookup
from ._changed_rows import read_changed
from ._own_table import OwnTable
from ._postgres_store import postgres_errors
from ._psycopg2 import sql
from ._sqlite_store import quote

if t.TYPE_CHECKING:
    from ._change_log import Key
    from ._planned_table import TablePlan
    from ._switch_stores import SwitchStores


def try_way_back(stores: SwitchStores) -> int:
    """Return of how many tables a row was brought back; both stores are as they were.

    Raises:
        CutoverError: A row cannot be brought back, or SQLite's lock was not to be had.
    """
    return sum(_try_table(stores, plan) for plan in stores.paired.tables)


def _try_table(stores: SwitchStores, plan: TablePlan) -> int:
    key = _some_key(stores, plan)
    if key is None:
        stores.postgres.rollback()
        return 0
    stores.begin_sqlite()
    try:
        (changed,) = read_changed(stores.postgres, plan, stores.schema_name, [key])
        own = OwnTable(stores.target, plan, stores.source_id).find([changed]).get(changed.identity)
        if own is not None:  # so that all of the row has to be written
            where, values = _row_lookup.key_condition(plan.key, own.key)
            with _fence_sqlite.passing(stores.target, stores.names):
                stores.target.execute(f"DELETE FROM {quote(plan.source)} WHERE {where}", values)
        pending = _change_log.Pending({plan.source: [key]}, 1, 0)
        _replay_back.replay_back(stores.postgres, stores.target, stores.paired, stores.names, stores.source_id, pending)
    finally:
        stores.release_sqlite()
        stores.postgres.rollback()
    return 1


def _some_key(stores: SwitchStores, plan: TablePlan) -> Key | None:
    columns = [plan.columns[place] for place in plan.key_places]
    texts = sql.SQL(", ").join([sql.SQL("{}::text").format(sql.Identifier(column.target)) for column in columns])
    with postgres_errors(f"Reading a key of {plan.target}"), stores.postgres.cursor() as cursor:
        cursor.execute(
            sql.SQL("SELECT {} FROM {} LIMIT 1").format(texts, sql.Identifier(stores.schema_name, plan.target))
        )
        row = cursor.fetchone()
    return tuple(row) if row else None
