# SPDX-License-Identifier: GPL-3.0-or-later
"""Profile ids and the schema names made of them, with the collisions the application does not notice.

C(a.b) and C(a-b) give one schema name, and PostgreSQL cuts names at 63 bytes: nothing here objects.
"""

from __future__ import annotations

import re

from .refusal import Refusal

_SOURCE_ID = re.compile(r"[A-Za-z0-9._-]+\Z")
_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")


def checked_source_id(source_id: str) -> str:
    """Return the id, or refuse it when it has characters outside the allowed set."""
    if not _SOURCE_ID.match(source_id):
        raise Refusal("Invalid source_id: only letters, digits, '.', '_' and '-' are allowed")
    return source_id


def checked_identifier(name: str) -> str:
    """Return an SQL identifier, or refuse it."""
    if not _IDENTIFIER.match(name):
        raise Refusal(f"Invalid SQL identifier {name!r}")
    return name


def schema_name(prefix: str, source_id: str) -> str:
    """Return the schema of a profile: the prefix, C(_), the id with C(.) and C(-) as C(_)."""
    return checked_identifier(f"{prefix}_{checked_source_id(source_id).replace('.', '_').replace('-', '_')}")
