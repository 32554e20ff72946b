# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""The gate that tells a session from a pooler's: what one sets is not to be found in another (S25).

A pooler in transaction mode gives each transaction to whichever session of the server is free. An application that
sets its search path once, then reads another profile's rows. Two clients take turns, each time in a transaction of
their own, in an order that a pool handing out its sessions by turns or the last one first cannot get right by chance.
"""

from __future__ import annotations

import contextlib
import typing as t

from ._gate_decision import Measured
from ._gate_look import GateLook
from ._postgres_store import postgres_errors, reach, schema_exists
from ._profile import profile_of
from ._psycopg2 import psycopg2, sql
from ._verdict import FAILED, PASSED, Check

if t.TYPE_CHECKING:
    from ._psycopg2 import Connection

NAME = "search_path_sessions"
_TURNS = "ABABBAABABAABBAB"
_DOING = "Trying two sessions of the application"
_OWN = {"A": "pg_cutover_probe_a", "B": "pg_cutover_probe_b"}  # a path may name schemas that do not exist


def search_path_sessions(look: GateLook) -> Measured:
    """Two interleaved sessions by the application's own connection string keep their search path and temporary table.

    First it is seen whether they are sessions at all. Only then is anything set in them: behind a pooler it would stay
    with whoever of the application comes next.
    """
    with contextlib.ExitStack() as stack:
        sessions: dict[str, Connection] = {}
        for name in _OWN:
            sessions[name] = reach(look.app_params)
            stack.callback(sessions[name].close)
        schema = profile_of(look.source_id, look.params["schema_prefix"], look.params["schema_name"]).schema_name
        with postgres_errors(_DOING):
            backends = _backends(sessions)
            if len(backends["A"]) > 1 or len(backends["B"]) > 1 or backends["A"] & backends["B"]:
                return _no_sessions(backends)
            paths = dict(_OWN)
            # The tenant's own schema, as the application names it, once there is one.
            if schema_exists(sessions["A"], schema):
                paths["A"] = schema
            sessions["A"].rollback()
            tables = bool(_one(sessions["A"], "SELECT has_database_privilege(current_database(), 'TEMPORARY')"))
            mixed = _mixed(sessions, paths, tables)
    observed = {"sessions": 2, "mixed": sorted(mixed)}
    if mixed:
        message = f"two connections have a session each, which does not keep its {' and its '.join(sorted(mixed))}"
        return Check(NAME, FAILED, {"sessions": 2, "mixed": []}, observed, message + _REMEDY)
    kept = "its search path and its temporary table" if tables else "its search path (it may make no temporary tables)"
    message = f"two sessions by turns, {len(_TURNS)} transactions: each kept {kept}"
    return Check(NAME, PASSED, {"sessions": 2, "mixed": []}, observed, message)


_REMEDY = (
    ". The application sets its search path in a session, and would read another profile's rows. Have the pooler work "
    "in session mode (PgBouncer: pool_mode = session), or go past it"
)


def _backends(sessions: t.Mapping[str, Connection]) -> dict[str, set[int]]:
    """Return the server's processes that each connection met; nothing is set."""
    found: dict[str, set[int]] = {name: set() for name in sessions}
    for name in _TURNS:
        found[name].add(int(_one(sessions[name], "SELECT pg_backend_pid()")))
    return found


def _no_sessions(backends: t.Mapping[str, set[int]]) -> Check:
    every = backends["A"] | backends["B"]
    message = (
        f"two connections shared {len(every)} session{'' if len(every) == 1 else 's'} of the server, so a pooler gives "
        "each transaction to whichever is free, and what one sets is found by another"
    )
    observed = {"sessions": len(every), "mixed": ["session"]}
    return Check(NAME, FAILED, {"sessions": 2, "mixed": []}, observed, message + _REMEDY)


def _mixed(sessions: t.Mapping[str, Connection], paths: t.Mapping[str, str], tables: bool) -> set[str]:
    """Return what was not found as it had been set; what was set is taken back.

    Args:
        sessions: Two connections that have sessions of their own.
        paths: The schema that each is to look into first.
        tables: Whether temporary tables may be made.
    """
    mixed: set[str] = set()
    table = sql.Identifier("pg_temp", "pg_cutover_probe")
    try:
        for name, session in sessions.items():
            _do(session, sql.SQL("SET search_path TO {}, public").format(sql.Identifier(paths[name])))
            if tables:
                made = sql.SQL("CREATE TEMPORARY TABLE pg_cutover_probe AS SELECT {}::text AS whose")
                _do(session, made.format(sql.Literal(name)))
        for name in _TURNS:
            session = sessions[name]
            first = str(_one(session, "SHOW search_path")).split(",", maxsplit=1)[0].strip().strip('"')
            if first != paths[name]:
                mixed.add("search path")
            if not tables:
                continue
            try:
                if _one(session, sql.SQL("SELECT whose FROM {}").format(table)) != name:
                    mixed.add("temporary table")
            except psycopg2.errors.UndefinedTable:
                session.rollback()
                mixed.add("temporary table")
    except psycopg2.errors.DuplicateTable:
        mixed.add("temporary table")
    finally:
        for session in sessions.values():
            with contextlib.suppress(psycopg2.Error):
                session.rollback()
                _do(session, sql.SQL("DROP TABLE IF EXISTS {}").format(table))
                _do(session, sql.SQL("RESET search_path"))
    return mixed


def _one(session: Connection, query: t.Any) -> t.Any:
    with session.cursor() as cursor:
        cursor.execute(query)
        row = cursor.fetchone()
    session.commit()
    return row[0] if row else None


def _do(session: Connection, statement: t.Any) -> None:
    with session.cursor() as cursor:
        cursor.execute(statement)
    session.commit()
