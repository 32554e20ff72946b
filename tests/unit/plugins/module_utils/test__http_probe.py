# SPDX-License-Identifier: GPL-3.0-or-later
"""The probe against real sockets: servers that answer, stall, cut the line or lie about their answer."""

from __future__ import annotations

import http.server
import json
import socket
import threading
import time

import pytest
from ansible_collections.sxops.pg_cutover.plugins.module_utils._errors import ProbeError
from ansible_collections.sxops.pg_cutover.plugins.module_utils._http_probe import Headers, Probe, merge_headers


class Answers(http.server.BaseHTTPRequestHandler):
    """One path per habit."""

    seen: list[tuple[str, str, dict[str, str], bytes]]

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.seen.append((self.command, self.path, dict(self.headers.items()), body))  # type: ignore[attr-defined]
        getattr(self, "do_" + self.path.partition("?")[0].strip("/").replace("-", "_"), self.do_json)()

    do_PUT = do_POST = do_GET

    def answer(self, status: int, body: bytes, kind: str = "application/json", **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_json(self) -> None:
        self.answer(200, b'{"ok": true}', X_Sx_Backend="sqlite")

    def do_error(self) -> None:
        self.answer(500, b"Internal Server Error", "text/plain")

    def do_missing(self) -> None:
        self.answer(404, b'{"detail": "Not found"}')

    def do_empty(self) -> None:
        self.answer(204, b"")

    def do_redirect(self) -> None:
        self.answer(302, b"", Location="/json")

    def do_slow(self) -> None:
        time.sleep(2)
        self.do_json()

    def do_drip(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "1000")
        self.end_headers()
        for _turn in range(30):
            try:
                self.wfile.write(b"x")
                self.wfile.flush()
            except OSError:
                return
            time.sleep(0.1)

    def do_huge(self) -> None:
        self.answer(200, b"x" * 200_000, "text/plain")

    def do_short(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "1000")
        self.end_headers()
        self.wfile.write(b'{"ok": true}')

    def do_repeated(self) -> None:
        self.send_response(200)
        self.send_header("Vary", "a")
        self.send_header("Vary", "b")
        self.end_headers()

    def do_deep(self) -> None:
        self.answer(200, b"[" * 100_000)

    def log_message(self, *_args: object) -> None:
        pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answers)
        self.seen: list[tuple[str, str, dict[str, str], bytes]] = []


@pytest.fixture
def server():
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        yield running
        running.shutdown()
        thread.join()


@pytest.fixture
def base(server):
    return f"http://127.0.0.1:{server.server_address[1]}"


def raw_server(reply):
    """A listener that treats its first connections as told and gives its URL."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                connection, _address = listener.accept()
            except OSError:
                return
            connection.recv(65536)
            reply(connection)

    threading.Thread(target=serve, daemon=True).start()
    return listener, f"http://127.0.0.1:{listener.getsockname()[1]}"


def refused(call) -> ProbeError:
    with pytest.raises(ProbeError) as raised:
        call()
    return raised.value


def test_an_answer(base, server):
    answer = Probe(base + "/", {"X-A": "1", "X-B": "2"}).request("get", "json?q=a b&r=ä#x", {"x-b": None, "X-C": "3"})
    assert (answer.status, answer.json, answer.body) == (200, {"ok": True}, b'{"ok": true}')
    assert answer.headers["X-SX-BACKEND"] == "sqlite"
    assert answer.latency_ms > 0
    _method, path, headers, _body = server.seen[0]
    assert path == "/json?q=a%20b&r=%C3%A4%23x"
    assert headers["X-A"] == "1" and headers["X-C"] == "3" and "X-B" not in {name.title() for name in headers}


def test_json_is_sent(base, server):
    Probe(base).request("PUT", "/json", json_body={"markdown": "Zoë\u2028 \ud83d"})
    method, _path, headers, body = server.seen[0]
    assert (method, headers["Content-Type"]) == ("PUT", "application/json")
    assert json.loads(body) == {"markdown": "Zoë\u2028 \ud83d"}


def test_a_raw_body_is_sent_as_it_is(base, server):
    Probe(base).request("POST", "/json", {"Content-Type": "text/plain"}, body=b"as it is")
    assert server.seen[0][3] == b"as it is"


@pytest.mark.parametrize(("path", "status"), [("/error", 500), ("/missing", 404), ("/empty", 204)])
def test_every_status_is_an_answer(base, path, status):
    assert Probe(base).request("GET", path).status == status


def test_text_is_not_json(base):
    answer = Probe(base).request("GET", "/error")
    assert answer.json is None
    assert answer.text == "Internal Server Error"


def test_json_too_deep_is_no_json(base):
    assert Probe(base).request("GET", "/deep").json is None


def test_redirects_are_not_followed(base, server):
    answer = Probe(base).request("GET", "/redirect")
    assert (answer.status, answer.headers["location"]) == (302, "/json")
    assert len(server.seen) == 1


def test_repeated_headers_are_joined(base):
    assert Probe(base).request("GET", "/repeated").headers["vary"] == "a, b"


def test_refused():
    with socket.create_server(("127.0.0.1", 0)) as closed:
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"
    error = refused(lambda: Probe(url).request("GET", "/health"))
    assert error.facts == {"url": f"{url}/health", "reason": "refused"}
    assert "GET " + url in error.message() and "service is running" in error.message()


@pytest.mark.parametrize("path", ["/slow", "/drip"])
def test_timeout(base, path):
    started = time.monotonic()
    error = refused(lambda: Probe(base, timeout_s=0.4).request("GET", path))
    assert error.facts["reason"] == "timeout"
    assert time.monotonic() - started < 1.5


def test_cut_before_and_within_an_answer(base):
    listener, url = raw_server(lambda connection: connection.close())
    with listener:
        assert refused(lambda: Probe(url).request("GET", "/")).facts["reason"] == "reset"
    assert refused(lambda: Probe(base).request("GET", "/short")).facts["reason"] == "reset"


def test_reset():
    def reset(connection: socket.socket) -> None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
        connection.close()

    listener, url = raw_server(reset)
    with listener:
        assert refused(lambda: Probe(url).request("GET", "/")).facts["reason"] == "reset"


def test_not_http():
    def greet(connection: socket.socket) -> None:
        connection.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")
        connection.close()

    listener, url = raw_server(greet)
    with listener:
        assert refused(lambda: Probe(url).request("GET", "/")).facts["reason"] == "bad_answer"


def test_too_large(base):
    assert refused(lambda: Probe(base, max_body=1000).request("GET", "/huge")).facts["reason"] == "too_large"


def test_unknown_host():
    error = refused(lambda: Probe("http://no-such-host.invalid").request("GET", "/"))
    assert error.facts["reason"] == "dns"


@pytest.mark.parametrize(
    "url", ["", "127.0.0.1:80", "ftp://host", "http://", "http://host:port", "http://host/?a=b", "http://[::1"]
)
def test_an_address_that_cannot_be_asked(url):
    assert refused(lambda: Probe(url)).facts["reason"] == "invalid_url"


def test_a_password_in_the_address_is_refused_and_not_shown():
    error = refused(lambda: Probe("http://me:s3cret@127.0.0.1:1"))
    assert "s3cret" not in error.message() + str(error.facts)


def test_a_header_cannot_be_split(base, server):
    error = refused(lambda: Probe(base).request("GET", "/json", {"X-A": "1\r\nX-B: 2"}))
    assert error.facts["reason"] == "invalid_url"
    assert not server.seen


def test_a_path_never_leads_to_another_host(base, server):
    Probe(base).request("GET", "@evil.example/x")
    Probe(base).request("GET", "//evil.example/x")
    assert [path for _m, path, _h, _b in server.seen] == ["/@evil.example/x", "/evil.example/x"]


def test_the_environment_s_proxy_is_not_used_for_loopback(base, monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    assert Probe(base).request("GET", "/json").status == 200


def test_tls_options(tmp_path, base):
    assert refused(lambda: Probe("https://h", ca_path=str(tmp_path / "none.pem"))).facts["reason"] == "tls"
    plain = base.replace("http:", "https:")
    assert refused(lambda: Probe(plain, validate_certs=False).request("GET", "/")).facts["reason"] == "tls"


def test_wait_until_ready(base):
    answers = iter([500, 404, 200])
    waits: list[float] = []
    ready = Probe(base).wait_until_ready("/json", lambda _a: next(answers) == 200, 60, 0.5, sleep=waits.append)
    assert (ready.attempts, waits, ready.response.status) == (3, [0.5, 0.5], 200)
    assert ready.duration_ms >= 0


def test_wait_while_nothing_listens_yet():
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    started: list[http.server.ThreadingHTTPServer] = []

    def start(_seconds: float) -> None:
        if not started:
            started.append(http.server.ThreadingHTTPServer(("127.0.0.1", port), Answers))
            started[0].seen = []  # type: ignore[attr-defined]
            threading.Thread(target=started[0].serve_forever, daemon=True).start()

    ready = Probe(f"http://127.0.0.1:{port}").wait_until_ready("/json", lambda a: a.status == 200, 20, 0.1, sleep=start)
    assert ready.attempts == 2
    started[0].shutdown()
    started[0].server_close()


def test_wait_ends_with_the_last_answer(base):
    error = refused(lambda: Probe(base).wait_until_ready("/error", lambda a: a.status == 200, 0.3, 0.1))
    assert "status 500" in error.message() and "Internal Server Error" in error.message()
    assert error.facts["attempts"] >= 2 and 100 <= error.facts["waited_ms"] <= 1000
    assert error.facts["url"] == f"{base}/error"


def test_wait_is_bounded_by_a_stuck_application(base):
    started = time.monotonic()
    error = refused(lambda: Probe(base, timeout_s=30).wait_until_ready("/slow", lambda a: True, 0.5, 0.1))
    assert error.facts["reason"] == "timeout"
    assert time.monotonic() - started < 1.5


def test_merging_headers_ignores_case():
    assert merge_headers({"X-A": "1", "X-B": "2"}, {"x-a": None, "x-c": 3}) == {"X-B": "2", "x-c": "3"}
    assert dict(Headers([("A", "1")])) == {"a": "1"}
