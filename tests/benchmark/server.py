# SPDX-License-Identifier: GPL-3.0-or-later
"""A PostgreSQL server that lives as long as the benchmark, with the settings that its initdb chose."""

from __future__ import annotations

import contextlib
import re
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg2
from local_stack.binaries import postgres_bin_dir
from local_stack.errors import StackError
from local_stack.ports import choose_free_ports
from local_stack.unprivileged import Launcher, choose_launcher
from psycopg2 import sql

USER = "bench"
SHOWN_SETTINGS = (
    *("server_version", "shared_buffers", "max_wal_size", "wal_level", "maintenance_work_mem", "work_mem"),
    *("max_parallel_maintenance_workers", "fsync", "full_page_writes", "synchronous_commit"),
)
_DEBIAN = Path("/usr/lib/postgresql")
# Without md5 some builds of pgloader cannot log in.
_SETTINGS = """
listen_addresses = '127.0.0.1'
port = {port}
unix_socket_directories = ''
password_encryption = md5
"""


@dataclass(frozen=True)
class Server:
    """A running server; C(bin_dir) holds its client programs too where they are part of the same build."""

    port: int
    password: str
    bin_dir: Path

    def dsn(self, database: str) -> str:
        return f"postgresql://{USER}:{self.password}@127.0.0.1:{self.port}/{database}"

    def run(self, database: str, statement: sql.Composable | str) -> list[tuple[object, ...]]:
        """Run one statement outside a transaction block and return its rows."""
        with contextlib.closing(psycopg2.connect(self.dsn(database))) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(statement)
                return cursor.fetchall() if cursor.description else []

    def fresh_database(self, name: str) -> None:
        """Create a database anew, and leave nothing of what came before to be written to the disk meanwhile."""
        self.run("postgres", sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))
        self.run("postgres", sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(sql.Identifier(name)))
        self.run("postgres", "CHECKPOINT")

    def settings(self) -> dict[str, str]:
        return {name: str(self.run("postgres", f"SHOW {name}")[0][0]) for name in SHOWN_SETTINGS}


def find_binaries(kind: str) -> Path:
    """Return the folder of a server's programs.

    Args:
        kind: C(debian) for the newest one that is installed as a Debian package, C(embedded) for the one of the
            Python package, C(any) for the first of these that there is.

    Raises:
        StackError: There is none.
    """
    found = [path.parent for path in _DEBIAN.glob("*/bin/initdb")] if kind != "embedded" else []
    if found:
        return max(found, key=lambda path: int(re.sub(r"\D.*", "", path.parent.name) or 0))
    if kind == "debian":
        raise StackError(f"no PostgreSQL server below {_DEBIAN}: apt-get install postgresql")
    return postgres_bin_dir()


@contextlib.contextmanager
def throw_away_server(bin_dir: Path, folder: Path) -> Iterator[Server]:
    """Start a new cluster in a folder of its own; both are gone at the end."""
    folder.mkdir(parents=True, exist_ok=True)
    home = Path(tempfile.mkdtemp(prefix="cluster-", dir=folder))
    try:
        launcher = choose_launcher(bin_dir, home)
        server = Server(choose_free_ports(["postgres"])["postgres"], secrets.token_hex(16), bin_dir)
        data = _create(home, launcher, server)
        with (home / "server.log").open("wb") as log:
            process = subprocess.Popen(
                [*launcher.prefix, str(bin_dir / "postgres"), "-D", str(data)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=data,
            )
        try:
            _wait_until_answering(server, process, home / "server.log")
            yield server
        finally:
            process.send_signal(signal.SIGINT)  # fast shutdown
            process.wait()
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _create(home: Path, launcher: Launcher, server: Server) -> Path:
    data = home / "data"
    data.mkdir(mode=0o700)
    password_file = home / "password"
    password_file.touch(mode=0o600)
    password_file.write_text(server.password, encoding="ascii")
    for path in (data, password_file):
        launcher.hand_over(path)
    done = subprocess.run(
        [
            *launcher.prefix,
            str(server.bin_dir / "initdb"),
            f"--pgdata={data}",
            f"--username={USER}",
            f"--pwfile={password_file}",
            "--auth=md5",
            "--encoding=UTF8",
            "--locale=C",
        ],
        capture_output=True,
        text=True,
        cwd=data,
        check=False,
    )
    if done.returncode:
        raise StackError(f"initdb failed:\n{done.stderr.strip() or done.stdout.strip()}")
    with (data / "postgresql.conf").open("a", encoding="ascii") as file:
        file.write(_SETTINGS.format(port=server.port))
    return data


def _wait_until_answering(server: Server, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 30
    while True:
        try:
            psycopg2.connect(server.dsn("postgres"), connect_timeout=2).close()
            return
        except psycopg2.OperationalError as error:
            if process.poll() is not None or time.monotonic() > deadline:
                raise StackError(f"PostgreSQL does not answer:\n{log.read_text(errors='replace')}") from error
            time.sleep(0.05)
