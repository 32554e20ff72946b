# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Why a request got no answer, in one word for programs and one sentence for people."""

from __future__ import annotations

import http.client
import socket
import ssl
import typing as t
import urllib.error

from ._errors import ProbeError

REMEDIES = {
    "refused": "Check that the service is running and listens on that address.",
    "dns": "Check the host name in base_url.",
    "invalid_url": "Give base_url as http(s)://host:port and a path that starts with a slash.",
    "timeout": "Check that the service is not stuck (a lock, a full disk, a database it waits for).",
    "tls": "Check ca_path and the host name in base_url against the service's certificate.",
    "too_large": "Ask a path with a smaller answer.",
}


def probe_error(method: str, url: str, error: Exception, limit: float) -> ProbeError:
    """Return the domain error for what a library raised while a request was made.

    Args:
        method: HTTP method.
        url: Full address.
        error: Anything that urllib, http.client, ssl or the socket raised.
        limit: The request's limit in seconds.
    """
    cause: t.Any = error
    while isinstance(cause, urllib.error.URLError) and isinstance(cause.reason, Exception):
        cause = cause.reason
    reason, why = _classify(cause, limit)
    remedy = REMEDIES.get(reason, "Read the application's log for that moment.")
    return ProbeError(f"{method.upper()} {url} got no answer", why, remedy, url=url, reason=reason)


def _classify(error: t.Any, limit: float) -> tuple[str, str]:
    if isinstance(error, socket.gaierror):
        return "dns", f"the host name is not known ({error.strerror})"
    if isinstance(error, (socket.timeout, TimeoutError)):
        return "timeout", f"no whole answer within {limit:g} s"
    if isinstance(error, ConnectionRefusedError):
        return "refused", "connection refused, nothing listens there"
    if isinstance(error, (ConnectionError, http.client.IncompleteRead)):
        return "reset", f"the connection was cut before the answer was complete ({error})"
    if isinstance(error, ssl.SSLError):
        return "tls", f"TLS failed ({error})"
    if isinstance(error, (http.client.InvalidURL, ValueError)):
        return "invalid_url", f"the request cannot be formed ({error})"
    if isinstance(error, http.client.HTTPException):
        return "bad_answer", f"what came back is not HTTP ({error})"
    return "unreachable", str(getattr(error, "strerror", None) or error)
