# SPDX-License-Identifier: GPL-3.0-or-later
"""C(python -m benchmark.capture): what capture costs an application that commits row by row in SQLite.

Both take turns in a new file each, in WAL mode with synchronous=NORMAL, with one commit for each row. What is said is
the ratio of the medians: commits per second with capture to those without.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from ansible_collections.sxops.pg_cutover.plugins.module_utils import _capture_sqlite, _sqlite_store
from ansible_collections.sxops.pg_cutover.plugins.module_utils._online_names import OnlineNames

_TABLES = {
    "composite key": "CREATE TABLE rows (source_id TEXT, id TEXT, body TEXT, n INT, PRIMARY KEY (source_id, id))",
    "two more unique indexes": (
        "CREATE TABLE rows (source_id TEXT, id TEXT, body TEXT UNIQUE, n INT UNIQUE, PRIMARY KEY (source_id, id))"
    ),
}
_UPSERT = (
    "INSERT INTO rows VALUES ('a', ?1, ?2, ?3) ON CONFLICT (source_id, id)"
    " DO UPDATE SET body = excluded.body, n = excluded.n"
)
_Statement = tuple[str, Callable[[int], tuple[object, ...]]]
_WORK: dict[str, _Statement] = {
    "insert": ("INSERT INTO rows VALUES ('a', ?, ?, ?)", lambda n: (f"id {n}", f"{n} " + "x" * 200, n)),
    "update": (
        "UPDATE rows SET body = ?2 WHERE source_id = 'a' AND id = ?1",
        lambda n: (f"id {n}", f"{n} " + "y" * 200),
    ),
    "upsert": (_UPSERT, lambda n: (f"id {n}", f"{n} " + "z" * 200, n)),
    "delete": ("DELETE FROM rows WHERE source_id = 'a' AND id = ?", lambda n: (f"id {n}",)),
}


def commits_per_second(table: str, captured: bool, rows: int) -> dict[str, float]:
    """Return how many rows a second were written, one commit each, by kind of statement."""
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.db"
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
            connection.execute(table)
            if captured:
                connection.execute("BEGIN IMMEDIATE")
                catalog = _sqlite_store.read_catalog(connection)
                _capture_sqlite.install(connection, catalog, ["rows"], OnlineNames("sx_a"), "a", "source_id")
                connection.execute("COMMIT")
            for name, (statement, values) in _WORK.items():
                began = time.perf_counter()
                for number in range(rows):
                    connection.execute(statement, values(number))
                found[name] = rows / (time.perf_counter() - began)
            if captured:
                (logged,) = connection.execute('SELECT count(*) FROM "sxops_log_sx_a"').fetchone()
                assert logged >= rows * len(_WORK)
    return found


def measure(rows: int, rounds: int) -> dict[str, dict[str, dict[str, float]]]:
    """Return commits per second without and with capture, by table and kind of statement.

    Beside them their ratio, and the microseconds that capture adds to a commit.
    """
    results: dict[str, dict[str, dict[str, float]]] = {}
    for name, table in _TABLES.items():
        turns: dict[bool, list[dict[str, float]]] = {False: [], True: []}
        for number in range(rounds):
            for captured in (False, True) if number % 2 else (True, False):
                turns[captured].append(commits_per_second(table, captured, rows))
        results[name] = {}
        for work in _WORK:
            without, captured_ones = (statistics.median(turn[work] for turn in turns[which]) for which in (False, True))
            results[name][work] = {
                "without_per_s": round(without),
                "with_per_s": round(captured_ones),
                "ratio": round(captured_ones / without, 2),
                "added_us": round(1e6 / captured_ones - 1e6 / without),
            }
    return results


def main() -> int:
    parser = argparse.ArgumentParser(prog="benchmark.capture", description=__doc__)
    parser.add_argument("--rows", type=int, default=5000, help="rows of each kind of statement")
    parser.add_argument("--rounds", type=int, default=5, help="how often both take a turn")
    parser.add_argument("--json", type=Path, help="where to write the numbers as well")
    arguments = parser.parse_args()
    results = measure(arguments.rows, arguments.rounds)
    print("| table | statement | commits/s | with capture | ratio | added µs |")
    print("| --- | --- | ---: | ---: | ---: | ---: |")
    for table, works in results.items():
        for work, found in works.items():
            speeds = f"{found['without_per_s']:.0f} | {found['with_per_s']:.0f}"
            print(f"| {table} | {work} | {speeds} | {found['ratio']:.2f} | {found['added_us']:.0f} |")
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
