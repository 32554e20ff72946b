# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Both stores as the watch opens them: for one look, and so that nothing in PostgreSQL can hold a look up for long.

A table may be locked, a server may hang or its network be gone. Each of these is what the watch is there to see, so
every connection gives up soon. The times are no options: whoever waits longer is late for the next look.
"""

from __future__ import annotations

import contextlib
import typing as t

from ._postgres_store import conninfo, postgres_errors
from ._psycopg2 import psycopg2
from ._tenant_stores import Stores, open_stores

if t.TYPE_CHECKING:
    from ._psycopg2 import Connection

CONNECT_S = 5
LOCK_S = 2
STATEMENT_S = 30
_DEAD_NETWORK = {"keepalives_idle": 5, "keepalives_interval": 2, "keepalives_count": 3, "tcp_user_timeout": 10_000}
_LIBPQ_OPTIONS = (
    "login_host",
    "login_port",
    "login_user",
    "login_password",
    "login_db",
    "pgpass_file",
    "ssl_mode",
    "ca_cert",
    "ssl_cert",
    "ssl_key",
)
Params = t.Mapping[str, t.Any]


def impatient(params: Params, dsn: str | None = None) -> dict[str, t.Any]:
    """Return the options with a connection that gives up soon.

    Args:
        params: Options as in L(_options.postgres_options).
        dsn: Another connection string to take in the place of all of them.

    Raises:
        PostgresError: The connection string cannot be parsed.
    """
    nothing = dict.fromkeys(_LIBPQ_OPTIONS)
    given = {**params, **nothing, "dsn": dsn, "session_role": None} if dsn else dict(params)
    merged = conninfo(given)  # also sees to it that there is a psycopg2
    quick = psycopg2.extensions.make_dsn(merged, connect_timeout=CONNECT_S, **_DEAD_NETWORK)
    return {**given, **nothing, "dsn": quick, "connect_timeout": CONNECT_S}


def give_up_soon(connection: Connection) -> None:
    """Let no statement of this connection wait long for a lock, or take long.

    Raises:
        PostgresError: PostgreSQL is gone.
    """
    with postgres_errors("Limiting how long a look may take"):
        with connection.cursor() as cursor:
            cursor.execute("SELECT set_config('lock_timeout', %s, false)", (f"{LOCK_S}s",))
            cursor.execute("SELECT set_config('statement_timeout', %s, false)", (f"{STATEMENT_S}s",))
        connection.commit()


@contextlib.contextmanager
def opened(params: Params) -> t.Iterator[Stores]:
    """Open both stores with options from L(impatient).

    Raises:
        CutoverError: A store cannot be opened.
    """
    with open_stores(params) as stores:
        give_up_soon(stores.connection)
        yield stores
