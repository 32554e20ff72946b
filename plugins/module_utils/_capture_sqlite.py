# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Capture in a SQLite file: triggers that log the key of every row of a profile that changes.

The log says which rows to read again, not what happened to them, so an entry too many does no harm and a missing one
loses a write. Whatever could make the log incomplete without a word is looked for: a table that was made anew lost
its triggers, a column that was added never travelled, a unique index that was added pushes out other rows.

Everything here works in the transaction of its caller, who holds the write lock and has read the catalog within it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import sqlite3
import typing as t
import uuid

from . import _capture_statements as statements
from ._capture_fingerprint import Fingerprint, differences, fingerprint
from ._capture_statements import Owner
from ._collisions import collisions
from ._errors import CaptureError, SchemaRefused
from ._sqlite_store import reading
from ._sqlite_tokens import fold, quote

if t.TYPE_CHECKING:
    from ._online_names import OnlineNames
    from ._sqlite_catalog import Catalog, Table

_OFFLINE = "Leave it out (exclude_tables), give it a primary key, or cut the profile over offline."
_STATE = ("capture_id", "source_id", "schema_name", "installed_at", "tables", "fingerprint")


@dataclasses.dataclass(frozen=True)
class Capture:
    """What was found of the capture of a profile.

    Attributes:
        capture_id: The id that positions belong to, None when nothing is captured.
        complete: Whether every change of every table that was asked for is in the log since it was made.
        missing: What is not as it should be, each by name.
        position: The highest entry of the log, 0 when it is empty.
        tables: The captured tables with the columns of their keys, in the order of k1, k2, ....
    """

    capture_id: str | None
    complete: bool
    missing: tuple[str, ...]
    position: int
    tables: dict[str, tuple[str, ...]]


def unsupported(catalog: Catalog, tables: t.Iterable[str], tenant_column: str | None = None) -> dict[str, str]:
    """Return the tables whose changes cannot be captured, each with the reason.

    Args:
        catalog: What the file declares.
        tables: The tables of the profile.
        tenant_column: The column that tells the profiles apart, None when the whole file is one profile's.
    """
    found = {}
    declared = {table.name: table for table in catalog.tables}
    for name in tables:
        reason = _reason(declared.get(name), tenant_column)
        if reason:
            found[name] = reason
    return found


def _reason(table: Table | None, tenant_column: str | None) -> str | None:
    if table is None:
        return "the SQLite file has no such table"
    if table.kind != "table":
        return "it is a virtual table, or belongs to one"
    if not table.key:
        return "it has no primary key, so a changed row cannot be found again in the other store"
    if tenant_column is not None and fold(tenant_column) not in [fold(name) for name in table.column_names]:
        return f"it has no column {tenant_column} to tell the profiles apart"
    try:
        collisions(table, tenant_column)
    except SchemaRefused as error:
        return f"{error.what}: {error.why}"
    return None


def install(
    connection: sqlite3.Connection,
    catalog: Catalog,
    tables: t.Sequence[str],
    names: OnlineNames,
    source_id: str,
    tenant_column: str | None,
) -> bool:
    """Capture the profile's rows of these tables, and return whether anything was changed for it.

    Where all of them are captured already nothing happens. Anything less is made anew, under a new id: what has been
    read from the log so far says nothing about the new one.

    Raises:
        CaptureError: A table cannot be captured, another profile's capture goes by these names, or the file is fenced.
        SqliteError: The file is locked or damaged.
    """
    _refuse_unsupported(unsupported(catalog, tables, tenant_column))
    with reading(connection, "installing capture"):
        state = _read_state(connection, names)
        _refuse_other(state, names, source_id)
        if fence_triggers(connection, names):
            raise CaptureError(
                f"Changes of profile {source_id!r} cannot be captured in SQLite",
                "the profile is fenced there, so there are none",
                "Bring the profile back to SQLite first (rollback.yml).",
            )
        owner = Owner(names, source_id, tenant_column)
        if state and not _missing(connection, catalog, tables, owner, state):
            return False
        remove(connection, names)
        chosen = [table for table in catalog.tables if table.name in tables]
        connection.execute(statements.log_table(names, max((len(table.key) for table in chosen), default=1)))
        connection.execute(statements.pass_table(names))
        connection.execute(statements.state_table(names))
        values = {
            "capture_id": str(uuid.uuid4()),
            "source_id": source_id,
            "schema_name": names.schema_name,
            "tables": json.dumps({table.name: list(table.key) for table in chosen}),
            "fingerprint": json.dumps({table.name: fingerprint(table) for table in chosen}),
        }
        connection.executemany(f"INSERT INTO {quote(names.state)} VALUES (?, ?)", list(values.items()))
        connection.execute(
            f"INSERT INTO {quote(names.state)} VALUES ('installed_at', strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))"
        )
        _create_triggers(connection, chosen, owner)
    return True


def resume(
    connection: sqlite3.Connection,
    catalog: Catalog,
    tables: t.Sequence[str],
    names: OnlineNames,
    source_id: str,
    tenant_column: str | None,
) -> None:
    """Put the triggers back over a log that is there, under its id: the fence let nothing be written meanwhile.

    Raises:
        CaptureError: There is no log, or the tables are not as they were when it was made.
        SqliteError: The file is locked or damaged.
    """
    with reading(connection, "resuming capture"):
        state = _read_state(connection, names)
        _refuse_other(state, names, source_id)
        if not state:
            raise CaptureError(
                f"Capture of profile {source_id!r} cannot be resumed", "the SQLite file holds no log of it"
            )
        owner = Owner(names, source_id, tenant_column)
        suspend(connection, names)
        chosen = [table for table in catalog.tables if table.name in tables]
        wrong = _changed(catalog, tables, owner, state)
        if wrong:
            raise CaptureError(
                f"Capture of profile {source_id!r} cannot be resumed",
                "; ".join(wrong),
                "Remove capture and begin the cutover anew.",
                missing=list(wrong),
            )
        _create_triggers(connection, chosen, owner)


def suspend(connection: sqlite3.Connection, names: OnlineNames) -> None:
    """Drop the capture triggers; log and state stay."""
    with reading(connection, "suspending capture"):
        for trigger in capture_triggers(connection, names):
            connection.execute(f"DROP TRIGGER {quote(trigger)}")


def look(
    connection: sqlite3.Connection,
    catalog: Catalog,
    tables: t.Sequence[str],
    names: OnlineNames,
    source_id: str,
    tenant_column: str | None,
) -> Capture:
    """Return what is captured, and what is not though it should be. Nothing is changed.

    Args:
        connection: The file; the answer holds for as long as the caller keeps others from writing.
        catalog: What it declares now.
        tables: All tables of the profile, so that one that was added is missed.
        names: The profile's names.
        source_id: Its id.
        tenant_column: The column that tells the profiles apart, None when the whole file is one profile's.

    Raises:
        CaptureError: Another profile's capture goes by these names.
        SqliteError: The file is locked or damaged.
    """
    with reading(connection, "looking at capture"):
        state = _read_state(connection, names)
        if not state:
            return Capture(None, False, ("nothing is captured",), 0, {})
        _refuse_other(state, names, source_id)
        missing = _missing(connection, catalog, tables, Owner(names, source_id, tenant_column), state)
        position = 0
        if table_exists(connection, names.log):
            (position,) = connection.execute(f"SELECT coalesce(max(seq), 0) FROM {quote(names.log)}").fetchone()
        captured = {name: tuple(key) for name, key in json.loads(state["tables"]).items()}
        return Capture(state["capture_id"], not missing, tuple(missing), position, captured)


def remove(connection: sqlite3.Connection, names: OnlineNames) -> bool:
    """Drop all of the capture, and return whether there was any. Under a fence what lets our writes pass it stays."""
    with reading(connection, "removing capture"):
        triggers = capture_triggers(connection, names)
        tables = [name for name in (names.log, names.state) if table_exists(connection, name)]
        if table_exists(connection, names.passing) and not fence_triggers(connection, names):
            tables.append(names.passing)
        for trigger in triggers:  # first: a trigger whose table is gone would stop the application
            connection.execute(f"DROP TRIGGER {quote(trigger)}")
        for table in tables:
            connection.execute(f"DROP TABLE {quote(table)}")
    return bool(triggers or tables)


def capture_triggers(connection: sqlite3.Connection, names: OnlineNames) -> dict[str, str]:
    """Return the capture triggers that the file holds for the profile: their statements by name."""
    return _triggers(connection, names.capture_trigger("", ""))


def fence_triggers(connection: sqlite3.Connection, names: OnlineNames) -> dict[str, str]:
    """Return the fence triggers that the file holds for the profile: their statements by name."""
    return _triggers(connection, names.fence_trigger("", ""))


def _triggers(connection: sqlite3.Connection, beginning: str) -> dict[str, str]:
    start = beginning[:-1]  # without the dot before the event
    rows = connection.execute(
        "SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND substr(name, 1, ?) = ?", (len(start), start)
    )
    return dict(rows.fetchall())


def _create_triggers(connection: sqlite3.Connection, tables: t.Iterable[Table], owner: Owner) -> None:
    for table in tables:
        before = _fault(connection, table)
        for statement in statements.capture_triggers(table, owner).values():
            connection.execute(statement)
        after = _fault(connection, table)
        if after and after != before:
            raise CaptureError(
                f"Changes of table {table.name} cannot be captured",
                f"with the triggers in place SQLite no longer understands a write to it ({after})",
                _OFFLINE,
            )


def _fault(connection: sqlite3.Connection, table: Table) -> str | None:
    """Return why a statement that changes the table cannot be compiled, its triggers included; None when it can."""
    name = quote(table.name)
    key = quote(table.key[0])
    for statement in (f"INSERT INTO {name} DEFAULT VALUES", f"UPDATE {name} SET {key} = {key}", f"DELETE FROM {name}"):
        try:
            connection.execute(f"EXPLAIN {statement}").fetchall()
        except sqlite3.OperationalError as error:
            return str(error)
    return None


def _missing(
    connection: sqlite3.Connection, catalog: Catalog, tables: t.Sequence[str], owner: Owner, state: t.Mapping[str, str]
) -> list[str]:
    found = _changed(catalog, tables, owner, state)
    there = capture_triggers(connection, owner.names)
    names = [owner.names.log, owner.names.passing]
    found += [f"table {name} of this collection is missing" for name in names if not table_exists(connection, name)]
    captured = json.loads(state["tables"])
    for table in catalog.tables:
        if table.name not in captured or table.name not in tables:
            continue
        with contextlib.suppress(SchemaRefused):  # which L(_changed) has told
            expected = statements.capture_triggers(table, owner)
            found += [
                f"trigger {name} of table {table.name} " + ("was changed" if name in there else "is missing")
                for name, statement in expected.items()
                if there.get(name) != statement
            ]
    return found


def _changed(catalog: Catalog, tables: t.Sequence[str], owner: Owner, state: t.Mapping[str, str]) -> list[str]:
    """Return what is different from when capture was installed, the triggers left aside."""
    before: dict[str, Fingerprint] = json.loads(state["fingerprint"])
    found = []
    declared = {table.name: table for table in catalog.tables}
    cannot = unsupported(catalog, tables, owner.tenant_column)
    for name in tables:
        reason = f": {cannot[name]}" if name in cannot else ""
        if name not in before:
            found.append(f"table {name} is not captured{reason}")
        elif name in declared:
            found += differences(name, before[name], fingerprint(declared[name]))
            found += [f"table {name} can no longer be captured{reason}"] if reason else []
    for name in before:
        if name not in declared:
            found.append(f"table {name} is gone")
        elif name not in tables:
            found.append(f"table {name} is captured, but is none of the profile's")
    return found


def table_exists(connection: sqlite3.Connection, table: str) -> bool:
    """Return whether the file has a table of exactly this name."""
    found = connection.execute("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?", (table,))
    return found.fetchone() is not None


def _read_state(connection: sqlite3.Connection, names: OnlineNames) -> dict[str, str]:
    """Return the state, empty where there is none or it is not whole."""
    # In any case of letters: schemas that differ in nothing else would share the table.
    there = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ? COLLATE NOCASE"
    if not connection.execute(there, (names.state,)).fetchone():
        return {}
    state = dict(connection.execute(f"SELECT name, value FROM {quote(names.state)}").fetchall())
    return state if set(_STATE) <= set(state) else {}


def _refuse_other(state: t.Mapping[str, str], names: OnlineNames, source_id: str) -> None:
    if state and (state["source_id"], state["schema_name"]) != (source_id, names.schema_name):
        raise CaptureError(
            f"Capture of profile {source_id!r} is not its own",
            f"in this file {names.log} belongs to source_id {state['source_id']!r} (schema {state['schema_name']})",
            "Give one of the two profiles a schema_name of its own.",
        )


def _refuse_unsupported(found: t.Mapping[str, str]) -> None:
    if found:
        raise CaptureError(
            "Changes cannot be captured in every table of the profile",
            "; ".join(f"table {name}: {reason}" for name, reason in found.items()),
            _OFFLINE,
            unsupported=[{"table": name, "reason": reason} for name, reason in found.items()],
        )
