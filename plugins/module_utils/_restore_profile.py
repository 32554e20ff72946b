# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Put a profile's rows of a verified snapshot in place of those in the live SQLite file; other profiles stay."""

from __future__ import annotations

import contextlib
import os
import pathlib
import typing as t
import urllib.parse

from . import _fence_sqlite
from ._errors import CutoverError
from ._sqlite_store import quote, reading, sqlite_errors

if t.TYPE_CHECKING:
    from ._sqlite_store import Table
    from ._switch_stores import SwitchStores

_SNAPSHOT = "sxops_snapshot"


@contextlib.contextmanager
def rows_of(stores: SwitchStores, path: str) -> t.Iterator[t.Callable[[SwitchStores], int]]:
    """Attach a snapshot, and give what puts the profile's rows of it in place, inside a transaction.

    Raises:
        SqliteError: It cannot be attached.
    """
    uri = f"file://{urllib.parse.quote(os.fsencode(pathlib.Path(path).absolute()))}?mode=ro"
    with sqlite_errors(path, "attaching it"):
        stores.target.execute(f"ATTACH ? AS {quote(_SNAPSHOT)}", (uri,))
    try:
        yield _put_in_place
    finally:
        stores.release_sqlite()
        with sqlite_errors(path, "detaching it"):
            stores.target.execute(f"DETACH {quote(_SNAPSHOT)}")


def _put_in_place(stores: SwitchStores) -> int:
    """Return how many rows the profile has now."""
    tables = {table.name: table for table in stores.catalog().tables}
    rows = 0
    with (
        reading(stores.target, f"putting the snapshot's rows of {stores.source_id} in place"),
        _fence_sqlite.passing(stores.target, stores.names),
    ):
        for name in stores.tables:
            rows += _replace(stores, tables[name])
    return rows


def _replace(stores: SwitchStores, table: Table) -> int:
    names = [column.name for column in table.columns if not column.generated]
    known = {row[1] for row in stores.target.execute(f"PRAGMA {quote(_SNAPSHOT)}.table_info({quote(table.name)})")}
    found = {name.decode() if isinstance(name, bytes) else name for name in known}
    if not found >= set(names):
        missing = sorted(set(names) - found)
        raise CutoverError(
            f"The snapshot's rows of {table.name} cannot be put in place",
            f"the snapshot has no column {', '.join(missing)} there: the table was changed since",
            "Nothing was changed.",
        )
    where = "1"
    values: tuple[str, ...] = ()
    if stores.tenant_column:
        where, values = f"{quote(stores.tenant_column)} = ?", (stores.source_id,)
    columns = ", ".join(map(quote, names))
    stores.target.execute(f"DELETE FROM main.{quote(table.name)} WHERE {where}", values)
    done = stores.target.execute(
        f"INSERT INTO main.{quote(table.name)} ({columns}) SELECT {columns} FROM {quote(_SNAPSHOT)}.{quote(table.name)}"
        f" WHERE {where}",
        values,
    )
    return done.rowcount
