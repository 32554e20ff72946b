# SPDX-License-Identifier: GPL-3.0-or-later
"""A profile on its way in online mode, without an application: two profiles in one file, captured, loaded, proven."""

from __future__ import annotations

import contextlib
import dataclasses
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg2
from _databases import Database, Tenant
from ansible_collections.sxops.pg_cutover.plugins.module_utils import (
    _capture_sqlite,
    _fence_postgres,
    _online_journal,
    _sqlite_store,
    _switch_stores,
)
from ansible_collections.sxops.pg_cutover.plugins.module_utils._online_journal import PROVEN
from ansible_collections.sxops.pg_cutover.plugins.module_utils._online_names import OnlineNames
from ansible_collections.sxops.pg_cutover.plugins.module_utils._standing import Standing

TABLES = ("authors", "items", "tags")
SQLITE_SCHEMA = (
    "CREATE TABLE sources (id TEXT PRIMARY KEY, label TEXT)",
    (
        "CREATE TABLE authors (source_id TEXT NOT NULL, id INTEGER NOT NULL, name TEXT NOT NULL, chief INTEGER,"
        " PRIMARY KEY (source_id, id))"
    ),
    (
        "CREATE TABLE items (source_id TEXT NOT NULL, id TEXT NOT NULL, author INTEGER, title TEXT, score REAL,"
        " thumb BLOB, PRIMARY KEY (source_id, id), FOREIGN KEY (source_id, author) REFERENCES authors (source_id, id))"
    ),
    (
        "CREATE TABLE tags (source_id TEXT NOT NULL, item TEXT NOT NULL, tag TEXT NOT NULL,"
        " PRIMARY KEY (source_id, item, tag), FOREIGN KEY (source_id, item) REFERENCES items (source_id, id)"
        " ON DELETE CASCADE) WITHOUT ROWID"
    ),
)
POSTGRES_SCHEMA = """
CREATE TABLE authors (source_id text NOT NULL, id bigint NOT NULL, name text NOT NULL, chief bigint,
  PRIMARY KEY (source_id, id));
CREATE TABLE items (source_id text NOT NULL, id text NOT NULL, author bigint, title text, score float8, thumb bytea,
  PRIMARY KEY (source_id, id), FOREIGN KEY (source_id, author) REFERENCES authors);
CREATE TABLE tags (source_id text NOT NULL, item text NOT NULL, tag text NOT NULL,
  PRIMARY KEY (source_id, item, tag), FOREIGN KEY (source_id, item) REFERENCES items ON DELETE CASCADE);
"""
ITEMS = 60


def make_file(path: Path, profiles: str = "ab", items: int = ITEMS, journal: str = "WAL") -> None:
    """Write a SQLite file with so many items for each profile."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute(f"PRAGMA journal_mode = {journal}")
        for statement in SQLITE_SCHEMA:
            connection.execute(statement)
        connection.execute("BEGIN")
        for source in profiles:
            connection.execute("INSERT INTO sources VALUES (?, ?)", (source, source.upper()))
            connection.executemany(
                "INSERT INTO authors VALUES (?, ?, ?, ?)", ((source, n, f"author {n}", None) for n in range(10))
            )
            connection.executemany(
                "INSERT INTO items VALUES (?, ?, ?, ?, ?, ?)",
                ((source, f"i{n:07}", n % 10, f"title {n}", n / 7, bytes([n % 256])) for n in range(items)),
            )
            connection.executemany(
                "INSERT INTO tags VALUES (?, ?, 'new')", ((source, f"i{n:07}") for n in range(items))
            )
        connection.execute("COMMIT")


@dataclass(frozen=True)
class Online:
    """Profile a of such a file, in a database of its own."""

    tenant: Tenant

    @property
    def names(self) -> OnlineNames:
        return OnlineNames(self.tenant.schema)

    @contextlib.contextmanager
    def stores(
        self, passed: Callable[[str], None] = lambda _step: None, **limits: Any
    ) -> Iterator[_switch_stores.SwitchStores]:
        """Open both stores as a switch does."""
        given = _switch_stores.Limits(**{"fence_timeout": 0.5, "lock_timeout": 0.5, "retries": 2, **limits})
        with _switch_stores.open_for_switch(self.tenant.params, given, passed=passed) as stores:
            yield stores

    def standing(self) -> Standing:
        """Return how the profile stands."""
        with self.stores() as stores:
            return stores.standing()

    def capture(self) -> None:
        """Begin to capture SQLite's changes."""
        with contextlib.closing(sqlite3.connect(self.tenant.sqlite_path, isolation_level=None)) as connection:
            catalog = _sqlite_store.read_catalog(connection)
            connection.execute("BEGIN IMMEDIATE")
            _capture_sqlite.install(connection, catalog, TABLES, self.names, self.tenant.source_id, "source_id")
            connection.execute("COMMIT")

    def prove(self) -> None:
        """Load a snapshot, compare it, fence PostgreSQL, and write down how far that is."""
        snapshot = self.tenant.sqlite_path.with_suffix(".snapshot")
        snapshot.unlink(missing_ok=True)
        with (
            contextlib.closing(sqlite3.connect(self.tenant.sqlite_path)) as live,
            contextlib.closing(sqlite3.connect(snapshot)) as copy,
        ):
            live.backup(copy)
            (position,) = copy.execute(f'SELECT ifnull(max(seq), 0) FROM "{self.names.log}"').fetchone()
            (capture_id,) = copy.execute(
                f"SELECT value FROM \"{self.names.state}\" WHERE name = 'capture_id'"
            ).fetchone()
        taken = dataclasses.replace(self.tenant, sqlite_path=snapshot)
        taken.load()
        assert taken.parity().verdict == "passed"
        with self.tenant.stores() as stores:
            _online_journal.install(stores.connection)
            _fence_postgres.put_up(stores.connection, stores.plan, self.names)
            _online_journal.write(
                stores.connection,
                _online_journal.Tenant(self.tenant.schema, "a", capture_id, PROVEN, position, "sha", position),
            )
            stores.connection.commit()

    def write_sqlite(self, *statements: str) -> None:
        """Write as an application on SQLite does, each statement in a transaction of its own."""
        with contextlib.closing(
            sqlite3.connect(self.tenant.sqlite_path, isolation_level=None, timeout=5)
        ) as connection:
            connection.execute("PRAGMA foreign_keys = ON")
            for statement in statements:
                connection.execute(statement)

    def accepting(self, source: str = "a") -> set[str]:
        """Return the stores in which an application could write to a profile now; nothing is kept."""
        found = set()
        with contextlib.closing(
            sqlite3.connect(self.tenant.sqlite_path, isolation_level=None, timeout=5)
        ) as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                for table in TABLES:
                    connection.execute(f"UPDATE {table} SET source_id = source_id WHERE source_id = ?", (source,))
                connection.execute("ROLLBACK")
                found.add("sqlite")
            except sqlite3.IntegrityError as error:
                assert "fence" in str(error)
        if source != "a":
            return found
        with (
            contextlib.closing(psycopg2.connect(self.tenant.database.dsn)) as connection,
            connection.cursor() as cursor,
        ):
            try:
                for table in TABLES:
                    cursor.execute(f'UPDATE "{self.tenant.schema}".{table} SET source_id = source_id')
                found.add("postgres")
            except psycopg2.Error as error:
                assert "fence" in str(error)
            connection.rollback()
        return found

    def rows(self, store: str, table: str, columns: str = "*", where: str = "true") -> list[tuple[Any, ...]]:
        """Return the profile's rows of a table in order."""
        if store == "postgres":
            return sorted(self.tenant.postgres(f"SELECT {columns} FROM {table} WHERE {where}"))
        with contextlib.closing(sqlite3.connect(self.tenant.sqlite_path)) as connection:
            return sorted(connection.execute(f"SELECT {columns} FROM {table} WHERE source_id = 'a' AND {where}"))


def begin(
    database: Database,
    path: Path,
    items: int = ITEMS,
    journal: str = "WAL",
    policies: dict[str, str] | None = None,
    before: Sequence[str] = (),
) -> Online:
    """Return a profile that is captured, loaded and proven: ready to be switched.

    The statements are run in the SQLite file before anything else is done with it.
    """
    make_file(path, items=items, journal=journal)
    online = Online(
        Tenant(
            database,
            path,
            options={
                "tenant_column": "source_id",
                "shared_tables": [{"name": "sources", "target": None, "key": "id", "columns": []}],
                "policies": policies or {},
            },
        )
    )
    online.tenant.sqlite(*before)
    online.tenant.create_schema(POSTGRES_SCHEMA)
    with contextlib.closing(psycopg2.connect(database.dsn)) as connection:
        _online_journal.install(connection)
        _online_journal.forget(connection, online.tenant.schema)
        connection.commit()
    online.capture()
    online.prove()
    return online
