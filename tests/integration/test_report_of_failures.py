# Copyright (c) 2026, pg_cutover developers
# SPDX-License-Identifier: GPL-3.0-or-later

"""A cutover that fails early still leaves a report; those that fail later are in the tests of what becomes of them."""

from __future__ import annotations

import concurrent.futures
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from _ansible import Playbook
from _cutover import World, message, new_world, refused, succeeded

# The profile whose cutover fails in that phase.
PHASES = {"assets_1": "bootstrap", "assets_2": "backup", "assets_3": "load", "assets_4": "parity"}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    profiles = tuple(PHASES)
    with new_world(
        tmp_path_factory.mktemp("reports") / "state", items=dict.fromkeys(profiles, 40), profiles=profiles
    ) as made:
        yield made


def broken(world: World, source_id: str, folder: Path) -> dict[str, Any]:
    """Return the inventory in which a profile's cutover fails in its phase."""
    server = world.profile(source_id)["postgres"]
    # It says its version, as the plan asks for, and dumps nothing.
    dump = folder / "pg_dump"
    dump.write_text(f'#!/bin/sh\n[ "$1" = --version ] && exec {server["bin_dir"]}/pg_dump --version\nexit 7\n')
    dump.chmod(0o755)
    for program in ("pg_restore", "psql"):
        if not (folder / program).exists():
            (folder / program).symlink_to(Path(server["bin_dir"]) / program)
    bootstrap = world.profile(source_id)["bootstrap"]
    changes: dict[str, dict[str, Any]] = {
        "bootstrap": {"bootstrap": {**bootstrap, "command": ["sh", "-c", "echo no schema today >&2; exit 3"]}},
        "backup": {"postgres": {**server, "bin_dir": str(folder)}},
        "load": {"load": {"method": "command", "command": ["sh", "-c", "echo no rows today >&2; exit 3"]}},
        # It imports nothing, and says that all is well.
        "parity": {"load": {"method": "command", "command": ["true"]}},
    }
    return world.profiles(source_id, **changes[PHASES[source_id]])


@pytest.fixture(scope="module")
def runs(world: World, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Playbook]:
    folder = tmp_path_factory.mktemp("programs")
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        made = {
            name: pool.submit(world.play, "cutover.yml", name, variables=broken(world, name, folder), timeout=600)
            for name in PHASES
        }
        return {name: run.result() for name, run in made.items()}


@pytest.mark.parametrize("profile", PHASES)
def test_the_report_names_the_phase_the_live_store_and_the_next_command(
    profile: str, world: World, runs: dict[str, Playbook]
) -> None:
    phase = PHASES[profile]
    report = world.report(profile)
    said = refused(runs[profile], f"The cutover of {profile} stopped in phase {phase}", report["stopped"]["task"])
    assert report["verdict"] == "failed" and report["chain"]["verified"]
    assert report["stopped"]["phase"] == phase and report["stopped"]["message"] in said
    assert report["live"] == {"store": "sqlite", "since": None, "proven": True, "text": "SQLite"}
    assert report["next"]["command"] == f"ansible-playbook cutover.yml -e source_id={profile}"
    # What the operator reads last says where it is, and ends with what to type.
    assert said == message(runs[profile]) and said.rstrip().endswith(report["next"]["command"])
    assert f"The report: {world.description['state_dir']}/reports/{profile}-{report['run_id']}.html." in said
    status = {mark["mark"]: mark["status"] for mark in report["timeline"]["marks"]}
    assert status["T-0"] == "not reached" and "failed" in status.values()


def test_a_failed_comparison_is_shown_by_table(world: World, runs: dict[str, Playbook]) -> None:
    parity = world.report("assets_4")["parity"]
    videos = next(row for row in parity["tables"] if row["table"] == "videos")
    assert parity["verdict"] == "failed"
    assert (videos["sqlite_rows"], videos["postgres_rows"], videos["verdict"]) == (40, 0, "failed")


def test_no_secret_of_the_inventory_is_in_a_report(world: World, runs: dict[str, Playbook]) -> None:
    texts = [path.read_text(encoding="utf-8") for path in (Path(world.description["state_dir"]) / "reports").iterdir()]
    assert len(texts) == 3 * len(PHASES)
    for name, secret in world.secrets.items():
        if name != "supervisor_user":
            assert not any(secret in text for text in texts), name


def test_a_report_that_cannot_be_made_fails_nothing_and_is_said(world: World, runs: dict[str, Playbook]) -> None:
    variables = {**world.profiles("assets_1"), "cutover_report_dir": "/dev/null/reports"}
    done = succeeded(world.play("rollback.yml", "assets_1", variables=variables))
    assert "No report could be made: The report cannot be written to /dev/null/reports" in message(done)


def test_without_a_folder_there_is_no_report_and_no_word_of_it(world: World, runs: dict[str, Playbook]) -> None:
    before = sorted((Path(world.description["state_dir"]) / "reports").iterdir())
    variables = {**world.profiles("assets_2"), "cutover_report_dir": ""}
    done = succeeded(world.play("rollback.yml", "assets_2", variables=variables))
    assert "report" not in message(done).lower()
    assert sorted((Path(world.description["state_dir"]) / "reports").iterdir()) == before
