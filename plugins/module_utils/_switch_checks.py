# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""What has to hold before a switch, and what is compared while the profile stands still (DESIGN §5, 1 and 5)."""

from __future__ import annotations

import typing as t

from . import _return_trial
from ._attempts import is_locked
from ._errors import CutoverError, SwitchRefused
from ._online_journal import PROVEN, SWITCHING
from ._parity import compare_table
from ._postgres_store import postgres_errors
from ._sqlite_store import reading
from ._verdict import FAILED, PASSED, Check, compare, describe, open_checks

if t.TYPE_CHECKING:
    from ._switch_stores import SwitchStores


def preconditions(stores: SwitchStores) -> list[Check]:
    """Return what has to hold before the lock is asked for; nothing is touched."""
    standing = stores.standing()
    capture = standing.capture
    tenant = standing.tenant
    return [
        compare("the tables of both stores pair", [], list(stores.paired.refusals)),
        compare(
            "every change of SQLite is captured",
            [],
            list(capture.missing) if capture.capture_id else ["there is no capture"],
        ),
        compare(
            "the load began with this capture",
            capture.capture_id,
            tenant.capture_id if tenant else "nothing was loaded",
        ),
        Check(
            "parity with the snapshot passed",
            PASSED if standing.phase in (PROVEN, SWITCHING) else FAILED,
            PROVEN,
            standing.phase or "not begun",
        ),
        _writable(stores),
    ]


def refuse_open(stores: SwitchStores, checks: t.Sequence[Check]) -> None:
    """Raise L(SwitchRefused) with every check that has not passed, if there is one."""
    if open_checks(checks):
        raise SwitchRefused(
            f"The switch of {stores.source_id} is refused",
            describe_open(checks),
            f"SQLite is live as before; nothing was changed. Run the cutover again: ansible-playbook cutover.yml -e "
            f"source_id={stores.source_id}",
            checks=[check.as_dict() for check in checks],
        )


def describe_open(checks: t.Sequence[Check]) -> str:
    """Return what has not passed, for a message."""
    return describe(open_checks(checks))


def _writable(stores: SwitchStores) -> Check:
    with postgres_errors("Asking PostgreSQL whether it takes writes"), stores.postgres.cursor() as cursor:
        cursor.execute("SELECT pg_is_in_recovery(), current_setting('default_transaction_read_only')")
        standby, read_only = cursor.fetchone() or (True, "on")
    stores.postgres.rollback()
    found = {"a standby": bool(standby), "read-only": read_only == "on"}
    return compare("PostgreSQL is a primary that takes writes", {"a standby": False, "read-only": False}, found)


def return_path(stores: SwitchStores) -> Check:
    """Return whether the way back can be used (C4).

    Raises:
        SqliteError: SQLite's write lock was not to be had.
    """
    name = "a row of every table can be brought back"
    try:
        tried = _return_trial.try_way_back(stores)
    except CutoverError as error:
        if is_locked(error):
            raise
        return Check(name, FAILED, "brought back", error.message())
    return Check(name, PASSED, "brought back", f"{tried} row(s), undone")


def compare_tables(stores: SwitchStores, verify: str) -> list[Check]:
    """Compare every table, while neither store takes the profile's writes.

    Args:
        stores: Both stores.
        verify: C(counts) or C(keys).
    """
    checks = []
    with reading(stores.target, "comparing both stores"):
        stores.target.execute("BEGIN")
        try:
            for plan in stores.paired.tables:
                found = compare_table(
                    stores.target, stores.postgres, plan, stores.schema_name, stores.source_id, verify
                )
                differs = found.missing or found.extra or found.different or found.sqlite_rows != found.postgres_rows
                shown = found.as_check()
                checks.append(
                    Check(
                        f"{verify} of {plan.source}",
                        FAILED if differs else PASSED,
                        shown.expected,
                        shown.observed,
                        shown.message,
                    )
                )
        finally:
            stores.release_sqlite()
            stores.postgres.rollback()
    return checks
