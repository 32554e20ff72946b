# SPDX-License-Identifier: GPL-3.0-or-later
"""Run a program to its end: how long it took, and the most memory that any process of its tree held (Linux)."""

from __future__ import annotations

import contextlib
import re
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_POLL_S = 0.02
_PEAK = re.compile(r"^VmHWM:\s+(\d+) kB", re.MULTILINE)
_PROC = Path("/proc")


@dataclass(frozen=True)
class Finished:
    """A finished program: C(peak_mb) is the largest resident size of one of its processes, in units of 2**20 octets."""

    returncode: int
    stdout: str
    stderr: str
    seconds: float
    peak_mb: float


def run_measured(command: Sequence[str], *, given: str = "", environment: Mapping[str, str] | None = None) -> Finished:
    """Run a program without a shell.

    Args:
        command: The program and its arguments.
        given: What it reads from its standard input.
        environment: Its whole environment; this process's own by default.
    """
    started = time.perf_counter()
    process = subprocess.Popen(
        command,
        env=None if environment is None else dict(environment),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    watch = _PeakWatch(process.pid)
    watch.start()
    try:
        stdout, stderr = process.communicate(given)
    except BaseException:
        process.kill()
        process.wait()
        raise
    finally:
        watch.finish()
    return Finished(process.returncode, stdout, stderr, time.perf_counter() - started, watch.peak_kb / 1024)


class _PeakWatch(threading.Thread):
    """Look at the tree again and again: the kernel keeps each process's peak, but forgets it with the process."""

    def __init__(self, root: int) -> None:
        super().__init__(daemon=True)
        self._root = root
        self._end = threading.Event()
        self.peak_kb = 0

    def run(self) -> None:
        while not self._end.wait(_POLL_S):
            for pid in _tree(self._root):
                self.peak_kb = max(self.peak_kb, _peak_kb(pid))

    def finish(self) -> None:
        self._end.set()
        self.join()


def _tree(root: int) -> list[int]:
    found = [root]
    for pid in found:  # grows while it is walked
        for children in _PROC.glob(f"{pid}/task/*/children"):
            with contextlib.suppress(OSError):
                found += map(int, children.read_text(encoding="ascii").split())
    return found


def _peak_kb(pid: int) -> int:
    with contextlib.suppress(OSError):
        found = _PEAK.search((_PROC / str(pid) / "status").read_text(encoding="utf-8", errors="replace"))
        return int(found.group(1)) if found else 0
    return 0
