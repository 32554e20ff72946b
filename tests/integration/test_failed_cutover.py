# SPDX-License-Identifier: GPL-3.0-or-later
"""Cutovers offline that fail on the way: SQLite is back by itself, and the message says where everything stands."""

from __future__ import annotations

import concurrent.futures
import getpass
import json
import sqlite3
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from _ansible import wait_for
from _cutover import DETAILS, World, details, holding, message, new_world, refused, succeeded

PROFILES = ("assets_1", "assets_2", "assets_3")
WHY = {
    "assets_1": ("phase verify", "See that no profile sees another one's rows", "never right"),
    "assets_2": ("phase switch", "Wait until every instance answers on postgres", "postgres_primary", "sqlite"),
    "assets_3": ("phase switch", "Wait until every instance answers on postgres", "ready", "refused"),
}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    items = dict.fromkeys(PROFILES, 100)
    state, offline = tmp_path_factory.mktemp("failed") / "state", {"cutover_mode": "offline"}
    with new_world(state, offline, items=items, profiles=PROFILES) as made:
        yield made


@pytest.fixture(scope="module")
def fresh(world: World) -> dict[str, Any]:
    """What there was before: rows, and settings."""
    return {name: (world.sqlite_rows(name), world.settings(name).read_bytes()) for name in PROFILES}


def plain(world: World, source_id: str, **postgres: str) -> dict[str, Any]:
    """Return settings that differ from the preset's when PostgreSQL is to be live."""
    text = world.settings(source_id).read_text(encoding="utf-8")
    lines = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    return {
        "sqlite": {"plain": {name: lines[name] for name in postgres}},
        "postgres": {"plain": postgres},
    }


def broken(world: World, source_id: str) -> dict[str, Any]:
    """Return the inventory in which a profile's cutover fails after its switch."""
    changes: dict[str, dict[str, Any]] = {
        # Everything is fine, but a check after the switch.
        "assets_1": {
            "leakage_subjects": [],
            "leakage_checks": [{"name": "never right", "path": "/stats", "expect_json": {"counts.items": -1}}],
        },
        # It comes up, on the wrong backend.
        "assets_2": {"settings": plain(world, source_id, SX_DB_BACKEND_MODE="POSTGRES_MIRROR"), "standby": None},
        # It does not come up.
        "assets_3": {
            "settings": plain(world, source_id, SX_DB_BACKEND_MODE="POSTGRES_PRIMARY", SX_API_PORT="none"),
            "standby": None,
            "start_timeout": 6,
        },
    }
    return world.profiles(source_id, **changes[source_id])


@pytest.fixture(scope="module")
def runs(world: World, fresh: dict[str, Any]) -> dict[str, Any]:
    """A failing cutover of each profile, all at once; a second one of assets_1 meanwhile, and the lock it met."""
    lock = world.folder("assets_1") / "lock.json"
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        made = {
            name: pool.submit(world.play, "cutover.yml", name, variables=broken(world, name), timeout=600)
            for name in PROFILES
        }
        wait_for(lock.exists, "the lock of assets_1", 120)
        held = json.loads(lock.read_text(encoding="utf-8"))
        second = world.play("cutover.yml", "assets_1", variables=world.profiles())
        assert json.loads(lock.read_text(encoding="utf-8")) == held, "the first run was over too soon"
        return {"lock": held, "second": second, **{name: run.result() for name, run in made.items()}}


@pytest.mark.parametrize("profile", PROFILES)
def test_after_a_failure_behind_the_switch_sqlite_is_live_by_itself(
    profile: str, world: World, fresh: dict[str, Any], runs: dict[str, Any]
) -> None:
    rows, settings = fresh[profile]
    assert runs[profile].process.returncode != 0
    assert world.backend(profile) == "sqlite"
    assert world.settings(profile).read_bytes() == settings
    assert world.sqlite_rows(profile) == rows
    assert not (world.folder(profile) / "lock.json").exists()
    assert not (world.folder(profile) / "smoke.json").exists()


@pytest.mark.parametrize("profile", PROFILES)
def test_after_a_failure_behind_the_switch_postgres_keeps_its_rows(
    profile: str, world: World, fresh: dict[str, Any], runs: dict[str, Any]
) -> None:
    assert world.postgres_rows(f"sx_{profile}") == fresh[profile][0]


@pytest.mark.parametrize("profile", PROFILES)
def test_the_message_names_phase_reason_live_store_and_next_command(
    profile: str, world: World, runs: dict[str, Any]
) -> None:
    text = refused(
        runs[profile],
        *WHY[profile],
        f"The cutover of {profile} stopped in ",
        f"SQLite is live: the settings name it, and api-{profile} answered every smoke check on it.",
        f"Its rows in PostgreSQL schema sx_{profile} are kept for forensics",
        f"To try again: ansible-playbook cutover.yml -e source_id={profile}",
    )
    end = world.last_end(profile)
    assert (end["outcome"], end["store"]) == ("rolled_back", "sqlite")
    assert end["message"] in text
    output = runs[profile].process.stdout + runs[profile].process.stderr
    for name, secret in world.secrets.items():
        assert name == "supervisor_user" or secret not in output, name


@pytest.mark.parametrize("profile", PROFILES)
def test_the_report_names_phase_reason_live_store_and_next_command(
    profile: str, world: World, runs: dict[str, Any]
) -> None:
    report = world.report(profile)
    phase, task = WHY[profile][:2]
    assert report["verdict"] == "rolled_back" and report["chain"]["verified"]
    assert (f"phase {report['stopped']['phase']}", report["stopped"]["message"]) == (
        phase,
        world.last_end(profile)["message"],
    )
    assert report["stopped"]["task"].endswith(task) or profile == "assets_1"
    assert report["live"]["store"] == "sqlite" and report["live"]["proven"]
    assert report["next"]["command"] == f"ansible-playbook cutover.yml -e source_id={profile}"
    assert report["objectives"]["applies"] == "automated" and report["objectives"]["rto_s"] > 0
    assert f"reports/{profile}-{report['run_id']}.html" in message(runs[profile])


def test_a_second_run_is_told_who_holds_the_profile_and_changes_nothing(world: World, runs: dict[str, Any]) -> None:
    held, second = runs["lock"], runs["second"]
    refused(
        second,
        "Another run works on profile assets_1",
        f"cutover of {getpass.getuser()} on",
        f"process {held['holder']['pid']}",
        f"since {held['since']}",
        f"cutover_take_over={held['run_id']}",
        "is running on this control node",
        "Nothing was changed by this run",
        "ansible-playbook status.yml -e source_id=assets_1",
    )
    assert second.stats["changed"] == 0
    assert len([entry for entry in world.ledger("assets_1") if entry["kind"] == "run_started"]) == 1


def test_status_after_a_failure(world: World, runs: dict[str, Any]) -> None:
    done = succeeded(world.play("status.yml", None, variables={**world.profiles(), **DETAILS}))
    for profile in PROFILES:
        (line,) = [text for text in details(done) if text.startswith(f"{profile}: ")]
        assert "settings name sqlite, instance answers on sqlite, ledger says sqlite" in line
        assert line.endswith(f"Next: ansible-playbook cutover.yml -e source_id={profile} --check")


def test_a_writer_that_holds_the_file_stops_the_run_before_anything_is_touched(
    world: World, fresh: dict[str, Any], runs: dict[str, Any]
) -> None:
    pid = world.pid("api-assets_1")
    writer = sqlite3.connect(world.description["sqlite_path"], isolation_level=None)
    with holding(writer, "BEGIN IMMEDIATE"):
        run = world.play("cutover.yml", "assets_1", variables=world.profiles())
    refused(
        run,
        "stopped in phase baseline",
        "SQLite is live and was not touched. Nothing was written to PostgreSQL.",
        "To try again: ansible-playbook cutover.yml -e source_id=assets_1",
    )
    assert world.pid("api-assets_1") == pid
    assert world.backend() == "sqlite"
    report = world.report()
    assert (report["verdict"], report["stopped"]["phase"]) == ("failed", "baseline")
    assert (world.sqlite_rows(), world.settings().read_bytes()) == fresh["assets_1"]
    assert world.postgres_rows() == fresh["assets_1"][0]


def test_a_ledger_that_cannot_be_written_does_not_keep_the_application_down(
    world: World, fresh: dict[str, Any], tmp_path: Path
) -> None:
    if subprocess.run(["chattr", "+i", tmp_path], capture_output=True, check=False).returncode:
        pytest.skip("no immutable files here")
    subprocess.run(["chattr", "-i", tmp_path], check=True)
    ledger = world.folder("assets_2") / "ledger.jsonl"

    def begun() -> int:
        return len([entry for entry in world.ledger("assets_2") if entry["kind"] == "run_started"])

    before = begun()
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        future = pool.submit(world.play, "cutover.yml", "assets_2", variables=world.profiles())
        wait_for(lambda: begun() > before and "freeze" in world.phases("started", "assets_2"), "phase freeze", 120)
        subprocess.run(["chattr", "+i", ledger], check=True)
        try:
            run = future.result()
        finally:
            subprocess.run(["chattr", "-i", ledger], check=True)
    text = refused(
        run, "The cutover of assets_2 stopped in phase freeze", f"Ledger {ledger}", "SQLite is live", "To try again"
    )
    assert "ATTENTION" not in text
    # The ledger does not know how it ended; the report says what it knows.
    report = world.report("assets_2")
    assert (report["verdict"], report["stopped"]["phase"]) == ("open", "freeze")
    assert world.backend("assets_2") == "sqlite"
    assert world.sqlite_rows("assets_2") == fresh["assets_2"][0]
    # The lock that could not be released is that of a dead run.
    done = succeeded(world.play("rollback.yml", "assets_2", variables=world.profiles()))
    assert "Profile assets_2 is on SQLite" in message(done)
    assert not (world.folder("assets_2") / "lock.json").exists()
