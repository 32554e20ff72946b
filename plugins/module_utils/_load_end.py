# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""The end of a load: what was taken away is built again, by this load or by one that was killed."""

from __future__ import annotations

import concurrent.futures
import typing as t

from . import _parked_objects

if t.TYPE_CHECKING:
    from ._bulk_load import Load


def finish(load: Load, tables: t.Sequence[str]) -> None:
    """Build the indexes, let PostgreSQL look at the new rows, and put the constraints back.

    Args:
        load: The load, its rows all there.
        tables: The tables that it has written.

    Raises:
        PostgresError: Something could not be built; what is still away stays written down.
    """
    connection, schema_name = load.stores.connection, load.schema_name
    away = _parked_objects.read(connection, schema_name)
    indexes = _parked_objects.missing_indexes(connection, schema_name, away)
    load.progress.begin("index", schema_name, len(indexes) + len(away))
    # Twice as many at a time as there are processes: what is left of the last one should keep no core idle.
    with concurrent.futures.ThreadPoolExecutor(2 * len(load.workers)) as sessions:
        building = [sessions.submit(_parked_objects.build, load.params, one) for one in indexes]
        for built in concurrent.futures.as_completed(building):
            built.result()
            load.progress.advance(1)
    # Before foreign keys are checked: the planner finds parents much faster with statistics, and with pages that it
    # knows to hold nothing but visible rows.
    load.workers.spread("vacuum", [(schema_name, table) for table in tables], load.progress.advance)
    for one in away:
        _parked_objects.put_back(connection, schema_name, one)
        load.progress.advance(1)
    load.progress.end()
