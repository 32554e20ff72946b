# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Connect to PostgreSQL and read what a schema holds (pg_catalog only, never information_schema)."""

from __future__ import annotations

import contextlib
import dataclasses
import re
import typing as t

from ._errors import LockHeld, PostgresError
from ._psycopg2 import psycopg2, require_psycopg2, sql
from ._redact import redact_text, secrets_of

if t.TYPE_CHECKING:
    from ._psycopg2 import Connection

MINIMUM_SERVER = 140000
_LOCK_CLASS = 0x53584F50  # "SXOP": the first key of our two-key advisory locks
_BOOKKEEPING_LOCK_CLASS = 0x53584F42  # "SXOB"
_OPTION_TO_LIBPQ = {
    "login_host": "host",
    "login_port": "port",
    "login_user": "user",
    "login_password": "password",
    "login_db": "dbname",
    "pgpass_file": "passfile",
    "ssl_mode": "sslmode",
    "ca_cert": "sslrootcert",
    "ssl_cert": "sslcert",
    "ssl_key": "sslkey",
    "connect_timeout": "connect_timeout",
}


@dataclasses.dataclass(frozen=True)
class Column:
    """A column: C(type_name) is the base type (C(int4), C(varchar)), C(declared) as psql shows it.

    Of a domain both are those of the type it rests on. C(labels) are those of an enumeration.
    """

    name: str
    type_name: str
    declared: str
    not_null: bool
    has_default: bool
    identity: str
    generated: bool
    sequence: str | None
    labels: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class ForeignKey:
    """A foreign key, with the parent as (schema, table)."""

    name: str
    columns: tuple[str, ...]
    parent: tuple[str, str]
    parent_columns: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Table:
    """A table of the tenant schema. C(uniques) are the column lists of its full unique constraints and indexes.

    C(indexes) are those of all full btree indexes, columns that are only included among them.
    """

    name: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    uniques: tuple[tuple[str, ...], ...]
    foreign_keys: tuple[ForeignKey, ...]
    indexes: tuple[tuple[str, ...], ...] = ()


def conninfo(params: t.Mapping[str, t.Any]) -> str:
    """Return the libpq keyword string for module options named as in L(_options.postgres_options).

    Raises:
        PostgresError: The dsn cannot be parsed, or neither dsn nor login_host nor login_db is given.
    """
    require_psycopg2()
    dsn = (params.get("dsn") or "").strip()
    given = {libpq: params[option] for option, libpq in _OPTION_TO_LIBPQ.items() if params.get(option) is not None}
    if not dsn and not ({"host", "dbname"} & set(given)):
        raise PostgresError(
            "No PostgreSQL server was named",
            remedy="Give dsn, or login_host and login_db (in the profile: postgres).",
        )
    # SQLAlchemy's spelling (postgresql+psycopg://) is what several applications keep in their settings (seed 004).
    dsn = re.sub(r"^(postgres|postgresql)\+\w+://", "postgresql://", dsn)
    try:
        parts = psycopg2.extensions.parse_dsn(dsn) if dsn else {}
        if "connect_timeout" in parts:
            given.pop("connect_timeout", None)
        if "@" in parts.get("host", "").lstrip("@"):  # a first @ is an abstract socket's
            raise psycopg2.ProgrammingError("a password with an @ that is not percent-encoded")
        return str(psycopg2.extensions.make_dsn(**{"application_name": "pg_cutover", **parts, **given}))
    except psycopg2.ProgrammingError as error:
        # libpq quotes the part it stumbled over, which may be the password itself
        raise PostgresError(
            "The PostgreSQL connection string cannot be parsed",
            "it is neither a postgresql:// URL nor a list of keyword=value pairs",
            "Check dsn and admin_dsn of the profile (in a URL, a password's special characters are percent-encoded).",
        ) from error


def address(params: t.Mapping[str, t.Any]) -> str:
    """Return where the options point to, for messages: host, port, database and user, no secret."""
    parts = psycopg2.extensions.parse_dsn(conninfo(params))
    where = f"{parts.get('host', 'the local socket')}:{parts.get('port', '5432')}"
    return f"{where}, database {parts.get('dbname', '(default)')!r}, user {parts.get('user', '(default)')!r}"


def reach(params: t.Mapping[str, t.Any]) -> Connection:
    """Connect with the module options, whatever the server's version, and set nothing in the session.

    Raises:
        PostgresError: The server cannot be reached, or refuses the login.
        MissingDependency: psycopg2 is missing or too old.
    """
    dsn = conninfo(params)
    try:
        return psycopg2.connect(dsn)
    except psycopg2.OperationalError as error:
        raise _connection_error(params, error) from error


def connect(params: t.Mapping[str, t.Any]) -> Connection:
    """Connect with the module options, in UTC and UTF8, switched to C(session_role) where one is given.

    Raises:
        PostgresError: The server cannot be reached, refuses the login, or is older than PostgreSQL 14.
        MissingDependency: psycopg2 is missing or too old.
    """
    connection = reach(params)
    try:
        if connection.server_version < MINIMUM_SERVER:
            raise PostgresError(
                f"PostgreSQL {connection.server_version // 10000} at {address(params)} is refused",
                "PostgreSQL 14 to 18 are supported",
            )
        with postgres_errors("Preparing the session"), connection.cursor() as cursor:
            connection.set_client_encoding("UTF8")
            # A pooled or customised role may have changed any of these; the codec relies on them.
            cursor.execute("SET timezone TO 'UTC'; SET datestyle TO 'ISO, YMD'; SET extra_float_digits TO 1")
            cursor.execute("SET bytea_output TO hex; SET standard_conforming_strings TO on")
            if params.get("session_role"):
                cursor.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(params["session_role"])))
        connection.commit()
    except BaseException:
        connection.close()
        raise
    return connection


def _connection_error(params: t.Mapping[str, t.Any], error: Exception) -> PostgresError:
    text = redact_text(" ".join(str(error).split()), secrets_of(params.get("dsn"), params.get("login_password")))
    if "password authentication failed" in text or "no password supplied" in text:
        return PostgresError(
            f"PostgreSQL refused the login at {address(params)}",
            text,
            "Check user and password in dsn and admin_dsn of the profile.",
            reason="authentication",
        )
    return PostgresError(
        f"PostgreSQL cannot be reached at {address(params)}",
        text,
        "Start it, or correct the address in dsn and admin_dsn of the profile.",
        reason="unreachable",
    )


@contextlib.contextmanager
def postgres_errors(doing: str) -> t.Iterator[None]:
    """Turn psycopg2's errors into L(PostgresError): what was being done, and the server's own words."""
    try:
        yield
    except psycopg2.Error as error:
        diag = getattr(error, "diag", None)
        said = " ".join(str(error).split())
        facts = {"sqlstate": error.pgcode} if error.pgcode else {}
        for fact, attribute in (
            ("table", "table_name"),
            ("column", "column_name"),
            ("constraint", "constraint_name"),
        ):
            if getattr(diag, attribute, None):
                facts[fact] = getattr(diag, attribute)
        raise PostgresError(f"{doing} failed", redact_text(said) or type(error).__name__, **facts) from error


def roll_back(connection: Connection) -> None:
    """Roll back, also where the session is gone already, so that what ended it stays the error that is reported."""
    with contextlib.suppress(psycopg2.Error):
        connection.rollback()


def identifier(name: str) -> sql.Composable:
    """Return C(schema.table) (or a plain name) as a quoted identifier."""
    return sql.Identifier(*name.split(".", 1))


def relation_exists(connection: Connection, name: str) -> bool:
    """Return whether C(schema.table) exists and may be seen."""
    schema, _dot, table = name.rpartition(".")
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT 1 FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
            " WHERE n.nspname = %s AND c.relname = %s AND c.relkind IN ('r', 'p', 'v', 'f')",
            (schema or "public", table),
        )
        return cursor.fetchone() is not None


def schema_exists(connection: Connection, name: str) -> bool:
    """Return whether the schema exists."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1 FROM pg_namespace WHERE nspname = %s", (name,))
        return cursor.fetchone() is not None


def read_tables(connection: Connection, schema: str) -> dict[str, Table]:
    """Return the ordinary tables of a schema by name."""
    with connection.cursor() as cursor:
        cursor.execute(_COLUMNS, (schema,))
        columns: dict[str, list[Column]] = {}
        for table, *rest in cursor.fetchall():
            found = columns.setdefault(table, [])
            if rest[0] is not None:  # a table without columns is legal
                found.append(dataclasses.replace(Column(*rest[:8]), labels=tuple(rest[8] or ())))
        cursor.execute(_KEYS, (schema,))
        keys: dict[str, tuple[str, ...]] = {}
        uniques: dict[str, list[tuple[str, ...]]] = {}
        for table, primary, names in cursor.fetchall():
            uniques.setdefault(table, []).append(tuple(names))
            if primary:
                keys[table] = tuple(names)
        cursor.execute(_FOREIGN_KEYS, (schema,))
        foreign: dict[str, list[ForeignKey]] = {}
        for table, name, names, parent_schema, parent, parent_names in cursor.fetchall():
            foreign.setdefault(table, []).append(
                ForeignKey(name, tuple(names), (parent_schema, parent), tuple(parent_names))
            )
        cursor.execute(_INDEXES, (schema,))
        indexes: dict[str, list[tuple[str, ...]]] = {}
        for table, names in cursor.fetchall():
            indexes.setdefault(table, []).append(tuple(names))
    return {
        name: Table(
            name,
            tuple(found),
            keys.get(name, ()),
            tuple(uniques.get(name, ())),
            tuple(foreign.get(name, ())),
            tuple(indexes.get(name, ())),
        )
        for name, found in columns.items()
    }


def try_profile_lock(connection: Connection, source_id: str) -> None:
    """Take the session's advisory lock of a profile, so that no second run writes its schema meanwhile.

    Raises:
        LockHeld: Another session holds it; the message names that session.
    """
    with postgres_errors("Taking the profile's advisory lock"), connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s, hashtext(%s))", (_LOCK_CLASS, source_id))
        row = cursor.fetchone()
        if row and row[0]:
            connection.commit()
            return
        cursor.execute(_LOCK_HOLDER, (source_id, _LOCK_CLASS))
        holder = cursor.fetchone() or (None, "unknown", "unknown", "unknown", None)
    connection.rollback()
    pid, application, user, client, since = holder
    raise LockHeld(
        f"Profile {source_id!r} is being worked on",
        f"PostgreSQL session {pid} ({application}, user {user}, from {client}) holds its lock; it began at {since}",
        "Wait until that run has ended, then run the same command again.",
        holder_pid=pid,
    )


def wait_for_bookkeeping(cursor: t.Any) -> None:
    """Wait until nobody else makes bookkeeping tables; until the transaction's end nobody else begins to.

    C(IF NOT EXISTS) does not keep two first runs from making the same schema and failing.
    """
    cursor.execute("SELECT pg_advisory_xact_lock(%s, 0)", (_BOOKKEEPING_LOCK_CLASS,))


@contextlib.contextmanager
def profile_lock(connection: Connection, source_id: str) -> t.Iterator[None]:
    """Hold the session's advisory lock of a profile for a while; one that is held already is held on to.

    Raises:
        LockHeld: Another session holds it; the message names that session.
    """
    try_profile_lock(connection, source_id)
    try:
        yield
    finally:
        if not connection.closed:
            with contextlib.suppress(psycopg2.Error), connection.cursor() as cursor:
                connection.rollback()
                cursor.execute("SELECT pg_advisory_unlock(%s, hashtext(%s))", (_LOCK_CLASS, source_id))
                connection.commit()


_COLUMNS = """
SELECT c.relname, a.attname, t.typname, format_type(t.oid, b.modifier), a.attnotnull OR b.not_null,
       a.atthasdef AND a.attgenerated = '', a.attidentity, a.attgenerated <> '',
       coalesce(pg_get_serial_sequence(quote_ident(n.nspname) || '.' || quote_ident(c.relname), a.attname),
                (SELECT quote_ident(sn.nspname) || '.' || quote_ident(s.relname)  -- DEFAULT nextval(), not owned
                   FROM pg_attrdef ad
                   JOIN pg_depend d ON d.classid = 'pg_attrdef'::regclass AND d.objid = ad.oid
                                   AND d.refclassid = 'pg_class'::regclass
                   JOIN pg_class s ON s.oid = d.refobjid AND s.relkind = 'S'
                   JOIN pg_namespace sn ON sn.oid = s.relnamespace
                  WHERE ad.adrelid = c.oid AND ad.adnum = a.attnum LIMIT 1)),
       (SELECT array_agg(e.enumlabel::text ORDER BY e.enumsortorder) FROM pg_enum e WHERE e.enumtypid = t.oid)
  FROM pg_class c
  JOIN pg_namespace n ON n.oid = c.relnamespace
  LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
  LEFT JOIN LATERAL (
       WITH RECURSIVE base(type, modifier, not_null, depth) AS (
         SELECT a.atttypid, a.atttypmod, false, 0
          UNION ALL
         SELECT d.typbasetype, greatest(d.typtypmod, base.modifier), base.not_null OR d.typnotnull, depth + 1
           FROM base JOIN pg_type d ON d.oid = base.type WHERE d.typtype = 'd')
       SELECT type, modifier, not_null FROM base ORDER BY depth DESC LIMIT 1) b ON true
  LEFT JOIN pg_type t ON t.oid = b.type
 WHERE n.nspname = %s AND c.relkind IN ('r', 'p') AND NOT c.relispartition
 ORDER BY c.relname, a.attnum
"""

_KEYS = """
SELECT c.relname, i.indisprimary,
       (SELECT array_agg(a.attname::text ORDER BY k.place)
          FROM unnest(i.indkey::int2[]) WITH ORDINALITY AS k(attnum, place)
          JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.attnum
         WHERE k.place <= i.indnkeyatts)
  FROM pg_index i
  JOIN pg_class c ON c.oid = i.indrelid
  JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE n.nspname = %s AND i.indisunique AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL
 ORDER BY c.relname, i.indexrelid
"""

_INDEXES = """
SELECT DISTINCT c.relname,
       (SELECT array_agg(a.attname::text ORDER BY k.place)
          FROM unnest(i.indkey::int2[]) WITH ORDINALITY AS k(attnum, place)
          JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.attnum)
  FROM pg_index i
  JOIN pg_class c ON c.oid = i.indrelid
  JOIN pg_namespace n ON n.oid = c.relnamespace
  JOIN pg_class x ON x.oid = i.indexrelid
  JOIN pg_am m ON m.oid = x.relam AND m.amname = 'btree'
 WHERE n.nspname = %s AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL
 ORDER BY 1, 2
"""

_FOREIGN_KEYS = """
SELECT c.relname, k.conname,
       (SELECT array_agg(a.attname::text ORDER BY u.place)
          FROM unnest(k.conkey) WITH ORDINALITY AS u(attnum, place)
          JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = u.attnum),
       pn.nspname, pc.relname,
       (SELECT array_agg(a.attname::text ORDER BY u.place)
          FROM unnest(k.confkey) WITH ORDINALITY AS u(attnum, place)
          JOIN pg_attribute a ON a.attrelid = k.confrelid AND a.attnum = u.attnum)
  FROM pg_constraint k
  JOIN pg_class c ON c.oid = k.conrelid
  JOIN pg_namespace n ON n.oid = c.relnamespace
  JOIN pg_class pc ON pc.oid = k.confrelid
  JOIN pg_namespace pn ON pn.oid = pc.relnamespace
 WHERE n.nspname = %s AND k.contype = 'f'
 ORDER BY c.relname, k.conname
"""

_LOCK_HOLDER = """
SELECT a.pid, a.application_name, a.usename, coalesce(host(a.client_addr), 'this host'), a.backend_start::text
  FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid
 WHERE l.locktype = 'advisory' AND l.granted
   AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
   AND l.objid = hashtext(%s)::oid AND l.classid = %s::oid
"""
