# SPDX-License-Identifier: GPL-3.0-or-later
"""A real HAProxy in front of two small servers, for the tests of the route."""

from __future__ import annotations

import contextlib
import http.client
import http.server
import os
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from _ansible import wait_for
from api_client import free_port
from local_stack.binaries import find_haproxy

# Set in CI, where a program that is not installed is a failure and no reason to skip.
REQUIRED = "PG_CUTOVER_REQUIRE_HAPROXY"

_CONFIG = """
global
    stats socket {socket} mode 600 level {level}
    stats socket ipv4@127.0.0.1:{runtime_port} level admin
defaults
    mode http
    timeout connect 2s
    timeout client 10s
    timeout server 10s
frontend everyone
    bind 127.0.0.1:{port}
    use_backend %[req.hdr(X-SX-Source-ID),map_str({map},nowhere)]
backend one
    server one 127.0.0.1:{one}
backend two
    server two 127.0.0.1:{two}
backend dead
    server dead 127.0.0.1:{dead} check inter 100ms fall 1
backend nowhere
    http-request return status 404
"""


def require_haproxy() -> Path:
    """Return the program, or end the test: skipped, or failed where CI asks for it."""
    found = find_haproxy()
    if found is None:
        reason = "HAProxy is not installed (apt-get install haproxy)"
        if os.environ.get(REQUIRED):
            pytest.fail(f"{reason}, and {REQUIRED} is set")
        pytest.skip(reason)
    return found


class Named(http.server.BaseHTTPRequestHandler):
    """Answers every request with the name of its server."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        body = str(self.server.name).encode()  # type: ignore[attr-defined]
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments: object) -> None:
        """Say nothing."""


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_arguments: object) -> None:
        """Say nothing: a connection of HAProxy's that breaks off when it is killed is no news."""


class Router:
    """HAProxy with a map below a folder; C(start), C(stop) and C(kill) it at will.

    Args:
        folder: For its configuration, socket and map.
        one: The port of the server behind backend V(one).
        two: That behind V(two).
    """

    def __init__(self, folder: Path, one: int, two: int, level: str = "admin") -> None:
        self.socket, self.map = folder / "haproxy.sock", folder / "route.map"
        self.port, self.runtime_port = free_port(), free_port()
        self.map.write_text("# profiles\nassets_1 one\nassets_2 one\n", encoding="ascii")
        self._config, self._log = folder / "haproxy.cfg", folder / "haproxy.log"
        self._process: subprocess.Popen[bytes] | None = None
        text = _CONFIG.format(**vars(self), level=level, one=one, two=two, dead=free_port())
        self._config.write_text(text, encoding="ascii")

    def start(self) -> None:
        """Start it and wait until it serves."""
        with self._log.open("ab") as output:
            command = [str(require_haproxy()), "-db", "-f", str(self._config)]
            self._process = process = subprocess.Popen(command, stdout=output, stderr=output)

        def serves() -> bool:
            assert process.poll() is None, self._log.read_text(encoding="utf-8")
            with contextlib.suppress(OSError):
                return bool(self.ask("assets_1"))
            return False

        wait_for(serves, "HAProxy to serve", 20)

    def stop(self, kill: bool = False) -> None:
        """Stop or kill it."""
        if self._process:
            (self._process.kill if kill else self._process.terminate)()
            self._process.wait(20)
            self._process = None

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """The running process."""
        assert self._process
        return self._process

    def ask(self, profile: str, connection: http.client.HTTPConnection | None = None) -> str:
        """Return what answers a profile: the name of the server, or the status when it is no 200."""
        used = connection or http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            used.request("GET", "/", headers={"X-SX-Source-ID": profile})
            answer = used.getresponse()
            body = answer.read().decode()
        finally:
            if connection is None:
                used.close()
        return body if answer.status == 200 else str(answer.status)


@contextlib.contextmanager
def named_server(name: str) -> Iterator[int]:
    """Run a server that answers with its name; its port."""
    server = _Server(("127.0.0.1", 0), Named)
    server.name = name  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
