# SPDX-License-Identifier: GPL-3.0-or-later
"""The fence against an application that neither rolls back nor closes after an error, under load by eight clients.

The same questions are asked with a fence that aborts the statement instead of rolling back: it must not pass them.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from _cutover import TABLES
from ansible_collections.sxops.pg_cutover.plugins.module_utils import _fence_sqlite
from ansible_collections.sxops.pg_cutover.plugins.module_utils._online_names import OnlineNames
from ansible_collections.sxops.pg_cutover.plugins.module_utils._sqlite_store import read_catalog
from api_client import Api
from faults.clients import LoadGenerator
from faults.load import items_of
from faults.report import make_report
from faults.verifier import sqlite_store, verify
from local_stack.seed import seed_database

FENCED, OTHER = "assets_1", "assets_2"
NAMES = OnlineNames(f"sx_{FENCED}")
SEED = 4
WRITES = 60
# Long enough for the application's two attempts to get a lock, 5 s each.
PATIENCE = 15.0
# A second is what an operator is promised for a refusal and for lifting the fence.
PROMISED = 1.0


@contextmanager
def writing(database: Path, timeout: float = PATIENCE) -> Iterator[sqlite3.Connection]:
    """Hold the write lock of the file; what was done is committed at the end."""
    with closing(sqlite3.connect(database, isolation_level=None, timeout=timeout)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield connection
        connection.execute("COMMIT")


def put_up(database: Path) -> None:
    """Fence the first profile."""
    with writing(database) as connection:
        _fence_sqlite.put_up(connection, read_catalog(connection), TABLES, NAMES, FENCED, "source_id")


def put_up_with_abort(database: Path) -> None:
    """The same fence, but for one word."""
    put_up(database)
    with writing(database) as connection:
        query = "SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND name LIKE 'sxops~_fence~_%' ESCAPE '~'"
        fence = connection.execute(query).fetchall()
        assert len(fence) == 3 * len(TABLES)
        for name, statement in fence:
            assert statement.count("RAISE(ROLLBACK,") == 1
            connection.execute(f'DROP TRIGGER "{name}"')
            connection.execute(statement.replace("RAISE(ROLLBACK,", "RAISE(ABORT,"))


def lift(database: Path) -> None:
    """Take the fence away, waiting for the lock as long as is promised."""
    with writing(database, timeout=PROMISED) as connection:
        assert _fence_sqlite.lift(connection, NAMES)


def wait(happened: Callable[[], bool]) -> bool:
    """Wait for something to happen, and return whether it did."""
    deadline = time.monotonic() + PATIENCE
    while not happened() and time.monotonic() < deadline:
        time.sleep(0.05)
    return happened()


def complaints(generator: LoadGenerator, database: Path, fence: Callable[[Path], None]) -> list[str]:
    """Fence a profile under load and lift the fence again; return what an operator would not put up with."""
    found: list[str] = []
    profiles = (FENCED, OTHER)
    with generator:
        for profile in profiles:
            generator.wait_for_writes({profile: WRITES}, 60)
        fence(database)
        up = time.monotonic()

        def since(profile: str) -> list[bool]:
            """Return of each write sent since the fence is up whether it was acknowledged."""
            return [
                not event.reason
                for event in generator.events
                if event.is_write and event.sent > up and event.key.profile == profile
            ]

        if not wait(lambda: len(since(FENCED)) >= WRITES):
            found.append("writes of the fenced profile hang")
        if not wait(lambda: sum(since(OTHER)) >= WRITES):
            found.append("the other profile cannot write")
        if any(since(FENCED)):
            found.append("a write of the fenced profile was done")
        fenced = make_report([event for event in generator.events if event.sent > up], profiles)
        refusals = [e.ended - e.sent for e in generator.events if e.sent > up and e.is_write and e.reason]
        if max(refusals, default=0.0) > PROMISED:
            found.append("a refusal took longer than promised")
        try:
            lift(database)
        except sqlite3.OperationalError as error:
            found.append(f"the fence cannot be lifted: {error}")
        else:
            try:
                generator.wait_for_writes({FENCED: WRITES}, PATIENCE)
            except TimeoutError:
                found.append("writes do not work again")
    everything = generator.report().profiles
    if fenced.profiles[FENCED].failed_reads or not fenced.profiles[FENCED].reads:
        found.append(f"reads of the fenced profile failed: {fenced.profiles[FENCED].reasons}")
    if everything[OTHER].refused or everything[OTHER].unanswered or everything[OTHER].failed_reads:
        found.append(f"requests of the other profile failed: {everything[OTHER].reasons}")
    return found


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """A fresh SQLite file with both profiles."""
    path = tmp_path / "sx.db"
    seed_database(path, {FENCED: 400, OTHER: 400})
    return path


@pytest.fixture
def generator(start_api: Callable[..., Api], database: Path) -> LoadGenerator:
    """Eight clients of an instance per profile, on the one file; a failed connection stays open for a minute."""
    urls = {
        profile: start_api(source=profile, SX_DB_PATH=str(database), SX_API_ERROR_LINGER_SECONDS="60").base_url
        for profile in (FENCED, OTHER)
    }
    return LoadGenerator(items_of(database, (FENCED, OTHER), 200), urls.__getitem__, SEED)


def test_a_fence_under_load_stops_the_profile_and_nobody_else(generator: LoadGenerator, database: Path) -> None:
    for _turn in range(3):
        assert complaints(generator, database, put_up) == []
        assert verify(generator.expected, dict.fromkeys((FENCED, OTHER), sqlite_store(database))).good
        generator.forget_events()


@pytest.mark.slow
def test_the_same_with_raise_abort_fails(generator: LoadGenerator, database: Path) -> None:
    found = complaints(generator, database, put_up_with_abort)
    for beginning in (
        "the other profile cannot write",
        "the fence cannot be lifted: database is locked",
        "reads of the fenced profile failed",
        "requests of the other profile failed",
        "a refusal took longer than promised",
    ):
        assert [text for text in found if text.startswith(beginning)], (beginning, found)
