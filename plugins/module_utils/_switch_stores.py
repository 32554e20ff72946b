# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Both stores of a profile as a switch holds them, with its lock on SQLite and what it tells on its way."""

from __future__ import annotations

import contextlib
import dataclasses
import sqlite3
import time
import typing as t

from . import _online_journal, _sqlite_store, _standing
from ._errors import PostgresError
from ._online_names import OnlineNames
from ._postgres_store import postgres_errors, roll_back, try_profile_lock
from ._profile import profile_of
from ._sqlite_writer import open_writable
from ._tenant_stores import open_stores, tenant_tables

if t.TYPE_CHECKING:
    from ._online_journal import Tenant
    from ._psycopg2 import Connection
    from ._standing import Standing
    from ._table_plan import Plan

_MS = 1000


@dataclasses.dataclass
class Limits:
    """How long a switch waits and how often it tries; times in seconds."""

    fence_timeout: float = 3.0
    lock_timeout: float = 3.0
    retries: int = 60
    retry_delay: float = 0.5
    longest_delay: float = 5.0
    max_pending: int = 1000

    def delays(self) -> t.Iterator[float]:
        """Yield how long to wait before each further attempt."""
        delay = self.retry_delay
        for _attempt in range(self.retries):
            yield delay
            delay = min(delay * 2, self.longest_delay)


@dataclasses.dataclass
class SwitchStores:
    """What a switch works on.

    Attributes:
        path: The SQLite file.
        target: A connection that writes it.
        connection: PostgreSQL; None where it cannot be reached.
        plan: How the tables pair; None likewise, and where the tenant schema does not exist.
        tables: The profile's tables in SQLite.
        names: What online mode calls its things.
        source_id: The profile.
        tenant_column: The column that tells the profiles apart.
        limits: How long to wait.
        passed: Called with the name of every step once it is done; a test may stop there.
    """

    path: str
    target: sqlite3.Connection
    connection: Connection | None
    plan: Plan | None
    tables: list[str]
    names: OnlineNames
    source_id: str
    tenant_column: str | None
    limits: Limits
    passed: t.Callable[[str], None] = lambda _step: None

    @property
    def schema_name(self) -> str:
        return self.names.schema_name

    @property
    def postgres(self) -> Connection:
        """PostgreSQL.

        Raises:
            PostgresError: It could not be reached when the stores were opened.
        """
        if self.connection is None:
            raise PostgresError(f"PostgreSQL cannot be reached for {self.source_id}", reason="unreachable")
        return self.connection

    @property
    def paired(self) -> Plan:
        """How the tables pair.

        Raises:
            PostgresError: The tenant schema does not exist.
        """
        if self.plan is None:
            raise PostgresError(
                f"Schema {self.schema_name} of source_id {self.source_id!r} does not exist, or has no tables",
                remedy=f"Bootstrap and load the profile first: ansible-playbook cutover.yml -e "
                f"source_id={self.source_id}",
            )
        return self.plan

    def catalog(self) -> _sqlite_store.Catalog:
        """Return what the file declares now; inside a transaction, what nobody can change before its end."""
        return _sqlite_store.read_catalog(self.target)

    def standing(self) -> Standing:
        """Return how the profile stands."""
        return _standing.look(
            self.target,
            self.connection,
            self.catalog(),
            self.tables,
            self.plan,
            self.names,
            self.source_id,
            self.tenant_column,
        )

    def tenant(self) -> Tenant:
        """Return how far the profile has come.

        Raises:
            PostgresError: Nothing is known of it.
        """
        found = _online_journal.read(self.postgres, self.schema_name)
        if found is None:
            raise PostgresError(f"PostgreSQL knows of no cutover of {self.source_id} that was begun")
        return found

    def say_phase(self, phase: str, tenant: Tenant | None = None, **others: t.Any) -> None:
        """Write the phase, over what is known of the profile already; the caller commits."""
        _online_journal.write(self.postgres, dataclasses.replace(tenant or self.tenant(), phase=phase, **others))

    @contextlib.contextmanager
    def postgres_transaction(self, doing: str) -> t.Iterator[None]:
        """Commit at the end, roll back on any failure."""
        connection = self.postgres
        try:
            with postgres_errors(doing):
                with connection.cursor() as cursor:
                    cursor.execute(
                        "SELECT set_config('lock_timeout', %s, true)", (_milliseconds(self.limits.lock_timeout),)
                    )
                yield
                connection.commit()
        except BaseException:
            roll_back(connection)
            raise

    def begin_sqlite(self) -> float:
        """Take SQLite's write lock: wait for the open writer, then nobody else can commit.

        Returns:
            When it was taken, as L(time.monotonic) counts.

        Raises:
            SqliteError: Another writer kept it for longer than C(fence_timeout); C(locked) is set.
        """
        with _sqlite_store.reading(self.target, f"taking the write lock for {self.source_id}"):
            self.target.execute("BEGIN IMMEDIATE")
        return time.monotonic()

    @contextlib.contextmanager
    def sqlite_transaction(self, doing: str) -> t.Iterator[float]:
        """Hold SQLite's write lock and commit at the end, roll back on any failure; gives when it was taken."""
        taken = self.begin_sqlite()
        try:
            with _sqlite_store.reading(self.target, doing):
                yield taken
            self.commit_sqlite(doing)
        except BaseException:
            self.release_sqlite()
            raise

    def commit_sqlite(self, doing: str) -> None:
        """Commit; a reader of a file without a WAL can keep a writer from it for a moment."""
        with _sqlite_store.reading(self.target, doing):
            self.target.execute("COMMIT")

    def release_sqlite(self) -> None:
        """Give the lock back, what was written undone."""
        with contextlib.suppress(sqlite3.Error):
            if self.target.in_transaction:
                self.target.execute("ROLLBACK")


@contextlib.contextmanager
def open_for_switch(
    params: t.Mapping[str, t.Any],
    limits: Limits,
    *,
    without_postgres: bool = False,
    looking: bool = False,
    passed: t.Callable[[str], None] = lambda _step: None,
) -> t.Iterator[SwitchStores]:
    """Open both stores.

    Args:
        params: As in L(_tenant_stores.open_stores).
        limits: How long to wait.
        without_postgres: Whether to go on where PostgreSQL cannot be reached.
        looking: Whether nothing will be written, so that others may go on working on the profile.
        passed: As in L(SwitchStores).

    Raises:
        LockHeld: Another run works on the profile.
        CutoverError: A store cannot be opened.
    """
    path = params["sqlite_path"]
    profile = profile_of(params["source_id"], params["schema_prefix"], params["schema_name"])
    names = OnlineNames(profile.schema_name)
    column = params["tenant_column"] or None
    with contextlib.ExitStack() as stack:
        connection = plan = None
        try:
            stores = stack.enter_context(open_stores(params, plan_only=True))
            connection, plan = stores.connection, None if stores.planned_only else stores.plan
            # Our own reader would keep our own writer from committing in a file without a WAL.
            stores.source.execute("ROLLBACK")
            stores.source.close()
        except PostgresError as error:
            if not without_postgres or error.facts.get("reason") != "unreachable":
                raise
        if connection is not None and not looking:
            try_profile_lock(connection, profile.source_id)
        target = (
            _sqlite_store.open_readonly(path) if looking else open_writable(path, round(limits.fence_timeout * _MS))
        )
        stack.enter_context(contextlib.closing(target))
        tables = tenant_tables(_sqlite_store.read_catalog(target), params)
        yield SwitchStores(path, target, connection, plan, tables, names, profile.source_id, column, limits, passed)


def _milliseconds(seconds: float) -> str:
    return f"{max(round(seconds * _MS), 1)}ms"
