# SPDX-License-Identifier: GPL-3.0-or-later
"""Talk to an API process, and run its command line, from the integration tests."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

DEMO_DIR = Path(__file__).resolve().parents[2] / "demo"

_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@dataclass(frozen=True)
class Answer:
    """An HTTP answer."""

    status: int
    headers: dict[str, str]
    text: str

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.text)


@dataclass(frozen=True)
class Api:
    """A running API process and a profile to talk about.

    ``source`` is sent as a header with every request; None sends none.
    """

    base_url: str
    source: str | None
    folder: Path
    environment: dict[str, str]

    def call(
        self,
        method: str,
        path: str,
        body: object = None,
        headers: dict[str, str] | None = None,
        timeout: float = 30,
    ) -> Answer:
        """Send a request and return the answer, whatever its status."""
        sent = {"Content-Type": "application/json", **(headers or {})}
        if self.source:
            sent.setdefault("X-SX-Source-ID", self.source)
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.base_url + path, data=data, headers=sent, method=method)
        try:
            with _OPENER.open(request, timeout=timeout) as response:
                return _answer(response.status, response.headers, response.read())
        except urllib.error.HTTPError as error:
            with error:
                return _answer(error.code, error.headers, error.read())

    def get(self, path: str, headers: dict[str, str] | None = None) -> Answer:
        """Send a GET."""
        return self.call("GET", path, headers=headers)

    def put(self, path: str, body: object) -> Answer:
        """Send a PUT."""
        return self.call("PUT", path, body)

    def as_source(self, source: str | None) -> Api:
        """Return the same process, spoken to for another profile."""
        return Api(self.base_url, source, self.folder, self.environment)

    def request_log(self) -> list[dict[str, Any]]:
        """Return the lines of the request log."""
        text = (self.folder / "request.jsonl").read_text(encoding="utf-8")
        return [json.loads(line) for line in text.splitlines()]


def _answer(status: int, headers: Any, body: bytes) -> Answer:
    return Answer(status, {name.lower(): value for name, value in headers.items()}, body.decode())


def free_port() -> int:
    """Return a port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def run_cli(environment: dict[str, str], *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run a command of the reference API."""
    return subprocess.run(
        [sys.executable, "-m", "reference_api", *arguments],
        env=environment,
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def clean_environment(**settings: str) -> dict[str, str]:
    """Return the environment of an API process: the caller's, less what it would read, plus settings."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("SX_", "PG", "DB_"))}
    path = os.pathsep.join(filter(None, (str(DEMO_DIR), kept.get("PYTHONPATH"))))
    return {**kept, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1", **settings}
