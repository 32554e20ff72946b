# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""The triggers that look at the instances: do they start, and how many do not answer (seed 002 §2.1). Pure."""

from __future__ import annotations

import functools
import typing as t

from ._trigger import IMMEDIATE, Kind, Trigger, exact, figure
from ._trigger_limits import Limits
from ._trigger_timeline import Held, Look, holding
from ._watch_sample import Sample

STARTUP = Kind("startup", IMMEDIATE, "seed 002 §2.1", "s")
INSTANCES = Kind("instances", IMMEDIATE, "seed 002 §2.1", "%")
_NOBODY = "no instance was asked"


def startup(looks: t.Sequence[Look], limits: Limits) -> Trigger:
    """Fires when an instance has not been ready for longer than C(startup_timeout)."""
    measured: dict[str, t.Any] = {"threshold": limits.startup_timeout, "needed_s": limits.startup_timeout}
    names = sorted({name for look in looks for name in look.sample.ready})
    if not names:
        return STARTUP.not_verified(_NOBODY, **measured)
    down: dict[str, Held] = {}
    for name in names:
        held = holding(looks, functools.partial(_not_ready, name))
        if held:
            down[name] = held
    if not down:
        return STARTUP.passed(f"{_instances(len(names))} ready", observed=0.0, **measured)
    name, worst = max(down.items(), key=lambda item: item[1].seconds)
    measured.update(observed=worst.seconds, held_s=worst.seconds, since=worst.since.sample.time)
    said = f"{name} has not been ready for {worst.seconds:g} s{_said(worst.until.sample, name)}"
    if worst.seconds > limits.startup_timeout:
        return STARTUP.fires(f"{said}, more than {limits.startup_timeout:g} s", **measured)
    return STARTUP.passed(f"{said}, of {limits.startup_timeout:g} s that it may take", **measured)


def instances(looks: t.Sequence[Look], limits: Limits) -> Trigger:
    """Fires when more than C(failed_instances_percent) are not ready, C(readiness_failures) looks in a row."""
    measured: dict[str, t.Any] = {"threshold": limits.failed_instances_percent}
    asked = [look.sample for look in looks if look.sample.ready]
    if not asked:
        return INSTANCES.not_verified(_NOBODY, **measured)
    last = asked[-1]
    down = sorted(name for name, ready in last.ready.items() if not ready)
    measured["observed"] = figure(100 * len(down) / len(last.ready))
    held = holding(looks, lambda sample: _too_many(sample, limits))
    said = f"{len(down)} of {_instances(len(last.ready))} not ready" + (f" ({', '.join(down)})" if down else "")
    if held is None:
        return INSTANCES.passed(said, **measured)
    measured.update(held_s=held.seconds, since=held.since.sample.time)
    said += f", more than {limits.failed_instances_percent:g} % in {_looks(held.looks)}{_said(last, down[0])}"
    if held.looks >= limits.readiness_failures:
        return INSTANCES.fires(said, **measured)
    return INSTANCES.passed(f"{said}; {limits.readiness_failures} in a row are needed", **measured)


def _not_ready(name: str, sample: Sample) -> bool | None:
    return None if name not in sample.ready else not sample.ready[name]


def _too_many(sample: Sample, limits: Limits) -> bool | None:
    if not sample.ready:
        return None
    down = sum(not ready for ready in sample.ready.values())
    return 100 * down > exact(limits.failed_instances_percent) * len(sample.ready)


def _said(sample: Sample, name: str) -> str:
    failure = sample.ready_failures.get(name)
    return f" ({failure})" if failure else ""


def _instances(number: int) -> str:
    return "1 instance" if number == 1 else f"{number} instances"


def _looks(number: int) -> str:
    return "1 look" if number == 1 else f"{number} looks in a row"
