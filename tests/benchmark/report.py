# SPDX-License-Identifier: GPL-3.0-or-later
"""The results as tables for people, rendered from the JSON and from nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jinja2

from .figures import spread

_FOLDER = Path(__file__).parent
_NOTHING = "-"


def speed_table(results: dict[str, Any]) -> str:
    """Return the table of seconds, rows per second, memory and ratio, in Markdown with aligned columns."""
    sizes = results["rows"]
    lines = [
        ("copy of the big table", "this collection", "collection", "copy_s", "load_peak_mb", sizes["big"]),
        ("", "pgloader", "pgloader", "copy_s", "peak_mb", sizes["big"]),
        ("", "psql `\\copy`, ready CSV file", "ready_file", "copy_s", "peak_mb", sizes["big"]),
        ("whole load, indexes, foreign keys", "this collection", "collection", "load_s", "load_peak_mb", sizes["all"]),
        ("", "pgloader", "pgloader", "load_s", "peak_mb", sizes["all"]),
        ("whole load, a tenth of the rows", "this collection", "small", "load_s", "load_peak_mb", sizes["small"]),
        (
            "parity, every row of both stores",
            "this collection",
            "collection",
            "parity_s",
            "parity_peak_mb",
            sizes["all"],
        ),
        ("", "one `COPY TO` scan", "scan", "scan_s", "", sizes["all"]),
    ]
    rows = []
    ours = 0.0
    for what, who, contestant, name, memory, number in lines:
        measured = [each[contestant] for each in results["rounds"]]
        time, peak = spread(measured, name), spread(measured, memory)
        if what:
            ours = time["median"] if time else 0.0
        rows.append(
            (
                what,
                who,
                f"{time['median']:.2f} ({time['min']:.2f} to {time['max']:.2f})" if time else _NOTHING,
                f"{number / time['median']:,.0f}" if time else _NOTHING,
                f"{peak['max']:.0f}" if peak else _NOTHING,
                f"{time['median'] / ours:.2f}" if time and ours else _NOTHING,
            )
        )
    head = ("what", "by", "seconds, median (min to max)", "rows/s", "peak memory, MB", "time, ours = 1")
    return align([head, *rows], right_from=2)


def target_table(results: dict[str, Any]) -> str:
    """Return what was promised, what was measured, and whether that is enough."""
    said = {True: "yes", False: "**no**", None: "not measured"}
    rows = [
        (
            f"`{target['figure']}`",
            target["meaning"],
            target["target"],
            _NOTHING if target["measured"] is None else f"{target['measured']:g}",
            said[target["met"]],
        )
        for target in results["targets"]
    ]
    return align([("figure", "meaning", "target", "measured", "met"), *rows], right_from=5)


def render_page(results: dict[str, Any]) -> str:
    """Return the whole page."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_FOLDER),
        autoescape=False,  # it makes Markdown
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    template = environment.get_template("benchmarks.md.j2")
    return template.render(results, speed=speed_table(results), promised=target_table(results))


def align(rows: Sequence[tuple[str, ...]], right_from: int) -> str:
    """Return a table in Markdown; its columns from that one on are aligned to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    ruler = [f"{'-' * (width - 1)}{':' if place >= right_from else '-'}" for place, width in enumerate(widths)]
    lines = [
        [cell.rjust(width) if place >= right_from else cell.ljust(width) for place, (cell, width) in enumerate(pairs)]
        for pairs in (list(zip(row, widths, strict=True)) for row in rows)
    ]
    lines.insert(1, ruler)
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
