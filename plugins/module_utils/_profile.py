# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Names of a profile: its source_id and its schema, checked and never cleaned (DESIGN §4, naming rules)."""

from __future__ import annotations

import dataclasses
import re
import typing as t

from ._errors import ProfileError

# The collection's own bookkeeping; never "pg_…" (reserved) nor the prefix of an application's tenant schemas.
BOOKKEEPING_SCHEMA = "sxops_cutover"
MAX_IDENTIFIER_BYTES = 63  # NAMEDATALEN - 1: PostgreSQL silently cuts longer names, so two could become one
_SOURCE_ID = re.compile(r"[A-Za-z0-9._-]+")
_SCHEMA = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_TO_UNDERSCORE = str.maketrans(".-", "__")


@dataclasses.dataclass(frozen=True)
class Profile:
    """One tenant: its id in the application and its schema in PostgreSQL."""

    source_id: str
    schema_name: str


def check_source_id(source_id: str | None) -> str:
    """Return the id unchanged, or refuse it.

    Raises:
        ProfileError: The id is empty, holds a character outside C([A-Za-z0-9._-]), or is only dots.
    """
    if not source_id:
        raise ProfileError(
            "No source_id was given",
            remedy="Name the profile to work on: -e source_id=<one of cutover_profiles>.",
        )
    if not _SOURCE_ID.fullmatch(source_id):
        raise ProfileError(
            f"source_id {source_id!r} is refused",
            "only letters, digits, '.', '_' and '-' may stand in it, and it is never cleaned up",
            "Give the id exactly as the application knows it.",
        )
    if not source_id.strip("."):
        raise ProfileError(f"source_id {source_id!r} is refused", "it names a folder, not a profile")
    return source_id


def schema_name_of(source_id: str, prefix: str) -> str:
    """Return the schema of a profile: prefix, underscore, the id with C(.) and C(-) mapped to C(_).

    Raises:
        ProfileError: The id is refused, or the name is not a plain identifier of at most 63 bytes.
    """
    name = f"{prefix}_{check_source_id(source_id).translate(_TO_UNDERSCORE)}"
    return check_schema_name(name, source_id)


def check_schema_name(name: str, source_id: str) -> str:
    """Return the schema name unchanged, or refuse it.

    Raises:
        ProfileError: It is not a plain identifier, is reserved by PostgreSQL or by us, or is over 63 bytes long.
    """
    if not _SCHEMA.fullmatch(name):
        raise ProfileError(
            f"Schema name {name!r} of source_id {source_id!r} is refused",
            "it must match ^[A-Za-z_][A-Za-z0-9_]*$",
        )
    if name.lower().startswith("pg_") or name.lower() == "information_schema":
        raise ProfileError(
            f"Schema name {name!r} of source_id {source_id!r} is refused", "PostgreSQL reserves it for itself"
        )
    if name.lower() == BOOKKEEPING_SCHEMA:
        raise ProfileError(
            f"Schema name {name!r} of source_id {source_id!r} is refused",
            "this collection keeps its own records in a schema of that name",
            "Choose another schema_prefix or schema_name.",
        )
    if len(name.encode()) > MAX_IDENTIFIER_BYTES:
        raise ProfileError(
            f"source_id {source_id!r} ({len(source_id)} characters) is refused",
            f"its schema name {name!r} is {len(name.encode())} bytes long, PostgreSQL keeps {MAX_IDENTIFIER_BYTES} "
            "and would cut the rest, so two profiles could share one schema",
            "Shorten schema_prefix, or give the profile a schema_name of its own.",
        )
    return name


def profile_of(source_id: str | None, prefix: str, schema_name: str | None = None) -> Profile:
    """Return the profile that the options name.

    Raises:
        ProfileError: The id or the schema name is refused.
    """
    checked = check_source_id(source_id)
    if schema_name:
        return Profile(checked, check_schema_name(schema_name, checked))
    return Profile(checked, schema_name_of(checked, prefix))


def refuse_collision(profile: Profile, mapped: t.Mapping[str, str]) -> None:
    """Refuse a profile whose schema belongs to another one (C(a.b) beside C(a-b)).

    Args:
        profile: The profile to be mapped.
        mapped: Every other known profile: source_id to schema name.

    Raises:
        ProfileError: Another source_id has the same schema; names in PostgreSQL that differ only in case are
            distinct, but no operator can tell them apart, so they are refused too.
    """
    for other, schema in sorted(mapped.items()):
        if other != profile.source_id and schema.lower() == profile.schema_name.lower():
            raise ProfileError(
                f"source_id {profile.source_id!r} is refused",
                f"its schema {profile.schema_name!r} already belongs to source_id {other!r}",
                "Give one of the two a schema_name of its own.",
                other_source_id=other,
                schema_name=schema,
            )
