# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lines of each format, as the programs wrote them: nginx 1.22.1, Apache 2.4.71, gunicorn and uvicorn 0.54.0."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ansible_collections.sxops.pg_cutover.plugins.module_utils import _pattern_line
from ansible_collections.sxops.pg_cutover.plugins.module_utils._errors import BadInput
from ansible_collections.sxops.pg_cutover.plugins.module_utils._log_lines import Counting
from ansible_collections.sxops.pg_cutover.plugins.module_utils._request_fields import Excluded, Malformed
from ansible_collections.sxops.pg_cutover.plugins.module_utils._request_line import parser_for
from ansible_collections.sxops.pg_cutover.plugins.module_utils._request_tally import RequestTally

AT = 1795791942.0  # 2026-11-27T15:05:42Z
# The referer and the client's name, as each of them escapes the quotation marks.
QUOTED = {
    "{nginx}": r'"http://ref.example/?a=\x22b\x22" "He said \x22hi\x22 [1]"',
    "{apache}": r'"http://ref.example/?a=\"b\"" "He said \"hi\" [1]"',
}
NGINX = r"""
127.0.0.1 - - [27/Nov/2026:15:05:42 +0000] "GET /app.py?token=hunter2 HTTP/1.1" 200 480 {nginx}
127.0.0.1 - - [27/Nov/2026:15:05:42 +0000] "GET /missing/123/x HTTP/1.1" 404 153 {nginx}
127.0.0.1 - - [27/Nov/2026:15:05:42 +0000] "\x16\x03\x01\x22x" 400 157 "-" "-"
"""
NGINX_TIMED = r"""
127.0.0.1 - - [27/Nov/2026:15:05:42 +0000] "GET /a%20b HTTP/1.1" 404 153 {nginx} 0.019
127.0.0.1 - - [27/Nov/2026:15:05:42 +0000] "\x16\x03\x01\x22x" 400 157 "-" "-" "-" rt=0.019 uct="-"
"""
APACHE = r"""
127.0.0.1 - - [27/Nov/2026:15:05:42 +0000] "GET /app.py?token=hunter2 HTTP/1.1" 200 684 {apache}
127.0.0.1 - - [27/Nov/2026:15:05:42 +0000] "GET /boom HTTP/1.1" 503 529
127.0.0.1 - frank [27/Nov/2026:16:05:42 +0100] "\x16\x03\x01\"x" 400 448
localhost:80 127.0.0.1 - - [27/Nov/2026:15:05:42 +0000] "GET /boom HTTP/1.1" 503 529 {apache} 213
"""
GUNICORN = r"""
127.0.0.1 - - [27/Nov/2026:15:05:42 +0000] "GET /boom HTTP/1.1" 500 0 {apache}
"""
UVICORN = """
INFO:     Started server process [29483]
INFO:     Uvicorn running on http://127.0.0.1:18744 (Press CTRL+C to quit)
INFO:     127.0.0.1:54800 - "GET /app.py?token=hunter2 HTTP/1.1" 200 OK
ERROR:    Exception in ASGI application
Traceback (most recent call last):
    if scope["path"]=="/raise": raise RuntimeError("token=hunter2")
RuntimeError: token=hunter2
INFO:     127.0.0.1:54844 - "GET /raise HTTP/1.1" 500 Internal Server Error
WARNING:  Invalid HTTP request received.
\x1b[32mINFO\x1b[0m:     127.0.0.1:39374 - "\x1b[1mGET /items/77 HTTP/1.1\x1b[0m" \x1b[91m404 Not Found\x1b[0m
"""


def lines(text: str) -> list[str]:
    for name, quoted in QUOTED.items():
        text = text.replace(name, quoted)
    return text.strip().split("\n")


@pytest.mark.parametrize(
    "text, expected",
    [
        (
            NGINX,
            [
                (AT, 200, "/app.py", None, None),
                (AT, 404, "/missing/{id}/x", None, "HTTP_404"),
                (AT, 400, "(not HTTP)", None, "HTTP_400"),
            ],
        ),
        (NGINX_TIMED, [(AT, 404, "/a%20b", 19.0, "HTTP_404"), (AT, 400, "(not HTTP)", 19.0, "HTTP_400")]),
        (
            APACHE,
            [
                (AT, 200, "/app.py", None, None),
                (AT, 503, "/boom", None, "HTTP_503"),
                (AT, 400, "(not HTTP)", None, "HTTP_400"),
                (AT, 503, "/boom", None, "HTTP_503"),  # %D counts microseconds, which nothing tells
            ],
        ),
        (GUNICORN, [(AT, 500, "/boom", None, "HTTP_500")]),
    ],
)
def test_combined(text: str, expected: list[Any]) -> None:
    assert [parser_for("combined").request(line) for line in lines(text)] == expected


def test_uvicorn() -> None:
    found = [parser_for("uvicorn").request(line) for line in lines(UVICORN)]
    assert [request for request in found if request] == [
        (None, 200, "/app.py", None, None),
        (None, 500, "/raise", None, "HTTP_500"),
        (None, 404, "/items/{id}", None, "HTTP_404"),
    ]


@pytest.mark.parametrize(
    "before",
    [
        "2026-11-27T15:05:42Z ",
        "2026-11-27 16:05:42,000+0100 ",
        "[2026-11-27 15:05:42.000+00:00] ",
        "2026-11-27 15:05:42Z - uvicorn.access - INFO - ",
    ],
)
def test_uvicorn_with_a_time_in_front(before: str) -> None:
    line = before + 'INFO:     127.0.0.1:1 - "GET /x HTTP/1.1" 200 OK'
    assert parser_for("uvicorn").request(line) == (AT, 200, "/x", None, None)


@pytest.mark.parametrize(
    "path, route",
    [
        ("/items/7/notes/8?q=1", "/items/{id}/notes/{id}"),
        ("/files/8fe6034b249d45f6be08b9267f444e18", "/files/{id}"),
        ("/files/8FE6034B-249d-45f6-be08-b9267f444e18/", "/files/{id}/"),
        ("/v2/deadbeef", "/v2/deadbeef"),
        ("/" + "x" * 500, "/" + "x" * 199),
    ],
)
def test_paths_are_counted_without_what_tells_one_row_from_another(path: str, route: str) -> None:
    found = parser_for("uvicorn").request(f'INFO:     127.0.0.1:1 - "GET {path} HTTP/1.1" 200 OK')
    assert found is not None and found[2] == route


SEED = (
    '{"request_id":"8fe6034b249d45f6be08b9267f444e18","route":"/api/manage/upload-pdf","status":201,"latency":24.37,'
    '"error_code":null}'
)


@pytest.mark.parametrize(
    "line, expected",
    [
        (SEED, (None, 201, "/api/manage/upload-pdf", 24.37, None)),
        ('{"status": 404, "route": "/x?token=hunter2"}', (None, 404, "/x", None, "HTTP_404")),
        ('{"status": "503", "latency": "7", "error_code": "DOWN"}\r', (None, 503, "(no route)", 7.0, "DOWN")),
        (' {"status": 200, "latency": 5, "time": 1795791942000}', (AT, 200, "(no route)", 5, None)),
        ('{"status": 200, "ts": 1795791942.5}', (AT + 0.5, 200, "(no route)", None, None)),
        ('{"status": 200, "@timestamp": "2026-11-27T15:05:42.250Z"}', (AT + 0.25, 200, "(no route)", None, None)),
        ('{"status": 200, "timestamp": "2026-11-27T17:05:42+02:00"}', (AT, 200, "(no route)", None, None)),
        ('{"status": 200, "timestamp": "yesterday"}', (None, 200, "(no route)", None, None)),
        ('{"status": 200, "timestamp": "2026-02-30T17:05:42Z"}', (None, 200, "(no route)", None, None)),
    ],
)
def test_json(line: str, expected: Any) -> None:
    assert parser_for("json").request(line) == expected


@pytest.mark.parametrize(
    "form, line",
    [
        ("json", "password=hunter2"),
        ("json", '{"status": 200, "route": "/hunter2"'),
        ("json", '{"status": 200} {"hunter2": 1}'),
        ("json", "[200]"),
        ("json", '{"status": true}'),
        ("json", '{"status": 99}'),
        ("json", '{"status": 600, "route": "/hunter2"}'),
        ("json", '{"message": "hunter2"}'),
        ("json", '{"status": 200, "latency": -1}'),
        ("json", '{"status": 200, "latency": NaN}'),
        ("json", '{"status": 200, "latency": "hunter2"}'),
        ("json", '{"status": 200, "latency": ' + "9" * 400 + "}"),
        ("json", "[" * 100_000),
        ("combined", "hunter2 was here"),
        ("combined", '127.0.0.1 - - [27/Nov/2026:15:05:42 +0000] "GET /hunter2'),
        ("combined", '127.0.0.1 - - [27/Nov/2026:15:05:42 +0000] "GET / HTTP/1.1" 000 0'),
        ("uvicorn", 'INFO:     127.0.0.1:1 - "GET /hunter2'),
    ],
)
def test_malformed_and_nothing_of_it_is_told(form: str, line: str) -> None:
    with pytest.raises(Malformed) as caught:
        parser_for(form).request(line)
    assert "hunter2" not in str(caught.value)


PATTERN = (
    r"^(?P<time>\S+) (?P<request_id>\S+) (?P<path>\S+) (?P<status>\d{3}) (?P<latency_us>\d+|-) (?P<error_code>\S*)$"
)


def test_regex() -> None:
    parser = parser_for("regex", PATTERN, "^own-")
    line = "2026-11-27T15:05:42Z r-1 /items/5?x=1 500 1500 DOWN"
    assert parser.request(line) == (AT, 500, "/items/{id}", 1.5, "DOWN")
    assert parser.request(line.replace("1500", "-")) == (AT, 500, "/items/{id}", None, "DOWN")
    with pytest.raises(Excluded):
        parser.request(line.replace("r-1", "own-1"))
    with pytest.raises(Malformed, match="does not match"):
        parser.request("something else")
    with pytest.raises(Malformed, match="longer"):
        parser.request(line + "x" * 9000)


@pytest.mark.parametrize("unit, latency", [("latency_s", 2000.0), ("latency_ms", 2.0), ("latency_us", 0.002)])
def test_regex_units(unit: str, latency: float) -> None:
    parser = parser_for("regex", rf"(?P<status>\d+) (?P<route>\S+) (?P<{unit}>\d+)")
    assert parser.request("200 /a 2") == (None, 200, "/a", latency, None)


@pytest.mark.parametrize(
    "form, pattern, exclude, message",
    [
        ("regex", None, None, "needs a pattern"),
        ("json", "x", None, "takes no pattern"),
        ("regex", "(", None, "pattern is not a regular expression"),
        ("json", None, "[", "exclude_request_ids is not a regular expression"),
        ("regex", r"(\d+)", None, "no group named status"),
        ("regex", r"(?P<status>\d+)(?P<stat>x)", None, "mean nothing here: stat"),
        ("regex", r"(?P<status>1)(?P<latency_s>2)(?P<latency_ms>3)", None, "the same thing twice"),
        ("regex", r"(?P<status>1)(?P<route>2)(?P<path>3)", None, "the same thing twice"),
        ("xml", None, None, "no format 'xml'"),
    ],
)
def test_what_cannot_be_used_is_refused(form: str, pattern: str | None, exclude: str | None, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        parser_for(form, pattern, exclude)


def test_an_expression_that_might_never_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_pattern_line, "SECONDS_FOR_A_MEGABYTE", 0.3)
    counting = Counting(parser_for("regex", r"^(\w+\s?)+(?P<status>\d{3})$"), RequestTally())
    counting.add(b"word 200\n")
    assert counting.tally.requests == 1
    with pytest.raises(BadInput, match="takes too long"):
        counting.add(b"a" * 200 + b"!\n")


def test_our_own_requests_are_left_out() -> None:
    parser = parser_for("json", None, "^pg-cutover-")
    with pytest.raises(Excluded):
        parser.request(json.dumps({"status": 200, "request_id": "pg-cutover-assets_1"}))
    assert parser.request('{"status": 200, "request_id": null}') is not None
    assert parser.request('{"status": 200, "request_id": "x-pg-cutover-"}') is not None
