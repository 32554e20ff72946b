# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""The profile's own row in tables that all profiles share, such as the application's list of sources.

Such a table is no part of a tenant schema. The application touches it on every request, so only named columns
count, and nothing of ours may stay open in it (application contract, habit 4).
"""

from __future__ import annotations

import dataclasses
import typing as t

from ._postgres_store import identifier, postgres_errors
from ._psycopg2 import sql
from ._sqlite_store import quote, reading
from ._verdict import Check, compare, not_verified

if t.TYPE_CHECKING:
    import sqlite3

    from ._psycopg2 import Connection

Values = dict[str, "str | None"]


@dataclasses.dataclass(frozen=True)
class SharedRow:
    """One row on both sides, its named columns as text; None where there is no row."""

    table: str
    target: str
    key: str
    source_id: str
    ours: Values | None
    theirs: Values | None

    @property
    def action(self) -> str | None:
        """What has to be done so that PostgreSQL has SQLite's row, for the operator; None when nothing is."""
        if self.ours is None or self.ours == self.theirs:
            return None
        what = "insert" if self.theirs is None else "update"
        return f"{what} row {self.source_id} of {self.target}"

    def as_check(self) -> Check:
        """Return the comparison of both sides."""
        name = f"row of {self.source_id} in {self.target}"
        if self.ours is None:
            return not_verified(name, f"{self.table} in SQLite has no row for it")
        return compare(name, self.ours, self.theirs)


def read(
    source: sqlite3.Connection,
    connection: Connection,
    shared_tables: t.Iterable[t.Mapping[str, t.Any]],
    source_id: str,
) -> list[SharedRow]:
    """Return the profile's row of every shared table that has a counterpart in PostgreSQL.

    Args:
        source: The SQLite file.
        connection: A session of PostgreSQL.
        shared_tables: As in L(_options.tenant_data_options).
        source_id: The profile.

    Raises:
        SqliteError: A table or a column does not exist in SQLite.
        PostgresError: A table or a column does not exist in PostgreSQL.
    """
    return [_read_one(source, connection, table, source_id) for table in shared_tables if table["target"]]


def _read_one(
    source: sqlite3.Connection, connection: Connection, shared: t.Mapping[str, t.Any], source_id: str
) -> SharedRow:
    columns = list(dict.fromkeys([shared["key"], *shared["columns"]]))
    with reading(source, f"reading table {shared['name']}"):
        fields = ", ".join(f"CAST({quote(name)} AS BLOB)" for name in columns)
        ours = source.execute(
            f"SELECT {fields} FROM {quote(shared['name'])} WHERE {quote(shared['key'])} = ?", (source_id,)
        ).fetchone()
    # Values stand as literals: an identifier may hold a "%", which psycopg2 takes for a placeholder.
    statement = sql.SQL("SELECT {} FROM {} WHERE {} = {}").format(
        sql.SQL(", ").join([sql.Identifier(name) for name in columns]),
        identifier(shared["target"]),
        sql.Identifier(shared["key"]),
        sql.Literal(source_id),
    )
    with postgres_errors(f"Reading {shared['target']}"), connection.cursor() as cursor:
        cursor.execute(statement)
        theirs = cursor.fetchone()
    return SharedRow(
        shared["name"],
        shared["target"],
        shared["key"],
        source_id,
        None if ours is None else dict(zip(columns, map(_text_of_sqlite, ours))),
        None if theirs is None else dict(zip(columns, map(_text_of_postgres, theirs))),
    )


def _text_of_sqlite(value: bytes | None) -> str | None:
    return None if value is None else value.decode(errors="backslashreplace")


def _text_of_postgres(value: t.Any) -> str | None:
    # SQLite keeps a boolean as 0 or 1, whatever the application declared in PostgreSQL.
    if isinstance(value, bool):
        return str(int(value))
    return None if value is None else str(value)


def bring(connection: Connection, rows: t.Iterable[SharedRow]) -> None:
    """Write the rows that PostgreSQL does not have as SQLite has them, each committed at once.

    Raises:
        PostgresError: A row cannot be written.
    """
    for row in rows:
        if row.action is None or row.ours is None:
            continue
        with postgres_errors(f"Bringing the row of {row.source_id} into {row.target}"), connection.cursor() as cursor:
            cursor.execute(_statement(row, row.ours))
            connection.commit()


def _statement(row: SharedRow, values: Values) -> sql.Composable:
    # Texts without a type: PostgreSQL reads each as the column's own type.
    names = [sql.Identifier(name) for name in values]
    places = sql.SQL(", ").join([sql.Literal(value) for value in values.values()])
    if row.theirs is None:
        return sql.SQL("INSERT INTO {} ({}) VALUES ({})").format(
            identifier(row.target), sql.SQL(", ").join(names), places
        )
    return sql.SQL("UPDATE {} SET ({}) = ROW ({}) WHERE {} = {}").format(
        identifier(row.target),
        sql.SQL(", ").join(names),
        places,
        sql.Identifier(row.key),
        sql.Literal(row.source_id),
    )
