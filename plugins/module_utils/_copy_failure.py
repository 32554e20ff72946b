# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Name the row that COPY stumbled over: PostgreSQL knows it by its line, an operator by its key.

The census finds every value that a type cannot hold. What a CHECK of the target, a domain or a trigger refuses is known
to PostgreSQL alone, and it reports the number of the line (C(CONTEXT: COPY t, line 7)).
"""

from __future__ import annotations

import re
import typing as t

from ._balanced import balanced
from ._errors import PostgresError
from ._finding import show_key
from ._sqlite_store import quote, reading

if t.TYPE_CHECKING:
    import sqlite3

    from ._planned_table import TablePlan

Part = tuple[str, t.Sequence[t.Any]]  # a SQLite condition and its values


def explain(
    source: sqlite3.Connection, plan: TablePlan, error: PostgresError, parts: t.Sequence[Part]
) -> PostgresError:
    """Return the error of a COPY with the key of its row, or as it is where PostgreSQL reported no line.

    Args:
        source: The SQLite side, prepared by L(_value_kinds.prepare), in the transaction that was read from.
        plan: The table's plan.
        error: As L(_postgres_store.postgres_errors) raised it.
        parts: As for L(key_of_row).

    Raises:
        SqliteError: The file cannot be read.
    """
    context = getattr(getattr(error.__cause__, "diag", None), "context", None)
    # In the server's language, after the table's name.
    line = re.match(r"COPY " + re.escape(plan.target) + r", \D*(\d+)", context or "")
    key = key_of_row(source, plan, int(line.group(1)), parts) if line else None
    if key is None:
        return error
    why = f"{error.why.rstrip('.')}; the row is {plan.source} {key}"
    return PostgresError(error.what, why, error.remedy, **{**error.facts, "row": key})


def key_of_row(source: sqlite3.Connection, plan: TablePlan, number: int, parts: t.Sequence[Part]) -> str | None:
    """Return the key of the row that ends with a line of the COPY text, for an operator; None if there is none.

    Args:
        source: The SQLite side, prepared by L(_value_kinds.prepare), in the transaction that was read from.
        plan: The table's plan.
        number: The line as PostgreSQL counts them, from 1. A text of several lines counts as so many.
        parts: Which rows one COPY was sent, in this order.

    Raises:
        SqliteError: The file cannot be read.
    """
    texts = [quote(column.source) for column in plan.columns if column.kind.quoted]
    # Until the end of the first row PostgreSQL does not know what ends a line, and counts carriage returns.
    feeds, returns = (balanced(" + ", ["0", *(_count(character, text) for text in texts)]) for character in (10, 13))
    # All columns are asked for, so that SQLite reads the rows in the same order as for the load.
    everything = balanced(" + ", [f"({quote(column.source)} IS NULL)" for column in plan.columns])
    labels, names = zip(*plan.shown_key)
    keys = ", ".join(map(quote, names))
    line = 0
    with reading(source, f"looking for line {number} of table {plan.source}"):
        for where, values in parts:
            statement = f"SELECT {feeds}, {returns}, {everything}, {keys} FROM {quote(plan.source)} WHERE {where}"
            for more, more_at_first, _nulls, *fields in source.execute(statement, values):
                line += 1 + (more if line else more_at_first)
                if line >= number:
                    return show_key(labels, fields)
    return None


def _count(character: int, text: str) -> str:
    return f"ifnull(length({text}) - length(replace({text}, char({character}), '')), 0)"
