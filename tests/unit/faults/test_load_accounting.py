# SPDX-License-Identifier: GPL-3.0-or-later
"""What counts as lost, duplicated, refused and as an outage, without any application."""

from __future__ import annotations

import http.server
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from faults.clients import META, NOTE, READ, LoadGenerator
from faults.ledger import Event, Key, Ledger, Outcome, merged
from faults.report import make_report, percentile, percentiles, write_outage
from faults.verifier import Verdict, compare

ITEM = Key("assets_1", "7", META)
OTHER = Key("assets_1", "8", META)
OK, NO, LOST = Outcome.ACKNOWLEDGED, Outcome.REFUSED, Outcome.UNANSWERED


def write(value: str, outcome: Outcome = OK, at: float = 1.0, key: Key = ITEM, took: float = 0.1) -> Event:
    """Return a write that ended at a time."""
    return Event(key, value, at - took, at, outcome, "" if outcome is OK else "500")


def read(at: float, outcome: Outcome = OK, profile: str = "assets_1") -> Event:
    """Return a read that ended at a time."""
    return Event(Key(profile, "7", READ), None, at - 0.1, at, outcome, "" if outcome is OK else "503")


def verdict(writes: list[Event], *store: tuple[Key, str | None]) -> Verdict:
    """Return what a comparison says after these writes."""
    ledger = Ledger()
    for event in writes:
        ledger.note(event)
    return compare(ledger.expected, store)


class TestWhatMustBeThere:
    """The last acknowledged value, or a later one that was never answered."""

    @pytest.mark.parametrize(
        ("outcomes", "good", "lost"),
        [
            ([OK], ["1"], ["0", None]),
            ([OK, OK], ["2"], ["1", "0", None]),
            ([OK, LOST], ["1", "2"], ["0", None]),
            ([OK, LOST, LOST], ["1", "2", "3"], ["0", None]),
            ([OK, LOST, OK], ["3"], ["2", "1", None]),
            ([LOST, OK], ["2"], ["1", None]),
            ([OK, NO], ["1"], ["0", None]),
            ([OK, NO, LOST], ["1", "3"], ["0", None]),
            ([LOST], ["1", "0", None], []),
            ([NO], ["0", None], []),
        ],
    )
    def test_of_one_key(self, outcomes: list[Outcome], good: list[str | None], lost: list[str | None]) -> None:
        writes = [write(str(number), outcome) for number, outcome in enumerate(outcomes, start=1)]
        assert {value: verdict(writes, (ITEM, value)).lost for value in good} == dict.fromkeys(good, 0)
        assert {value: verdict(writes, (ITEM, value)).lost for value in lost} == dict.fromkeys(lost, 1)

    def test_a_row_that_is_gone(self) -> None:
        found = verdict([write("1")], (OTHER, "x"))
        assert (found.checked, found.lost, found.good) == (1, 1, False)
        assert found.examples == ["lost: meta of item 7 of assets_1 holds None, acknowledged was 1"]

    def test_a_refused_write_that_was_done_all_the_same_is_told_apart(self) -> None:
        found = verdict([write("1"), write("2", NO)], (ITEM, "2"))
        assert (found.lost, found.done_though_refused, found.good) == (0, 1, False)
        assert verdict([write("1", NO)], (ITEM, "1")).done_though_refused == 1
        assert verdict([write("1", NO), write("2")], (ITEM, "2")).good

    def test_nothing_compared_is_not_good(self) -> None:
        assert not verdict([]).good
        assert not verdict([write("1", LOST)], (ITEM, None)).good

    def test_two_rows_of_one_key(self) -> None:
        found = verdict([write("1")], (ITEM, "1"), (ITEM, "1"))
        assert (found.lost, found.duplicated) == (0, 1)
        assert found.examples == ["duplicated: meta of item 7 of assets_1 has 2 rows"]

    def test_a_value_in_the_row_of_another_key(self) -> None:
        found = verdict([write("1")], (ITEM, "1"), (OTHER, "1"))
        assert (found.lost, found.duplicated) == (0, 1)
        # What nobody wrote may stand there as often as it likes.
        assert verdict([write("1")], (ITEM, "1"), (OTHER, ""), (Key("assets_1", "9", META), "")).good

    def test_the_same_value_in_another_field_is_another_one(self) -> None:
        note = Key("assets_1", "7", NOTE)
        assert verdict([write("1"), write("1", key=note)], (ITEM, "1"), (note, "1")).good

    def test_only_the_first_few_are_named(self) -> None:
        keys = [Key("assets_1", str(number), META) for number in range(30)]
        found = verdict([write("1", key=key) for key in keys])
        assert (found.lost, len(found.examples)) == (30, 5)

    def test_verdicts_of_several_profiles_add_up(self) -> None:
        both = Verdict(1, 2, 3, 4, ["a"]) + Verdict(10, 20, 30, 40, ["b"])
        assert both == Verdict(11, 22, 33, 44, ["a", "b"])

    def test_two_clients_must_not_write_the_same_key(self) -> None:
        ledgers = [Ledger(), Ledger()]
        for ledger in ledgers:
            ledger.note(write("1"))
        with pytest.raises(ValueError, match="two clients"):
            merged(ledgers)


class TestFigures:
    """Numbers, gaps and latencies."""

    def test_numbers_of_each_profile(self) -> None:
        second = Key("assets_2", "7", META)
        events = [write("1"), write("2", NO), write("3", LOST), write("1", key=second), read(1.0), read(1.1, NO)]
        report = make_report(events, ["assets_1", "assets_2"])
        one, two = report.profiles.values()
        assert (one.acknowledged, one.refused, one.unanswered, one.reads, one.failed_reads) == (1, 1, 1, 1, 1)
        assert one.reasons == {"write: 500": 2, "read: 503": 1}
        assert (two.acknowledged, two.refused, two.unanswered, two.reads, two.failed_reads) == (1, 0, 0, 0, 0)
        assert report.acknowledged == 2
        assert json.loads(json.dumps(report.as_dict()))["assets_2"]["acknowledged"] == 1

    def test_a_profile_without_any_request(self) -> None:
        report = make_report([], ["assets_1"]).profiles["assets_1"]
        assert (report.acknowledged, report.longest_gap_s, report.write_latency_s) == (0, None, None)

    def test_only_what_ended_inside_the_window_counts(self) -> None:
        events = [write("1", at=1.0), write("2", at=2.0), write("3", at=3.0)]
        assert make_report(events, ["assets_1"], (1.5, 2.5)).profiles["assets_1"].acknowledged == 1

    def test_the_gap_reaches_from_before_the_window_to_after_it(self) -> None:
        events = [write(str(at), at=at) for at in (1.0, 2.0, 2.5, 6.5, 7.0, 20.0)]
        assert write_outage(events, "assets_1", (3.0, 6.0)) == 4.0
        assert write_outage(events, "assets_1", (2.2, 2.4)) == 0.5
        assert write_outage(events, "assets_1", (0.0, 99.0)) == 13.0
        assert write_outage(events, "assets_1", (30.0, 99.0)) is None
        assert write_outage(events, "assets_2", (0.0, 99.0)) is None

    def test_refused_writes_and_reads_do_not_end_a_gap(self) -> None:
        events = [write("1", at=1.0), write("2", NO, at=2.0), write("3", LOST, at=3.0), read(4.0), write("5", at=5.0)]
        assert write_outage(events, "assets_1", (0.0, 9.0)) == 4.0

    def test_from_the_first_refused_to_the_next_acknowledged(self) -> None:
        # The second was sent before the refusal and is answered after it: it says nothing of its end.
        events = [
            write("1", NO, at=2.0),
            write("2", at=2.1, took=0.5),
            write("3", NO, at=2.5),
            write("4", at=3.5, took=0.2),
            write("5", at=9.0),
        ]
        assert make_report(events, ["assets_1"]).profiles["assets_1"].refused_to_acknowledged_s == 1.5
        assert make_report(events[:3], ["assets_1"]).profiles["assets_1"].refused_to_acknowledged_s is None
        assert make_report(events[3:], ["assets_1"]).profiles["assets_1"].refused_to_acknowledged_s is None

    def test_percentiles_are_measured_values(self) -> None:
        hundred = [float(number) for number in range(100, 0, -1)]
        assert [percentile(hundred, percent) for percent in (50, 95, 99, 100)] == [50.0, 95.0, 99.0, 100.0]
        assert percentiles([3.0]) == {"p50": 3.0, "p95": 3.0, "p99": 3.0, "max": 3.0}
        assert percentiles([1.0, 2.0]) == {"p50": 1.0, "p95": 2.0, "p99": 2.0, "max": 2.0}
        assert percentiles([]) is None


class Answering(http.server.BaseHTTPRequestHandler):
    """Answers as it is told, and remembers what was asked."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    answers: tuple[int | None, ...] = (200,)
    asked: list[tuple[str, str, str]]

    def do_GET(self) -> None:
        self._answer("", {"item": {"id": self.path.split("/")[2]}})

    def do_PUT(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self._answer(body.get("notes") or body["markdown"], {"detail": "as told"})

    def _answer(self, value: str, body: dict[str, Any]) -> None:
        self.asked.append((self.headers["X-SX-Source-ID"], self.path, value))
        status = self.answers[len(self.asked) % len(self.answers)]
        if status is None:
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        text = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_arguments: object) -> None:
        """Say nothing."""


class Quiet(http.server.ThreadingHTTPServer):
    """Says nothing of broken connections."""

    daemon_threads = True

    def handle_error(self, *_arguments: object) -> None:
        """Say nothing."""


@pytest.fixture
def answering() -> Iterator[type[Answering]]:
    """A server that answers as it is told; C(url) is where."""

    class Handler(Answering):
        asked: list[tuple[str, str, str]] = []  # noqa: RUF012 - each test has a class of its own
        url = ""

    server = Quiet(("127.0.0.1", 0), Handler)
    Handler.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield Handler
    server.shutdown()
    server.server_close()


ITEMS = {"assets_1": [f"a{number}" for number in range(20)], "assets_2": [f"b{number}" for number in range(20)]}


class TestClients:
    """The clients themselves."""

    def test_every_client_has_keys_of_its_own(self) -> None:
        for clients in (2, 3, 5, 8):
            generator = LoadGenerator(ITEMS, lambda _profile: "http://127.0.0.1:1", 1, clients)
            for profile, items in ITEMS.items():
                own = [client._items for client in generator.clients if client.profile == profile]
                assert sorted(item for part in own for item in part) == sorted(items), clients

    def test_the_same_seed_asks_the_same(self, answering: Any) -> None:
        asked = []
        for seed in (7, 7, 8):
            generator = LoadGenerator(ITEMS, lambda _profile: answering.url, seed)
            for client in generator.clients:
                for _turn in range(10):
                    client.one_request()
                client.close()
            asked.append([(profile, path, value[8:]) for profile, path, value in answering.asked])
            answering.asked.clear()
        assert asked[0] == asked[1] != asked[2]

    def test_values_are_unique_and_grow_within_a_client(self, answering: Any) -> None:
        generator = LoadGenerator(ITEMS, lambda _profile: answering.url, 3)
        with generator:
            generator.wait_for_writes({"assets_1": 200}, 30)
        values = [event.value for event in generator.events if event.value]
        assert len(set(values)) == len(values) >= 200
        for client in generator.clients:
            own = [event.value for event in client.ledger.events if event.value]
            assert own == sorted(own)

    @pytest.mark.parametrize(
        ("status", "outcome"),
        [(500, NO), (400, NO), (503, NO), (422, NO), (502, LOST), (504, LOST), (None, LOST), (200, OK)],
    )
    def test_what_an_answer_counts_as(self, answering: Any, status: int | None, outcome: Outcome) -> None:
        answering.answers = (status,)
        client = LoadGenerator(ITEMS, lambda _profile: answering.url, 3).clients[0]
        found = {client.one_request().outcome for _turn in range(12)}
        client.close()
        assert found == {outcome}

    def test_nobody_listening_is_a_refusal(self) -> None:
        with closing(socket.socket()) as probe:
            probe.bind(("127.0.0.1", 0))
            url = f"http://127.0.0.1:{probe.getsockname()[1]}"
            client = LoadGenerator(ITEMS, lambda _profile: url, 3).clients[0]
            event = client.one_request()
        assert (event.outcome, event.reason) == (NO, "ConnectionRefusedError")

    def test_it_goes_on_through_refusals_and_lost_connections(self, answering: Any) -> None:
        answering.answers = (200, 500, 200, None, 503, 200)
        many = {
            profile: [f"{item}-{number}" for item in items for number in range(50)] for profile, items in ITEMS.items()
        }
        generator = LoadGenerator(many, lambda _profile: answering.url, 3)
        with generator:
            generator.wait_for_writes({"assets_1": 50}, 30)
            generator.wait_for_writes({"assets_2": 50}, 30)
        report = generator.report()
        for each in report.profiles.values():
            assert each.refused and each.unanswered and each.failed_reads and each.acknowledged >= 50

    def test_a_key_without_an_answer_rests(self, answering: Any) -> None:
        answering.answers = (None,)
        client = LoadGenerator(ITEMS, lambda _profile: answering.url, 3).clients[0]
        events = [client.one_request() for _turn in range(8)]
        client.close()
        written = [event.key for event in events if event.is_write]
        assert len(set(written)) == len(written) > 1

    def test_quiet_means_that_nobody_asks(self, answering: Any) -> None:
        generator = LoadGenerator(ITEMS, lambda _profile: answering.url, 3)
        with generator:
            generator.wait_for_writes({"assets_1": 20}, 30)
            with generator.quiet():
                before = len(answering.asked)
                assert len(generator.events) == before
                assert not threading.Event().wait(0.2) and len(answering.asked) == before
                generator.forget_events()
                assert generator.expected and not generator.events
            generator.wait_for_writes({"assets_1": 20}, 30)

    def test_another_address_is_followed(self, answering: Any) -> None:
        urls = ["http://127.0.0.1:1", answering.url]
        client = LoadGenerator(ITEMS, lambda _profile: urls[0], 3).clients[0]
        assert client.one_request().outcome is NO
        urls.pop(0)
        assert client.one_request().outcome is OK
        client.close()

    def test_a_client_that_breaks_is_told(self) -> None:
        def broken(profile: str) -> str:
            raise KeyError(profile)

        generator = LoadGenerator(ITEMS, broken, 3)
        generator.start()
        with pytest.raises(RuntimeError, match="broken"):
            generator.stop()

    def test_too_few_clients_or_items_are_refused(self) -> None:
        for items, clients in ((ITEMS, 1), ({"assets_1": ["a"]}, 8)):
            with pytest.raises(ValueError, match="at least one client"):
                LoadGenerator(items, lambda _profile: "", 1, clients)
