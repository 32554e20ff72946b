# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Changed rows of one table on their way into PostgreSQL: staged in a temporary table, then written where they differ.

Beside its values a staged row has the digest of its canonical text as SQLite made it. So PostgreSQL itself leaves alone
what is there already, and tells at the end which rows did not become what they are in SQLite.
"""

from __future__ import annotations

import io
import typing as t

from ._psycopg2 import psycopg2, sql
from ._row_codec import csv_options, postgres_row
from ._row_stream import CHUNK_BYTES
from ._sqlite_store import reading
from ._travelling_rows import TravellingRows
from ._value_kinds import KINDS

if t.TYPE_CHECKING:
    import sqlite3

    from ._change_log import Key
    from ._planned_table import ColumnPlan, Reference, TablePlan
    from ._psycopg2 import Connection, Cursor

_DIGEST, _PLACE = "sxops_digest", "sxops_place"
_CHARACTER_BYTES = 4
_BY_LETTERS = KINDS["citext"].equality


class StagedTable:
    """The changed rows of one table, in one transaction of PostgreSQL.

    Args:
        source: SQLite, prepared by L(_value_kinds.prepare), inside a transaction.
        connection: PostgreSQL.
        plan: The table's plan.
        schema_name: The tenant schema.
        source_id: The profile.
        number: Tells the temporary tables of one transaction apart.

    Attributes:
        keys: What has been staged, by place.
        rows: What was seen in SQLite.
    """

    def __init__(
        self,
        source: sqlite3.Connection,
        connection: Connection,
        plan: TablePlan,
        schema_name: str,
        source_id: str,
        number: int,
    ) -> None:
        self.plan = plan
        self.compared = plan.with_compared()
        self.target = sql.Identifier(schema_name, plan.target)
        self.keys: list[Key] = []
        self.rows = TravellingRows(source, plan, source_id)
        self._source = source
        self._connection = connection
        self._schema_name = schema_name
        self.stage = sql.Identifier(f"sxops_stage_{number}")
        self._made = False
        self.staged_columns = [f"sxops_{place}" for place in range(len(plan.columns))]

    def fill(self, keys: t.Sequence[Key]) -> tuple[int, int]:
        """Stage the rows of these keys; return the first place and the one after the last.

        Raises:
            psycopg2.Error: PostgreSQL does not take a row as it is.
            SqliteError: The file cannot be read.
        """
        first = len(self.keys)
        columns = [*self.staged_columns, _DIGEST, _PLACE]
        copy = sql.SQL("COPY {} ({}) FROM STDIN {}").format(
            self.stage, sql.SQL(", ").join(map(sql.Identifier, columns)), csv_options(self.plan.target_codec, False)
        )
        stream = _Lines(self._lines(keys))
        with reading(self._source, f"reading table {self.plan.source}"), self._connection.cursor() as cursor:
            try:
                cursor.copy_expert(copy, stream, size=CHUNK_BYTES)
            except psycopg2.Error:
                if stream.error is not None:
                    raise stream.error from None
                raise
        return first, len(self.keys)

    def forget(self, first: int, gone: int) -> None:
        """Forget what was staged from a place on, and the keys without a row from another on: it was rolled back."""
        del self.keys[first:]
        del self.rows.gone[gone:]

    def _lines(self, keys: t.Sequence[Key]) -> t.Iterator[bytes]:
        for row in self.rows.read(keys):
            yield from row.pieces
            yield b",\\x%s,%d\n" % (row.digest.hex().encode(), len(self.keys))
            self.keys.append(row.key)

    def make(self) -> list[sql.Composable]:
        """Return the statement that makes the temporary table, none where it has been made already."""
        if self._made:
            return []
        self._made = True
        selected = [
            sql.SQL("{} AS {}").format(sql.Identifier(column.target), sql.Identifier(name))
            for column, name in zip(self.plan.columns, self.staged_columns)
        ]
        statement = sql.SQL(
            "CREATE TEMPORARY TABLE {} ON COMMIT DROP AS SELECT {}, NULL::bytea AS {}, 0 AS {} FROM {} WITH NO DATA"
        ).format(
            self.stage,
            sql.SQL(", ").join(selected),
            sql.Identifier(_DIGEST),
            sql.Identifier(_PLACE),
            self.target,
        )
        return [statement]

    # What PostgreSQL does with it

    def staged_name(self, column: ColumnPlan) -> str:
        """Return what a column is called in the stage."""
        return self.staged_columns[self.plan.columns.index(column)]

    def joined(self) -> sql.Composable:
        """Return the condition under which a row C(t) of the table is the row C(s) of the stage."""
        return sql.SQL(" AND ").join(
            [
                sql.SQL("t.{} = s.{}").format(
                    sql.Identifier(self.plan.columns[place].target), sql.Identifier(self.staged_columns[place])
                )
                for place in self.plan.key_places
            ]
        )

    def differs(self) -> sql.Composable:
        """Return the condition under which the row C(t) is not what its staged row is."""
        row = postgres_row(self.compared.target_codec)
        return sql.SQL("sha256(textsend({})) <> s.{}").format(row, sql.Identifier(_DIGEST))

    def between(self, first: int, last: int) -> sql.Composable:
        """Return the condition of the staged rows from a place up to, not including, another."""
        return sql.SQL("s.{place} >= {first} AND s.{place} < {last}").format(
            place=sql.Identifier(_PLACE), first=sql.Literal(first), last=sql.Literal(last)
        )

    def update(self, first: int, last: int, fixed: t.Collection[str]) -> sql.Composable | None:
        """Return the statement that gives the rows which are there their new values, None where there are none.

        C(fixed) are columns that PostgreSQL lets nobody change.
        """
        kept = set() if self.rows.loose else set(self.plan.key_places)
        places = [
            place for place, column in enumerate(self.plan.columns) if place not in kept and column.target not in fixed
        ]
        if not places:
            return None
        return sql.SQL("UPDATE {} AS t SET {} FROM {} AS s WHERE {} AND {} AND {}").format(
            self.target,
            sql.SQL(", ").join(
                [
                    sql.SQL("{} = s.{}").format(
                        sql.Identifier(self.plan.columns[place].target), sql.Identifier(self.staged_columns[place])
                    )
                    for place in places
                ]
            ),
            self.stage,
            self.between(first, last),
            self.joined(),
            self.differs(),
        )

    def insert(self, first: int, last: int) -> sql.Composable:
        """Return the statement that adds the rows which are not there."""
        return sql.SQL(
            "INSERT INTO {target} ({columns}) OVERRIDING SYSTEM VALUE SELECT {staged} FROM {stage} AS s"
            " WHERE {between} AND NOT EXISTS (SELECT 1 FROM {target} AS t WHERE {joined}) ORDER BY s.{place}"
        ).format(
            target=self.target,
            columns=sql.SQL(", ").join([sql.Identifier(column.target) for column in self.plan.columns]),
            staged=sql.SQL(", ").join([sql.SQL("s.{}").format(sql.Identifier(name)) for name in self.staged_columns]),
            stage=self.stage,
            between=self.between(first, last),
            joined=self.joined(),
            place=sql.Identifier(_PLACE),
        )

    def orphans(self, reference: Reference, first: int, last: int, beside: StagedTable | None) -> sql.Composable:
        """Return the query for the place of a staged row whose parent neither is there nor is staged C(beside) it."""
        names = {column.source: name for column, name in zip(self.plan.columns, self.staged_columns)}
        ours = [sql.SQL("s.{}").format(sql.Identifier(names[name])) for name in reference.columns]
        places = [(sql.Identifier(self._schema_name, reference.parent_target), reference.parent_target_columns)]
        if beside is not None:
            staged = {column.target: name for column, name in zip(beside.plan.columns, beside.staged_columns)}
            places.append((beside.stage, tuple(staged[name] for name in reference.parent_target_columns)))
        found = [
            sql.SQL(" AND NOT EXISTS (SELECT 1 FROM {} AS p WHERE {})").format(
                table,
                sql.SQL(" AND ").join(
                    [sql.SQL("p.{} = {}").format(sql.Identifier(name), own) for name, own in zip(columns, ours)]
                ),
            )
            for table, columns in places
        ]
        return sql.SQL("SELECT s.{place} FROM {stage} AS s WHERE {between}{present}{found} ORDER BY 1 LIMIT 1").format(
            place=sql.Identifier(_PLACE),
            stage=self.stage,
            between=self.between(first, last),
            present=sql.SQL("").join([sql.SQL(" AND {} IS NOT NULL").format(own) for own in ours]),
            found=sql.SQL("").join(found),
        )

    def wrong(self, cursor: Cursor, first: int, last: int) -> list[tuple[Key, bytes | None]]:
        """Return the keys of staged rows that PostgreSQL does not hold as SQLite does, each with its row there."""
        row = postgres_row(self.compared.target_codec)
        cursor.execute(
            sql.SQL(
                "SELECT s.{place}, (SELECT textsend({row}) FROM {target} AS t WHERE {joined} LIMIT 1) FROM {stage} AS s"
                " WHERE {between} AND NOT EXISTS (SELECT 1 FROM {target} AS t WHERE {joined} AND NOT ({differs}))"
                " ORDER BY 1 LIMIT 20"
            ).format(
                place=sql.Identifier(_PLACE),
                row=row,
                target=self.target,
                joined=self.joined(),
                stage=self.stage,
                between=self.between(first, last),
                differs=self.differs(),
            )
        )
        return [(self.keys[place], None if text is None else bytes(text)) for place, text in cursor.fetchall()]


class _Lines:
    """What C(copy_expert) reads, made piece by piece; a large piece is handed on in parts without being copied."""

    def __init__(self, pieces: t.Iterator[bytes]) -> None:
        self._pieces = pieces
        self._chunk = memoryview(b"")
        self.error: Exception | None = None

    def read(self, size: int = -1, /) -> bytes:
        """Return up to C(size) bytes, nothing at the end."""
        if not self._chunk:
            self._chunk = memoryview(self._gather())
        end = len(self._chunk) if size < 0 else size
        some, self._chunk = bytes(self._chunk[:end]), self._chunk[end:]
        return some

    def readline(self, _size: int = -1, /) -> bytes:
        """Not part of what COPY uses; psycopg2's contract asks for it."""
        raise io.UnsupportedOperation("readline")

    def _gather(self) -> bytes:
        gathered: list[bytes] = []
        length = 0
        try:
            for piece in self._pieces:
                gathered.append(piece)
                length += len(piece)
                if length >= CHUNK_BYTES:
                    break
        except Exception as error:
            self.error = error
            raise
        return gathered[0] if len(gathered) == 1 else b"".join(gathered)
