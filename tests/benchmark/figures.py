# SPDX-License-Identifier: GPL-3.0-or-later
"""From what was measured to the figures that are promised: medians, ratios, and whether each target is met."""

from __future__ import annotations

import operator
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .contestants import Measured


@dataclass(frozen=True)
class Target:
    """What a figure shall be; C(at_least) is False for one that shall be small."""

    figure: str
    meaning: str
    limit: float
    at_least: bool = False

    def judge(self, value: float | None) -> dict[str, Any]:
        compare = operator.ge if self.at_least else operator.le
        return {
            "figure": self.figure,
            "meaning": self.meaning,
            "target": f"{'at least' if self.at_least else 'at most'} {self.limit:g}",
            "measured": value,
            "met": None if value is None else bool(compare(value, self.limit)),
        }


TARGETS = (
    Target("copy_vs_pgloader", "pgloader's time to copy the big table, divided by ours", 2.5, True),
    Target("copy_vs_ready_file", "our time to copy the big table, divided by that of `\\copy` from a ready file", 1.5),
    Target("total_vs_pgloader", "pgloader's time for everything, divided by that of `tenant_load`", 2.0, True),
    Target("parity_vs_copy", "time of `tenant_parity`, divided by our time to copy all tables", 2.5),
    Target("worker_rss_mb", "most memory of one process of `tenant_load`, in MB", 64),
    Target("worker_rss_mb_small", "the same with a tenth of the rows", 64),
    Target("time_per_row_growth", "time per row of `tenant_load`, divided by that with a tenth of the rows", 1.3),
)


def spread(rounds: Sequence[Measured | None], name: str) -> dict[str, float] | None:
    """Return the median, the least and the greatest of a measurement, None where no round has it."""
    found = [measured[name] for measured in rounds if measured and measured.get(name) is not None]
    if not found:
        return None
    return {"median": statistics.median(found), "min": min(found), "max": max(found)}


def derive(rounds: Sequence[dict[str, Measured | None]], rows: int, all_rows: int, small: int) -> dict[str, Any]:
    """Return the figures by name, None for what was not measured.

    Args:
        rounds: Per round what each contestant measured; C(small) is the collection with a tenth of the rows.
        rows: How many rows the big table has.
        all_rows: How many rows both tables have.
        small: How many rows both tables of the small data set have.
    """

    def median(contestant: str, name: str) -> float | None:
        found = spread([each[contestant] for each in rounds], name)
        return found["median"] if found else None

    def greatest(contestant: str, name: str) -> float | None:
        found = spread([each[contestant] for each in rounds], name)
        return found["max"] if found else None

    copy_s, load_s = median("collection", "copy_s"), median("collection", "load_s")
    parity_s, copy_all_s = median("collection", "parity_s"), median("collection", "copy_all_s")
    per_row = _ratio(median("collection", "load_module_s"), all_rows)
    figures = {
        "copy_vs_pgloader": _ratio(median("pgloader", "copy_s"), copy_s),
        "total_vs_pgloader": _ratio(median("pgloader", "load_s"), load_s),
        "copy_vs_ready_file": _ratio(copy_s, median("ready_file", "copy_s")),
        "parity_vs_copy": _ratio(parity_s, copy_all_s),
        "parity_vs_scan": _ratio(parity_s, median("scan", "scan_s")),
        "time_per_row_growth": _ratio(per_row, _ratio(median("small", "load_module_s"), small)),
        "worker_rss_mb": greatest("collection", "load_peak_mb"),
        "worker_rss_mb_small": greatest("small", "load_peak_mb"),
        "rows_per_s": _ratio(rows, copy_s),
    }
    return {name: None if value is None else round(value, 2) for name, value in figures.items()}


def _ratio(one: float | None, other: float | None) -> float | None:
    return one / other if one is not None and other else None
