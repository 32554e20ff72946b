# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""The tables and triggers that capture and fence put into a SQLite file, as statements; nothing is run here.

Triggers run in the application's own connection, so they are made of nothing but what SQLite has had since 3.31. The
statements are worded as C(sqlite_master) keeps them, so that what stands there can be compared with what should.
"""

from __future__ import annotations

import typing as t

from ._collisions import collisions, holds_one_value, literal, row_name
from ._errors import SchemaRefused
from ._sqlite_tokens import fold, quote

if t.TYPE_CHECKING:
    from ._online_names import OnlineNames
    from ._sqlite_catalog import Table

_NOW = "strftime('%Y-%m-%dT%H:%M:%fZ', 'now')"


class Owner(t.NamedTuple):
    """Whose rows are meant: the names of the profile, its id, and the column that tells profiles apart, if any."""

    names: OnlineNames
    source_id: str
    tenant_column: str | None

    def owns(self, row: str, table: Table) -> str:
        """Return the condition under which a row, such as C(NEW), is the profile's.

        An id of another type or with a collation of its own is compared as the census compares it.

        Raises:
            SchemaRefused: The table has no such column.
        """
        if self.tenant_column is None:
            return "1"
        if fold(self.tenant_column) not in [fold(name) for name in table.column_names]:
            raise SchemaRefused(
                f"Table {table.name}", f"it has no column {self.tenant_column} to tell the profiles apart"
            )
        return f"CAST({row}.{quote(self.tenant_column)} AS TEXT) = {literal(self.source_id)} COLLATE BINARY"

    @property
    def not_ours(self) -> str:
        """The condition under which the change is none that this collection makes itself."""
        return f"NOT EXISTS (SELECT 1 FROM {quote(self.names.passing)})"


def log_table(names: OnlineNames, width: int) -> str:
    """Return the statement for the log: its keys have so many columns, without a type, to keep values as they are."""
    keys = ", ".join(f"k{place}" for place in range(1, width + 1))
    columns = f"seq INTEGER PRIMARY KEY, changed_at TEXT NOT NULL, tbl TEXT NOT NULL, {keys}"
    return f"CREATE TABLE {quote(names.log)} ({columns})"


def state_table(names: OnlineNames) -> str:
    """Return the statement for the table that says what is captured."""
    return f"CREATE TABLE {quote(names.state)} (name TEXT PRIMARY KEY, value TEXT NOT NULL)"


def pass_table(names: OnlineNames) -> str:
    """Return the statement for the table whose row lets our own writes pass."""
    return f"CREATE TABLE {quote(names.passing)} (pass INTEGER)"


def capture_triggers(table: Table, owner: Owner) -> dict[str, str]:
    """Return the triggers that log the keys of a table's rows, by name.

    Raises:
        SchemaRefused: It cannot be told which rows a new one pushes out of a unique index.
    """
    conditions = collisions(table, owner.tenant_column)
    new, old = owner.owns("NEW", table), owner.owns("OLD", table)
    same = f"{old} AND {_same_key(table)}"
    victims = [_victims(table, owner, condition) for condition in conditions]
    others = [f"{victim} AND NOT ({_is_old(table)})" for victim in victims]
    made = {
        "insert": ("AFTER INSERT", new, [_log(table, owner, "NEW")]),
        "update": (
            "AFTER UPDATE",
            f"({old} OR {new})",
            [
                f"{_log(table, owner, 'OLD')} WHERE {old}",
                f"{_log(table, owner, 'NEW')} WHERE {new} AND ({same}) IS NOT 1",
            ],
        ),
        "delete": ("AFTER DELETE", old, [_log(table, owner, "OLD")]),
    }
    if conditions:
        made["before_insert"] = ("BEFORE INSERT", "", victims)
        made["before_update"] = ("BEFORE UPDATE", "", others)
    return {
        owner.names.capture_trigger(table.name, event): _trigger(
            owner.names.capture_trigger(table.name, event), when, table, owner, condition, statements
        )
        for event, (when, condition, statements) in made.items()
    }


def fence_triggers(table: Table, owner: Owner) -> dict[str, str]:
    """Return the triggers that refuse the profile's writes to a table, by name.

    Others must not push out its rows either, so whoever writes a row that takes the place of one of the profile's is
    refused. An index of which that cannot be told is passed over: such a table is not cut over online.
    """
    text = (
        f"profile {owner.source_id} is fenced: its rows are in PostgreSQL, or on their way there, and can only be read"
        " here"
    )
    refuse = f"SELECT RAISE(ROLLBACK, {literal(text)})"
    new, old = owner.owns("NEW", table), owner.owns("OLD", table)
    conditions = collisions(table, owner.tenant_column, strict=False) if owner.tenant_column is not None else []
    held = [
        f"SELECT 1 FROM {quote(table.name)} AS victim WHERE {one} AND {owner.owns('victim', table)}"
        for one in conditions
    ]
    pushed = [f"EXISTS ({one})" for one in held]
    pushed_by_update = [f"EXISTS ({one} AND NOT ({_is_old(table)}))" for one in held]
    made = {
        "insert": ("BEFORE INSERT", [new, *pushed]),
        "update": ("BEFORE UPDATE", [old, new, *pushed_by_update]),
        "delete": ("BEFORE DELETE", [old]),
    }
    return {
        owner.names.fence_trigger(table.name, event): _trigger(
            owner.names.fence_trigger(table.name, event), when, table, owner, f"({' OR '.join(terms)})", [refuse]
        )
        for event, (when, terms) in made.items()
    }


def _trigger(name: str, when: str, table: Table, owner: Owner, condition: str, statements: t.Sequence[str]) -> str:
    terms = " AND ".join(term for term in (condition, owner.not_ours) if term)
    body = "".join(f" {statement};" for statement in statements)
    return f"CREATE TRIGGER {quote(name)} {when} ON {quote(table.name)} WHEN {terms} BEGIN{body} END"


def _log(table: Table, owner: Owner, row: str) -> str:
    keys = ", ".join(f"k{place}" for place in range(1, len(table.key) + 1))
    values = ", ".join(f"{row}.{quote(name)}" for name in table.key)
    return (
        f"INSERT INTO {quote(owner.names.log)} (changed_at, tbl, {keys}) SELECT {_NOW}, {literal(table.name)}, {values}"
    )


def _victims(table: Table, owner: Owner, condition: str) -> str:
    return (
        f"{_log(table, owner, 'victim')} FROM {quote(table.name)} AS victim"
        f" WHERE {condition} AND {owner.owns('victim', table)}"
    )


def _is_old(table: Table) -> str:
    """Return the condition under which a row of the table is the one that is being updated."""
    rowid = row_name(table)
    if rowid:
        return f"victim.{rowid} = OLD.{rowid}"
    names = table.key or table.column_names
    return " AND ".join(f"victim.{quote(name)} IS OLD.{quote(name)}" for name in names)


def _same_key(table: Table) -> str:
    columns = {column.name: column for column in table.columns}
    terms = [f"OLD.{quote(name)} IS NEW.{quote(name)} COLLATE BINARY" for name in table.key]
    terms += [
        f"typeof(OLD.{quote(name)}) = typeof(NEW.{quote(name)})"
        for name in table.key
        if not holds_one_value(columns[name])
    ]
    return " AND ".join(terms)
