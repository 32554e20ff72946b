# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""What a switch did, step by step."""

from __future__ import annotations

import dataclasses
import time
import typing as t

if t.TYPE_CHECKING:
    from ._switch_stores import SwitchStores
    from ._verdict import Check


class Moved(t.Protocol):
    """What a replay tells of itself: how many rows it wrote and deleted."""

    upserted: int
    deleted: int


@dataclasses.dataclass
class Outcome:
    """What happened; times in milliseconds.

    Attributes:
        changed: Whether either store was changed.
        attempts: How often the lock was asked for.
        fence_wait_ms: How long the last of them waited for it.
        lock_hold_ms: How long SQLite's write lock was held.
        locked_at: When the lock was taken that kept every writer out (UTC, by this host's clock); empty before.
        pending_before: How many changed keys waited when it was taken.
        replayed: How many rows were brought over, the deleted ones among them.
        checks: What was looked at.
        undone: Why the switch was undone; empty where it was not.
        steps: The steps that were done, and when, since the switch began.
        not_replayed: How many changed keys stay in PostgreSQL alone on the way back; None where nobody could look.
    """

    changed: bool = False
    attempts: int = 0
    fence_wait_ms: int = 0
    lock_hold_ms: float = 0.0
    locked_at: str = ""
    pending_before: int = 0
    replayed: int = 0
    checks: list[Check] = dataclasses.field(default_factory=list)
    undone: str = ""
    steps: list[dict[str, t.Any]] = dataclasses.field(default_factory=list)
    not_replayed: int | None = 0
    begun: float = dataclasses.field(default_factory=time.monotonic)

    def step(self, stores: SwitchStores, name: str) -> None:
        """Note that a step is done, and let whoever listens know."""
        at_ms = round((time.monotonic() - self.begun) * 1000, 1)
        self.steps.append({"number": len(self.steps) + 1, "name": name, "at_ms": at_ms})
        stores.passed(name)

    def add(self, moved: Moved) -> None:
        """Count rows that were brought over."""
        self.replayed += moved.upserted + moved.deleted

    def as_dict(self) -> dict[str, t.Any]:
        """Return it as a module's result."""
        return {
            "changed": self.changed,
            "attempts": self.attempts,
            "fence_wait_ms": self.fence_wait_ms,
            "lock_hold_ms": self.lock_hold_ms,
            "locked_at": self.locked_at,
            "pending_before": self.pending_before,
            "replayed": self.replayed,
            "not_replayed": self.not_replayed,
            "checks": [check.as_dict() for check in self.checks],
            "undone": self.undone,
            "steps": self.steps,
        }
