# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Percentiles are as exact as they promise, and do not depend on how the latencies were divided."""

from __future__ import annotations

import math

import pytest
from ansible_collections.sxops.pg_cutover.plugins.module_utils._latency_histogram import (
    RELATIVE_ERROR,
    LatencyHistogram,
)
from hypothesis import example, given
from hypothesis import strategies as st

LATENCIES = st.floats(min_value=0.001, max_value=1e9)
LISTS = st.lists(st.floats(min_value=0, max_value=1e12), max_size=60)


def histogram(latencies: list[float]) -> LatencyHistogram:
    counted = LatencyHistogram()
    for latency in latencies:
        counted.add(latency)
    return counted


def merged(*histograms: LatencyHistogram) -> LatencyHistogram:
    together = LatencyHistogram()
    for one in histograms:
        together.merge(one)
    return together


@given(st.lists(LATENCIES, min_size=1, max_size=300), st.sampled_from([0, 1, 50, 90, 95, 99, 99.9, 100]))
@example([0.001], 50)
def test_a_percentile_is_within_the_error_of_the_exact_one(latencies: list[float], percent: float) -> None:
    exact = sorted(latencies)[max(1, math.ceil(len(latencies) * percent / 100)) - 1]
    found = histogram(latencies).percentile(percent)
    assert found is not None
    assert abs(found - exact) <= RELATIVE_ERROR * exact


@given(LISTS, LISTS, LISTS)
def test_merging_is_associative_and_commutative_and_the_same_as_counting_together(
    one: list[float], two: list[float], three: list[float]
) -> None:
    first, second, third = histogram(one), histogram(two), histogram(three)
    assert merged(merged(first, second), third) == merged(first, merged(second, third))
    assert merged(first, second) == merged(second, first)
    assert merged(first, second, third) == histogram(one + two + three)


@given(LATENCIES, st.integers(1, 5))
def test_counting_several_at_once_is_counting_each(latency: float, count: int) -> None:
    at_once = LatencyHistogram()
    at_once.add(latency, count)
    assert at_once == histogram([latency] * count)
    assert at_once.count == count


@given(LATENCIES)
def test_one_alone_is_exact(latency: float) -> None:
    assert histogram([latency]).percentile(50) == latency


def test_none_has_no_percentiles() -> None:
    assert LatencyHistogram().percentile(50) is None


def test_nothing_is_nothing_and_what_is_too_long_is_counted() -> None:
    assert histogram([0.0] * 99 + [1e14]).percentile(50) == 0
    assert histogram([1.0, 1e14]).percentile(99) == pytest.approx(1e10, rel=RELATIVE_ERROR)


def test_stays_small_whatever_is_counted() -> None:
    counted = LatencyHistogram()
    for number in range(200_000):
        counted.add(1.0002**number % 1e12)
    assert len(counted._buckets) < 1600
