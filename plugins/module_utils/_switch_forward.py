# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""From SQLite to PostgreSQL while the application serves (DESIGN §5).

PostgreSQL's fence is up from before the last catch-up until SQLite's is up, so at every instant one store takes the
profile's writes or none does. SQLite's write lock is held from the last catch-up to the fence, and nothing that
happens meanwhile depends on the size of a table.
"""

from __future__ import annotations

import contextlib
import time
import typing as t

from . import (
    _capture_postgres,
    _capture_sqlite,
    _change_log,
    _fence_postgres,
    _fence_sqlite,
    _replay_forward,
    _sqlite_store,
    _switch_checks,
)
from ._attempts import persist
from ._errors import CutoverError, SwitchRefused
from ._ledger import now_text
from ._online_journal import PROVEN, SWITCHED, SWITCHING
from ._outcome import Outcome
from ._replayed import Replayed

if t.TYPE_CHECKING:
    from ._change_log import Pending
    from ._sqlite_store import Catalog
    from ._switch_stores import SwitchStores

# In this order; a run that is killed after one of them is finished or undone by the same command.
STEPS = ("prepared", "caught up", "locked", "replayed", "fenced", "compared", "opened")
_STAYS = "SQLite is live as before, and nothing was changed for the application."


def switch_forward(stores: SwitchStores, verify: str) -> Outcome:
    """Let PostgreSQL take the profile's writes, and SQLite no longer.

    Args:
        stores: Both stores.
        verify: C(counts) or C(keys): what of every table is compared while the profile stands still.

    Raises:
        SwitchRefused: A precondition does not hold, the lock was not to be had, or the stores turned out to differ.
            SQLite is the live store.
        CutoverError: A store failed meanwhile; the same command finishes or undoes what was begun.
    """
    outcome = Outcome()
    outcome.checks += _switch_checks.preconditions(stores)
    _switch_checks.refuse_open(stores, outcome.checks)
    _prepare(stores)
    outcome.step(stores, "prepared")
    tried = False

    def attempt() -> bool:
        nonlocal tried
        outcome.attempts += 1
        if not tried:
            outcome.checks.append(_switch_checks.return_path(stores))
            _switch_checks.refuse_open(stores, outcome.checks)
            tried = True
        return _attempt(stores, outcome)

    persist(stores.limits, attempt, lambda reason: _given_up(stores, outcome, reason))
    finish_forward(stores, outcome, verify)
    return outcome


def _prepare(stores: SwitchStores) -> None:
    # Nobody writes to PostgreSQL yet, so its capture costs nothing now, and no time under SQLite's lock.
    with stores.postgres_transaction("Fencing PostgreSQL and capturing its changes"):
        _fence_postgres.put_up(stores.postgres, stores.paired, stores.names)
        _capture_postgres.install(
            stores.postgres, stores.paired, stores.names, round(stores.limits.lock_timeout * 1000)
        )


def _attempt(stores: SwitchStores, outcome: Outcome) -> bool:
    """Try once; return whether SQLite is fenced now."""
    tenant = stores.tenant()  # nobody else writes it: this run holds the profile's advisory lock
    stores.postgres.rollback()
    # What can be brought over before need not be under the lock.
    outcome.add(catch_up(stores, tenant.position))
    tenant = stores.tenant()
    stores.postgres.rollback()
    outcome.step(stores, "caught up")
    waited_from = time.monotonic()
    taken = stores.begin_sqlite()
    outcome.locked_at = now_text()
    outcome.fence_wait_ms = round((taken - waited_from) * 1000)
    try:
        outcome.step(stores, "locked")
        catalog = stores.catalog()
        _refuse_incomplete_capture(stores, catalog, tenant.capture_id)
        pending = _change_log.sqlite_pending(stores.target, stores.paired, stores.names, tenant.position)
        outcome.pending_before = pending.count
        if pending.count > stores.limits.max_pending:
            stores.release_sqlite()
            return False
        with stores.postgres_transaction("Replaying the last changes"):
            outcome.add(_replay(stores, pending, one_transaction=True))
            stores.say_phase(SWITCHING, tenant, position=pending.last)
        outcome.step(stores, "replayed")
        names = (stores.names, stores.source_id, stores.tenant_column)
        _fence_sqlite.put_up(stores.target, catalog, stores.tables, *names)
        _capture_sqlite.suspend(stores.target, stores.names)
        stores.commit_sqlite("fencing the profile")
    except BaseException:
        stores.release_sqlite()
        _say_not_switched(stores)
        raise
    outcome.lock_hold_ms = round((time.monotonic() - taken) * 1000, 1)
    outcome.changed = True
    outcome.step(stores, "fenced")
    return True


def _say_not_switched(stores: SwitchStores) -> None:
    """Take back what an attempt said of itself; where that cannot be done, the next run does."""
    with contextlib.suppress(CutoverError):
        if stores.tenant().phase == SWITCHING:
            with stores.postgres_transaction("Taking an attempt back"):
                stores.say_phase(PROVEN)


def catch_up(stores: SwitchStores, position: int) -> Replayed:
    """Replay what is pending after a position in batches, without SQLite's lock, and write down how far it went."""
    with _sqlite_store.reading(stores.target, "catching up"):
        stores.target.execute("BEGIN")
    try:
        pending = _change_log.sqlite_pending(stores.target, stores.paired, stores.names, position)
        if not pending.count:
            return Replayed()
        done = _replay(stores, pending, one_transaction=False)
        with stores.postgres_transaction("Writing down how far the replay is"):
            stores.say_phase(stores.tenant().phase, position=pending.last)
    finally:
        stores.release_sqlite()
    return done


def _replay(stores: SwitchStores, pending: Pending, *, one_transaction: bool) -> Replayed:
    return _replay_forward.replay(
        stores.target,
        stores.postgres,
        stores.paired,
        stores.names,
        stores.source_id,
        pending,
        one_transaction=one_transaction,
    )


def _refuse_incomplete_capture(stores: SwitchStores, catalog: Catalog, expected: str) -> None:
    """Look again where nobody can change it any more: an application that rebuilds a table drops its triggers."""
    capture = _capture_sqlite.look(
        stores.target, catalog, stores.tables, stores.names, stores.source_id, stores.tenant_column
    )
    if capture.complete and capture.capture_id == expected:
        return
    missing = capture.missing or ("the capture is another one than the load began with",)
    raise SwitchRefused(
        f"The switch of {stores.source_id} is refused",
        "not every change of SQLite was captured: " + "; ".join(missing),
        f"{_STAYS} The next cutover starts from a new snapshot: ansible-playbook cutover.yml -e "
        f"source_id={stores.source_id}",
        missing=list(missing),
    )


def finish_forward(stores: SwitchStores, outcome: Outcome, verify: str) -> None:
    """Compare what stands still now, and open PostgreSQL; a difference lifts SQLite's fence again.

    Raises:
        SwitchRefused: The stores differ. SQLite is live again.
    """
    checks = _switch_checks.compare_tables(stores, verify)
    outcome.checks += checks
    outcome.step(stores, "compared")
    if any(check.verdict != "passed" for check in checks):
        undo_forward(stores)
        outcome.undone = "the stores differ"
        raise SwitchRefused(
            f"The switch of {stores.source_id} was undone",
            _switch_checks.describe_open(checks),
            "SQLite's fence is lifted and SQLite is live again, as before; nothing was lost. The next cutover starts "
            f"from a new snapshot: ansible-playbook cutover.yml -e source_id={stores.source_id} "
            "-e cutover_archive_schema=true",
            undone=True,
            checks=[check.as_dict() for check in outcome.checks],
        )
    with stores.postgres_transaction("Opening PostgreSQL"):
        _fence_postgres.lift(stores.postgres, stores.names)
        stores.say_phase(SWITCHED)
    outcome.changed = True
    outcome.step(stores, "opened")


def undo_forward(stores: SwitchStores) -> None:
    """Fence PostgreSQL, lift SQLite's fence and capture its changes again; nothing was written in between.

    Raises:
        CutoverError: A store failed; the same command tries again.
    """
    with stores.postgres_transaction("Fencing PostgreSQL again"):
        _fence_postgres.put_up(stores.postgres, stores.paired, stores.names)
        stores.say_phase(PROVEN)
    with stores.sqlite_transaction("lifting the fence again"):
        catalog = stores.catalog()
        names = (stores.names, stores.source_id, stores.tenant_column)
        _fence_sqlite.lift(stores.target, stores.names)
        _capture_sqlite.resume(stores.target, catalog, stores.tables, *names)


def _given_up(stores: SwitchStores, outcome: Outcome, reason: str) -> SwitchRefused:
    return SwitchRefused(
        f"The switch of {stores.source_id} was given up after {outcome.attempts} attempt(s)",
        reason,
        f"{_STAYS} Each attempt left nothing behind. See who keeps the lock (fuser {stores.path}), or raise "
        f"fence_timeout and retries, and run again: ansible-playbook cutover.yml -e source_id={stores.source_id}",
        attempts=outcome.attempts,
    )
