# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Merge what stayed in PostgreSQL into a SQLite file that has gone on without it.

A key that is pending in PostgreSQL is in conflict where SQLite has changed it too since the profile went back, and the
rows are not the same. What changed on one side only is brought over as on the return path; what is in conflict is
decided by a strategy that the operator names, all of it within one transaction of SQLite.
"""

from __future__ import annotations

import dataclasses
import typing as t
from decimal import Decimal

from . import _change_log, _value_texts
from ._changed_rows import Identity, identity_of
from ._errors import BadInput, CaptureError, ReplayError
from ._left_behind import Left, left_behind
from ._postgres_store import postgres_errors
from ._replay_back import read_all, replay_back
from ._replayed import Replayed
from ._return_path import at_one_instant
from ._row_codec import LongText, parse_row, sqlite_row
from ._row_lookup import placeholder
from ._sqlite_store import quote
from ._sqlite_writer import begin_writing, writing

if t.TYPE_CHECKING:
    import sqlite3

    from ._change_log import Pending
    from ._online_names import OnlineNames
    from ._planned_table import TablePlan
    from ._psycopg2 import Connection
    from ._row_codec import Field
    from ._table_plan import Plan

REFUSE, LAST_WRITE, POSTGRES, SQLITE, REPORT = (
    "refuse",
    "last_write_wins",
    "postgres_wins",
    "sqlite_wins",
    "report_only",
)
STRATEGIES = (REFUSE, LAST_WRITE, POSTGRES, SQLITE, REPORT)
_EVERY_TIME = "naive_time zoned_time"
_MOST_DIGITS = 6


@dataclasses.dataclass(frozen=True)
class Conflict:
    """A row that changed on both sides; C(winner) is V(sqlite), V(postgres), or empty where nothing was decided."""

    left: Left
    winner: str
    why: str

    def as_dict(self) -> dict[str, t.Any]:
        """Return it for the result of a module."""
        return {**self.left.as_dict(), "winner": self.winner, "why": self.why}


@dataclasses.dataclass
class Merged:
    """What a merge did: what it brought over, every conflict, and the rows that stay different."""

    replayed: Replayed
    conflicts: list[Conflict]
    left: list[Left]


def merge(
    connection: Connection,
    target: sqlite3.Connection,
    plan: Plan,
    names: OnlineNames,
    source_id: str,
    *,
    strategy: str,
    timestamp_column: str | None = None,
    since: int | None = None,
) -> Merged:
    """Bring over what changed in PostgreSQL only, and decide what changed in both.

    Args:
        connection: PostgreSQL, outside of any transaction.
        target: SQLite, from L(_sqlite_writer.open_writable), outside of any transaction.
        plan: The tables.
        names: What online mode calls its tables.
        source_id: The profile.
        strategy: One of L(STRATEGIES).
        timestamp_column: The column by which L(LAST_WRITE) decides.
        since: The last entry of SQLite's log from before the switch; None where SQLite has no capture: then every row
            that differs is in conflict.

    Raises:
        ReplayError: There are conflicts that the strategy refuses (nothing was changed), or a row does not fit.
        BadInput: The strategy needs a column that a table does not have.
        SqliteError: The file is locked or cannot be written.
        PostgresError: PostgreSQL refused something.
    """
    with at_one_instant(connection):
        pending = _change_log.postgres_pending(connection, plan, names)
        read = read_all(connection, plan, names, pending)
        begin_writing(target)
        try:
            left = left_behind(target, plan, source_id, pending, read)
            ours = None if since is None else _changed_here(target, plan, names, since)
            conflicts = _decide(plan, left, ours, strategy, timestamp_column)
            _refuse(conflicts, strategy)
            if strategy == REPORT:
                return Merged(Replayed(), conflicts, left)
            lost = {(one.left.table, one.left.key) for one in conflicts if one.winner == "sqlite"}
            wanted = {
                table: [key for key in keys if (table, key) not in lost] for table, keys in pending.tables.items()
            }
            done = replay_back(connection, target, plan, names, source_id, pending.only(wanted), merging=True)
            with writing(target, "committing merged rows"):
                target.execute("COMMIT")
        finally:
            if target.in_transaction:
                target.execute("ROLLBACK")
    _change_log.acknowledge(connection, names, pending.entries)
    with postgres_errors("Acknowledging merged keys"):
        connection.commit()
    return Merged(done, conflicts, [one for one in left if (one.table, one.key) in lost])


def _changed_here(
    target: sqlite3.Connection, plan: Plan, names: OnlineNames, since: int
) -> dict[str, frozenset[Identity]]:
    try:
        pending = _change_log.sqlite_pending(target, plan, names, since)
    except CaptureError:
        # The log is another one than before the switch: all of it is younger.
        pending = _change_log.sqlite_pending(target, plan, names, 0)
    tables = {table.source: table for table in plan.tables}
    return {name: _identities(target, tables[name], keys) for name, keys in pending.tables.items()}


def _identities(target: sqlite3.Connection, plan: TablePlan, keys: t.Iterable[_change_log.Key]) -> frozenset[Identity]:
    row = sqlite_row(plan.source_key_codec)
    found = set()
    for key in keys:
        places, values = zip(*map(placeholder, key))
        given = ", ".join(f"{place} AS {quote(name)}" for place, name in zip(places, plan.key))
        (canonical,) = target.execute(f"SELECT {row} FROM (SELECT {given})", values).fetchone()
        found.add(identity_of(plan, canonical))
    return frozenset(found)


def _decide(
    plan: Plan,
    left: t.Iterable[Left],
    ours: t.Mapping[str, frozenset[Identity]] | None,
    strategy: str,
    timestamp_column: str | None,
) -> list[Conflict]:
    tables = {table.source: table for table in plan.tables}
    found = []
    for one in left:
        if ours is not None and one.identity not in ours.get(one.table, frozenset()):
            continue
        if strategy == LAST_WRITE:
            found.append(_last_write(tables[one.table], one, timestamp_column))
        elif strategy == POSTGRES:
            found.append(Conflict(one, "postgres", "by strategy"))
        elif strategy == SQLITE:
            found.append(Conflict(one, "sqlite", "by strategy"))
        else:
            found.append(Conflict(one, "", "nothing was decided"))
    return found


def _last_write(plan: TablePlan, one: Left, timestamp_column: str | None) -> Conflict:
    columns = [column.source for column in plan.with_compared().columns]
    if timestamp_column is None or timestamp_column not in columns:
        raise BadInput(
            f"Table {plan.source} has no column {timestamp_column} by which the last write could be told",
            remedy="Name another timestamp_column, or another strategy. Nothing was changed.",
        )
    if one.theirs is None or one.ours is None:
        return Conflict(one, "sqlite", "it was deleted on one side, which has no time")
    place = columns.index(timestamp_column)
    theirs, mine = (_as_time(parse_row(row)[place]) for row in (one.theirs, one.ours))
    if theirs is None or mine is None:
        return Conflict(one, "sqlite", f"{timestamp_column} is NULL or no time")
    if type(theirs) is not type(mine) or theirs == mine:
        return Conflict(one, "sqlite", f"{timestamp_column} is the same, or cannot be compared")
    newer = "postgres" if theirs > mine else "sqlite"
    return Conflict(one, newer, f"its {timestamp_column} is newer")


def _as_time(field: Field) -> t.Any:
    """Return a canonical field as what can be compared: a moment as its text in UTC, a number as such."""
    if field is None or isinstance(field, LongText):
        return None
    found = str(_value_texts.moment(field, 0, _MOST_DIGITS, _EVERY_TIME))
    if not found.startswith("!"):
        return found
    try:
        number = Decimal(field.decode())
    except (ValueError, ArithmeticError):
        return None
    return number if number.is_finite() else None


def _refuse(conflicts: t.Sequence[Conflict], strategy: str) -> None:
    if strategy != REFUSE or not conflicts:
        return
    named = ", ".join(f"{one.left.table} {one.left.shown}" for one in conflicts[:20])
    raise ReplayError(
        f"{len(conflicts)} row(s) changed in both stores",
        f"{named}{', …' if len(conflicts) > 20 else ''}",
        "Nothing was changed. Run tenant_replay again with a conflict strategy (postgres_wins, sqlite_wins,"
        " last_write_wins with timestamp_column, or report_only to list them).",
        conflicts=[one.as_dict() for one in conflicts],
    )


def pending_report(
    connection: Connection, target: sqlite3.Connection, plan: Plan, names: OnlineNames, source_id: str
) -> tuple[Pending, list[Left]]:
    """Return what is pending in PostgreSQL, and which of these rows are not the same in SQLite. Nothing is changed.

    Raises:
        SqliteError: The file cannot be read.
        PostgresError: PostgreSQL cannot be read.
    """
    with at_one_instant(connection):
        pending = _change_log.postgres_pending(connection, plan, names)
        return pending, left_behind(target, plan, source_id, pending, read_all(connection, plan, names, pending))
