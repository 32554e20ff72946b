# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Find the rows of SQLite that changed keys of PostgreSQL stand for, in whichever spelling SQLite holds them."""

from __future__ import annotations

import collections
import itertools
import typing as t

from . import _row_lookup
from ._change_log import Key, KeyValue, sqlite_value
from ._changed_rows import ChangedRow, Identity, identity_of
from ._return_values import SPELT, Misfit, return_value, shape
from ._row_codec import sqlite_row
from ._sqlite_store import quote, reading
from ._value_conversions import NUMBERS

if t.TYPE_CHECKING:
    import sqlite3

    from ._planned_table import ColumnPlan, TablePlan

_LOOKED_AT = 25  # values of a column, to see how it is spelt
_MOST_CANDIDATES = 64
# Every spelling of a UUID but those that mix small letters and capitals.
_UUIDS = ("a" * 32, "A" * 32, "A-" * 18, b"")
_MIXED = "({x} GLOB '*[a-f]*' AND {x} GLOB '*[A-F]*')"


class OwnRow(t.NamedTuple):
    """A row of SQLite: its key exactly as it stands there, its canonical row, and whether a policy set it aside.

    One that was set aside was never in PostgreSQL, so nothing that happened there is about it.
    """

    key: Key
    row: bytes
    aside: bool = False


class OwnTable:
    """One table of SQLite, as rows of PostgreSQL are to be written into it.

    Args:
        connection: SQLite, from L(_sqlite_writer.open_writable).
        plan: The table's plan.
        source_id: The profile.

    Attributes:
        generated: The columns that SQLite makes itself.
    """

    def __init__(self, connection: sqlite3.Connection, plan: TablePlan, source_id: str) -> None:
        self.plan = plan
        self._connection = connection
        self._compared = plan.with_compared()
        self._own, self._own_values = _row_lookup.own_row(plan, source_id)
        self._likes: dict[str, list[KeyValue]] = {}
        self._row = sqlite_row(self._compared.source_codec)
        self._aside = " OR ".join([aside.condition for aside in plan.set_aside]) or "0"
        self._key = sqlite_row(plan.source_key_codec)
        with reading(connection, f"reading the columns of {plan.source}"):
            info = connection.execute(f"PRAGMA table_xinfo({quote(plan.source)})").fetchall()
        self.generated = frozenset(
            row[1].decode() if isinstance(row[1], bytes) else row[1] for row in info if row[6] in (2, 3)
        )

    def find(self, changed: t.Sequence[ChangedRow]) -> dict[Identity, OwnRow]:
        """Return the profile's rows for these keys, as far as there are any.

        Raises:
            SqliteError: The file cannot be read.
        """
        found: dict[Identity, OwnRow] = {}
        missing: set[Identity] = set()
        with reading(self._connection, f"looking for rows of table {self.plan.source}"):
            for one in changed:
                row = self._find(one)
                if row is not None:
                    found[one.identity] = row
                else:
                    missing.add(one.identity)
            unusual = self._unusual() if missing else None
            if unusual is not None:
                found.update(self._scan(missing, unusual))
        return found

    def read(self, key: Key) -> bytes | None:
        """Return the canonical row of a key as it stands here, None where the profile has none."""
        where, values = _row_lookup.key_condition(self.plan.key, key)
        statement = f"SELECT {self._row} FROM {quote(self.plan.source)} WHERE {where} AND {self._own}"
        row = self._connection.execute(statement, (*values, *self._own_values)).fetchone()
        return row[0] if row else None

    def likes(self, column: ColumnPlan) -> list[KeyValue]:
        """Return values of a column to follow, the most usual spelling first."""
        if column.source not in self._likes:
            # A text is a text, unless numbers are taken for texts as well.
            spelt = column.kind.name in SPELT and (column.kind.name != "text" or column.kind.accepted)
            self._likes[column.source] = self._look(column) if spelt else []
        return self._likes[column.source]

    def value(self, column: ColumnPlan, key: Key) -> KeyValue:
        """Return the value of one column of the row with this key."""
        where, values = _row_lookup.key_condition(self.plan.key, key)
        name = quote(column.source)
        # One that is long is in no spelling of its own.
        statement = f"SELECT typeof({name}), CASE WHEN length({name}) <= 1024 THEN {name} END"
        row = self._connection.execute(f"{statement} FROM {quote(self.plan.source)} WHERE {where}", values).fetchone()
        return sqlite_value(*row) if row else None

    def _look(self, column: ColumnPlan) -> list[KeyValue]:
        name = quote(column.source)
        order = f" ORDER BY {self.plan.row_name} DESC" if self.plan.row_name else ""
        rows = self._connection.execute(
            f"SELECT typeof({name}), {name} FROM {quote(self.plan.source)}"
            f" WHERE {self._own} AND {name} IS NOT NULL AND length({name}) <= 1024{order} LIMIT {_LOOKED_AT}",
            self._own_values,
        )
        shapes: dict[t.Hashable, list[KeyValue]] = collections.defaultdict(list)
        for storage, value in rows:
            shapes[shape(sqlite_value(storage, value))].append(sqlite_value(storage, value))
        return [values[0] for values in sorted(shapes.values(), key=len, reverse=True)]

    def _find(self, one: ChangedRow) -> OwnRow | None:
        names = [quote(name) for name in self.plan.key]
        selected = ", ".join([self._key, self._row, self._aside, *(f"typeof({name}), {name}" for name in names)])
        for key in self._candidates(one):
            where, values = _row_lookup.key_condition(self.plan.key, key)
            row = self._connection.execute(
                f"SELECT {selected} FROM {quote(self.plan.source)} WHERE {where} AND {self._own}",
                (*values, *self._own_values),
            ).fetchone()
            if row is not None and identity_of(self.plan, row[0]) == one.identity:
                return OwnRow(_exact(row[3:]), row[1], bool(row[2]))
        return None

    def _candidates(self, one: ChangedRow) -> t.Iterator[Key]:
        spellings: list[list[KeyValue]] = []
        for place, text in zip(self.plan.key_places, one.key):
            column = self.plan.columns[place]
            values: dict[KeyValue, None] = {}
            for like in (*self.likes(column), None, *(_UUIDS if column.kind.name == "uuid" else ())):
                try:
                    values[return_value(column.kind.name, text, like)] = None
                except (Misfit, ValueError):
                    continue
            spellings.append(list(values))
        return itertools.islice(itertools.product(*spellings), _MOST_CANDIDATES)

    def _unusual(self) -> str | None:
        """Return the condition of rows whose key may be spelt as no candidate is, None where there are none."""
        conditions = []
        for place in self.plan.key_places:
            column = self.plan.columns[place]
            kind = column.kind
            if kind.equal_alike or (kind.name in NUMBERS and not kind.accepted):
                continue
            if kind.name != "uuid":
                return "1"
            conditions.append(_MIXED.replace("{x}", quote(column.source)))
        return f"({' OR '.join(conditions)})" if conditions else None

    def _scan(self, missing: t.Collection[Identity], unusual: str) -> dict[Identity, OwnRow]:
        # No index helps with a spelling that nothing in the column tells of: all of the profile's keys are looked at.
        names = [quote(name) for name in self.plan.key]
        selected = ", ".join([self._key, self._aside, *(f"typeof({name}), {name}" for name in names)])
        found: dict[Identity, tuple[Key, bool]] = {}
        for row in self._connection.execute(
            f"SELECT {selected} FROM {quote(self.plan.source)} WHERE {self._own} AND {unusual}", self._own_values
        ):
            identity = identity_of(self.plan, row[0])
            if identity in missing:
                found[identity] = _exact(row[2:]), bool(row[1])
        return {identity: OwnRow(key, self.read(key) or b"", aside) for identity, (key, aside) in found.items()}


def _exact(facts: t.Sequence[t.Any]) -> Key:
    return tuple(sqlite_value(facts[place], facts[place + 1]) for place in range(0, len(facts), 2))
