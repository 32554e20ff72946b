# SPDX-License-Identifier: GPL-3.0-or-later
"""C(python -m benchmark.request_log): how long a large request log takes to read, and how much memory.

The log is made in C(build), of lines as the reference API writes them, and removed. The real module is run on it, with
its options on its standard input as Ansible gives them.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from .measured_process import Finished, run_measured

_BUILD = Path(__file__).resolve().parents[2] / "build"
_MODULE = "ansible_collections.sxops.pg_cutover.plugins.modules.request_log_info"
_ROUTES = ("/items", "/items/{item_id}", "/items/{item_id}/meta", "/search", "/stats", "/health")
_CODES = {200: "null", 201: "null", 404: '"HTTP_404"', 500: '"HTTP_500"'}
_START = 1795791600
_PER_SECOND = 250
MEGABYTE = 1_000_000


def write_log(path: Path, size: int) -> dict[str, int]:
    """Write a log of at least so many octets, and return how many requests and 5xx it holds."""
    chance = random.Random(5)
    requests = errors = written = 0
    with path.open("w", encoding="utf-8") as log:
        while written < size:
            second = datetime.fromtimestamp(_START + requests // _PER_SECOND, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
            statuses = chance.choices((200, 201, 404, 500), (950, 30, 18, 2), k=_PER_SECOND)
            routes = chance.choices(_ROUTES, k=_PER_SECOND)
            ids = chance.randbytes(16 * _PER_SECOND).hex()
            lines = [
                f'{{"timestamp": "{second}", "request_id": "{ids[32 * number : 32 * number + 32]}", '
                f'"route": "{route}", "status": {status}, "latency": {chance.expovariate(0.1):.2f}, '
                f'"error_code": {_CODES[status]}}}\n'
                for number, (status, route) in enumerate(zip(statuses, routes, strict=True))
            ]
            requests += _PER_SECOND
            errors += statuses.count(500)
            written += log.write("".join(lines))
    return {"requests": requests, "errors_5xx": errors}


def read_log(path: Path) -> tuple[dict[str, Any], Finished]:
    """Run the module on a log; return its result, and what the processes took."""
    options = {
        "ANSIBLE_MODULE_ARGS": {"paths": [str(path)], "exclude_request_ids": "^pg-cutover-", "last_seconds": 1e9}
    }
    done = run_measured([sys.executable, "-c", _RUN, _MODULE], given=json.dumps(options))
    if done.returncode:
        raise RuntimeError(done.stdout + done.stderr)
    return json.loads(done.stdout), done


# Ansible sends a module its options in a way that changes from release to release; what follows does not.
_RUN = """
import importlib, json, sys
from ansible.module_utils import basic
basic._ANSIBLE_ARGS = sys.stdin.buffer.read()
basic._ANSIBLE_PROFILE = "legacy"
importlib.import_module(sys.argv[1]).main()
"""


def _processor_seconds() -> float:
    """Return what all ended processes of this one have used."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> int:
    parser = argparse.ArgumentParser(prog="benchmark.request_log", description=__doc__)
    parser.add_argument("--megabytes", type=int, default=1000, help="how large the log is")
    parser.add_argument("--rounds", type=int, default=1, help="how often it is read")
    arguments = parser.parse_args()
    _BUILD.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=_BUILD, prefix="request_log_") as folder:
        path = Path(folder) / "requests.jsonl"
        expected = write_log(path, arguments.megabytes * MEGABYTE)
        size = path.stat().st_size
        print(f"{size / 1e6:.0f} MB, {expected['requests']} lines, {os.cpu_count()} cores")
        for _round in range(arguments.rounds):
            load, used = os.getloadavg()[0], _processor_seconds()
            result, done = read_log(path)
            used = _processor_seconds() - used
            if any(result[name] != number for name, number in expected.items()):
                raise RuntimeError(f"counted {result}, written {expected}")
            print(
                f"{done.seconds:.1f} s ({size / 1e6 / done.seconds:.0f} MB/s), {used:.1f} s of the processors' time,"
                f" at most {done.peak_mb:.0f} MiB in one process; load of the machine before: {load:.1f}"
            )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
