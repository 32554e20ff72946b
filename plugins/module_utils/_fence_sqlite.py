# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""The fence in a SQLite file: triggers that refuse a profile's writes, and nothing else.

They roll back the whole transaction. C(RAISE(ABORT)) would undo the statement only: an application that neither rolls
back nor closes its connection would go on holding the write lock, and no profile of the file could be written to.
C(RAISE(IGNORE)) would lose the write without a word.

Our own transactions pass: they put a row into a table of their own first and take it away before they commit, so that
no other connection ever sees it. All but L(passing) works in the transaction of its caller, who holds the write lock.
"""

from __future__ import annotations

import contextlib
import typing as t

from . import _capture_statements as statements
from ._capture_state import create_triggers, fence_triggers, naming, table_exists
from ._capture_statements import Owner
from ._errors import CaptureError
from ._sqlite_tokens import quote

if t.TYPE_CHECKING:
    import sqlite3

    from ._online_names import OnlineNames
    from ._sqlite_catalog import Catalog

UP, DOWN, PARTIAL = "up", "down", "partial"


def put_up(
    connection: sqlite3.Connection,
    catalog: Catalog,
    tables: t.Iterable[str],
    names: OnlineNames,
    source_id: str,
    tenant_column: str | None,
) -> None:
    """Refuse the profile's writes to these tables from the caller's commit on; a fence that is there is made anew.

    Args:
        connection: The file.
        catalog: What it declares, read in the same transaction.
        tables: All tables of the profile, those without a key included.
        names: The profile's names.
        source_id: Its id.
        tenant_column: The column that tells the profiles apart, None when the whole file is one profile's.

    Raises:
        SchemaRefused: A table lacks the column that tells the profiles apart.
        CaptureError: A table can have no such triggers.
        SqliteError: The file is locked or damaged.
    """
    chosen = set(tables)
    with naming(connection, "putting up the fence"):
        _drop(connection, names)
        if not table_exists(connection, names.passing):
            connection.execute(statements.pass_table(names))
        owner = Owner(names, source_id, tenant_column)
        for table in catalog.tables:
            if table.name in chosen:
                create_triggers(connection, table, statements.fence_triggers(table, owner))


def lift(connection: sqlite3.Connection, names: OnlineNames) -> bool:
    """Take the fence away, and return whether there was any. No trace is left where nothing is captured either.

    Raises:
        SqliteError: The file is locked or damaged.
    """
    with naming(connection, "lifting the fence"):
        found = _drop(connection, names)
        if not table_exists(connection, names.state) and table_exists(connection, names.passing):
            connection.execute(f"DROP TABLE {quote(names.passing)}")
            found = True
    return found


def state(connection: sqlite3.Connection, catalog: Catalog, tables: t.Iterable[str], names: OnlineNames) -> str:
    """Return C(up) when every one of these tables is fenced, C(down) when none is, else C(partial).

    A fence that somebody is let through is none: outside of L(passing), a row that lets writes pass makes it partial.
    Inside of it the answer says nothing.

    Raises:
        SqliteError: The file is locked or damaged.
    """
    chosen = set(tables)
    with naming(connection, "looking at the fence"):
        rows = connection.execute("SELECT name, tbl_name, sql FROM sqlite_master WHERE type = 'trigger'").fetchall()
        there = {(name, table) for name, table, sql in rows if "RAISE(ROLLBACK, " in sql}
        if not fence_triggers(connection, names):
            return DOWN
        wanted = {
            (names.fence_trigger(table.name, event), table.name)
            for table in catalog.tables
            if table.name in chosen
            for event in ("insert", "update", "delete")
        }
        known = {table.name for table in catalog.tables}
        open_to_all = not table_exists(connection, names.passing) or connection.execute(
            f"SELECT EXISTS (SELECT 1 FROM {quote(names.passing)})"
        ).fetchone() != (0,)
    return UP if wanted <= there and chosen <= known and not open_to_all else PARTIAL


@contextlib.contextmanager
def passing(connection: sqlite3.Connection, names: OnlineNames) -> t.Iterator[None]:
    """Let the writes of this block, within the caller's transaction, through the fence and past capture.

    The caller must not commit within the block. Where neither fence nor capture is there, nothing is needed.

    Raises:
        CaptureError: There is no transaction, or it was ended within the block.
        SqliteError: The file is locked or damaged.
    """
    _refuse_outside(connection, names)
    if not table_exists(connection, names.passing):
        yield
        return
    with naming(connection, "letting our own writes pass"):
        connection.execute(f"INSERT INTO {quote(names.passing)} VALUES (1)")
    try:
        yield
    except BaseException:
        if connection.in_transaction:  # the caller may want to go on with it
            connection.execute(f"DELETE FROM {quote(names.passing)}")
        raise
    _refuse_outside(connection, names)
    with naming(connection, "letting our own writes pass"):
        connection.execute(f"DELETE FROM {quote(names.passing)}")


def _refuse_outside(connection: sqlite3.Connection, names: OnlineNames) -> None:
    if not connection.in_transaction:
        raise CaptureError(
            f"Writing past the fence of schema {names.schema_name} was refused", "it takes place in no transaction"
        )


def _drop(connection: sqlite3.Connection, names: OnlineNames) -> bool:
    triggers = fence_triggers(connection, names)
    for trigger in triggers:
        connection.execute(f"DROP TRIGGER {quote(trigger)}")
    return bool(triggers)
