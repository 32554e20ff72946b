# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Indexes and constraints that are taken away while rows are copied, and built again afterwards, as they were.

Building an index over all rows is much faster than keeping it while they come, and rows of tables that refer to each
other can come in any order. What is taken away is written down in the transaction that drops it, in PostgreSQL's own
words, so a load that was killed leaves nothing behind that the next run would not build again; parity does not pass
before. Whatever could not be built exactly as it was, or is not ours to drop, stays in place.
"""

from __future__ import annotations

import contextlib
import dataclasses
import typing as t

from . import _load_journal
from ._postgres_store import ForeignKey, Table, connect, identifier, postgres_errors, roll_back
from ._psycopg2 import psycopg2, sql
from ._verdict import Check, compare

if t.TYPE_CHECKING:
    from ._psycopg2 import Connection

PRIMARY_KEY, UNIQUE, INDEX, FOREIGN_KEY = "primary key", "unique", "index", "foreign key"
_DEPENDENT_OBJECTS = "2BP01"
# An index build sorts. Sorts that fit into the processor's caches took half the time of those that fill PostgreSQL's
# default of 64 MB, with two million keys of text.
_SORT_MEMORY = "4MB"


@dataclasses.dataclass(frozen=True)
class Parked:
    """An index or a constraint that was taken away.

    Attributes:
        table: The table.
        name: Its own name.
        kind: L(PRIMARY_KEY), L(UNIQUE) or L(INDEX), which all have an index, or L(FOREIGN_KEY).
        definition: C(CREATE INDEX) as PostgreSQL words it; empty for a foreign key.
        attached_as: The clause of the constraint, which may rest on the index; None for an index that is none.
        remark: Its comment.
        columns: What a unique or a foreign key rests on; empty for an index that is neither.
        parent: Schema and table that a foreign key refers to.
        parent_columns: The columns there.
    """

    table: str
    name: str
    kind: str
    definition: str
    attached_as: str | None
    remark: str | None
    columns: tuple[str, ...]
    parent: tuple[str, ...]
    parent_columns: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.kind} {self.name} of {self.table}"


def read(connection: Connection, schema_name: str) -> list[Parked]:
    """Return what is parked of a schema, indexes before the foreign keys that may rest on them."""
    if not _load_journal.is_installed(connection):
        return []
    with connection.cursor() as cursor:
        cursor.execute(
            sql.SQL(
                "SELECT table_name, name, kind, definition, attached_as, remark, columns, parent,"
                " parent_columns FROM {} WHERE schema_name = %s"
                " ORDER BY kind = 'foreign key', kind <> 'primary key', table_name, name"
            ).format(identifier(_load_journal.PARKED_TABLE)),
            (schema_name,),
        )
        return [_parked(row) for row in cursor.fetchall()]


def _parked(row: t.Sequence[t.Any]) -> Parked:
    table, name, kind, definition, attached_as, remark, *lists = row[:9]
    columns, parent, parent_columns = (tuple(names or ()) for names in lists)
    return Parked(table, name, kind, definition, attached_as, remark, columns, parent, parent_columns)


def complete(tables: t.Mapping[str, Table], parked: t.Iterable[Parked]) -> dict[str, Table]:
    """Return the tables with the keys that are only parked, as what is planned must not depend on when it is."""
    found = dict(tables)
    for one in parked:
        table = found.get(one.table)
        if table is None or not one.columns:
            continue
        if one.kind == FOREIGN_KEY:
            parent = (one.parent[0], one.parent[1])
            key = ForeignKey(one.name, one.columns, parent, one.parent_columns)
            if key not in table.foreign_keys:
                table = dataclasses.replace(table, foreign_keys=(*table.foreign_keys, key))
        else:
            if one.columns not in table.uniques:
                table = dataclasses.replace(table, uniques=(*table.uniques, one.columns))
            if one.kind == PRIMARY_KEY:
                table = dataclasses.replace(table, key=one.columns)
        found[one.table] = table
    return found


def park(connection: Connection, schema_name: str, tables: t.Sequence[str]) -> None:
    """Take away the indexes and constraints of empty tables, in one transaction.

    Only those that the session may drop, that nothing else in the database depends on, and that can be built again
    exactly as they were.

    Raises:
        PostgresError: The catalogue cannot be read, or a lock was not to be had; everything is still there.
    """
    try:
        with (
            postgres_errors(f"Taking the indexes of {schema_name} away for the load"),
            connection.cursor() as cursor,
        ):
            cursor.execute("SET LOCAL lock_timeout TO '30s'; SET LOCAL search_path TO ''")  # every name is written out
            cursor.execute(_DROPPABLE, {"schema": schema_name, "tables": list(tables)})
            for row in cursor.fetchall():
                one = _parked(row)
                if _drop(cursor, schema_name, one):
                    _write_down(cursor, schema_name, one)
            connection.commit()
    except BaseException:
        roll_back(connection)
        raise


def _drop(cursor: t.Any, schema_name: str, one: Parked) -> bool:
    if one.kind == INDEX:
        drop = sql.SQL("DROP INDEX {}").format(sql.Identifier(schema_name, one.name))
    else:
        table = sql.Identifier(schema_name, one.table)
        drop = sql.SQL("ALTER TABLE {} DROP CONSTRAINT {}").format(table, sql.Identifier(one.name))
    cursor.execute("SAVEPOINT parking")
    try:
        cursor.execute(drop)
    except psycopg2.Error as error:
        if error.pgcode != _DEPENDENT_OBJECTS:
            raise
        cursor.execute("ROLLBACK TO SAVEPOINT parking")
        return False
    cursor.execute("RELEASE SAVEPOINT parking")
    return True


def _write_down(cursor: t.Any, schema_name: str, one: Parked) -> None:
    cursor.execute(
        sql.SQL(
            "INSERT INTO {} (schema_name, table_name, name, kind, definition, attached_as, remark, columns, parent,"
            " parent_columns) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)"
            " ON CONFLICT (schema_name, table_name, name) DO UPDATE SET (kind, definition, attached_as, remark)"
            " = (excluded.kind, excluded.definition, excluded.attached_as, excluded.remark)"
        ).format(identifier(_load_journal.PARKED_TABLE)),
        (
            schema_name,
            one.table,
            one.name,
            one.kind,
            one.definition,
            one.attached_as,
            one.remark,
            list(one.columns),
            list(one.parent),
            list(one.parent_columns),
        ),
    )


def missing_indexes(connection: Connection, schema_name: str, parked: t.Iterable[Parked]) -> list[Parked]:
    """Return those whose index has to be built: an application may have made it again in the meantime.

    Raises:
        PostgresError: There is an index or a table of that name, which is another one.
    """
    missing = []
    with postgres_errors(f"Looking at the indexes of {schema_name}"), connection.cursor() as cursor:
        cursor.execute("SET LOCAL search_path TO ''")
        for one in parked:
            if one.kind == FOREIGN_KEY:
                continue
            cursor.execute(
                "SELECT CASE c.relkind WHEN 'i' THEN pg_get_indexdef(c.oid) ELSE 'no index' END FROM pg_class c"
                " JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = %s AND c.relname = %s",
                (schema_name, one.name),
            )
            row = cursor.fetchone()
            if row is None:
                missing.append(one)
            elif row[0] != one.definition:
                raise psycopg2.ProgrammingError(
                    f"{one} was taken away for the load, and in its place stands {row[0]}; drop that one, and run the "
                    "same command again"
                )
    connection.commit()
    return missing


def build(params: t.Mapping[str, t.Any], one: Parked) -> None:
    """Build an index in a session of its own.

    Args:
        params: The options of the module, which name the server.
        one: What was taken away.

    Raises:
        PostgresError: PostgreSQL refused it.
    """
    with contextlib.closing(connect(params)) as connection, postgres_errors(f"Building {one}"):
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL search_path TO ''")
            cursor.execute("SELECT set_config('maintenance_work_mem', %s, true)", (_SORT_MEMORY,))
            cursor.execute(one.definition)
        connection.commit()


def put_back(connection: Connection, schema_name: str, one: Parked) -> None:
    """Make a constraint of an index that has been built, or add a foreign key, and strike it off; committed here.

    Raises:
        PostgresError: The rows do not satisfy it; it stays parked.
    """
    table = sql.Identifier(schema_name, one.table)
    try:
        with postgres_errors(f"Putting back {one}"), connection.cursor() as cursor:
            cursor.execute("SET LOCAL search_path TO ''")
            if one.attached_as and not _constraint_exists(cursor, schema_name, one):
                cursor.execute(
                    sql.SQL("ALTER TABLE {} ADD CONSTRAINT {} {}").format(
                        table, sql.Identifier(one.name), sql.SQL(one.attached_as)
                    )
                )
            if one.remark is not None:
                if one.attached_as:
                    what = sql.SQL("CONSTRAINT {} ON {}").format(sql.Identifier(one.name), table)
                else:
                    what = sql.SQL("INDEX {}").format(sql.Identifier(schema_name, one.name))
                cursor.execute(sql.SQL("COMMENT ON {} IS {}").format(what, sql.Literal(one.remark)))
            cursor.execute(
                sql.SQL("DELETE FROM {} WHERE schema_name = %s AND table_name = %s AND name = %s").format(
                    identifier(_load_journal.PARKED_TABLE)
                ),
                (schema_name, one.table, one.name),
            )
            connection.commit()
    except BaseException:
        roll_back(connection)
        raise


def _constraint_exists(cursor: t.Any, schema_name: str, one: Parked) -> bool:
    cursor.execute(
        "SELECT 1 FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid"
        " JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = %s AND c.relname = %s AND k.conname = %s",
        (schema_name, one.table, one.name),
    )
    return cursor.fetchone() is not None


def as_check(connection: Connection, schema_name: str) -> Check:
    """Return the check that no index and no constraint is still away."""
    away = read(connection, schema_name)
    return compare(
        "indexes and constraints back in place",
        [],
        [str(one) for one in away],
        "run the load again, which puts them back" if away else "",
    )


# Foreign keys first, because they rest on unique indexes. What is named here can be built again from its definition
# alone: an index of another tablespace, with statistics of its own or marked for CLUSTER or replication stays.
_DROPPABLE = """
WITH mine AS (
  SELECT c.oid, c.relname
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
   WHERE n.nspname = %(schema)s AND c.relname = ANY (%(tables)s)
     AND c.relkind = 'r' AND NOT c.relispartition AND NOT c.relhassubclass
     AND pg_has_role(c.relowner, 'USAGE'))
SELECT m.relname, k.conname, 'foreign key', '', pg_get_constraintdef(k.oid), obj_description(k.oid, 'pg_constraint'),
       (SELECT array_agg(a.attname::text ORDER BY u.place)
          FROM unnest(k.conkey) WITH ORDINALITY AS u(attnum, place)
          JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = u.attnum),
       ARRAY[pn.nspname::text, p.relname::text],
       (SELECT array_agg(a.attname::text ORDER BY u.place)
          FROM unnest(k.confkey) WITH ORDINALITY AS u(attnum, place)
          JOIN pg_attribute a ON a.attrelid = k.confrelid AND a.attnum = u.attnum),
       0 AS place
  FROM mine m
  JOIN pg_constraint k ON k.conrelid = m.oid AND k.contype = 'f' AND k.conparentid = 0
  JOIN pg_class p ON p.oid = k.confrelid
  JOIN pg_namespace pn ON pn.oid = p.relnamespace
 WHERE NOT EXISTS (SELECT 1 FROM pg_trigger g WHERE g.tgconstraint = k.oid AND g.tgenabled <> 'O')
 UNION ALL
SELECT m.relname, x.relname,
       CASE k.contype WHEN 'p' THEN 'primary key' WHEN 'u' THEN 'unique' ELSE 'index' END,
       pg_get_indexdef(i.indexrelid),
       CASE k.contype WHEN 'p' THEN 'PRIMARY KEY' WHEN 'u' THEN 'UNIQUE' END
         || ' USING INDEX ' || quote_ident(x.relname)
         || CASE WHEN k.condeferrable THEN ' DEFERRABLE' ELSE '' END
         || CASE WHEN k.condeferred THEN ' INITIALLY DEFERRED' ELSE '' END,
       coalesce(obj_description(k.oid, 'pg_constraint'), obj_description(x.oid, 'pg_class')),
       CASE WHEN i.indisunique AND i.indpred IS NULL AND i.indexprs IS NULL THEN
         (SELECT array_agg(a.attname::text ORDER BY u.place)
            FROM unnest(i.indkey::int2[]) WITH ORDINALITY AS u(attnum, place)
            JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = u.attnum
           WHERE u.place <= i.indnkeyatts) END,
       NULL, NULL, 1
  FROM mine m
  JOIN pg_index i ON i.indrelid = m.oid
  JOIN pg_class x ON x.oid = i.indexrelid
  LEFT JOIN pg_constraint k ON k.conindid = i.indexrelid AND k.conrelid = m.oid AND k.contype IN ('p', 'u', 'x')
 WHERE i.indisvalid AND NOT i.indisclustered AND NOT i.indisreplident AND x.reltablespace = 0
   AND k.contype IS DISTINCT FROM 'x'
   AND (k.oid IS NULL OR obj_description(x.oid, 'pg_class') IS NULL)
   AND NOT EXISTS (SELECT 1 FROM pg_attribute a WHERE a.attrelid = x.oid AND a.attstattarget >= 0)
 ORDER BY place, 1, 2
"""
