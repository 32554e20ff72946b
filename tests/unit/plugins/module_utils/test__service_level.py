# SPDX-License-Identifier: GPL-3.0-or-later
"""How an application serves: a real HTTP server that is well, and instances that are not."""

from __future__ import annotations

import collections
import http.server
import json
import socket
import threading
import typing as t
from collections.abc import Iterator

import pytest
from ansible_collections.sxops.pg_cutover.plugins.module_utils._errors import BadInput, ProbeError
from ansible_collections.sxops.pg_cutover.plugins.module_utils._service_level import ServiceLevel, percentiles
from hypothesis import given
from hypothesis import strategies as st


class Application(http.server.ThreadingHTTPServer):
    """Answers what its path says: C(/200), C(/503); and remembers what it was asked."""

    daemon_threads = True
    allow_reuse_address = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answers)
        self.asked: list[tuple[str, str, dict[str, str]]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def paths(self) -> collections.Counter[str]:
        return collections.Counter(path for _method, path, _headers in self.asked)


class Answers(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        application = t.cast("Application", self.server)
        application.asked.append((self.command, self.path, {k.lower(): v for k, v in self.headers.items()}))
        content = json.dumps({"ok": True, "key": self.headers.get("X-Api-Key")}).encode()
        self.send_response(int(self.path.strip("/").partition("/")[0]))
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: t.Any) -> None:
        """Say nothing."""


@pytest.fixture
def application() -> Iterator[Application]:
    server = Application()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def nobody() -> Iterator[str]:
    """An address that nothing listens at."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"


def level(*urls: str, paths: t.Sequence[str] = ("/200",), **params: t.Any) -> ServiceLevel:
    instances = [{"name": f"api-{number}", "base_url": url} for number, url in enumerate(urls, 1)]
    checks = [{"name": path.strip("/"), "path": path, "expect_json": {"ok": True}, "json": None} for path in paths]
    given: dict[str, t.Any] = {"source_id": "assets_1", "timeout": 5, "instances": instances, "ready_checks": checks}
    return ServiceLevel({**given, **params})


def test_an_instance_that_answers_is_ready(application: Application) -> None:
    (served,) = level(application.url, paths=("/200/a", "/200/{source_id}"), headers={"X-Source": "{source_id}"}).ask()
    assert (served.ready, served.failure, served.asked, served.errors_5xx) == (True, "", 2, 0)
    assert [check.name for check in served.checks] == ["200/a", "200/{source_id}"]
    assert [path for _method, path, _headers in application.asked] == ["/200/a", "/200/assets_1"]
    assert {headers["x-source"] for _method, _path, headers in application.asked} == {"assets_1"}
    assert served.latency_ms == max(served.latencies_ms) and len(served.latencies_ms) == 2


def test_every_instance_is_asked_and_each_is_told_of(application: Application, nobody: str) -> None:
    first, second, third = level(nobody, application.url, f"{application.url}/503").ask()
    assert [one.instance for one in (first, second, third)] == ["api-1", "api-2", "api-3"]
    assert [one.ready for one in (first, second, third)] == [False, True, False]
    assert [one.errors_5xx for one in (first, second, third)] == [0, 0, 1]
    assert first.latency_ms is None and "connection refused" in first.failure
    assert "status 503 instead of 200" in third.failure
    assert [check.name for check in (*first.checks, *third.checks)] == ["200 at api-1", "200 at api-3"]


def test_an_answer_that_is_not_the_right_one_is_not_ready(application: Application) -> None:
    checks = [{"name": "backend", "path": "/200", "expect_json": {"ok": False}}]
    (served,) = level(application.url, ready_checks=checks).ask()
    assert (served.ready, served.errors_5xx) == (False, 0)
    assert "ok is True instead of False" in served.failure


def test_ready_checks_are_asked_in_turn(application: Application) -> None:
    pauses: list[float] = []
    served = level(application.url, application.url, paths=("/200/a", "/503/b")).ask_often(5, 0.25, sleep=pauses.append)
    assert [(one.asked, one.errors_5xx, len(one.latencies_ms)) for one in served] == [(5, 2, 5)] * 2
    assert application.paths() == {"/200/a": 6, "/503/b": 4}
    assert pauses == [0.25] * 8


def test_only_those_that_are_named_are_asked_often(application: Application, nobody: str) -> None:
    (served,) = level(nobody, application.url).ask_often(3, 0, ["api-2"])
    assert (served.instance, served.asked) == ("api-2", 3)


def test_who_does_not_answer_is_not_asked_again(nobody: str) -> None:
    (served,) = level(nobody).ask_often(50, 0)
    assert (served.asked, served.latencies_ms, served.latency_ms) == (1, (), None)


def test_a_secret_header_is_sent_and_not_shown(application: Application) -> None:
    checks = [{"name": "key", "path": "/200", "expect_json": {"key": "other"}}]
    (served,) = level(application.url, ready_checks=checks, secret_headers={"X-Api-Key": "s3cret-s3cret"}).ask()
    assert application.asked[0][2]["x-api-key"] == "s3cret-s3cret"
    assert "s3cret" not in str(served) and "********" in str(served)


def test_a_plan_names_what_would_be_asked(application: Application) -> None:
    assert level(application.url, paths=("/200?of={source_id}",)).urls() == [f"GET {application.url}/200?of=assets_1"]
    assert application.asked == []


@pytest.mark.parametrize(
    ("params", "error", "word"),
    [
        ({"instances": []}, BadInput, "instances is empty"),
        ({"ready_checks": []}, BadInput, "ready_checks is empty"),
        ({"instances": [{"name": "a", "base_url": "http://x"}] * 2}, BadInput, "one name"),
        ({"instances": [{"name": "a", "base_url": "ftp://x"}]}, ProbeError, "http"),
    ],
)
def test_what_cannot_be_asked_is_refused(params: dict[str, t.Any], error: type[Exception], word: str) -> None:
    with pytest.raises(error, match=word):
        level("http://127.0.0.1:1", **params)


@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        ([], (None, None, None)),
        ([7.0], (7.0, 7.0, 7.0)),
        ([2.0, 1.0], (1.0, 2.0, 2.0)),
        (list(map(float, range(1, 101))), (50.0, 95.0, 99.0)),
    ],
)
def test_percentiles_are_values_that_were_measured(values: list[float], wanted: tuple[float, ...]) -> None:
    assert tuple(percentiles(values).values()) == wanted


@given(values=st.lists(st.floats(0, 1e6), min_size=1, max_size=300))
def test_so_many_of_a_hundred_do_not_exceed_a_percentile(values: list[float]) -> None:
    for name, found in percentiles(values).items():
        assert found in values
        assert sum(value <= t.cast("float", found) for value in values) * 100 >= int(name[1:]) * len(values)
