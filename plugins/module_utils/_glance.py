# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""The first look of the census: one quick pass over many rows that tells whether anything may be wrong with them.

Clean data is the usual case and needs no more. Texts are looked at in batches, because a function of ours that SQLite
calls for every row would cost more than all the rest.
"""

from __future__ import annotations

import typing as t

from ._balanced import balanced
from ._sqlite_store import quote, reading
from ._value_kind import suspicions_of

if t.TYPE_CHECKING:
    import sqlite3

    from ._planned_table import TablePlan

_BATCH_BYTES = 1 << 18
_MARKS = (b"\x01", b"\x02")
_FIELD_OCTETS = 32  # as long as the field of a number or a time may become, with what separates it
_SHORT = ("int2", "int4", "int8", "float4", "float8", "bool")
_SEPARATOR = "||'\n'||"


class Glance(t.NamedTuple):
    """What was seen of some rows.

    C(suspicious) is false only where nothing of what L(_value_kind.problems_of) describes is among them, C(marked) is
    true only where no text holds a mark of L(_row_codec.sqlite_csv_row). C(widest_row) is how many octets no encoded
    row has more of.
    """

    rows: int
    suspicious: bool
    marked: bool
    widest_row: int

    def __or__(self, other: Glance) -> Glance:
        return Glance(
            self.rows + other.rows,
            self.suspicious or other.suspicious,
            self.marked and other.marked,
            max(self.widest_row, other.widest_row),
        )


NOTHING = Glance(0, False, True, 0)


def glance(source: sqlite3.Connection, plan: TablePlan, where: str, values: t.Sequence[t.Any]) -> Glance:
    """Return what a quick look at some rows of a table tells.

    Args:
        source: The SQLite side, prepared by L(_value_kinds.prepare), inside a read transaction.
        plan: The table's plan.
        where: The SQLite condition of the rows.
        values: The values for it.

    Raises:
        SqliteError: The file cannot be read.
    """
    suspicions = [
        condition.replace("{x}", quote(column.source))
        for column in plan.columns
        for condition in suspicions_of(column.kind, column.not_null)
    ]
    # A line feed between the texts: no octet sequence goes on beyond it.
    texts = [f"ifnull({quote(column.source)}, '')" for column in plan.columns if column.kind.quoted] or ["''"]
    row = f"CASE WHEN {balanced(' OR ', suspicions)} THEN NULL ELSE CAST({balanced(_SEPARATOR, texts)} AS TEXT) END"
    rest = f"FROM {quote(plan.source)} WHERE ({where})"
    rows, suspicious, marked, longest = 0, False, True, 0
    with reading(source, f"census of table {plan.source}"):
        for batch in _batches(source.execute(f"SELECT {row} {rest}", values)):
            rows += len(batch)
            seen = [text for text in batch if text is not None]
            together = b"\n".join(seen)
            suspicious = suspicious or len(seen) < len(batch) or not _is_text(together)
            marked = marked and not suspicious and not any(mark in together for mark in _MARKS)
            longest = max(longest, *map(len, seen), 0)
        lengths = _lengths(plan)
        longest_others = source.execute(f"SELECT {lengths} {rest}", values).fetchone() if lengths else ()
    # A blob travels as hexadecimal digits, and a quote as two.
    return Glance(rows, suspicious, marked, 2 * (longest + sum(longest_others)) + _FIELD_OCTETS * len(plan.columns))


def _lengths(plan: TablePlan) -> str:
    found = [
        f"ifnull(max(length(CAST({quote(column.source)} AS BLOB))), 0)"
        for column in plan.columns
        if not column.kind.quoted and (column.kind.accepted or column.kind.name not in _SHORT)
    ]
    return ", ".join(found)


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
