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
import typing as t

from . import _capture_statements as statements
from ._capture_fingerprint import differences, fingerprint
from ._capture_state import (
    State,
    capture_triggers,
    create_triggers,
    fence_triggers,
    naming,
    read_state,
    table_exists,
    write_state,
)
from ._capture_statements import Owner
from ._collisions import collisions
from ._errors import CaptureError, SchemaRefused
from ._sqlite_tokens import fold, quote

if t.TYPE_CHECKING:
    import sqlite3

    from ._online_names import OnlineNames
    from ._sqlite_catalog import Catalog, Table

_OFFLINE = "Leave it out (exclude_tables), give it a primary key, or cut the profile over offline."


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
    with naming(connection, "installing capture"):
        state = read_state(connection, names, source_id)
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
        write_state(connection, names, source_id, chosen)
        for table in chosen:
            create_triggers(connection, table, statements.capture_triggers(table, owner))
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
    with naming(connection, "resuming capture"):
        state = read_state(connection, names, source_id)
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
        for table in chosen:
            create_triggers(connection, table, statements.capture_triggers(table, owner))


def suspend(connection: sqlite3.Connection, names: OnlineNames) -> None:
    """Drop the capture triggers; log and state stay."""
    with naming(connection, "suspending capture"):
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
    with naming(connection, "looking at capture"):
        state = read_state(connection, names, source_id)
        if not state:
            return Capture(None, False, ("nothing is captured",), 0, {})
        missing = _missing(connection, catalog, tables, Owner(names, source_id, tenant_column), state)
        position = 0
        if table_exists(connection, names.log):
            (position,) = connection.execute(f"SELECT coalesce(max(seq), 0) FROM {quote(names.log)}").fetchone()
        return Capture(state.capture_id, not missing, tuple(missing), position, state.keys)


def remove(connection: sqlite3.Connection, names: OnlineNames) -> bool:
    """Drop all of the capture, and return whether there was any. Under a fence what lets our writes pass it stays."""
    with naming(connection, "removing capture"):
        triggers = capture_triggers(connection, names)
        tables = [name for name in (names.log, names.state) if table_exists(connection, name)]
        if table_exists(connection, names.passing) and not fence_triggers(connection, names):
            tables.append(names.passing)
        for trigger in triggers:  # first: a trigger whose table is gone would stop the application
            connection.execute(f"DROP TRIGGER {quote(trigger)}")
        for table in tables:
            connection.execute(f"DROP TABLE {quote(table)}")
    return bool(triggers or tables)


def _missing(
    connection: sqlite3.Connection, catalog: Catalog, tables: t.Sequence[str], owner: Owner, state: State
) -> list[str]:
    found = _changed(catalog, tables, owner, state)
    there = capture_triggers(connection, owner.names)
    names = [owner.names.log, owner.names.passing]
    found += [f"table {name} of this collection is missing" for name in names if not table_exists(connection, name)]
    for table in catalog.tables:
        if table.name not in state.keys:
            continue
        with contextlib.suppress(SchemaRefused):  # which L(_changed) has told
            expected = statements.capture_triggers(table, owner)
            found += [
                f"trigger {name} of table {table.name} {'is missing' if standing is None else 'was changed'}"
                for name, statement in expected.items()
                for standing in [there.pop(name, None)]
                if standing != statement
            ]
    return [*found, *(f"trigger {name} is none that was installed" for name in there)]


def _changed(catalog: Catalog, tables: t.Sequence[str], owner: Owner, state: State) -> list[str]:
    """Return what is different from when capture was installed, the triggers left aside."""
    before = state.fingerprints
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


def _refuse_unsupported(found: t.Mapping[str, str]) -> None:
    if found:
        raise CaptureError(
            "Changes cannot be captured in every table of the profile",
            "; ".join(f"table {name}: {reason}" for name, reason in found.items()),
            _OFFLINE,
            unsupported=[{"table": name, "reason": reason} for name, reason in found.items()],
        )
