# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.


"""One call of the module tenant_replay, over and over again: what it endures, what it waits for, and when it ends."""

from __future__ import annotations

import contextlib
import dataclasses
import pathlib
import time
import typing as t

from . import _fence_sqlite, _merge, _sqlite_store
from ._errors import BadInput, CutoverError, LockHeld, PostgresError, SqliteError
from ._online_names import OnlineNames
from ._psycopg2 import psycopg2
from ._replayed import Replayed
from ._tenant_stores import Stores, open_stores

if t.TYPE_CHECKING:
    from ._change_log import Pending
    from ._progress import Progress

TO_POSTGRES, TO_SQLITE = "to_postgres", "to_sqlite"
FENCE_DOWN = "fence_down"
MOST_LISTED = 10_000
_HOLD_PAUSE = 0.5


@dataclasses.dataclass
class Outcome:
    """What is returned: see the module."""

    replayed: Replayed = dataclasses.field(default_factory=Replayed)
    pending: int = 0
    lag_seconds: float | None = None
    conflicts: list[_merge.Conflict] = dataclasses.field(default_factory=list)
    left: list[dict[str, t.Any]] = dataclasses.field(default_factory=list)
    left_rows: int = 0
    exported: list[dict[str, t.Any]] = dataclasses.field(default_factory=list)
    passes: int = 0
    stopped_by: str = ""

    def as_dict(self) -> dict[str, t.Any]:
        """Return it as the result of the module."""
        return {
            "replayed": self.replayed.upserted,
            "deleted": self.replayed.deleted,
            "pending": self.pending,
            "lag_seconds": self.lag_seconds,
            "tables": [{"table": name, **counts} for name, counts in self.replayed.tables.items()],
            "conflicts": [one.as_dict() for one in self.conflicts],
            "left": self.left[:MOST_LISTED],
            "left_rows": self.left_rows,
            "exported": self.exported,
            "passes": self.passes,
            "stopped_by": self.stopped_by,
        }


class ReplayLoop:
    """One call of the module; what a pass is, and when there is none any more, is said by L(_replaying).

    Args:
        params: The options.
        check: Whether only to tell what would be done.
        progress: Is told of every pass.
    """

    def __init__(self, params: t.Mapping[str, t.Any], check: bool, progress: Progress) -> None:
        self._params = params
        self._check = check
        self._progress = progress
        self._started = time.monotonic()
        self._last: tuple[Stores, OnlineNames] | None = None
        self.outcome = Outcome()

    def run(self) -> Outcome:
        """Do it.

        Raises:
            CutoverError: It cannot be done, or not all of it.
        """
        self._check_options()
        while True:
            try:
                with open_stores(self._params) as stores:
                    if self._params["direction"] == TO_POSTGRES:  # a table too many keeps nobody from going back
                        stores.plan.refuse()
                    names = OnlineNames(stores.profile.schema_name)
                    self._last = stores, names
                    self._run(stores, names)
                    return self.outcome
            except (PostgresError, SqliteError, LockHeld) as error:
                if not self._endures(error):
                    raise
            # What could not be read is not caught up with: into PostgreSQL it goes on, or fails next time.
            if self._params["direction"] == TO_POSTGRES:
                time.sleep(self._pause)
            elif self._must_stop():
                self.outcome.stopped_by = "postgres_gone" if self.outcome.stopped_by != FENCE_DOWN else FENCE_DOWN
                return self.outcome

    def _check_options(self) -> None:
        if self._params["conflict"] == _merge.LAST_WRITE and not self._params["timestamp_column"]:
            raise BadInput("conflict last_write_wins needs timestamp_column")
        if bool(self._params["snapshot_path"]) != bool(self._params["snapshot_sha256"]):
            raise BadInput("snapshot_path and snapshot_sha256 belong together")

    def _run(self, stores: Stores, names: OnlineNames) -> None:
        raise NotImplementedError

    # Going on

    def _endures(self, error: CutoverError) -> bool:
        """Whether what failed may be gone in a moment, and there is time to wait for that."""
        if self._last is None or self._check or not (self._held or self._params["duration"]):
            return False
        if isinstance(error, LockHeld):
            return True
        if isinstance(error, SqliteError):
            return bool(error.facts.get("locked"))
        gone = (psycopg2.OperationalError, psycopg2.InterfaceError)
        return error.facts.get("reason") == "unreachable" or isinstance(error.__cause__, gone)

    @property
    def _held(self) -> bool:
        return bool(self._params["hold_file"]) and pathlib.Path(self._params["hold_file"]).exists()

    @property
    def _pause(self) -> float:
        """How long to wait for the next pass, in seconds; whoever lets go of the hold does not want to wait."""
        return float(min(self._params["interval"], _HOLD_PAUSE) if self._held else self._params["interval"])

    @property
    def _spent(self) -> float:
        return time.monotonic() - self._started

    def _must_stop(self) -> bool:
        """Wait for the next pass; return whether there is none, and say why."""
        if self._held:
            time.sleep(self._pause)
        elif self._params["duration"] and self._spent < self._params["duration"]:
            time.sleep(min(self._params["interval"], max(self._params["duration"] - self._spent, 0)))
        else:
            self.outcome.stopped_by = "hold_released" if self._params["hold_file"] else "duration"
            return True
        if self._params["direction"] == TO_SQLITE and self._last is not None and not self._is_fenced(*self._last):
            self.outcome.stopped_by = FENCE_DOWN
            return True
        return False

    def _is_fenced(self, stores: Stores, names: OnlineNames) -> bool:
        # Also while PostgreSQL is gone: whoever goes back meanwhile is not to find another writer.
        with contextlib.closing(_sqlite_store.open_readonly(self._params["sqlite_path"])) as source:
            tables = [table.source for table in stores.plan.tables]
            return _fence_sqlite.state(source, _sqlite_store.read_catalog(source), tables, names) == _fence_sqlite.UP

    def _tell(self, pending: Pending) -> t.Callable[[str, int, int], None]:
        self.outcome.passes += 1
        lag = f", oldest {pending.oldest_s:.1f} s" if pending.oldest_s is not None else ""
        self._progress.begin("replay", f"pass {self.outcome.passes} ({pending.count} keys{lag})", pending.count)
        told: dict[str, int] = {}

        def say(table: str, done: int, _rows: int) -> None:
            self._progress.advance(done - told.get(table, 0))
            told[table] = done

        return say

    def _note(self, pending: Pending) -> None:
        self.outcome.pending = pending.count
        self.outcome.lag_seconds = None if pending.oldest_s is None else round(pending.oldest_s, 3)
