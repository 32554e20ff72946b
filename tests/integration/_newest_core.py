# SPDX-License-Identifier: GPL-3.0-or-later
"""The newest ansible-core that a Python of this machine can have, in an environment of its own below build/."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from _ansible import ROOT

FOLDER = ROOT / "build" / "newest-core"


def newer_python() -> str | None:
    """Return the newest Python that is newer than this one; None without one."""
    folders = [Path(folder) for folder in os.environ.get("PATH", "").split(os.pathsep) if folder]
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    folders += sorted(pyenv.glob("versions/*/bin"))
    found: dict[tuple[int, int], str] = {}
    for folder in folders:
        for path in folder.glob("python3.*"):
            name = re.fullmatch(r"python3\.(\d+)", path.name)
            if name and (3, int(name[1])) > sys.version_info[:2] and _runs(path):
                found.setdefault((3, int(name[1])), str(path))
    return found[max(found)] if found else None


def _runs(python: Path) -> bool:
    """Return whether it is one that works: a version manager's shim may only say that it is not installed."""
    command = [str(python), "-c", "import ensurepip, venv"]
    try:
        return subprocess.run(command, capture_output=True, timeout=60, check=False).returncode == 0
    except OSError:
        return False


def newest_playbook(python: str) -> str:
    """Return the ansible-playbook of the newest ansible-core, which is installed when it is not there yet."""
    program = FOLDER / "bin" / "ansible-playbook"
    if not program.exists():
        shutil.rmtree(FOLDER, ignore_errors=True)
        subprocess.run([python, "-m", "venv", str(FOLDER)], check=True, timeout=300)
        install = [str(FOLDER / "bin" / "python"), "-m", "pip", "install", "--quiet", "ansible-core"]
        subprocess.run(install, check=True, timeout=600)
    return str(program)
