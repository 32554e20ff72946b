# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""The triggers that look at requests: how many fail, and how long they take, against the baseline. Pure.

Requests are those of the application's log. Where it has none, or tells of none, the questions that we ask ourselves
stand in for them, and the message says so.
"""

from __future__ import annotations

import fractions
import typing as t

from ._sustained import Sustained, sustained
from ._trigger import IMMEDIATE, SCHEDULED, Kind, Trigger, exact, figure
from ._trigger_limits import Limits
from ._trigger_timeline import Look, latest
from ._watch_sample import Sample

ERROR_RATIO = Kind("error_ratio", IMMEDIATE, "seed 002 §2.3", "% of the requests")
ERROR_PERCENT = Kind("error_percent", IMMEDIATE, "seed 002 §2.3", "% of the requests")
LATENCY_IMMEDIATE = Kind("latency_immediate", IMMEDIATE, "seed 003, severe performance degradation", "ms")
LATENCY_SCHEDULED = Kind("latency_scheduled", SCHEDULED, "seed 003, minor performance issues", "ms")
Baseline = t.Mapping[str, t.Any]


def error_ratio(looks: t.Sequence[Look], baseline: Baseline, limits: Limits) -> Trigger:
    """Fires when the share of 5xx is more than C(error_ratio) times the baseline's for C(error_ratio_duration)."""
    before, where = _errors_before(baseline, by_log=_by_log(looks))
    floor = exact(limits.error_floor_percent)
    threshold, said = floor, f"the least threshold, {where}"
    if before is not None:
        ratio = exact(limits.error_ratio) * before
        threshold = max(ratio, floor)
        said = f"{limits.error_ratio:g} times the baseline's {figure(before):g} %"
        if ratio < floor:
            said = f"the least threshold, above {said}"
    duration = limits.error_ratio_duration
    return _errors(ERROR_RATIO, looks, threshold, duration, limits.min_requests, said)


def error_percent(looks: t.Sequence[Look], limits: Limits) -> Trigger:
    """Fires when the share of 5xx is more than C(error_percent) for C(error_percent_duration)."""
    threshold, duration = exact(limits.error_percent), limits.error_percent_duration
    return _errors(ERROR_PERCENT, looks, threshold, duration, limits.min_requests, "")


def latency_immediate(looks: t.Sequence[Look], baseline: Baseline, limits: Limits) -> Trigger:
    """Fires when the latency is more than C(latency_ratio_immediate) times the baseline's for C(latency_duration)."""
    return _latency(LATENCY_IMMEDIATE, looks, baseline, limits.latency_ratio_immediate, limits)


def latency_scheduled(looks: t.Sequence[Look], baseline: Baseline, limits: Limits) -> Trigger:
    """Fires when the latency is more than C(latency_ratio_scheduled) times the baseline's for C(latency_duration)."""
    return _latency(LATENCY_SCHEDULED, looks, baseline, limits.latency_ratio_scheduled, limits)


def _errors(
    kind: Kind, looks: t.Sequence[Look], threshold: fractions.Fraction, duration: float, least: int, said: str
) -> Trigger:
    by_log = _by_log(looks)
    measured: dict[str, t.Any] = {"threshold": figure(threshold), "needed_s": duration}

    def requests(sample: Sample) -> int:
        return (sample.requests or 0) if by_log else sample.probes

    def errors(sample: Sample) -> int:
        return (sample.errors_5xx or 0) if by_log else sample.probes_5xx

    def excess(sample: Sample) -> int | None:
        number = requests(sample)
        return 100 * threshold.denominator * errors(sample) - threshold.numerator * number if number else None

    held = sustained(looks, excess, requests, duration, least)
    seen = held.looks if held else latest(looks, duration)
    number, failed = sum(requests(look.sample) for look in seen), sum(errors(look.sample) for look in seen)
    bound = f"{measured['threshold']:g} %" + (f" ({said})" if said else "")
    if not number:
        return kind.not_verified("no request was made" if looks else "nothing was looked at", **measured)
    percent = figure(100 * failed / number)
    text = f"{failed} of {number} {_whose(by_log)} got a 5xx, {percent:g} %"
    measured["observed"] = percent
    if held:
        measured.update(held_s=held.seconds, since=held.since)
        text += f" in {held.seconds:g} s"
        if held.long_enough:
            return kind.fires(f"{text}: more than {bound} for {duration:g} s", **measured)
    lately = sum(requests(look.sample) for look in latest(looks, duration))
    if lately < least:
        few = f"{lately} in the last {duration:g} s are too few, {least} are needed"
        return kind.not_verified(f"{text}; {few}", **measured)
    if held:
        return kind.passed(f"{text}; it fires at more than {bound} for {duration:g} s", **measured)
    return kind.passed(f"{text}, at most {bound}", **measured)


def _latency(kind: Kind, looks: t.Sequence[Look], baseline: Baseline, ratio: float, limits: Limits) -> Trigger:
    by_log = _by_log(looks)
    duration = limits.latency_duration
    measured: dict[str, t.Any] = {"needed_s": duration}
    before = ((baseline.get("requests" if by_log else "probes") or {}).get("latency_ms") or {}).get("p95")
    if before is None:
        missing = "requests in the log" if by_log else "questions of ours"
        return kind.not_verified(f"the baseline knows no latency of {missing} to compare with", **measured)
    floor = exact(limits.latency_floor_ms)
    threshold = max(exact(ratio) * exact(before), floor)
    measured["threshold"] = figure(threshold)
    said = f"{ratio:g} times the baseline's {before:g} ms"
    if exact(ratio) * exact(before) < floor:
        said = f"the least threshold, above {said}"

    def latency(sample: Sample) -> float | None:
        if by_log:
            return sample.latency_p95_ms if sample.requests else None
        return sample.slowest_probe_ms

    def weight(sample: Sample) -> int:
        return (sample.requests or 0) if by_log else int(latency(sample) is not None)

    def excess(sample: Sample) -> int | None:
        value = latency(sample)
        if value is None:
            return None
        return weight(sample) if exact(value) > threshold else -weight(sample)

    least = limits.min_requests if by_log else 1
    held = sustained(looks, excess, weight, duration, least)
    lately = [look.sample for look in latest(looks, duration)]
    values = [value for value in map(latency, lately) if value is not None]
    if not values and not held:
        return kind.not_verified("nobody measured a latency", **measured)
    return _latency_said(
        kind,
        held,
        [latency(look.sample) for look in held.looks] if held else values,
        by_log,
        bound=(f"{measured['threshold']:g} ms ({said})"),
        enough=sum(map(weight, lately)) >= least,
        measured=measured,
    )


def _latency_said(
    kind: Kind,
    held: Sustained | None,
    values: t.Sequence[float | None],
    by_log: bool,
    *,
    bound: str,
    enough: bool,
    measured: dict[str, t.Any],
) -> Trigger:
    known = sorted(value for value in values if value is not None)
    measured["observed"] = figure(known[len(known) // 2])
    what = "p95 of the requests" if by_log else "slowest answer to our own questions"
    text = f"the {what} is {measured['observed']:g} ms"
    if held:
        measured.update(held_s=held.seconds, since=held.since)
        text += f" for {held.seconds:g} s"
        if held.long_enough:
            return kind.fires(f"{text}: more than {bound} for {measured['needed_s']:g} s", **measured)
    if not enough:
        return kind.not_verified(f"{text}; that are too few requests to tell", **measured)
    if held:
        return kind.passed(f"{text}; it fires at more than {bound} for {measured['needed_s']:g} s", **measured)
    return kind.passed(f"{text}, at most {bound}", **measured)


def _by_log(looks: t.Sequence[Look]) -> bool:
    return any(look.sample.requests for look in looks)


def _whose(by_log: bool) -> str:
    return "requests" if by_log else "questions of our own (there is no request log, or nothing in it)"


def _errors_before(baseline: Baseline, *, by_log: bool) -> tuple[fractions.Fraction | None, str]:
    """Return the share of 5xx in the baseline, or None and why it is not known."""
    if by_log:
        percent = (baseline.get("requests") or {}).get("error_percent")
        return (None, "the baseline knows no requests") if percent is None else (exact(percent), "")
    probes = baseline.get("probes") or {}
    if not probes.get("count"):
        return None, "the baseline knows no questions of ours"
    return fractions.Fraction(100 * int(probes.get("errors") or 0), int(probes["count"])), ""
