# SPDX-License-Identifier: GPL-3.0-or-later
"""The PostgreSQL cluster: made once, reachable over TCP on 127.0.0.1 only."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import psycopg2
from psycopg2 import sql

from .answering import GIVEN_UP
from .errors import StackError
from .layout import Layout, write_private
from .secrets_file import ADMIN_USER, APP_USER, DATABASE, SUPERUSER, Secrets
from .unprivileged import Launcher

_SETTINGS = """
# Written by the local stack.
listen_addresses = '127.0.0.1'
port = {port}
unix_socket_directories = ''
# Shared memory segments as files of the data directory: nothing in /dev/shm to leave behind.
dynamic_shared_memory_type = mmap
max_connections = 200
password_encryption = scram-sha-256
timezone = 'UTC'
log_timezone = 'UTC'
log_line_prefix = '%m [%p] %q%u@%d '
log_lock_waits = on
# A demo survives the crash of a process, not that of the machine.
fsync = off
full_page_writes = off
"""


def create_cluster(layout: Layout, bin_dir: Path, launcher: Launcher, secrets: Secrets, port: int) -> None:
    """Run initdb; a half-made cluster is thrown away first."""
    data = layout.postgres_data
    if (data / "stack.conf").exists():  # Written last.
        return
    shutil.rmtree(data, ignore_errors=True)
    data.mkdir(mode=0o700)
    launcher.hand_over(data)
    password_file = layout.postgres_ready.parent / "superuser-password"
    write_private(password_file, secrets.superuser_password + "\n")
    launcher.hand_over(password_file)
    try:
        # The built-in provider knows case beyond ASCII and sorts by code point, everywhere alike.
        done = subprocess.run(
            [
                *launcher.prefix,
                str(bin_dir / "initdb"),
                f"--pgdata={data}",
                f"--username={SUPERUSER}",
                f"--pwfile={password_file}",
                "--auth=scram-sha-256",
                "--encoding=UTF8",
                "--locale=C",
                "--locale-provider=builtin",
                "--builtin-locale=C.UTF-8",
                "--no-sync",
            ],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            cwd=data,
        )
    finally:
        password_file.unlink(missing_ok=True)
    if done.returncode != 0:
        raise StackError(f"initdb ({launcher.name}) failed:\n{done.stderr.strip() or done.stdout.strip()}")
    with (data / "postgresql.conf").open("a", encoding="utf-8") as handle:
        handle.write("include = 'stack.conf'\n")
    settings = data / "stack.conf"
    write_private(settings, _SETTINGS.format(port=port))
    launcher.hand_over(settings)


def postgres_command(layout: Layout, bin_dir: Path, launcher: Launcher) -> list[str]:
    """Return the command line of the server, to run in the foreground."""
    return [*launcher.prefix, str(bin_dir / "postgres"), "-D", str(layout.postgres_data)]


def wait_for_postgres(secrets: Secrets, state: Callable[[], str], timeout: float) -> None:
    """Wait until PostgreSQL lets the superuser in, as long as the service manager has not given it up."""
    deadline = time.monotonic() + timeout
    while True:
        try:
            psycopg2.connect(secrets.superuser_dsn, connect_timeout=2).close()
            return
        except psycopg2.OperationalError as error:
            if state() in GIVEN_UP or time.monotonic() > deadline:
                raise StackError(f"PostgreSQL does not answer: {' '.join(str(error).split())}") from error
            time.sleep(0.05)


def create_roles_and_database(layout: Layout, secrets: Secrets) -> None:
    """Create the two roles and the database, once."""
    if layout.postgres_ready.exists():
        return
    connection = psycopg2.connect(secrets.superuser_dsn)
    connection.autocommit = True
    with connection.cursor() as cursor:
        _ensure_role(cursor, APP_USER, secrets.app_password)
        _ensure_role(cursor, ADMIN_USER, secrets.admin_password)
        # For restore drills, which need a database of their own.
        cursor.execute(sql.SQL("ALTER ROLE {} CREATEDB").format(sql.Identifier(ADMIN_USER)))
        cursor.execute(sql.SQL("GRANT {} TO {}").format(sql.Identifier(APP_USER), sql.Identifier(ADMIN_USER)))
        cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", (DATABASE,))
        if cursor.fetchone() is None:
            cursor.execute(
                sql.SQL("CREATE DATABASE {} OWNER {}").format(sql.Identifier(DATABASE), sql.Identifier(ADMIN_USER))
            )
    connection.close()
    _grant_to_application(secrets)
    layout.postgres_ready.touch(mode=0o600)


def _ensure_role(cursor: psycopg2.extensions.cursor, name: str, password: str) -> None:
    cursor.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (name,))
    if cursor.fetchone() is None:
        cursor.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD %s").format(sql.Identifier(name)), (password,))


def _grant_to_application(secrets: Secrets) -> None:
    # The application creates and owns its tables, in public as well: it does not run with less.
    with psycopg2.connect(secrets.admin_dsn) as connection, connection.cursor() as cursor:
        for grant in ("CONNECT, CREATE, TEMPORARY ON DATABASE {database}", "USAGE, CREATE ON SCHEMA public"):
            cursor.execute(
                sql.SQL("GRANT " + grant + " TO {role}").format(
                    database=sql.Identifier(DATABASE), role=sql.Identifier(APP_USER)
                )
            )
    connection.close()
