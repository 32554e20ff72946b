# SPDX-License-Identifier: GPL-3.0-or-later
"""The route of a profile is turned in a real HAProxy, under requests, and stays turned."""

from __future__ import annotations

import contextlib
import fcntl
import http.client
import os
import signal
import socket
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from _haproxy import Router, named_server, require_haproxy
from ansible_collections.sxops.pg_cutover.plugins.module_utils import _router
from ansible_collections.sxops.pg_cutover.plugins.module_utils._errors import BadInput, RouterError
from ansible_collections.sxops.pg_cutover.plugins.module_utils._router import (
    Route,
    Seen,
    look,
    require_turnable,
    turn,
)

NOBODY = 65534
NEEDS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become somebody else")


@pytest.fixture(scope="module")
def servers() -> Iterator[tuple[int, int]]:
    """The ports of two servers, which answer with their names."""
    require_haproxy()
    with named_server("one") as one, named_server("two") as two:
        yield one, two


@pytest.fixture
def router(servers: tuple[int, int], tmp_path: Path) -> Iterator[Router]:
    """A running HAProxy that sends both profiles to the first."""
    running = Router(tmp_path, *servers)
    running.start()
    yield running
    running.stop()


@pytest.fixture
def route(router: Router) -> Route:
    """The route that sends assets_1 to the second."""
    return Route(str(router.socket), str(router.map), "assets_1", "two")


@pytest.fixture
def open_router(servers: tuple[int, int]) -> Iterator[Router]:
    """The same in a folder that everybody may look into, unlike those of pytest."""
    with tempfile.TemporaryDirectory(prefix="router_") as folder:
        Path(folder).chmod(0o755)
        running = Router(Path(folder), *servers)
        running.start()
        yield running
        running.stop()


def as_nobody(attempt: Callable[[], object]) -> str:
    """Return the message of the RouterError that another user gets."""
    end, beginning = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)
            attempt()
        except RouterError as error:
            os.write(beginning, str(error).encode())
        finally:
            os._exit(0)
    os.close(beginning)
    with os.fdopen(end, encoding="utf-8") as told:
        text = told.read()
    os.waitpid(child, 0)
    return text


class Requests:
    """Requests for a profile, one after the other, by several connections that are kept open."""

    def __init__(self, router: Router, profile: str) -> None:
        self.answers: Counter[str] = Counter()
        self.order: list[list[str]] = []
        self._router, self._profile, self._stop = router, profile, threading.Event()

    def __enter__(self) -> Requests:
        self._threads = [threading.Thread(target=self._ask) for _turn in range(4)]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(20)
        for answers in self.order:
            self.answers.update(answers)

    def _ask(self) -> None:
        mine: list[str] = []
        self.order.append(mine)
        connection = http.client.HTTPConnection("127.0.0.1", self._router.port, timeout=10)
        while not self._stop.is_set():
            try:
                mine.append(self._router.ask(self._profile, connection))
            except (OSError, http.client.HTTPException) as error:
                mine.append(repr(error))
                connection.close()
        connection.close()

    def has_seen(self, answer: str) -> bool:
        return all(answers[-1:] == [answer] for answers in self.order) and len(self.order) == len(self._threads)


def wait_until(happened: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def refusal(route: Route, *parts: str, error: type[Exception] = RouterError) -> str:
    """Return the message that a turn ends with, which must have all of these in it."""
    with pytest.raises(error) as caught:
        turn(route)
    assert [part for part in parts if part not in str(caught.value)] == [], str(caught.value)
    return str(caught.value)


def test_the_traffic_of_one_profile_moves_and_comes_back_without_a_failed_request(router: Router, route: Route) -> None:
    with Requests(router, "assets_1") as moved, Requests(router, "assets_2") as other:
        wait_until(lambda: moved.has_seen("one"))
        assert look(route) == Seen("one", "one", "UP")
        assert turn(route) is True
        assert router.ask("assets_1") == "two"  # from the next request on
        wait_until(lambda: moved.has_seen("two"))
        assert turn(replace(route, value="one")) is True
        wait_until(lambda: moved.has_seen("one"))
    assert set(moved.answers) == {"one", "two"}
    assert set(other.answers) == {"one"}
    for answers in moved.order:  # each connection saw one change there and one back, at no instant both
        assert sum(1 for here, then in pairwise(answers) if here != then) == 2


def test_a_second_time_there_is_nothing_to_do(router: Router, route: Route) -> None:
    assert turn(route) is True
    before = router.map.stat()
    assert turn(route) is False
    assert router.map.stat().st_ino == before.st_ino and router.map.stat().st_mtime_ns == before.st_mtime_ns


def test_it_survives_a_restart_and_a_kill_of_haproxy(router: Router, route: Route) -> None:
    turn(route)
    for kill in (False, True):
        router.stop(kill)
        router.start()
        assert (router.ask("assets_1"), router.ask("assets_2")) == ("two", "one")
    assert look(route) == Seen("two", "two", "UP")


def test_the_file_keeps_what_is_not_the_profiles(router: Router, route: Route) -> None:
    router.map.write_bytes(b"# by hand \xff\r\nassets_2 one\n\n  assets_1\tone \r\nlast one")
    router.map.chmod(0o640)
    if os.geteuid() == 0:
        os.chown(router.map, 1, 2)
    before = router.map.stat()
    turn(route)
    assert router.map.read_bytes() == b"# by hand \xff\r\nassets_2 one\n\n  assets_1\ttwo \r\nlast one"
    after = router.map.stat()
    assert (after.st_mode, after.st_uid, after.st_gid) == (before.st_mode, before.st_uid, before.st_gid)
    assert sorted(path.name for path in router.map.parent.glob("*route.map*")) == ["route.map"]


def test_a_profile_without_an_entry_gets_one(router: Router, route: Route) -> None:
    new = replace(route, key="assets_3")
    assert router.ask("assets_3") == "404"
    assert look(new) == Seen(None, None, "UP")
    assert turn(new) is True
    assert router.ask("assets_3") == "two"
    assert look(new) == Seen("two", "two", "UP")
    assert router.map.read_text(encoding="ascii").endswith("assets_3 two\n")
    assert turn(new) is False


def test_a_link_to_the_file_stays_one(router: Router, route: Route, tmp_path: Path) -> None:
    router.stop()
    real = tmp_path / "real" / "profiles.map"
    real.parent.mkdir()
    router.map.rename(real)
    router.map.symlink_to(real)
    router.start()
    turn(route)
    assert router.map.is_symlink() and "assets_1 two\n" in real.read_text(encoding="ascii")


def test_by_a_port_of_this_machine(router: Router, route: Route) -> None:
    by_port = replace(route, socket=f"127.0.0.1:{router.runtime_port}")
    assert turn(by_port) is True
    assert look(by_port) == look(route) == Seen("two", "two", "UP")


@pytest.mark.parametrize("done", ["file", "process"])
def test_what_a_crash_left_half_done_is_finished_by_running_it_again(router: Router, route: Route, done: str) -> None:
    if done == "file":
        router.map.write_text("assets_1 two\nassets_2 one\n", encoding="ascii")
        assert router.ask("assets_1") == "one"
    else:
        _router.runtime_socket(route.socket, 2).set_entry(route.map, "assets_1", "two")
    assert turn(route) is True
    assert look(route) == Seen("two", "two", "UP")


def test_a_crash_between_file_and_process_sends_the_profile_where_it_went(
    router: Router, route: Route, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    def killed(*_arguments: object) -> None:
        raise Killed

    monkeypatch.setattr(_router, "_tell", killed)
    with pytest.raises(Killed):
        turn(route)
    monkeypatch.undo()
    assert look(route) == Seen("one", "two", "UP")
    assert {router.ask("assets_1") for _turn in range(20)} == {"one"}
    assert turn(route) is True
    assert {router.ask("assets_1") for _turn in range(20)} == {"two"}


def test_entries_of_one_key_are_all_turned(router: Router, route: Route) -> None:
    process = _router.runtime_socket(route.socket, 2)
    assert process._ask(f"add map {route.map} assets_1 nowhere") == ""
    assert turn(replace(route, value="one")) is True  # the first says so, the second does not
    assert process.entries(route.map, "assets_1") == ("one", "one")


def test_profiles_turned_at_the_same_time_do_not_undo_each_other(router: Router, route: Route) -> None:
    keys = [f"profile_{number}" for number in range(12)]
    threads = [threading.Thread(target=turn, args=(replace(route, key=key, timeout_s=20.0),)) for key in keys]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert {key: look(replace(route, key=key)) for key in keys} == dict.fromkeys(keys, Seen("two", "two", "UP"))


class TestRefusals:
    """What stops it says what, why and what to do; nothing has moved then."""

    def test_no_such_socket(self, router: Router, route: Route, tmp_path: Path) -> None:
        refusal(
            replace(route, socket=str(tmp_path / "none.sock")), "none.sock: there is no such socket", "Start HAProxy"
        )
        self.nothing_moved(router)

    def test_haproxy_is_not_running(self, router: Router, route: Route) -> None:
        router.stop(kill=True)
        assert router.socket.exists()
        refusal(route, "nobody answers there", "Start HAProxy")
        refusal(replace(route, socket=f"127.0.0.1:{router.runtime_port}"), "nobody answers there")
        router.start()
        self.nothing_moved(router)

    def test_haproxy_hangs(self, router: Router, route: Route) -> None:
        router.process.send_signal(signal.SIGSTOP)
        try:
            refusal(replace(route, timeout_s=0.3), "no answer within 0.3 s", "route.timeout")
        finally:
            router.process.send_signal(signal.SIGCONT)
        self.nothing_moved(router)

    def test_somebody_else_listens_there(self, router: Router, route: Route, tmp_path: Path) -> None:
        path = str(tmp_path / "other.sock")
        with contextlib.closing(socket.socket(socket.AF_UNIX)) as listener:
            listener.bind(path)
            listener.listen()

            def serve() -> None:
                connection, _address = listener.accept()
                connection.recv(1000)
                connection.sendall(b"220 mail.example.org ESMTP\n")
                connection.close()

            thread = threading.Thread(target=serve, daemon=True)
            thread.start()
            refusal(replace(route, socket=path), "refused 'show map'", "220 mail.example.org", "stats socket")
        self.nothing_moved(router)

    def test_a_map_that_the_process_does_not_know(self, router: Router, route: Route, tmp_path: Path) -> None:
        other = tmp_path / "other.map"
        other.write_text("assets_1 one\n", encoding="ascii")
        refusal(replace(route, map=str(other)), f"does not know the map {other}", f"it has {router.map}")
        assert other.read_text(encoding="ascii") == "assets_1 one\n"

    def test_a_backend_that_the_process_does_not_know(self, router: Router, route: Route) -> None:
        refusal(replace(route, value="three"), "no backend three", "dead, nowhere, one, two", "assets_1 is sent where")
        assert look(replace(route, value="three")) == Seen("one", "one", None)
        self.nothing_moved(router)

    def test_a_backend_without_a_server(self, router: Router, route: Route) -> None:
        dead = replace(route, value="dead")
        wait_until(lambda: look(dead).backend == "DOWN")
        refusal(dead, "Backend dead", "no server that answers", "Start the instance")
        with pytest.raises(RouterError, match="no server that answers"):
            require_turnable(dead)
        self.nothing_moved(router)

    def test_a_missing_file(self, router: Router, route: Route) -> None:
        router.map.unlink()
        refusal(route, "does not exist", "Put it back")
        assert router.ask("assets_1") == "one"

    @NEEDS_ROOT
    def test_a_file_that_cannot_be_replaced_stops_it_before_traffic_moves(self, open_router: Router) -> None:
        route = Route(str(open_router.socket), str(open_router.map), "assets_1", "two")
        assert require_turnable(route) == Seen("one", "one", "UP")
        os.chown(open_router.socket, NOBODY, NOBODY)
        open_router.map.chmod(0o666)
        for attempt in (turn, require_turnable):
            text = as_nobody(lambda attempt=attempt: attempt(route))
            assert "could not be written" in text and "become: true" in text
        self.nothing_moved(open_router)

    @NEEDS_ROOT
    def test_a_socket_that_this_user_may_not_use(self, open_router: Router) -> None:
        route = Route(str(open_router.socket), str(open_router.map), "assets_1", "two")
        text = as_nobody(lambda: look(route))
        assert "this user may not connect to it" in text and "become: true" in text
        self.nothing_moved(open_router)

    def test_another_run_that_edits_the_file(self, router: Router, route: Route) -> None:
        folder = os.open(router.map.parent, os.O_RDONLY)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)
            refusal(replace(route, timeout_s=0.2), "is being edited by another run", "Run this again")
        finally:
            os.close(folder)
        self.nothing_moved(router)

    def test_haproxy_gone_after_the_file_was_written(
        self, router: Router, route: Route, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        write = _router._write

        def then_gone(wanted: Route) -> object:
            done = write(wanted)
            router.stop(kill=True)
            return done

        monkeypatch.setattr(_router, "_write", then_gone)
        refusal(route, "nobody answers there", f"{route.map} is as it was", "Run this again")
        monkeypatch.undo()
        router.start()
        self.nothing_moved(router)
        assert turn(route) is True

    def test_haproxy_gone_and_the_file_changed_by_somebody_else(
        self, router: Router, route: Route, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        write = _router._write

        def then_gone(wanted: Route) -> object:
            done = write(wanted)
            router.stop(kill=True)
            with router.map.open("a", encoding="ascii") as file:
                file.write("assets_3 one\n")
            return done

        monkeypatch.setattr(_router, "_write", then_gone)
        refusal(route, "nobody answers there", f"{route.map} says two", "so does a restart of HAProxy")
        monkeypatch.undo()
        router.start()
        assert [router.ask(profile) for profile in ("assets_1", "assets_2", "assets_3")] == ["two", "one", "one"]

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("key", "a b"),
            ("key", "#0x55"),
            ("key", "a;shutdown sessions server one/one"),
            ("key", ""),
            ("value", "two;disable server one/one"),
            ("value", "two\nshow env"),
            ("map", "route.map"),
            ("map", "/etc/x.map; show env"),
            ("socket", "haproxy.sock"),
            ("socket", "192.0.2.1:9999"),
        ],
    )
    def test_what_cannot_stand_in_a_command(self, router: Router, route: Route, name: str, value: str) -> None:
        refusal(replace(route, **{name: value}), f"route.{name}", "refused", error=BadInput)
        self.nothing_moved(router)

    @staticmethod
    def nothing_moved(router: Router) -> None:
        assert router.ask("assets_1") == router.ask("assets_2") == "one"
        assert router.map.read_text(encoding="ascii") == "# profiles\nassets_1 one\nassets_2 one\n"
