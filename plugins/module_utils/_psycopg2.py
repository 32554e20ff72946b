# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""The one library that a managed host needs: imported here, so that its absence is a message and no traceback."""

from __future__ import annotations

import re
import traceback
import typing as t

from ._errors import MissingDependency

try:
    import psycopg2
    import psycopg2.extensions
    from psycopg2 import sql

    _IMPORT_ERROR = None
except ImportError:
    _IMPORT_ERROR = traceback.format_exc()
    psycopg2 = sql = None  # type: ignore[assignment]

if t.TYPE_CHECKING:
    from psycopg2.extensions import connection as Connection
    from psycopg2.extensions import cursor as Cursor

__all__ = ["Connection", "Cursor", "psycopg2", "require_psycopg2", "sql"]

# In step with the doc fragment "postgres" and requirements-managed-host.txt
MINIMUM_PSYCOPG2 = (2, 9)


def require_psycopg2() -> None:
    """Do nothing when psycopg2 can be used.

    Raises:
        MissingDependency: It is missing, or older than 2.9.
    """
    if _IMPORT_ERROR is not None:
        raise MissingDependency(
            "psycopg2 is missing on this host",
            _IMPORT_ERROR.strip().splitlines()[-1],
            "Install psycopg2 >= 2.9 (Debian: python3-psycopg2) for the interpreter that Ansible uses there.",
        )
    version = str(vars(psycopg2)["__version__"])
    if tuple(int(part) for part in re.findall(r"\d+", version)[:2]) < MINIMUM_PSYCOPG2:
        raise MissingDependency(
            f"psycopg2 {version} at {psycopg2.__file__} is too old", "2.9 or newer is needed", "Upgrade it there."
        )
