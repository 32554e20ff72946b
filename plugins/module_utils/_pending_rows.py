# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""The rows of a table whose keys are on their way back to SQLite: they say nothing about damage, on neither side."""

from __future__ import annotations

import dataclasses
import typing as t

from . import _row_lookup
from ._changed_rows import read_changed
from ._key_relation import as_relation, is_key
from ._own_table import OwnTable
from ._postgres_store import postgres_errors
from ._psycopg2 import sql
from ._row_codec import postgres_row, row_digest, sqlite_row
from ._row_digest import Buckets, without
from ._sqlite_store import quote, reading

if t.TYPE_CHECKING:
    import sqlite3

    from ._change_log import Key
    from ._planned_table import TablePlan
    from ._psycopg2 import Connection

_KEYS_AT_ONCE = 500


@dataclasses.dataclass(frozen=True)
class PendingRows:
    """What both stores hold of the pending keys of a table.

    Attributes:
        count: How many keys there are.
        ours: The digests of SQLite's rows, by the canonical text of their keys.
        theirs: The same of PostgreSQL.
    """

    count: int = 0
    ours: t.Mapping[bytes, bytes] = dataclasses.field(default_factory=dict)
    theirs: t.Mapping[bytes, bytes] = dataclasses.field(default_factory=dict)

    @property
    def keys(self) -> frozenset[bytes]:
        """The canonical texts of the keys that either store has a row of."""
        return frozenset([*self.ours, *self.theirs])

    def taken_out(self, sides: tuple[Buckets, Buckets], mask: int) -> tuple[Buckets, Buckets]:
        """Return the buckets of both stores, SQLite's first, as if these rows were not there."""
        ours, theirs = sides
        return without(ours, self.ours, mask), without(theirs, self.theirs, mask)


def read_pending(
    source: sqlite3.Connection,
    connection: Connection,
    plan: TablePlan,
    schema_name: str,
    source_id: str,
    keys: t.Sequence[Key],
) -> PendingRows:
    """Return what both stores hold of these keys.

    Args:
        source: SQLite, prepared by L(_value_kinds.prepare), inside a read transaction.
        connection: PostgreSQL, inside a transaction that sees one instant.
        plan: The table's plan.
        schema_name: The tenant schema.
        source_id: The profile.
        keys: As PostgreSQL's log has them.

    Raises:
        ReplayError: A key is none of the table.
        SqliteError: The file cannot be read.
        PostgresError: The table cannot be read.
    """
    if not keys:
        return PendingRows()
    own = OwnTable(source, plan, source_id)
    ours: dict[bytes, bytes] = {}
    theirs: dict[bytes, bytes] = {}
    for start in range(0, len(keys), _KEYS_AT_ONCE):
        some = keys[start : start + _KEYS_AT_ONCE]
        changed = read_changed(connection, plan, schema_name, some)
        for found in own.find(changed).values():
            if not found.aside:  # a row that was set aside takes no part anyway
                ours[_sqlite_key(source, plan, found.key)] = row_digest(found.row)
        theirs.update(_postgres_rows(connection, plan, schema_name, [one.key for one in changed]))
    return PendingRows(len(keys), ours, theirs)


def _sqlite_key(source: sqlite3.Connection, plan: TablePlan, key: Key) -> bytes:
    where, values = _row_lookup.key_condition(plan.key, key)
    statement = f"SELECT {sqlite_row(plan.source_key_codec)} FROM {quote(plan.source)} WHERE {where}"
    with reading(source, f"reading table {plan.source}"):
        (text,) = source.execute(statement, values).fetchone()
    return t.cast("bytes", text)


def _postgres_rows(
    connection: Connection, plan: TablePlan, schema_name: str, keys: t.Sequence[t.Sequence[str]]
) -> dict[bytes, bytes]:
    # The key as the row has it: the log may have it in other letters, where the type does not tell them apart.
    with postgres_errors(f"Reading changed rows of {plan.target}"), connection.cursor() as cursor:
        cursor.execute(
            sql.SQL("SELECT textsend({}), sha256(textsend({})) FROM {} AS g JOIN {} AS t ON {}").format(
                postgres_row(plan.target_key_codec),
                postgres_row(plan.with_compared().target_codec),
                as_relation(plan, keys),
                sql.Identifier(schema_name, plan.target),
                is_key(plan),
            )
        )
        return {bytes(key): bytes(digest) for key, digest in cursor.fetchall()}
