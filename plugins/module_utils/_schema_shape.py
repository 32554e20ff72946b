# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""The shape of a schema, and whether another one has all of it: tables, columns, indexes and constraints.

Read from pg_catalog: information_schema shows only what the role may use, and no index at all. Indexes and constraints
are told by what they do and not by their names, so that the same ones in another schema are the same.
"""

from __future__ import annotations

import typing as t

from ._postgres_store import postgres_errors
from ._verdict import Check, compare, not_verified

if t.TYPE_CHECKING:
    from ._psycopg2 import Connection

Shape = dict[str, t.Any]
_PARTS = ("columns", "indexes", "constraints")
_TABLES = """
SELECT c.relname::text FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE n.nspname = %(schema)s AND c.relkind IN ('r', 'p') AND NOT c.relispartition ORDER BY 1
"""
_COLUMNS = """
SELECT c.relname::text, a.attname::text,
       pg_catalog.format_type(a.atttypid, a.atttypmod) || CASE WHEN a.attnotnull THEN ' NOT NULL' ELSE '' END
  FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
 WHERE n.nspname = %(schema)s AND c.relkind IN ('r', 'p') AND NOT c.relispartition ORDER BY c.relname, a.attnum
"""
# An index that is not valid serves nobody. Bit 0 of indoption is DESC.
_INDEXES = """
SELECT c.relname::text, x.relname::text,
       CASE WHEN i.indisunique THEN 'UNIQUE ' ELSE '' END || m.amname || ' ('
       || (SELECT string_agg(pg_catalog.pg_get_indexdef(i.indexrelid, k, false)
                             || CASE WHEN k <= i.indnkeyatts AND (i.indoption[k - 1] & 1) = 1 THEN ' DESC' ELSE '' END
                             || CASE WHEN k > i.indnkeyatts THEN ' included' ELSE '' END, ', ' ORDER BY k)
             FROM generate_series(1, i.indnatts) AS k) || ')'
       || coalesce(' WHERE ' || pg_catalog.pg_get_expr(i.indpred, i.indrelid), '')
  FROM pg_catalog.pg_index i
  JOIN pg_catalog.pg_class x ON x.oid = i.indexrelid
  JOIN pg_catalog.pg_class c ON c.oid = i.indrelid
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  JOIN pg_catalog.pg_am m ON m.oid = x.relam
 WHERE n.nspname = %(schema)s AND c.relkind IN ('r', 'p') AND NOT c.relispartition AND i.indisvalid ORDER BY 1, 2
"""
_CONSTRAINTS = """
SELECT c.relname::text, k.conname::text,
       CASE k.contype WHEN 'c' THEN pg_catalog.pg_get_expr(k.conbin, k.conrelid)
       ELSE CASE k.contype WHEN 'p' THEN 'PRIMARY KEY ' WHEN 'u' THEN 'UNIQUE ' WHEN 'x' THEN 'EXCLUDE '
            ELSE 'FOREIGN KEY ' END || '(' || coalesce(pg_catalog.array_to_string(ARRAY(
              SELECT a.attname FROM unnest(k.conkey) WITH ORDINALITY AS u (place, n)
              JOIN pg_catalog.pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = u.place ORDER BY u.n), ', '), '')
            || ')'
            || CASE WHEN k.contype = 'f' THEN ' REFERENCES ' || f.relname || ' (' || pg_catalog.array_to_string(ARRAY(
              SELECT a.attname FROM unnest(k.confkey) WITH ORDINALITY AS u (place, n)
              JOIN pg_catalog.pg_attribute a ON a.attrelid = k.confrelid AND a.attnum = u.place ORDER BY u.n), ', ')
            || ')' || CASE k.confdeltype WHEN 'c' THEN ' ON DELETE CASCADE' WHEN 'n' THEN ' ON DELETE SET NULL'
                      WHEN 'd' THEN ' ON DELETE SET DEFAULT' ELSE '' END ELSE '' END
       END
  FROM pg_catalog.pg_constraint k
  JOIN pg_catalog.pg_class c ON c.oid = k.conrelid
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  LEFT JOIN pg_catalog.pg_class f ON f.oid = k.confrelid
 WHERE n.nspname = %(schema)s AND c.relkind IN ('r', 'p') AND NOT c.relispartition
   AND k.contype IN ('p', 'u', 'x', 'f', 'c') ORDER BY 1, 2
"""


def shape(connection: Connection, schema: str) -> Shape:
    """Return the tables of a schema by name, each with its columns, indexes and constraints as texts by name.

    Raises:
        PostgresError: The catalogue cannot be read.
    """
    with postgres_errors(f"Reading the shape of schema {schema}"), connection.cursor() as cursor:
        given = {"schema": schema}
        cursor.execute(_TABLES, given)
        found: Shape = {name: {part: {} for part in _PARTS} for (name,) in cursor.fetchall()}
        for part, statement in zip(_PARTS, (_COLUMNS, _INDEXES, _CONSTRAINTS)):
            cursor.execute(statement, given)
            for table, name, text in cursor.fetchall():
                found[table][part][name] = text
    return found


def compare_shape(expected: Shape, observed: Shape) -> list[Check]:
    """Return a check for every expected table: all of it is there. What is there beside it fails nothing; pure.

    Args:
        expected: As from L(shape), of the schema that is known to be right.
        observed: As from L(shape).
    """
    if not expected:
        return [not_verified("schema", "nobody knows which tables the schema should have")]
    return [_compare_table(name, table, observed.get(name)) for name, table in sorted(expected.items())]


def _compare_table(name: str, expected: Shape, observed: Shape | None) -> Check:
    wanted = {part: len(expected.get(part, {})) for part in _PARTS}
    if observed is None:
        return compare(f"schema of {name}", wanted, None, "the table is missing")
    lacking = {part: _lacking(part, expected.get(part, {}), observed.get(part, {})) for part in _PARTS}
    there = {part: wanted[part] - len(lacking[part]) for part in _PARTS}
    return compare(f"schema of {name}", wanted, there, "; ".join(text for part in _PARTS for text in lacking[part]))


def _lacking(part: str, expected: t.Mapping[str, str], observed: t.Mapping[str, str]) -> list[str]:
    if part == "columns":
        return [
            f"column {name} is {observed[name]} and should be {text}"
            if name in observed
            else f"column {name} is missing"
            for name, text in expected.items()
            if observed.get(name) != text
        ]
    kind = "index" if part == "indexes" else "constraint"
    there = set(observed.values())
    return [f"{kind} {name} is missing: {text}" for name, text in expected.items() if text not in there]
