# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Look into both stores by SQL for smoke checks, and put one row back exactly as it was."""

from __future__ import annotations

import contextlib
import pathlib
import sqlite3
import typing as t

from ._errors import BadInput, CutoverError, PostgresError, SqliteError
from ._postgres_store import connect, postgres_errors, relation_exists
from ._psycopg2 import sql
from ._smoke_subject import Row, bind, plain
from ._sqlite_store import open_readonly, quote, sqlite_errors

SQLITE = "sqlite"
POSTGRES = "postgres"
_WAIT_S = 10.0
_QUERY_S = 30
StoredRow: t.TypeAlias = "dict[str, t.Any]"


class Store(t.Protocol):
    """One store. A stored row holds every column exactly: SQLite's own values, PostgreSQL's values as text."""

    def first(self, query: str, rows: t.Mapping[str, Row], source_id: str | None) -> StoredRow | None:
        """Return the first row of a read-only query with its parameters filled, or None."""

    def row(self, table: str, where: Row) -> StoredRow | None:
        """Return the one row that C(where) names, or None; also None when the table does not exist."""

    def put_back(self, table: str, where: Row, before: StoredRow | None) -> list[str]:
        """Make the row what it was (None: not there) in one transaction; return the columns that differed."""

    def close(self) -> None: ...


class Stores:
    """Both stores of a profile, opened when first needed.

    Args:
        params: The module's O(sqlite_path), O(schema_name) and PostgreSQL connection options.
    """

    def __init__(self, params: t.Mapping[str, t.Any]) -> None:
        self._params = params
        self._open: dict[str, Store] = {}
        self._refused: dict[str, CutoverError] = {}

    def configured(self, name: str) -> bool:
        """Return whether the options say where this store is."""
        if name == SQLITE:
            return bool(self._params.get("sqlite_path"))
        return any(self._params.get(option) for option in ("dsn", "login_host", "login_db"))

    def get(self, name: str) -> Store:
        """Return the store.

        Raises:
            BadInput: The options do not say where it is.
            SqliteError, PostgresError: It cannot be opened.
        """
        if name in self._refused:  # asking a dead server again costs its connect_timeout each time
            raise self._refused[name]
        if name not in self._open:
            if not self.configured(name):
                options = "sqlite_path" if name == SQLITE else "dsn (or login_host and login_db)"
                raise BadInput(f"The {name} store cannot be looked into", f"no {options} was given", f"Give {options}.")
            try:
                self._open[name] = self._connect(name)
            except CutoverError as error:
                self._refused[name] = error
                raise
        return self._open[name]

    def _connect(self, name: str) -> Store:
        if name == SQLITE:
            return SqliteRows(str(self._params["sqlite_path"]))
        return PostgresRows(self._params, self._params.get("schema_name"))

    def close(self) -> None:
        for store in self._open.values():
            store.close()
        self._open.clear()


class SqliteRows:
    """Rows of a SQLite file: reading never takes a lock, putting back takes the write lock once."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._reader = open_readonly(path)

    def first(self, query: str, rows: t.Mapping[str, Row], source_id: str | None) -> StoredRow | None:
        text, values = bind(query, rows, source_id, mark="?")
        with sqlite_errors(self._path, "asking a subject's query"):
            cursor = self._reader.execute(text, values)
            return _plain_row(cursor.description, cursor.fetchone())

    def row(self, table: str, where: Row) -> StoredRow | None:
        with sqlite_errors(self._path, f"reading a row of {table}"):
            return self._row(self._reader, table, where)

    def _row(self, connection: sqlite3.Connection, table: str, where: Row) -> StoredRow | None:
        known = connection.execute(
            "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ? COLLATE NOCASE", (table,)
        ).fetchone()
        if not known:
            return None
        condition, values = self._where(where)
        cursor = connection.execute(f"SELECT * FROM {quote(table)} WHERE {condition} LIMIT 2", values)
        names = [part[0] for part in cursor.description]
        return _only([dict(zip(names, row)) for row in cursor.fetchall()], table, where)

    @staticmethod
    def _where(where: Row) -> tuple[str, list[t.Any]]:
        return " AND ".join(f"{quote(name)} IS ?" for name in where), list(where.values())

    def put_back(self, table: str, where: Row, before: StoredRow | None) -> list[str]:
        # Not check_file here: closing a plain handle on the file would drop the locks of our own reader on it
        # (https://www.sqlite.org/howtocorrupt.html 2.2), and the application could remove the WAL under it.
        uri = pathlib.Path(self._path).absolute().as_uri() + "?mode=rw"
        with (
            sqlite_errors(self._path, f"putting a row of {table} back"),
            contextlib.closing(sqlite3.connect(uri, uri=True, timeout=_WAIT_S, isolation_level=None)) as connection,
        ):
            connection.execute("BEGIN IMMEDIATE")
            try:
                now = self._row(connection, table, where)
                columns = differing(before, now)
                if columns:
                    self._change(connection, table, where, before, now, columns)
                connection.execute("COMMIT")
            except sqlite3.IntegrityError as error:  # also what a fence or another trigger raises
                raise SqliteError(
                    f"SQLite file {self._path} refused to put a row of {table} back", str(error)
                ) from error
            finally:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
        return columns

    def _change(
        self,
        connection: sqlite3.Connection,
        table: str,
        where: Row,
        before: StoredRow | None,
        now: StoredRow | None,
        columns: list[str],
    ) -> None:
        condition, keys = self._where(where)
        if before is None:
            done = connection.execute(f"DELETE FROM {quote(table)} WHERE {condition}", keys)
        elif now is None:
            names, marks = ", ".join(map(quote, before)), ", ".join("?" * len(before))
            done = connection.execute(f"INSERT INTO {quote(table)} ({names}) VALUES ({marks})", list(before.values()))
        else:
            sets = ", ".join(f"{quote(name)} = ?" for name in columns)
            values = [before[name] for name in columns] + keys
            done = connection.execute(f"UPDATE {quote(table)} SET {sets} WHERE {condition}", values)
        if done.rowcount != 1:
            raise SqliteError(f"Putting a row of {table} back touched {done.rowcount} rows instead of 1")

    def close(self) -> None:
        self._reader.close()


class PostgresRows:
    """Rows of one schema: a read-only session in autocommit, so that it never holds a lock between two looks."""

    def __init__(self, params: t.Mapping[str, t.Any], schema: str | None) -> None:
        if not schema:
            raise BadInput("The postgres store cannot be looked into", "no schema_name was given", "Give schema_name.")
        self._params = params
        self._schema = schema
        self._reader = self._session(readonly=True)

    def _session(self, *, readonly: bool) -> t.Any:
        connection = connect(self._params)
        try:
            connection.set_session(readonly=readonly, autocommit=readonly)
            with postgres_errors("Preparing the session"), connection.cursor() as cursor:
                cursor.execute(
                    sql.SQL(
                        "SET search_path TO {}, public; SET statement_timeout TO {}; SET lock_timeout TO {}"
                    ).format(
                        sql.Identifier(self._schema),
                        sql.Literal(f"{_QUERY_S}s"),
                        sql.Literal(f"{_WAIT_S:g}s"),
                    )
                )
        except BaseException:
            connection.close()
            raise
        return connection

    def first(self, query: str, rows: t.Mapping[str, Row], source_id: str | None) -> StoredRow | None:
        text, values = bind(query, rows, source_id, mark="%s", percent="%%")
        with postgres_errors("Asking a subject's query"), self._reader.cursor() as cursor:
            cursor.execute(text if values else text.replace("%%", "%"), values or None)
            if cursor.description is None:
                raise PostgresError("A subject's query gives no columns", "it is not a SELECT")
            return _plain_row(cursor.description, cursor.fetchone())

    def row(self, table: str, where: Row) -> StoredRow | None:
        with postgres_errors(f"Reading a row of {self._schema}.{table}"), self._reader.cursor() as cursor:
            if not relation_exists(self._reader, f"{self._schema}.{table}"):
                return None
            return self._row(cursor, table, where, lock=False)

    def _row(self, cursor: t.Any, table: str, where: Row, *, lock: bool) -> StoredRow | None:
        target = sql.Identifier(self._schema, table)
        cursor.execute(sql.SQL("SELECT * FROM {} LIMIT 0").format(target))
        names = [part.name for part in cursor.description]
        condition, values = self._where(where)
        columns = sql.SQL(", ").join(sql.SQL("{}::text").format(sql.Identifier(name)) for name in names)
        tail = sql.SQL("LIMIT 2 FOR UPDATE" if lock else "LIMIT 2")
        cursor.execute(sql.SQL("SELECT {} FROM {} WHERE {} {}").format(columns, target, condition, tail), values)
        return _only([dict(zip(names, row)) for row in cursor.fetchall()], table, where)

    @staticmethod
    def _where(where: Row) -> tuple[sql.Composable, list[t.Any]]:
        # A quoted literal takes the column's own type, so every value is given as text.
        parts = [
            sql.SQL("{} IS NULL" if value is None else "{} = %s").format(sql.Identifier(name))
            for name, value in where.items()
        ]
        return sql.SQL(" AND ").join(parts), [str(value) for value in where.values() if value is not None]

    def put_back(self, table: str, where: Row, before: StoredRow | None) -> list[str]:
        doing = f"Putting a row of {self._schema}.{table} back"
        with (
            contextlib.closing(self._session(readonly=False)) as connection,
            postgres_errors(doing),
            connection.cursor() as cursor,
        ):
            now = self._row(cursor, table, where, lock=True)
            columns = differing(before, now)
            if columns:
                self._change(cursor, table, where, before, now, columns)
                if cursor.rowcount != 1:
                    raise PostgresError(f"{doing} failed", f"it touched {cursor.rowcount} rows instead of 1")
            connection.commit()
        return columns

    def _change(
        self,
        cursor: t.Any,
        table: str,
        where: Row,
        before: StoredRow | None,
        now: StoredRow | None,
        columns: list[str],
    ) -> None:
        target = sql.Identifier(self._schema, table)
        condition, keys = self._where(where)
        if before is None:
            cursor.execute(sql.SQL("DELETE FROM {} WHERE {}").format(target, condition), keys)
        elif now is None:
            names = sql.SQL(", ").join(map(sql.Identifier, before))
            marks = sql.SQL(", ").join(sql.Placeholder() * len(before))
            statement = sql.SQL("INSERT INTO {} ({}) VALUES ({})").format(target, names, marks)
            cursor.execute(statement, list(before.values()))
        else:
            sets = sql.SQL(", ").join(sql.SQL("{} = %s").format(sql.Identifier(name)) for name in columns)
            statement = sql.SQL("UPDATE {} SET {} WHERE {}").format(target, sets, condition)
            cursor.execute(statement, [before[name] for name in columns] + keys)

    def close(self) -> None:
        self._reader.close()


def differing(before: StoredRow | None, now: StoredRow | None) -> list[str]:
    """Return the columns whose stored value or type differs; all of them when the row came or went."""
    if before is None or now is None:
        return [] if before is now else list(before or now or {})
    names = list(before) + [name for name in now if name not in before]
    return [name for name in names if not _identical(before.get(name, ...), now.get(name, ...))]


def _identical(left: t.Any, right: t.Any) -> bool:
    return type(left) is type(right) and bool(left == right)


def _only(rows: list[StoredRow], table: str, where: Row) -> StoredRow | None:
    if len(rows) > 1:
        raise BadInput(
            f"lands_in.where names several rows of {table}",
            ", ".join(f"{name} = {value!r}" for name, value in where.items()),
            "Add columns to it until it names one row, so that exactly that row can be put back.",
        )
    return rows[0] if rows else None


def _plain_row(description: t.Any, row: t.Sequence[t.Any] | None) -> StoredRow | None:
    if row is None:
        return None
    return {part[0]: plain(value) for part, value in zip(description, row)}
