# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""What PostgreSQL holds that SQLite does not: the rows that going back without a replay would lose, each by its key."""

from __future__ import annotations

import typing as t

from ._key_relation import show
from ._own_table import OwnTable
from ._row_codec import parse_row

if t.TYPE_CHECKING:
    import sqlite3

    from ._change_log import Key, Pending
    from ._changed_rows import ChangedRow, Identity
    from ._table_plan import Plan

ONLY_POSTGRES, DIFFERENT, ONLY_SQLITE = "only_in_postgres", "different", "deleted_in_postgres"
_ROWS_AT_ONCE = 500


class Left(t.NamedTuple):
    """A row that is not the same in both stores.

    Attributes:
        table: Its table in SQLite.
        shown: Its key for an operator.
        kind: L(ONLY_POSTGRES), L(DIFFERENT) or L(ONLY_SQLITE): PostgreSQL has deleted it, SQLite still has it.
        columns: Those that differ.
        changed_at: When it changed in PostgreSQL, as text.
        key: As PostgreSQL's log has it.
        identity: What tells it from other keys in both stores.
        theirs: Its canonical row in PostgreSQL.
        ours: Its canonical row in SQLite.
    """

    table: str
    shown: str
    kind: str
    columns: tuple[str, ...]
    changed_at: str
    key: Key
    identity: Identity
    theirs: bytes | None
    ours: bytes | None

    def as_dict(self) -> dict[str, t.Any]:
        """Return it for the result of a module."""
        return {
            "table": self.table,
            "key": self.shown,
            "kind": self.kind,
            "columns": list(self.columns),
            "changed_at": self.changed_at,
        }


def left_behind(
    target: sqlite3.Connection,
    plan: Plan,
    source_id: str,
    pending: Pending,
    read: t.Mapping[str, t.Sequence[ChangedRow]],
) -> list[Left]:
    """Return the pending rows that differ, in the order of the tables.

    Args:
        target: SQLite, prepared by L(_value_kinds.prepare), inside a transaction.
        plan: The tables.
        source_id: The profile.
        pending: As from L(_change_log.postgres_pending).
        read: What PostgreSQL holds of these keys, as from L(_replay_back.read_all).

    Raises:
        SqliteError: The file cannot be read.
    """
    found: list[Left] = []
    for table in plan.tables:
        changed = read.get(table.source, [])
        here = OwnTable(target, table, source_id)
        columns = [column.source for column in table.with_compared().columns]
        times = pending.changed_at.get(table.source, {})
        for start in range(0, len(changed), _ROWS_AT_ONCE):
            some = changed[start : start + _ROWS_AT_ONCE]
            rows = here.find(some)
            for one in some:
                own = rows.get(one.identity)
                ours = own.row if own is not None else None
                if ours == one.row or (one.row is None and own is not None and own.aside):
                    continue
                kind = ONLY_SQLITE if one.row is None else ONLY_POSTGRES if ours is None else DIFFERENT
                differing: tuple[str, ...] = ()
                if one.row is not None and ours is not None:
                    pairs = zip(columns, parse_row(one.row), parse_row(ours))
                    differing = tuple(name for name, theirs, mine in pairs if theirs != mine)
                shown, changed_at = show(table, one.key), times.get(one.key, "")
                found.append(
                    Left(table.source, shown, kind, differing, changed_at, one.key, one.identity, one.row, ours)
                )
    return found
