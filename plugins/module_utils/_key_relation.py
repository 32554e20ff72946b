# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Keys as a relation of PostgreSQL, so that the rows of many keys are asked for at once without a bound parameter."""

from __future__ import annotations

import typing as t

from ._finding import show_key
from ._psycopg2 import sql

if t.TYPE_CHECKING:
    from ._planned_table import TablePlan

PLACE = "sxops_n"  # which of the keys it is, from 1 on


def as_relation(plan: TablePlan, keys: t.Sequence[t.Sequence[str]]) -> sql.Composable:
    """Return keys as a relation with the columns C(sxops_g0), C(sxops_g1) and so on, and L(PLACE).

    Args:
        plan: The table, whose key columns say of which types they are.
        keys: The texts of each key's values, as PostgreSQL reads them.
    """
    texts: t.Iterable[t.Sequence[str]] = zip(*keys) if keys else [[] for _place in plan.key_places]
    arrays = [sql.SQL("{}::text[]").format(sql.Literal(list(column))) for column in texts]
    names = [sql.Identifier(_name(number)) for number in range(len(plan.key_places))]
    casts = [
        sql.SQL("{}::{} AS {}").format(name, sql.SQL(plan.columns[place].target_type), name)
        for name, place in zip(names, plan.key_places)
    ]
    return sql.SQL("(SELECT {}, {place} FROM unnest({}) WITH ORDINALITY AS k ({}, {place}) OFFSET 0)").format(
        sql.SQL(", ").join(casts), sql.SQL(", ").join(arrays), sql.SQL(", ").join(names), place=sql.Identifier(PLACE)
    )


def is_key(plan: TablePlan, row: str = "t", key: str = "g") -> sql.Composable:
    """Return the condition under which a row of the table has a key of the relation, both by their aliases."""
    return sql.SQL(" AND ").join(
        [
            sql.SQL("{}.{} = {}.{}").format(
                sql.SQL(row),
                sql.Identifier(plan.columns[place].target),
                sql.SQL(key),
                sql.Identifier(_name(number)),
            )
            for number, place in enumerate(plan.key_places)
        ]
    )


def renamed(plan: TablePlan, keys: t.Sequence[t.Sequence[str]]) -> sql.Composable:
    """Return the relation with the names that the columns have in the table."""
    names = [
        sql.SQL("{} AS {}").format(sql.Identifier(_name(number)), sql.Identifier(plan.columns[place].target))
        for number, place in enumerate(plan.key_places)
    ]
    return sql.SQL("(SELECT {}, {} FROM {} AS k OFFSET 0)").format(
        sql.SQL(", ").join(names), sql.Identifier(PLACE), as_relation(plan, keys)
    )


def texts_of(plan: TablePlan, alias: str = "g") -> sql.Composable:
    """Return the values of a key of the relation as texts."""
    return sql.SQL(", ").join(
        [
            sql.SQL("{}.{}::text").format(sql.SQL(alias), sql.Identifier(_name(number)))
            for number in range(len(plan.key_places))
        ]
    )


def show(plan: TablePlan, texts: t.Sequence[t.Any]) -> str:
    """Return a key for an operator: C((source_id=assets_1, id=42))."""
    return show_key(plan.key, texts)


def _name(number: int) -> str:
    return f"sxops_g{number}"
