# SPDX-License-Identifier: GPL-3.0-or-later
"""Run a module of the collection as the process that Ansible would make of it."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

_MODULES = "ansible_collections.sxops.pg_cutover.plugins.modules"
_SECONDS = 180


class StepFailed(Exception):
    """A step of a cutover did not do what it is for."""


def run_module(name: str, **options: Any) -> dict[str, Any]:
    """Return the result of a module.

    Raises:
        StepFailed: It failed; the message is its own.
    """
    arguments = {**options, "_ansible_check_mode": False, "_ansible_diff": False}
    done = subprocess.run(
        [sys.executable, "-m", f"{_MODULES}.{name}"],
        input=json.dumps({"ANSIBLE_MODULE_ARGS": arguments}),
        capture_output=True,
        text=True,
        timeout=_SECONDS,
        check=False,
    )
    result = json.loads(done.stdout) if done.stdout.strip() else {"failed": True, "msg": done.stderr.strip()}
    if result.get("failed"):
        raise StepFailed(f"{name}: {result['msg']}")
    return dict(result)


def run_command(command: list[str], **options: Any) -> str:
    """Return what a program printed.

    Raises:
        StepFailed: It failed.
    """
    done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=False, **options)
    if done.returncode:
        raise StepFailed(f"{' '.join(command[-4:])}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout
