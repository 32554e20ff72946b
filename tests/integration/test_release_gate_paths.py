# SPDX-License-Identifier: GPL-3.0-or-later
"""The gates on the way to PostgreSQL: a real PgBouncer in between, and real certificates."""

from __future__ import annotations

import contextlib
import datetime
import ipaddress
import socket
import subprocess
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from _pgbouncer import pgbouncer
from _servers import Server, debian_server
from ansible_collections.sxops.pg_cutover.plugins.module_utils import _gate_measures
from ansible_collections.sxops.pg_cutover.plugins.module_utils._gate_look import GateLook
from ansible_collections.sxops.pg_cutover.plugins.module_utils._verdict import FAILED, PASSED, Check
from local_stack.unprivileged import Launcher


def own_address() -> str:
    """Return an address of this machine that is none of the loopback's; nothing is sent."""
    with contextlib.closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            pytest.skip("this machine has no address beside the loopback's")
        address = str(probe.getsockname()[0])
    if ipaddress.ip_address(address).is_loopback:
        pytest.skip("this machine has no address beside the loopback's")
    return address


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate of the server for its address, which is its own authority, and another one of nobody."""
    folder = tmp_path_factory.mktemp("certificates")
    for name, address in (("server", own_address()), ("other", "192.0.2.77")):
        files = ["-keyout", str(folder / f"{name}.key"), "-out", str(folder / f"{name}.crt")]
        subject = ["-subj", f"/CN={address}", "-addext", f"subjectAltName=IP:{address}"]
        command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *files, *subject]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def encrypted(certificates: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Debian's PostgreSQL on every address, with TLS for whoever wants it."""

    def prepare(data: Path, launcher: Launcher) -> dict[str, str]:
        for name in ("server.key", "server.crt"):
            path = data / name
            path.write_bytes((certificates / name).read_bytes())
            path.chmod(0o600)
            launcher.hand_over(path)
        with (data / "pg_hba.conf").open("a", encoding="utf-8") as rules:
            rules.write("host all all 0.0.0.0/0 scram-sha-256\n")
        return {"ssl": "on", "listen_addresses": "*"}

    with debian_server(tmp_path_factory.mktemp("encrypted"), prepare) as server:
        yield server


def measured(gate: str, dsn: str, app_dsn: str | None = None) -> Check:
    params: dict[str, Any] = {
        "source_id": "a",
        "schema_prefix": "sx",
        "schema_name": None,
        "dsn": dsn,
        "app_dsn": app_dsn or dsn,
        "require_tls": True,
        "connect_timeout": 5,
    }
    look = GateLook(params, lambda *_args, **_more: (0, "", ""), datetime.datetime.now(datetime.UTC), [])
    try:
        found = _gate_measures.measure(gate, look)
    finally:
        look.close()
    assert isinstance(found, Check)
    return found


def at(server: Server, host: str, **parameters: str) -> str:
    parts = urllib.parse.urlsplit(server.superuser_dsn)
    netloc = f"{parts.netloc.rpartition('@')[0]}@{host}:{parts.port}"
    return parts._replace(netloc=netloc, query=urllib.parse.urlencode(parameters)).geturl()


@pytest.mark.parametrize(
    ("parameters", "verdict", "part"),
    [
        ({"sslmode": "disable"}, FAILED, "without encryption"),
        ({"sslmode": "prefer"}, FAILED, "is believed (sslmode=prefer)"),
        ({"sslmode": "require"}, FAILED, "is believed (sslmode=require)"),
        ({"sslmode": "verify-ca"}, PASSED, "is verified (sslmode=verify-ca)"),
        ({"sslmode": "verify-full"}, PASSED, "is verified (sslmode=verify-full)"),
    ],
)
def test_what_leaves_the_host_is_encrypted_and_verified(
    encrypted: Server, certificates: Path, parameters: dict[str, str], verdict: str, part: str
) -> None:
    given = dict(parameters)
    if given["sslmode"].startswith("verify"):
        given["sslrootcert"] = str(certificates / "server.crt")
    found = measured("tls", at(encrypted, own_address(), **given))
    assert found.verdict == verdict and part in found.message, found
    assert ("sslmode=verify-full" in found.message) is (verdict == FAILED or "verify-full" in part)


def test_either_connection_has_to_be(encrypted: Server, certificates: Path) -> None:
    verified = {"sslmode": "verify-full", "sslrootcert": str(certificates / "server.crt")}
    good, bad = at(encrypted, own_address(), **verified), at(encrypted, own_address(), sslmode="disable")
    for dsn, app_dsn in ((good, bad), (bad, good)):
        assert measured("tls", dsn, app_dsn).verdict == FAILED
    assert measured("tls", good, at(encrypted, "127.0.0.1")).verdict == PASSED


def test_what_stays_on_the_host_need_not_be(encrypted: Server) -> None:
    found = measured("tls", at(encrypted, "127.0.0.1", sslmode="disable"))
    assert found.verdict == PASSED and "does not leave the host" in found.message


def test_a_server_that_cannot_be_verified_is_not_reached(encrypted: Server, certificates: Path) -> None:
    parameters = {"sslmode": "verify-full", "sslrootcert": str(certificates / "other.crt")}
    found = measured("tls", at(encrypted, own_address(), **parameters))
    assert found.verdict == "not_verified" and "certificate verify failed" in found.message


# Poolers


@pytest.mark.parametrize(
    ("mode", "size", "turns"),
    [("transaction", 1, False), ("transaction", 5, False), ("transaction", 2, True), ("transaction", 5, True)],
)
def test_a_pooler_that_shares_sessions_is_found(
    debian_postgres: Server, tmp_path: Path, mode: str, size: int, turns: bool
) -> None:
    with pgbouncer(tmp_path, debian_postgres.superuser_dsn, mode, size, turns) as through:
        # As many sessions of the server as it may have, so that there is something to confuse.
        with contextlib.ExitStack() as stack:
            for _number in range(size):
                connection = stack.enter_context(contextlib.closing(psycopg2.connect(through)))
                connection.cursor().execute("SELECT 1")
        found = measured("search_path_sessions", debian_postgres.superuser_dsn, through)
        assert found.verdict == FAILED and "pool_mode = session" in found.message, found
        # Whoever of the application comes next finds nothing of ours.
        for _number in range(2 * size):
            with contextlib.closing(psycopg2.connect(through)) as connection, connection.cursor() as cursor:
                cursor.execute("SELECT current_setting('search_path'), to_regclass('pg_temp.pg_cutover_probe')")
                assert cursor.fetchone() == ('"$user", public', None)


def test_a_pooler_that_keeps_sessions_apart_is_none_of_our_business(debian_postgres: Server, tmp_path: Path) -> None:
    with pgbouncer(tmp_path, debian_postgres.superuser_dsn, "session") as through:
        found = measured("search_path_sessions", debian_postgres.superuser_dsn, through)
        assert found.verdict == PASSED, found


@pytest.mark.parametrize(("tls", "verdict"), [("disable", FAILED), ("require", PASSED)])
def test_a_pooler_on_this_host_that_goes_on_to_another(
    encrypted: Server, tmp_path: Path, tls: str, verdict: str
) -> None:
    with pgbouncer(tmp_path, at(encrypted, own_address()), "session", tls=tls) as through:
        found = measured("tls", at(encrypted, "127.0.0.1"), through)
    assert found.verdict == verdict and "goes on from 127.0.0.1 to a server that sees" in found.message, found
