# SPDX-License-Identifier: GPL-3.0-or-later
"""Databases of a test file's own, and profiles whose rows are to travel into them."""

from __future__ import annotations

import contextlib
import dataclasses
import sqlite3
import urllib.parse
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psycopg2
from _servers import Server
from ansible_collections.sxops.pg_cutover.plugins.module_utils import (
    _load_journal,
    _parity_run,
    _snapshot_reader,
    _tenant_stores,
    _workers,
)
from ansible_collections.sxops.pg_cutover.plugins.module_utils._verdict import FAILED
from ansible_collections.sxops.pg_cutover.plugins.modules import tenant_load, tenant_schema
from local_stack.stack import Stack


@dataclass(frozen=True)
class Database:
    """A database and the superuser's way into it."""

    dsn: str

    def run(self, statements: str, values: Sequence[Any] | None = None) -> list[tuple[Any, ...]]:
        """Run statements and commit them; return the rows of the last one, if it has any."""
        with contextlib.closing(psycopg2.connect(self.dsn)) as connection:
            with connection.cursor() as cursor:
                cursor.execute(statements, values)
                rows = cursor.fetchall() if cursor.description else []
            connection.commit()
            return rows

    def describe(self) -> list[tuple[Any, ...]]:
        """Return everything that stands in the database's own schemas: relations with their columns and grants."""
        return self.run(
            "SELECT n.nspname, c.relname, c.relkind::text, c.relacl::text, n.nspacl::text,"
            " (SELECT array_agg(a.attname || ' ' || a.atttypid::regtype ORDER BY a.attnum) FROM pg_attribute a"
            "   WHERE a.attrelid = c.oid AND a.attnum > 0)"
            " FROM pg_namespace n LEFT JOIN pg_class c ON c.relnamespace = n.oid"
            " WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' ORDER BY 1, 2, 3"
        )


@contextlib.contextmanager
def fresh_database(server: Server | Stack, name: str) -> Iterator[Database]:
    """Create a database on the server, or on the stack's; it is dropped at the end."""
    superuser = server.superuser_dsn if isinstance(server, Server) else str(server.secrets()["superuser_dsn"])
    with contextlib.closing(psycopg2.connect(superuser)) as connection:
        connection.autocommit = True
        cursor = connection.cursor()
        cursor.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        cursor.execute(f"CREATE DATABASE {name}")
        cursor.execute(f"ALTER DATABASE {name} SET synchronous_commit TO off")
        try:
            yield Database(urllib.parse.urlsplit(superuser)._replace(path=f"/{name}").geturl())
        finally:
            cursor.execute(f"DROP DATABASE {name} WITH (FORCE)")


@dataclass(frozen=True)
class Tenant:
    """One profile: its SQLite file and its schema."""

    database: Database
    sqlite_path: Path
    source_id: str = "a"
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def schema(self) -> str:
        return "sx_" + self.source_id.translate(str.maketrans(".-", "__"))

    @property
    def params(self) -> dict[str, Any]:
        """The options of the tenant modules as Ansible would hand them over."""
        return {
            "dsn": self.database.dsn,
            "source_id": self.source_id,
            "schema_prefix": "sx",
            "schema_name": None,
            "sqlite_path": str(self.sqlite_path),
            "tenant_column": "",
            "shared_tables": [],
            "exclude_tables": [],
            "snapshot_sha256": None,
            "policies": {},
            "workers": 2,
            **self.options,
        }

    def sqlite(self, *statements: str | tuple[str, Sequence[Any]]) -> None:
        """Run statements in the SQLite file, each with its values where it has some."""
        with contextlib.closing(sqlite3.connect(self.sqlite_path, isolation_level=None)) as connection:
            connection.execute("PRAGMA synchronous = OFF")
            for statement in statements:
                connection.execute(*((statement,) if isinstance(statement, str) else statement))

    def postgres(self, statements: str) -> list[tuple[Any, ...]]:
        """Run statements with the tenant schema as the search path."""
        return self.database.run(f'SET search_path TO "{self.schema}"; {statements}')

    def create_schema(self, tables: str = "") -> None:
        """Create the tenant schema anew, with its tables."""
        self.drop_schema()
        self.database.run(f'CREATE SCHEMA "{self.schema}"')
        if tables:
            self.postgres(tables)

    def translate(self, **options: Any) -> dict[str, Any]:
        """Do what the module tenant_schema does to create the schema from the file, in this process.

        The schema must not exist. Options are those of the module.
        """
        params = {
            **self.params,
            "tables": "translate",
            "state": "present",
            "registry_table": "",
            "known_profiles": {},
            "owner": None,
            "app_role": None,
            "nocase": "lower_index",
            **options,
        }
        return tenant_schema.ensure(SimpleNamespace(params=params, check_mode=False))

    def drop_schema(self) -> None:
        """Drop the tenant schema and forget what was loaded into it."""
        with contextlib.closing(psycopg2.connect(self.database.dsn)) as connection:
            _load_journal.install(connection)
            _load_journal.forget(connection, self.schema)
            connection.commit()
        self.database.run(f'DROP SCHEMA IF EXISTS "{self.schema}" CASCADE')

    def hold(self, declared: str, target: str, *values: Any) -> Tenant:
        """Put values into a column x declared so, numbered from 1, and create the table with the application's type."""
        self.sqlite(
            f"CREATE TABLE t (id INTEGER PRIMARY KEY, x {declared})",
            *(("INSERT INTO t VALUES (?, ?)", (number, value)) for number, value in enumerate(values, 1)),
        )
        self.create_schema(f"CREATE TABLE t (id bigint PRIMARY KEY, x {target})")
        return self

    def under(self, **policies: str) -> Tenant:
        """Return the same profile under these policies."""
        return dataclasses.replace(self, options={**self.options, "policies": policies})

    def stores(self) -> contextlib.AbstractContextManager[_tenant_stores.Stores]:
        """Open both stores."""
        return _tenant_stores.open_stores(self.params)

    def load(self, check: bool = False) -> dict[str, Any]:
        """Do what the module tenant_load does, in this process."""
        return tenant_load.load(SimpleNamespace(params=self.params, check_mode=check))

    def actions(self, check: bool = False) -> dict[str, str]:
        """Load, and return what was done to each table."""
        return {table["target"]: table["action"] for table in self.load(check)["tables"]}

    def parity(self, mode: str = "full") -> _parity_run.ParityRun:
        """Compare both stores."""
        with _workers.Workers(2, _snapshot_reader.SnapshotReader) as workers, self.stores() as stores:
            assert _snapshot_reader.read_at_one_instant(workers, stores.source, stores.sqlite_path)
            shared_tables = self.params["shared_tables"]
            return _parity_run.compare_stores(stores, shared_tables, mode, workers=workers)


VIDEOS = """
CREATE TABLE videos (source_id text, id text, title text, score double precision, size int,
  PRIMARY KEY (source_id, id));
CREATE TABLE notes (source_id text, id text, body text, PRIMARY KEY (source_id, id),
  FOREIGN KEY (source_id, id) REFERENCES videos (source_id, id));
CREATE TABLE events (source_id text, what text);
CREATE TABLE jobs (id bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, source_id text, name text UNIQUE);
"""


def two_profiles(database: Database, sqlite_path: Path) -> Tenant:
    """Two profiles in one file: 40 videos, 20 notes, 6 events without a key, 3 jobs with numbers of their own."""
    tenant = Tenant(database, sqlite_path, options={"tenant_column": "source_id"})
    tenant.sqlite(
        "CREATE TABLE videos (source_id TEXT, id TEXT, title TEXT, score REAL, size INT, PRIMARY KEY (source_id, id))",
        "CREATE TABLE notes (source_id TEXT, id TEXT, body TEXT, PRIMARY KEY (source_id, id))",
        "CREATE TABLE events (source_id TEXT, what TEXT)",
        "CREATE TABLE jobs (id INTEGER PRIMARY KEY, source_id TEXT, name TEXT UNIQUE)",
        *(
            ("INSERT INTO videos VALUES (?, ?, ?, ?, ?)", (source, f"v{n:02}", f"{source} {n}", n + 0.1, n))
            for source in "ab"
            for n in range(40)
        ),
        *(("INSERT INTO notes VALUES (?, ?, ?)", (s, f"v{n:02}", "note")) for s in "ab" for n in range(20)),
        *(("INSERT INTO events VALUES (?, ?)", (s, w)) for s in "ab" for w in ("x", "x", "x", "y", None, None)),
        *(("INSERT INTO jobs VALUES (?, ?, ?)", (n, "ab"[n % 2], f"job {n}")) for n in range(100, 106)),
    )
    tenant.create_schema(VIDEOS)
    return tenant


def counts(tenant: Tenant) -> dict[str, int]:
    return {
        name: tenant.postgres(f"SELECT count(*) FROM {name}")[0][0] for name in ("videos", "notes", "events", "jobs")
    }


WHOLE = {"videos": 40, "notes": 20, "events": 6, "jobs": 3}
NOTHING = dict.fromkeys(WHOLE, 0)


def with_policies(tenant: Tenant, **policies: str) -> Tenant:
    return Tenant(tenant.database, tenant.sqlite_path, tenant.source_id, {**tenant.options, "policies": policies})


def failed(tenant: Tenant) -> set[str]:
    found = tenant.parity()
    assert found.verdict == FAILED
    return {check.name for check in found.checks if check.verdict == FAILED}


def messages(tenant: Tenant) -> str:
    return "; ".join(check.message for check in tenant.parity().checks if check.verdict == FAILED)
