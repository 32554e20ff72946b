# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""The first look of the census: one quick pass over many rows that tells whether anything may be wrong with them.

Clean data is the usual case and needs no more. Texts are looked at in batches, because a function of ours that SQLite
calls for every row would cost more than all the rest.
"""

from __future__ import annotations

import sqlite3
import typing as t

from ._balanced import balanced
from ._row_codec import NULL_MARK, QUOTE_MARK
from ._sqlite_store import quote, reading
from ._value_kind import suspicions_of

if t.TYPE_CHECKING:
    from ._planned_table import TablePlan
    from ._range import Range

_BATCH_BYTES = 1 << 18
_MARKS = (QUOTE_MARK.encode(), NULL_MARK.encode())
_FIELD_OCTETS = 80  # as long as the field of a number, a time or a source_id may become, with what separates it
_SHORT = ("int2", "int4", "int8", "float4", "float8", "bool")
_SEPARATOR = "||'\n'||"
_LONGEST = "ifnull(max(length(CAST({} AS BLOB))), 0)"
# How many rows are asked for together, and how many octets they may have.
WINDOW_ROWS = 500
_JOINABLE_BYTES = 1 << 23


class Glance(t.NamedTuple):
    """What was seen of some rows.

    C(suspicious) is false only where nothing of what L(_value_kind.problems_of) describes is among them, C(marked) is
    true only where no text holds a mark of L(_row_codec.sqlite_csv_row). C(widest_row) is how many octets no encoded
    row has more of. C(joinable) is true only where L(WINDOW_ROWS) of them together are not much in memory.
    """

    rows: int
    suspicious: bool
    marked: bool
    widest_row: int
    joinable: bool

    def __or__(self, other: Glance) -> Glance:
        return Glance(
            self.rows + other.rows,
            self.suspicious or other.suspicious,
            self.marked and other.marked,
            max(self.widest_row, other.widest_row),
            self.joinable and other.joinable,
        )


NOTHING = Glance(0, False, True, 0, True)


def glance(source: sqlite3.Connection, plan: TablePlan, rows: Range) -> Glance:
    """Return what a quick look at some rows of a table tells.

    Args:
        source: The SQLite side, prepared by L(_value_kinds.prepare), inside a read transaction.
        plan: The table's plan.
        rows: The rows.

    Raises:
        SqliteError: The file cannot be read.
    """
    with reading(source, f"census of table {plan.source}"):
        # Before Python 3.11 nothing could keep SQLite from joining many large values.
        if not rows.numbered or not hasattr(source, "setlimit"):
            return _row_by_row(source, plan, rows.where, rows.values)
        seen = NOTHING
        statement = _window_statement(plan, rows.where)
        for values in rows.windows(WINDOW_ROWS):
            seen |= _at_once(source, plan, statement, values) or _row_by_row(source, plan, rows.where, values)
        return seen


def _window_statement(plan: TablePlan, where: str) -> str:
    # What Python calls for, it gets for many rows together: one text for each column of texts.
    # A line feed between the texts: no octet sequence goes on beyond it.
    # The tenant column is what was asked for.
    texts = [quote(name) for name in _texts(plan) if name != plan.tenant_column]
    asked = [
        f"count(CASE WHEN {_suspicions(plan)} THEN 1 END)",
        *(f"group_concat({name}, '\n')" for name in texts),
        *(_LONGEST.format(name) for name in (*texts, *_long_others(plan))),
    ]
    return f"SELECT count(*), {', '.join(asked)} FROM {quote(plan.source)} WHERE ({where})"


def _at_once(source: sqlite3.Connection, plan: TablePlan, statement: str, values: t.Sequence[t.Any]) -> Glance | None:
    """Return the same for a few rows that are asked for together, None where they are too large for that."""
    before = source.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _JOINABLE_BYTES)
    try:
        rows, suspects, *found = source.execute(statement, values).fetchone()
    except sqlite3.DataError:
        return None
    finally:
        source.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, before)
    texts = [text for text in found if isinstance(text, bytes)]
    lengths = [number for number in found if isinstance(number, int)]
    suspicious = bool(suspects) or not all(map(_is_text, texts))
    marked = not suspicious and not any(mark in text for text in texts for mark in _MARKS)
    width = _width(plan, sum(lengths))
    return Glance(rows, suspicious, marked, width, rows * width <= _JOINABLE_BYTES)


def _row_by_row(source: sqlite3.Connection, plan: TablePlan, where: str, values: t.Sequence[t.Any]) -> Glance:
    texts = [f"ifnull({quote(name)}, '')" for name in _texts(plan)] or ["''"]
    row = f"CASE WHEN {_suspicions(plan)} THEN NULL ELSE CAST({balanced(_SEPARATOR, texts)} AS TEXT) END"
    rest = f"FROM {quote(plan.source)} WHERE ({where})"
    rows, suspicious, marked, longest = 0, False, True, 0
    for batch in _batches(source.execute(f"SELECT {row} {rest}", values)):
        rows += len(batch)
        seen = [text for text in batch if text is not None]
        together = b"\n".join(seen)
        suspicious = suspicious or len(seen) < len(batch) or not _is_text(together)
        marked = marked and not suspicious and not any(mark in together for mark in _MARKS)
        longest = max(longest, *map(len, seen), 0)
    others = [_LONGEST.format(name) for name in _long_others(plan)]
    if others:
        longest += sum(source.execute(f"SELECT {', '.join(others)} {rest}", values).fetchone())
    return Glance(rows, suspicious, marked, _width(plan, longest), False)


def _suspicions(plan: TablePlan) -> str:
    return balanced(
        " OR ",
        [
            condition.replace("{x}", quote(column.source))
            for column in plan.columns
            for condition in suspicions_of(column.kind, column.not_null)
        ],
    )


def _texts(plan: TablePlan) -> list[str]:
    return [column.source for column in plan.columns if column.kind.quoted]


def _long_others(plan: TablePlan) -> list[str]:
    return [
        quote(column.source)
        for column in plan.columns
        if not column.kind.quoted and (column.kind.accepted or column.kind.name not in _SHORT)
    ]


def _width(plan: TablePlan, octets: int) -> int:
    # A blob travels as hexadecimal digits, and a quote as two.
    return 2 * octets + _FIELD_OCTETS * len(plan.columns)


def _batches(rows: t.Iterable[tuple[bytes | None]]) -> t.Iterator[list[bytes | None]]:
    batch: list[bytes | None] = []
    gathered = 0
    for (text,) in rows:
        batch.append(text)
        gathered += _FIELD_OCTETS + len(text or b"")
        if gathered >= _BATCH_BYTES:
            yield batch
            batch, gathered = [], 0
    if batch:
        yield batch


def _is_text(octets: bytes) -> bool:
    """Return whether PostgreSQL would take this for text."""
    if not octets.isascii():
        try:
            octets.decode()
        except UnicodeDecodeError:
            return False
    return b"\0" not in octets
