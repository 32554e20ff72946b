# SPDX-License-Identifier: GPL-3.0-or-later
"""Put the application together."""

from __future__ import annotations

from fastapi import FastAPI, Request
from starlette.responses import Response

from . import API_VERSION
from .backend import backend_for
from .refusal import Refusal, refusal_response
from .request_log import RequestLogMiddleware
from .routes import admin, items, meta, notes, search, sources, status
from .settings import Settings
from .tenancy import TenancyMiddleware


def create_app(settings: Settings) -> FastAPI:
    """Return the application for these settings."""
    backend = backend_for(settings)
    app = FastAPI(title="sx reference API", version=API_VERSION)
    app.state.settings = settings
    app.state.backend = backend
    routers = [topic.router for topic in (status, items, meta, notes, search, sources, admin)]
    for router in routers:
        app.include_router(router)
    app.state.route_table = tuple(route for router in routers for route in router.routes)
    app.add_exception_handler(Refusal, _refused_by_a_handler)
    # The last one added is the outermost.
    app.add_middleware(TenancyMiddleware, settings=settings, backend=backend)
    app.add_middleware(RequestLogMiddleware, path=settings.request_log)
    return app


async def _refused_by_a_handler(request: Request, refusal: Exception) -> Response:
    assert isinstance(refusal, Refusal)
    request.state.error_code = refusal.error_code
    return refusal_response(refusal, request.state.request_id)
