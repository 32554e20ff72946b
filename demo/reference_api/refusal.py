# SPDX-License-Identifier: GPL-3.0-or-later
"""Answers the application gives on purpose before a handler runs; all else that goes wrong is a bare 500."""

from __future__ import annotations

from starlette.responses import JSONResponse


class Refusal(Exception):
    """A request refused with a clear detail.

    Args:
        detail: What the caller reads.
        status: HTTP status.
        error_code: Code for the request log; None leaves the C(HTTP_<status>) fallback.
    """

    def __init__(self, detail: str, status: int = 400, error_code: str | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.status = status
        self.error_code = error_code


def refusal_response(refusal: Refusal, request_id: str) -> JSONResponse:
    """Render a refusal in the application's early-answer shape (it carries none of the x-sx headers)."""
    body: dict[str, object] = {"ok": False, "detail": refusal.detail, "request_id": request_id}
    if refusal.error_code:
        body["error_code"] = refusal.error_code
    return JSONResponse(body, status_code=refusal.status)
