# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Samples of a watch for tests: a healthy one, and what is changed of it."""

from __future__ import annotations

import datetime
import typing as t

from ansible_collections.sxops.pg_cutover.plugins.module_utils._trigger import Trigger
from ansible_collections.sxops.pg_cutover.plugins.module_utils._trigger_limits import Limits
from ansible_collections.sxops.pg_cutover.plugins.module_utils._triggers import evaluate
from ansible_collections.sxops.pg_cutover.plugins.module_utils._watch_sample import Sample

EVERY_S = 5
BEGAN = datetime.datetime(2026, 3, 1, 12, 0, 0)
BASELINE: dict[str, t.Any] = {
    "requests": {"requests": 1000, "error_percent": 0.5, "latency_ms": {"p50": 20.0, "p95": 80.0, "p99": 120.0}},
    "probes": {"count": 20, "errors": 0, "latency_ms": {"p50": 5.0, "p95": 40.0, "p99": 60.0}},
}
HEALTHY: dict[str, t.Any] = {
    "ready": {"api-1": True, "api-2": True},
    "probe_ms": {"api-1": 12.0, "api-2": 14.0},
    "probes": 2,
    "requests": 100,
    "errors_4xx": 3,
    "errors_5xx": 0,
    "latency_p50_ms": 20.0,
    "latency_p95_ms": 80.0,
    "postgres_ok": True,
    "connections_used": 10,
    "connections_limit": 100,
    "pending": 0,
    "lag_s": 0.0,
    "data": {"checked": 8, "failed": []},
    "leakage": {"checked": 2, "failed": []},
    "migration": {"checked": 3, "failed": []},
}


def stamp(seconds: float) -> str:
    return (BEGAN + datetime.timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def look(at: float, run: float = 0.0, **changes: t.Any) -> Sample:
    """A healthy sample so many seconds after the beginning, with some changes."""
    return Sample(stamp(at), at - run, stamp(run), **{**HEALTHY, **changes})


def looks(number: int, begin: float = 0.0, run: float = 0.0, every: float = EVERY_S, **changes: t.Any) -> list[Sample]:
    """So many samples one after the other."""
    return [look(begin + place * every, run, **changes) for place in range(number)]


def held(seconds: float, begin: float = 0.0, **changes: t.Any) -> list[Sample]:
    """Samples of a trouble that is seen for so many seconds, from the first look to the last."""
    return looks(int(seconds // EVERY_S) + 1, begin, **changes)


def verdict(name: str, samples: t.Sequence[Sample], baseline: t.Any = "usual", **limits: t.Any) -> Trigger:
    """The trigger of that name, against the usual baseline where no other is given."""
    known = BASELINE if baseline == "usual" else baseline
    (found,) = [trigger for trigger in evaluate(samples, known, Limits(**limits)) if trigger.name == name]
    return found
