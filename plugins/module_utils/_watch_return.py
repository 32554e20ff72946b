# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""The return path while the watch runs: a pass for each look, and whether somebody has gone back meanwhile."""

from __future__ import annotations

import contextlib
import dataclasses
import typing as t

from . import _capture_postgres, _catch_up, _change_log, _fence_sqlite, _return_path, _sqlite_store
from ._errors import CaptureError, CutoverError
from ._online_names import OnlineNames
from ._postgres_store import profile_lock
from ._profile import profile_of
from ._replayed import Replayed
from ._sqlite_writer import open_writable
from ._tenant_stores import tenant_tables
from ._watch_stores import opened

if t.TYPE_CHECKING:
    from ._tenant_stores import Stores

_BUSY_MS = 5_000
Enough = t.Callable[[], bool]


@dataclasses.dataclass
class Passed:
    """What one pass did.

    C(fenced) is false where somebody has gone back; C(pending) and C(lag_s) are None where they are not known, or
    nothing is pending; C(problem) says why nothing, or not everything, could be brought to SQLite.
    """

    fenced: bool = True
    replayed: Replayed = dataclasses.field(default_factory=Replayed)
    pending: int | None = None
    lag_s: float | None = None
    problem: str = ""


class ReturnPath:
    """The return path of one profile.

    Args:
        params: The options, from L(_watch_stores.impatient).
        drain: Whether to bring what is pending to SQLite, or only to count it.
    """

    def __init__(self, params: t.Mapping[str, t.Any], drain: bool) -> None:
        self._params = params
        self._drain = drain
        self._names = OnlineNames(
            profile_of(params["source_id"], params["schema_prefix"], params["schema_name"]).schema_name
        )
        self._tables: list[str] | None = None

    def one_pass(self, enough: Enough = lambda: False) -> Passed:
        """Bring over what is pending until there is no more of it, or C(enough) says so between two steps.

        Whatever is in the way is told in the result: PostgreSQL may be gone, a row may not fit, and the file may be
        locked by another profile.
        """
        passed = Passed()
        try:
            with opened(self._params) as stores:
                self._tables = [table.source for table in stores.plan.tables]
                _catch_up.stop_reading(stores)
                try:
                    if self._drain:
                        self._bring(stores, passed, enough)
                finally:
                    self._count(stores, passed)
        except CutoverError as error:
            passed.problem = passed.problem or error.message()
        if passed.problem or not self._drain:
            # Also while PostgreSQL is gone: whoever goes back meanwhile is not to be held up by a watch.
            passed.fenced = passed.fenced and self._is_fenced()
        return passed

    def _bring(self, stores: Stores, passed: Passed, enough: Enough) -> None:
        with contextlib.closing(open_writable(self._params["sqlite_path"], _BUSY_MS)) as target:
            if not _return_path.is_fenced(target, stores.plan, self._names):
                passed.fenced = False
                return
            _refuse_gaps(stores, self._names)
            with profile_lock(stores.connection, stores.profile.source_id):
                done = _return_path.drain(
                    stores.connection, target, stores.plan, self._names, stores.profile.source_id, enough=enough
                )
            passed.replayed += done.replayed
            passed.fenced = done.fenced

    def _count(self, stores: Stores, passed: Passed) -> None:
        if not passed.fenced or stores.connection.closed:
            return
        with contextlib.suppress(CutoverError), _return_path.at_one_instant(stores.connection):
            pending = _change_log.postgres_pending(stores.connection, stores.plan, self._names)
            passed.pending = pending.count
            passed.lag_s = None if pending.oldest_s is None else round(pending.oldest_s, 3)

    def _is_fenced(self) -> bool:
        try:
            with contextlib.closing(_sqlite_store.open_readonly(self._params["sqlite_path"])) as source:
                catalog = _sqlite_store.read_catalog(source)
                known = self._tables is not None
                tables = self._tables if self._tables is not None else tenant_tables(catalog, self._params)
                state = _fence_sqlite.state(source, catalog, tables, self._names)
        except CutoverError:  # it says nothing about anybody going back
            return True
        # Which tables pair is not known where PostgreSQL was never reached.
        return state == _fence_sqlite.UP if known else state != _fence_sqlite.DOWN


def _refuse_gaps(stores: Stores, names: OnlineNames) -> None:
    missing = _capture_postgres.look(stores.connection, stores.plan, names)
    stores.connection.rollback()
    if missing != ():
        raise CaptureError(
            f"Changes of profile {stores.profile.source_id!r} are not all captured in PostgreSQL",
            "; ".join(missing) if missing else "nothing is captured there",
            "What is not in the log would be lost by going back: see tenant_switch_info.",
        )
