# SPDX-License-Identifier: GPL-3.0-or-later
"""status.yml over several hosts: one table for all of them, those that cannot be reached included."""

from __future__ import annotations

import json
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from _ansible import Playbook, run_playbook
from _cutover import PLAYBOOKS, World, new_world, succeeded


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with new_world(tmp_path_factory.mktemp("table") / "state") as found:
        yield found


@pytest.fixture(scope="module")
def inventory(world: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two names of this machine with a profile each, one that nobody answers at, and one without a profile."""
    local = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
    hosts: dict[str, Any] = {
        "api-1": {**local, "cutover_profiles": [world.profile("assets_1")]},
        "api-2": {**local, "cutover_profiles": [world.profile("assets_2")]},
        "api-3": {
            "ansible_host": "127.0.0.1",
            "ansible_port": 9,
            "ansible_ssh_common_args": "-o ConnectTimeout=5 -o BatchMode=yes",
            "cutover_profiles": [{**world.profile("assets_1"), "source_id": "away"}],
        },
        "web-1": local,
    }
    path = tmp_path_factory.mktemp("inventory") / "hosts.json"
    state = f"{world.description['state_dir']}/cutover"
    path.write_text(json.dumps({"all": {"hosts": hosts, "vars": {"cutover_state_dir": state}}}))
    path.chmod(0o600)
    return path


def play(world: World, inventory: Path, *arguments: str) -> Playbook:
    return run_playbook(
        "status.yml", cwd=PLAYBOOKS, env=world.environment, inventory_file=inventory, arguments=arguments
    )


def table(run: Playbook) -> list[str]:
    """Return the table; it was printed once."""
    found = [task for task in run.tasks if task["task"].endswith("Print the status of every profile")]
    assert len(found) == 1
    text = found[0]["result"]["msg"]
    lines = text.splitlines() if isinstance(text, str) else text
    return [str(line) for line in lines]


@pytest.fixture(scope="module")
def status(world: World, inventory: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    file = tmp_path_factory.mktemp("file") / "status.json"
    return {"run": succeeded(play(world, inventory, "-e", f"status_file={file}")), "file": file}


def test_every_profile_of_every_host_is_in_one_table(status: dict[str, Any]) -> None:
    lines = table(status["run"])
    title, *rows = lines[:4]
    assert title.split()[:4] == ["HOST", "PROFILE", "PHASE", "LIVE"] and title.split()[-1] == "NEXT"
    assert [row.split()[:2] for row in rows] == [["api-1", "assets_1"], ["api-2", "assets_2"], ["api-3", "away"]]
    for row in rows[:2]:
        assert "not begun" in row and " sqlite " in row and row.endswith("cutover.yml --check")
        assert row.count("never") == 4
    assert max(map(len, lines[:4])) <= 120
    # What was printed is aligned as well.
    printed = [line for line in status["run"].process.stdout.splitlines() if "assets_1" in line and "not begun" in line]
    head = next(line for line in status["run"].process.stdout.splitlines() if "PROFILE" in line)
    assert len(printed) == 1 and printed[0].index("assets_1") == head.index("PROFILE")


def test_a_host_that_cannot_be_reached_is_in_it_and_says_why(status: dict[str, Any]) -> None:
    lines = table(status["run"])
    assert "unreachable" in lines[3] and lines[4].startswith("api-3 away: ") and "Failed to connect" in lines[4]


def test_the_details_are_printed_on_request_only(world: World, inventory: Path, status: dict[str, Any]) -> None:
    def told(run: Playbook, host: str) -> list[Any]:
        return [one["msg"] for one in run.results("Print the details", host) if "msg" in one and not one.get("skipped")]

    assert told(status["run"], "api-1") == []
    loud = succeeded(play(world, inventory, "-v", "--limit", "api-1,api-2", "-e", "source_id=assets_1"))
    assert len(told(loud, "api-1")[0]) == 1
    sentence = told(loud, "api-1")[0][0]
    for fact in (
        "settings name sqlite", "instance answers on sqlite", "ledger says nothing", "last cutover never",
        "last rollback never", "last backup never", "Next: ansible-playbook cutover.yml -e source_id=assets_1 --check",
    ):  # fmt: skip
        assert fact in sentence
    assert "No such profile on this host. Known here: assets_2" in told(loud, "api-2")[0]
    assert [line.split()[1] for line in table(loud)[1:]] == ["assets_1"]


def test_it_is_there_as_data(world: World, status: dict[str, Any]) -> None:
    data = json.loads(status["file"].read_text())
    assert stat.S_IMODE(status["file"].stat().st_mode) == 0o600 and data["time"].endswith("Z")
    first, second, third = data["profiles"]
    assert (first["host"], first["source_id"], first["live_store"]) == ("api-1", "assets_1", "sqlite")
    assert (second["host"], second["source_id"], second["unreachable"]) == ("api-2", "assets_2", False)
    assert third["unreachable"] is True and third["problem"]
    assert first["last_cutover"] is None and first["pending"] is None and first["online"] is False
    assert not [secret for secret in world.secrets.values() if secret in status["file"].read_text()]


def test_a_narrow_one_is_a_list(world: World, inventory: Path) -> None:
    run = succeeded(play(world, inventory, "--limit", "api-1", "-e", "status_width=60"))
    lines = table(run)
    assert lines[0] == "api-1 assets_1" and max(map(len, lines)) <= 60
    assert lines[1].split() == ["phase", "not", "begun"] and lines[-1].split() == ["next", "cutover.yml", "--check"]
