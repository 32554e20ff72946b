# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""How many requests, how many of them failed and how long they took, over a span and by route, in bounded memory."""

from __future__ import annotations

import heapq
import typing as t

from ._latency_histogram import LatencyHistogram
from ._request_time import shown

if t.TYPE_CHECKING:
    from ._request_fields import Request

# So many routes and error codes are told apart at the most. A client can ask for any number of paths: where there are
# twice as many, the rarer half is put together under L(OTHER).
MOST_KEPT = 200
OTHER = "(other)"


class _Route:
    """What is counted of one route."""

    __slots__ = ("errors_4xx", "errors_5xx", "latency", "requests")

    def __init__(self) -> None:
        self.requests = 0
        self.errors_4xx = 0
        self.errors_5xx = 0
        self.latency = LatencyHistogram()

    def merge(self, other: _Route) -> None:
        self.requests += other.requests
        self.errors_4xx += other.errors_4xx
        self.errors_5xx += other.errors_5xx
        self.latency.merge(other.latency)


class RequestTally:
    """The figures of requests, which can be added up over files, processes and spans of time.

    Attributes:
        malformed: How many lines were none of their format.
        without_time: How many lines had no time where a span of time was asked for; they are counted nowhere else.
        excluded: How many lines were left out for their request id.
        first: The earliest time of a request, in seconds since 1970.
        last: The latest.
    """

    def __init__(self) -> None:
        self.malformed = 0
        self.without_time = 0
        self.excluded = 0
        self.first: float | None = None
        self.last: float | None = None
        self._routes: dict[str, _Route] = {}
        self._codes: dict[str, int] = {}

    def add(self, request: Request) -> None:
        """Count a request."""
        moment, status, name, latency, code = request
        route = self._routes.get(name)
        if route is None:
            route = self._new_route(name)
        route.requests += 1
        if latency is not None:
            route.latency.add(latency)
        if status >= 400:
            if status >= 500:
                route.errors_5xx += 1
            else:
                route.errors_4xx += 1
        if code is not None:
            self._count_code(code, 1)
        if moment is not None:
            if self.first is None or moment < self.first:
                self.first = moment
            if self.last is None or moment > self.last:
                self.last = moment

    def merge(self, other: RequestTally) -> None:
        """Count all that the other one has counted."""
        self.malformed += other.malformed
        self.without_time += other.without_time
        self.excluded += other.excluded
        self.first = _or_none(min, self.first, other.first)
        self.last = _or_none(max, self.last, other.last)
        for name, route in other._routes.items():
            (self._routes.get(name) or self._new_route(name)).merge(route)
        for code, count in other._codes.items():
            self._count_code(code, count)

    @property
    def requests(self) -> int:
        """How many requests were counted."""
        return sum(route.requests for route in self._routes.values())

    @property
    def errors_4xx(self) -> int:
        """How many of them were answered 400 to 499."""
        return sum(route.errors_4xx for route in self._routes.values())

    @property
    def errors_5xx(self) -> int:
        """How many of them were answered 500 to 599."""
        return sum(route.errors_5xx for route in self._routes.values())

    @property
    def error_percent(self) -> float | None:
        """How many of a hundred were answered 500 to 599; None without requests."""
        requests = self.requests
        return round(self.errors_5xx * 100 / requests, 4) if requests else None

    def latency(self) -> LatencyHistogram:
        """Return the latencies of all routes together."""
        everything = LatencyHistogram()
        for route in self._routes.values():
            everything.merge(route.latency)
        return everything

    def as_dict(self, top: int = 20) -> dict[str, t.Any]:
        """Return the figures as results and the ledger hold them.

        Args:
            top: How many routes and error codes are named, the most frequent first; the rest is one line, L(OTHER).
        """
        latency = self.latency()
        return {
            "requests": self.requests,
            "errors_4xx": self.errors_4xx,
            "errors_5xx": self.errors_5xx,
            "error_percent": self.error_percent,
            "latency_ms": {f"p{percent}": _rounded(latency.percentile(percent)) for percent in (50, 95, 99)},
            "by_route": [_route_shown(name, route) for name, route in self._top_routes(top)],
            "by_error_code": [{"error_code": _printable(code), "count": n} for code, n in self._top_codes(top)],
            "malformed": self.malformed,
            "without_time": self.without_time,
            "first": shown(self.first),
            "last": shown(self.last),
        }

    def _top_routes(self, top: int) -> list[tuple[str, _Route]]:
        named = [(name, route) for name, route in self._routes.items() if name != OTHER]
        named.sort(key=lambda pair: (-pair[1].requests, pair[0]))
        rest = _Route()
        for _name, route in named[top:]:
            rest.merge(route)
        if OTHER in self._routes:
            rest.merge(self._routes[OTHER])
        return named[:top] + ([(OTHER, rest)] if rest.requests else [])

    def _top_codes(self, top: int) -> list[tuple[str, int]]:
        named = [(code, count) for code, count in self._codes.items() if code != OTHER]
        named.sort(key=lambda pair: (-pair[1], pair[0]))
        rest = sum(count for _code, count in named[top:]) + self._codes.get(OTHER, 0)
        return named[:top] + ([(OTHER, rest)] if rest else [])

    def _new_route(self, name: str) -> _Route:
        if len(self._routes) > 2 * MOST_KEPT:
            keep = _most_frequent({key: route.requests for key, route in self._routes.items()})
            rest = self._routes.get(OTHER) or _Route()
            for key in [key for key in self._routes if key not in keep and key != OTHER]:
                rest.merge(self._routes.pop(key))
            self._routes[OTHER] = rest
        return self._routes.setdefault(name, _Route())

    def _count_code(self, code: str, count: int) -> None:
        if code not in self._codes and len(self._codes) > 2 * MOST_KEPT:
            keep = _most_frequent(self._codes)
            rest = self._codes.get(OTHER, 0)
            for key in [key for key in self._codes if key not in keep and key != OTHER]:
                rest += self._codes.pop(key)
            self._codes[OTHER] = rest
        self._codes[code] = self._codes.get(code, 0) + count


def _most_frequent(counts: t.Mapping[str, int]) -> set[str]:
    return set(heapq.nsmallest(MOST_KEPT, (key for key in counts if key != OTHER), key=lambda key: (-counts[key], key)))


def _route_shown(name: str, route: _Route) -> dict[str, t.Any]:
    return {
        "route": _printable(name),
        "requests": route.requests,
        "errors_4xx": route.errors_4xx,
        "errors_5xx": route.errors_5xx,
        "p95_ms": _rounded(route.latency.percentile(95)),
    }


def _printable(text: str) -> str:
    """Return text that everything can show: a log may hold halves of characters, and control characters."""
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)


def _rounded(milliseconds: float | None) -> float | None:
    return None if milliseconds is None else round(milliseconds, 3)


def _or_none(choose: t.Callable[[float, float], float], one: float | None, other: float | None) -> float | None:
    if one is None or other is None:
        return other if one is None else one
    return choose(one, other)
