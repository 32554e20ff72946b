# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Every trigger of the watch, evaluated over its samples at the instant of the last one. Pure."""

from __future__ import annotations

import typing as t

from ._trigger import Trigger
from ._trigger_limits import Limits
from ._trigger_timeline import unbroken
from ._triggers_instances import instances, startup
from ._triggers_rates import error_percent, error_ratio, latency_immediate, latency_scheduled
from ._triggers_stores import connection, data_mismatch, leakage, migration, pool
from ._watch_sample import Sample


def evaluate(
    samples: t.Sequence[Sample], baseline: t.Mapping[str, t.Any] | None, limits: Limits | None = None
) -> list[Trigger]:
    """Return every trigger, those of an immediate rollback and of a scheduled one (seed 002 §2, seed 003).

    Args:
        samples: In the order in which they were taken. Only those since the last gap count.
        baseline: What the application was like on SQLite (C(baseline_info)); None when nobody knows.
        limits: The thresholds.
    """
    looks = unbroken(samples)
    bounds = limits or Limits()
    known = baseline or {}
    return [
        startup(looks, bounds),
        instances(looks, bounds),
        migration(looks),
        error_ratio(looks, known, bounds),
        error_percent(looks, bounds),
        latency_immediate(looks, known, bounds),
        latency_scheduled(looks, known, bounds),
        connection(looks, bounds),
        pool(looks, bounds),
        data_mismatch(looks),
        leakage(looks),
    ]


def fired(triggers: t.Iterable[Trigger]) -> list[Trigger]:
    """Return those that fire, the immediate ones first."""
    return sorted((trigger for trigger in triggers if trigger.firing), key=lambda trigger: trigger.severity)
