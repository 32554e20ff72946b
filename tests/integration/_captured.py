# SPDX-License-Identifier: GPL-3.0-or-later
"""A SQLite file of several profiles, of which one is captured or fenced, and an application that writes to it."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ansible_collections.sxops.pg_cutover.plugins.module_utils import _capture_sqlite, _fence_sqlite, _sqlite_store
from ansible_collections.sxops.pg_cutover.plugins.module_utils._online_names import OnlineNames

Row = tuple[Any, ...]


@dataclass
class CapturedFile:
    """The file, and whose rows in it are meant."""

    path: Path
    source_id: str = "a"
    tenant_column: str | None = "source_id"
    names: OnlineNames = field(default_factory=lambda: OnlineNames("sx_a"))

    def connect(self, timeout_s: float = 5.0) -> sqlite3.Connection:
        """Open it as an application would; the caller closes it."""
        connection = sqlite3.connect(self.path, timeout=timeout_s, isolation_level=None)
        connection.execute("PRAGMA synchronous = OFF")
        return connection

    def run(self, *statements: str | tuple[str, Sequence[Any]]) -> list[Row]:
        """Run statements in a connection of their own; return the rows of the last one."""
        rows: list[Row] = []
        with contextlib.closing(self.connect()) as connection:
            for statement in statements:
                rows = connection.execute(*((statement,) if isinstance(statement, str) else statement)).fetchall()
        return rows

    @contextlib.contextmanager
    def locked(self) -> Iterator[sqlite3.Connection]:
        """A connection of ours that holds the write lock, and commits at the end."""
        with contextlib.closing(self.connect()) as connection:
            connection.execute("BEGIN IMMEDIATE")
            yield connection
            connection.execute("COMMIT")

    def tables(self, connection: sqlite3.Connection) -> list[str]:
        return [table.name for table in _sqlite_store.read_catalog(connection).tables if table.kind == "table"]

    def _subject(self, connection: sqlite3.Connection, tables: Sequence[str] | None) -> tuple[Any, ...]:
        catalog = _sqlite_store.read_catalog(connection)
        chosen = self.tables(connection) if tables is None else tables
        return connection, catalog, chosen, self.names, self.source_id, self.tenant_column

    def install(self, *tables: str) -> bool:
        with self.locked() as connection:
            return _capture_sqlite.install(*self._subject(connection, tables or None))

    def look(self, *tables: str) -> _capture_sqlite.Capture:
        with contextlib.closing(self.connect()) as connection:
            return _capture_sqlite.look(*self._subject(connection, tables or None))

    def remove(self) -> bool:
        with self.locked() as connection:
            return _capture_sqlite.remove(connection, self.names)

    def fence(self, *tables: str) -> None:
        """Put up the fence, and suspend capture as the switch does."""
        with self.locked() as connection:
            _fence_sqlite.put_up(*self._subject(connection, tables or None))
            _capture_sqlite.suspend(connection, self.names)

    def lift(self) -> bool:
        with self.locked() as connection:
            return _fence_sqlite.lift(connection, self.names)

    def resume(self) -> None:
        with self.locked() as connection:
            _capture_sqlite.resume(*self._subject(connection, None))

    def fence_state(self, *tables: str) -> str:
        with contextlib.closing(self.connect()) as connection:
            _connection, catalog, chosen, names, _source_id, _column = self._subject(connection, tables or None)
            return _fence_sqlite.state(connection, catalog, chosen, names)

    def schema(self) -> list[Row]:
        """Everything that the file declares."""
        return self.run("SELECT type, name, tbl_name, sql FROM sqlite_master ORDER BY rowid")

    def logged(self) -> list[Row]:
        """The table and the key of every entry, in their order, each key as long as its table's."""
        with contextlib.closing(self.connect()) as connection:
            return logged(connection, self.names)

    def forget(self) -> None:
        """Empty the log."""
        self.run(f'DELETE FROM "{self.names.log}"')


def logged(connection: sqlite3.Connection, names: OnlineNames) -> list[Row]:
    """The table and the key of every entry of the log, in their order, each key as long as its table's."""
    lengths = {
        name: sum(1 for row in connection.execute("SELECT pk FROM pragma_table_info(?)", (name,)) if row[0])
        for (name,) in connection.execute(f'SELECT DISTINCT tbl FROM "{names.log}"').fetchall()
    }
    entries = connection.execute(f'SELECT * FROM "{names.log}" ORDER BY seq').fetchall()
    return [(row[2], *row[3 : 3 + lengths[row[2]]]) for row in entries]
