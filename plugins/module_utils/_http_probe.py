# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Ask an application over HTTP: every status is an answer, and no answer is a named error."""

from __future__ import annotations

import dataclasses
import http.client
import ipaddress
import json
import socket
import ssl
import time
import typing as t
import urllib.parse
import urllib.request

from ._errors import ProbeError
from ._http_failure import REMEDIES, probe_error

MAX_BODY = 16 * 1024 * 1024
_PATH_SAFE = "%/?:@!$&'()*+,;=~-._[]"


class Headers(t.Mapping[str, str]):
    """The headers of one answer; names match in any case, repeated ones are joined by a comma."""

    def __init__(self, pairs: t.Iterable[tuple[str, str]]) -> None:
        self._values: dict[str, str] = {}
        for name, value in pairs:
            low = name.lower()
            self._values[low] = f"{self._values[low]}, {value}" if low in self._values else value

    def __getitem__(self, name: str) -> str:
        return self._values[name.lower()]

    def __iter__(self) -> t.Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)


@dataclasses.dataclass(frozen=True)
class Response:
    """One answer, whatever its status. C(json) is None when the body is not JSON."""

    url: str
    status: int
    headers: Headers
    body: bytes
    json: t.Any
    latency_ms: float

    @property
    def text(self) -> str:
        return self.body.decode("utf-8", "replace")


@dataclasses.dataclass(frozen=True)
class Ready:
    """How long it took until the application answered as wanted."""

    duration_ms: int
    attempts: int
    response: Response


class _EveryStatus(urllib.request.HTTPErrorProcessor):
    """Hands every answer back as it came: no exception for a 4xx or 5xx, and no redirect is followed."""

    def http_response(self, request: t.Any, response: t.Any) -> t.Any:
        return response

    https_response = http_response


class Probe:
    """Asks one application.

    Args:
        base_url: Where it listens, C(http(s)://host[:port][/prefix]), without user or password.
        headers: Sent with every request.
        timeout_s: Seconds for one request, from connecting to the last byte.
        ca_path: File of the authority that signed the service's certificate; the system's by default.
        validate_certs: Whether the certificate and its host name must be valid.
        max_body: Largest answer taken, in bytes.

    Raises:
        ProbeError: The URL or the certificate file cannot be used.
    """

    def __init__(
        self,
        base_url: str,
        headers: t.Mapping[str, str] | None = None,
        timeout_s: float = 10.0,
        *,
        ca_path: str | None = None,
        validate_certs: bool = True,
        max_body: int = MAX_BODY,
    ) -> None:
        host = _host_of(base_url)
        self.base_url = base_url.rstrip("/")
        self.headers = dict(headers or {})
        self.timeout_s = timeout_s
        self.max_body = max_body
        proxies = urllib.request.ProxyHandler({}) if _is_loopback(host) else urllib.request.ProxyHandler()
        handlers: list[urllib.request.BaseHandler] = [proxies, _EveryStatus()]
        if self.base_url.lower().startswith("https:"):
            handlers.append(urllib.request.HTTPSHandler(context=_tls(base_url, ca_path, validate_certs)))
        self._opener = urllib.request.build_opener(*handlers)

    def url(self, path: str) -> str:
        """Return the full address of a path; characters that a URL cannot hold are percent-encoded."""
        return f"{self.base_url}/{urllib.parse.quote(path, safe=_PATH_SAFE).lstrip('/')}"

    def request(
        self,
        method: str,
        path: str,
        headers: t.Mapping[str, str | None] | None = None,
        json_body: t.Any = None,
        *,
        body: bytes | None = None,
        timeout_s: float | None = None,
    ) -> Response:
        """Ask once.

        Args:
            method: HTTP method.
            path: Path and query below the base URL.
            headers: Added to the probe's own; None removes one of those.
            json_body: Sent as JSON. C(body) is sent as it is instead.
            timeout_s: Seconds for this request, instead of the probe's own.

        Returns:
            The answer, whatever its status; redirects are answers too.

        Raises:
            ProbeError: There was no whole answer; facts C(url) and C(reason) (refused, reset, timeout, dns, tls,
                invalid_url, too_large, bad_answer, unreachable).
        """
        url = self.url(path)
        limit = self.timeout_s if timeout_s is None else timeout_s
        sent = merge_headers(self.headers, headers or {})
        if body is None and json_body is not None:
            body = json.dumps(json_body).encode("ascii")
            if not any(name.lower() == "content-type" for name in sent):
                sent["Content-Type"] = "application/json"
        if not any(name.lower() == "user-agent" for name in sent):
            sent["User-Agent"] = "sxops.pg_cutover"
        started = time.monotonic()
        try:
            ask = urllib.request.Request(url, data=body, headers=sent, method=method.upper())
            with self._opener.open(ask, timeout=limit) as answer:
                content = self._read(answer, url, started + limit)
                status, received = answer.status, Headers(answer.headers.items())
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise probe_error(method, url, error, limit) from error
        latency = round((time.monotonic() - started) * 1000, 1)
        return Response(url, status, received, content, _json_or_none(content), latency)

    def wait_until_ready(
        self,
        path: str,
        accept: t.Callable[[Response], bool],
        timeout_s: float,
        interval_s: float,
        *,
        clock: t.Callable[[], float] = time.monotonic,
        sleep: t.Callable[[float], None] = time.sleep,
    ) -> Ready:
        """Ask again and again until the answer is accepted.

        Args:
            path: Path to ask with GET.
            accept: Says whether an answer means ready.
            timeout_s: Seconds to go on trying; at least one attempt is made.
            interval_s: Seconds between two attempts.
            clock: Seconds, monotonic. C(sleep): waits so many seconds.

        Raises:
            ProbeError: Not ready in time, with the last answer or error; or the URL cannot be asked at all.
        """
        started = clock()
        attempts = 0
        while True:
            attempts += 1
            left = timeout_s - (clock() - started)
            try:
                response = self.request("GET", path, timeout_s=max(0.1, min(self.timeout_s, left)))
            except ProbeError as error:
                if error.facts.get("reason") == "invalid_url":
                    raise
                last, reason = error.why, error.facts.get("reason")
            else:
                if accept(response):
                    return Ready(round((clock() - started) * 1000), attempts, response)
                last, reason = f"status {response.status} {response.text[:200]!r}", "not_ready"
            waited = clock() - started
            if waited + interval_s >= timeout_s:
                raise ProbeError(
                    f"{self.url(path)} was not ready after {waited:.1f} s and {attempts} attempts",
                    f"the last one gave {last}",
                    "Read the application's log; raise wait_timeout if it only needs longer to start.",
                    url=self.url(path),
                    reason=reason,
                    attempts=attempts,
                    waited_ms=round(waited * 1000),
                )
            sleep(interval_s)

    def _read(self, answer: http.client.HTTPResponse, url: str, deadline: float) -> bytes:
        announced = answer.headers.get("Content-Length", "")
        expected = int(announced) if announced.isdigit() else None
        content = b""
        while expected is None or len(content) < expected:
            chunk = answer.read1(65536)
            if not chunk:
                break
            content += chunk
            if len(content) > self.max_body:
                raise ProbeError(
                    f"The answer of {url} is too large",
                    f"more than {self.max_body} bytes",
                    REMEDIES["too_large"],
                    url=url,
                    reason="too_large",
                )
            if time.monotonic() > deadline:
                raise socket.timeout("the answer did not end in time")
        if expected is not None and len(content) < expected and answer.status not in (204, 304):
            raise http.client.IncompleteRead(content, expected - len(content))
        return content


def merge_headers(defaults: t.Mapping[str, str], changes: t.Mapping[str, str | None]) -> dict[str, str]:
    """Return the default headers with the changes applied, names compared in any case; None removes one."""
    changed = {name.lower() for name in changes}
    merged = {name: value for name, value in defaults.items() if name.lower() not in changed}
    merged.update({name: str(value) for name, value in changes.items() if value is not None})
    return merged


def _host_of(base_url: str) -> str:
    why = ""
    try:
        parts = urllib.parse.urlsplit(base_url)
        host = parts.hostname or ""
        _unused = parts.port
    except ValueError as error:
        host, why = "", str(error)
    else:
        if parts.scheme not in ("http", "https"):
            why = "it does not start with http:// or https://"
        elif not host:
            why = "it names no host"
        elif parts.username is not None or parts.password is not None:
            why = "it carries a user or password, which would end up in logs; send them in secret_headers"
        elif parts.query or parts.fragment:
            why = "it carries a query or a fragment"
    if why:
        shown = base_url.rpartition("@")[2] if "@" in base_url else base_url
        raise ProbeError(
            f"The address {shown!r} cannot be asked",
            why,
            REMEDIES["invalid_url"],
            url=shown,
            reason="invalid_url",
        )
    return host


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _tls(base_url: str, ca_path: str | None, validate_certs: bool) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=ca_path)
    except (OSError, ValueError) as error:
        raise ProbeError(
            f"The certificate file {ca_path} cannot be used",
            str(error),
            "Give ca_path as a readable PEM file.",
            url=base_url,
            reason="tls",
        ) from error
    if not validate_certs:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _json_or_none(content: bytes) -> t.Any:
    try:
        return json.loads(content.decode("utf-8"))
    except (ValueError, RecursionError):
        return None
