# SPDX-License-Identifier: GPL-3.0-or-later
"""What the soak came to, for people: a section of docs/benchmarks.md, rendered from build/soak.json."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2
from benchmark.report import align

from .soak_steps import METHODS

SECTION = "soak"
_FIGURES = (
    ("lock_hold_ms", "lock of the live store, there"),
    ("write_outage_ms", "no write acknowledged, there"),
    ("rollback_lock_hold_ms", "lock of the live store, back"),
    ("rollback_outage_ms", "no write acknowledged, back"),
    ("others_added_ms", "added to the slowest write of the other profile, there"),
    ("rollback_ms", "rollback, from the command to the next acknowledged write"),
)


def render_section(runs: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the section for the last run of each method."""
    shown = [runs[method] for method in METHODS if method in runs]
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=False,  # it makes Markdown
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template("soak.md.j2").render(runs=shown, times=_times(shown))


def _times(runs: list[Mapping[str, Any]]) -> str:
    rows = [
        (
            run["method"] if place == 0 else "",
            meaning,
            *(f"{run[figure][name]:,.0f}" if run[figure] else "-" for name in ("p50", "p95", "p99", "max")),
        )
        for run in runs
        for place, (figure, meaning) in enumerate(_FIGURES)
    ]
    return align([("method", "what, in ms", "p50", "p95", "p99", "max"), *rows], right_from=2)
