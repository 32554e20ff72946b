# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Percentiles of any number of latencies in little memory, which can be added up over files and processes.

Latencies are counted in buckets whose bounds grow by a fixed factor, so that a percentile is off by at most
L(RELATIVE_ERROR) of its value however many there are (the scheme of DDSketch, https://arxiv.org/abs/1908.10693).
"""

from __future__ import annotations

import math

RELATIVE_ERROR = 0.01
# A little narrower than the promise, which rounding may not break.
_HALF_WIDTH = 0.0099
_GROWTH = (1 + _HALF_WIDTH) / (1 - _HALF_WIDTH)
_PER_LOG = 1 / math.log(_GROWTH)
_MIDDLE = 2 / (1 + _GROWTH)
# In milliseconds. What is shorter is nothing, what is longer (four months) is as long as this.
_SHORTEST = 0.001
_LONGEST = 1e10
_NOTHING = -(1 << 20)


class LatencyHistogram:
    """Latencies in milliseconds, counted; the number of buckets is bounded by the range of values, about 1500."""

    __slots__ = ("_buckets", "_greatest", "_least", "count")

    def __init__(self) -> None:
        self.count = 0
        self._buckets: dict[int, int] = {}
        self._least = math.inf
        self._greatest = -math.inf

    def add(self, latency: float) -> None:
        """Count a latency, not negative and finite."""
        if latency < self._least:
            self._least = latency
        if latency > self._greatest:
            self._greatest = latency
        bucket = math.ceil(math.log(min(latency, _LONGEST)) * _PER_LOG) if latency > _SHORTEST else _NOTHING
        self._buckets[bucket] = self._buckets.get(bucket, 0) + 1
        self.count += 1

    def merge(self, other: LatencyHistogram) -> None:
        """Count all that the other one has counted."""
        for bucket, count in other._buckets.items():
            self._buckets[bucket] = self._buckets.get(bucket, 0) + count
        self.count += other.count
        self._least = min(self._least, other._least)
        self._greatest = max(self._greatest, other._greatest)

    def percentile(self, percent: float) -> float | None:
        """Return the least latency that so many percent of all do not exceed; None where none was counted."""
        if not self.count:
            return None
        wanted = max(1, math.ceil(self.count * percent / 100))
        seen = 0
        for bucket in sorted(self._buckets):
            seen += self._buckets[bucket]
            if seen >= wanted:
                return self._value(bucket)
        return self._greatest

    def _value(self, bucket: int) -> float:
        middle = 0.0 if bucket == _NOTHING else _GROWTH**bucket * _MIDDLE
        # No percentile lies outside what was seen; one latency alone is told exactly.
        return min(max(middle, self._least), self._greatest)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, LatencyHistogram) and (self._buckets, self._least, self._greatest) == (
            other._buckets,
            other._least,
            other._greatest,
        )

    __hash__ = None  # type: ignore[assignment]  # it changes
