# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.


"""What the module tenant_replay does in either direction; L(_replay_loop) is what it has in common."""

from __future__ import annotations

import contextlib
import time
import typing as t

from . import (
    _capture_postgres,
    _capture_sqlite,
    _catch_up,
    _change_log,
    _delta_export,
    _fence_sqlite,
    _merge,
    _online_journal,
    _return_path,
    _sqlite_store,
)
from ._errors import CaptureError, ReplayError
from ._postgres_store import profile_lock
from ._replay_loop import FENCE_DOWN, MOST_LISTED, TO_POSTGRES, ReplayLoop
from ._row_lookup import shown
from ._sqlite_writer import open_writable

if t.TYPE_CHECKING:
    from ._change_log import Key, Pending
    from ._left_behind import Left
    from ._online_names import OnlineNames
    from ._tenant_stores import Stores

_BUSY_MS = 5_000


class Replaying(ReplayLoop):
    """One call of the module."""

    def _run(self, stores: Stores, names: OnlineNames) -> None:
        if self._params["direction"] == TO_POSTGRES:
            self._to_postgres(stores, names)
        else:
            self._export(stores, names)
            self._to_sqlite(stores, names)

    # Into PostgreSQL

    def _to_postgres(self, stores: Stores, names: OnlineNames) -> None:
        tenant_column = self._params["tenant_column"] or None
        capture = _catch_up.look(stores, names, tenant_column)
        given = self._params["snapshot_path"]
        snapshot = (given, self._params["snapshot_sha256"]) if given else None
        if self._check:
            self._report_forward(stores, names, _online_journal.read(stores.connection, names.schema_name))
            return
        with profile_lock(stores.connection, stores.profile.source_id):
            tenant = _catch_up.begin(stores, names, capture, snapshot, self._params["proven"])
            _catch_up.fence(stores, names)
        while True:
            with profile_lock(stores.connection, stores.profile.source_id):
                tenant, pending = self._forward_pass(stores, names, tenant_column)
            _catch_up.stop_reading(stores)
            if self._is_done(pending):
                break
            if pending.count <= self._params["max_lag"]:
                time.sleep(self._pause)
        _catch_up.prune(stores, names, tenant)

    def _forward_pass(
        self, stores: Stores, names: OnlineNames, tenant_column: str | None
    ) -> tuple[_online_journal.Tenant, Pending]:
        """Replay what is pending; return how far the profile is, and what is pending after that."""
        tenant, pending = self._look_forward(stores, names, tenant_column)
        if pending.count:
            done, tenant = _catch_up.one_pass(stores, names, tenant, pending, self._tell(pending))
            self._progress.end()
            self.outcome.replayed += done
            tenant, pending = self._look_forward(stores, names, tenant_column)
        return tenant, pending

    def _look_forward(
        self, stores: Stores, names: OnlineNames, tenant_column: str | None
    ) -> tuple[_online_journal.Tenant, Pending]:
        _catch_up.read_again(stores)
        capture = _catch_up.look(stores, names, tenant_column)
        stores.connection.rollback()
        tenant = _catch_up.check(_online_journal.read(stores.connection, names.schema_name), names, capture)
        pending = _catch_up.pending(stores, names, tenant, self._params["max_lag"])
        self._note(pending)
        return tenant, pending

    def _is_done(self, pending: Pending) -> bool:
        if self._held or self._within_duration:
            return False
        if pending.count > self._params["max_lag"]:
            self._refuse_timeout()
            return False
        self.outcome.stopped_by = "hold_released" if self._params["hold_file"] else "caught_up"
        return True

    @property
    def _within_duration(self) -> bool:
        return bool(self._params["duration"]) and self._spent < self._params["duration"]

    def _refuse_timeout(self) -> None:
        if self._params["timeout"] and self._spent > self._params["timeout"]:
            raise ReplayError(
                f"PostgreSQL did not catch up within {self._params['timeout']} seconds",
                f"{self.outcome.pending} key(s) were pending at the last look, max_lag is {self._params['max_lag']}",
                "SQLite is live, and what was replayed stays. Run the same command again when less is written.",
                **{**self.outcome.as_dict(), "stopped_by": "timeout", "changed": bool(self.outcome.replayed.tables)},
            )

    def _report_forward(self, stores: Stores, names: OnlineNames, tenant: _online_journal.Tenant | None) -> None:
        position = 0 if tenant is None else tenant.position
        pending = _change_log.sqlite_pending(stores.source, stores.plan, names, position)
        self._note(pending)
        self.outcome.left = [
            {"table": table, "key": _shown(stores, table, key), "kind": "pending", "columns": [], "changed_at": ""}
            for table, keys in pending.tables.items()
            for key in keys[:MOST_LISTED]
        ]
        self.outcome.left_rows = pending.count
        self.outcome.stopped_by = "check"

    # Into SQLite

    def _to_sqlite(self, stores: Stores, names: OnlineNames) -> None:
        if self._check:
            pending, left = _merge.pending_report(
                stores.connection, stores.source, stores.plan, names, stores.profile.source_id
            )
            self._note(pending)
            self._leave(left)
            self.outcome.stopped_by = "check"
            return
        _catch_up.stop_reading(stores)
        with contextlib.closing(open_writable(self._params["sqlite_path"], _BUSY_MS)) as target:
            if not _return_path.is_fenced(target, stores.plan, names):
                if self._goes_on:
                    # A return path that is begun again after somebody went back is no wish to merge.
                    self.outcome.stopped_by = FENCE_DOWN
                else:
                    with profile_lock(stores.connection, stores.profile.source_id):
                        self._merge(stores, names)
                return
            self._refuse_gaps(stores, names)
            while True:
                pending = self._pending(stores, names)
                say = self._tell(pending)
                with profile_lock(stores.connection, stores.profile.source_id):
                    drained = _return_path.drain(
                        stores.connection, target, stores.plan, names, stores.profile.source_id, say=say
                    )
                self._progress.end()
                self.outcome.replayed += drained.replayed
                self._note(self._pending(stores, names))
                if not drained.fenced:
                    self.outcome.stopped_by = FENCE_DOWN
                    return
                if not self._goes_on:
                    self.outcome.stopped_by = "drained"
                    return
                if self._must_stop():
                    return

    @property
    def _goes_on(self) -> bool:
        return bool(self._params["hold_file"] or self._params["duration"])

    def _refuse_gaps(self, stores: Stores, names: OnlineNames) -> None:
        missing = _capture_postgres.look(stores.connection, stores.plan, names)
        stores.connection.rollback()
        if missing != ():
            raise CaptureError(
                f"Changes of profile {stores.profile.source_id!r} are not all captured in PostgreSQL",
                "; ".join(missing) if missing else "nothing is captured there",
                "Nothing was replayed. What is not in the log would be lost by going back: see tenant_switch_info.",
                missing=list(missing or ()),
            )

    def _pending(self, stores: Stores, names: OnlineNames) -> Pending:
        with _return_path.at_one_instant(stores.connection):
            return _change_log.postgres_pending(stores.connection, stores.plan, names)

    def _merge(self, stores: Stores, names: OnlineNames) -> None:
        tenant = _online_journal.read(stores.connection, names.schema_name)
        with contextlib.closing(open_writable(self._params["sqlite_path"], _BUSY_MS)) as target:
            tables = [table.source for table in stores.plan.tables]
            catalog = _sqlite_store.read_catalog(target)
            if _fence_sqlite.state(target, catalog, tables, names) != _fence_sqlite.DOWN:
                raise ReplayError(
                    f"The fence of profile {stores.profile.source_id!r} in SQLite is half there",
                    "some of its tables are fenced and others are not",
                    "Nothing was changed. Repair it first (status.yml -e repair=true).",
                )
            since = self._since(stores, target, catalog, names, tenant)
            merged = _merge.merge(
                stores.connection,
                target,
                stores.plan,
                names,
                stores.profile.source_id,
                strategy=self._params["conflict"],
                timestamp_column=self._params["timestamp_column"],
                since=since,
            )
        self.outcome.replayed += merged.replayed
        self.outcome.conflicts = merged.conflicts
        self._leave(merged.left)
        self._note(self._pending(stores, names))
        self.outcome.stopped_by = "merged" if self._params["conflict"] != _merge.REPORT else "reported"

    def _since(
        self,
        stores: Stores,
        target: t.Any,
        catalog: _sqlite_store.Catalog,
        names: OnlineNames,
        tenant: _online_journal.Tenant | None,
    ) -> int | None:
        """Return the last entry of SQLite's log from before the switch, None where it does not log every change."""
        tables = [table.source for table in stores.plan.tables]
        tenant_column = self._params["tenant_column"] or None
        found = _capture_sqlite.look(target, catalog, tables, names, stores.profile.source_id, tenant_column)
        if not found.complete:
            return None
        return tenant.position if tenant is not None and tenant.capture_id == found.capture_id else 0

    def _leave(self, left: t.Sequence[Left]) -> None:
        self.outcome.left = [one.as_dict() for one in left[:MOST_LISTED]]
        self.outcome.left_rows = len(left)

    def _export(self, stores: Stores, names: OnlineNames) -> None:
        wanted = self._params["export"]
        if wanted and not self._check and not self.outcome.exported:
            self.outcome.exported = _delta_export.export(
                stores.connection, stores.plan, names, wanted["path"], wanted["format"], wanted["since"]
            )


def _shown(stores: Stores, table: str, key: Key) -> str:
    return shown(next(one for one in stores.plan.tables if one.source == table), key)
