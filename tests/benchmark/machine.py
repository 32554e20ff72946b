# SPDX-License-Identifier: GPL-3.0-or-later
"""What the figures were measured on."""

from __future__ import annotations

import os
import platform
import re
import shutil
import sqlite3
import subprocess
from pathlib import Path

import psycopg2


def describe_machine() -> dict[str, str]:
    """Return a short text for each part that decides on speed."""
    processor = _first(r"^model name\s*:\s*(.+)$", "/proc/cpuinfo")
    memory_kb = int(_first(r"^MemTotal:\s*(\d+) kB$", "/proc/meminfo") or 0)
    return {
        "processor": f"{os.cpu_count()} cores, {processor}",
        "memory": f"{memory_kb / 2**20:.0f} GB",
        "kernel": f"{platform.system()} {platform.release()}",
        "Python": platform.python_version(),
        "SQLite": sqlite3.sqlite_version,
        "psycopg2": psycopg2.__version__.split()[0],
        "pgloader": _pgloader_version(),
    }


def _first(pattern: str, path: str) -> str:
    found = re.search(pattern, Path(path).read_text(encoding="utf-8"), re.MULTILINE)
    return found.group(1) if found else ""


def _pgloader_version() -> str:
    program = shutil.which("pgloader")
    if program is None:
        return "not installed"
    said = subprocess.run([program, "--version"], capture_output=True, text=True, check=False).stdout
    found = re.search(r'pgloader version "([^"]+)"', said)
    return found.group(1) if found else "unknown"
