# SPDX-License-Identifier: GPL-3.0-or-later
"""A profile of which both stores log the keys of changed rows, and its replay in either direction, in this process."""

from __future__ import annotations

import contextlib
import dataclasses
import sqlite3
from collections.abc import Iterator, Mapping
from typing import Any

from _databases import Tenant
from ansible_collections.sxops.pg_cutover.plugins.module_utils import (
    _change_log,
    _online_journal,
    _replay_back,
    _replay_forward,
    _sqlite_writer,
)
from ansible_collections.sxops.pg_cutover.plugins.module_utils._online_names import OnlineNames
from ansible_collections.sxops.pg_cutover.plugins.module_utils._replay_forward import Replayed
from ansible_collections.sxops.pg_cutover.plugins.module_utils._sqlite_tokens import quote
from ansible_collections.sxops.pg_cutover.plugins.module_utils._tenant_stores import Stores, open_stores


@dataclasses.dataclass(frozen=True)
class Online(Tenant):
    """A profile that is replayed; the position is kept by the test."""

    @property
    def names(self) -> OnlineNames:
        return OnlineNames(self.schema)

    def capture(self) -> None:
        """Log the keys that change in SQLite from now on, by the plainest of triggers."""
        with self.stores() as stores:
            tables = {table.source: table.key for table in stores.plan.tables if table.key}
        longest = max(map(len, tables.values()))
        keys = ", ".join(f"k{place}" for place in range(1, longest + 1))
        log, state = quote(self.names.log), quote(self.names.state)
        columns = f"seq INTEGER PRIMARY KEY, changed_at TEXT NOT NULL, tbl TEXT NOT NULL, {keys}"
        statements = [
            f"CREATE TABLE IF NOT EXISTS {log} ({columns})",
            f"CREATE TABLE IF NOT EXISTS {state} (name TEXT PRIMARY KEY, value TEXT NOT NULL)",
            f"CREATE TABLE IF NOT EXISTS {quote(self.names.passing)} (pass INTEGER)",
        ]
        for table, key in tables.items():
            for event, rows in (("INSERT", ["NEW"]), ("UPDATE", ["OLD", "NEW"]), ("DELETE", ["OLD"])):
                body = "".join(
                    f" INSERT INTO {log} (changed_at, tbl, {', '.join(f'k{n}' for n in range(1, len(key) + 1))})"
                    f" SELECT strftime('%Y-%m-%dT%H:%M:%fZ','now'), '{table}',"
                    f" {', '.join(f'{row}.{quote(name)}' for name in key)}"
                    f" WHERE NOT EXISTS (SELECT 1 FROM {quote(self.names.passing)});"
                    for row in rows
                )
                name = quote(self.names.capture_trigger(table, event.lower()))
                statements.append(f"CREATE TRIGGER {name} AFTER {event} ON {quote(table)} BEGIN{body} END")
        self.sqlite(*statements)

    def capture_back(self) -> None:
        """Log the keys that change in PostgreSQL from now on."""
        with self.stores() as stores:
            _online_journal.install(stores.connection)
            stores.connection.commit()
            for plan in stores.plan.tables:
                places = [plan.columns[place].target for place in plan.key_places]
                bodies = {
                    row: f"INSERT INTO sxops_cutover.change (schema_name, table_name, row_key) VALUES"
                    f" ('{self.schema}', '{plan.target}', ARRAY["
                    + ", ".join(f"{row}.{quote(name)}::text" for name in places)
                    + "]);"
                    for row in ("OLD", "NEW")
                }
                function = quote(f"log_{plan.target}")
                self.postgres(
                    f"CREATE OR REPLACE FUNCTION {function}() RETURNS trigger LANGUAGE plpgsql SET timezone TO 'UTC' AS"
                    f" $$ BEGIN IF EXISTS (SELECT FROM sxops_cutover.passing) THEN RETURN NULL; END IF;"
                    f" IF TG_OP <> 'INSERT' THEN {bodies['OLD']} END IF;"
                    f" IF TG_OP <> 'DELETE' THEN {bodies['NEW']} END IF; RETURN NULL; END $$;"
                    f"CREATE OR REPLACE TRIGGER log AFTER INSERT OR UPDATE OR DELETE ON {quote(plan.target)}"
                    f" FOR EACH ROW EXECUTE FUNCTION {function}()"
                )

    def begin(self) -> Online:
        """Capture both ways, and load what is there."""
        self.capture()
        self.load()
        self.capture_back()
        with self.stores() as stores:
            _online_journal.write(
                stores.connection,
                _online_journal.Tenant(self.schema, self.source_id, "c", _online_journal.PROVEN, 0, "", 0),
            )
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
            pending = _change_log.postgres_pending(stores.connection, stores.plan, self.names)
            target.execute("BEGIN IMMEDIATE")
            try:
                done = _replay_back.replay_back(
                    stores.connection, target, stores.plan, self.names, self.source_id, pending
                )
            except BaseException:
                target.execute("ROLLBACK")
                raise
            target.execute("COMMIT")
            _change_log.acknowledge(stores.connection, self.names, pending.entries)
            stores.connection.commit()
            return done

    def writer(self) -> sqlite3.Connection:
        return _sqlite_writer.open_writable(self.sqlite_path, 5000)

    def rows(self, table: str, order: str = "1") -> list[tuple[Any, ...]]:
        """Return the rows of a table in SQLite, each value with its storage class."""
        with contextlib.closing(sqlite3.connect(self.sqlite_path)) as connection:
            names = [quote(row[1]) for row in connection.execute(f"PRAGMA table_info({quote(table)})")]
            selected = ", ".join(f"typeof({name}) || ':' || CAST({name} AS TEXT)" for name in names)
            return connection.execute(f"SELECT {selected} FROM {quote(table)} ORDER BY {order}").fetchall()

    def equal(self) -> bool:
        """Return whether both stores hold the same rows."""
        found = self.parity()
        return not [check for check in found.checks if check.verdict == "failed"]


def forward(online: Online, stores: Stores, **options: Any) -> Replayed:
    pending = _change_log.sqlite_pending(stores.source, stores.plan, online.names, online.position)
    settings = {"one_transaction": False, "position": pending.last, **options}
    stores.connection.rollback()
    done = _replay_forward.replay(
        stores.source, stores.connection, stores.plan, online.names, online.source_id, pending, **settings
    )
    if settings["one_transaction"]:
        stores.connection.commit()
    return done


@contextlib.contextmanager
def both(online: Online) -> Iterator[Stores]:
    with open_stores(online.params) as stores:
        yield stores


def whole_file(options: Mapping[str, Any] | None = None) -> dict[str, Any]:
    return {"tenant_column": "", **(options or {})}
