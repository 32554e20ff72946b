# SPDX-License-Identifier: GPL-3.0-or-later
"""Online there and back on a real stack, the application serving and somebody writing all the time.

One story in order: each part begins with what the one before it left.
"""

from __future__ import annotations

import contextlib
import re
import sqlite3
from collections.abc import Iterator
from typing import Any

import pytest
from _ansible import Playbook, wait_for
from _cutover import DETAILS, HOST, TABLES, World, details, message, new_world, refused, succeeded
from _writer import Writer

ONLINE = (
    *("gates", "baseline", "bootstrap", "capture", "backup", "load", "parity"),
    *("catch_up", "smoke", "go", "switch", "verify"),
)
ROLLBACK = "ansible-playbook rollback.yml -e source_id=assets_1"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with new_world(tmp_path_factory.mktemp("online") / "state", items={"assets_1": 200, "assets_2": 60}) as made:
        yield made


@pytest.fixture(scope="module")
def fresh(world: World) -> dict[str, Any]:
    """What there was before anything was done."""
    return {
        "rows": world.sqlite_rows(),
        "other rows": world.sqlite_rows("assets_2"),
        "other pid": world.pid("api-assets_2"),
        "declared": world.sqlite_declared(),
    }


@pytest.fixture(scope="module")
def items(world: World) -> list[str]:
    """A few items to write notes to."""
    with contextlib.closing(world.sqlite()) as connection:
        found = connection.execute("SELECT id FROM videos WHERE source_id = 'assets_1' ORDER BY id LIMIT 20").fetchall()
    return [item for (item,) in found]


def write(world: World, item: str, text: str) -> None:
    answer = world.api().put(f"/items/{item}/note-md", {"markdown": text})
    assert answer.status == 200, answer.text


def plan_of(run: Playbook) -> str:
    return "\n".join(run.results("Print the plan", HOST)[0]["msg"])


def line_of(world: World) -> str:
    found = details(succeeded(world.play("status.yml", None, variables=DETAILS)))
    return next(line for line in found if line.startswith("assets_1: "))


# The way there


def test_check_says_online_and_touches_nothing(world: World, fresh: dict[str, Any]) -> None:
    before = world.everything()
    plan = succeeded(world.play("cutover.yml", check=True, variables={"hold_switch": True}))
    assert world.everything() == before and plan.stats["changed"] == 0
    assert "Online: the application serves from SQLite until the switch" in plan_of(plan)
    hold = world.folder() / "hold"
    assert f"To release it: rm {hold}" in plan_of(plan) and f"then {ROLLBACK}" in plan_of(plan)
    assert not world.folder().exists()


@pytest.fixture(scope="module")
def cutover(world: World, fresh: dict[str, Any], items: list[str]) -> tuple[Playbook, Writer]:
    """A cutover while somebody writes."""
    with Writer(world.api(), items).writing() as writer:
        wait_for(lambda: writer.acknowledged, "a write")
        done = world.play("cutover.yml", arguments=["-vvv", "--diff"])
    return succeeded(done), writer


def test_no_acknowledged_write_is_lost(world: World, cutover: tuple[Playbook, Writer]) -> None:
    writer = cutover[1]
    assert world.backend() == "postgres_primary"
    assert len(writer.acknowledged) == 20
    assert writer.lost(world.notes("postgres")) == {}


def test_every_phase_passed_and_the_application_was_stopped_by_none(
    world: World, cutover: tuple[Playbook, Writer]
) -> None:
    assert world.phases() == [*ONLINE]
    (switch,) = [entry for entry in world.ledger() if entry.get("phase") == "switch" and entry["status"] == "passed"]
    assert switch["facts"]["online"] is True and switch["facts"]["lock_hold_ms"] > 0
    assert {check["verdict"] for entry in world.ledger() for check in entry.get("checks", [])} == {"passed"}
    assert (world.last_end()["outcome"], world.last_end()["store"]) == ("completed", "postgres")


def test_sqlite_refuses_the_profile_and_nobody_else(
    world: World, cutover: tuple[Playbook, Writer], fresh: dict[str, Any]
) -> None:
    with contextlib.closing(world.sqlite()) as connection:
        with pytest.raises(sqlite3.DatabaseError, match="assets_1"):
            connection.execute("UPDATE videos SET caption = 'x' WHERE source_id = 'assets_1'")
        connection.execute("UPDATE videos SET caption = caption WHERE source_id = 'assets_2'")
    assert world.sqlite_rows("assets_2") == fresh["other rows"]
    assert world.pid("api-assets_2") == fresh["other pid"] and world.backend("assets_2") == "sqlite"


def test_no_secret_is_told_anywhere(world: World, cutover: tuple[Playbook, Writer]) -> None:
    output = cutover[0].process.stdout + cutover[0].process.stderr
    for name, secret in world.secrets.items():
        assert name == "supervisor_user" or secret not in output, name


def test_a_second_run_changes_nothing(world: World, cutover: tuple[Playbook, Writer]) -> None:
    before = world.everything()
    again = succeeded(world.play("cutover.yml"))
    after = world.everything()
    # The application writes the row of its profile on every request.
    for state in (before, after):
        state["postgres rows"].pop("public.sources")
    assert again.stats["changed"] == 0 and after == before


# The way back, with everything


@pytest.fixture(scope="module")
def returned(world: World, cutover: tuple[Playbook, Writer], items: list[str]) -> dict[str, Any]:
    """A note written on PostgreSQL, what was said of it before, and the rollback."""
    write(world, items[0], "written on PostgreSQL")
    status = line_of(world)
    before = world.everything()
    planned = succeeded(world.play("rollback.yml", check=True))
    assert world.everything() == before
    return {"status": status, "planned": planned, "run": succeeded(world.play("rollback.yml"))}


def test_status_tells_which_store_is_live_and_what_is_pending(returned: dict[str, Any]) -> None:
    status = returned["status"]
    assert "settings name postgres, instance answers on postgres, ledger says postgres" in status
    assert re.search(r", [1-9]\d* changed rows to bring back", status), status
    assert status.endswith("brings it back, ansible-playbook close.yml -e source_id=assets_1 ends it"), status


def test_a_rollback_brings_back_what_was_written_on_postgres(
    world: World, returned: dict[str, Any], items: list[str]
) -> None:
    assert "Everything that PostgreSQL took is brought to SQLite" in plan_of(returned["planned"])
    assert world.backend() == "sqlite"
    assert world.notes("sqlite")[items[0]] == "written on PostgreSQL"
    assert world.sqlite_rows() == world.postgres_rows()
    said = message(returned["run"])
    assert "Profile assets_1 is on SQLite" in said and "nothing that was written there is missing" in said
    write(world, items[1], "written on SQLite again")


def test_a_second_rollback_changes_nothing(world: World, returned: dict[str, Any]) -> None:
    rows = world.sqlite_rows()
    assert succeeded(world.play("rollback.yml")).stats["changed"] == 0
    assert world.sqlite_rows() == rows


# Held, killed, and released


@pytest.fixture(scope="module")
def held(world: World, returned: dict[str, Any], items: list[str]) -> dict[str, Any]:
    """A cutover that waits before its switch and is killed there; another one goes on, and is released."""
    file = world.folder() / "hold"
    with world.running("cutover.yml", hold_switch=True):
        wait_for(lambda: "hold" in world.phases("started"), "the hold", 300)
        write(world, items[2], "written while held")
        wait_for(lambda: world.notes("postgres").get(items[2]) == "written while held", "the write in PostgreSQL", 120)
    assert file.exists() and world.backend() == "sqlite"
    status = line_of(world)
    write(world, items[3], "written while nobody runs")
    with world.running("cutover.yml") as process:
        wait_for(lambda: world.phases("started")[-1:] == ["hold"] and world.resumed(), "the hold again", 300)
        write(world, items[4], "written while held again")
        file.unlink()
        assert process.wait(300) == 0, world.log()
    return {"status": status, "phases": world.phases_since_resumed()}


def test_status_of_a_run_killed_while_it_is_held(held: dict[str, Any]) -> None:
    assert "settings name sqlite, instance answers on sqlite" in held["status"]
    assert "open run in phase go" in held["status"]


def test_the_same_command_goes_on_without_a_new_load(world: World, held: dict[str, Any], items: list[str]) -> None:
    assert held["phases"] == ["gates", "baseline", "catch_up", "smoke", "go", "hold", "go", "switch", "verify"]
    notes = world.notes("postgres")
    assert [notes[item] for item in items[2:5]] == [
        "written while held", "written while nobody runs", "written while held again",
    ]  # fmt: skip
    assert world.backend() == "postgres_primary"
    assert [name for name in world.schemas() if "_kept_" in name]


# The window


def test_the_window_drains_the_way_back_and_ends_when_somebody_goes_back(
    world: World, held: dict[str, Any], items: list[str]
) -> None:
    window = {"demo_window": 3600}
    with world.running("cutover.yml", **window) as process:
        wait_for(lambda: "The window of assets_1 runs until" in world.log(), "the window", 300)
        assert not (world.folder() / "lock.json").exists()
        write(world, items[5], "written in the window")
        wait_for(lambda: world.notes("sqlite").get(items[5]) == "written in the window", "the write in SQLite", 120)
        refused(world.play("close.yml", variables=window), "the stabilization window runs until", "close_early=true")
        succeeded(world.play("rollback.yml", variables=window))
        assert process.wait(300) == 0, world.log()
    assert world.backend() == "sqlite"
    assert world.notes("sqlite")[items[5]] == "written in the window"


# The way back, without everything


@pytest.fixture(scope="module")
def kept(world: World, held: dict[str, Any], items: list[str]) -> dict[str, Any]:
    """Over again, a write on PostgreSQL, and a rollback that leaves it there."""
    succeeded(world.play("cutover.yml"))
    write(world, items[6], "left on PostgreSQL")
    return {"run": succeeded(world.play("rollback.yml", variables={"return_data": "keep"}))}


def test_keep_names_what_stays_in_postgres_before_and_after(
    world: World, kept: dict[str, Any], items: list[str]
) -> None:
    (before,) = kept["run"].results("Say what would not come along", HOST)
    assert "changed rows of PostgreSQL are not in SQLite" in before["msg"] and items[6] in before["msg"]
    assert "NOT IN SQLITE" in message(kept["run"]) and items[6] in message(kept["run"])
    assert world.notes("sqlite").get(items[6]) != "left on PostgreSQL"
    assert world.notes("postgres")[items[6]] == "left on PostgreSQL"


def test_what_was_kept_can_be_exported_and_merged(world: World, kept: dict[str, Any], items: list[str]) -> None:
    folder = world.folder().parent / "export"
    succeeded(world.play("rollback.yml", variables={"export_dir": str(folder), "export_only": True}))
    assert any(items[6] in path.read_text(encoding="utf-8") for path in folder.iterdir())
    listed = succeeded(world.play("rollback.yml", check=True, variables={"merge": True}))
    assert items[6] in plan_of(listed)
    merged = succeeded(world.play("rollback.yml", variables={"merge": True, "conflict": "postgres_wins"}))
    assert "changed rows were brought from PostgreSQL" in message(merged)
    assert world.notes("sqlite")[items[6]] == "left on PostgreSQL"


# The end


@pytest.fixture(scope="module")
def closed(world: World, kept: dict[str, Any], items: list[str]) -> dict[str, Any]:
    """Over once more, and closed; what is refused before that."""
    window = {"demo_window": 3600}
    succeeded(world.play("cutover.yml"))
    write(world, items[7], "written before the end")
    without_reason = world.play("close.yml", variables={**window, "close_early": True})
    planned = world.play("close.yml", check=True)
    before = world.sqlite_rows()
    run = world.play("close.yml", variables={**window, "close_early": True, "close_reason": "tested enough"})
    return {"without reason": without_reason, "planned": planned, "run": succeeded(run), "before": before}


def test_close_wants_a_reason_before_the_window_ends(closed: dict[str, Any]) -> None:
    refused(closed["without reason"], "close_early needs a reason", "PostgreSQL", "Nothing was changed")
    assert "can be closed" in message(succeeded(closed["planned"]))


def test_close_leaves_no_trace(world: World, closed: dict[str, Any], fresh: dict[str, Any], items: list[str]) -> None:
    assert world.sqlite_declared() == fresh["declared"]
    assert world.sqlite_rows() == world.postgres_rows()
    assert world.notes("sqlite")[items[7]] == "written before the end"
    with world.postgres() as cursor:
        cursor.execute(
            "SELECT (SELECT count(*) FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid"
            " WHERE c.relnamespace = 'sx_assets_1'::regnamespace AND NOT t.tgisinternal),"
            " (SELECT count(*) FROM pg_proc WHERE pronamespace = 'sxops_cutover'::regnamespace)"
        )
        assert cursor.fetchone() == (0, 0)
    (started,) = [entry for entry in world.ledger() if entry.get("verb") == "close"]
    assert started["parameters"]["reason"] == "tested enough"
    assert succeeded(world.play("close.yml")).stats["changed"] == 0


def test_status_of_a_closed_profile(world: World, closed: dict[str, Any]) -> None:
    line = line_of(world)
    assert "answers on postgres" in line and ", closed 20" in line
    assert "restore.yml -e source_id=assets_1 is the only way back" in line


def test_after_the_end_only_a_backup_leads_back(
    world: World, closed: dict[str, Any], fresh: dict[str, Any], items: list[str]
) -> None:
    refused(world.play("rollback.yml"), "was closed", "restore.yml", "return_data=backup", "Nothing was changed")
    assert world.backend() == "postgres_primary"
    done = succeeded(world.play("rollback.yml", variables={"return_data": "backup"}))
    assert "Profile assets_1 is on SQLite" in message(done)
    assert world.backend() == "sqlite"
    assert world.notes("sqlite").get(items[7]) != "written before the end"
    assert world.notes("sqlite")[items[6]] == "left on PostgreSQL"
    assert world.sqlite_rows("assets_2") == fresh["other rows"]
    assert {len(rows) for rows in world.sqlite_rows().values()} != {0} and set(world.sqlite_rows()) == set(TABLES)
