# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Delete rows of PostgreSQL that SQLite no longer has, and never one more.

A foreign key with C(ON DELETE CASCADE) would silently take children along that SQLite still holds, where SQLite did not
enforce it. So children that remain are looked for first, whatever their key does, and stop the row by its key.
"""

from __future__ import annotations

import dataclasses
import typing as t

from ._errors import ReplayError
from ._key_relation import as_relation, is_key, show, texts_of
from ._postgres_store import postgres_errors
from ._psycopg2 import sql

if t.TYPE_CHECKING:
    from ._planned_table import TablePlan
    from ._psycopg2 import Connection, Cursor
    from ._travelling_rows import Gone

_REFERRING = """
SELECT pc.relname, n.nspname, c.relname,
       (SELECT array_agg(a.attname::text ORDER BY u.place)
          FROM unnest(k.conkey) WITH ORDINALITY AS u(attnum, place)
          JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = u.attnum),
       (SELECT array_agg(a.attname::text ORDER BY u.place)
          FROM unnest(k.confkey) WITH ORDINALITY AS u(attnum, place)
          JOIN pg_attribute a ON a.attrelid = k.confrelid AND a.attnum = u.attnum)
  FROM pg_constraint k
  JOIN pg_class c ON c.oid = k.conrelid
  JOIN pg_namespace n ON n.oid = c.relnamespace
  JOIN pg_class pc ON pc.oid = k.confrelid
  JOIN pg_namespace pn ON pn.oid = pc.relnamespace
 WHERE pn.nspname = {} AND k.contype = 'f' AND k.conparentid = 0
 ORDER BY 1, 2, 3, k.conname
"""


@dataclasses.dataclass(frozen=True)
class Referring:
    """A foreign key of PostgreSQL by which rows of the C(child) table (schema and name) refer to those of a parent."""

    child: tuple[str, str]
    columns: tuple[str, ...]
    parent_columns: tuple[str, ...]


def read_referring(connection: Connection, schema_name: str) -> dict[str, list[Referring]]:
    """Return by which foreign keys the rows of each table of the schema are referred to, from wherever.

    Raises:
        PostgresError: The catalogue cannot be read.
    """
    found: dict[str, list[Referring]] = {}
    with postgres_errors(f"Reading the foreign keys of {schema_name}"), connection.cursor() as cursor:
        cursor.execute(sql.SQL(_REFERRING).format(sql.Literal(schema_name)))
        for parent, schema, child, columns, parent_columns in cursor.fetchall():
            found.setdefault(parent, []).append(Referring((schema, child), tuple(columns), tuple(parent_columns)))
    return found


def delete(
    connection: Connection,
    schema_name: str,
    gone: t.Mapping[str, tuple[TablePlan, t.Sequence[Gone]]],
    referring: t.Mapping[str, t.Sequence[Referring]],
) -> dict[str, int]:
    """Delete rows of tables that may refer to each other, in one statement; return how many, by target.

    Args:
        connection: PostgreSQL, inside a transaction.
        schema_name: The tenant schema.
        gone: The keys by target, with the table's plan.
        referring: As from L(read_referring).

    Raises:
        ReplayError: A row that remains refers to one of them, or one of them could not be deleted.
        PostgresError: PostgreSQL refused it.
    """
    chosen = {target: (plan, keys) for target, (plan, keys) in gone.items() if keys}
    if not chosen:
        return {}
    doing = f"Deleting rows of {', '.join(chosen)} that SQLite no longer has"
    with postgres_errors(doing), connection.cursor() as cursor:
        for plan, keys in chosen.values():
            for reference in referring.get(plan.target, ()):
                _refuse_children(cursor, schema_name, plan, keys, reference, chosen)
        counts = _delete(cursor, schema_name, chosen)
        for plan, keys in chosen.values():
            _refuse_rest(cursor, schema_name, plan, keys)
    return counts


def _delete(
    cursor: Cursor, schema_name: str, chosen: t.Mapping[str, tuple[TablePlan, t.Sequence[Gone]]]
) -> dict[str, int]:
    deletes = [
        sql.SQL("{} AS (DELETE FROM {} AS t USING {} AS g WHERE {} RETURNING 1)").format(
            sql.Identifier(f"sxops_gone_{number}"),
            sql.Identifier(schema_name, plan.target),
            as_relation(plan, [one.texts for one in keys]),
            is_key(plan),
        )
        for number, (plan, keys) in enumerate(chosen.values())
    ]
    counts = [
        sql.SQL("(SELECT count(*) FROM {})").format(sql.Identifier(f"sxops_gone_{number}"))
        for number in range(len(deletes))
    ]
    cursor.execute(sql.SQL("WITH {} SELECT {}").format(sql.SQL(", ").join(deletes), sql.SQL(", ").join(counts)))
    return dict(zip(chosen, cursor.fetchone() or ()))


def _refuse_children(
    cursor: Cursor,
    schema_name: str,
    plan: TablePlan,
    keys: t.Sequence[Gone],
    reference: Referring,
    chosen: t.Mapping[str, tuple[TablePlan, t.Sequence[Gone]]],
) -> None:
    joined = sql.SQL(" AND ").join(
        [
            sql.SQL("c.{} = t.{}").format(sql.Identifier(ours), sql.Identifier(theirs))
            for ours, theirs in zip(reference.columns, reference.parent_columns)
        ]
    )
    going: sql.Composable = sql.SQL("")
    schema, child = reference.child
    if schema == schema_name and child in chosen:
        child_plan, child_keys = chosen[child]
        going = sql.SQL(" AND NOT EXISTS (SELECT 1 FROM {} AS g2 WHERE {})").format(
            as_relation(child_plan, [one.texts for one in child_keys]),
            is_key(child_plan, "c", "g2"),
        )
    cursor.execute(
        sql.SQL(
            "SELECT {key} FROM {gone} AS g JOIN {table} AS t ON {match} JOIN {child} AS c ON {joined}"
            " WHERE true{going} LIMIT 1"
        ).format(
            key=sql.SQL(", ").join(
                [sql.SQL("t.{}::text").format(sql.Identifier(plan.columns[place].target)) for place in plan.key_places]
            ),
            gone=as_relation(plan, [one.texts for one in keys]),
            table=sql.Identifier(schema_name, plan.target),
            match=is_key(plan),
            child=sql.Identifier(*reference.child),
            joined=joined,
            going=going,
        )
    )
    row = cursor.fetchone()
    if row is None:
        return
    key = show(plan, row[: len(plan.key)])
    raise ReplayError(
        f"Row {key} of table {plan.source} cannot be deleted in PostgreSQL",
        "it does not travel any more, and SQLite did not enforce that nothing refers to it: rows of"
        f" {schema}.{child} still do, by ({', '.join(reference.columns)})",
        "Nothing of this step was acknowledged. Delete or correct these children in the application, then run the same"
        " command again.",
        table=plan.source,
        key=key,
        column=", ".join(reference.columns),
    )


def _refuse_rest(cursor: Cursor, schema_name: str, plan: TablePlan, keys: t.Sequence[Gone]) -> None:
    cursor.execute(
        sql.SQL("SELECT {} FROM {} AS g WHERE EXISTS (SELECT 1 FROM {} AS t WHERE {}) LIMIT 1").format(
            texts_of(plan),
            as_relation(plan, [one.texts for one in keys]),
            sql.Identifier(schema_name, plan.target),
            is_key(plan),
        )
    )
    row = cursor.fetchone()
    if row is not None:
        key = show(plan, row)
        raise ReplayError(
            f"Row {key} of table {plan.source} is still in PostgreSQL",
            "it was deleted there, and is there again: a trigger or a rule of the table withholds the deletion",
            "Nothing of this step was acknowledged.",
            table=plan.source,
            key=key,
        )
