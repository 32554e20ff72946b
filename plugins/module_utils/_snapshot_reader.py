# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""What a process does that reads a part of a SQLite file, at the same instant as all the others."""

from __future__ import annotations

import typing as t

from . import _row_digest, _sqlite_store, _value_kinds
from ._census import take_census
from ._errors import SqliteError
from ._glance import glance
from ._sqlite_store import open_readonly, reading

if t.TYPE_CHECKING:
    import sqlite3

    from ._census import Census
    from ._glance import Glance
    from ._planned_table import TablePlan
    from ._range import Range
    from ._row_digest import Bucket
    from ._workers import Workers

_TRIES = 20


class SnapshotReader:
    """What L(_workers.Workers) serves where rows are only read.

    Args:
        say: Takes how many rows were done since it was last called.
    """

    def __init__(self, say: t.Callable[[int], None]) -> None:
        self._say = say
        self._source: sqlite3.Connection | None = None

    def read(self, sqlite_path: str) -> None:
        """Begin to read a file, as it is now; what was read before is let go.

        Raises:
            SqliteError: It cannot be opened.
        """
        if self._source is not None:
            self._source.close()
        self._source = _sqlite_store.open_readonly(sqlite_path)
        _value_kinds.prepare(self._source)
        _begin(self._source)

    def glance(self, plan: TablePlan, rows: Range) -> Glance:
        """Return what a quick look at a range tells.

        Raises:
            SqliteError: The file cannot be read.
        """
        seen = glance(self.source, plan, rows)
        self._say(seen.rows)
        return seen

    def census(self, plan: TablePlan, source_id: str, seen: Glance) -> Census:
        """Return the census of a table, of which all rows were glanced at.

        Raises:
            SqliteError: The file cannot be read.
        """
        return take_census(self.source, plan, source_id, seen)

    def digest(self, plan: TablePlan, rows: Range) -> Bucket:
        """Return the digest of a range.

        Raises:
            SqliteError: The file cannot be read.
        """
        return _row_digest.sqlite_bucket(self.source, plan, rows, self._say)

    @property
    def source(self) -> sqlite3.Connection:
        """The connection that reads.

        Raises:
            SqliteError: None has been opened.
        """
        if self._source is None:
            raise SqliteError("No SQLite file is open")
        return self._source


def read_at_one_instant(workers: Workers, source: sqlite3.Connection, sqlite_path: str) -> bool:
    """Let every process see the same instant of a file as this connection does from now on.

    Returns:
        Whether there was such an instant: a file that is written to without a pause has none.

    Raises:
        SqliteError: The file cannot be opened.
    """
    watcher = open_readonly(sqlite_path)
    try:
        for _try in range(_TRIES):
            before = watcher.execute("PRAGMA data_version").fetchone()
            if source.in_transaction:
                source.execute("ROLLBACK")
            _begin(source)
            workers.each("read", sqlite_path)
            if watcher.execute("PRAGMA data_version").fetchone() == before:
                return True
    finally:
        watcher.close()
    return False


def _begin(source: sqlite3.Connection) -> None:
    with reading(source, "beginning to read"):
        source.execute("BEGIN")
        source.execute("SELECT count(*) FROM sqlite_master").fetchone()
