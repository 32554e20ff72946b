# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""From PostgreSQL back to SQLite: the mirror of L(_switch_forward).

PostgreSQL's tables are locked, which waits for every open writer; what it has changed is replayed into SQLite in one
transaction that also lifts SQLite's fence. PostgreSQL's fence is committed first, SQLite after it, so at no instant do
both take writes; and a key is acknowledged only after SQLite has it, so every point of a crash can be run again.
"""

from __future__ import annotations

import time
import typing as t

from . import (
    _capture_sqlite,
    _change_log,
    _fence_postgres,
    _fence_sqlite,
    _replay_back,
    _return_path,
    _standing,
)
from ._attempts import persist
from ._errors import SwitchRefused
from ._ledger import now_text
from ._online_journal import RETURNED
from ._outcome import Outcome
from ._postgres_store import postgres_errors
from ._psycopg2 import sql
from ._replayed import Replayed

if t.TYPE_CHECKING:
    from ._switch_stores import SwitchStores

REPLAY, KEEP, BACKUP = "replay", "keep", "backup"
STEPS = ("drained", "locked", "replayed", "fenced", "opened", "acknowledged")


def switch_back(
    stores: SwitchStores, return_data: str, restore: t.Callable[[SwitchStores], int] | None = None
) -> Outcome:
    """Let SQLite take the profile's writes again, and PostgreSQL no longer.

    Args:
        stores: Both stores.
        return_data: L(REPLAY) brings back what was written to PostgreSQL. L(KEEP) leaves it there; SQLite's changes are
            captured from then on, so that both can be merged later. L(BACKUP) puts the rows of a snapshot in place of
            SQLite's.
        restore: What does that, in the transaction that opens SQLite; returns how many rows.

    Raises:
        SwitchRefused: PostgreSQL's tables were not to be had, or SQLite's lock. PostgreSQL is the live store.
        ReplayError: A row does not fit SQLite. PostgreSQL is the live store.
        CutoverError: A store failed meanwhile; the same command finishes what was begun.
    """
    outcome = Outcome()
    drained = return_data != REPLAY

    def attempt() -> bool:
        nonlocal drained
        outcome.attempts += 1
        if not drained:
            outcome.add(_drain(stores))
            outcome.step(stores, "drained")
            drained = True
        done = _attempt(stores, outcome, return_data, restore)
        drained = done  # otherwise more was pending than may be replayed under the lock
        return done

    persist(stores.limits, attempt, lambda reason: _given_up(stores, outcome, reason))
    return outcome


def _drain(stores: SwitchStores) -> Replayed:
    """Bring over what can be without a lock on PostgreSQL."""
    return _return_path.drain(stores.postgres, stores.target, stores.paired, stores.names, stores.source_id).replayed


def _attempt(
    stores: SwitchStores, outcome: Outcome, return_data: str, restore: t.Callable[[SwitchStores], int] | None
) -> bool:
    """Try once; return whether SQLite is open now."""
    waited_from = time.monotonic()
    seqs: t.Sequence[int] = ()
    names = (stores.names, stores.source_id, stores.tenant_column)
    try:
        with stores.postgres_transaction("Going back to SQLite"):
            _lock_tables(stores)
            locked = time.monotonic()
            outcome.locked_at = now_text()
            outcome.fence_wait_ms = round((locked - waited_from) * 1000)
            outcome.step(stores, "locked")
            pending = _change_log.postgres_pending(stores.postgres, stores.paired, stores.names)
            outcome.pending_before = pending.count
            if return_data == REPLAY and pending.count > stores.limits.max_pending:
                return False
            stores.begin_sqlite()
            if return_data == REPLAY:
                outcome.add(
                    _replay_back.replay_back(
                        stores.postgres, stores.target, stores.paired, stores.names, stores.source_id, pending
                    )
                )
                seqs = pending.entries
            elif restore is not None:
                outcome.replayed += restore(stores)
            outcome.not_replayed = 0 if return_data == REPLAY else pending.count
            outcome.step(stores, "replayed")
            _fence_sqlite.lift(stores.target, stores.names)
            _capture_sqlite.remove(stores.target, stores.names)
            if return_data == KEEP:
                _capture_sqlite.install(stores.target, stores.catalog(), stores.tables, *names)
            _fence_postgres.put_up(stores.postgres, stores.paired, stores.names)
            stores.say_phase(RETURNED)
        outcome.changed = True
        outcome.step(stores, "fenced")
        stores.commit_sqlite("opening SQLite")
    except BaseException:
        stores.release_sqlite()
        raise
    outcome.lock_hold_ms = round((time.monotonic() - locked) * 1000, 1)
    outcome.step(stores, "opened")
    with stores.postgres_transaction("Acknowledging what SQLite has"):
        _change_log.acknowledge(stores.postgres, stores.names, seqs)
    outcome.step(stores, "acknowledged")
    return True


def _lock_tables(stores: SwitchStores) -> None:
    tables = sql.SQL(", ").join([sql.Identifier(stores.schema_name, plan.target) for plan in stores.paired.tables])
    with postgres_errors(f"Locking the tables of {stores.schema_name}"), stores.postgres.cursor() as cursor:
        # Readers go on; every writer is waited for, also one that commits late (C2, C9).
        cursor.execute(sql.SQL("LOCK TABLE {} IN EXCLUSIVE MODE").format(tables))


def open_sqlite_alone(
    stores: SwitchStores, return_data: str, restore: t.Callable[[SwitchStores], int] | None = None
) -> Outcome:
    """Let SQLite take the profile's writes while PostgreSQL cannot be reached.

    What PostgreSQL has and SQLite has not stays there. SQLite's changes are captured from now on, so that both can be
    merged once PostgreSQL is back.

    Args:
        stores: SQLite only.
        return_data: As in L(switch_back); nothing can be replayed.
        restore: As there.

    Raises:
        SqliteError: The lock was not to be had.
    """
    outcome = Outcome(attempts=1, not_replayed=None)
    names = (stores.names, stores.source_id, stores.tenant_column)
    with stores.sqlite_transaction("opening SQLite without PostgreSQL") as taken:
        outcome.locked_at = now_text()
        outcome.step(stores, "locked")
        if return_data == BACKUP and restore is not None:
            outcome.replayed += restore(stores)
        _fence_sqlite.lift(stores.target, stores.names)
        _capture_sqlite.remove(stores.target, stores.names)
        _capture_sqlite.install(stores.target, stores.catalog(), stores.tables, *names)
        _standing.say_opened_alone(stores.target, stores.names)
    outcome.lock_hold_ms = round((time.monotonic() - taken) * 1000, 1)
    outcome.changed = True
    outcome.step(stores, "opened")
    return outcome


def close_postgres(stores: SwitchStores) -> None:
    """Fence PostgreSQL, which was not to be reached when SQLite was opened; what it holds stays pending.

    Raises:
        CutoverError: A store failed; the same command tries again.
    """
    with stores.postgres_transaction("Fencing PostgreSQL"):
        _fence_postgres.put_up(stores.postgres, stores.paired, stores.names)
        stores.say_phase(RETURNED)
    with stores.sqlite_transaction("noting that PostgreSQL is fenced"):
        _standing.say_fenced_again(stores.target, stores.names)


def _given_up(stores: SwitchStores, outcome: Outcome, reason: str) -> SwitchRefused:
    return SwitchRefused(
        f"Going back with {stores.source_id} was given up after {outcome.attempts} attempt(s)",
        reason,
        f"PostgreSQL, schema {stores.schema_name}, is live as before; each attempt left nothing behind. See which "
        "session holds a lock there (pg_stat_activity), or raise lock_timeout and retries, and run again: "
        f"ansible-playbook rollback.yml -e source_id={stores.source_id}",
        attempts=outcome.attempts,
    )
