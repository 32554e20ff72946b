# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Rows that exchange the values of a unique key: make room for them where nothing can be lost by it.

PostgreSQL looks at every row as it is written, so of two rows that swap their names the first one always fails. Rows
whose turn comes anyway, in the same transaction, let go of such a value first: it is NULL meanwhile, or the row is
taken out where nothing refers to it, or a value stands in that no row has. What comes of it is verified as always.
"""

from __future__ import annotations

import typing as t

from ._key_relation import as_relation, is_key
from ._psycopg2 import sql

if t.TYPE_CHECKING:
    from ._planned_table import ColumnPlan
    from ._psycopg2 import Cursor
    from ._replay_deletes import Referring
    from ._staged_rows import StagedTable

# By what a column is declared as in PostgreSQL, without its length.
_STAND_INS = {
    "text": "'sxops ' || gen_random_uuid()",
    "character varying": "'sxops ' || gen_random_uuid()",
    "uuid": "gen_random_uuid()",
    "integer": "-(1 + random() * 2147483000)::int4",
    "bigint": "-(1 + random() * 9007199254740000)::int8",
}


def make_room(cursor: Cursor, table: StagedTable, first: int, last: int, referring: t.Sequence[Referring]) -> None:
    """Let rows that are staged as well, or gone, let go of unique values that other staged rows are to have.

    Args:
        cursor: PostgreSQL, inside the transaction that writes the staged rows afterwards.
        table: The staged table; every key of it that is pending has been staged.
        first: The first place that counts.
        last: The one after the last.
        referring: By which foreign keys others refer to its rows.

    Raises:
        psycopg2.Error: There is no way; the row will be found by its key.
    """
    plan = table.plan
    for unique in plan.uniques:
        if set(unique) == set(plan.key):
            continue
        columns = [column for column in plan.columns if column.source in unique]
        held = sql.SQL(" AND ").join(
            [
                sql.SQL("t.{} = s.{}").format(sql.Identifier(column.target), sql.Identifier(table.staged_name(column)))
                for column in columns
            ]
        )
        pending = sql.SQL(
            "(EXISTS (SELECT 1 FROM {} AS s WHERE {}) OR EXISTS (SELECT 1 FROM {} AS g WHERE {}))"
        ).format(table.stage, table.joined(), as_relation(plan, [one.texts for one in table.rows.gone]), is_key(plan))
        victim = sql.SQL("EXISTS (SELECT 1 FROM {} AS s WHERE {} AND {} AND NOT ({})) AND {}").format(
            table.stage, table.between(first, last), held, table.joined(), pending
        )
        cursor.execute(_let_go(table, columns, victim, referring))


def _let_go(
    table: StagedTable,
    columns: t.Sequence[ColumnPlan],
    victim: sql.Composable,
    referring: t.Sequence[Referring],
) -> sql.Composable:
    movable = [column for column in columns if column.source not in table.plan.key]
    nullable = next((column for column in movable if not column.not_null), None)
    if nullable is not None:
        return _update(table, nullable, "NULL", victim)
    stand_in = next((column for column in movable if column.target_type.split("(")[0] in _STAND_INS), None)
    unreferred = sql.SQL("").join([_without_children(reference) for reference in referring])
    if stand_in is None or not referring:
        return sql.SQL("DELETE FROM {} AS t WHERE {}{}").format(table.target, victim, unreferred)
    return _update(table, stand_in, _STAND_INS[stand_in.target_type.split("(")[0]], victim)


def _update(table: StagedTable, column: ColumnPlan, value: str, victim: sql.Composable) -> sql.Composable:
    return sql.SQL("UPDATE {} AS t SET {} = {} WHERE {}").format(
        table.target, sql.Identifier(column.target), sql.SQL(value), victim
    )


def _without_children(reference: Referring) -> sql.Composable:
    joined = sql.SQL(" AND ").join(
        [
            sql.SQL("c.{} = t.{}").format(sql.Identifier(ours), sql.Identifier(theirs))
            for ours, theirs in zip(reference.columns, reference.parent_columns)
        ]
    )
    return sql.SQL(" AND NOT EXISTS (SELECT 1 FROM {} AS c WHERE {})").format(sql.Identifier(*reference.child), joined)
