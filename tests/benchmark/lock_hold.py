# SPDX-License-Identifier: GPL-3.0-or-later
"""C(python -m benchmark.lock_hold): how long a switch holds SQLite's write lock, in a small file and in a large one.

Both files take turns on one server: each is captured, loaded and proven once, and then switched there and back many
times with a few changes waiting each time, as a profile that is written to has.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import json
import shutil
import sqlite3
import statistics
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible_collections.sxops.pg_cutover.plugins.module_utils import (
    _capture_sqlite,
    _online_journal,
    _sqlite_store,
    _switch,
    _switch_stores,
)
from ansible_collections.sxops.pg_cutover.plugins.module_utils._online_journal import PROVEN
from ansible_collections.sxops.pg_cutover.plugins.module_utils._online_names import OnlineNames
from local_stack.errors import StackError

from .contestants import Contest, ContestantFailed
from .dataset import SOURCE_ID, Dataset, make_dataset
from .machine import describe_machine
from .report import align
from .sections import write_section
from .server import Server, find_binaries, throw_away_server

_ROOT = Path(__file__).resolve().parents[2]
_NAMES = OnlineNames(f"sx_{SOURCE_ID}")
_TABLES = ("items", "notes")
_CHANGES = 20
SECTION = "lock hold"
_CUTS = ("p50", "p95", "p99")
_WAYS = {"there": "SQLite's write lock, there", "back": "PostgreSQL's tables, back"}


@dataclass(frozen=True)
class Profile:
    """A profile with so many rows, in a database of its own."""

    rows: int
    path: Path
    dsn: str

    @property
    def params(self) -> dict[str, Any]:
        return {
            "dsn": self.dsn,
            "source_id": SOURCE_ID,
            "schema_prefix": "sx",
            "schema_name": None,
            "sqlite_path": str(self.path),
            "tenant_column": "source_id",
            "shared_tables": [],
            "exclude_tables": [],
            "policies": {},
        }

    def begin(self) -> None:
        """Capture SQLite's changes from here on; both stores hold the same rows."""
        with contextlib.closing(sqlite3.connect(self.path, isolation_level=None)) as connection:
            connection.execute("PRAGMA journal_mode = WAL")
            catalog = _sqlite_store.read_catalog(connection)
            connection.execute("BEGIN IMMEDIATE")
            _capture_sqlite.install(connection, catalog, _TABLES, _NAMES, SOURCE_ID, "source_id")
            capture = _capture_sqlite.look(connection, catalog, _TABLES, _NAMES, SOURCE_ID, "source_id")
            connection.execute("COMMIT")
        with self._stores() as stores:
            tenant = _online_journal.Tenant(
                _NAMES.schema_name, SOURCE_ID, str(capture.capture_id), PROVEN, capture.position, "", capture.position
            )
            _online_journal.install(stores.postgres)
            _online_journal.write(stores.postgres, tenant)
            stores.postgres.commit()

    def there_and_back(self, number: int) -> tuple[float, float]:
        """Return how long the lock was held on the way there and back, in milliseconds."""
        self._change(number)
        with self._stores() as stores:
            there = _switch.to_postgres(stores, "counts", None).lock_hold_ms
        with self._stores() as stores:
            with stores.postgres.cursor() as cursor:
                cursor.execute(
                    "UPDATE sx_bench.items SET title = title WHERE id IN (SELECT id FROM sx_bench.items LIMIT %s)",
                    (_CHANGES,),
                )
            stores.postgres.commit()
            back = _switch.to_sqlite(stores, "replay", None).lock_hold_ms
        return there, back

    def _stores(self) -> contextlib.AbstractContextManager[_switch_stores.SwitchStores]:
        return _switch_stores.open_for_switch(self.params, _switch_stores.Limits())

    def _change(self, number: int) -> None:
        with contextlib.closing(sqlite3.connect(self.path, isolation_level=None)) as connection:
            for place in range(_CHANGES):
                row = (number * _CHANGES + place) * 7919 % self.rows + 1
                connection.execute("UPDATE items SET views = views + 1 WHERE rowid = ?", (row,))


def load(server: Server, dataset: Dataset, folder: Path) -> Profile:
    """Return a profile with these rows, loaded."""
    contest = Contest(server, dataset)
    contest.collection()
    name = f"rows_{dataset.rows}"
    server.run("postgres", f"ALTER DATABASE collection RENAME TO {name}")
    path = folder / f"{name}.db"
    shutil.copyfile(dataset.sqlite, path)
    return Profile(dataset.rows, path, server.dsn(name))


def measure(rows: list[int], rounds: int, folder: Path, kind: str) -> dict[str, Any]:
    """Return the milliseconds by number of rows, and the ratio of the medians of the largest and the smallest."""
    holds: dict[int, dict[str, list[float]]] = {count: {"there": [], "back": []} for count in rows}
    with throw_away_server(find_binaries(kind), folder) as server:
        home = folder / "lock_hold"
        home.mkdir(parents=True, exist_ok=True)
        try:
            profiles = [load(server, make_dataset(folder, count), home) for count in rows]
            for number in range(rounds):
                for profile in profiles:
                    profile.begin()
                    there, back = profile.there_and_back(number)
                    holds[profile.rows]["there"].append(there)
                    holds[profile.rows]["back"].append(back)
        finally:
            shutil.rmtree(home, ignore_errors=True)
    found = {way: {str(count): _percentiles(holds[count][way]) for count in rows} for way in ("there", "back")}
    growth = {
        way: round(found[way][str(max(rows))]["p50"] / found[way][str(min(rows))]["p50"], 2)
        for way in ("there", "back")
    }
    return {
        "rounds": rounds,
        "changes": _CHANGES,
        "lock_hold_ms": found,
        "growth": growth,
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d"),
        "machine": describe_machine(),
    }


def _percentiles(values: list[float]) -> dict[str, float]:
    cuts = statistics.quantiles(values, n=100, method="inclusive") if len(values) > 1 else values * 99
    return {"p50": round(cuts[49], 1), "p95": round(cuts[94], 1), "p99": round(cuts[98], 1)}


def render(found: dict[str, Any]) -> str:
    """Return the section of docs/benchmarks.md."""
    rows = [
        (
            f"{int(count):,}" if place == 0 else "",
            meaning,
            *(f"{found['lock_hold_ms'][way][count][cut]:.1f}" for cut in _CUTS),
        )
        for count in found["lock_hold_ms"]["there"]
        for place, (way, meaning) in enumerate(_WAYS.items())
    ]
    table = align([("rows", "lock, in ms", *_CUTS), *rows], right_from=2)
    machine = found["machine"]
    there, back = (f"{found['growth'][way]:.2f}" for way in _WAYS)
    return f"""## How long the lock is held

`make bench-lock` on {found["date"]}, on {machine["processor"]}: files of both sizes in turn,
{found["rounds"]} switches there and back each, with {found["changes"]} changed rows waiting every time. What happens
under the lock does not depend on the size of the tables: the median of the large file is {there} times that of the
small one on the way there, {back} times on the way back.

{table}
"""


def main() -> int:
    parser = argparse.ArgumentParser(prog="benchmark.lock_hold", description=__doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=[20_000, 2_000_000])
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--server", choices=("any", "debian", "embedded"), default="any")
    parser.add_argument("--folder", type=Path, default=_ROOT / "build" / "bench")
    parser.add_argument("--json", type=Path, default=_ROOT / "build" / "lock_hold.json")
    parser.add_argument("--markdown", type=Path, default=_ROOT / "docs" / "benchmarks.md")
    arguments = parser.parse_args()
    try:
        found = measure(arguments.rows, arguments.rounds, arguments.folder.resolve(), arguments.server)
    except (ContestantFailed, StackError) as error:
        print(f"benchmark: {error}", file=sys.stderr)
        return 1
    arguments.json.parent.mkdir(parents=True, exist_ok=True)
    arguments.json.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    write_section(arguments.markdown, SECTION, render(found))
    print(json.dumps(found, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
