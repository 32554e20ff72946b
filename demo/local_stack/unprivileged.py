# SPDX-License-Identifier: GPL-3.0-or-later
"""PostgreSQL refuses to run as root: ways to start it as somebody else without needing a new system user."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from .errors import StackError

_NOBODY = 65534
_SETPRIV = ("setpriv", f"--reuid={_NOBODY}", f"--regid={_NOBODY}", "--clear-groups")


@dataclass(frozen=True)
class Launcher:
    """A command prefix, and the user that must own the data directory (None: whoever creates it)."""

    name: str
    prefix: tuple[str, ...] = ()
    owner: int | None = None

    def hand_over(self, path: Path) -> None:
        """Give a file or folder to the user the launched program runs as."""
        if self.owner is not None:
            os.chown(path, self.owner, self.owner)


AS_OURSELVES = Launcher("plain")

# In order of portability. The capability lets nobody pass 0700 folders (a home, a virtual environment) on the
# way to the binaries and the data; a user namespace does it without any, where containers allow one.
AS_ROOT = (
    Launcher(
        "setpriv+dac_override",
        (*_SETPRIV, "--inh-caps=+dac_override", "--ambient-caps=+dac_override"),
        _NOBODY,
    ),
    Launcher("unshare", ("unshare", "--user", "--map-user=1000")),
    Launcher("setpriv", _SETPRIV, _NOBODY),
)


def choose_launcher(bin_dir: Path, folder: Path) -> Launcher:
    """Return the first way that works here.

    Args:
        bin_dir: PostgreSQL's binaries, which the launched program must be able to run.
        folder: A folder of the stack, below which it must be able to write.
    """
    if os.geteuid() != 0:
        return AS_OURSELVES
    tried = []
    for launcher in AS_ROOT:
        problem = _problem(launcher, bin_dir, folder)
        if problem is None:
            return launcher
        tried.append(f"{launcher.name}: {problem}")
    raise StackError(
        "PostgreSQL does not run as root, and nothing here can start it as another user ("
        + "; ".join(tried)
        + "). Run the stack as an ordinary user."
    )


def launcher_named(name: str) -> Launcher:
    """Return a launcher chosen earlier."""
    return next(launcher for launcher in (AS_OURSELVES, *AS_ROOT) if launcher.name == name)


def _problem(launcher: Launcher, bin_dir: Path, folder: Path) -> str | None:
    if shutil.which(launcher.prefix[0]) is None:
        return "not installed"
    probe = folder / f"probe-{launcher.name}"
    shutil.rmtree(probe, ignore_errors=True)
    probe.mkdir(mode=0o700)
    try:
        launcher.hand_over(probe)
        script = 'test "$(id -u)" -ne 0 && "$1" --version >/dev/null && : >"$2"'
        done = subprocess.run(
            [
                *launcher.prefix,
                "sh",
                "-c",
                script,
                "probe",
                str(bin_dir / "postgres"),
                str(probe / "written"),
            ],
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )
        if done.returncode == 0:
            return None
        return " ".join(done.stderr.split()) or f"exit status {done.returncode}"
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    finally:
        shutil.rmtree(probe, ignore_errors=True)
