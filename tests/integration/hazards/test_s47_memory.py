# SPDX-License-Identifier: GPL-3.0-or-later
"""S47: many large values never come to stand in memory together, neither while they are loaded nor compared."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from _ansible import environment, home
from _databases import Tenant

MEGABYTE = 1 << 20
# Runs a module and says, when it is over, what it and the processes that it forked held at most (kB).
MEASURED = """
import atexit, pathlib, re, resource, runpy, sys
told, module = sys.argv[1:]
del sys.argv[1:]  # where Ansible would look for the options
def tell():
    status = pathlib.Path("/proc/self/status").read_text()
    own = int(re.search(r"VmHWM:\\s*(\\d+)", status)[1])
    forked = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    pathlib.Path(told).write_text(str(max(own, forked)))
atexit.register(tell)
runpy.run_module("ansible_collections.sxops.pg_cutover.plugins.modules." + module, run_name="__main__")
"""


def peak_of(tenant: Tenant, module: str) -> int:
    """Run a module as a process of its own and return the most memory that it held, in octets."""
    told = tenant.sqlite_path.with_name("peak")
    args = {
        "source_id": tenant.source_id,
        "dsn": tenant.database.dsn,
        "sqlite_path": str(tenant.sqlite_path),
        "tenant_column": "",
    }
    process = subprocess.run(
        [sys.executable, "-c", MEASURED, str(told), module],
        input=json.dumps({"ANSIBLE_MODULE_ARGS": args}),
        env=environment(PYTHONPATH=str(home() / "collections")),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert process.stdout.strip(), process.stderr
    result: dict[str, Any] = json.loads(process.stdout)
    assert not result.get("failed"), result
    return int(told.read_text()) * 1024


def peaks(tenant: Tenant, folder: Path, blobs: int, size: int) -> dict[str, int]:
    """Load and compare a table of so many blobs of a size, and return the peak of each module."""
    large = Tenant(tenant.database, folder / f"{blobs}.db")
    large.sqlite(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT, body BLOB)",
        *(f"INSERT INTO t VALUES ({number}, 'blob', randomblob({size}))" for number in range(blobs)),
    )
    large.create_schema("CREATE TABLE t (id int PRIMARY KEY, name text, body bytea)")
    found = {module: peak_of(large, module) for module in ("tenant_load", "tenant_parity")}
    assert large.postgres("SELECT count(*), sum(length(body)) FROM t") == [(blobs, blobs * size)]
    large.sqlite_path.unlink()
    large.drop_schema()
    return found


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="only Linux tells the peak of a process")
def test_s47_memory_does_not_grow_with_the_number_of_large_values(tenant: Tenant, tmp_path: Path) -> None:
    size = 3 * MEGABYTE
    few, many = peaks(tenant, tmp_path, 3, size), peaks(tenant, tmp_path, 9, size)
    for module, peak in many.items():
        assert peak < few[module] + 2 * size, f"{module}: {few[module]} octets for three values, {peak} for nine"


@pytest.mark.slow
@pytest.mark.parametrize("server", ["embedded"], indirect=True)  # one is enough: it is our own memory
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="only Linux tells the peak of a process")
def test_s47_twelve_blobs_of_48_mb_are_loaded_and_compared_in_a_few_times_one_of_them(
    tenant: Tenant, tmp_path: Path
) -> None:
    size = 48 * MEGABYTE
    for module, peak in peaks(tenant, tmp_path, 12, size).items():
        assert peak < 4 * size, f"{module}: {peak} octets"
