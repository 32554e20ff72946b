# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Gates on the way to PostgreSQL: who sees what is sent, and what the two roles may do there."""

from __future__ import annotations

import ipaddress
import typing as t

from ._errors import PostgresError
from ._gate_decision import LeftOut, Measured
from ._gate_look import GateLook, ask
from ._postgres_store import schema_exists
from ._profile import BOOKKEEPING_SCHEMA, profile_of
from ._verdict import FAILED, PASSED, Check

if t.TYPE_CHECKING:
    from ._psycopg2 import Connection

_VERIFYING = ("verify-ca", "verify-full")


def tls(look: GateLook) -> Measured:
    """What leaves the host is encrypted, and the server is verified, for either connection."""
    if not look.params["require_tls"]:
        return LeftOut("gates.require_tls of the profile is false")
    found = {"application": _secrecy(look.app), "administrator": _secrecy(look.admin)}
    if look.app is look.admin:
        del found["administrator"]
    observed = {whose: facts for whose, (facts, _words, _good) in found.items()}
    message = "; ".join(f"{whose}: {words}" for whose, (_facts, words, _good) in found.items())
    good = all(fine for _facts, _words, fine in found.values())
    if not good:
        message += (
            ". Add sslmode=verify-full and sslrootcert=<file> to the connection string, and ssl to the server; or say "
            "gates.require_tls: false in the profile where the network is trusted"
        )
    expected = "local, or encrypted with sslmode verify-ca or verify-full"
    return Check("tls", PASSED if good else FAILED, expected, observed, message)


def _secrecy(connection: Connection) -> tuple[dict[str, t.Any], str, bool]:
    """Return the facts of a connection, the same in words, and whether that will do."""
    parts = connection.info.dsn_parameters
    host, mode = connection.info.host or "", parts.get("sslmode", "prefer")
    rows = ask(
        connection,
        "Asking PostgreSQL whether the session is encrypted",
        "SELECT coalesce((SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()), false), host(inet_client_addr())",
    )
    ((server_sees, client),) = rows
    # Behind a pooler on this host, the server sees the pooler's connection: that one may leave the host.
    beyond = bool(client) and not _is_local(client)
    facts = {"host": host or "local socket", "sslmode": mode, "encrypted": bool(server_sees), "server_sees": client}
    if _is_local(parts.get("hostaddr") or host):
        if not beyond:
            return facts, f"does not leave the host ({facts['host']})", True
        words = f"goes on from {host} to a server that sees {client}, "
        return facts, words + ("encrypted there" if server_sees else "not encrypted there"), bool(server_sees)
    # A pooler may end the encryption: then the server does not see it, and the client's side counts.
    encrypted = bool(connection.info.ssl_in_use)
    facts["encrypted"] = encrypted
    if not encrypted:
        return facts, f"leaves the host for {host} without encryption", False
    if mode not in _VERIFYING:
        return facts, f"is encrypted, but whoever answers at {host} is believed (sslmode={mode})", False
    return facts, f"is encrypted, and {host} is verified (sslmode={mode})", True


def _is_local(host: str) -> bool:
    if not host or host.startswith(("/", "@")) or host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.split("%")[0]).is_loopback
    except ValueError:
        return False


def privileges(look: GateLook) -> Measured:
    """The two roles may do what a cutover has them do."""
    name = "privileges"
    schema = profile_of(look.source_id, look.params["schema_prefix"], look.params["schema_name"]).schema_name
    makes_schema = look.params["bootstrap"] != "module"
    try:
        exists = schema_exists(look.admin, schema)
        look.admin.rollback()
        lacking = _lacking_app(look.app, schema, exists, makes_schema)
        lacking += _lacking_admin(look.admin, schema, exists, not makes_schema)
    except PostgresError as error:
        if error.facts.get("reason") != "authentication":
            raise
        return Check(name, FAILED, "both roles can log in", error.what, error.message())
    if lacking:
        return Check(name, FAILED, [], lacking, "; ".join(lacking))
    state = "exists" if exists else "is still to be made"
    return Check(name, PASSED, [], [], f"both roles may do what they have to; schema {schema} {state}")


_RIGHTS = """
SELECT current_user::text, current_database()::text,
       has_database_privilege(current_database(), 'CREATE'), has_database_privilege(current_database(), 'TEMPORARY'),
       n.oid IS NOT NULL AND has_schema_privilege(n.oid, 'USAGE'),
       n.oid IS NOT NULL AND has_schema_privilege(n.oid, 'CREATE'),
       n.oid IS NOT NULL AND pg_has_role(n.nspowner, 'USAGE'),
       (SELECT rolsuper FROM pg_roles WHERE rolname = current_user)
  FROM (SELECT 1) AS one LEFT JOIN pg_namespace n ON n.nspname = %s
"""
_DOING = "Asking PostgreSQL for privileges"


def _lacking_app(connection: Connection, schema: str, exists: bool, makes_schema: bool) -> list[str]:
    (row,) = ask(connection, _DOING, _RIGHTS, (schema,))
    user, database, creates, _temporary, uses, creates_in, _owns, _super = row
    if not exists:
        # What is to be made by us is granted when it is made.
        wanted = f"{user} may not create schemas (GRANT CREATE ON DATABASE {database} TO {user})"
        return [wanted] if makes_schema and not creates else []
    if not makes_schema:
        return []
    lacking = [] if uses else [f"{user} may not use schema {schema} (GRANT USAGE ON SCHEMA {schema} TO {user})"]
    if not creates_in:
        lacking.append(f"{user} may not create tables in schema {schema} (GRANT CREATE ON SCHEMA {schema} TO {user})")
    return lacking


def _lacking_admin(connection: Connection, schema: str, exists: bool, makes_schema: bool) -> list[str]:
    (row,) = ask(connection, _DOING, _RIGHTS, (schema,))
    user, database, creates, _temporary, _uses, _creates_in, owns, superuser = row
    lacking = []
    ((bookkeeping,),) = ask(connection, _DOING, "SELECT to_regnamespace(%s) IS NOT NULL", (BOOKKEEPING_SCHEMA,))
    if not creates and (not bookkeeping or (makes_schema and not exists)):
        lacking.append(f"{user} may not create schemas (GRANT CREATE ON DATABASE {database} TO {user})")
    if exists and not owns and not superuser:
        lacking.append(
            f"{user} neither owns schema {schema} nor belongs to its owner, so it can put up no fence there (GRANT "
            f"<owner> TO {user})"
        )
    return lacking
