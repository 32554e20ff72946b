# SPDX-License-Identifier: GPL-3.0-or-later
"""Which processes belong to a stack, and waiting until they are gone."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterable
from pathlib import Path

_OURS = ("supervisord", "reference_api", "postgres", "haproxy")


def is_alive(pid: int) -> bool:
    """Tell whether a process exists and is more than a zombie."""
    try:
        os.kill(pid, 0)
        state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[0]
    except ProcessLookupError:
        return False
    except (OSError, IndexError):
        return Path(f"/proc/{pid}").exists() or not Path("/proc/self").exists()
    return state not in ("Z", "X")


def stack_processes(state_dir: Path) -> list[int]:
    """Return the pids of the stack's programs: by working folder and name, so that no shell is among them."""
    inside = f"{state_dir.resolve()}{os.sep}"
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            folder = (entry / "cwd").readlink()
            command = (entry / "cmdline").read_bytes().decode("utf-8", "replace")
        except OSError:
            continue
        if f"{folder}{os.sep}".startswith(inside) and any(name in command for name in _OURS):
            found.append(int(entry.name))
    return sorted(found)


def wait_until_gone(pids: Iterable[int], timeout: float) -> list[int]:
    """Wait until the processes are gone; return those that are not."""
    deadline = time.monotonic() + timeout
    left = [pid for pid in pids if is_alive(pid)]
    while left and time.monotonic() < deadline:
        time.sleep(0.05)
        left = [pid for pid in left if is_alive(pid)]
    return left


def kill(pids: Iterable[int]) -> None:
    """Kill processes that did not stop when asked."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
