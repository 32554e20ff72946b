# SPDX-License-Identifier: GPL-3.0-or-later
"""Every request names its profile; this middleware finds it, prepares its store, and signs the answer."""

from __future__ import annotations

from starlette.concurrency import run_in_threadpool
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp

from .backend import Backend
from .names import checked_source_id
from .refusal import Refusal, refusal_response
from .settings import Settings

_WITHOUT_SOURCE = ("/pipeline/profiles", "/config/profiles")
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


class TenancyMiddleware(BaseHTTPMiddleware):
    """Refuses what it must, early and without the x-sx headers; handlers' answers carry them."""

    def __init__(self, app: ASGIApp, settings: Settings, backend: Backend) -> None:
        super().__init__(app)
        self._settings = settings
        self._backend = backend

    async def dispatch(self, request: Request, call_next: RequestResponseEndpoint) -> Response:
        """Answer one request."""
        try:
            self._refuse_writes(request)
            if request.url.path.startswith(_WITHOUT_SOURCE):
                return await call_next(request)
            source_id = self._source_id(request)
            self._check_profile_index(request, source_id)
            request.state.backend_context = await run_in_threadpool(self._backend.prepare, source_id)
        except Refusal as refusal:
            request.state.error_code = refusal.error_code
            return refusal_response(refusal, request.state.request_id)
        request.state.source_id = source_id
        response = await call_next(request)
        response.headers["x-sx-source-id"] = source_id
        response.headers["x-sx-backend"] = self._backend.name
        response.headers["x-sx-request-id"] = request.state.request_id
        return response

    def _refuse_writes(self, request: Request) -> None:
        if self._settings.read_only and request.method not in _SAFE_METHODS:
            raise Refusal("Writes are blocked (DB_READ_ONLY=1)", status=403, error_code="DB_READ_ONLY")

    def _source_id(self, request: Request) -> str:
        named = request.query_params.get("source_id") or request.headers.get("x-sx-source-id") or ""
        if named.strip():
            return checked_source_id(named.strip())
        if self._settings.require_explicit_source:
            raise Refusal("Missing explicit source_id (query or X-SX-Source-ID)")
        return checked_source_id(self._settings.default_source_id)

    def _check_profile_index(self, request: Request, source_id: str) -> None:
        claimed = request.headers.get("x-sx-profile-index")
        if claimed is None or not self._settings.enforce_profile_match or not self._settings.profiles:
            return
        expected = self._settings.profile_index(source_id)
        if claimed.strip() != str(expected):
            raise Refusal(
                f"Profile/source mismatch: X-SX-Profile-Index {claimed!r} does not belong to source_id"
                f" '{source_id}' (expected {expected})"
            )
