# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""The end of a cutover: everything that online mode put into both stores is removed, and the rows stay."""

from __future__ import annotations

import typing as t

from . import _capture_postgres, _capture_sqlite, _fence_postgres, _fence_sqlite, _online_journal
from ._errors import SwitchRefused
from ._outcome import Outcome
from ._standing import POSTGRES, UNFENCED

if t.TYPE_CHECKING:
    from ._standing import Standing
    from ._switch_stores import SwitchStores


def plan(stores: SwitchStores) -> Outcome:
    """Return whether there is something to remove, without touching anything.

    Raises:
        SwitchRefused: As for L(close).
    """
    standing = stores.standing()
    _refuse(stores, standing)
    return Outcome(changed=_is_there(standing))


def close(stores: SwitchStores) -> Outcome:
    """Remove it: from PostgreSQL first, so that a second call finds what an interrupted one left in SQLite.

    Raises:
        SwitchRefused: Changes of PostgreSQL are not in SQLite yet, or the switch is half done.
        CutoverError: A store failed; the same command goes on.
    """
    standing = stores.standing()
    _refuse(stores, standing)
    outcome = Outcome(changed=_is_there(standing))
    if not outcome.changed:
        return outcome
    with stores.postgres_transaction("Removing what online mode left in PostgreSQL"):
        _capture_postgres.remove(stores.postgres, stores.names)
        _fence_postgres.lift(stores.postgres, stores.names)
        _online_journal.forget(stores.postgres, stores.schema_name)
    outcome.step(stores, "postgres closed")
    with stores.sqlite_transaction("removing what online mode left"):
        _fence_sqlite.lift(stores.target, stores.names)
        _capture_sqlite.remove(stores.target, stores.names)
    outcome.step(stores, "sqlite closed")
    return outcome


def _is_there(standing: Standing) -> bool:
    return standing.begun or standing.capture.capture_id is not None or standing.postgres_capture is not None


def _refuse(stores: SwitchStores, standing: Standing) -> None:
    # Once PostgreSQL has forgotten the cutover, what is left in SQLite is an interrupted close.
    if standing.tenant is None or standing.live_store == UNFENCED:
        return
    if standing.is_half_done:
        raise SwitchRefused(
            f"The cutover of {stores.source_id} cannot be closed",
            standing.sentence(stores.source_id, stores.schema_name),
            f"Finish or undo the switch first: ansible-playbook rollback.yml -e source_id={stores.source_id} "
            "-e repair=true",
        )
    if standing.live_store == POSTGRES and standing.to_sqlite:
        raise SwitchRefused(
            f"The cutover of {stores.source_id} cannot be closed",
            f"{standing.to_sqlite} changed row(s) of PostgreSQL are not in SQLite yet",
            "Nothing was changed. Bring them there first (module tenant_replay, direction to_sqlite).",
        )
