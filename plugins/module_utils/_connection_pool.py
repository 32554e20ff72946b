# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""How many connections PostgreSQL has left for an application, by pg_stat_activity."""

from __future__ import annotations

import typing as t

from ._postgres_store import postgres_errors

if t.TYPE_CHECKING:
    from ._psycopg2 import Connection

# Who is no superuser sees of other roles' sessions little more than role and database, which is all that is needed:
# what has both is a client, as PostgreSQL's own processes have none or another type.
_COUNTED = """
SELECT (SELECT count(*) FROM clients),
       current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
         - coalesce(current_setting('reserved_connections', true), '0')::int,
       (SELECT count(*) FROM clients c WHERE c.usesysid = r.oid), r.rolconnlimit,
       (SELECT count(*) FROM clients c WHERE c.datid = d.oid), d.datconnlimit
FROM pg_roles r, pg_database d WHERE r.rolname = session_user AND d.datname = current_database()
"""
_CLIENTS = """
WITH clients AS (
  SELECT usesysid, datid FROM pg_stat_activity
  WHERE usesysid IS NOT NULL AND datid IS NOT NULL AND coalesce(backend_type, 'client backend') = 'client backend'
)
"""


def used(connection: Connection) -> tuple[int, int]:
    """Return how many connections are in use and how many there may be, where the fewest are left.

    That is the server (without what it keeps for superusers), the role that is logged in, or the database.

    Args:
        connection: A session of the role that the application uses. It is counted too. What was begun on it is ended.

    Raises:
        PostgresError: The server cannot be asked.
    """
    with postgres_errors("Counting the connections"), connection.cursor() as cursor:
        cursor.execute(_CLIENTS + _COUNTED)
        row = cursor.fetchone() or (0, 0, 0, -1, 0, -1)
        connection.rollback()
    numbers = [int(number) for number in row]
    pairs = [(number, limit) for number, limit in zip(numbers[::2], numbers[1::2]) if limit >= 0]
    return max(pairs, key=_fullness)


def _fullness(pair: tuple[int, int]) -> tuple[float, int]:
    number, limit = pair
    return (number / limit if limit else float("inf"), number - limit)
