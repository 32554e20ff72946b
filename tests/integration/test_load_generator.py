# SPDX-License-Identifier: GPL-3.0-or-later
"""The load generator against the real application: it finds what is there, and notices what somebody took away."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import psycopg2
import pytest
from api_client import Api, run_cli
from faults.clients import META, NOTE, LoadGenerator
from faults.ledger import Key, Outcome
from faults.load import items_of
from faults.verifier import Verdict, postgres_store, sqlite_store, verify
from local_stack.seed import seed_database
from local_stack.stack import Stack

PROFILES = ("assets_1", "assets_2")
SEED = 20261127


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """A fresh SQLite file with both profiles."""
    path = tmp_path / "sx.db"
    seed_database(path, {"assets_1": 400, "assets_2": 200})
    return path


@pytest.fixture
def loaded(start_api: Callable[..., Api], database: Path) -> Iterator[LoadGenerator]:
    """Eight clients that have written a few hundred values to both profiles, and are done."""
    api = start_api(SX_DB_PATH=str(database))
    generator = LoadGenerator(items_of(database, PROFILES, 200), lambda _profile: api.base_url, SEED)
    with generator:
        for profile in PROFILES:
            generator.wait_for_writes({profile: 200}, 60)
    yield generator


def look(generator: LoadGenerator, database: Path) -> Verdict:
    """Compare with the SQLite file."""
    return verify(generator.expected, dict.fromkeys(PROFILES, sqlite_store(database)))


def change(database: Path, statement: str, *parameters: object) -> int:
    """Change the file behind the application's back; how many rows."""
    with closing(sqlite3.connect(database, timeout=10, isolation_level=None)) as connection:
        return connection.execute(statement, parameters).rowcount


def an_acknowledged_key(generator: LoadGenerator, field: str, profile: str = "assets_1") -> Key:
    """Return a key with an acknowledged write."""
    expected = generator.expected.items()
    return next(key for key, of in expected if (key.field, key.profile) == (field, profile) and of.acknowledged)


def test_every_acknowledged_write_is_found(loaded: LoadGenerator, database: Path) -> None:
    verdict = look(loaded, database)
    assert verdict.good, verdict
    report = loaded.report()
    for profile in PROFILES:
        each = report.profiles[profile]
        assert each.acknowledged >= 200 and each.reads and not each.failed_reads and not each.refused, each
        assert each.write_latency_s and each.longest_gap_s
        assert each.write_latency_s["p50"] <= each.write_latency_s["p99"] <= each.write_latency_s["max"]
    assert verdict.checked == len([key for key, of in loaded.expected.items() if of.acknowledged])


class TestALoser:
    """What a cutover that loses writes would leave is reported, by name."""

    def test_an_older_value(self, loaded: LoadGenerator, database: Path) -> None:
        written: dict[Key, list[str]] = {}
        for event in loaded.events:
            if event.value and event.outcome is Outcome.ACKNOWLEDGED:
                written.setdefault(event.key, []).append(event.value)
        key = next(key for key, values in written.items() if key.field == META and len(values) > 1)
        older = written[key][-2]
        change(
            database,
            "UPDATE user_meta SET notes = ? WHERE source_id = ? AND video_id = ?",
            *(older, key.profile, key.item),
        )
        verdict = look(loaded, database)
        assert (verdict.lost, verdict.duplicated, verdict.good) == (1, 0, False)
        assert key.item in verdict.examples[0] and older in verdict.examples[0]

    def test_a_row_that_is_gone(self, loaded: LoadGenerator, database: Path) -> None:
        key = an_acknowledged_key(loaded, NOTE, "assets_2")
        where = "source_id = ? AND video_id = ?"
        assert change(database, f"DELETE FROM video_notes WHERE {where}", key.profile, key.item) == 1
        verdict = look(loaded, database)
        assert verdict.lost == 1 and key.item in verdict.examples[0] and "assets_2" in verdict.examples[0]

    def test_a_value_in_a_row_of_another_item(self, loaded: LoadGenerator, database: Path) -> None:
        key = an_acknowledged_key(loaded, NOTE)
        value = loaded.expected[key].acknowledged
        unused = next(item for item in items_of(database, PROFILES, 400)["assets_1"][200:])
        statement = "INSERT OR REPLACE INTO video_notes (source_id, video_id, markdown) VALUES ('assets_1', ?, ?)"
        change(database, statement, unused, value)
        verdict = look(loaded, database)
        assert (verdict.lost, verdict.duplicated) == (0, 1) and str(value) in verdict.examples[0]

    def test_two_rows_where_the_key_was_lost(self, loaded: LoadGenerator, database: Path) -> None:
        change(database, "ALTER TABLE video_notes RENAME TO old")
        change(database, "CREATE TABLE video_notes AS SELECT * FROM old")
        key = an_acknowledged_key(loaded, NOTE)
        again = "INSERT INTO video_notes SELECT * FROM old WHERE source_id = ? AND video_id = ?"
        change(database, again, key.profile, key.item)
        verdict = look(loaded, database)
        assert (verdict.lost, verdict.duplicated) == (0, 1) and "has 2 rows" in verdict.examples[0]


def test_in_postgresql(start_api: Callable[..., Api], stack: Stack, database: Path, tmp_path: Path) -> None:
    dsn = stack.secrets()["dsn"]
    settings = {"SX_DB_BACKEND_MODE": "POSTGRES_PRIMARY", "SX_POSTGRES_DSN": dsn, "SX_PROFILES": ""}
    source = "load_generator"
    api = start_api(source=source, **settings)
    assert run_cli(api.environment, "pg-bootstrap", "--source", source, cwd=tmp_path).returncode == 0
    items = [f"item-{number}" for number in range(60)]
    with contextlib.closing(psycopg2.connect(dsn)) as connection:
        with connection, connection.cursor() as cursor:
            for item in items:
                cursor.execute(f"INSERT INTO sx_{source}.videos (source_id, id) VALUES (%s, %s)", (source, item))
        generator = LoadGenerator({source: items}, lambda _profile: api.base_url, SEED)
        with generator:
            generator.wait_for_writes({source: 150}, 60)
        stores = {source: postgres_store(dsn)}
        assert verify(generator.expected, stores).good
        key = an_acknowledged_key(generator, META, source)
        with connection, connection.cursor() as cursor:
            cursor.execute(f"DELETE FROM sx_{source}.user_meta WHERE video_id = %s", (key.item,))
        assert verify(generator.expected, stores).lost == 1
