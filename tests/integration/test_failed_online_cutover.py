# SPDX-License-Identifier: GPL-3.0-or-later
"""Online cutovers that fail, tables that cannot be captured, and PostgreSQL gone: no write is lost, SQLite is live."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from typing import Any

import psycopg2
import pytest
from _ansible import Playbook, wait_for
from _cutover import HOST, World, message, new_world, refused, succeeded
from _writer import Writer

PROFILES = ("assets_1", "assets_2", "assets_3")
NEVER = [{"name": "never right", "path": "/stats", "expect_json": {"counts.items": -1}}]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    items = dict.fromkeys(PROFILES, 80)
    with new_world(tmp_path_factory.mktemp("failed_online") / "state", items=items, profiles=PROFILES) as made:
        yield made


def items_of(world: World, source_id: str) -> list[str]:
    """Return a few items to write notes to."""
    with contextlib.closing(world.sqlite()) as connection:
        query = "SELECT id FROM videos WHERE source_id = ? ORDER BY id LIMIT 10"
        return [item for (item,) in connection.execute(query, (source_id,))]


def write(world: World, source_id: str, item: str, text: str) -> None:
    answer = world.api(source_id).put(f"/items/{item}/note-md", {"markdown": text})
    assert answer.status == 200, answer.text


# Before the switch


@pytest.fixture(scope="module")
def before_switch(world: World) -> tuple[Playbook, int | None]:
    """A cutover whose smoke checks fail, and the process of the application before it."""
    pid = world.pid("api-assets_1")
    return world.play("cutover.yml", variables=world.profiles(smoke_checks=NEVER)), pid


def test_a_failure_before_the_switch_leaves_the_application_alone(
    world: World, before_switch: tuple[Playbook, int | None]
) -> None:
    run, pid = before_switch
    refused(
        run,
        "stopped in phase smoke",
        "never right",
        "SQLite is live and was not touched. The application serves from it as before.",
        "and what is captured in SQLite",
        "To give up, and have the capture removed: ansible-playbook rollback.yml -e source_id=assets_1",
        "To try again: ansible-playbook cutover.yml -e source_id=assets_1",
    )
    assert world.pid("api-assets_1") == pid and world.backend() == "sqlite"
    assert not (world.folder() / "lock.json").exists()
    report = world.report()
    assert (report["verdict"], report["stopped"]["phase"], report["live"]["store"]) == ("failed", "smoke", "sqlite")
    assert any(check["name"] == "never right" for check in report["stopped"]["open_checks"])
    assert report["parity"]["verdict"] == "passed" and len(report["parity"]["tables"]) > 5


def test_giving_up_takes_everything_away(world: World, before_switch: tuple[Playbook, int | None]) -> None:
    assert any("sxops" in entry[1] for entry in world.sqlite_declared())
    done = succeeded(world.play("rollback.yml", variables=world.profiles()))
    assert "Nothing had been switched" in message(done)
    assert not any("sxops" in entry[1] for entry in world.sqlite_declared())
    assert world.pid("api-assets_1") == before_switch[1] and world.backend() == "sqlite"


# After the switch


@pytest.fixture(scope="module")
def after_switch(world: World, before_switch: tuple[Playbook, int | None]) -> tuple[Playbook, Writer]:
    """A cutover that fails after its switch while somebody writes."""
    with Writer(world.api("assets_2"), items_of(world, "assets_2")).writing() as writer:
        wait_for(lambda: writer.acknowledged, "a write")
        variables = world.profiles("assets_2", leakage_subjects=[], leakage_checks=NEVER)
        run = world.play("cutover.yml", "assets_2", variables=variables)
    return run, writer


def test_after_a_failure_behind_the_switch_sqlite_has_every_write(
    world: World, after_switch: tuple[Playbook, Writer]
) -> None:
    run, writer = after_switch
    refused(
        run,
        "The cutover of assets_2 stopped in phase verify",
        "never right",
        "SQLite is live: the settings name it, and api-assets_2 answered every smoke check on it.",
        "brought back from PostgreSQL; nothing that was written there is missing",
        "kept for forensics",
        "To try again: ansible-playbook cutover.yml -e source_id=assets_2",
    )
    assert world.backend("assets_2") == "sqlite"
    assert len(writer.acknowledged) == 10 and writer.lost(world.notes("sqlite", "assets_2")) == {}
    assert (world.last_end("assets_2")["outcome"], world.last_end("assets_2")["store"]) == ("rolled_back", "sqlite")
    write(world, "assets_2", items_of(world, "assets_2")[0], "and it can be written")
    report = world.report("assets_2")
    assert (report["verdict"], report["stopped"]["phase"], report["live"]["store"]) == (
        "rolled_back",
        "verify",
        "sqlite",
    )
    (outage,) = report["outages"]
    assert outage["write_outage_ms"] > outage["lock_hold_ms"] > 0
    assert report["objectives"]["rto_s"] > 0 and report["objectives"]["rpo_rows"] == 0


# A table without a key


@pytest.fixture
def loose(world: World, before_switch: tuple[Playbook, int | None]) -> Iterator[None]:
    """A table of assets_3 without a key, with two equal rows; what the application itself bootstraps is there."""
    with contextlib.closing(world.sqlite()) as connection:
        connection.execute("CREATE TABLE loose (source_id TEXT, said TEXT)")
        connection.execute("INSERT INTO loose VALUES ('assets_3', 'twice'), ('assets_3', 'twice')")
        yield
        connection.execute("DROP TABLE loose")


def test_a_table_without_a_key_is_cut_over_offline_and_the_plan_says_why(world: World, loose: None) -> None:
    module = {"bootstrap": {"method": "module"}, "owner": world.description["postgres"]["app_user"]}
    variables = world.profiles("assets_3", **module)
    done = succeeded(world.play("cutover.yml", "assets_3", variables=variables))
    printed = "\n".join(done.results("Print the plan", HOST)[0]["msg"])
    assert "Offline, because loose: " in printed and "key" in printed
    assert "freeze" in world.phases(source_id="assets_3") and "capture" not in world.phases(source_id="assets_3")
    assert world.backend("assets_3") == "postgres_primary"
    said = message(succeeded(world.play("rollback.yml", "assets_3", variables=variables)))
    assert "Both stores hold the same rows" in said


# PostgreSQL is gone


@pytest.fixture(scope="module")
def emergency(world: World, after_switch: tuple[Playbook, Writer]) -> dict[str, Any]:
    """A cutover, a write, PostgreSQL killed, and the way back."""
    item = items_of(world, "assets_2")[1]
    variables = world.profiles("assets_2")
    succeeded(world.play("cutover.yml", "assets_2", variables=variables))
    write(world, "assets_2", item, "written before the emergency")
    pid = world.pid("postgres")
    assert pid
    world.control("stop", "postgres")
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    planned = world.play("rollback.yml", "assets_2", check=True, variables=variables)
    run = world.play("rollback.yml", "assets_2", variables=variables)
    return {"item": item, "variables": variables, "planned": planned, "run": run}


def test_without_postgres_sqlite_is_live_and_what_is_missing_is_said(world: World, emergency: dict[str, Any]) -> None:
    assert "cannot be reached" in "\n".join(succeeded(emergency["planned"]).results("Print the plan", HOST)[0]["msg"])
    said = message(succeeded(emergency["run"]))
    for part in ("Profile assets_2 is on SQLite", "PostgreSQL could not be reached", "-e merge=true --check"):
        assert part in said, said
    assert world.backend("assets_2") == "sqlite"
    write(world, "assets_2", items_of(world, "assets_2")[2], "written in the emergency")


def test_what_stayed_in_postgres_is_listed_and_merged_once_it_is_back(world: World, emergency: dict[str, Any]) -> None:
    world.control("start", "postgres")
    wait_for(lambda: world.stack.status()["postgres"] == "RUNNING", "PostgreSQL")
    wait_for(lambda: _asked(world), "its answer")
    variables = emergency["variables"]
    refused(
        world.play("cutover.yml", "assets_2", variables=variables), "NO-GO", "-e merge=true", "cutover_archive_schema"
    )
    listed = succeeded(world.play("rollback.yml", "assets_2", check=True, variables={**variables, "merge": True}))
    assert emergency["item"] in "\n".join(listed.results("Print the plan", HOST)[0]["msg"])
    given = {**variables, "merge": True, "conflict": "last_write_wins", "timestamp_column": "updated_at"}
    succeeded(world.play("rollback.yml", "assets_2", variables=given))
    notes = world.notes("sqlite", "assets_2")
    assert notes[emergency["item"]] == "written before the emergency"
    assert notes[items_of(world, "assets_2")[2]] == "written in the emergency"
    assert world.backend("assets_2") == "sqlite"


def _asked(world: World) -> bool:
    try:
        with world.postgres() as cursor:
            cursor.execute("SELECT 1")
            return True
    except psycopg2.OperationalError:  # it is starting
        return False
