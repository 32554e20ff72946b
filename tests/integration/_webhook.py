# SPDX-License-Identifier: GPL-3.0-or-later
"""A webhook that can be nice, answer with another status, or never answer."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Webhook(ThreadingHTTPServer):
    """Takes notices: C(status) is what it answers with, and C(hangs) that it does not until it is released."""

    daemon_threads = True

    def __init__(self, status: int = 200, hangs: bool = False) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.status, self.hangs = status, hangs
        self.released = threading.Event()
        self.requests: list[dict[str, Any]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    @property
    def events(self) -> list[str]:
        return [found["body"]["event"] for found in self.requests]


class _Handler(BaseHTTPRequestHandler):
    server: Webhook

    def do_POST(self) -> None:
        raw = self.rfile.read(int(self.headers["Content-Length"]))
        found = {"path": self.path, "headers": dict(self.headers), "raw": raw.decode(), "body": json.loads(raw)}
        self.server.requests.append(found)
        if self.server.hangs:
            self.server.released.wait(60)
        with contextlib.suppress(OSError):
            self.send_response(self.server.status)
            self.end_headers()

    def log_message(self, *_args: Any) -> None:
        pass


@contextlib.contextmanager
def webhook(status: int = 200, hangs: bool = False) -> Iterator[Webhook]:
    """Run a webhook until the end."""
    server = Webhook(status, hangs)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield server
    finally:
        server.released.set()
        server.shutdown()
        server.server_close()
        thread.join()
