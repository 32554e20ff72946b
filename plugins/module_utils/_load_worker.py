# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""One process of a load: it reads ranges of the snapshot, copies them, and commits when all others are ready too."""

from __future__ import annotations

import resource
import typing as t

from . import _postgres_store
from ._copy_failure import explain
from ._errors import PostgresError
from ._postgres_store import postgres_errors, roll_back
from ._psycopg2 import psycopg2, sql
from ._row_codec import csv_options
from ._row_stream import CHUNK_BYTES, RowStream
from ._snapshot_reader import SnapshotReader
from ._sqlite_store import reading

if t.TYPE_CHECKING:
    from ._census import Census
    from ._planned_table import TablePlan
    from ._psycopg2 import Connection
    from ._range import Range

_XID_BITS = 0xFFFFFFFF
_KILOBYTES = 1024


class Prepared(t.NamedTuple):
    """A transaction that is ready to be committed: its number as C(xmin) has it, and its rows."""

    transaction: int
    rows: int


class LoadWorker(SnapshotReader):
    """What L(_workers.Workers) serves for a load.

    Args:
        say: Takes how many rows were done since it was last called.
    """

    def __init__(self, say: t.Callable[[int], None]) -> None:
        super().__init__(say)
        self._connection: Connection | None = None
        self._rows = 0
        self._copying = False

    def connect(self, params: t.Mapping[str, t.Any]) -> None:
        """Connect to PostgreSQL with the options of the module.

        Raises:
            PostgresError: The server cannot be reached, or refuses the login.
        """
        self._connection = _postgres_store.connect(params)
        with postgres_errors("Preparing the session"), self._connection.cursor() as cursor:
            # What is lost with the server's memory is not marked complete in the journal, and loaded again.
            cursor.execute("SET synchronous_commit TO off")
        self._connection.commit()

    def copy(self, plan: TablePlan, schema_name: str, rows: Range, census: Census) -> int:
        """Copy a range of a table within this process's transaction, and return how many rows were sent.

        Raises:
            PostgresError: PostgreSQL refused a row.
            SqliteError: The snapshot cannot be read.
        """
        source, connection = self.source, self.connection
        self._copying = True
        columns = sql.SQL(", ").join([sql.Identifier(column.target) for column in plan.columns])
        copy = sql.SQL("COPY {} ({}) FROM STDIN {}").format(
            sql.Identifier(schema_name, plan.target), columns, csv_options(plan.target_codec, census.marked)
        )
        stream = RowStream(source, plan, rows, self._say)
        stream.start(census.marked, census.widest_row, census.joinable)
        try:
            with (
                postgres_errors(f"Loading table {schema_name}.{plan.target}"),
                reading(source, f"reading table {plan.source}"),
                connection.cursor() as cursor,
            ):
                try:
                    cursor.copy_expert(copy, stream, size=CHUNK_BYTES)
                except psycopg2.Error:
                    if stream.error is not None:
                        raise stream.error from None
                    raise
        except PostgresError as error:
            raise explain(source, plan, error, stream.parts) from error
        self._rows += stream.rows
        return stream.rows

    def prepare(self) -> Prepared | None:
        """Return what stands ready to be committed here, None where this process copied nothing."""
        if not self._copying:
            return None
        with postgres_errors("Preparing to commit"), self.connection.cursor() as cursor:
            cursor.execute("SELECT pg_current_xact_id()::text::bigint")
            (number,) = cursor.fetchone() or (0,)
        return Prepared(number & _XID_BITS, self._rows)

    def commit(self) -> None:
        """Commit what was copied.

        Raises:
            PostgresError: A constraint that is checked at the end does not hold, or the session is gone.
        """
        if self._copying:
            with postgres_errors("Committing the copied rows"):
                self.connection.commit()
        self._rows, self._copying = 0, False

    def roll_back(self) -> None:
        """Undo what was copied since the last commit."""
        if self._connection is not None:
            roll_back(self._connection)
        self._rows, self._copying = 0, False

    def peak_memory_bytes(self) -> int:
        """Return how much memory this process has had resident at most, in octets."""
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _KILOBYTES

    @property
    def connection(self) -> Connection:
        """The session that writes.

        Raises:
            PostgresError: There is none.
        """
        if self._connection is None:
            raise PostgresError("No session is open")
        return self._connection
