# SPDX-License-Identifier: GPL-3.0-or-later
"""The clients: each writes values of its own as fast as it is answered, goes on through refusals, never stops.

A client belongs to one profile and owns some of its items, so the last acknowledged value of each is known. The values
of a client grow, and name it. After a write without an answer its key is left alone for a while: a request that still
waits for a lock somewhere must not be overtaken by the next one, or nobody could tell which of the two is the last.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import random
import select
import threading
import time
import urllib.parse
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from .ledger import Event, Expected, Key, Ledger, Outcome, merged
from .report import WHOLE_RUN, Report, Window, make_report

META, NOTE, READ = "meta", "note", "read"
# The share of each kind of request, and of the writes of meta that also reach all other items of the author.
_SHARES = {META: 40, NOTE: 40, READ: 20}
_WITH_LINKS = 0.05
# Longer than a request can live in the application: it waits 5 s for a lock, at most twice, and 5 s when stopped.
REST_SECONDS = 20.0
PAUSE_SECONDS = 0.02
TIMEOUT_SECONDS = 60.0
# A proxy says these when its server was asked and did not answer.
_PERHAPS_DONE = (502, 504)
BaseUrl = Callable[[str], str]


class Client:
    """One client: a thread, a connection, a memory.

    Args:
        number: Its number among all clients.
        profile: The profile it writes to.
        items: The items that are its own.
        seed: What its choices come from.
        base_url: Where the profile is served, asked before every request.
        run: What its values begin with, so that those of another run with the same seed are not taken for its own.
    """

    def __init__(self, number: int, profile: str, items: Sequence[str], seed: int, base_url: BaseUrl, run: str) -> None:
        self.profile = profile
        self.ledger = Ledger()
        self.acknowledged = 0
        self._items, self._base_url, self._values = list(items), base_url, f"{run}.{number}"
        self._random = random.Random(f"{seed}/{profile}/{number}")
        self._written = 0
        self._resting: dict[Key, float] = {}
        self._connection: http.client.HTTPConnection | None = None
        self._address = ""

    def one_request(self) -> Event:
        """Send one request, remember it, and return it."""
        kind = self._random.choices(list(_SHARES), list(_SHARES.values()))[0]
        key = self._choose(kind)
        path = f"/items/{urllib.parse.quote(key.item, safe='')}"
        if kind == READ:
            event = self._send(key, "GET", path, None, None)
        else:
            self._written += 1
            value = f"{self._values}.{self._written:08d}"
            body = {"markdown": value} if kind == NOTE else self._meta(value)
            event = self._send(key, "PUT", path + ("/note-md" if kind == NOTE else "/meta"), body, value)
            if event.outcome is Outcome.UNANSWERED:
                self._resting[key] = event.ended + REST_SECONDS
        self.ledger.note(event)
        self.acknowledged += event.is_write and event.outcome is Outcome.ACKNOWLEDGED
        return event

    def close(self) -> None:
        """Close the connection."""
        if self._connection:
            self._connection.close()
        self._connection = None

    def _choose(self, kind: str) -> Key:
        while True:
            key = Key(self.profile, self._random.choice(self._items), kind)
            if self._resting.get(key, 0.0) <= time.monotonic():
                return key
            time.sleep(0.001)  # all of them may be resting

    def _meta(self, value: str) -> dict[str, Any]:
        body: dict[str, Any] = {"notes": value, "rating": self._written % 6, "statuses": ["raw"]}
        if self._random.random() < _WITH_LINKS:
            body["author_links"] = [f"https://example.org/{value}"]
        return body

    def _send(self, key: Key, method: str, path: str, body: Any, value: str | None) -> Event:
        sent = time.monotonic()

        def ended(outcome: Outcome, reason: str) -> Event:
            return Event(key, value, sent, time.monotonic(), outcome, reason)

        reused = self._connection is not None
        try:
            connection = self._connected()
        except OSError as error:
            self.close()
            return ended(Outcome.REFUSED, type(error).__name__)
        headers = {"X-SX-Source-ID": key.profile, "Content-Type": "application/json"}
        try:
            connection.request(method, path, None if body is None else json.dumps(body).encode(), headers)
            answer = connection.getresponse()
            text = answer.read()
        except (OSError, http.client.HTTPException) as error:
            self.close()
            if method == "GET" and reused:
                # Closed by the other side in the moment in which it was used again; every HTTP client tries anew.
                return self._send(key, method, path, body, value)
            return ended(Outcome.UNANSWERED, type(error).__name__)
        if answer.will_close or answer.status != 200:  # after an error the application closes, and does not say so
            self.close()
        if answer.status != 200:
            perhaps = answer.status in _PERHAPS_DONE
            return ended(Outcome.UNANSWERED if perhaps else Outcome.REFUSED, _reason(answer.status, text))
        if method == "GET" and json.loads(text)["item"]["id"] != key.item:
            return ended(Outcome.REFUSED, "another item")
        return ended(Outcome.ACKNOWLEDGED, "")

    def _connected(self) -> http.client.HTTPConnection:
        address = self._base_url(self.profile)
        if address != self._address or self._is_closed_by_the_other_side():
            self.close()
        if self._connection is None:
            self._address = address
            parts = urllib.parse.urlsplit(address)
            self._connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=TIMEOUT_SECONDS)
            self._connection.connect()
        return self._connection

    def _is_closed_by_the_other_side(self) -> bool:
        # Nothing is to be read between two requests but the end of the connection.
        connection = self._connection
        return connection is not None and bool(select.select([connection.sock], [], [], 0)[0])


def _reason(status: int, text: bytes) -> str:
    with contextlib.suppress(ValueError, AttributeError):
        detail = str(json.loads(text).get("detail", ""))[:80]
        return f"{status} {detail}".strip()
    return str(status)


class LoadGenerator:
    """All clients together.

    Args:
        items: The items of each profile; they are shared out among its clients.
        base_url: Where a profile is served.
        seed: What every choice comes from; the same seed gives the same requests, but for a part of the values.
        clients: How many clients, shared out among the profiles.
    """

    def __init__(self, items: Mapping[str, Sequence[str]], base_url: BaseUrl, seed: int, clients: int = 8) -> None:
        if clients < len(items) or any(len(own) < clients for own in items.values()):
            raise ValueError("at least one client for each profile, and an item for each client")
        self.profiles, self.seed = list(items), seed
        self.clients: list[Client] = []
        run = uuid.uuid4().hex[:8]
        for number in range(clients):
            profile = self.profiles[number % len(self.profiles)]
            share = -(-(clients - number % len(self.profiles)) // len(self.profiles))
            own = items[profile][number // len(self.profiles) :: share]
            self.clients.append(Client(number, profile, own, seed, base_url, run))
        self._stop, self._go = threading.Event(), threading.Event()
        self._idle = [threading.Event() for _client in self.clients]
        self._threads: list[threading.Thread] = []
        self._errors: list[BaseException] = []

    def start(self) -> None:
        """Let the clients begin."""
        self._stop.clear()
        self._go.set()
        self._threads = [
            threading.Thread(target=self._run, args=(client, idle), name=f"client-{number}", daemon=True)
            for number, (client, idle) in enumerate(zip(self.clients, self._idle, strict=True))
        ]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Let every client finish its request, and wait for it.

        Raises:
            RuntimeError: A client ended by an error of its own, or does not end.
        """
        self._stop.set()
        self._go.set()
        for thread in self._threads:
            thread.join(TIMEOUT_SECONDS + 10)
        if self._errors or any(thread.is_alive() for thread in self._threads):
            raise RuntimeError(f"the load generator is broken: {self._errors or 'a client does not end'}")

    def __enter__(self) -> LoadGenerator:
        self.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self.stop()

    @contextlib.contextmanager
    def quiet(self) -> Iterator[None]:
        """Keep all clients between two requests, so that the store can be compared with what they expect."""
        for idle in self._idle:
            idle.clear()
        self._go.clear()
        try:
            for idle, thread in zip(self._idle, self._threads, strict=True):
                while not idle.wait(0.05):
                    if not thread.is_alive():
                        break
            yield
        finally:
            self._go.set()

    @property
    def events(self) -> list[Event]:
        """What happened so far, since it was last forgotten."""
        return [event for client in self.clients for event in client.ledger.events.copy()]

    @property
    def expected(self) -> dict[Key, Expected]:
        """What must be in the live store; ask for it while it is quiet, or after its end."""
        return merged(client.ledger for client in self.clients)

    def report(self, window: Window = WHOLE_RUN) -> Report:
        """Return the figures of what happened so far."""
        return make_report(self.events, self.profiles, window)

    def wait_for_writes(self, numbers: Mapping[str, int], timeout: float) -> None:
        """Wait until so many more writes of each profile have been acknowledged.

        Raises:
            TimeoutError: They were not.
        """

        def counts() -> dict[str, int]:
            return {
                profile: sum(client.acknowledged for client in self.clients if client.profile == profile)
                for profile in numbers
            }

        wanted = {profile: count + numbers[profile] for profile, count in counts().items()}
        deadline = time.monotonic() + timeout
        while missing := [profile for profile, count in counts().items() if count < wanted[profile]]:
            if self._errors:
                raise RuntimeError("the load generator is broken") from self._errors[0]
            if time.monotonic() > deadline:
                raise TimeoutError(f"{numbers} writes were not acknowledged within {timeout:g} s, of {missing}")
            time.sleep(0.02)

    def forget_events(self) -> None:
        """Let go of what happened so far; ask for it while it is quiet."""
        for client in self.clients:
            client.ledger.forget_events()

    def _run(self, client: Client, idle: threading.Event) -> None:
        try:
            while not self._stop.is_set():
                if not self._go.is_set():
                    idle.set()
                    self._go.wait()
                    continue
                if client.one_request().outcome is not Outcome.ACKNOWLEDGED:
                    self._stop.wait(PAUSE_SECONDS)
        except BaseException as error:
            self._errors.append(error)
        finally:
            client.close()
            idle.set()
