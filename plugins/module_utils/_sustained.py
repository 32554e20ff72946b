# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Whether something counted per look (errors, slow requests) has been too much for long enough. Pure.

A look is a few seconds, with a handful of requests in it: of these none may fail although one in fifty does. So good
looks among the bad ones do not end it at once (L(_trigger_timeline.streak)), but then all of them together have to be
too much as well, over the whole duration: a burst is no lasting trouble, and a few errors in an hour are none.
"""

from __future__ import annotations

import dataclasses
import typing as t

from ._trigger_timeline import Look, span, streak
from ._watch_sample import Sample

MOST_PATIENCE_S = 60.0


@dataclasses.dataclass(frozen=True)
class Sustained:
    """The looks over which it was too much, from the first bad one to the last, and whether that was long enough."""

    looks: t.Sequence[Look]
    long_enough: bool

    @property
    def seconds(self) -> float:
        return span(self.looks[0], self.looks[-1])

    @property
    def since(self) -> str:
        return self.looks[0].sample.time


def sustained(
    looks: t.Sequence[Look],
    excess: t.Callable[[Sample], int | None],
    count: t.Callable[[Sample], int],
    duration: float,
    least: int,
) -> Sustained | None:
    """Return for how long it has been too much by now; None when it is not.

    Args:
        looks: Without a gap, oldest first.
        excess: By how much a look is above the threshold; zero or less is not above, None says nothing. Those of
            several looks are added up.
        count: How many requests a look saw.
        duration: How many seconds it has to last.
        least: How many requests there have to be in the last C(duration) of these.
    """
    patience = min(MOST_PATIENCE_S, duration / 5)
    found = streak(looks, lambda sample: None if excess(sample) is None else (excess(sample) or 0) > 0, patience)
    bad = [place for place, look in enumerate(found) if (excess(look.sample) or 0) > 0]
    if not bad:
        return None
    pair = _long_pair(found, bad, excess, count, duration, least)
    first, last = pair or (bad[0], bad[-1])
    return Sustained(found[first : last + 1], pair is not None)


def _long_pair(
    looks: t.Sequence[Look],
    bad: t.Sequence[int],
    excess: t.Callable[[Sample], int | None],
    count: t.Callable[[Sample], int],
    duration: float,
    least: int,
) -> tuple[int, int] | None:
    """Return the latest two bad looks, far enough apart, between which the excess is above zero; None without."""
    sums, counts = [0], [0]
    for look in looks:
        sums.append(sums[-1] + (excess(look.sample) or 0))
        counts.append(counts[-1] + count(look.sample))
    found = None
    best: int | None = None
    begun = 0
    within = 0
    for last in bad:
        while begun < len(bad) and span(looks[bad[begun]], looks[last]) >= duration:
            first = bad[begun]
            best = first if best is None or sums[first] < sums[best] else best
            begun += 1
        while span(looks[within], looks[last]) > duration:
            within += 1
        if best is not None and sums[last + 1] > sums[best] and counts[last + 1] - counts[within] >= least:
            found = (best, last)
    return found
