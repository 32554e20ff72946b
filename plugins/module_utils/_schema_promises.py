# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""What the tables promised about their rows when they had been loaded: indexes, constraints, NOT NULL.

They are written down at the end of a load in PostgreSQL's own words, so that parity finds by name what has gone missing
or was changed since. Equal rows alone would not show it before the application writes what was never to be written.
"""

from __future__ import annotations

import typing as t

from ._load_journal import PROMISE_TABLE, is_installed
from ._postgres_store import identifier, postgres_errors, roll_back
from ._psycopg2 import sql
from ._verdict import Check, compare

if t.TYPE_CHECKING:
    from ._psycopg2 import Connection


def keep(connection: Connection, schema_name: str, anew: bool = True) -> None:
    """Write down what the tables of a schema promise now; committed here.

    Args:
        connection: A session that may write the bookkeeping.
        schema_name: The tenant schema.
        anew: In place of what was written before; otherwise only where a load was killed before it wrote anything.

    Raises:
        PostgresError: The catalogue cannot be read or the bookkeeping not be written.
    """
    promises = identifier(PROMISE_TABLE)
    try:
        with postgres_errors(f"Writing down the indexes and constraints of {schema_name}"):
            with connection.cursor() as cursor:
                cursor.execute("SET LOCAL search_path TO ''")  # every name is written out
                cursor.execute(sql.SQL("SELECT 1 FROM {} WHERE schema_name = %s").format(promises), (schema_name,))
                if anew or cursor.fetchone() is None:
                    cursor.execute(sql.SQL("DELETE FROM {} WHERE schema_name = %s").format(promises), (schema_name,))
                    cursor.execute(
                        sql.SQL("INSERT INTO {} {}").format(promises, sql.SQL(_NOW)), {"schema": schema_name}
                    )
            connection.commit()
    except BaseException:
        roll_back(connection)
        raise


def as_checks(connection: Connection, schema_name: str) -> list[Check]:
    """Return one check for each loaded table: everything that it promised after its load is there as it was.

    Raises:
        PostgresError: The catalogue cannot be read.
    """
    if not is_installed(connection):
        return []
    with postgres_errors(f"Reading the indexes and constraints of {schema_name}"), connection.cursor() as cursor:
        cursor.execute("SET LOCAL search_path TO ''")
        cursor.execute(
            sql.SQL(
                "SELECT p.table_name, count(*), array_agg(p.kind || ' ' || p.name ORDER BY p.kind, p.name)"
                " FILTER (WHERE n.definition IS DISTINCT FROM p.definition) FROM {} AS p LEFT JOIN ({}) AS n"
                " USING (schema_name, table_name, kind, name) WHERE p.schema_name = %(schema)s GROUP BY 1 ORDER BY 1"
            ).format(identifier(PROMISE_TABLE), sql.SQL(_NOW)),
            {"schema": schema_name},
        )
        found = cursor.fetchall()
        cursor.execute("SET LOCAL search_path TO DEFAULT")  # the transaction goes on
        return [_as_check(table, number, broken or []) for table, number, broken in found]


def _as_check(table: str, number: int, broken: list[str]) -> Check:
    said = f"missing or changed since the load: {', '.join(broken)}; create it again as it was" if broken else ""
    return compare(f"indexes and constraints of {table}", number, number - len(broken), said)


_NOW = """
SELECT s.nspname::text AS schema_name, c.relname::text AS table_name, o.kind, o.name, o.definition
  FROM pg_catalog.pg_class c
  JOIN pg_catalog.pg_namespace s ON s.oid = c.relnamespace
 CROSS JOIN LATERAL (
       SELECT 'index', x.relname::text, pg_catalog.pg_get_indexdef(i.indexrelid)
         FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class x ON x.oid = i.indexrelid
        WHERE i.indrelid = c.oid AND i.indisvalid
        UNION ALL
       SELECT 'constraint', k.conname::text, pg_catalog.pg_get_constraintdef(k.oid)
         FROM pg_catalog.pg_constraint k WHERE k.conrelid = c.oid AND k.contype IN ('p', 'u', 'x', 'f', 'c')
        UNION ALL
       SELECT 'NOT NULL of', a.attname::text, 'NOT NULL'
         FROM pg_catalog.pg_attribute a
        WHERE a.attrelid = c.oid AND a.attnum > 0 AND a.attnotnull AND NOT a.attisdropped
       ) AS o (kind, name, definition)
 WHERE s.nspname = %(schema)s AND c.relkind IN ('r', 'p')
"""
