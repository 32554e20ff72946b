# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""From which value on, and for how long, a trigger of the watch fires. Seconds are seconds, percent is 0 to 100."""

from __future__ import annotations

import dataclasses
import typing as t

from ._errors import BadInput


@dataclasses.dataclass(frozen=True)
class Limits:
    """The thresholds, with the seeds' numbers where they have one (seed 002 §2, seed 003 "When to rollback")."""

    startup_timeout: float = 300
    failed_instances_percent: float = 20
    readiness_failures: int = 3
    error_ratio: float = 2.0
    error_ratio_duration: float = 600
    error_percent: float = 1.0
    error_percent_duration: float = 300
    error_floor_percent: float = 0.1
    min_requests: int = 20
    latency_ratio_immediate: float = 10.0
    latency_ratio_scheduled: float = 2.0
    latency_duration: float = 60
    latency_floor_ms: float = 100
    connection_timeout: float = 300
    pool_percent: float = 90
    pool_duration: float = 60

    def as_dict(self) -> dict[str, t.Any]:
        return dataclasses.asdict(self)


def limits_of(given: t.Mapping[str, t.Any] | None) -> Limits:
    """Return the limits of the options C(triggers); what is left out or null keeps its default.

    Raises:
        BadInput: A name that is not known, or a value that is no number of its kind.
    """
    kinds = {field.name: type(field.default) for field in dataclasses.fields(Limits)}
    found: dict[str, t.Any] = {}
    for name, value in (given or {}).items():
        if name not in kinds:
            raise BadInput(f"There is no trigger option {name!r}", remedy=f"Known are {', '.join(sorted(kinds))}.")
        if value is not None:
            whole = name in ("readiness_failures", "min_requests")
            found[name] = _number(name, value, 1 if whole else 0, whole=whole)
    limits = Limits(**found)
    if limits.latency_ratio_scheduled > limits.latency_ratio_immediate:
        raise BadInput(
            f"latency_ratio_scheduled is {limits.latency_ratio_scheduled:g}",
            f"it is above latency_ratio_immediate, {limits.latency_ratio_immediate:g}",
            "What is scheduled is the smaller trouble; give it the smaller ratio.",
        )
    return limits


def _number(name: str, value: t.Any, least: int, *, whole: bool) -> t.Any:
    try:
        if isinstance(value, bool):
            raise ValueError("a truth value")
        number = float(value)
        if whole and number != int(number):
            raise ValueError("not whole")
    except (TypeError, ValueError, OverflowError) as error:
        raise BadInput(
            f"The trigger option {name} is {value!r}", f"it has to be a {'whole ' if whole else ''}number"
        ) from error
    if not least <= number < float("inf"):
        raise BadInput(f"The trigger option {name} is {value!r}", f"it has to be {least} or more")
    return int(number) if whole else number
