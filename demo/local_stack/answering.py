# SPDX-License-Identifier: GPL-3.0-or-later
"""Wait until the API processes answer, and say something useful when one does not."""

from __future__ import annotations

import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

from .errors import StackError
from .profiles import Service

_NO_PROXY = urllib.request.build_opener(urllib.request.ProxyHandler({}))
GIVEN_UP = ("FATAL", "EXITED")
_TAIL_LINES = 20


def answers(service: Service) -> bool:
    """Tell whether a service answers at all: in PostgreSQL mode a 400 is an answer too."""
    request = urllib.request.Request(
        f"{service.base_url}/health",
        headers={"X-SX-Source-ID": service.profile, "X-Request-ID": "local-stack"},
    )
    try:
        with _NO_PROXY.open(request, timeout=15):
            return True
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False


def ask(base_url: str, path: str, profile: str) -> str:
    """Return status, backend and the beginning of the answer to a question, for a person to read."""
    request = urllib.request.Request(f"{base_url}{path}", headers={"X-SX-Source-ID": profile})
    try:
        with _NO_PROXY.open(request, timeout=15) as response:
            status, headers, body = response.status, response.headers, response.read()
    except urllib.error.HTTPError as error:
        status, headers, body = error.code, error.headers, error.read()
    except OSError as error:
        return f"no answer ({error})"
    text = body.decode(errors="replace")
    return f"{status}  x-sx-backend: {headers.get('x-sx-backend')}  {text[:200]}{'…' if len(text) > 200 else ''}"


def wait_until_answering(service: Service, log: Path, state: Callable[[], str], timeout: float) -> None:
    """Wait for a service, at most so long.

    Args:
        service: The service.
        log: Its output, quoted in the error.
        state: Returns what the service manager thinks of it.
        timeout: In seconds.
    """
    deadline = time.monotonic() + timeout
    while not answers(service):
        now = state()
        if now in GIVEN_UP or time.monotonic() > deadline:
            raise StackError(f"{service.name} does not answer at {service.base_url} (state {now})\n{tail(log)}")
        time.sleep(0.1)


def wait_until_routed(base_url: str, profile: str, log: Path, timeout: float) -> None:
    """Wait until the router has found an instance for a profile, at most so long.

    Args:
        base_url: Where the router answers.
        profile: The profile.
        log: The router's output, quoted in the error.
        timeout: In seconds.
    """
    deadline = time.monotonic() + timeout
    while (said := ask(base_url, "/health", profile)).startswith(("503", "no answer")):
        if time.monotonic() > deadline:
            raise StackError(f"the router does not answer for {profile} at {base_url}: {said}\n{tail(log)}")
        time.sleep(0.1)


def tail(log: Path) -> str:
    """Return the last lines of a log, with its name."""
    try:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()[-_TAIL_LINES:]
    except OSError:
        return f"{log}: no output"
    return "\n".join([f"last lines of {log}:", *(f"  {line}" for line in lines)])
