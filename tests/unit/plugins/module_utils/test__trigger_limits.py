# SPDX-License-Identifier: GPL-3.0-or-later
"""The thresholds of the watch: the seeds' numbers, and what an inventory may say instead."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.sxops.pg_cutover.plugins.module_utils._errors import BadInput
from ansible_collections.sxops.pg_cutover.plugins.module_utils._trigger_limits import Limits, limits_of


@pytest.mark.parametrize("given", [None, {}, {"startup_timeout": None}])
def test_the_numbers_of_the_runbooks_are_the_defaults(given: dict[str, t.Any] | None) -> None:
    assert limits_of(given) == Limits()
    assert Limits().as_dict() == {
        "startup_timeout": 300,
        "failed_instances_percent": 20,
        "readiness_failures": 3,
        "error_ratio": 2.0,
        "error_ratio_duration": 600,
        "error_percent": 1.0,
        "error_percent_duration": 300,
        "error_floor_percent": 0.1,
        "min_requests": 20,
        "latency_ratio_immediate": 10.0,
        "latency_ratio_scheduled": 2.0,
        "latency_duration": 60,
        "latency_floor_ms": 100,
        "connection_timeout": 300,
        "pool_percent": 90,
        "pool_duration": 60,
    }


def test_numbers_written_as_text_are_numbers() -> None:
    limits = limits_of({"error_percent": "0.5", "min_requests": "5"})
    assert (limits.error_percent, limits.min_requests) == (0.5, 5)


@pytest.mark.parametrize(
    ("given", "word"),
    [
        ({"error_percents": 1}, "error_percents"),
        ({"error_percent": "much"}, "much"),
        ({"error_percent": True}, "True"),
        ({"error_percent": -1}, "0 or more"),
        ({"error_percent": float("nan")}, "0 or more"),
        ({"error_percent": float("inf")}, "0 or more"),
        ({"min_requests": 2.5}, "whole number"),
        ({"min_requests": 0}, "1 or more"),
        ({"readiness_failures": 0}, "1 or more"),
        ({"readiness_failures": "inf"}, "whole number"),
        ({"pool_percent": [90]}, "number"),
        ({"latency_ratio_scheduled": 11}, "latency_ratio_immediate"),
    ],
)
def test_what_is_no_threshold_is_refused(given: dict[str, t.Any], word: str) -> None:
    with pytest.raises(BadInput, match=word):
        limits_of(given)
