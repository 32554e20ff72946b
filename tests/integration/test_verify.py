# SPDX-License-Identifier: GPL-3.0-or-later
"""What is asked right after the switch (seed 002 §5), and that damage found then brings SQLite back."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from _ansible import wait_for
from _cutover import World, new_world, refused, succeeded

PROFILES = ("assets_1", "assets_2")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    items = dict.fromkeys(PROFILES, 80)
    with new_world(tmp_path_factory.mktemp("verify") / "state", items=items, profiles=PROFILES) as made:
        yield made


def checks(world: World, source_id: str) -> dict[str, dict[str, Any]]:
    """Return the checks of the last verification in the ledger."""
    found = [
        entry
        for entry in world.ledger(source_id)
        if entry["kind"] == "phase" and entry["phase"] == "verify" and entry["status"] == "passed"
    ]
    return {check["name"]: check for check in found[-1]["checks"]}


def on_postgres(world: World, source_id: str) -> bool:
    return any(entry.get("store") == "postgres" for entry in world.ledger(source_id))


def test_damage_right_after_the_switch_brings_sqlite_back(world: World) -> None:
    kept = world.sqlite_rows("assets_1")
    done: list[int] = []
    ended = threading.Event()

    def damage() -> None:
        wait_for(lambda: ended.is_set() or on_postgres(world, "assets_1"), "the switch", 600)
        with world.postgres() as cursor:
            cursor.execute("SET session_replication_role = replica")
            cursor.execute("UPDATE sx_assets_1.user_meta SET rating = coalesce(rating, 0) + 1")
            done.append(cursor.rowcount)

    thread = threading.Thread(target=damage)
    thread.start()
    try:
        run = world.play("cutover.yml", variables=world.profiles())
    finally:
        ended.set()
        thread.join()
    assert done and done != [0]
    refused(
        run,
        "The cutover of assets_1 stopped in phase verify",
        "different user_meta (source_id=assets_1, video_id=",
        "in column(s) rating",
        "SQLite is live",
    )
    assert world.backend("assets_1") == "sqlite"
    assert world.last_end("assets_1")["outcome"] == "rolled_back"
    assert world.sqlite_rows("assets_1") == kept  # the damage did not come back


def test_a_verified_cutover_says_what_was_looked_at(world: World) -> None:
    succeeded(world.play("cutover.yml", "assets_2", variables=world.profiles("assets_2")))
    found = checks(world, "assets_2")
    assert {check["verdict"] for check in found.values()} == {"passed"}
    assert set(found) >= {
        "rows of videos",
        "rows of video_notes without a parent in videos",
        "the list is in its order",
        "the oldest item is found by its id",
        "verified within 15 minutes of the switch",
    }
    assert found["rows of videos"]["observed"]["rows"] == 80


def test_after_a_rollback_sqlite_is_validated(world: World) -> None:
    succeeded(world.play("rollback.yml", "assets_2", variables=world.profiles("assets_2")))
    found = checks(world, "assets_2")
    assert {check["verdict"] for check in found.values()} == {"passed"}
    assert set(found) >= {"rows of the profile", "foreign keys of user_meta", "the list is in its order"}


def test_an_offline_cutover_is_verified_as_far_as_that_goes(world: World) -> None:
    with world.postgres() as cursor:
        cursor.execute(
            "CREATE TABLE public.alembic_version (version_num text); INSERT INTO alembic_version VALUES ('2')"
        )
    migrations = {"table": "public.alembic_version", "column": "version_num", "expected": ["1", "2"]}
    variables = world.profiles("assets_2", mode="offline", migrations=migrations)
    succeeded(world.play("cutover.yml", "assets_2", variables=variables))
    found = checks(world, "assets_2")
    assert [name for name, check in found.items() if check["verdict"] != "passed"] == ["rows compared"]
    assert set(found) >= {"duplicates of (source_id, id) in videos", "migration history public.alembic_version"}
