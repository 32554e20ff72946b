# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""What online mode calls the things that it puts into the two stores of one profile.

In SQLite every name begins with L(SQLITE_PREFIX), which no plan, no load and no comparison looks at, and holds the
schema of the profile, so that several profiles of one file can be on their way at the same time. In PostgreSQL all of
it stands in the bookkeeping schema, but for the triggers on the profile's own tables.
"""

from __future__ import annotations

import hashlib
import typing as t

from ._profile import BOOKKEEPING_SCHEMA, MAX_IDENTIFIER_BYTES

SQLITE_PREFIX = "sxops_"
CHANGE_TABLE = f"{BOOKKEEPING_SCHEMA}.change"
PASSING_TABLE = f"{BOOKKEEPING_SCHEMA}.passing"
TENANT_TABLE = f"{BOOKKEEPING_SCHEMA}.tenant"
CAPTURE_TRIGGER, CAPTURE_TRUNCATE_TRIGGER = "sxops_capture", "sxops_capture_truncate"
FENCE_TRIGGER, FENCE_TRUNCATE_TRIGGER = "sxops_fence", "sxops_fence_truncate"
_DIGEST_DIGITS = 16


class OnlineNames(t.NamedTuple):
    """The names for one profile, by its schema."""

    schema_name: str

    @property
    def log(self) -> str:
        """SQLite: the table of changed keys."""
        return f"{SQLITE_PREFIX}log_{self.schema_name}"

    @property
    def state(self) -> str:
        """SQLite: the table that says what is captured, and since when."""
        return f"{SQLITE_PREFIX}state_{self.schema_name}"

    @property
    def passing(self) -> str:
        """SQLite: the table that only holds a row inside a transaction of ours, which fence and capture let pass."""
        return f"{SQLITE_PREFIX}pass_{self.schema_name}"

    def capture_trigger(self, table: str, event: str) -> str:
        """SQLite: a capture trigger; C(event) is for example V(insert) or V(before_insert).

        No schema name holds a dot, so V(sx_a) with a table V(b_c) and V(sx_a_b) with a table V(c) do not meet.
        """
        return f"{SQLITE_PREFIX}capture_{self.schema_name}.{table}.{event}"

    def fence_trigger(self, table: str, event: str) -> str:
        """SQLite: a fence trigger; C(event) is V(insert), V(update) or V(delete)."""
        return f"{SQLITE_PREFIX}fence_{self.schema_name}.{table}.{event}"

    @property
    def capture_function(self) -> str:
        """PostgreSQL: the trigger function that logs keys, with its schema."""
        return f"{BOOKKEEPING_SCHEMA}.{_short('capture_' + self.schema_name)}"

    @property
    def fence_function(self) -> str:
        """PostgreSQL: the trigger function that refuses writes, with its schema."""
        return f"{BOOKKEEPING_SCHEMA}.{_short('fence_' + self.schema_name)}"


def is_ours(name: str) -> bool:
    """Return whether a table, index or trigger of a SQLite file is one of online mode's."""
    return name.lower().startswith(SQLITE_PREFIX)


def _short(name: str) -> str:
    # PostgreSQL would cut a longer one silently, and two could become the same.
    if len(name.encode()) <= MAX_IDENTIFIER_BYTES:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:_DIGEST_DIGITS]
    return f"{name[: MAX_IDENTIFIER_BYTES - _DIGEST_DIGITS - 1]}_{digest}"
