# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""The switch of one profile, in either direction, from whatever state an earlier one left behind."""

from __future__ import annotations

import contextlib
import typing as t

from . import _capture_sqlite, _restore_profile, _router, _switch_back, _switch_checks, _switch_forward, _switch_repair
from ._errors import CutoverError, SwitchRefused
from ._online_journal import RETURNED, SWITCHING
from ._outcome import Outcome
from ._standing import BOTH, NEITHER, POSTGRES, SQLITE, UP

if t.TYPE_CHECKING:
    from ._router import Route
    from ._standing import Standing
    from ._switch_stores import SwitchStores


def to_postgres(stores: SwitchStores, verify: str, route: Route | None) -> Outcome:
    """Let PostgreSQL take the profile's writes; finish such a switch where one was interrupted.

    Args:
        stores: Both stores.
        verify: C(counts) or C(keys).
        route: The line of the router to turn at the end, None for a switch by restart.

    Raises:
        SwitchRefused: It cannot be done, or was undone. SQLite is the live store.
        CutoverError: A store failed meanwhile.
    """
    standing = stores.standing()
    if standing.phase == RETURNED:
        raise SwitchRefused(
            f"The switch of {stores.source_id} is refused",
            f"its earlier cutover was taken back. {standing.sentence(stores.source_id, stores.schema_name)}",
            f"Start a new one: ansible-playbook cutover.yml -e source_id={stores.source_id}",
        )
    if standing.live_store == POSTGRES and not standing.is_half_done:
        outcome = Outcome()
    elif standing.phase == SWITCHING and standing.sqlite_fence == UP:
        outcome = Outcome()
        _switch_forward.finish_forward(stores, outcome, verify)
    else:
        if route is not None:  # rather found out now than with SQLite fenced
            _router.require_turnable(route)
        if standing.is_half_done:
            _switch_repair.repair(stores, verify)
        outcome = _switch_forward.switch_forward(stores, verify)
    if route is not None:
        _turn(stores, outcome, route)
    return outcome


def _turn(stores: SwitchStores, outcome: Outcome, route: Route) -> None:
    try:
        outcome.changed |= _router.turn(route)
    except CutoverError as error:
        if not outcome.steps:  # the switch itself is an earlier run's
            raise
        _switch_forward.undo_forward(stores)
        raise SwitchRefused(
            f"The switch of {stores.source_id} was undone",
            f"the route could not be turned: {error.message()}",
            f"SQLite is live again, as before; nothing was lost. Then: ansible-playbook cutover.yml -e "
            f"source_id={stores.source_id}",
            undone=True,
        ) from error
    outcome.step(stores, "routed")


def to_sqlite(
    stores: SwitchStores,
    return_data: str,
    route: Route | None,
    snapshot_path: str | None = None,
) -> Outcome:
    """Let SQLite take the profile's writes again; finish such a switch where one was interrupted.

    Args:
        stores: Both stores, or SQLite alone where PostgreSQL cannot be reached.
        return_data: As in L(_switch_back.switch_back).
        route: The line of the router to turn at the end.
        snapshot_path: For C(backup), the snapshot, which L(_snapshot_digest.check_digest) has looked at.

    Raises:
        SwitchRefused: It cannot be done. PostgreSQL is the live store.
        CutoverError: A store failed meanwhile.
    """
    standing = stores.standing()
    if route is not None and standing.live_store == POSTGRES:
        _router.require_turnable(route)
    with contextlib.ExitStack() as stack:
        restore = None
        if return_data == _switch_back.BACKUP:
            restore = stack.enter_context(_restore_profile.rows_of(stores, str(snapshot_path)))
        outcome = _back(stores, standing, return_data, restore)
    if route is not None:
        try:
            outcome.changed |= _router.turn(route)
        except CutoverError as error:
            raise SwitchRefused(
                f"{stores.source_id} is back on SQLite, but its requests are not",
                f"the route could not be turned: {error.message()}",
                "SQLite is the live store and PostgreSQL is fenced, so writes are refused until the route is turned. "
                f"Run again: ansible-playbook rollback.yml -e source_id={stores.source_id}",
            ) from error
        outcome.step(stores, "routed")
    return outcome


def _back(
    stores: SwitchStores,
    standing: Standing,
    return_data: str,
    restore: t.Callable[[SwitchStores], int] | None,
) -> Outcome:
    if stores.connection is None:
        if standing.live_store == SQLITE:
            return Outcome(not_replayed=None)
        return _switch_back.open_sqlite_alone(stores, return_data, restore)
    if standing.live_store == POSTGRES or (standing.live_store == NEITHER and standing.phase == RETURNED):
        return _switch_back.switch_back(stores, return_data, restore)
    if standing.live_store == BOTH or standing.is_half_done:
        return _undo_or_repair(stores, standing, return_data, restore)
    outcome = Outcome()
    if restore is not None:
        with stores.sqlite_transaction("putting the snapshot's rows in place"):
            outcome.replayed += restore(stores)
            # What PostgreSQL was to follow is another content now, so the next cutover begins with a new snapshot.
            _capture_sqlite.remove(stores.target, stores.names)
        outcome.changed = True
    return outcome


def _undo_or_repair(
    stores: SwitchStores,
    standing: Standing,
    return_data: str,
    restore: t.Callable[[SwitchStores], int] | None,
) -> Outcome:
    if standing.phase == SWITCHING and standing.sqlite_fence == UP:
        # PostgreSQL was never opened, so SQLite has everything.
        _switch_forward.undo_forward(stores)
        outcome = Outcome(changed=True)
        outcome.step(stores, "undone")
        return outcome
    outcome = _switch_repair.repair(stores, "counts")
    if stores.standing().live_store == POSTGRES:
        return _switch_back.switch_back(stores, return_data, restore)
    return outcome


def plan(stores: SwitchStores, store: str) -> Outcome:
    """Return what a switch would find, without touching anything."""
    outcome = Outcome()
    standing = stores.standing()
    outcome.changed = standing.is_half_done or standing.live_store != store
    if store == POSTGRES and standing.live_store == SQLITE:
        outcome.checks += _switch_checks.preconditions(stores)
        outcome.pending_before = standing.to_postgres or 0
    elif store == SQLITE and standing.live_store == POSTGRES:
        outcome.pending_before = standing.to_sqlite or 0
        outcome.not_replayed = standing.to_sqlite
    return outcome
