# SPDX-License-Identifier: GPL-3.0-or-later
"""A round of the soak, with steps that only fence the profile for a moment, and with steps that lose its rows."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from _cutover import TABLES
from ansible_collections.sxops.pg_cutover.plugins.module_utils import _fence_sqlite
from ansible_collections.sxops.pg_cutover.plugins.module_utils._online_names import OnlineNames
from ansible_collections.sxops.pg_cutover.plugins.module_utils._sqlite_store import read_catalog
from faults.clients import LoadGenerator
from faults.load import base_url, items_of
from faults.soak import MOVED, Subject, is_good, one_round, summary
from faults.soak_steps import Switched
from faults.verifier import sqlite_store
from local_stack.stack import Stack

NAMES = OnlineNames(f"sx_{MOVED}")


class FencingSteps:
    """Each switch refuses the profile's writes for a moment, and leaves it where it is."""

    fenced_s = 0.5

    def __init__(self, database: Path) -> None:
        self.database = database
        self.done: list[str] = []

    def cut_over(self, profile: str) -> Switched:
        self.done.append("cut_over")
        return self._fence(profile)

    def watch(self, profile: str) -> None:
        self.done.append("watch")

    def roll_back(self, profile: str) -> Switched:
        self.done.append("roll_back")
        return self._fence(profile)

    def clean_up(self, profile: str) -> None:
        self.done.append("clean_up")

    def _fence(self, profile: str) -> Switched:
        began = time.monotonic()
        with self.writing() as connection:
            _fence_sqlite.put_up(connection, read_catalog(connection), TABLES, NAMES, profile, "source_id")
        time.sleep(self.fenced_s)
        with self.writing() as connection:
            _fence_sqlite.lift(connection, NAMES)
        return Switched(began, time.monotonic(), 1.0, 1)

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        with closing(sqlite3.connect(self.database, isolation_level=None, timeout=20)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            yield connection
            connection.execute("COMMIT")


class LosingSteps(FencingSteps):
    """The way back forgets what was written last."""

    def roll_back(self, profile: str) -> Switched:
        switched = super().roll_back(profile)
        with self.writing() as connection:
            connection.execute("UPDATE video_notes SET markdown = 'older' WHERE source_id = ?", (profile,))
        return switched


@pytest.fixture
def subject(stack: Stack) -> Iterator[Subject]:
    """Load on the stack of the session; both stores are SQLite here."""
    description = stack.describe()
    store = sqlite_store(description["sqlite_path"])
    items = items_of(description["sqlite_path"], ["assets_1", "assets_2"], 100)
    generator = LoadGenerator(items, lambda profile: base_url(description, profile), 11)
    with generator:
        yield Subject(generator, store, store)


def test_a_round_measures_and_finds_everything(subject: Subject, stack: Stack) -> None:
    steps = FencingSteps(Path(stack.describe()["sqlite_path"]))
    rounds = [one_round(subject, steps, seed) for seed in (5, 6)]
    assert steps.done == ["cut_over", "watch", "roll_back", "clean_up"] * 2
    results = summary(rounds, "restart")
    assert is_good(results), results
    assert results["refused"] > 0 and results["seeds"] == [5, 6]
    for figure in ("write_outage_ms", "rollback_outage_ms", "rollback_ms"):
        assert all(each[figure] >= 1000 * steps.fenced_s for each in rounds), figure
    # What happened before a round does not count in it.
    assert 100 < rounds[1]["acknowledged"] < sum(client.acknowledged for client in subject.generator.clients)
    assert rounds[1]["others_added_ms"] is not None


def test_a_round_that_loses_says_so(subject: Subject, stack: Stack) -> None:
    steps = LosingSteps(Path(stack.describe()["sqlite_path"]))
    results = summary([one_round(subject, steps, 5)], "restart")
    assert results["lost"] > 0 and not is_good(results)
    assert "holds 'older', acknowledged was" in results["examples"][0]
