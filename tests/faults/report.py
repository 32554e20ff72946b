# SPDX-License-Identifier: GPL-3.0-or-later
"""The figures of a run: how many writes, how long none was acknowledged, how long an answer took."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

from .ledger import Event, Outcome

WHOLE_RUN = (-math.inf, math.inf)
Window = tuple[float, float]
_MOST_REASONS = 5


def percentile(values: Sequence[float], percent: float) -> float:
    """Return the smallest value that at least so many percent of the values do not exceed."""
    ordered = sorted(values)
    return ordered[max(math.ceil(percent / 100 * len(ordered)), 1) - 1]


def percentiles(values: Sequence[float]) -> dict[str, float] | None:
    """Return p50, p95, p99 and the greatest value, None of no values."""
    if not values:
        return None
    return {"p50": percentile(values, 50), "p95": percentile(values, 95), "p99": percentile(values, 99)} | {
        "max": max(values)
    }


@dataclass(frozen=True)
class ProfileReport:
    """What happened to one profile.

    Attributes:
        acknowledged: Writes answered by 200.
        refused: Writes answered otherwise, or not sent as nobody listened.
        unanswered: Writes whose connection was lost.
        reads: Reads answered by 200 with the item that was asked for.
        failed_reads: All others.
        longest_gap_s: The longest time between two acknowledged writes that follow each other; None of fewer than two.
        refused_to_acknowledged_s: From the first write that was not acknowledged to the next that was; None when all
            were, or none was after it.
        write_latency_s: p50, p95, p99 and max of the acknowledged writes.
        read_latency_s: The same of the good reads.
        reasons: Why writes and reads failed, the most frequent ones with their numbers.
    """

    acknowledged: int
    refused: int
    unanswered: int
    reads: int
    failed_reads: int
    longest_gap_s: float | None
    refused_to_acknowledged_s: float | None
    write_latency_s: dict[str, float] | None
    read_latency_s: dict[str, float] | None
    reasons: dict[str, int]


@dataclass(frozen=True)
class Report:
    """What happened to each profile."""

    profiles: dict[str, ProfileReport]

    @property
    def acknowledged(self) -> int:
        """Acknowledged writes of all profiles."""
        return sum(each.acknowledged for each in self.profiles.values())

    def as_dict(self) -> dict[str, Any]:
        """Return it as it is written to JSON."""
        return {name: asdict(each) for name, each in self.profiles.items()}


def make_report(events: Iterable[Event], profiles: Sequence[str], window: Window = WHOLE_RUN) -> Report:
    """Return the figures of what ended inside a window, which is one in seconds of the monotonic clock."""
    by_profile: dict[str, list[Event]] = {profile: [] for profile in profiles}
    for event in events:
        by_profile[event.key.profile].append(event)
    return Report({name: _profile(events, window) for name, events in by_profile.items()})


def write_outage(events: Iterable[Event], profile: str, window: Window) -> float | None:
    """Return the longest time without an acknowledged write that lies in a window or reaches into it.

    The last acknowledged write before the window and the first one after it are its ends: a switch that begins just
    after one and ends just before the next has not gone by in no time. None when there are not two such writes.
    """
    times = sorted(
        event.ended
        for event in events
        if event.is_write and event.outcome is Outcome.ACKNOWLEDGED and event.key.profile == profile
    )
    gaps = [then - now for now, then in pairwise(times) if then >= window[0] and now <= window[1]]
    return max(gaps, default=None)


def _profile(events: Sequence[Event], window: Window) -> ProfileReport:
    inside = [event for event in events if window[0] <= event.ended <= window[1]]
    writes = [event for event in inside if event.is_write]
    reads = [event for event in inside if not event.is_write]
    good = [event for event in writes if event.outcome is Outcome.ACKNOWLEDGED]
    good_reads = [event for event in reads if event.outcome is Outcome.ACKNOWLEDGED]
    bad = [event for event in inside if event.outcome is not Outcome.ACKNOWLEDGED]
    reasons = Counter(f"{'write' if event.is_write else 'read'}: {event.reason}" for event in bad)
    return ProfileReport(
        acknowledged=len(good),
        refused=sum(event.outcome is Outcome.REFUSED for event in writes),
        unanswered=sum(event.outcome is Outcome.UNANSWERED for event in writes),
        reads=len(good_reads),
        failed_reads=len(reads) - len(good_reads),
        longest_gap_s=write_outage(events, events[0].key.profile, window) if events else None,
        refused_to_acknowledged_s=_refused_to_acknowledged(writes),
        write_latency_s=percentiles([event.ended - event.sent for event in good]),
        read_latency_s=percentiles([event.ended - event.sent for event in good_reads]),
        reasons=dict(reasons.most_common(_MOST_REASONS)),
    )


def _refused_to_acknowledged(writes: Sequence[Event]) -> float | None:
    refused = min((e.ended for e in writes if e.outcome is not Outcome.ACKNOWLEDGED), default=None)
    if refused is None:
        return None
    # One that was sent earlier may be answered later, from before the outage.
    later = [e.ended for e in writes if e.outcome is Outcome.ACKNOWLEDGED and e.sent >= refused]
    return min(later) - refused if later else None
