# SPDX-License-Identifier: GPL-3.0-or-later
"""A profile of which both stores log the keys of changed rows, and its replay in either direction, in this process."""

from __future__ import annotations

import contextlib
import dataclasses
import sqlite3
from typing import Any

from _databases import Tenant
from ansible_collections.sxops.pg_cutover.plugins.module_utils import (
    _capture_postgres,
    _capture_sqlite,
    _catch_up,
    _change_log,
    _fence_sqlite,
    _online_journal,
    _replay_back,
    _replay_forward,
    _sqlite_store,
    _sqlite_writer,
)
from ansible_collections.sxops.pg_cutover.plugins.module_utils._online_names import OnlineNames
from ansible_collections.sxops.pg_cutover.plugins.module_utils._replay_forward import Replayed
from ansible_collections.sxops.pg_cutover.plugins.module_utils._sqlite_tokens import quote
from ansible_collections.sxops.pg_cutover.plugins.module_utils._tenant_stores import Stores


@dataclasses.dataclass(frozen=True)
class Online(Tenant):
    """A profile that is replayed; the position is kept by the test."""

    @property
    def names(self) -> OnlineNames:
        return OnlineNames(self.schema)

    def capture(self) -> None:
        """Log the keys that change in SQLite from now on."""
        with contextlib.closing(self.writer()) as connection, self.stores() as stores:
            connection.execute("BEGIN IMMEDIATE")
            catalog = _sqlite_store.read_catalog(connection)
            tables = [table.source for table in stores.plan.tables if table.key]
            _capture_sqlite.install(connection, catalog, tables, self.names, self.source_id, self.column)
            connection.execute("COMMIT")

    def capture_back(self) -> None:
        """Log the keys that change in PostgreSQL from now on."""
        with self.stores() as stores:
            _online_journal.install(stores.connection)
            _capture_postgres.install(stores.connection, stores.plan, self.names)
            stores.connection.commit()

    def fence(self, up: bool = True) -> None:
        """Put up the fence in SQLite, or lift it."""
        with contextlib.closing(self.writer()) as connection, self.stores() as stores:
            connection.execute("BEGIN IMMEDIATE")
            catalog = _sqlite_store.read_catalog(connection)
            tables = [table.source for table in stores.plan.tables]
            if up:
                _fence_sqlite.put_up(connection, catalog, tables, self.names, self.source_id, self.column)
            else:
                _fence_sqlite.lift(connection, self.names)
            connection.execute("COMMIT")

    @property
    def column(self) -> str | None:
        return self.params["tenant_column"] or None

    def begin(self, phase: str = _online_journal.PROVEN) -> Online:
        """Capture both ways, and load what is there."""
        with self.stores() as stores:
            _online_journal.install(stores.connection)
            _online_journal.forget(stores.connection, self.schema)
            stores.connection.commit()
        self.capture()
        self.load()
        self.capture_back()
        with self.stores() as stores, contextlib.closing(self.writer()) as connection:
            ((capture_id,),) = connection.execute(
                f"SELECT value FROM {quote(self.names.state)} WHERE name = 'capture_id'"
            ).fetchall()
            facts = (self.schema, self.source_id, capture_id.decode(), phase, 0, "", 0)
            _online_journal.write(stores.connection, _online_journal.Tenant(*facts))
            stores.connection.commit()
        return self

    @property
    def position(self) -> int:
        ((found,),) = self.database.run(
            "SELECT position FROM sxops_cutover.tenant WHERE schema_name = %s", (self.schema,)
        )
        return int(found)

    def forward(self, **options: Any) -> Replayed:
        """Do one pass into PostgreSQL, committed."""
        with self.stores() as stores:
            return forward(self, stores, **options)

    def back(self) -> Replayed:
        """Do one pass into SQLite, committed and acknowledged."""
        with self.stores() as stores, contextlib.closing(self.writer()) as target:
            return back(self, stores, target)

    def writer(self) -> sqlite3.Connection:
        return _sqlite_writer.open_writable(self.sqlite_path, 5000)

    def rows(self, table: str, order: str = "1") -> list[tuple[Any, ...]]:
        """Return the rows of a table in SQLite, each value with its storage class."""
        with contextlib.closing(sqlite3.connect(self.sqlite_path)) as connection:
            names = [quote(row[1]) for row in connection.execute(f"PRAGMA table_info({quote(table)})")]
            text = "CASE typeof({0}) WHEN 'blob' THEN hex({0}) ELSE CAST({0} AS TEXT) END"
            selected = ", ".join(f"typeof({name}) || ':' || {text.format(name)}" for name in names)
            return connection.execute(f"SELECT {selected} FROM {quote(table)} ORDER BY {order}").fetchall()

    def read(self, statement: str) -> list[tuple[Any, ...]]:
        with contextlib.closing(sqlite3.connect(self.sqlite_path)) as connection:
            return connection.execute(statement).fetchall()

    def declared(self) -> list[tuple[Any, ...]]:
        """Return everything that the SQLite file declares."""
        return self.read("SELECT type, name, tbl_name, sql FROM sqlite_master ORDER BY 1, 2")

    def equal(self) -> bool:
        """Return whether both stores hold the same rows."""
        found = self.parity()
        return not [check for check in found.checks if check.verdict == "failed"]


def forward(online: Online, stores: Stores, **options: Any) -> Replayed:
    _catch_up.read_again(stores)
    pending = _change_log.sqlite_pending(stores.source, stores.plan, online.names, online.position)
    settings = {"one_transaction": False, "position": pending.last, **options}
    stores.connection.rollback()
    done = _replay_forward.replay(
        stores.source, stores.connection, stores.plan, online.names, online.source_id, pending, **settings
    )
    if settings["one_transaction"]:
        stores.connection.commit()
    _catch_up.stop_reading(stores)
    return done


def back(online: Online, stores: Stores, target: sqlite3.Connection) -> Replayed:
    pending = _change_log.postgres_pending(stores.connection, stores.plan, online.names)
    target.execute("BEGIN IMMEDIATE")
    try:
        done = _replay_back.replay_back(stores.connection, target, stores.plan, online.names, online.source_id, pending)
    except BaseException:
        target.execute("ROLLBACK")
        raise
    target.execute("COMMIT")
    _change_log.acknowledge(stores.connection, online.names, pending.entries)
    stores.connection.commit()
    return done
