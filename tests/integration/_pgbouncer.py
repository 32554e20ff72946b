# SPDX-License-Identifier: GPL-3.0-or-later
"""A real PgBouncer in front of a real PostgreSQL."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import time
import urllib.parse
from collections.abc import Iterator
from pathlib import Path

import psycopg2
import pytest
from _servers import require_debian_binaries
from api_client import free_port
from local_stack.unprivileged import choose_launcher

# Set in CI, where a program that is not installed is a failure and no reason to skip.
REQUIRED = "PG_CUTOVER_REQUIRE_PGBOUNCER"
_SECONDS = 30

_CONFIG = """
[databases]
* = host={host} port={port}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {own_port}
unix_socket_dir =
auth_type = scram-sha-256
auth_file = {users}
pool_mode = {mode}
default_pool_size = {size}
server_round_robin = {turns}
server_tls_sslmode = {tls}
ignore_startup_parameters = extra_float_digits,options
"""


def require_pgbouncer() -> Path:
    """Return the program, or end the test: skipped, or failed where CI asks for it."""
    found = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")
    if found is None:
        reason = "PgBouncer is not installed (apt-get install pgbouncer)"
        if os.environ.get(REQUIRED):
            pytest.fail(f"{reason}, and {REQUIRED} is set")
        pytest.skip(reason)
    return Path(found)


@contextlib.contextmanager
def pgbouncer(
    folder: Path, dsn: str, mode: str, size: int = 5, turns: bool = False, tls: str = "disable"
) -> Iterator[str]:
    """Start PgBouncer in front of a server and return the way through it; it is stopped at the end.

    Args:
        folder: An empty folder for its files.
        dsn: The way into the server, with a password.
        mode: C(session), C(transaction) or C(statement).
        size: How many sessions of the server it has at the most.
        turns: Whether it hands them out by turns; the last one first otherwise.
        tls: Its C(server_tls_sslmode).
    """
    program = require_pgbouncer()
    parts = urllib.parse.urlsplit(dsn)
    launcher = choose_launcher(require_debian_binaries(), folder)  # it refuses to run as root, as PostgreSQL does
    users, config, port = folder / "users.txt", folder / "pgbouncer.ini", free_port()
    users.write_text(f'"{parts.username}" "{urllib.parse.unquote(parts.password or "")}"\n', encoding="utf-8")
    server = {"host": parts.hostname, "port": parts.port, "tls": tls}
    text = _CONFIG.format(own_port=port, users=users, mode=mode, size=size, turns=int(turns), **server)
    config.write_text(text, encoding="utf-8")
    for path in (folder, users, config):
        launcher.hand_over(path)
    log = folder / "pgbouncer.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*launcher.prefix, str(program), str(config)],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    through = parts._replace(netloc=f"{parts.netloc.rpartition('@')[0]}@127.0.0.1:{port}").geturl()
    try:
        deadline = time.monotonic() + _SECONDS
        while True:
            try:
                psycopg2.connect(through, connect_timeout=2).close()
                break
            except psycopg2.OperationalError as error:
                assert process.poll() is None and time.monotonic() < deadline, f"{error}\n{log.read_text()}"
                time.sleep(0.05)
        yield through
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)
