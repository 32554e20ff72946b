# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""What a translation of a SQLite file needs of the two stores: its types from the one, its names from the other."""

from __future__ import annotations

import dataclasses
import typing as t

from ._errors import PostgresError, SchemaRefused
from ._schema_translation import Target, expected_tables, translate
from ._translated_types import read_observed

if t.TYPE_CHECKING:
    import sqlite3

    from ._postgres_store import Table
    from ._psycopg2 import Connection
    from ._sqlite_store import Catalog
    from ._translated_table import Statement
    from ._translated_types import Observed


@dataclasses.dataclass(frozen=True)
class Source:
    """What is to be translated.

    Attributes:
        catalog: What the SQLite file declares.
        names: The tables to translate.
        observed: What the columns hold whose declarations promise no type.
        excluded: Views and triggers of the file to leave behind.
        nocase: What becomes of the collation NOCASE: C(lower_index), C(icu) or C(refuse).
    """

    catalog: Catalog
    names: t.Collection[str]
    observed: Observed
    excluded: t.Collection[str] = ()
    nocase: str = "lower_index"


def translated_statements(
    connection: Connection, schema_name: str, source: Source, existing: t.Mapping[str, Table]
) -> tuple[tuple[Statement, ...], tuple[str, ...]]:
    """Return the statements that create the missing tables, and the notes about them.

    Raises:
        SchemaRefused: Something cannot be translated.
        PostgresError: NOCASE is to become a collation that this server does not know.
    """
    if source.nocase == "icu":
        _refuse_without_icu(connection)
    translation = translate(
        source.catalog,
        [name for name in source.names if name not in existing],
        Target(schema_name, connection.server_version, source.nocase),
        observed=source.observed,
        existing=existing,
        taken=_relation_names(connection, schema_name),
        excluded=source.excluded,
    )
    if translation.refusals:
        raise SchemaRefused(
            "The tables cannot be translated",
            "; ".join(translation.refusals),
            "Nothing was created. Let the application bring its own tables (bootstrap: api or command), or "
            "name the tables, views or triggers under exclude_tables of the profile.",
            refusals=list(translation.refusals),
        )
    return translation.statements, translation.notes


def _refuse_without_icu(connection: Connection) -> None:
    with connection.cursor() as cursor:
        # A server without ICU lists none of its languages, only the entry "unicode" that every server has.
        cursor.execute("SELECT EXISTS (SELECT FROM pg_collation WHERE collprovider = 'i' AND collname LIKE 'und-%')")
        row = cursor.fetchone()
    if not (row and row[0]):
        raise PostgresError(
            "NOCASE cannot become an ICU collation",
            "this PostgreSQL was built without ICU, or has none of its collations",
            "Nothing was created. Set nocase to lower_index or refuse, or use a server with ICU.",
        )


def _relation_names(connection: Connection, schema_name: str) -> set[str]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = %s",
            (schema_name,),
        )
        return {name for (name,) in cursor.fetchall()}


def planned_tables(
    source: sqlite3.Connection, connection: Connection, catalog: Catalog, names: t.Collection[str]
) -> dict[str, Table]:
    """Return the tables that a translation would create, for the plan of a schema that does not exist yet.

    What cannot be translated does not stand in the way of it: the application may bring its own tables.

    Raises:
        SqliteError: The file cannot be read.
    """
    target = Target("", connection.server_version)
    return expected_tables(translate(catalog, names, target, observed=read_observed(source, catalog, names)))
