# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Gates on PostgreSQL itself: version, primary, encoding, extensions, room for connections."""

from __future__ import annotations

import typing as t

from ._connection_pool import used
from ._gate_decision import LeftOut, Measured
from ._gate_look import GateLook, ask
from ._postgres_store import MINIMUM_SERVER
from ._verdict import FAILED, PASSED, Check

_NEWEST_MAJOR = 18


def _judged(good: bool, name: str, expected: t.Any, observed: t.Any, message: str) -> Check:
    return Check(name, PASSED if good else FAILED, expected, observed, message)


def postgres_version(look: GateLook) -> Measured:
    """PostgreSQL 14 to 18."""
    return judge_version(look.admin.server_version)


def judge_version(number: int) -> Check:
    """Return whether a server's version, as it gives it (C(180004)), is one that was tried."""
    major = number // 10000
    good = number >= MINIMUM_SERVER and major <= _NEWEST_MAJOR
    message = f"the server is PostgreSQL {major}.{number % 10000}"
    if not good:
        message += "; this version of the collection was tried on 14 to 18"
    return _judged(good, "postgres_version", "14 to 18", major, message)


def writable_primary(look: GateLook) -> Measured:
    """No standby, and not read-only by default, for the role of the application."""
    question = "SELECT pg_is_in_recovery(), current_setting('default_transaction_read_only')"
    ((standby, read_only),) = ask(look.app, "Asking PostgreSQL whether it takes writes", question)
    observed = {"a standby": bool(standby), "read-only": read_only == "on"}
    message = "the application's connection leads to a primary that takes writes"
    if standby:
        message = (
            "the application's connection leads to a standby; name the primary in dsn, or several hosts with "
            "target_session_attrs=read-write"
        )
    elif observed["read-only"]:
        message = (
            "default_transaction_read_only is on for the application; see ALTER ROLE, ALTER DATABASE and the server"
        )
    expected = dict.fromkeys(observed, False)
    return _judged(observed == expected, "writable_primary", expected, observed, message)


def encoding(look: GateLook) -> Measured:
    """The database is encoded in UTF8."""
    question = "SELECT current_database(), current_setting('server_encoding')"
    ((database, found),) = ask(look.admin, "Asking PostgreSQL for its encoding", question)
    message = f"database {database} is encoded in {found}"
    if found != "UTF8":
        message += "; create it anew with ENCODING 'UTF8' TEMPLATE template0, as an encoding cannot be changed"
    return _judged(found == "UTF8", "encoding", "UTF8", found, message)


def extensions(look: GateLook) -> Measured:
    """Each extension that the application needs is installed, or can be."""
    wanted = sorted(set(look.params["extensions"]))
    if not wanted:
        return LeftOut("the profile names no extensions")
    question = (
        "SELECT w, (SELECT extversion FROM pg_extension WHERE extname = w),"
        " EXISTS (SELECT 1 FROM pg_available_extensions WHERE name = w) FROM unnest(%s::text[]) AS w"
    )
    rows = ask(look.admin, "Asking PostgreSQL for its extensions", question, (wanted,))
    observed = {
        name: f"installed {version}" if version else "available" if available else "missing"
        for name, version, available in rows
    }
    missing = [name for name in wanted if observed[name] == "missing"]
    message = ", ".join(f"{name} {found}" for name, found in observed.items())
    if missing:
        message += f"; install the package that holds {', '.join(missing)} on the server of PostgreSQL"
    return _judged(not missing, "extensions", wanted, observed, message)


def connections(look: GateLook) -> Measured:
    """At least so many connections are free, for the role of the application."""
    name, wanted = "connections", int(look.params["min_free_connections"])
    in_use, limit = used(look.app)
    free = limit - in_use
    message = f"{in_use} of {limit} connections are in use, {free} are free"
    if free < wanted:
        message += (
            f"; {wanted} have to be. Raise max_connections (or the limit of the role or the database), or put fewer "
            "into the pools"
        )
    return _judged(free >= wanted, name, {"free": wanted}, {"free": free, "used": in_use, "limit": limit}, message)
