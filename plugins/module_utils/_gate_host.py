# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Gates on the managed host: client programs, guards in the settings file, room for the backups."""

from __future__ import annotations

import os
import pathlib

from . import _backup_folder, _settings_file
from ._backup_folder import mib
from ._errors import BackupError, CutoverError, MissingDependency
from ._gate_decision import LeftOut, Measured
from ._gate_look import GateLook
from ._postgres_programs import find_program
from ._verdict import FAILED, PASSED, Check

_PROGRAMS = ("pg_dump", "pg_restore", "psql")
# The copy, and the user-owned tables as JSON lines: at most their size once more.
_COPIES = 2


def tools(look: GateLook) -> Measured:
    """The client programs are there, and not older than the server."""
    major = look.admin.server_version // 10000
    observed: dict[str, str] = {}
    wrong = []
    for name in _PROGRAMS:
        try:
            program = find_program(name, look.params, look.run, major, f"the server is PostgreSQL {major}")
            observed[name] = f"{program.version} ({program.path})"
        except (BackupError, MissingDependency) as error:
            observed[name] = error.what
            wrong.append(error.message())
    message = "; ".join(f"{name} {found}" for name, found in observed.items())
    return Check(
        "tools", FAILED if wrong else PASSED, f"{major} or newer", observed, " ".join(wrong) if wrong else message
    )


def settings_flags(look: GateLook) -> Measured:
    """The keys that the profile names have the values that it wants."""
    wanted = look.params["settings"]
    if not wanted:
        return LeftOut("the profile names no gates.settings")
    plan = _settings_file.plan_settings(look.params["settings_file"], look.params["settings_format"], wanted, {})
    observed = {key: plan.observed.get(key) for key in wanted}
    wrong = [f"{key} is {observed[key]!r} and has to be {wanted[key]!r}" for key in plan.keys_changed]
    message = f"{', '.join(wanted)} in {plan.path} are as wanted"
    if wrong:
        message = f"in {plan.path}: {'; '.join(wrong)}. Set it, and restart the instances where they read it at start"
    return Check("settings_flags", FAILED if wrong else PASSED, dict(wanted), observed, message)


def disk(look: GateLook) -> Measured:
    """There is room for the backups on the managed host; that of the server cannot be seen from here."""
    path, dest = look.params["sqlite_path"], pathlib.Path(look.params["backup_dir"])
    try:
        size = sum(os.path.getsize(name) for name in (path, f"{path}-wal") if os.path.exists(name))  # noqa: PTH202, PTH110
        if not size:
            raise FileNotFoundError(f"{path} is not there, or empty")
        free = _backup_folder.free_bytes(dest)
    except OSError as error:
        raise CutoverError("The room for backups cannot be told", str(error)) from error
    if free is None:
        raise CutoverError("The room for backups cannot be told", f"no folder above {dest} exists")
    needed = size * _COPIES
    message = (
        f"{dest} has {mib(free)} free, a backup of {path} needs up to {mib(needed)}; the disk of PostgreSQL "
        "cannot be seen from here, and needs about the same"
    )
    if free < needed:
        message += ". Make room, or name another folder in cutover_backup_dir"
    expected = {"free_bytes": needed}
    return Check("disk", PASSED if free >= needed else FAILED, expected, {"free_bytes": free}, message)
