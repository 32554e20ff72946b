# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""The keys of rows that changed in one store and have not been brought into the other.

Only keys are logged; what a row holds is read when it is replayed, so a row that changed a hundred times travels once.
In SQLite the log is read by position: its writers are serialized, so entries appear in the order of their numbers. In
PostgreSQL they do not: a transaction that commits late brings entries with low numbers, so there an entry is pending
until it has been acknowledged, whatever its number.
"""

from __future__ import annotations

import dataclasses
import json
import typing as t

from ._errors import CaptureError
from ._online_names import CHANGE_TABLE
from ._postgres_store import identifier, postgres_errors, relation_exists
from ._psycopg2 import sql
from ._sqlite_store import quote, reading

if t.TYPE_CHECKING:
    import sqlite3

    from ._online_names import OnlineNames
    from ._planned_table import TablePlan
    from ._psycopg2 import Connection
    from ._table_plan import Plan

# A value as the store holds it. A text of SQLite that is no UTF-8 has its octets as surrogates (surrogateescape), a key
# of PostgreSQL is made of the texts of its values.
KeyValue = t.Union[str, bytes, int, float, None]
Key = tuple[KeyValue, ...]
_AGAIN = "Install the capture anew (module change_capture), and load from a snapshot taken after that."


@dataclasses.dataclass(frozen=True)
class Pending:
    """Keys that are to be replayed.

    Attributes:
        tables: The distinct keys by the table's name in SQLite, in the order in which each was first logged.
        count: How many distinct keys there are.
        last: SQLite: the last entry that was looked at, the position once all of it has been replayed. PostgreSQL: the
            highest number that was seen, which says nothing about what comes later.
        oldest_s: How long ago the oldest of them was logged, in seconds; None where nothing is pending.
        seqs: PostgreSQL: the entries of each key, by table.
        changed_at: PostgreSQL: when each key was logged last, as text in UTC, by table.
    """

    tables: dict[str, list[Key]]
    count: int
    last: int
    oldest_s: float | None = None
    seqs: dict[str, dict[Key, list[int]]] = dataclasses.field(default_factory=dict)
    changed_at: dict[str, dict[Key, str]] = dataclasses.field(default_factory=dict)

    @property
    def entries(self) -> list[int]:
        """All entries of PostgreSQL's log that stand behind these keys, in order."""
        return sorted(seq for keys in self.seqs.values() for seqs in keys.values() for seq in seqs)

    def only(self, chosen: t.Mapping[str, t.Collection[Key]]) -> Pending:
        """Return the same for some of the keys."""
        wanted = {name: frozenset(keys) for name, keys in chosen.items()}
        tables = {name: [key for key in keys if key in wanted.get(name, ())] for name, keys in self.tables.items()}
        tables = {name: keys for name, keys in tables.items() if keys}
        return dataclasses.replace(
            self,
            tables=tables,
            count=sum(map(len, tables.values())),
            seqs={name: {key: self.seqs[name][key] for key in keys} for name, keys in tables.items() if self.seqs},
        )


def sqlite_pending(
    source: sqlite3.Connection, plan: Plan, names: OnlineNames, after: int, most: int | None = None
) -> Pending:
    """Return the keys that changed in SQLite after a position of its log.

    Args:
        source: The file, prepared by L(_value_kinds.prepare), inside the transaction in which the rows will be read.
        plan: The tables.
        names: What online mode calls its tables.
        after: The last entry that has been replayed.
        most: How many entries are looked at; None for all.

    Raises:
        CaptureError: There is no log, it does not reach back to the position, or it holds what the plan does not know.
        SqliteError: The file cannot be read.
    """
    tables = {table.source: table for table in plan.tables}
    with reading(source, "reading the log of changed keys"):
        columns = _key_columns(source, names)
        _check_state(source, tables, names)
        log = quote(names.log)
        first, last = source.execute(f"SELECT min(seq), max(seq) FROM {log}").fetchone()
        _check_position(names, first, last, after)
        upto = last or 0 if most is None else min(last or 0, after + most)
        selected = ", ".join(f"typeof({name}), {name}" for name in columns)
        found: dict[str, dict[Key, None]] = {}
        entries = f"FROM {log} WHERE seq > ? AND seq <= ?"
        for name, *facts in source.execute(f"SELECT tbl, {selected} {entries} ORDER BY seq", (after, upto)):
            table = tables.get(_text(name))
            if table is None:
                raise CaptureError(
                    f"Changes of table {_text(name)} are captured, but it is none of the profile's tables", "", _AGAIN
                )
            found.setdefault(table.source, {})[_key(facts, len(table.key))] = None
        oldest = "(julianday('now') - julianday(min(changed_at))) * 86400"
        (age,) = source.execute(f"SELECT {oldest} {entries}", (after, upto)).fetchone()
    keys = {name: list(some) for name, some in found.items()}
    count = sum(map(len, keys.values()))
    return Pending(keys, count, max(upto, after), max(age or 0.0, 0.0) if count else None)


def _key_columns(source: sqlite3.Connection, names: OnlineNames) -> list[str]:
    columns = [_text(row[1]) for row in source.execute(f"PRAGMA table_info({quote(names.log)})")]
    if not columns:
        raise CaptureError(
            f"No changes are captured for schema {names.schema_name}", f"the SQLite file has no {names.log}", _AGAIN
        )
    return [quote(name) for name in columns if name not in ("seq", "changed_at", "tbl")]


def _check_state(source: sqlite3.Connection, tables: t.Mapping[str, TablePlan], names: OnlineNames) -> None:
    row = source.execute(f"SELECT value FROM {quote(names.state)} WHERE name = 'tables'").fetchone()
    captured = json.loads(_text(row[0])) if row else {}
    for name, key in captured.items():
        if name in tables and tuple(key) != tables[name].key:
            raise CaptureError(
                f"Changes of table {name} are captured by ({', '.join(key)})",
                f"the rows of both stores are told apart by ({', '.join(tables[name].key)})",
                _AGAIN,
            )


def _check_position(names: OnlineNames, first: int | None, last: int | None, after: int) -> None:
    # Numbers are given one by one and the last entry is never deleted, so a gap at the beginning is what was pruned.
    if (last or 0) < after:
        why = f"its last entry is {last or 0}, and {after} has been replayed already"
    elif first is not None and first > after + 1:
        why = f"its first entry is {first}, and only {after} has been replayed"
    else:
        return
    raise CaptureError(f"The log {names.log} is not the one that was replayed from", why, _AGAIN)


def _key(facts: t.Sequence[t.Any], length: int) -> Key:
    return tuple(sqlite_value(facts[2 * place], facts[2 * place + 1]) for place in range(length))


def sqlite_value(storage: t.Any, value: t.Any) -> KeyValue:
    """Return a value of a connection that returns octets for text, told by its C(typeof)."""
    if isinstance(value, bytes) and storage in (b"text", "text"):
        return value.decode("utf-8", "surrogateescape")
    return t.cast("KeyValue", value)


def _text(value: t.Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def prune_sqlite(connection: sqlite3.Connection, names: OnlineNames, upto: int) -> int:
    """Delete the entries up to a position, but never the last one: its number would be given again.

    Args:
        connection: A connection that may write, inside the caller's transaction.
        names: What online mode calls its tables.
        upto: The last entry that has been replayed, and will never be asked for again.

    Returns:
        How many were deleted.
    """
    log = quote(names.log)
    with reading(connection, "shortening the log of changed keys"):
        done = connection.execute(f"DELETE FROM {log} WHERE seq <= ? AND seq < (SELECT max(seq) FROM {log})", (upto,))
    return done.rowcount


def postgres_pending(connection: Connection, plan: Plan, names: OnlineNames) -> Pending:
    """Return the keys that changed in PostgreSQL and have not been acknowledged.

    Raises:
        CaptureError: The log holds a table that the plan does not know.
        PostgresError: The log cannot be read.
    """
    return _postgres_keys(connection, plan, names, sql.SQL("replayed_at IS NULL"))


def postgres_unsettled(connection: Connection, plan: Plan, names: OnlineNames, since: str) -> Pending:
    """Return the keys that are pending, and those that were acknowledged at or after a time of PostgreSQL's clock.

    Whoever looked at SQLite at that time has seen what every other key of the log brought there.

    Raises:
        CaptureError: The log holds a table that the plan does not know.
        PostgresError: The log cannot be read.
    """
    condition = sql.SQL("(replayed_at IS NULL OR replayed_at >= {})").format(sql.Literal(since))
    return _postgres_keys(connection, plan, names, condition)


def postgres_changed(connection: Connection, plan: Plan, names: OnlineNames, since: str | None) -> Pending:
    """Return the keys that changed in PostgreSQL since a time, acknowledged or not; all of them where it is None.

    Raises:
        CaptureError: The log holds a table that the plan does not know.
        PostgresError: The log cannot be read, or the time is none.
    """
    condition = sql.SQL("TRUE") if since is None else sql.SQL("changed_at >= {}").format(sql.Literal(since))
    return _postgres_keys(connection, plan, names, condition)


def _postgres_keys(connection: Connection, plan: Plan, names: OnlineNames, condition: sql.Composable) -> Pending:
    tables = {table.target: table.source for table in plan.tables}
    seqs: dict[str, dict[Key, list[int]]] = {}
    times: dict[str, dict[Key, str]] = {}
    last, oldest = 0, None
    with postgres_errors(f"Reading the changed keys of {names.schema_name}"), connection.cursor() as cursor:
        if not relation_exists(connection, CHANGE_TABLE):
            return Pending({}, 0, 0)
        statement = sql.SQL(
            "SELECT seq, table_name, row_key, extract(epoch FROM clock_timestamp() - changed_at)::float8,"
            " changed_at::text FROM {} WHERE schema_name = %s AND {} ORDER BY seq"
        ).format(identifier(CHANGE_TABLE), condition)
        cursor.execute(statement, (names.schema_name,))
        for seq, name, row_key, age, changed_at in cursor:
            if name not in tables:
                raise CaptureError(
                    f"Changes of table {names.schema_name}.{name} are captured, but it is none of the profile's tables"
                )
            key = tuple(row_key)
            seqs.setdefault(tables[name], {}).setdefault(key, []).append(seq)
            times.setdefault(tables[name], {})[key] = changed_at
            last = max(last, seq)
            oldest = age if oldest is None else max(oldest, age)
    keys = {name: list(some) for name, some in seqs.items()}
    count = sum(map(len, keys.values()))
    return Pending(keys, count, last, None if oldest is None else max(oldest, 0.0), seqs, times)


def acknowledge(connection: Connection, names: OnlineNames, seqs: t.Collection[int]) -> None:
    """Mark entries of PostgreSQL's log as replayed, once the other store has committed. The caller commits.

    Raises:
        PostgresError: They cannot be marked.
    """
    if not seqs:
        return
    with postgres_errors("Acknowledging replayed keys"), connection.cursor() as cursor:
        cursor.execute(
            sql.SQL(
                "UPDATE {} SET replayed_at = clock_timestamp()"
                " WHERE schema_name = {} AND seq = ANY ({}::bigint[]) AND replayed_at IS NULL"
            ).format(identifier(CHANGE_TABLE), sql.Literal(names.schema_name), sql.Literal(sorted(seqs)))
        )
