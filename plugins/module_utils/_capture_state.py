# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""What stands in a SQLite file of the capture and the fence of one profile: triggers, and the table of the state."""

from __future__ import annotations

import contextlib
import itertools
import json
import sqlite3
import typing as t
import uuid

from ._capture_fingerprint import Fingerprint, fingerprint
from ._errors import CaptureError
from ._sqlite_store import names_as_text, quote, reading

if t.TYPE_CHECKING:
    from ._online_names import OnlineNames
    from ._sqlite_catalog import Table

_NEVER_SEEN = itertools.count()
_VALUES = ("capture_id", "source_id", "schema_name", "installed_at", "tables", "fingerprint")


class State(t.NamedTuple):
    """What the file says of a capture.

    Attributes:
        capture_id: The id that positions in the log belong to.
        source_id: Whose capture it is.
        schema_name: The schema of that profile.
        installed_at: When it was installed, in UTC.
        keys: The captured tables with the columns of their keys, in the order of k1, k2, ....
        fingerprints: What those tables were declared as.
    """

    capture_id: str
    source_id: str
    schema_name: str
    installed_at: str
    keys: dict[str, tuple[str, ...]]
    fingerprints: dict[str, Fingerprint]


@contextlib.contextmanager
def naming(connection: sqlite3.Connection, doing: str) -> t.Iterator[None]:
    """Word the errors of SQLite, and read its names as text whatever the connection returns for text."""
    with reading(connection, doing), names_as_text(connection):
        yield


def table_exists(connection: sqlite3.Connection, table: str) -> bool:
    """Return whether the file has a table of exactly this name."""
    found = connection.execute("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?", (table,))
    return found.fetchone() is not None


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


def read_state(connection: sqlite3.Connection, names: OnlineNames, source_id: str) -> State | None:
    """Return the state of the profile's capture, None where there is none or what is there is not whole.

    Raises:
        CaptureError: It is another profile's.
    """
    # In any case of letters: schemas that differ in nothing else would share the table.
    there = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ? COLLATE NOCASE"
    if not connection.execute(there, (names.state,)).fetchone():
        return None
    values = dict(connection.execute(f"SELECT name, value FROM {quote(names.state)}").fetchall())
    if not set(_VALUES) <= set(values):
        return None
    state = State(
        capture_id=values["capture_id"],
        source_id=values["source_id"],
        schema_name=values["schema_name"],
        installed_at=values["installed_at"],
        keys={name: tuple(key) for name, key in json.loads(values["tables"]).items()},
        fingerprints=json.loads(values["fingerprint"]),
    )
    if (state.source_id, state.schema_name) != (source_id, names.schema_name):
        raise CaptureError(
            f"Capture of profile {source_id!r} is not its own",
            f"in this file {names.log} belongs to source_id {state.source_id!r} (schema {state.schema_name})",
            "Give one of the two profiles a schema_name of its own.",
        )
    return state


def write_state(connection: sqlite3.Connection, names: OnlineNames, source_id: str, tables: t.Iterable[Table]) -> None:
    """Write that these tables are captured from now on, under a new id, into a table of state that is empty."""
    chosen = list(tables)
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


def create_triggers(connection: sqlite3.Connection, table: Table, triggers: t.Mapping[str, str]) -> None:
    """Create triggers on a table, given by name, unless SQLite could not run them: they would stop every write to it.

    SQLite looks into a trigger only when a statement that fires it is compiled.

    Raises:
        CaptureError: Without the triggers a write to the table can be compiled, and with them it cannot.
    """
    for statement in triggers.values():
        connection.execute(statement)
    fault = _fault(connection, table)
    if fault is None:
        return
    for name in triggers:
        connection.execute(f"DROP TRIGGER {quote(name)}")
    if fault != _fault(connection, table):
        raise CaptureError(
            f"Table {table.name} can have no triggers of this collection",
            f"with them in place SQLite no longer understands a write to it ({fault})",
            "Leave the table out (exclude_tables), or cut the profile over offline.",
        )
    for statement in triggers.values():  # it is the application's function or collation that we do not have
        connection.execute(statement)


def _fault(connection: sqlite3.Connection, table: Table) -> str | None:
    """Return why a statement that changes the table cannot be compiled, its triggers included; None when it can."""
    name = quote(table.name)
    column = quote(next(column.name for column in table.columns if not column.generated))
    changes = f"UPDATE {name} SET {column} = {column}"
    for statement in (f"INSERT INTO {name} DEFAULT VALUES", changes, f"DELETE FROM {name}"):
        try:
            # Explaining compiles, once: Python keeps statements by their text, and SQLite does not look again.
            connection.execute(f"EXPLAIN {statement} -- {next(_NEVER_SEEN)}").close()
        except sqlite3.OperationalError as error:
            return str(error)
    return None
