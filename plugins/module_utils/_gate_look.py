# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""What the gates look at: the options, the ledger, and sessions of PostgreSQL in which nothing is set."""

from __future__ import annotations

import contextlib
import datetime
import typing as t

from ._errors import CutoverError
from ._postgres_store import postgres_errors, reach

if t.TYPE_CHECKING:
    from ._postgres_programs import Runner
    from ._psycopg2 import Connection

Entry = t.Mapping[str, t.Any]


class GateLook:
    """One look at everything; a server that cannot be reached is tried once.

    Behind a pooler, what a session sets may stay with whoever comes next. Therefore no session here sets anything, and
    every transaction is begun as read-only.

    Args:
        params: The module's options. Those named as in L(_options.postgres_options) are the administrator's way in,
            C(app_dsn) is the application's own.
        run: Runs a program.
        now: The present, in UTC.
        entries: The ledger of the profile.
    """

    def __init__(
        self, params: t.Mapping[str, t.Any], run: Runner, now: datetime.datetime, entries: t.Sequence[Entry]
    ) -> None:
        self.params = params
        self.run = run
        self.now = now
        self.entries = list(entries)
        self._known: dict[str, Connection | CutoverError] = {}

    @property
    def source_id(self) -> str:
        return str(self.params["source_id"])

    @property
    def app_params(self) -> dict[str, t.Any]:
        """The options of the application's own way into PostgreSQL."""
        given = {"connect_timeout": self.params.get("connect_timeout"), "source_id": self.source_id}
        return {**given, "dsn": self.params["app_dsn"]} if self.params.get("app_dsn") else dict(self.params)

    @property
    def admin(self) -> Connection:
        """The administrator's session.

        Raises:
            PostgresError: The server cannot be reached, or refuses the login.
        """
        return self._session("admin", self.params)

    @property
    def app(self) -> Connection:
        """The application's session.

        Raises:
            PostgresError: The server cannot be reached, or refuses the login.
        """
        return self._session("app", self.app_params) if self.params.get("app_dsn") else self.admin

    def _session(self, whose: str, params: t.Mapping[str, t.Any]) -> Connection:
        if whose not in self._known:
            try:
                connection = reach(params)
                connection.set_session(readonly=True)
                self._known[whose] = connection
            except CutoverError as error:
                self._known[whose] = error
        found = self._known[whose]
        if isinstance(found, CutoverError):
            raise found
        return found

    def close(self) -> None:
        """Close the sessions."""
        for found in self._known.values():
            if not isinstance(found, CutoverError):
                with contextlib.suppress(Exception):
                    found.close()


def ask(connection: Connection, doing: str, query: t.Any, values: t.Sequence[t.Any] = ()) -> list[tuple[t.Any, ...]]:
    """Return the rows of a query, in a transaction of its own that changes nothing.

    Raises:
        PostgresError: The server refused; the message begins with what was being done.
    """
    with postgres_errors(doing):
        try:
            with connection.cursor() as cursor:
                cursor.execute(query, values or None)
                return list(cursor.fetchall())
        finally:
            if not connection.closed:
                connection.rollback()
