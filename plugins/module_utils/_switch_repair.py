# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Finish or undo a switch that was interrupted, so that exactly one store takes the profile's writes again."""

from __future__ import annotations

import typing as t

from . import _capture_sqlite, _fence_postgres, _fence_sqlite, _switch_back, _switch_forward
from ._online_journal import PROVEN, RETURNED, SWITCHED, SWITCHING
from ._outcome import Outcome
from ._standing import DOWN, UP

if t.TYPE_CHECKING:
    from ._standing import Standing
    from ._switch_stores import SwitchStores


def repair(stores: SwitchStores, verify: str) -> Outcome:
    """Finish what can be finished, undo the rest; nothing happens where exactly one store takes writes.

    Args:
        stores: Both stores.
        verify: As in L(_switch_forward.finish_forward).

    Raises:
        SwitchRefused: A forward switch was undone because the stores differ. SQLite is live.
        CutoverError: A store failed; the same command tries again.
    """
    standing = stores.standing()
    outcome = Outcome()
    if not standing.is_half_done:
        return outcome
    outcome.changed = True
    if standing.opened_alone:
        _switch_back.close_postgres(stores)
        outcome.step(stores, "PostgreSQL fenced, SQLite was opened without it")
    elif standing.phase == RETURNED:
        _finish_back(stores, standing, outcome)
    elif standing.phase == SWITCHED:
        _restore_fence(stores, standing)
        outcome.step(stores, "SQLite's fence put back, PostgreSQL is open")
    elif standing.sqlite_fence == UP:
        _switch_forward.finish_forward(stores, outcome, verify)
    else:
        _stay_on_sqlite(stores)
        outcome.step(stores, "SQLite stays open, PostgreSQL fenced")
    return outcome


def _finish_back(stores: SwitchStores, standing: Standing, outcome: Outcome) -> None:
    """PostgreSQL was fenced for the way back; SQLite follows with what PostgreSQL has."""
    if standing.sqlite_fence == DOWN:  # only PostgreSQL's fence has gaps: it was lost after the way back
        _switch_back.close_postgres(stores)
        outcome.step(stores, "PostgreSQL fenced again")
        return
    done = _switch_back.switch_back(stores, _switch_back.REPLAY)
    outcome.steps += done.steps
    outcome.replayed += done.replayed


def _restore_fence(stores: SwitchStores, standing: Standing) -> None:
    """PostgreSQL is live; an application that rebuilt its tables in SQLite has dropped the fence there."""
    names = (stores.names, stores.source_id, stores.tenant_column)
    if standing.sqlite_fence != UP:
        with stores.sqlite_transaction("putting the fence back"):
            _fence_sqlite.put_up(stores.target, stores.catalog(), stores.tables, *names)
    if standing.postgres_fence != DOWN:
        with stores.postgres_transaction("Opening PostgreSQL"):
            _fence_postgres.lift(stores.postgres, stores.names)


def _stay_on_sqlite(stores: SwitchStores) -> None:
    """Nothing was fenced in SQLite yet, or not everything: the switch has not happened."""
    names = (stores.names, stores.source_id, stores.tenant_column)
    with stores.postgres_transaction("Fencing PostgreSQL"):
        _fence_postgres.put_up(stores.postgres, stores.paired, stores.names)
        if stores.tenant().phase == SWITCHING:
            stores.say_phase(PROVEN)
    with stores.sqlite_transaction("lifting what there is of a fence"):
        _fence_sqlite.lift(stores.target, stores.names)
        _capture_sqlite.resume(stores.target, stores.catalog(), stores.tables, *names)
