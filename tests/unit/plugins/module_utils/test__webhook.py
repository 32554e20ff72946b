# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The webhook, asked for real: it gets what it may know, and no failure names its address."""

from __future__ import annotations

import json
import socket
import threading
import typing as t
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from ansible_collections.sxops.pg_cutover.plugins.module_utils._errors import NoticeError
from ansible_collections.sxops.pg_cutover.plugins.module_utils._webhook import body_of, send

TOKEN = "T0ken-in-the-address"
NOTICE = {"event": "switched", "source_id": "assets_1", "trigger": "", "live_store": None, "automatic": False}


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.requests.append({"path": self.path, "headers": dict(self.headers), "body": json.loads(body)})
        self.send_response(self.server.status)
        self.send_header("Location", "/elsewhere")
        self.end_headers()

    def do_GET(self) -> None:
        self.server.requests.append({"path": self.path})
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_args: t.Any) -> None:
        pass


class Server(ThreadingHTTPServer):
    status = 204

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.requests: list[dict[str, t.Any]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/hook?{TOKEN}"


@pytest.fixture
def server() -> t.Iterator[Server]:
    found = Server()
    thread = threading.Thread(target=found.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield found
    found.shutdown()
    found.server_close()
    thread.join()


def test_it_gets_one_json_object_with_the_headers(server: Server) -> None:
    assert send(server.url, {"Authorization": "Bearer x", "X-Number": t.cast(str, 5)}, NOTICE, 5) == 204
    (found,) = server.requests
    assert found["path"] == f"/hook?{TOKEN}" and found["body"] == {
        "event": "switched", "source_id": "assets_1", "automatic": False,
    }  # fmt: skip
    assert found["headers"]["Authorization"] == "Bearer x" and found["headers"]["X-Number"] == "5"
    assert found["headers"]["Content-Type"] == "application/json"


@pytest.mark.parametrize("status", [500, 404, 302])
def test_another_status_is_a_failure_and_a_redirection_is_not_followed(server: Server, status: int) -> None:
    server.status = status
    with pytest.raises(NoticeError, match=f"did not take switched: it answered with status {status}") as caught:
        send(server.url, {}, NOTICE, 5)
    assert TOKEN not in caught.value.message() and len(server.requests) == 1


def test_nobody_there_and_no_answer_are_failures_without_the_address() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(NoticeError, match="connection refused") as refused:
        send(f"http://127.0.0.1:{port}/{TOKEN}", {}, NOTICE, 5)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        with pytest.raises(NoticeError, match=r"no whole answer within 0\.2 s") as hanging:
            send(f"http://127.0.0.1:{silent.getsockname()[1]}/{TOKEN}", {}, NOTICE, 0.2)
    for caught in (refused, hanging):
        assert TOKEN not in caught.value.message()


def test_what_is_no_tls_is_a_failure(server: Server) -> None:
    with pytest.raises(NoticeError, match="TLS failed") as caught:
        send(server.url.replace("http:", "https:"), {}, NOTICE, 5)
    assert TOKEN not in caught.value.message() and server.requests == []


@pytest.mark.parametrize("url", [f"file:///etc/{TOKEN}", TOKEN, f"http://127.0.0.1:port/{TOKEN}", f"http:///{TOKEN}"])
def test_an_address_that_is_none_is_a_failure_without_it(url: str) -> None:
    with pytest.raises(NoticeError) as caught:
        send(url, {}, NOTICE, 5)
    assert TOKEN not in caught.value.message()


def test_no_password_of_a_connection_string_is_in_the_body() -> None:
    body = body_of({"message": "cannot reach postgresql://u:hunter2@db/x", "token": "abc", "event": "failed"})
    assert b"hunter2" not in body and b"abc" not in body
