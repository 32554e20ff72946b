# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Say which process on the control node a run belongs to, and take the place of a run whose process is gone.

Only here can that be known: the lock lies on the managed host, the process that took it runs on the control node.
"""

from __future__ import annotations

import getpass
import os
import pathlib
import socket
import typing as t

from ansible.plugins.action import ActionBase

MODULE = "sxops.pg_cutover.cutover_ledger"
_PROC = pathlib.Path("/proc")
_DEAD_STATES = ("Z", "X")
ALIVE, DEAD, UNKNOWN = "alive", "dead", "unknown"


def this_holder(proc: pathlib.Path = _PROC) -> dict[str, t.Any]:
    """Return the process that this run belongs to: the parent of the forked worker, ansible-playbook itself."""
    pid = os.getppid()
    state = process_state(pid, proc)
    return {
        "user": _user(),
        "host": socket.gethostname(),
        "pid": pid,
        "started": state[1] if state else None,
        "boot_id": _boot_id(proc),
        "pid_namespace": _pid_namespace(proc),
    }


def process_state(pid: int, proc: pathlib.Path = _PROC) -> tuple[str, int] | None:
    """Return the state letter and the start time (clock ticks after boot) of a process; None without it."""
    try:
        text = (proc / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
        fields = text.rpartition(")")[2].split()
        return fields[0], int(fields[19])
    except (OSError, ValueError, IndexError):
        return None


def liveness(holder: t.Mapping[str, t.Any], here: t.Mapping[str, t.Any], proc: pathlib.Path = _PROC) -> str:
    """Return whether the process of a lock lives, as far as that can be known from here.

    It can be known for a process of this very machine: another boot is over, and within the same boot (and the same
    namespace of process ids: containers may share host name and boot id) the process table tells.
    """
    if not holder.get("host") or holder["host"] != here["host"]:
        return UNKNOWN
    if not holder.get("boot_id") or not here["boot_id"] or holder.get("pid") is None:
        return UNKNOWN
    if holder["boot_id"] != here["boot_id"]:
        return DEAD
    if not holder.get("pid_namespace") or holder["pid_namespace"] != here["pid_namespace"]:
        return UNKNOWN
    state = process_state(int(holder["pid"]), proc)
    if state is None or state[0] in _DEAD_STATES:
        return DEAD
    return ALIVE if state[1] == holder.get("started") else DEAD


def _user() -> str | None:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name
        return f"uid {os.getuid()}"


def _boot_id(proc: pathlib.Path) -> str | None:
    try:
        return (proc / "sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return None


def _pid_namespace(proc: pathlib.Path) -> str | None:
    try:
        return str((proc / "self/ns/pid").readlink())
    except OSError:
        return None


class ActionModule(ActionBase):
    """Runs the module, once more when the lock turns out to be that of a dead run."""

    _supports_check_mode = True
    _supports_async = False

    def run(self, tmp: t.Any = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        result: dict[str, t.Any] = super().run(tmp, task_vars)
        here = this_holder()
        arguments = {**self._task.args, "holder": here}
        named = arguments.pop("take_over", None)
        answer = self._call(arguments, task_vars)
        if answer.get("error") == "lock_held":
            alive = liveness(answer.get("holder") or {}, here)
            if alive == ALIVE:
                pid = answer["holder"]["pid"]
                answer["msg"] += f" Its process {pid} is running on this control node; end it before you take over."
            elif alive == DEAD or named:
                answer = self._call(
                    {**arguments, "take_over": answer["take_over"] if alive == DEAD else named}, task_vars
                )
        result.update(answer)
        return result

    def _call(self, arguments: dict[str, t.Any], task_vars: dict[str, t.Any] | None) -> dict[str, t.Any]:
        answer: dict[str, t.Any] = self._execute_module(module_name=MODULE, module_args=arguments, task_vars=task_vars)
        return answer
