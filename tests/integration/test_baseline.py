# SPDX-License-Identifier: GPL-3.0-or-later
"""The phase baseline alone, on a real stack: what it leaves of the standby, and what it says when it starts none."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from _cutover import HOST, World, message, new_world, succeeded

ROLE = "sxops.pg_cutover."
PLAY = [
    {
        "name": "Record a baseline",
        "hosts": HOST,
        "gather_facts": False,
        "tasks": [
            {"name": "Find the profile", "ansible.builtin.import_role": {"name": f"{ROLE}profile"}},
            {
                "name": "Begin",
                "ansible.builtin.include_role": {"name": f"{ROLE}ledger", "tasks_from": "begin"},
                "vars": {"ledger_verb": "drill"},
            },
            {
                "name": "Run the phase",
                "ansible.builtin.include_role": {"name": f"{ROLE}ledger", "tasks_from": "phase"},
                "vars": {"ledger_phase": "baseline"},
            },
            {
                "name": "End",
                "ansible.builtin.include_role": {"name": f"{ROLE}ledger", "tasks_from": "end"},
                "vars": {"ledger_outcome": "completed"},
            },
        ],
    }
]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with new_world(tmp_path_factory.mktemp("baseline") / "state", items=60) as made:
        yield made


@pytest.fixture(scope="module")
def playbook(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("play") / "baseline.yml"
    path.write_text(yaml.safe_dump(PLAY, sort_keys=False), encoding="utf-8")
    return str(path)


def facts(world: World, source_id: str = "assets_1") -> dict[str, Any]:
    (found,) = [
        entry["facts"]
        for entry in world.ledger(source_id)
        if entry.get("phase") == "baseline" and entry["status"] == "passed"
    ]
    return dict(found)


def test_a_standby_that_was_left_running_is_started_anew_and_stopped(world: World, playbook: str) -> None:
    standby = world.description["profiles"]["assets_1"]["standby"]
    settings = Path(standby["settings_file"])
    before = settings.read_text(encoding="utf-8")
    world.control("start", standby["service"])
    settings.write_text(before.replace("=SQLITE\n", "=POSTGRES_PRIMARY\n"), encoding="utf-8")
    pid = world.pid("api-assets_1")
    succeeded(world.play(playbook))
    assert facts(world)["startup_ms"] > 0
    assert world.stack.status()[standby["service"]] in ("STOPPED", "EXITED")
    assert settings.read_text(encoding="utf-8") == before
    assert (world.pid("api-assets_1"), world.backend()) == (pid, "sqlite")


def test_without_a_standby_the_start_is_not_measured_and_that_is_said(world: World, playbook: str) -> None:
    run = succeeded(world.play(playbook, "assets_2", variables=world.profiles("assets_2", standby=None)))
    assert "The start-up time was not measured: profile assets_2 has no standby instance" in message(run)
    assert facts(world, "assets_2")["startup_ms"] is None
