# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Write replayed rows into one table of SQLite: only what differs, and whatever order its unique keys allow.

SQLite looks at a unique key as each row is written. A row whose value another one still holds waits until that one was
written too; rows that exchange their values are put aside together and written anew with what they are to be, all
their other columns octet by octet as they were.
"""

from __future__ import annotations

import sqlite3
import typing as t

from . import _row_lookup
from ._changed_rows import is_short, read_long, text_of
from ._errors import ReplayError
from ._postgres_store import postgres_errors
from ._return_values import SPELT, Misfit, return_value
from ._row_codec import parse_row, sqlite_row
from ._sqlite_store import quote
from ._sqlite_writer import writing

if t.TYPE_CHECKING:
    from ._change_log import Key, KeyValue
    from ._changed_rows import ChangedRow
    from ._own_table import OwnRow, OwnTable
    from ._planned_table import ColumnPlan
    from ._psycopg2 import Connection
    from ._row_codec import Field

_ASIDE = "temp.sxops_aside"


class _Change(t.NamedTuple):
    """A row to be written: its key as it stands now (None for a new one), and the columns that get a value."""

    shown: str
    key: Key | None
    values: dict[str, KeyValue]


class TableWriter:
    """Writes into one table.

    Args:
        connection: PostgreSQL, for values that the canonical rows do not hold.
        target: SQLite, inside a transaction.
        table: The table there.
        schema_name: The tenant schema.
    """

    def __init__(self, connection: Connection, target: sqlite3.Connection, table: OwnTable, schema_name: str) -> None:
        self._connection = connection
        self._target = target
        self._table = table
        self._plan = table.plan
        self._schema_name = schema_name
        self._waiting: list[_Change] = []
        self._wanted: dict[str, bytes] = {}
        self._name = quote(self._plan.source)

    def delete(self, shown: str, key: Key) -> None:
        """Delete a row at once."""
        where, values = _row_lookup.key_condition(self._plan.key, key)
        try:
            self._target.execute(f"DELETE FROM {self._name} WHERE {where}", values)
        except sqlite3.IntegrityError as error:
            raise self._refusal(shown, str(error)) from error

    def insert(self, shown: str, one: ChangedRow, row: bytes) -> Key:
        """Add a row, now or when its turn comes; return its key as SQLite will hold it."""
        fields = parse_row(row)
        values = {
            column.source: self._value(shown, one, column, field, None)
            for column, field in zip(self._plan.columns, fields)
            if column.source not in self._table.generated
        }
        self._wanted[shown] = row
        self._waiting.append(_Change(shown, None, values))
        return tuple(values[name] for name in self._plan.key)

    def update(self, shown: str, one: ChangedRow, row: bytes, own: OwnRow) -> Key:
        """Give a row its new values, now or when its turn comes; return its key as SQLite will hold it."""
        values = {
            column.source: self._value(shown, one, column, field, own.key)
            for column, field, mine in zip(self._plan.columns, parse_row(row), parse_row(own.row))
            if field != mine and column.source not in self._table.generated
        }
        self._wanted[shown] = row
        if values:
            self._waiting.append(_Change(shown, own.key, values))
        key = dict(zip(self._plan.key, own.key))
        return tuple(values.get(name, key[name]) for name in self._plan.key)

    def flush(self) -> None:
        """Write what waits, as far as no unique key stands in the way."""
        while self._waiting:
            left = [change for change in self._waiting if self._blocked(change)]
            if len(left) == len(self._waiting):
                return
            self._waiting = left

    def finish(self) -> None:
        """Write all the rest.

        Raises:
            ReplayError: A unique key stands in the way that no other change will free.
        """
        self.flush()
        changes = [change for change in self._waiting if change.key is not None]
        if changes:
            self._write_anew(changes)
            self._waiting = [change for change in self._waiting if change.key is None]
            self.flush()
        if self._waiting:
            change = self._waiting[0]
            raise self._refusal(change.shown, self._blocked(change) or "a unique key stands in its way", unique=True)

    def differing(self, shown: str, row: bytes) -> str:
        """Return the columns in which a row is not what it was to become."""
        columns = self._plan.with_compared().columns
        pairs = zip(columns, parse_row(self._wanted.get(shown, row)), parse_row(row))
        return ", ".join(column.source for column, wanted, found in pairs if wanted != found)

    def align_numbers(self) -> None:
        """Let AUTOINCREMENT give no number that PostgreSQL has given."""
        column = next((one for one in self._plan.columns if (one.source,) == self._plan.key and one.sequence), None)
        has_numbers = "SELECT 1 FROM sqlite_master WHERE name = 'sqlite_sequence'"
        if column is None or not self._target.execute(has_numbers).fetchone():
            return
        with postgres_errors(f"Reading sequence {column.sequence}"), self._connection.cursor() as cursor:
            cursor.execute("SELECT pg_sequence_last_value(%s::regclass)", (column.sequence,))
            (last,) = cursor.fetchone() or (None,)
        if last is not None:
            self._target.execute(
                "UPDATE sqlite_sequence SET seq = ? WHERE name = ? AND seq < ?", (last, self._plan.source, last)
            )

    # Values

    def _value(self, shown: str, one: ChangedRow, column: ColumnPlan, field: Field, own: Key | None) -> KeyValue:
        if field is None:
            return None
        if is_short(column, field):
            text: str | bytes | None = text_of(column, t.cast("bytes", field))
        else:
            text = read_long(self._connection, self._plan, self._schema_name, one.key, column)
        if text is None:
            return None
        likes: list[KeyValue] = []
        if column.kind.name in SPELT:
            likes = [self._table.value(column, own)] if own else []
            likes += self._table.likes(column)
        why = "SQLite has no value for it"
        for like in likes:
            if like is None:
                continue
            try:
                value = return_value(column.kind.name, text, like)
            except ValueError:
                continue
            if self._means(column, value) == field:
                return value
        try:
            return return_value(column.kind.name, text)
        except Misfit as error:
            why = str(error)
        except ValueError as error:
            why = f"{why} ({error})"
        raise self._refusal(shown, why, column.source)

    def _means(self, column: ColumnPlan, value: KeyValue) -> Field:
        """Return the canonical field that a value of SQLite would have in this column."""
        codec = [(column.source, column.kind)]
        statement = f"SELECT {sqlite_row(codec)} FROM (SELECT ? AS {quote(column.source)})"
        return parse_row(self._target.execute(statement, (value,)).fetchone()[0])[0]

    # Statements

    def _blocked(self, change: _Change) -> str | None:
        """Write a change; return what SQLite says of it where a unique key stands in the way."""
        names = [quote(name) for name in change.values]
        values = tuple(change.values.values())
        # Whatever the table says of conflicts, no other row may be replaced.
        if change.key is None:
            marks = ", ".join("?" * len(names))
            statement = f"INSERT OR ABORT INTO {self._name} ({', '.join(names)}) VALUES ({marks})"
        else:
            where, key = _row_lookup.key_condition(self._plan.key, change.key)
            given = ", ".join(f"{name} = ?" for name in names)
            statement = f"UPDATE OR ABORT {self._name} SET {given} WHERE {where}"
            values += key
        try:
            self._target.execute(statement, values)
        except sqlite3.IntegrityError as error:
            if str(error).startswith("UNIQUE constraint failed"):
                return str(error)
            raise self._refusal(change.shown, str(error)) from error
        except (sqlite3.DataError, OverflowError) as error:
            raise self._refusal(change.shown, str(error)) from error
        return None

    def _write_anew(self, changes: t.Sequence[_Change]) -> None:
        """Take the rows out together, and put them back with their new values."""
        columns = [quote(name) for name in self._stored_columns()]
        if self._plan.row_name and not self._numbered():
            columns.insert(0, self._plan.row_name)
        listed = ", ".join(columns)
        renamed = ", ".join(f"{name} AS {quote(f'c{place}')}" for place, name in enumerate(columns))
        for number, change in enumerate(changes):
            where, key = _row_lookup.key_condition(self._plan.key, t.cast("Key", change.key))
            begin = f"INSERT INTO {_ASIDE} SELECT" if number else f"CREATE TABLE {_ASIDE} AS SELECT"
            self._target.execute(f"{begin} {number} AS n, {renamed} FROM {self._name} WHERE {where}", key)
        for change in changes:
            self.delete(change.shown, t.cast("Key", change.key))
        try:
            for number, change in enumerate(changes):
                for name, value in change.values.items():
                    place = columns.index(quote(name))
                    self._target.execute(f"UPDATE {_ASIDE} SET c{place} = ? WHERE n = ?", (value, number))
                stored = ", ".join(f"c{place}" for place in range(len(columns)))
                try:
                    self._target.execute(
                        f"INSERT OR ABORT INTO {self._name} ({listed}) SELECT {stored} FROM {_ASIDE} WHERE n = ?",
                        (number,),
                    )
                except sqlite3.IntegrityError as error:
                    raise self._refusal(change.shown, str(error), unique=True) from error
        finally:
            with writing(self._target, "putting rows back"):
                self._target.execute(f"DROP TABLE {_ASIDE}")

    def _stored_columns(self) -> list[str]:
        info = self._target.execute(f"PRAGMA table_xinfo({self._name})").fetchall()
        names = [(row[1].decode() if isinstance(row[1], bytes) else row[1], row[6]) for row in info]
        return [name for name, hidden in names if hidden == 0]

    def _numbered(self) -> bool:
        """Whether the rowid is one of the columns."""
        info = self._target.execute(f"PRAGMA table_xinfo({self._name})").fetchall()
        keyed = [row for row in info if row[5]]
        declared = keyed[0][2] if len(keyed) == 1 else b""
        return (declared.decode() if isinstance(declared, bytes) else declared).upper() == "INTEGER"

    def _refusal(self, shown: str, why: str, column: str = "", **facts: t.Any) -> ReplayError:
        where = f"{self._plan.source}.{column}" if column else f"table {self._plan.source}"
        return ReplayError(
            f"Row {shown} of {where} cannot be replayed into SQLite",
            why,
            "SQLite is as it was, and nothing of this step was acknowledged. Correct the row, then run the same command"
            " again.",
            table=self._plan.source,
            key=shown,
            column=column,
            **facts,
        )
