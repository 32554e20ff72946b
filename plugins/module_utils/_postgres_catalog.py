# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""What a backup of PostgreSQL has to hold: tables and their size, the profile's registry rows, roles and extensions."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import typing as t

from ._errors import BackupError, PostgresError, ProfileError
from ._postgres_store import identifier, postgres_errors, relation_exists, schema_exists
from ._profile import Profile, refuse_collision
from ._psycopg2 import sql

if t.TYPE_CHECKING:
    from ._psycopg2 import Connection

Name = tuple[str, str]  # schema, table

_LOCK_NOT_AVAILABLE = "55P03"


@dataclasses.dataclass(frozen=True)
class Contents:
    """What a scope holds: its tables by schema and name, and their size with indexes and TOAST, in bytes."""

    schema_exists: bool
    tables: tuple[Name, ...]
    bytes: int


@dataclasses.dataclass(frozen=True)
class RegistryRows:
    """The profile's rows in a shared table, each as the JSON text that C(json_populate_record) reads back."""

    table: str
    exists: bool
    rows: tuple[str, ...]

    def lines(self) -> list[str]:
        """Return the rows as JSON lines that name their table."""
        return [f'{{"table": {json.dumps(self.table)}, "row": {row}}}' for row in self.rows]


def read_contents(connection: Connection, schema: str | None) -> Contents:
    """Return what a schema holds, or the whole database when it is None.

    Tables of extensions are left out, as pg_dump leaves them out. Partitions count, their parents hold no rows.
    """
    with postgres_errors("Reading the catalog"), connection.cursor() as cursor:
        cursor.execute(_TABLES, {"schema": schema})
        tables = tuple((str(namespace), str(table)) for namespace, table in cursor.fetchall())
        exists = schema is None or schema_exists(connection, schema)
    size = 0
    for namespace, table in tables:
        with _naming_locks(f"Measuring table {namespace}.{table}"), connection.cursor() as cursor:
            name = sql.Identifier(namespace, table).as_string(connection)
            cursor.execute("SELECT pg_total_relation_size(%s::regclass)", (name,))
            row = cursor.fetchone()
            size += int(row[0]) if row else 0
    return Contents(exists, tables, size)


@contextlib.contextmanager
def _naming_locks(doing: str) -> t.Iterator[None]:
    try:
        with postgres_errors(doing):
            yield
    except PostgresError as error:
        if error.facts.get("sqlstate") != _LOCK_NOT_AVAILABLE:
            raise
        raise PostgresError(
            error.what,
            "another session holds a lock on it",
            "See which one in pg_locks and pg_stat_activity, let it finish, or give a longer lock_timeout.",
            **error.facts,
        ) from error


def count_tables(connection: Connection, tables: t.Iterable[Name]) -> dict[Name, int]:
    """Return the exact number of rows of each table, in the connection's own snapshot."""
    counts = {}
    with connection.cursor() as cursor:
        for schema, table in tables:
            with _naming_locks(f"Counting the rows of {schema}.{table}"):
                cursor.execute(sql.SQL("SELECT count(*) FROM ONLY {}").format(sql.Identifier(schema, table)))
                row = cursor.fetchone()
            counts[schema, table] = int(row[0]) if row else 0
    return counts


def read_registry(
    connection: Connection, profile: Profile, registry_table: str, sources_table: str
) -> tuple[RegistryRows, ...]:
    """Return the profile's rows in the registry and in the table of sources; an empty name is passed over.

    Raises:
        ProfileError: The registry maps the profile to another schema, or another profile to its schema.
        BackupError: The table of sources has no column that could hold the id.
        PostgresError: A table cannot be read.
    """
    found = []
    with connection.cursor() as cursor:
        for table, keys in ((registry_table, ("source_id",)), (sources_table, ("source_id", "id"))):
            if not table:
                continue
            if not relation_exists(connection, table):
                found.append(RegistryRows(table, False, ()))
                continue
            if table == registry_table:
                _refuse_other_mapping(connection, profile, table)
            with _naming_locks(f"Reading the rows of {profile.source_id} in {table}"):
                key = _key_column(connection, table, keys)
                query = "SELECT row_to_json(t)::text FROM {} t WHERE t.{}::text = %s ORDER BY 1"
                cursor.execute(sql.SQL(query).format(identifier(table), sql.Identifier(key)), (profile.source_id,))
                # A json value inside keeps its line breaks; they stand between its tokens, never inside a string.
                rows = tuple(row[0].replace("\r", " ").replace("\n", " ") for row in cursor.fetchall())
            found.append(RegistryRows(table, True, rows))
    return tuple(found)


def _key_column(connection: Connection, table: str, candidates: tuple[str, ...]) -> str:
    with connection.cursor() as cursor:
        cursor.execute(sql.SQL("SELECT * FROM {} LIMIT 0").format(identifier(table)))
        names = [column.name for column in cursor.description or ()]
    for name in candidates:
        if name in names:
            return name
    raise BackupError(
        f"The rows of the profile in {table} cannot be found",
        f"it has none of the columns {', '.join(candidates)}",
        "Correct the name of the table in the profile, or leave it empty when the application keeps none.",
    )


def _refuse_other_mapping(connection: Connection, profile: Profile, table: str) -> None:
    with _naming_locks(f"Reading {table}"), connection.cursor() as cursor:
        cursor.execute(sql.SQL("SELECT source_id, schema_name FROM {}").format(identifier(table)))
        mapped = {str(source_id): str(schema) for source_id, schema in cursor.fetchall()}
    refuse_collision(profile, mapped)
    own = mapped.get(profile.source_id, profile.schema_name)
    if own != profile.schema_name:
        raise ProfileError(
            f"source_id {profile.source_id!r} is refused",
            f"{table} maps it to schema {own!r}, the options to {profile.schema_name!r}",
            f"Set schema_name to {own!r}, or correct schema_prefix.",
            schema_name=own,
        )


def read_environment(connection: Connection) -> dict[str, t.Any]:
    """Return what a restore has to find or to make again: server version, encoding, roles, extensions."""
    with postgres_errors("Reading roles and extensions"), connection.cursor() as cursor:
        cursor.execute(_DATABASE)
        database = cursor.fetchone() or ("", "", "", "", "")
        cursor.execute(_ROLES)
        names = [column.name for column in cursor.description or ()]
        roles = [dict(zip(names, row)) for row in cursor.fetchall()]
        cursor.execute(_EXTENSIONS)
        extensions = [dict(zip(("name", "version", "schema"), row)) for row in cursor.fetchall()]
    keys = ("server_version", "database", "encoding", "collate", "ctype")
    return {**dict(zip(keys, database)), "roles": roles, "extensions": extensions}


_TABLES = """
SELECT n.nspname, c.relname
  FROM pg_class c
  JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind = 'r' AND c.relpersistence <> 't'
   AND CASE WHEN %(schema)s::text IS NULL THEN n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
            ELSE n.nspname = %(schema)s END
   AND NOT EXISTS (SELECT 1 FROM pg_depend d
                    WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
 ORDER BY 1, 2
"""

_DATABASE = """
SELECT current_setting('server_version'), datname, pg_encoding_to_char(encoding), datcollate, datctype
  FROM pg_database WHERE datname = current_database()
"""

# pg_roles never shows a password
_ROLES = """
SELECT r.rolname AS name, r.rolcanlogin AS login, r.rolsuper AS superuser, r.rolinherit AS inherit,
       r.rolcreatedb AS createdb, r.rolcreaterole AS createrole, r.rolbypassrls AS bypass_rls,
       ARRAY(SELECT g.rolname::text FROM pg_auth_members m JOIN pg_roles g ON g.oid = m.roleid
              WHERE m.member = r.oid ORDER BY 1) AS member_of
  FROM pg_roles r WHERE r.rolname !~ '^pg_' ORDER BY 1
"""

_EXTENSIONS = """
SELECT e.extname, e.extversion, n.nspname FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace ORDER BY 1
"""
