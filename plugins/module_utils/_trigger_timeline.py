# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""What held for how long: the samples of the watch on one line of time. Pure.

Only what was seen without a gap counts. A watch that was interrupted and went on has not seen what was between, so
that nothing holds across it, unless it went on after a few of its looks at most. The line is made of the clock that is
never set; the clock of the wall serves only from one run of the watch to the next, and where it went back there, that
is a gap too. Within a run a look may take long, since what it asks hangs: that is no gap before C(PATIENCE_S).
"""

from __future__ import annotations

import statistics
import typing as t

from ._instant import instant_of
from ._watch_sample import Sample

GAP_LOOKS = 5
PATIENCE_S = 120.0


class Look(t.NamedTuple):
    """A sample and its place on the line, in seconds."""

    at: float
    sample: Sample


class Held(t.NamedTuple):
    """Since which look a condition holds, until which it was last seen, and how many seconds lie between."""

    since: Look
    until: Look
    looks: int

    @property
    def seconds(self) -> float:
        return span(self.since, self.until)


# What a sample says of a condition: it holds, it does not, or nothing (None).
Condition = t.Callable[[Sample], t.Optional[bool]]


def span(first: Look, last: Look) -> float:
    """Return the seconds between two looks, to the millisecond."""
    return round(last.at - first.at, 3)


def unbroken(samples: t.Sequence[Sample]) -> list[Look]:
    """Return the latest looks without a gap among them, oldest first.

    Samples of one run (C(run_started)) may come in any order; the runs count in the order in which they come.
    """
    runs: dict[str, list[Sample]] = {}
    for sample in samples:
        runs.setdefault(sample.run_started, []).append(sample)
    ordered = [sorted(run, key=lambda sample: sample.elapsed_s) for run in runs.values()]
    steps = [after.elapsed_s - before.elapsed_s for run in ordered for before, after in zip(run, run[1:])]
    usual = GAP_LOOKS * statistics.median(steps) if steps else 0.0
    looks: list[Look] = []
    for run in ordered:
        for place, sample in enumerate(run):
            at = 0.0
            if looks:
                before = looks[-1]
                if place:
                    step, most = sample.elapsed_s - before.sample.elapsed_s, max(usual, PATIENCE_S)
                else:
                    step, most = _seconds(before.sample.time, sample.time), usual
                if 0 <= step <= most:
                    at = before.at + step
                else:
                    looks = []
            looks.append(Look(at, sample))
    return looks


def holding(looks: t.Sequence[Look], condition: Condition) -> Held | None:
    """Return since when a condition holds without a look that says otherwise; None when it does not hold now.

    Looks that say nothing of it neither hold nor break it, and it is not held longer than to the last that does.
    """
    first = last = None
    count = 0
    for look in reversed(looks):
        answer = condition(look.sample)
        if answer is None:
            continue
        if not answer:
            break
        first, count = look, count + 1
        last = last or look
    return Held(first, last, count) if first and last else None


def streak(looks: t.Sequence[Look], condition: Condition, patience_s: float) -> list[Look]:
    """Return the looks, oldest first, over which a condition of something counted comes again and again until now.

    The first one meets it. Those that do not are among them where the two that do, before and after them, are not more
    than C(patience_s) apart: where one request in fifty fails, a look of ten requests often sees none. Looks that say
    nothing of it count as little here as in L(holding).
    """
    told = [(look, condition(look.sample)) for look in looks]
    end = next((look for look, answer in reversed(told) if answer is not None), None)
    first: Look | None = None
    later, good = end, False
    for look, answer in reversed(told):
        if answer is None or later is None:
            continue
        if answer and (not good or span(look, later) <= patience_s):
            first = later = look
            good = False
        elif answer:
            break
        else:
            good = True
    return [] if first is None else [look for look in looks if look.at >= first.at]


def latest(looks: t.Sequence[Look], seconds: float) -> list[Look]:
    """Return the looks of the last so many seconds."""
    return [look for look in looks if span(look, looks[-1]) <= seconds]


def _seconds(first: str, last: str) -> float:
    before, after = instant_of(first), instant_of(last)
    return (after - before).total_seconds() if before and after else -1.0
