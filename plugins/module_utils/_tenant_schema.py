# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""The tenant schema of a profile: its mapping, its tables, its grants, and its moving aside."""

from __future__ import annotations

import dataclasses
import typing as t

from . import _load_journal, _postgres_store
from ._errors import PostgresError, ProfileError
from ._postgres_store import identifier, postgres_errors, roll_back
from ._profile import BOOKKEEPING_SCHEMA, MAX_IDENTIFIER_BYTES, Profile, check_schema_name, refuse_collision
from ._psycopg2 import sql
from ._translated_schema import Source, translated_statements
from ._translated_table import Statement

if t.TYPE_CHECKING:
    from ._psycopg2 import Connection

_DML = ("SELECT", "INSERT", "UPDATE", "DELETE")


@dataclasses.dataclass(frozen=True)
class SchemaPlan:
    """What has to be done so that the profile has its schema; empty when there is nothing to do.

    C(translated) are those of the statements that create the schema and its tables, C(notes) say what of them will
    be there in another form.
    """

    statements: tuple[Statement, ...]
    schema_exists: bool
    tables: tuple[str, ...]
    translated: tuple[Statement, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def actions(self) -> list[str]:
        return [statement.creates for statement in self.statements if statement.creates]


def known_mappings(connection: Connection, registry_table: str) -> dict[str, str]:
    """Return every source the registry maps to a schema; empty where there is no registry."""
    if not registry_table or not _postgres_store.relation_exists(connection, registry_table):
        return {}
    with postgres_errors(f"Reading the registry {registry_table}"), connection.cursor() as cursor:
        cursor.execute(sql.SQL("SELECT source_id, schema_name FROM {}").format(identifier(registry_table)))
        return dict(cursor.fetchall())


def check_mapping(profile: Profile, mapped: t.Mapping[str, str], inventory: t.Mapping[str, str]) -> None:
    """Refuse a profile whose schema, or whose mapping, is another one's.

    Args:
        profile: The profile.
        mapped: The registry: source_id to schema name.
        inventory: The other profiles of the inventory: source_id to schema name.

    Raises:
        ProfileError: Two ids have one schema, or the registry maps this id to another schema.
    """
    refuse_collision(profile, {**inventory, **mapped})
    known = mapped.get(profile.source_id)
    if known is not None and known != profile.schema_name:
        raise ProfileError(
            f"source_id {profile.source_id!r} is mapped to schema {known!r}",
            f"the profile says {profile.schema_name!r}",
            f"Set schema_name: {known} in the profile, or correct the registry.",
        )


def plan_present(
    connection: Connection,
    profile: Profile,
    *,
    source: Source | None,
    registry_table: str,
    owner: str | None,
    app_role: str | None,
) -> SchemaPlan:
    """Return what is missing of the schema, its tables, its mapping, its grants and our bookkeeping.

    Args:
        connection: The session of the administrator.
        profile: The profile.
        source: What the tables are to be translated from; None when they are the application's own.
        registry_table: The registry, or an empty text.
        owner: The role that is to own the schema and its tables.
        app_role: The role that is to use them.

    Raises:
        SchemaRefused: Something cannot be translated; nothing was created.
        PostgresError: The catalogue cannot be read.
    """
    schema = sql.Identifier(profile.schema_name)
    with postgres_errors(f"Reading schema {profile.schema_name}"):
        exists = _postgres_store.schema_exists(connection, profile.schema_name)
        tables = _postgres_store.read_tables(connection, profile.schema_name)
        statements: list[Statement] = []
        if not _load_journal.is_installed(connection):
            statements.append(Statement(f"bookkeeping schema {BOOKKEEPING_SCHEMA}", sql.SQL("")))
        translated: tuple[Statement, ...] = ()
        notes: tuple[str, ...] = ()
        if source is not None:
            created, notes = translated_statements(connection, profile.schema_name, source, tables)
            if not exists:
                create = sql.SQL("CREATE SCHEMA {}").format(schema)
                created = (Statement(f"schema {profile.schema_name}", create), *created)
            if created:
                translated = (_as_role(owner), *created, _as_role(None)) if owner else created
            statements += translated
            statements += _registry(connection, profile, registry_table, owner)
        if app_role and (exists or source is not None):
            new = any(s.creates.startswith("table ") for s in statements)
            statements += _grants(connection, profile.schema_name, app_role, new or not exists)
    return SchemaPlan(tuple(statements), exists, tuple(sorted(tables)), translated, notes)


def _as_role(role: str | None) -> Statement:
    if role is None:
        return Statement("", sql.SQL("RESET ROLE"))
    return Statement("", sql.SQL("SET ROLE {}").format(sql.Identifier(role)))


def _registry(connection: Connection, profile: Profile, registry_table: str, owner: str | None) -> list[Statement]:
    if not registry_table:
        return []
    found = []
    table = identifier(registry_table)
    if not _postgres_store.relation_exists(connection, registry_table):
        create = sql.SQL(
            "CREATE TABLE {} (source_id text PRIMARY KEY, schema_name text NOT NULL UNIQUE, created_at text,"
            " updated_at text)"
        ).format(table)
        found.append(Statement(f"registry {registry_table}", create))
        if owner:
            hand_over = sql.SQL("ALTER TABLE {} OWNER TO {}").format(table, sql.Identifier(owner))
            found.append(Statement("", hand_over))
    if profile.source_id not in known_mappings(connection, registry_table):
        now = sql.SQL("to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')")
        insert = sql.SQL("INSERT INTO {} (source_id, schema_name, created_at, updated_at) VALUES ({}, {}, {}, {})")
        mapping = insert.format(table, sql.Literal(profile.source_id), sql.Literal(profile.schema_name), now, now)
        found.append(Statement(f"mapping {profile.source_id} to {profile.schema_name}", mapping))
    return found


def _grants(connection: Connection, schema_name: str, role: str, lacking: bool) -> list[Statement]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT rolsuper FROM pg_roles WHERE rolname = %s", (role,))
        if cursor.fetchone() is None:
            raise PostgresError(
                f"Role {role!r} does not exist", remedy="Create it, or correct app_role of the profile."
            )
        if not lacking:
            cursor.execute(
                "SELECT NOT has_schema_privilege(%(role)s, n.oid, 'USAGE') OR EXISTS (SELECT 1 FROM pg_class c,"
                " unnest(%(dml)s) AS p(privilege) WHERE c.relnamespace = n.oid AND c.relkind IN ('r', 'p')"
                " AND NOT has_table_privilege(%(role)s, c.oid, p.privilege)) OR EXISTS (SELECT 1 FROM pg_class c"
                " WHERE c.relnamespace = n.oid AND CASE c.relkind WHEN 'S' THEN"
                " NOT has_sequence_privilege(%(role)s, c.oid, 'USAGE') END) FROM pg_namespace n"
                " WHERE n.nspname = %(schema)s",
                {"role": role, "schema": schema_name, "dml": list(_DML)},
            )
            row = cursor.fetchone()
            lacking = bool(row and row[0])
    if not lacking:
        return []
    schema, to_role = sql.Identifier(schema_name), sql.Identifier(role)
    statement = sql.SQL(
        "GRANT USAGE ON SCHEMA {schema} TO {role};"
        " GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {schema} TO {role};"
        " GRANT USAGE ON ALL SEQUENCES IN SCHEMA {schema} TO {role}"
    ).format(schema=schema, role=to_role)
    return [Statement(f"grants to {role} on {schema_name}", statement)]


def apply(connection: Connection, plan: SchemaPlan) -> None:
    """Run a plan in one transaction and commit it.

    Raises:
        PostgresError: The server refused a statement; nothing of the plan was done.
    """
    if not plan.statements:
        return
    try:
        if plan.actions[0].startswith("bookkeeping"):
            _load_journal.install(connection)
        _execute(connection, plan.statements, "Creating")
        connection.commit()
    except BaseException:
        roll_back(connection)
        raise


def rehearse(connection: Connection, plan: SchemaPlan) -> None:
    """Let PostgreSQL say what it refuses of a schema that does not exist yet, and take everything back.

    The statements of such a schema touch nothing that is there, so they wait for nobody and hold nobody up. Those
    for a schema that exists are not tried: a foreign key to a table that is there would lock it.

    Raises:
        PostgresError: The server refused a statement.
    """
    if plan.schema_exists:
        return
    try:
        _execute(connection, plan.translated, "Trying to create")
    finally:
        roll_back(connection)


def _execute(connection: Connection, statements: t.Iterable[Statement], doing: str) -> None:
    with connection.cursor() as cursor:
        for statement in statements:
            with postgres_errors(f"{doing} {statement.creates or 'the tenant schema'}"):
                if statement.statement.as_string(cursor):
                    cursor.execute(statement.statement)


def archive_name(schema_name: str, suffix: str) -> str:
    """Return the name under which a schema is kept, cut so that the dated suffix always fits.

    Raises:
        ProfileError: With this suffix it would be no name that PostgreSQL keeps whole.
    """
    kept_as = f"{schema_name[: max(MAX_IDENTIFIER_BYTES - len(suffix) - 1, 1)]}_{suffix}"
    return check_schema_name(kept_as, f"{schema_name} (archived)")


def archive(connection: Connection, schema_name: str, kept_as: str) -> None:
    """Move a tenant schema aside under another name, with all its rows, and forget its load; committed here.

    Raises:
        PostgresError: The schema cannot be renamed; it is as it was.
    """
    try:
        with postgres_errors(f"Renaming schema {schema_name} to {kept_as}"), connection.cursor() as cursor:
            cursor.execute(
                sql.SQL("ALTER SCHEMA {} RENAME TO {}").format(sql.Identifier(schema_name), sql.Identifier(kept_as))
            )
            _load_journal.forget(connection, schema_name)
            connection.commit()
    except BaseException:
        roll_back(connection)
        raise
