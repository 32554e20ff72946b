# SPDX-License-Identifier: GPL-3.0-or-later
"""Somebody who writes through the application all the time, and remembers what the application acknowledged."""

from __future__ import annotations

import contextlib
import itertools
import threading
from collections.abc import Iterator, Sequence

from api_client import Api


class Writer:
    """Writes the notes of a few items over and over; each write has a value of its own."""

    def __init__(self, api: Api, items: Sequence[str]) -> None:
        self.acknowledged: dict[str, str] = {}
        self.unsure: dict[str, list[str]] = {}
        self.refused = 0
        self._api, self._items = api, items
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._write, daemon=True)

    def _write(self) -> None:
        for number, item in enumerate(itertools.cycle(self._items)):
            if self._stop.is_set():
                return
            value = f"write {number}"
            try:
                answer = self._api.call("PUT", f"/items/{item}/note-md", {"markdown": value}, timeout=15)
            except OSError:
                # Restarting: whether it was committed before the connection broke is not known.
                self.unsure.setdefault(item, []).append(value)
            else:
                if answer.status == 200:
                    self.acknowledged[item] = value
                    self.unsure.pop(item, None)
                else:
                    self.refused += 1
            self._stop.wait(0.05)

    def lost(self, notes: dict[str, str]) -> dict[str, tuple[str, str | None]]:
        """Return the acknowledged writes whose value is not among the notes, by item: written, found."""
        return {
            item: (value, notes.get(item))
            for item, value in self.acknowledged.items()
            if notes.get(item) not in (value, *self.unsure.get(item, ()))
        }

    @contextlib.contextmanager
    def writing(self) -> Iterator[Writer]:
        """Write until the end of the block."""
        self._thread.start()
        try:
            yield self
        finally:
            self._stop.set()
            self._thread.join(30)
