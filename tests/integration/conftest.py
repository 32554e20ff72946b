# SPDX-License-Identifier: GPL-3.0-or-later
"""Real processes for the integration tests: one small stack per session, API processes on demand."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

# Test modules are imported without their folder on the path.
for folder in (*Path(__file__).resolve().parents[:2], Path(__file__).resolve().parents[2] / "demo"):
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))

from _servers import Server, debian_server  # noqa: E402 - the path above makes it importable
from api_client import Api, clean_environment, free_port  # noqa: E402
from local_stack.stack import Stack  # noqa: E402


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A running stack with 400 items in assets_1 and 100 in assets_2."""
    small = Stack(tmp_path_factory.mktemp("stack") / "state")
    small.up(items=400)
    yield small
    small.down(purge=True)


@pytest.fixture(scope="session")
def debian_postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Debian's PostgreSQL with a cluster of its own, started by the first test that asks for it."""
    with debian_server(tmp_path_factory.mktemp("debian_postgres")) as running:
        yield running


@pytest.fixture(scope="module", params=["embedded", "debian"])
def server(request: pytest.FixtureRequest) -> Server:
    """Each PostgreSQL server in turn: whatever loads or compares rows is to be tested on both."""
    if request.param == "debian":
        return request.getfixturevalue("debian_postgres")
    return Server("embedded", request.getfixturevalue("stack").secrets()["superuser_dsn"])


@pytest.fixture(scope="module")
def start_api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Api]]:
    """Start API processes with given settings; they end with the module."""
    processes: list[subprocess.Popen[bytes]] = []

    def start(source: str | None = "assets_1", **settings: str) -> Api:
        folder = tmp_path_factory.mktemp("api")
        port = free_port()
        defaults = {
            "SX_DB_PATH": str(folder / "sx.db"),
            "SX_API_LOG": str(folder / "request.jsonl"),
            "SX_PROFILES": "assets_1,assets_2",
        }
        environment = clean_environment(**{**defaults, **settings, "SX_API_PORT": str(port)})
        output = (folder / "output.log").open("wb")
        command = [sys.executable, "-m", "reference_api"]
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=output, stderr=subprocess.STDOUT)
        processes.append(process)
        output.close()
        api = Api(f"http://127.0.0.1:{port}", source, folder, environment)
        deadline = time.monotonic() + 30
        while True:
            try:
                # The one path that names no profile and therefore writes nothing anywhere.
                api.as_source(None).get("/config/profiles")
                return api
            except OSError:
                assert process.poll() is None and time.monotonic() < deadline, (folder / "output.log").read_text()
                time.sleep(0.05)

    yield start
    for process in processes:
        process.terminate()
    for process in processes:
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)
