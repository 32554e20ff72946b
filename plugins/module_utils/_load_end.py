# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""The end of a load: what was taken away is built again, by this load or by one that was killed."""

from __future__ import annotations

import contextlib
import typing as t
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait

from . import _parked_objects
from ._postgres_store import connect, postgres_errors
from ._psycopg2 import sql

if t.TYPE_CHECKING:
    from ._bulk_load import Load
    from ._parked_objects import Parked
    from ._psycopg2 import Connection


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
    # Those that a killed load had written are looked at as well.
    written = list(dict.fromkeys([*tables, *(one.table for one in indexes)]))
    _build(load, written, indexes)
    _look_at_expressions(connection, schema_name, written)
    for one in away:
        _parked_objects.put_back(connection, schema_name, one)
        load.progress.advance(1)
    load.progress.end()


def _build(load: Load, tables: t.Sequence[str], indexes: t.Sequence[Parked]) -> None:
    # A table is vacuumed before its indexes are built, as PostgreSQL does not do both at the same time: so those of one
    # table keep the cores busy while another one is still looked at.
    # Twice as many at a time as there are processes: what is left of the last one should keep no core idle.
    with ThreadPoolExecutor(2 * len(load.workers)) as sessions:
        vacuums = {sessions.submit(_vacuum, load.params, load.schema_name, table): table for table in tables}
        running = set(vacuums)
        while running:
            ended, running = wait(running, return_when=FIRST_COMPLETED)
            for one in ended:
                one.result()
                if one not in vacuums:
                    load.progress.advance(1)
                    continue
                ready = [index for index in indexes if index.table == vacuums[one]]
                running |= {sessions.submit(_parked_objects.build, load.params, index) for index in ready}


def _vacuum(params: t.Mapping[str, t.Any], schema_name: str, table: str) -> None:
    # The planner finds the parents of foreign keys much faster with statistics, and with pages that it knows to hold
    # nothing but visible rows.
    with contextlib.closing(connect(params)) as connection, postgres_errors(f"Analyzing table {schema_name}.{table}"):
        connection.autocommit = True  # VACUUM works in no transaction
        with connection.cursor() as cursor:
            cursor.execute(sql.SQL("VACUUM (ANALYZE) {}").format(sql.Identifier(schema_name, table)))


def _look_at_expressions(connection: Connection, schema_name: str, tables: t.Sequence[str]) -> None:
    # PostgreSQL keeps statistics of an index only where it computes what a column does not hold.
    with postgres_errors(f"Analyzing schema {schema_name}"), connection.cursor() as cursor:
        cursor.execute(_TABLES_WITH_EXPRESSIONS, (schema_name, list(tables)))
        for (table,) in cursor.fetchall():
            cursor.execute(sql.SQL("ANALYZE {}").format(sql.Identifier(schema_name, table)))
        connection.commit()


_TABLES_WITH_EXPRESSIONS = """
SELECT DISTINCT c.relname
  FROM pg_index i
  JOIN pg_class c ON c.oid = i.indrelid
  JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE n.nspname = %s AND c.relname = ANY (%s) AND i.indexprs IS NOT NULL
"""
