# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""How a profile stands: which store takes its writes, told by the fences themselves and by nothing else.

Settings, routes and journals say what was meant; a fence that is up or down is what an application meets.
"""

from __future__ import annotations

import dataclasses
import typing as t

from . import _capture_postgres, _capture_sqlite, _change_log, _fence_postgres, _fence_sqlite, _online_journal
from ._online_journal import LOADED, PROVEN, SWITCHING
from ._sqlite_store import quote, reading

if t.TYPE_CHECKING:
    import sqlite3

    from ._capture_sqlite import Capture
    from ._online_journal import Tenant
    from ._online_names import OnlineNames
    from ._psycopg2 import Connection
    from ._sqlite_store import Catalog
    from ._table_plan import Plan

UP, DOWN, PARTIAL, UNREACHABLE = "up", "down", "partial", "unreachable"
SQLITE, POSTGRES, BOTH, NEITHER, UNFENCED = "sqlite", "postgres", "both", "none", "unfenced"
_ALONE = "opened_alone"


@dataclasses.dataclass(frozen=True)
class Standing:
    """What stands in both stores for one profile.

    Attributes:
        sqlite_fence: L(UP), L(DOWN) or L(PARTIAL).
        postgres_fence: The same, or L(UNREACHABLE).
        capture: What SQLite's capture looks like.
        postgres_capture: Names of what is missing of PostgreSQL's, None where there is none, or nobody could look.
        tenant: How far the profile has come; None where online mode was never begun, or nobody could look.
        opened_alone: Whether SQLite was opened while PostgreSQL could not be reached, and could not be fenced.
        to_postgres: How many changed keys of SQLite wait, None where that is not known.
        to_sqlite: The same of PostgreSQL.
        lag_s: How old the oldest of them is, in seconds; None where none waits.
    """

    sqlite_fence: str
    postgres_fence: str
    capture: Capture
    postgres_capture: tuple[str, ...] | None = None
    tenant: Tenant | None = None
    opened_alone: bool = False
    to_postgres: int | None = None
    to_sqlite: int | None = None
    lag_s: float | None = None

    @property
    def phase(self) -> str:
        return self.tenant.phase if self.tenant else ""

    @property
    def resumable(self) -> bool:
        """Whether a cutover can go on with what is loaded and proven, without a new snapshot."""
        known = self.tenant is not None and self.tenant.capture_id == self.capture.capture_id
        return known and self.capture.complete and self.phase in (PROVEN, SWITCHING) and self.live_store == SQLITE

    @property
    def begun(self) -> bool:
        """Whether online mode has put anything into either store."""
        return self.tenant is not None or self.sqlite_fence != DOWN or self.postgres_fence in (UP, PARTIAL)

    @property
    def live_store(self) -> str:
        """The store that takes writes: L(SQLITE), L(POSTGRES), L(BOTH), L(NEITHER); L(UNFENCED): no fence tells."""
        sqlite = self.sqlite_fence != UP
        if self.postgres_fence == UNREACHABLE:
            return SQLITE if sqlite else POSTGRES
        postgres = self.postgres_fence != UP
        if sqlite and postgres:
            if self.tenant is None:
                return UNFENCED if self.sqlite_fence == DOWN and self.postgres_fence == DOWN else BOTH
            # Before PostgreSQL was opened nobody is sent there, whatever it would take.
            return SQLITE if self.phase in (LOADED, PROVEN, SWITCHING) and self.sqlite_fence == DOWN else BOTH
        if sqlite:
            return SQLITE
        return POSTGRES if postgres else NEITHER

    @property
    def is_half_done(self) -> bool:
        """Whether something stands that no switch leaves behind when it ends."""
        if PARTIAL in (self.sqlite_fence, self.postgres_fence) or self.live_store in (BOTH, NEITHER):
            return True
        return self.phase == SWITCHING or (self.opened_alone and self.postgres_fence != UNREACHABLE)

    def as_dict(self, source_id: str, schema_name: str) -> dict[str, t.Any]:
        """Return it as a module's result."""
        complete = "complete" if self.capture.complete else "incomplete"
        repair = f"ansible-playbook rollback.yml -e source_id={source_id} -e repair=true"
        return {
            "live_store": self.live_store,
            "sqlite_fence": self.sqlite_fence,
            "postgres_fence": self.postgres_fence,
            "postgres_reachable": self.postgres_fence != UNREACHABLE,
            "capture": complete if self.capture.capture_id else "absent",
            "missing": list(self.capture.missing) if self.capture.capture_id else [],
            "phase": self.phase,
            "resumable": self.resumable,
            "half_done": self.is_half_done,
            "opened_alone": self.opened_alone,
            "pending_to_postgres": self.to_postgres,
            "pending_to_sqlite": self.to_sqlite,
            "lag_seconds": self.lag_s,
            "summary": self.sentence(source_id, schema_name),
            "next": repair if self.is_half_done else "",
        }

    def sentence(self, source_id: str, schema_name: str) -> str:
        """Return for an operator which store is live, and in what state both are."""
        postgres = {
            UP: "its fence in PostgreSQL is up",
            DOWN: "it has no fence in PostgreSQL",
            PARTIAL: "its fence in PostgreSQL has gaps",
            UNREACHABLE: "PostgreSQL cannot be reached",
        }[self.postgres_fence]
        sqlite = {
            UP: "its fence in SQLite is up",
            DOWN: "it has no fence in SQLite",
            PARTIAL: "its fence in SQLite has gaps",
        }[self.sqlite_fence]
        live = {
            SQLITE: f"SQLite is the live store of {source_id}",
            POSTGRES: f"PostgreSQL, schema {schema_name}, is the live store of {source_id}",
            BOTH: f"ATTENTION: both stores take writes of {source_id}",
            NEITHER: f"No store takes writes of {source_id}: a switch was interrupted",
            UNFENCED: f"No fence tells which store of {source_id} is live; the settings do",
        }[self.live_store]
        return f"{live} ({sqlite}, {postgres})"


def look(
    target: sqlite3.Connection,
    connection: Connection | None,
    catalog: Catalog,
    tables: t.Sequence[str],
    plan: Plan | None,
    names: OnlineNames,
    source_id: str,
    tenant_column: str | None,
) -> Standing:
    """Return how a profile stands.

    Args:
        target: The SQLite file.
        connection: PostgreSQL, None where it cannot be reached.
        catalog: What the file declares.
        tables: The profile's tables there.
        plan: How the tables pair; None where PostgreSQL cannot be reached, or has none of them.
        names: What online mode calls its things.
        source_id: The profile.
        tenant_column: The column that tells the profiles apart.

    Raises:
        SqliteError: The file cannot be read.
        PostgresError: PostgreSQL went away meanwhile.
    """
    capture = _capture_sqlite.look(target, catalog, tables, names, source_id, tenant_column)
    # A table that the application has added since is missing from the capture, and no gap in the fence.
    sqlite_fence = _fence_sqlite.state(target, catalog, list(capture.tables) or tables, names)
    alone = opened_alone(target, names)
    if connection is None:
        return Standing(sqlite_fence, UNREACHABLE, capture, opened_alone=alone)
    tenant = _online_journal.read(connection, names.schema_name)
    if plan is None:
        connection.rollback()
        return Standing(sqlite_fence, DOWN, capture, tenant=tenant, opened_alone=alone)
    to_postgres = to_sqlite = lag = None
    if tenant is not None:
        ages = []
        if capture.capture_id == tenant.capture_id:
            waiting = _change_log.sqlite_pending(target, plan, names, tenant.position)
            to_postgres = waiting.count
            ages.append(waiting.oldest_s)
        changed = _change_log.postgres_pending(connection, plan, names)
        to_sqlite = changed.count
        ages.append(changed.oldest_s)
        lag = max((age for age in ages if age is not None), default=None)
    found = Standing(
        sqlite_fence,
        _fence_postgres.state(connection, plan, names),
        capture,
        _capture_postgres.look(connection, plan, names),
        tenant,
        alone,
        to_postgres,
        to_sqlite,
        lag,
    )
    connection.rollback()
    return found


def opened_alone(target: sqlite3.Connection, names: OnlineNames) -> bool:
    """Return whether SQLite was opened without PostgreSQL being fenced."""
    with reading(target, "reading what online mode left"):
        if not target.execute(
            "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?", (names.state,)
        ).fetchone():
            return False
        return bool(target.execute(f"SELECT 1 FROM {quote(names.state)} WHERE name = ?", (_ALONE,)).fetchone())


def say_opened_alone(target: sqlite3.Connection, names: OnlineNames) -> None:
    """Write that SQLite is opened without PostgreSQL being fenced, in the transaction that opens it."""
    target.execute(
        f"INSERT OR REPLACE INTO {quote(names.state)} (name, value) VALUES (?, strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))",
        (_ALONE,),
    )


def say_fenced_again(target: sqlite3.Connection, names: OnlineNames) -> None:
    """Take that back, once PostgreSQL is fenced."""
    target.execute(f"DELETE FROM {quote(names.state)} WHERE name = ?", (_ALONE,))
