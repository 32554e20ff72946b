# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""How many rows of each table are a profile's, in the store that is live."""

from __future__ import annotations

import contextlib
import typing as t

from . import _postgres_store, _sqlite_store
from ._psycopg2 import sql
from ._sqlite_store import quote, reading
from ._tenant_stores import tenant_tables

if t.TYPE_CHECKING:
    from ._psycopg2 import Connection

Counts = list[dict[str, t.Any]]


def rows_in_sqlite(params: t.Mapping[str, t.Any]) -> Counts:
    """Return C({'table', 'rows'}) of every table of the profile, at one instant.

    Args:
        params: C(sqlite_path), C(source_id) and the others of L(_options.tenant_data_options).

    Raises:
        SqliteError: The file cannot be read.
    """
    with contextlib.closing(_sqlite_store.open_readonly(params["sqlite_path"])) as source:
        catalog = _sqlite_store.read_catalog(source)
        columns = {table.name: table.column_names for table in catalog.tables}
        tenant = params["tenant_column"] or None
        counts = []
        with reading(source, "counting its rows"):
            source.execute("BEGIN")
            for name in sorted(tenant_tables(catalog, params)):
                if tenant and tenant not in columns[name]:
                    continue  # of nobody in particular; the plan refuses it by name
                where, values = (f" WHERE {quote(tenant)} = ?", (params["source_id"],)) if tenant else ("", ())
                (rows,) = source.execute(f"SELECT count(*) FROM {quote(name)}{where}", values).fetchone()
                counts.append({"table": name, "rows": rows})
    return counts


def rows_in_postgres(connection: Connection, schema_name: str) -> Counts:
    """Return the same of every table of the tenant schema.

    Raises:
        PostgresError: The schema cannot be read.
    """
    counts = []
    with _postgres_store.postgres_errors(f"Counting the rows of schema {schema_name}"), connection.cursor() as cursor:
        cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        for name in sorted(_postgres_store.read_tables(connection, schema_name)):
            cursor.execute(sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(schema_name, name)))
            counts.append({"table": name, "rows": int((cursor.fetchone() or (0,))[0])})
        connection.rollback()
    return counts
