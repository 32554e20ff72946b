# SPDX-License-Identifier: GPL-3.0-or-later
"""The two PostgreSQL servers that rows are loaded into: the embedded one of the stack, and Debian's.

They differ in version and build (Debian's has ICU), and on purpose in the default collation: the embedded one sorts by
code point, Debian's by the rules of a language, as many servers do.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import psycopg2
import pytest
from api_client import free_port
from local_stack.unprivileged import Launcher, choose_launcher

# Set in CI, where a server that is not installed is a failure and no reason to skip.
REQUIRED = "PG_CUTOVER_REQUIRE_DEBIAN_POSTGRES"
_INSTALLED = Path("/usr/lib/postgresql")
_ICU_AS_DEFAULT = 15  # the first version in which a cluster may sort by ICU
_SECONDS = 60
_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "dynamic_shared_memory_type": "mmap",  # nothing in /dev/shm to leave behind
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "timezone": "Asia/Kathmandu",  # UTC+05:45: a time that is shifted on its way shows
}


@dataclass(frozen=True)
class Server:
    """A running server and the superuser's way into its database C(postgres)."""

    name: str
    superuser_dsn: str


def debian_binaries() -> Path | None:
    """Return the folder of the newest PostgreSQL that Debian's packages installed, None where there is none."""
    found = [path.parent for path in _INSTALLED.glob("*/bin/initdb") if path.parents[1].name.isdigit()]
    return max(found, key=lambda folder: int(folder.parent.name), default=None)


def require_debian_binaries() -> Path:
    """Return L(debian_binaries), or end the test: skipped, or failed where CI asks for this server."""
    found = debian_binaries()
    if found is None:
        reason = f"Debian's PostgreSQL is not installed (apt-get install postgresql; looked into {_INSTALLED})"
        if os.environ.get(REQUIRED):
            pytest.fail(f"{reason}, and {REQUIRED} is set")
        pytest.skip(reason)
    return found


@contextlib.contextmanager
def debian_server(
    folder: Path, prepare: Callable[[Path, Launcher], Mapping[str, str]] | None = None
) -> Iterator[Server]:
    """Start Debian's PostgreSQL with a new cluster below the folder; it is stopped at the end, whatever happened.

    Args:
        folder: An existing folder for its files.
        prepare: Is given the folder of the cluster before it is started, and returns more settings.
    """
    binaries = require_debian_binaries()
    launcher = choose_launcher(binaries, folder)
    password = secrets.token_urlsafe(16)
    data = _new_cluster(binaries, launcher, folder, password)
    more = prepare(data, launcher) if prepare else {}
    port = free_port()
    options = [f"--{name}={value}" for name, value in {**_SETTINGS, "port": str(port), **more}.items()]
    log = folder / "postgres.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*launcher.prefix, str(binaries / "postgres"), "-D", str(data), *options],
            cwd=data,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        dsn = f"postgresql://postgres:{password}@127.0.0.1:{port}/postgres"
        _wait_until_it_answers(dsn, process, log)
        yield Server(f"debian {binaries.parent.name}", dsn)
    finally:
        process.send_signal(signal.SIGINT)  # what pg_ctl stop -m fast sends
        try:
            process.wait(_SECONDS)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGQUIT)
            process.wait(_SECONDS)


def _new_cluster(binaries: Path, launcher: Launcher, folder: Path, password: str) -> Path:
    data, password_file = folder / "data", folder / "password"
    data.mkdir(mode=0o700)
    password_file.write_text(password, encoding="ascii")
    for path in (data, password_file):
        launcher.hand_over(path)
    linguistic = ["--locale-provider=icu", "--icu-locale=en-US"]
    command = [
        *launcher.prefix,
        str(binaries / "initdb"),
        f"--pgdata={data}",
        "--username=postgres",
        f"--pwfile={password_file}",
        "--auth=scram-sha-256",
        "--encoding=UTF8",
        "--locale=C.UTF-8",
        *(linguistic if int(binaries.parent.name) >= _ICU_AS_DEFAULT else []),
        "--no-sync",
    ]
    done = subprocess.run(command, cwd=data, capture_output=True, text=True, timeout=_SECONDS, check=False)
    password_file.unlink()
    assert done.returncode == 0, f"initdb ({launcher.name}) failed:\n{done.stderr}"
    return data


def _wait_until_it_answers(dsn: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _SECONDS
    while True:
        try:
            psycopg2.connect(dsn, connect_timeout=2).close()
            return
        except psycopg2.OperationalError as error:
            text = re.sub(r"\s+", " ", str(error))
            assert process.poll() is None and time.monotonic() < deadline, f"{text}\n{log.read_text()}"
            time.sleep(0.05)
