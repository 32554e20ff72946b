# SPDX-License-Identifier: GPL-3.0-or-later
"""One JSON line per answered request, and the request id that ties the line to the answer."""

from __future__ import annotations

import json
import threading
import time
import uuid
from pathlib import Path

from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match
from starlette.types import ASGIApp

from .clock import utc_now


class RequestLogMiddleware(BaseHTTPMiddleware):
    """Outermost of the application's own middlewares: it sees early refusals and unhandled errors too.

    Args:
        app: The next application.
        path: File to append to; None keeps no log, request ids are given all the same.
    """

    def __init__(self, app: ASGIApp, path: Path | None) -> None:
        super().__init__(app)
        self._path = path
        self._lock = threading.Lock()

    async def dispatch(self, request: Request, call_next: RequestResponseEndpoint) -> Response:
        """Answer a request and write its line."""
        request.state.request_id = request.headers.get("x-request-id") or uuid.uuid4().hex
        request.state.error_code = None
        started = time.perf_counter()
        status = 500
        try:
            response = await call_next(request)
            status = response.status_code
            return response
        finally:
            self._write(request, status, (time.perf_counter() - started) * 1000)

    def _write(self, request: Request, status: int, latency: float) -> None:
        if self._path is None:
            return
        fallback = f"HTTP_{status}" if status >= 400 else None
        line = json.dumps(
            {
                "timestamp": utc_now(),
                "request_id": request.state.request_id,
                "route": route_template(request),
                "status": status,
                "latency": round(latency, 2),
                "error_code": request.state.error_code or fallback,
            }
        )
        with self._lock, self._path.open("a", encoding="utf-8") as log:
            log.write(line + "\n")


def route_template(request: Request) -> str:
    """Return the template of the request's route (C(/items/{id})), its path when no route matches.

    Looked up here because a refused request never reaches the router.
    """
    for route in request.app.state.route_table:
        match, _scope = route.matches(request.scope)
        if match is not Match.NONE:
            return str(getattr(route, "path", request.url.path))
    return request.url.path
