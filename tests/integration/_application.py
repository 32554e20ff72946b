# SPDX-License-Identifier: GPL-3.0-or-later
"""The least application that can be watched: it answers, errs or is silent as it is told, and writes a request log."""

from __future__ import annotations

import contextlib
import http.server
import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any


class Application(http.server.ThreadingHTTPServer):
    """C(status) is what it answers, after C(delay) seconds; C(asked) are the paths that it was asked for."""

    daemon_threads = True

    def __init__(self, log: Path) -> None:
        self.log = log
        self.status = 200
        self.delay = 0.0
        self.asked: list[str] = []
        self.meanwhile: Callable[[], object] = lambda: None  # done while it is being asked
        self.answer: dict[str, Any] = {"ok": True}
        super().__init__(("127.0.0.1", 0), _Handler)

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def served(self, count: int, status: int = 200, latency_ms: float = 5.0) -> None:
        """Write so many requests of users into the log."""
        line = {"route": "/items", "method": "GET", "status": status, "latency": latency_ms}
        moment = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime())
        with self.log.open("a", encoding="utf-8") as stream:
            stream.writelines(
                json.dumps({"timestamp": moment, "request_id": f"r{n}", **line}) + "\n" for n in range(count)
            )


class _Handler(http.server.BaseHTTPRequestHandler):
    server: Application

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        self.server.meanwhile()
        time.sleep(self.server.delay)
        body = json.dumps(self.server.answer).encode()
        with contextlib.suppress(OSError):  # whoever asked may have given up
            self.send_response(self.server.status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    def log_message(self, *_words: Any) -> None:
        """Say nothing."""


@contextlib.contextmanager
def application(log: Path) -> Iterator[Application]:
    """Serve until the end of the block."""
    with Application(log) as serving:
        thread = threading.Thread(target=serving.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield serving
        finally:
            serving.shutdown()
            thread.join()
