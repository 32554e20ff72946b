# SPDX-License-Identifier: GPL-3.0-or-later
"""What was asked of the application and what became of it, and the values that must be in the live store for it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple


class Outcome(Enum):
    """What became of a request."""

    ACKNOWLEDGED = "acknowledged"  # answered by 200
    REFUSED = "refused"  # answered by something else, or never sent: it must not have been done
    UNANSWERED = "unanswered"  # sent, and the connection was lost: it may have been done or not


class Key(NamedTuple):
    """One value of the application that one client alone writes."""

    profile: str
    item: str
    field: str


@dataclass(frozen=True, slots=True)
class Event:
    """One request.

    Attributes:
        key: What it was about.
        value: What was written, None for a read.
        sent: When it was sent, in seconds of the monotonic clock.
        ended: When its answer came, or it was clear that none would.
        outcome: What became of it.
        reason: The status or the error, for those that read it.
    """

    key: Key
    value: str | None
    sent: float
    ended: float
    outcome: Outcome
    reason: str = ""

    @property
    def is_write(self) -> bool:
        """Whether it was a write."""
        return self.value is not None


@dataclass
class Expected:
    """What the live store may hold for one key.

    Attributes:
        acknowledged: The last acknowledged value, None when there was none yet.
        maybe: Values sent after it that were never answered, oldest first.
        refused: The values sent after it that were refused.
    """

    acknowledged: str | None = None
    maybe: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)

    def note(self, event: Event) -> None:
        """Take one write into account; those of one key come in the order in which they were sent."""
        assert event.value is not None
        if event.outcome is Outcome.ACKNOWLEDGED:
            self.acknowledged, self.maybe, self.refused = event.value, [], []
        elif event.outcome is Outcome.UNANSWERED:
            self.maybe.append(event.value)
        else:
            self.refused.append(event.value)

    def allows(self, value: str | None) -> bool:
        """Tell whether the store may hold this; without an acknowledged write it may hold what it held before."""
        return self.acknowledged is None or value == self.acknowledged or value in self.maybe


class Ledger:
    """The memory of one client; no other thread writes into it."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.expected: dict[Key, Expected] = {}

    def note(self, event: Event) -> None:
        """Remember a request."""
        if event.is_write:
            self.expected.setdefault(event.key, Expected()).note(event)
        self.events.append(event)

    def forget_events(self) -> None:
        """Let go of what happened so far; what must be in the store stays."""
        self.events = []


def merged(ledgers: Iterable[Ledger]) -> dict[Key, Expected]:
    """Return what all clients together expect.

    Raises:
        ValueError: Two of them wrote the same key, so which value is the last one cannot be told.
    """
    everything: dict[Key, Expected] = {}
    for ledger in ledgers:
        both = everything.keys() & ledger.expected.keys()
        if both:
            raise ValueError(f"written by two clients: {sorted(both)[:3]}")
        everything.update(ledger.expected)
    return everything
