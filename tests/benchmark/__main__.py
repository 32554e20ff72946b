# SPDX-License-Identifier: GPL-3.0-or-later
"""C(python -m benchmark): make the data, let everybody take turns, write the results."""

from __future__ import annotations

import argparse
import datetime
import json
import sys
import time
from pathlib import Path
from typing import Any

from local_stack.errors import StackError

from .contestants import Contest, ContestantFailed, Measured
from .dataset import make_dataset
from .figures import TARGETS, derive
from .machine import describe_machine
from .report import render_page, speed_table, target_table
from .sections import keeping_sections
from .server import find_binaries, throw_away_server

_ROOT = Path(__file__).resolve().parents[2]
_ROWS = 2_000_000
_ROUNDS = 3


def main() -> int:
    arguments = _parse()
    try:
        results = _measure(arguments)
    except (ContestantFailed, StackError) as error:
        print(f"benchmark: {error}", file=sys.stderr)
        return 1
    # The numbers first; what people read is made of them.
    for path, text in (
        (arguments.json, json.dumps(results, indent=2) + "\n"),
        (arguments.markdown, keeping_sections(render_page(results), arguments.markdown)),
    ):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    print(f"\n{speed_table(results)}\n\n{target_table(results)}\n\nWritten: {arguments.json}, {arguments.markdown}")
    return 0


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmark", description=__doc__)
    parser.add_argument("--rows", type=int, default=_ROWS, help="rows of the big table")
    parser.add_argument("--rounds", type=int, default=_ROUNDS, help="how often everybody takes a turn")
    parser.add_argument("--server", choices=("any", "debian", "embedded"), default="any")
    parser.add_argument("--folder", type=Path, default=_ROOT / "build" / "bench", help="for data and cluster")
    parser.add_argument("--json", type=Path, default=_ROOT / "build" / "benchmarks.json")
    parser.add_argument("--markdown", type=Path, default=_ROOT / "docs" / "benchmarks.md")
    found = parser.parse_args()
    if found.rows < 10 or found.rounds < 1:
        parser.error("at least 10 rows and 1 round")
    return found


def _measure(arguments: argparse.Namespace) -> dict[str, Any]:
    started = time.monotonic()
    _say(f"data of {arguments.rows:,} rows, and of a tenth of that")
    full = make_dataset(arguments.folder.resolve(), arguments.rows)
    small = make_dataset(arguments.folder.resolve(), arguments.rows // 10)
    binaries = find_binaries(arguments.server)
    with throw_away_server(binaries, arguments.folder) as server:
        contest, small_contest = Contest(server, full), Contest(server, small)
        turns = {
            "collection": contest.collection,
            "scan": contest.scan,  # of what the collection has just loaded
            "pgloader": contest.pgloader,
            "ready_file": contest.ready_file,
            "small": small_contest.collection,
        }
        rounds: list[dict[str, Measured | None]] = []
        for number in range(1, arguments.rounds + 1):
            rounds.append({})
            for name, take_turn in turns.items():
                rounds[-1][name] = measured = take_turn()
                _say(f"round {number}, {name}: {_short(measured)}")
        settings = server.settings()
    figures = derive(rounds, full.rows, full.all_rows, small.all_rows)
    return {
        **figures,
        "targets": [target.judge(figures[target.figure]) for target in TARGETS],
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d"),
        "rows": {"big": full.rows, "all": full.all_rows, "small": small.all_rows},
        "full_rows": _ROWS,
        "full_rounds": _ROUNDS,
        "full_size": full.rows == _ROWS,
        "minutes": max(round((time.monotonic() - started) / 60 / arguments.rounds * _ROUNDS), 1),
        "sqlite_mb": round(full.sqlite.stat().st_size / 1e6),
        "csv_mb": round(full.csv.stat().st_size / 1e6),
        "machine": describe_machine(),
        "server": "the package of the distribution" if binaries.is_relative_to("/usr") else "the embedded one",
        "settings": settings,
        "rounds": rounds,
    }


def _short(measured: Measured | None) -> str:
    if measured is None:
        return "not installed"
    return ", ".join(f"{name} {value:.2f}" for name, value in measured.items() if name.endswith("_s") and value)


def _say(text: str) -> None:
    print(f"{datetime.datetime.now():%H:%M:%S} {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
