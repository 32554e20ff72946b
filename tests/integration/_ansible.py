# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run modules and playbooks of this collection through a real Ansible that knows nothing of the user's settings."""

from __future__ import annotations

import atexit
import contextlib
import dataclasses
import functools
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time
import typing as t

ROOT = pathlib.Path(__file__).resolve().parents[2]
TIMEOUT = 900.0
_PASSED_ON = ("PATH", "LANG", "LC_ALL", "TMPDIR", "TZ")


@dataclasses.dataclass(frozen=True)
class Playbook:
    """A finished ansible-playbook: its process with what it printed, and its results as data."""

    process: subprocess.CompletedProcess[str]
    tasks: list[dict[str, t.Any]]
    stats: dict[str, int]

    def results(self, task: str, host: str = "localhost") -> list[dict[str, t.Any]]:
        """Return what the tasks of that name (the end of it, where a role stands in front) came to, in order."""
        return [
            found["result"]
            for found in self.tasks
            if found["host"] == host and (found["task"] == task or found["task"].endswith(f" : {task}"))
        ]


@functools.cache
def home() -> pathlib.Path:
    """Return a private folder that stands in for the user's home, with the collection found below it."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="pg_cutover_ansible_"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    namespace = folder / "collections" / "ansible_collections" / "sxops"
    namespace.mkdir(parents=True)
    (namespace / "pg_cutover").symlink_to(ROOT, target_is_directory=True)
    (folder / "ansible.cfg").touch()
    (folder / "callbacks").mkdir()
    shutil.copy(pathlib.Path(__file__).with_name("_results_callback.py"), folder / "callbacks/pg_cutover_results.py")
    return folder


def environment(**more: str) -> dict[str, str]:
    """Return the whole environment for an Ansible command: nothing of the user's home or ansible.cfg is in it."""
    private = home()
    return {
        **{name: os.environ[name] for name in _PASSED_ON if name in os.environ},
        "LC_ALL": "C.UTF-8",
        "HOME": str(private),
        "ANSIBLE_HOME": str(private / "ansible"),
        "ANSIBLE_CONFIG": str(private / "ansible.cfg"),
        "ANSIBLE_COLLECTIONS_PATH": str(private / "collections"),
        "ANSIBLE_LOCAL_TEMP": str(private / "local_tmp"),
        "ANSIBLE_REMOTE_TEMP": str(private / "remote_tmp"),
        "ANSIBLE_LOCALHOST_WARNING": "False",
        "ANSIBLE_INVENTORY_UNPARSED_WARNING": "False",
        "ANSIBLE_RETRY_FILES_ENABLED": "False",
        "ANSIBLE_NOCOLOR": "1",
        "ANSIBLE_CALLBACK_PLUGINS": str(private / "callbacks"),
        "PYTHONDONTWRITEBYTECODE": "1",
        **more,
    }


def program(name: str) -> str:
    """Return the path of an Ansible program: the one beside this Python, or else the first in PATH."""
    beside = pathlib.Path(sys.executable).parent / name
    return str(beside) if beside.exists() else name


def inventory(variables: t.Mapping[str, t.Any] | None = None) -> pathlib.Path:
    """Write an inventory of this machine alone, and return its path."""
    handle, name = tempfile.mkstemp(prefix="inventory_", suffix=".json", dir=home())
    host = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable, **(variables or {})}
    with os.fdopen(handle, "w", encoding="utf-8") as stream:
        json.dump({"all": {"hosts": {"localhost": host}}}, stream)
    return pathlib.Path(name)


def run_module(
    name: str,
    args: t.Mapping[str, t.Any],
    check: bool = False,
    diff: bool = False,
    python: str | None = None,
) -> dict[str, t.Any]:
    """Run one module on this machine and return its result, C(failed) and C(msg) included when it failed.

    Args:
        name: The module; without a dot it is one of this collection.
        args: Its options.
        check: Check mode.
        diff: Diff mode.
        python: The interpreter that plays the managed host's; this one when None.
    """
    return run_modules([(name, args)], check=check, diff=diff, python=python)[0]


def run_modules(
    calls: t.Sequence[tuple[str, t.Mapping[str, t.Any]]],
    check: bool = False,
    diff: bool = False,
    python: str | None = None,
) -> list[dict[str, t.Any]]:
    """Run several modules in one ansible-playbook (starting one takes a second), failures included."""
    tasks = [
        {"name": f"Call {number}", name if "." in name else f"sxops.pg_cutover.{name}": dict(args)}
        for number, (name, args) in enumerate(calls)
    ]
    play = [{"name": "Calls", "hosts": "localhost", "gather_facts": False, "ignore_errors": True, "tasks": tasks}]
    variables = {"ansible_python_interpreter": python} if python else {}
    done = run_playbook(json.dumps(play), variables=variables, check=check, diff=diff)
    assert len(done.tasks) == len(calls), f"{done.process.stdout}\n{done.process.stderr}"
    return [found["result"] for found in done.tasks]


def command_for(
    playbook: str | pathlib.Path,
    extra_vars: t.Mapping[str, t.Any] | None = None,
    *,
    inventory_file: str | pathlib.Path | None = None,
    variables: t.Mapping[str, t.Any] | None = None,
    check: bool = False,
    diff: bool = False,
    arguments: t.Sequence[str] = (),
) -> list[str]:
    """Return the command that runs the playbook; text with a line break or a bracket in front is written to a file."""
    if isinstance(playbook, str) and ("\n" in playbook or playbook.startswith("[")):
        handle, name = tempfile.mkstemp(prefix="playbook_", suffix=".yml", dir=home())
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(playbook)
        playbook = name
    command = [program("ansible-playbook"), "-i", str(inventory_file or inventory(variables)), str(playbook)]
    if extra_vars:
        command += ["-e", json.dumps(extra_vars)]
    return [*command, *(["--check"] if check else []), *(["--diff"] if diff else []), *arguments]


def run_playbook(
    playbook: str | pathlib.Path,
    extra_vars: t.Mapping[str, t.Any] | None = None,
    *,
    cwd: str | pathlib.Path | None = None,
    env: t.Mapping[str, str] | None = None,
    timeout: float = TIMEOUT,
    **options: t.Any,
) -> Playbook:
    """Run a playbook (a path, or its text) to its end and return its process and its output as data.

    Args:
        playbook: Path, or the text of the playbook.
        extra_vars: What C(-e) passes.
        cwd: Where it is started; the private home when None, so that no ansible.cfg is found.
        env: More environment.
        timeout: Seconds after which it is killed.
        options: As for L(command_for).
    """
    handle, results = tempfile.mkstemp(prefix="results_", suffix=".jsonl", dir=home())
    os.close(handle)
    process = subprocess.run(
        command_for(playbook, extra_vars, **options),
        cwd=cwd or home(),
        env=environment(ANSIBLE_CALLBACKS_ENABLED="pg_cutover_results", RESULTS_FILE=results, **(env or {})),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    lines = [json.loads(line) for line in pathlib.Path(results).read_text(encoding="utf-8").splitlines()]
    stats: dict[str, int] = {}
    for host in (numbers for line in lines if "stats" in line for numbers in line["stats"].values()):
        for name, number in host.items():
            stats[name] = stats.get(name, 0) + number
    return Playbook(process, [line for line in lines if "task" in line], stats)


@contextlib.contextmanager
def start_playbook(
    playbook: str | pathlib.Path, extra_vars: t.Mapping[str, t.Any] | None = None, **options: t.Any
) -> t.Iterator[subprocess.Popen[str]]:
    """Start a playbook and go on beside it; what is left of it at the end is killed, by its id."""
    process = subprocess.Popen(
        command_for(playbook, extra_vars, **options),
        cwd=home(),
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def wait_for(condition: t.Callable[[], t.Any], what: str, seconds: float = 60.0) -> t.Any:
    """Return the first true value of the condition; fail, saying what was waited for, when there is none in time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(0.05)
    raise AssertionError(f"waited {seconds:.0f} s in vain for {what}")
