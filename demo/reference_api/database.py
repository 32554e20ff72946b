# SPDX-License-Identifier: GPL-3.0-or-later
"""One open connection, spoken to in the same way whichever engine is behind it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

Row = dict[str, Any]


class Database:
    """A DB-API connection with C(?) placeholders and rows as dictionaries.

    Args:
        connection: sqlite3 or psycopg2 connection.
        engine: C(sqlite) or C(postgres).
    """

    def __init__(self, connection: Any, engine: str) -> None:
        self.connection = connection
        self.engine = engine

    @property
    def is_postgres(self) -> bool:
        """Whether PostgreSQL is behind this connection."""
        return self.engine == "postgres"

    def _sql(self, statement: str) -> str:
        return statement.replace("?", "%s") if self.is_postgres else statement

    def query(self, statement: str, parameters: Sequence[Any] = ()) -> list[Row]:
        """Run a SELECT and return its rows."""
        cursor = self.connection.cursor()
        cursor.execute(self._sql(statement), tuple(parameters))
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    def one(self, statement: str, parameters: Sequence[Any] = ()) -> Row | None:
        """Run a SELECT and return its first row, None when there is none."""
        rows = self.query(statement, parameters)
        return rows[0] if rows else None

    def execute(self, statement: str, parameters: Sequence[Any] = ()) -> int:
        """Run a statement and return the number of rows it changed."""
        cursor = self.connection.cursor()
        cursor.execute(self._sql(statement), tuple(parameters))
        return int(cursor.rowcount)

    def execute_many(self, statement: str, rows: Iterable[Sequence[Any]]) -> None:
        """Run a statement once per row."""
        self.connection.cursor().executemany(self._sql(statement), rows)

    def commit(self) -> None:
        """Commit the open transaction, if any."""
        self.connection.commit()
