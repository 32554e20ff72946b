# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.


"""Read the rows of changed keys from SQLite, as the lines that PostgreSQL reads, and tell which have none to travel."""

from __future__ import annotations

import typing as t

from . import _row_lookup
from ._range import Range
from ._row_codec import row_digest, sqlite_csv_field, sqlite_csv_row, sqlite_row
from ._row_stream import WIDE_BYTES, RowStream
from ._sqlite_store import quote
from ._value_kind import problems_of
from ._value_kinds import KINDS

if t.TYPE_CHECKING:
    import sqlite3

    from ._change_log import Key
    from ._planned_table import SetAside, TablePlan

_CHARACTER_BYTES = 4
_BY_LETTERS = KINDS["citext"].equality


class Gone(t.NamedTuple):
    """A key that has no row to travel any more: its texts for PostgreSQL, and what it is equal by there."""

    key: Key
    texts: tuple[str, ...]
    identity: tuple[t.Any, ...]


class TravellingRow(t.NamedTuple):
    """A row to travel: its line in pieces, without the end, and the digest of its canonical text."""

    key: Key
    pieces: t.Iterator[bytes]
    digest: bytes


class TravellingRows:
    """The changed rows of one table.

    Args:
        source: SQLite, prepared by L(_value_kinds.prepare), inside a transaction.
        plan: The table's plan.
        source_id: The profile.

    Attributes:
        aside: The keys of rows that a policy sets aside.
        gone: The keys without a row to travel.
        present: What the others are equal by in PostgreSQL, where that is not what SQLite finds equal.
    """

    def __init__(self, source: sqlite3.Connection, plan: TablePlan, source_id: str) -> None:
        self.aside: dict[Key, SetAside] = {}
        self.gone: list[Gone] = []
        self.present: set[tuple[t.Any, ...]] = set()
        self._source = source
        self._plan = plan
        self._source_id = source_id

    @property
    def loose(self) -> bool:
        """Whether PostgreSQL may find keys equal that SQLite does not."""
        return any(not self._plan.columns[place].kind.equal_alike for place in self._plan.key_places)

    def read(self, keys: t.Sequence[Key]) -> t.Iterator[TravellingRow]:
        """Yield the rows of these keys; what has none to travel is noted among L(aside) and L(gone).

        Raises:
            sqlite3.Error: The file cannot be read.
        """
        plan = self._plan
        own, own_values = _row_lookup.own_row(plan, self._source_id)
        whens = "".join(f" WHEN {aside.condition} THEN {place}" for place, aside in enumerate(plan.set_aside))
        lengths = " + ".join(f"ifnull(length({quote(column.source)}), 0)" for column in plan.columns)
        wide = f"({lengths}) > {WIDE_BYTES // _CHARACTER_BYTES}" if plan.row_name else "0"
        identity = "".join(f", {expression}" for expression in self._identities())
        selected = (
            f"SELECT {f'CASE{whens} END' if whens else 'NULL'},"
            f" CASE WHEN {wide} THEN NULL ELSE {sqlite_csv_row(plan.source_codec)} END,"
            f" {sqlite_row(self._plan.with_compared().source_codec)}{identity} FROM {quote(plan.source)} WHERE "
        )
        for key in keys:
            where, values = _row_lookup.key_condition(plan.key, key)
            some = Range(f"{where} AND {own}", (*values, *own_values))
            row = self._source.execute(selected + some.where, some.values).fetchone()
            if row is None or row[0] is not None:
                self._leave_out(key, None if row is None else plan.set_aside[row[0]])
                continue
            _aside, line, canonical, *found = row
            if self.loose:
                self.present.add(self._folded(found))
            pieces = self._wide(some) if line is None else iter((line,))
            yield TravellingRow(key, pieces, row_digest(canonical))

    def _wide(self, some: Range) -> t.Iterator[bytes]:
        stream = RowStream(self._source, self._plan, some, lambda _rows: None).start(False, WIDE_BYTES)
        held = stream.read()
        while piece := stream.read():
            yield held
            held = piece
        yield held[:-1]  # without the end of the line

    def _identities(self) -> list[str]:
        if not self.loose:
            return []
        columns = [self._plan.columns[place] for place in self._plan.key_places]
        return [column.kind.equality.replace("{x}", quote(column.source)) for column in columns]

    def _folded(self, values: t.Sequence[t.Any]) -> tuple[t.Any, ...]:
        # Of other letters than ASCII's, citext decides by its locale: they are taken for equal.
        kinds = [self._plan.columns[place].kind for place in self._plan.key_places]
        return tuple(
            value.decode(errors="replace").lower() if kind.equality == _BY_LETTERS else value
            for kind, value in zip(kinds, values)
        )

    def _leave_out(self, key: Key, aside: SetAside | None) -> None:
        if aside is not None:
            self.aside[key] = aside
        gone = self._as_gone(key)
        if gone is not None:
            self.gone.append(gone)

    def _as_gone(self, key: Key) -> Gone | None:
        """Return what a key is in PostgreSQL; None for one that it cannot hold, and therefore does not."""
        columns = [self._plan.columns[place] for place in self._plan.key_places]
        if any(value is None for value in key):
            return None
        places, values = zip(*map(_row_lookup.placeholder, key))
        names = [quote(column.source) for column in columns]
        given = ", ".join(f"{place} AS {name}" for place, name in zip(places, names))
        problems = [
            problem.condition.replace("{x}", name)
            for column, name in zip(columns, names)
            for problem in problems_of(column.kind, column.target_type, True)
        ]
        whens = " ".join(f"WHEN {problem} THEN 1" for problem in problems)
        fields = [sqlite_csv_field(column.source, column.kind) for column in columns]
        selected = ", ".join([f"CASE {whens} END" if whens else "NULL", *fields, *self._identities()])
        row = self._source.execute(f"SELECT {selected} FROM (SELECT {given})", values).fetchone()
        if row[0]:
            return None
        return Gone(key, tuple(field.decode() for field in row[1 : 1 + len(key)]), self._folded(row[1 + len(key) :]))
