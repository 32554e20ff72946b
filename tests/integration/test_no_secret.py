# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything an operator can run, with -vvv, on two versions of ansible-core: no secret is seen anywhere.

One cutover for each version: cut over, watched, asked for its status, closed, and brought back with its snapshot.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from _ansible import ROOT, command_for, environment, home, program, wait_for
from _cutover import PLAYBOOKS, World, new_world
from _newest_core import newer_python, newest_playbook
from _webhook import Webhook, webhook

PROGRAM = str(Path(__file__).with_name("_hook_program.py"))
TOKENS = {
    "the token in the webhook's address": "Zq1-address-of-the-webhook",
    "the token in the webhook's header": "Zq2-header-of-the-webhook",
    "the secret of a hook": "Zq3-environment-of-a-hook",
    "the secret of a hook on the control node": "Zq4-environment-of-a-hook",
    "the token of the application's requests": "Zq5-header-of-the-application",
}
RUNS: list[tuple[str, dict[str, Any], list[str]]] = [
    ("cutover.yml", {}, ["--check", "--diff"]),
    ("cutover.yml", {}, ["--diff"]),
    ("cutover.yml", {}, []),  # nothing is left to do
    ("status.yml", {"status_details": True}, []),
    ("rollback.yml", {}, ["--check"]),
    ("close.yml", {"close_early": True, "close_reason": "the test"}, ["--diff"]),
    ("rollback.yml", {"return_data": "backup"}, ["--diff"]),
]


class CommandLines(threading.Thread):
    """Looks at the command line of every process, again and again."""

    def __init__(self, secrets: Mapping[str, str]) -> None:
        super().__init__(daemon=True)
        self.secrets, self.done = {name: secret.encode() for name, secret in secrets.items()}, threading.Event()
        self.seen: dict[str, str] = {}
        self.looks, self.known = 0, set[bytes]()

    def run(self) -> None:
        while not self.done.wait(0.02):
            self.looks += 1
            for path in Path("/proc").glob("[0-9]*/cmdline"):
                with contextlib.suppress(OSError):
                    line = path.read_bytes()
                    if line in self.known:
                        continue
                    self.known.add(line)
                    for name, secret in self.secrets.items():
                        if secret in line:
                            self.seen[name] = line.replace(b"\0", b" ").decode(errors="replace")


@pytest.fixture(scope="module", params=["the core of the development environment", "the newest core"])
def playbook_program(request: pytest.FixtureRequest) -> str:
    """The ansible-playbook to be used; required where a newer Python is found."""
    if request.param != "the newest core":
        return program("ansible-playbook")
    python = newer_python()
    if python is None:
        pytest.skip("no Python that is newer than this one")
    return newest_playbook(python)


@pytest.fixture(scope="module")
def world(playbook_program: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with new_world(tmp_path_factory.mktemp("secret") / "state") as found:
        yield found


@pytest.fixture(scope="module")
def secrets(world: World) -> dict[str, str]:
    """Every secret by a name that may be shown: what is used anywhere, and nothing else."""
    stack = {name: value for name, value in world.secrets.items() if name.endswith("_password")}
    assert {"app_password", "admin_password", "superuser_password"} <= set(stack)
    return {**stack, **TOKENS}


@pytest.fixture(scope="module")
def answering(playbook_program: str) -> Iterator[Webhook]:
    with webhook() as server:
        yield server


@pytest.fixture(scope="module")
def done(
    world: World,
    secrets: dict[str, str],
    answering: Webhook,
    playbook_program: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, Any]:
    """Run everything; what was printed, and what the command lines of all processes showed meanwhile."""
    folder = tmp_path_factory.mktemp("told")
    metrics = folder / "metrics"
    metrics.mkdir()
    _address, _header, here, there, request = TOKENS.values()
    command = [sys.executable, PROGRAM, str(folder / "hooks.jsonl")]
    headers = {"X-SX-Source-ID": "assets_1", "Authorization": f"Bearer {request}"}
    variables: dict[str, Any] = {
        **world.profiles("assets_1", stabilization_window=40, drain_interval=1, request_headers=headers),
        "cutover_hooks": {
            "before_load": {"command": [*command, "0", "0"], "environment": {"HOOK_SECRET": here}},
            "after_load": {"command": [*command, "1", "0"], "environment": {"HOOK_SECRET": here}},
            "before_verify": {
                "command": [*command, "0", "0"],
                "environment": {"HOOK_SECRET": there},
                "where": "controller",
            },
        },
        "cutover_webhook": {
            "url": f"{answering.url}/{_address}",
            "headers": {"Authorization": f"Bearer {_header}"},
        },
        "cutover_metrics_dir": str(metrics),
        # Of the managed host, whatever runs the playbook.
        "ansible_python_interpreter": sys.executable,
        "status_file": str(folder / "status.json"),
    }
    printed: dict[str, str] = {}
    lines = CommandLines(secrets)
    lines.start()
    try:
        for playbook, more, options in RUNS:
            arguments = [*world.arguments("assets_1", {**variables, **more}), "-vvv", *options]
            whole = [playbook_program, *command_for(playbook, inventory_file=ROOT / "inventories/demo")[1:], *arguments]
            run = subprocess.run(
                whole, cwd=PLAYBOOKS, env=environment(**world.environment), stdin=subprocess.DEVNULL,
                capture_output=True, text=True, timeout=900, check=False,
            )  # fmt: skip
            name = " ".join([playbook, *options, *more])
            printed[name] = run.stdout + run.stderr
            assert run.returncode == 0, f"{name}\n{printed[name][-6000:]}"
    finally:
        lines.done.set()
        lines.join()
    return {"printed": printed, "lines": lines, "folder": folder, "metrics": metrics}


def holders(secrets: Mapping[str, str], paths: list[Path]) -> list[str]:
    """Return which files hold which secret."""
    found = []
    for path in paths:
        with contextlib.suppress(FileNotFoundError):
            content = path.read_bytes()
            found += [f"{path}: {name}" for name, secret in secrets.items() if secret.encode() in content]
    return found


def files(*folders: Path) -> list[Path]:
    return [Path(folder, name) for top in folders for folder, _inner, names in os.walk(top) for name in names]


def test_the_secrets_were_used(world: World, secrets: dict[str, str], done: dict[str, Any], answering: Webhook) -> None:
    """What is looked for everywhere else is found where it belongs."""
    copies = sorted(world.settings().parent.glob(".env*"))
    assert holders({"app_password": secrets["app_password"]}, copies)
    told = [json.loads(line) for line in (done["folder"] / "hooks.jsonl").read_text().splitlines()]
    assert [found["secret"] for found in told] == [TOKENS["the secret of a hook"]] * 2 + [
        TOKENS["the secret of a hook on the control node"]
    ]
    # Nobody waits for a notice, so the last one may still be on its way.
    wait_for(lambda: len(answering.events) >= 4, "the last notice", 60)
    assert answering.events == ["freeze_announced", "switched", "closed", "rolled_back"]
    requests = files(Path(world.description["state_dir"]) / "services")
    assert requests and done["lines"].looks > 100 and len(done["lines"].known) > 50


def test_no_secret_is_printed(secrets: dict[str, str], done: dict[str, Any]) -> None:
    found = {}
    for run, text in done["printed"].items():
        for name, secret in secrets.items():
            for line in (line for line in text.splitlines() if secret in line):
                found.setdefault(f"{run}: {name}", line.replace(secret, "<here>")[:600])
    assert found == {}


def test_no_secret_is_in_what_a_run_leaves_behind(world: World, secrets: dict[str, str], done: dict[str, Any]) -> None:
    """Ledger, samples, holds, manifests, exports, snapshots, dumps, reports and figures."""
    state = Path(world.description["state_dir"])
    left = files(state / "cutover", state / "reports", done["metrics"])
    names = {path.name for path in left}
    assert {"ledger.jsonl", "manifest.json", "pg_cutover_assets_1.prom"} <= names
    assert holders(secrets, [*left, done["folder"] / "status.json"]) == []


def test_no_secret_is_in_what_ansible_leaves_behind(secrets: dict[str, str], done: dict[str, Any]) -> None:
    """What is typed with C(-e) stands in files of the test itself. A notice has its files until it is sent."""
    found = holders(secrets, left_behind())
    for _second in range(60):
        if not found:
            break
        time.sleep(1)
        found = holders(secrets, left_behind())
    assert found == []


def left_behind() -> list[Path]:
    return [path for path in files(home()) if not path.name.startswith("vars_")]


def test_no_secret_is_on_a_command_line(done: dict[str, Any]) -> None:
    assert done["lines"].seen == {}


def test_no_file_that_others_may_read_holds_a_secret(
    world: World, secrets: dict[str, str], done: dict[str, Any]
) -> None:
    open_to_others = [
        path
        for path in files(Path(world.description["state_dir"]), done["folder"])
        if not path.is_symlink() and stat.S_ISREG(path.lstat().st_mode) and path.stat().st_mode & 0o077
        if path.name != "hooks.jsonl"  # what the hook of the test wrote itself
    ]
    assert open_to_others
    assert holders(secrets, open_to_others) == []


def test_no_connection_string_is_printed_in_another_form(done: dict[str, Any]) -> None:
    """A password beside its user, whatever it is written like."""
    for run, text in done["printed"].items():
        shown = re.findall(r"postgres(?:ql)?://[^:@/\s\"']+:([^@\s\"']+)@", text)
        assert not [password for password in shown if set(password) - {"*"}], run
