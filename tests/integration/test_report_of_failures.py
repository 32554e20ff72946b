# Copyright (c) 2026, pg_cutover developers
# SPDX-License-Identifier: GPL-3.0-or-later

"""A cutover that fails early still leaves a report; those that fail later are in the tests of what becomes of them."""

from __future__ import annotations

import concurrent.futures
import dataclasses
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from _ansible import Playbook, wait_for
from _cutover import World, holding, message, new_world, refused, succeeded

# In which phases the cutovers of a profile fail, one after the other; each tries it again after the one before it.
FAILING = {
    "assets_1": ("bootstrap", "catch_up"),
    "assets_2": ("backup", "go"),
    "assets_3": ("capture", "load"),
    "assets_4": ("parity",),
}
PHASES = [phase for phases in FAILING.values() for phase in phases]
# What the operator reads of it, and how the report calls it; an open gate is a decision, and no fault.
SAID = {"go": ("stopped before its switch. NO-GO: ", "refused")}
WHY = {
    "bootstrap": "no schema today",
    "capture": "locked",
    "load": "no rows today",
    "catch_up": "videos.caption",
    "go": "backup_of_this_run (failed): ",
}
# A writer gets into the file once the plan has been made, and stays there.
WAIT = """
import pathlib, sys, time
asked, held = map(pathlib.Path, sys.argv[1:])
asked.touch()
while not held.exists():
    time.sleep(0.1)
"""
# A user writes what PostgreSQL cannot hold.
NUL = """
import os, sqlite3
connection = sqlite3.connect(os.environ["PG_CUTOVER_SQLITE_PATH"], timeout=60)
profile = os.environ["PG_CUTOVER_SOURCE_ID"]
with connection:
    (video,) = connection.execute("SELECT min(id) FROM videos WHERE source_id = ?", [profile]).fetchone()
    statement = "UPDATE videos SET caption = 'a' || char(0) || 'b' WHERE source_id = ? AND id = ?"
    assert connection.execute(statement, [profile, video]).rowcount == 1
"""
# A disk changes a byte of the snapshot of this run.
DAMAGE = """
import json, os
entries = [json.loads(line) for line in open(os.environ["PG_CUTOVER_LEDGER_FILE"])]
wanted = (os.environ["PG_CUTOVER_RUN_ID"], "backup", "passed")
(backup,) = [entry for entry in entries if (entry["run_id"], entry.get("phase"), entry.get("status")) == wanted]
path = backup["facts"]["sqlite_snapshot"]
os.chmod(path, 0o600)
with open(path, "r+b") as stream:
    stream.seek(-1, os.SEEK_END)
    (byte,) = stream.read(1)
    stream.seek(-1, os.SEEK_END)
    stream.write(bytes([byte ^ 1]))
"""


@dataclasses.dataclass(frozen=True)
class Failed:
    """A cutover that failed in a phase, and the report that it left."""

    profile: str
    run: Playbook
    report: dict[str, Any]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    profiles = tuple(FAILING)
    with new_world(
        tmp_path_factory.mktemp("reports") / "state", items=dict.fromkeys(profiles, 40), profiles=profiles
    ) as made:
        yield made


def broken(world: World, source_id: str, phase: str, folder: Path) -> dict[str, Any]:
    """Return the inventory in which a profile's cutover fails in a phase."""
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
        "capture": {"hooks": {"before_capture": python(WAIT, str(folder / "asked"), str(folder / "held"))}},
        "backup": {"postgres": {**server, "bin_dir": str(folder)}},
        "load": {"load": {"method": "command", "command": ["sh", "-c", "echo no rows today >&2; exit 3"]}},
        # It imports nothing, and says that all is well.
        "parity": {"load": {"method": "command", "command": ["true"]}},
        "catch_up": {"hooks": {"after_parity": python(NUL)}},
        "go": {"hooks": {"after_smoke": python(DAMAGE)}},
    }
    return world.profiles(source_id, **changes[phase])


def python(program: str, *arguments: str) -> dict[str, Any]:
    """Return a hook that is a program in Python."""
    return {"command": [sys.executable, "-c", program, *arguments]}


@pytest.fixture(scope="module")
def failed(world: World, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Failed]:
    """A failing cutover for each phase."""
    folder = tmp_path_factory.mktemp("programs")

    def fail(profile: str, phases: Sequence[str]) -> dict[str, Failed]:
        found = {}
        for phase in phases:
            variables = broken(world, profile, phase, folder)
            run = world.play("cutover.yml", profile, variables=variables, timeout=600)
            found[phase] = Failed(profile, run, world.report(profile))
        return found

    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        # All profiles are in one file, so nobody else writes while it is locked.
        first, *rest = FAILING["assets_3"]
        locked = pool.submit(fail, "assets_3", [first])
        wait_for(lambda: (folder / "asked").exists() or locked.done(), "the hook before phase capture", 300)
        with holding(world.sqlite(), "BEGIN IMMEDIATE"):
            (folder / "held").touch()
            found = locked.result()
        made = [pool.submit(fail, *one) for one in {**FAILING, "assets_3": rest}.items()]
        for one in made:
            found |= one.result()
    return found


@pytest.mark.parametrize("phase", PHASES)
def test_the_report_names_the_phase_the_live_store_and_the_next_command(
    phase: str, world: World, failed: dict[str, Failed]
) -> None:
    profile, run, report = failed[phase].profile, failed[phase].run, failed[phase].report
    stopped, verdict = SAID.get(phase, (f'stopped in phase {phase}, at "{report["stopped"]["task"]}":', "failed"))
    said = refused(run, f"The cutover of {profile} {stopped}", WHY.get(phase, ""))
    assert report["verdict"] == verdict and report["chain"]["verified"]
    assert report["stopped"]["phase"] == phase and report["stopped"]["message"] in said
    assert WHY.get(phase, "") in report["stopped"]["message"]
    assert report["live"] == {"store": "sqlite", "since": None, "proven": True, "text": "SQLite"}
    assert report["next"]["command"] == f"ansible-playbook cutover.yml -e source_id={profile}"
    # What the operator reads last says where it is, and ends with what to type.
    assert said == message(run) and said.rstrip().endswith(report["next"]["command"])
    assert f"The report: {world.description['state_dir']}/reports/{profile}-{report['run_id']}.html." in said
    status = {mark["mark"]: mark["status"] for mark in report["timeline"]["marks"]}
    assert status["T-0"] == "not reached" and "failed" in status.values()


@pytest.mark.parametrize("profile", FAILING)
def test_the_application_was_not_disturbed_by_any_of_them(
    profile: str, world: World, failed: dict[str, Failed]
) -> None:
    assert world.backend(profile) == "sqlite"
    assert not (world.folder(profile) / "lock.json").exists()


def test_an_open_gate_before_the_switch_is_named_in_the_report(failed: dict[str, Failed]) -> None:
    report = failed["go"].report
    assert [check["name"] for check in report["stopped"]["open_checks"]] == ["backup_of_this_run"]
    assert "was changed after it was written" in report["stopped"]["open_checks"][0]["message"]


def test_a_failed_comparison_is_shown_by_table(failed: dict[str, Failed]) -> None:
    parity = failed["parity"].report["parity"]
    videos = next(row for row in parity["tables"] if row["table"] == "videos")
    assert parity["verdict"] == "failed"
    assert (videos["sqlite_rows"], videos["postgres_rows"], videos["verdict"]) == (40, 0, "failed")


def test_no_secret_of_the_inventory_is_in_a_report(world: World, failed: dict[str, Failed]) -> None:
    texts = [path.read_text(encoding="utf-8") for path in (Path(world.description["state_dir"]) / "reports").iterdir()]
    assert len(texts) == 3 * len(PHASES)
    for name, secret in world.secrets.items():
        if name != "supervisor_user":
            assert not any(secret in text for text in texts), name


def test_a_report_that_cannot_be_made_fails_nothing_and_is_said(world: World, failed: dict[str, Failed]) -> None:
    variables = {**world.profiles("assets_1"), "cutover_report_dir": "/dev/null/reports"}
    done = succeeded(world.play("rollback.yml", "assets_1", variables=variables))
    assert "No report could be made: The report cannot be written to /dev/null/reports" in message(done)


def test_without_a_folder_there_is_no_report_and_no_word_of_it(world: World, failed: dict[str, Failed]) -> None:
    before = sorted((Path(world.description["state_dir"]) / "reports").iterdir())
    variables = {**world.profiles("assets_2"), "cutover_report_dir": ""}
    done = succeeded(world.play("rollback.yml", "assets_2", variables=variables))
    assert "report" not in message(done).lower()
    assert sorted((Path(world.description["state_dir"]) / "reports").iterdir()) == before
