# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Tell a webhook what happened: one JSON object by POST. No message names the address, which may hold a token."""

from __future__ import annotations

import http.client
import json
import typing as t
import urllib.error
import urllib.request

from ._errors import NoticeError
from ._http_failure import probe_error
from ._ledger import without_secrets


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirection is an answer: another address would get the headers, and a POST become a GET."""

    def redirect_request(self, *_args: t.Any, **_more: t.Any) -> None:
        return None


def body_of(notice: t.Mapping[str, t.Any]) -> bytes:
    """Return the body of the request: what is known of the notice, secrets masked."""
    known = {key: value for key, value in without_secrets(dict(notice)).items() if value not in (None, "")}
    return json.dumps(known, ensure_ascii=False, sort_keys=True).encode("utf-8")


def send(url: str, headers: t.Mapping[str, str], notice: t.Mapping[str, t.Any], timeout: float) -> int:
    """Send the notice and return the status of the answer, which is one of success.

    Args:
        url: The address, http or https.
        headers: More headers.
        notice: What happened.
        timeout: How many seconds each step of the connection may take.

    Raises:
        NoticeError: Nobody answered, or with another status.
    """
    event = str(notice.get("event") or "notice")
    try:
        if not url.startswith(("http://", "https://")):
            raise NoticeError(f"The webhook did not get {event}", "its address is none of http or https")
        request = urllib.request.Request(url, data=body_of(notice), method="POST")
        request.add_header("Content-Type", "application/json")
        for name, value in headers.items():
            request.add_header(name, str(value))
        with urllib.request.build_opener(_NoRedirect).open(request, timeout=timeout) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        error.close()
        raise NoticeError(f"The webhook did not take {event}", f"it answered with status {error.code}") from error
    except (OSError, ValueError, http.client.HTTPException) as error:
        why = probe_error("POST", "the webhook", error, timeout).why
        raise NoticeError(f"The webhook did not get {event}", why.replace(url, "its address")) from error
