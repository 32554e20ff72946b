# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is counted, in bounded memory, and the same whichever way the requests are divided."""

from __future__ import annotations

import json
import pickle
from typing import Any

import pytest
from ansible_collections.sxops.pg_cutover.plugins.module_utils._latency_histogram import RELATIVE_ERROR
from ansible_collections.sxops.pg_cutover.plugins.module_utils._request_fields import Request
from ansible_collections.sxops.pg_cutover.plugins.module_utils._request_tally import MOST_KEPT, OTHER, RequestTally
from hypothesis import given, settings
from hypothesis import strategies as st

REQUESTS = st.tuples(
    st.none() | st.floats(0, 4e9),
    st.sampled_from([200, 201, 302, 400, 404, 499, 500, 503, 599]),
    st.sampled_from(["/a", "/b", "/c"]),
    st.none() | st.floats(0, 1e5),
    st.sampled_from([None, "E_ONE", "E_TWO"]),
)
LISTS = st.lists(REQUESTS, max_size=30)


def tally(requests: list[Request]) -> RequestTally:
    counted = RequestTally()
    for request in requests:
        counted.add(request)
    return counted


def merged(*tallies: RequestTally) -> dict[str, Any]:
    together = RequestTally()
    for one in tallies:
        together.merge(one)
    return together.as_dict()


def test_figures() -> None:
    counted = tally(
        [
            (1764254400.0, 200, "/items", 10.0, None),
            (1764254401.5, 404, "/items", 20.0, "HTTP_404"),
            (1764254399.0, 500, "/stats", None, "DB_DOWN"),
            (None, 200, "/items", 30.0, None),
        ]
    )
    median, slowest = pytest.approx(20.0, rel=RELATIVE_ERROR), pytest.approx(30.0, rel=RELATIVE_ERROR)
    assert counted.as_dict() == {
        "requests": 4,
        "errors_4xx": 1,
        "errors_5xx": 1,
        "error_percent": 25.0,
        "latency_ms": {"p50": median, "p95": slowest, "p99": slowest},
        "by_route": [
            {"route": "/items", "requests": 3, "errors_4xx": 1, "errors_5xx": 0, "p95_ms": slowest},
            {"route": "/stats", "requests": 1, "errors_4xx": 0, "errors_5xx": 1, "p95_ms": None},
        ],
        "by_error_code": [{"error_code": "DB_DOWN", "count": 1}, {"error_code": "HTTP_404", "count": 1}],
        "malformed": 0,
        "without_time": 0,
        "first": "2025-11-27T14:39:59.000Z",
        "last": "2025-11-27T14:40:01.500Z",
    }


def test_no_requests_have_no_shares() -> None:
    empty = RequestTally().as_dict()
    assert empty["error_percent"] is None
    assert empty["latency_ms"] == {"p50": None, "p95": None, "p99": None}
    assert (empty["first"], empty["last"], empty["by_route"]) == (None, None, [])


@given(LISTS, LISTS, LISTS)
def test_merging_is_associative_and_the_same_as_counting_together(
    one: list[Request], two: list[Request], three: list[Request]
) -> None:
    first, second, third = tally(one), tally(two), tally(three)
    left, right = RequestTally(), RequestTally()
    left.merge(first)
    left.merge(second)
    right.merge(second)
    right.merge(third)
    together = tally(one + two + three).as_dict()
    assert merged(left, third) == merged(first, right) == merged(third, second, first) == together


@settings(max_examples=30)
@given(st.lists(st.tuples(st.integers(0, 5000), st.sampled_from([200, 404, 500])), max_size=50), st.integers(0, 2000))
def test_bounded_however_many_routes_there_are_and_nothing_is_lost(rare: list[tuple[int, int]], flood: int) -> None:
    requests: list[Request] = [(None, status, f"/rare/{number}", 1.0, f"E{number}") for number, status in rare]
    requests += [(None, 404, f"/{number}", 2.0, f"C{number}") for number in range(flood)]
    requests += [(None, 500, "/busy", 3.0, "BUSY")] * 2
    counted = tally(requests)
    assert len(counted._routes) <= 2 * MOST_KEPT + 2
    assert len(counted._codes) <= 2 * MOST_KEPT + 2
    figures = counted.as_dict(top=5)
    assert figures["requests"] == len(requests)
    assert len(figures["by_route"]) <= 6
    assert sum(entry["requests"] for entry in figures["by_route"]) == len(requests)
    assert sum(entry["errors_5xx"] for entry in figures["by_route"]) == counted.errors_5xx
    assert sum(entry["count"] for entry in figures["by_error_code"]) == len(requests)


def test_a_frequent_route_survives_a_flood_of_others() -> None:
    requests: list[Request] = []
    for number in range(5000):
        requests += [(None, 200, "/busy", 1.0, None), (None, 404, f"/{number}", 1.0, None)]
    routes = tally(requests).as_dict(top=1)["by_route"]
    assert [(entry["route"], entry["requests"]) for entry in routes] == [("/busy", 5000), (OTHER, 5000)]


def test_survives_being_sent_to_another_process() -> None:
    counted = tally([(1.0, 500, "/a", 2.0, "E")])
    assert pickle.loads(pickle.dumps(counted)).as_dict() == counted.as_dict()


def test_what_cannot_be_shown_is_replaced() -> None:
    figures = tally([(None, 500, "/a\x1b[31m\ud800", 1.0, "\x00")]).as_dict()
    json.dumps(figures, ensure_ascii=False).encode()
    assert figures["by_route"][0]["route"] == "/a�[31m�"
