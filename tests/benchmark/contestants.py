# SPDX-License-Identifier: GPL-3.0-or-later
"""Those who bring the data over: each into a database of its own, made anew, on the same server."""

from __future__ import annotations

import csv
import json
import os
import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .dataset import BIG, SMALL, SOURCE_ID, Dataset
from .measured_process import Finished, run_measured
from .server import USER, Server

Measured = dict[str, Any]
_MODULES = "ansible_collections.sxops.pg_cutover.plugins.modules"
_DATABASE = "collection"
_SCHEMA = f"sx_{SOURCE_ID}"

_PLAIN_TABLE = """
CREATE TABLE items (source_id text NOT NULL, id text NOT NULL, title text NOT NULL, body text, author text,
  views bigint NOT NULL, likes bigint, score double precision, thumb bytea, updated_at text NOT NULL)
"""
# By default it makes a 4-byte number of REAL, and rounds.
_PGLOADER = """
LOAD DATABASE FROM sqlite://{sqlite} INTO {dsn}
  WITH create tables, create indexes, foreign keys, reset sequences
  CAST type real to "double precision" using float-to-string;
"""


class ContestantFailed(Exception):
    """A contestant did not do what it is measured at; there is nothing to compare."""


@dataclass(frozen=True)
class Contest:
    """One data set on one server."""

    server: Server
    dataset: Dataset

    def collection(self) -> Measured:
        """Load with this collection and prove parity, each module as the process that Ansible would make of it."""
        self.server.fresh_database(_DATABASE)
        self._module("tenant_schema", tables="translate", registry_table="")
        load, loading = self._module("tenant_load")
        parity, comparing = self._module("tenant_parity")
        by_table = {table["table"]: table for table in load["tables"]}
        copied = {name: table["copy_ms"] / 1000 for name, table in by_table.items()}
        self._expect_rows(_DATABASE, _SCHEMA)
        return {
            "workers": load["workers"],
            "copy_s": copied[BIG],
            "copy_all_s": sum(copied.values()),
            "index_s": load["index_ms"] / 1000,
            "load_s": loading.seconds,
            "load_module_s": load["duration_ms"] / 1000,
            "load_peak_mb": loading.peak_mb,
            "parity_s": comparing.seconds,
            "parity_peak_mb": comparing.peak_mb,
            "verdict": parity["verdict"],
        }

    def scan(self) -> Measured:
        """Read what the collection has loaded once, by COPY TO, and throw it away."""
        tables = "".join(
            f"\\copy (SELECT * FROM {_SCHEMA}.{table}) TO {os.devnull}\n" for table in (BIG, SMALL)
        )  # psql takes one line per command
        return {"scan_s": self._psql(_DATABASE, tables).seconds}

    def ready_file(self) -> Measured:
        """Let psql copy the ready CSV file into a table without indexes."""
        self.server.fresh_database("ready_file")
        self.server.run("ready_file", _PLAIN_TABLE)
        path = str(self.dataset.csv).replace("'", "''")
        done = self._psql("ready_file", f"\\copy items FROM '{path}' WITH (FORMAT csv)\n")
        self._expect_rows("ready_file", "public", {BIG: self.dataset.rows})
        return {"copy_s": done.seconds, "peak_mb": done.peak_mb}

    def pgloader(self) -> Measured | None:
        """Load with pgloader, its tables, indexes and foreign keys included; None where it is not installed."""
        program = shutil.which("pgloader")
        if program is None:
            return None
        self.server.fresh_database("pgloader")
        with tempfile.TemporaryDirectory(prefix="pg_cutover_bench_") as folder:
            command = Path(folder, "bench.load")
            command.touch(mode=0o600)  # it names the password
            command.write_text(
                _PGLOADER.format(sqlite=self.dataset.sqlite, dsn=self.server.dsn("pgloader")), encoding="utf-8"
            )
            summary = Path(folder, "summary.csv")
            done = run_measured([program, "--root-dir", folder, "--summary", str(summary), str(command)])
            copied = _pgloader_tables(summary)
        arrived = self._rows("pgloader", "public")
        expected = self._expected()
        return {
            "copy_s": copied.get(BIG),
            "load_s": done.seconds,
            "peak_mb": done.peak_mb,
            "exit_status": done.returncode,
            "rows_arrived": sum(arrived.values()),
            "complete": done.returncode == 0 and arrived == expected,
        }

    def _module(self, name: str, **options: Any) -> tuple[dict[str, Any], Finished]:
        arguments = {
            "source_id": SOURCE_ID,
            "dsn": self.server.dsn(_DATABASE),
            "sqlite_path": str(self.dataset.sqlite),
            "_ansible_check_mode": False,
            "_ansible_diff": False,
            **options,
        }
        done = run_measured(
            [sys.executable, "-m", f"{_MODULES}.{name}"], given=json.dumps({"ANSIBLE_MODULE_ARGS": arguments})
        )
        result = json.loads(done.stdout) if done.stdout.strip() else {"failed": True, "msg": done.stderr.strip()}
        if result.get("failed"):
            raise ContestantFailed(f"{name}: {result['msg']}")
        return result, done

    def _psql(self, database: str, commands: str) -> Finished:
        done = run_measured(
            [
                *(str(self.server.bin_dir / "psql"), "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1"),
                *("--host=127.0.0.1", f"--port={self.server.port}", f"--username={USER}", f"--dbname={database}"),
            ],
            given=commands,
            environment={**os.environ, "PGPASSWORD": self.server.password},
        )
        if done.returncode:
            raise ContestantFailed(f"psql: {done.stderr.strip()}")
        return done

    def _expected(self) -> dict[str, int]:
        return {BIG: self.dataset.rows, SMALL: self.dataset.all_rows - self.dataset.rows}

    def _rows(self, database: str, schema: str, tables: tuple[str, ...] = (BIG, SMALL)) -> dict[str, int]:
        found = {}
        for table in tables:
            there = self.server.run(database, f"SELECT to_regclass('{schema}.{table}') IS NOT NULL")[0][0]
            query = f"SELECT count(*) FROM {schema}.{table}"
            found[table] = int(str(self.server.run(database, query)[0][0])) if there else 0
        return found

    def _expect_rows(self, database: str, schema: str, expected: dict[str, int] | None = None) -> None:
        expected = expected or self._expected()
        found = self._rows(database, schema, tuple(expected))
        if found != expected:
            raise ContestantFailed(f"{database}: {expected} rows expected, {found} arrived")


def _pgloader_tables(summary: Path) -> dict[str, float]:
    """Return the seconds that each table took, from the summary (name; read; imported; errors; bytes; time)."""
    if not summary.exists():
        return {}
    with summary.open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file, delimiter=";"))
    return {row[0].strip('"'): _seconds(row[-1]) for row in rows if len(row) == 6 and row[0] in (BIG, SMALL)}


def _seconds(text: str) -> float:
    """Return the seconds of C(1m2.500s) or C(20.428s)."""
    minutes, _m, seconds = text.rstrip("s").rpartition("m")
    return int(minutes or 0) * 60 + float(seconds)
