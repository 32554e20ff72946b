# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Both stores of one profile, opened together and paired: what L(_bulk_load) and L(_parity) work on."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import typing as t

from . import _parked_objects, _postgres_store, _sqlite_store, _value_kinds
from ._errors import PostgresError, SqliteError
from ._policies import check_policies
from ._profile import Profile, profile_of
from ._table_plan import Plan, make_plan
from ._translated_schema import planned_tables

if t.TYPE_CHECKING:
    import sqlite3

    from ._psycopg2 import Connection


@dataclasses.dataclass(frozen=True)
class Stores:
    """The opened stores: one read transaction on the SQLite side, one session on the PostgreSQL side."""

    profile: Profile
    source: sqlite3.Connection
    connection: Connection
    catalog: _sqlite_store.Catalog
    targets: dict[str, _postgres_store.Table]
    plan: Plan
    planned_only: bool

    @property
    def sqlite_path(self) -> str:
        """The SQLite file that is open."""
        return os.fsdecode(self.source.execute("PRAGMA database_list").fetchone()[2])


@contextlib.contextmanager
def open_stores(params: t.Mapping[str, t.Any], *, plan_only: bool = False) -> t.Iterator[Stores]:
    """Open and pair the stores that the module options name.

    Args:
        params: Options as in L(_options.postgres_options), L(_options.profile_options) and
            L(_options.tenant_data_options).
        plan_only: When the tenant schema does not exist yet, plan against what SQLite's declared types would
            become, instead of failing; C(planned_only) of the result says so.

    Raises:
        CutoverError: A store cannot be opened, or the tenant schema does not exist.
    """
    profile = profile_of(params["source_id"], params["schema_prefix"], params["schema_name"])
    policies = check_policies(params.get("policies"))
    with contextlib.ExitStack() as stack:
        source = stack.enter_context(contextlib.closing(_sqlite_store.open_readonly(params["sqlite_path"])))
        _refuse_utf16(source, params["sqlite_path"])
        catalog = _sqlite_store.read_catalog(source)
        connection = stack.enter_context(contextlib.closing(_postgres_store.connect(params)))
        _refuse_encoding(connection)
        with _postgres_store.postgres_errors(f"Reading schema {profile.schema_name}"):
            targets = _parked_objects.complete(
                _postgres_store.read_tables(connection, profile.schema_name),
                _parked_objects.read(connection, profile.schema_name),
            )
            connection.rollback()
        planned_only = not targets and plan_only
        if planned_only:
            targets = planned_tables(source, connection, catalog, tenant_tables(catalog, params))
        elif not targets:
            raise PostgresError(
                f"Schema {profile.schema_name} of source_id {profile.source_id!r} does not exist, or has no tables",
                remedy="Bootstrap the profile first (module tenant_schema, or the application's own bootstrap).",
            )
        plan = make_plan(
            catalog,
            targets,
            tenant_column=params["tenant_column"] or None,
            shared_tables=[table["name"] for table in params["shared_tables"]],
            exclude_tables=params["exclude_tables"],
            schema_name="" if planned_only else profile.schema_name,
            policies=policies,
        )
        if params.get("csv_files"):  # where the rowid is the line of the file, see _csv_snapshot
            tables = tuple(dataclasses.replace(table, row_label="line") for table in plan.tables)
            plan = dataclasses.replace(plan, tables=tables)
        _value_kinds.prepare(source)
        source.execute("BEGIN")
        yield Stores(profile, source, connection, catalog, targets, plan, planned_only)


def _refuse_utf16(source: sqlite3.Connection, path: str) -> None:
    (encoding,) = source.execute("PRAGMA encoding").fetchone()
    if encoding != "UTF-8":
        raise SqliteError(
            f"SQLite file {path} is encoded in {encoding}",
            "its rows are compared by their UTF-8 bytes",
            "Rewrite a copy of it as UTF-8 (sqlite3 old.db .dump into a new file), and load that.",
        )


def _refuse_encoding(connection: Connection) -> None:
    encoding = connection.get_parameter_status("server_encoding")
    if encoding != "UTF8":
        raise PostgresError(
            f"The database is encoded in {encoding}",
            "only UTF8 can hold every text of a SQLite file",
            "Create the target database with ENCODING 'UTF8'.",
        )


def tenant_tables(catalog: _sqlite_store.Catalog, params: t.Mapping[str, t.Any]) -> list[str]:
    """Return the names of the tables that belong into a tenant schema, by the options C(shared_tables) and so on."""
    left_behind = {*(table["name"] for table in params["shared_tables"]), *params["exclude_tables"]}
    return [table.name for table in catalog.tables if table.kind == "table" and table.name not in left_behind]
