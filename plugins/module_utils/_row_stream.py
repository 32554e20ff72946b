# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""What C(COPY ... FROM STDIN) reads: the rows of a range as CSV lines that SQLite makes, in chunks.

A row that is wider than a chunk never stands in memory as a whole: its long values are read and sent in pieces.
"""

from __future__ import annotations

import io
import itertools
import typing as t

from ._balanced import balanced
from ._glance import WINDOW_ROWS
from ._row_codec import NULL_MARK, QUOTE_MARK, sqlite_csv_field, sqlite_csv_row
from ._sqlite_store import quote
from ._value_kinds import KINDS

if t.TYPE_CHECKING:
    import sqlite3

    from ._planned_table import ColumnPlan, TablePlan
    from ._range import Range

# Large enough that PostgreSQL is never waiting for Python, small enough to stay out of the memory figures.
CHUNK_BYTES = 1 << 18
# From this many octets on a row counts as wide.
WIDE_BYTES = 1 << 20
_CHARACTER_BYTES = 4
_PIECE_BYTES = 1 << 18
_SAID_EVERY = 20_000


class RowStream:
    """The lines of a range as the file that psycopg2's C(copy_expert) reads.

    Args:
        source: The snapshot, prepared by L(_value_kinds.prepare).
        plan: The table's plan.
        rows: The range.
        say: Called now and then with how many rows were read since.

    Attributes:
        rows: How many rows have been read so far.
        parts: Which rows it reads, by condition and values, in this order.
        error: What went wrong in SQLite; psycopg2 would report it as the server's.
    """

    def __init__(
        self,
        source: sqlite3.Connection,
        plan: TablePlan,
        rows: Range,
        say: t.Callable[[int], None],
    ) -> None:
        self._source = source
        self._plan = plan
        self._range = rows
        self._say = say
        self._said = 0
        self._chunks: t.Iterator[bytes] = iter(())
        self.parts: list[tuple[str, t.Sequence[t.Any]]] = []
        self._chunk = b""
        self._place = 0
        self.rows = 0
        self.error: Exception | None = None

    def start(self, marked: bool, widest_row: int, joinable: bool = False) -> RowStream:
        """Begin to read, knowing what the census says of the marks, of the widest row, and of many rows together."""
        where, values = self._range.where, self._range.values
        self.parts = [(where, values)]
        if self._range.numbered and joinable:
            self._chunks = self._windows(marked)
        elif widest_row < WIDE_BYTES or self._plan.row_name is None:
            self._chunks = self._narrow(marked, where)
        else:
            is_wide = f"({_width(self._plan)} > {WIDE_BYTES // _CHARACTER_BYTES})"
            narrow, wide = f"({where}) AND NOT {is_wide}", f"({where}) AND {is_wide}"
            self.parts = [(narrow, values), (wide, values)]
            self._chunks = itertools.chain(self._narrow(marked, narrow), self._wide(marked, wide))
        return self

    def read(self, size: int = -1) -> bytes:
        """Return up to C(size) bytes, nothing at the end."""
        if self._place >= len(self._chunk):
            self._chunk, self._place = self._next_chunk(), 0
        start, self._place = self._place, len(self._chunk) if size < 0 else self._place + size
        return self._chunk[start : self._place]  # the whole chunk itself where that is all of it

    def readline(self, _size: int = -1, /) -> bytes:
        """Not part of what COPY uses; psycopg2's contract asks for it."""
        raise io.UnsupportedOperation("readline")

    def _next_chunk(self) -> bytes:
        try:
            chunk = next(self._chunks, b"")
        except Exception as error:
            self.error = error
            raise
        if self.rows - self._said >= (_SAID_EVERY if chunk else 1):
            self._say(self.rows - self._said)
            self._said = self.rows
        return chunk

    def _windows(self, marked: bool) -> t.Iterator[bytes]:
        # SQLite joins the lines of many rows faster than Python takes them one by one.
        row = sqlite_csv_row(self._plan.source_codec, marked)
        statement = (
            f"SELECT count(*), group_concat({row}, char(10)) FROM {quote(self._plan.source)} WHERE {self._range.where}"
        )
        for values in self._range.windows(WINDOW_ROWS):
            rows, lines = self._source.execute(statement, values).fetchone()
            if rows:
                self.rows += rows
                yield lines + b"\n"

    def _narrow(self, marked: bool, where: str) -> t.Iterator[bytes]:
        row = sqlite_csv_row(self._plan.source_codec, marked)
        lines: list[bytes] = []
        gathered = 0
        statement = f"SELECT {row} FROM {quote(self._plan.source)} WHERE {where}"
        for (line,) in self._source.execute(statement, self._range.values):
            lines.append(line)
            gathered += len(line)
            if gathered >= CHUNK_BYTES:
                self.rows += len(lines)
                yield b"\n".join([*lines, b""])
                lines, gathered = [], 0
        if lines:
            self.rows += len(lines)
            yield b"\n".join([*lines, b""])

    def _wide(self, marked: bool, where: str) -> t.Iterator[bytes]:
        gathered = bytearray()
        for piece in self._wide_pieces(marked, where):
            gathered += piece
            if len(gathered) >= CHUNK_BYTES:
                yield bytes(gathered)
                gathered.clear()
        if gathered:  # nothing would mean the end
            yield bytes(gathered)

    def _wide_pieces(self, marked: bool, where: str) -> t.Iterator[bytes]:
        columns = self._plan.columns
        selected = [
            f"CASE WHEN {_is_long(column)} THEN typeof({quote(column.source)}) END, "
            f"CASE WHEN NOT {_is_long(column)} THEN {sqlite_csv_field(column.source, column.kind)} END"
            for column in columns
        ]
        row_name = str(self._plan.row_name)
        statement = f"SELECT {row_name}, {', '.join(selected)} FROM {quote(self._plan.source)} WHERE {where}"
        for row, *facts in self._source.execute(statement, self._range.values):
            for place, column in enumerate(columns):
                if place:
                    yield b","
                long, field = facts[2 * place : 2 * place + 2]
                if long is None:
                    yield _field(field, column.kind.quoted, marked)
                elif long == b"blob":
                    yield b"\\x"
                    yield from (piece.hex().encode() for piece in self._pieces(column.source, row))
                else:
                    mark = QUOTE_MARK.encode() if marked else b'"'
                    yield mark
                    for piece in self._pieces(column.source, row):
                        yield piece if marked else piece.replace(b'"', b'""')
                    yield mark
            self.rows += 1
            yield b"\n"

    def _pieces(self, column: str, row: int) -> t.Iterator[bytes]:
        if hasattr(self._source, "blobopen"):  # Python 3.11: SQLite reads no more than is asked for
            with self._source.blobopen(self._plan.source, column, row, readonly=True) as blob:
                piece = blob.read(_PIECE_BYTES)
                while piece:
                    yield piece
                    piece = blob.read(_PIECE_BYTES)
            return
        place = 1
        name = quote(column)
        statement = (
            f"SELECT substr(CAST({name} AS BLOB), ?, ?) FROM {quote(self._plan.source)} WHERE {self._plan.row_name} = ?"
        )
        while True:
            (piece,) = self._source.execute(statement, (place, _PIECE_BYTES, row)).fetchone()
            if not piece:
                return
            yield piece
            place += _PIECE_BYTES


def _field(field: bytes | None, quoted: bool, marked: bool) -> bytes:
    if field is None:
        return NULL_MARK.encode() if marked else b""
    if not quoted:
        return field
    mark = QUOTE_MARK.encode() if marked else b'"'
    return mark + (field if marked else field.replace(b'"', b'""')) + mark


def _travels_as_it_is(column: ColumnPlan) -> bool:
    return column.kind.csv in ("{x}", KINDS["bytea"].csv)


def _is_long(column: ColumnPlan) -> str:
    """Return the SQLite condition of a value that is sent in pieces, as its octets are in the file."""
    if not _travels_as_it_is(column):
        return "0"
    name = quote(column.source)
    storage = "text" if column.kind.quoted else "blob"
    return f"(typeof({name}) = '{storage}' AND length({name}) > {_PIECE_BYTES // _CHARACTER_BYTES})"


def _width(plan: TablePlan) -> str:
    lengths = [f"ifnull(length({quote(column.source)}), 0)" for column in plan.columns]
    return balanced(" + ", lengths)
