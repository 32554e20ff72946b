# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Keep the quarantine in step with rows that changed: what a policy sets aside now, and what it does no longer."""

from __future__ import annotations

import json
import typing as t

from . import _load_journal, _quarantine, _row_lookup
from ._load_journal import QUARANTINE_TABLE
from ._postgres_store import identifier, postgres_errors
from ._psycopg2 import sql
from ._sqlite_store import reading

if t.TYPE_CHECKING:
    import sqlite3

    from ._change_log import Key
    from ._planned_table import SetAside, TablePlan
    from ._psycopg2 import Connection


def follow(
    source: sqlite3.Connection,
    connection: Connection,
    plan: TablePlan,
    schema_name: str,
    source_id: str,
    keys: t.Sequence[Key],
    aside: t.Mapping[Key, SetAside],
) -> None:
    """Take the rows of these keys out of the quarantine, and put those in that are set aside now. The caller commits.

    Raises:
        SqliteError: The file cannot be read.
        PostgresError: The quarantine cannot be written.
    """
    if not plan.set_aside:
        return
    with postgres_errors(f"Following the quarantine of {plan.target}"):
        if not _load_journal.is_installed(connection):
            _load_journal.install(connection)
        _take_out(connection, plan, schema_name, keys)
        with connection.cursor() as cursor, reading(source, f"reading table {plan.source}"):
            for key in keys:
                if key in aside:
                    where, values = _row_lookup.key_condition(plan.key, key)
                    for shown, data in _quarantine.rows_as_kept(source, plan, where, values):
                        one = aside[key]
                        facts = (schema_name, plan.target, source_id, one.problem_class, one.column, shown, data)
                        cursor.execute(_INSERT, facts)


_INSERT = (
    f"INSERT INTO {QUARANTINE_TABLE} (schema_name, table_name, source_id, problem_class, column_name, row_key,"
    " row_data) VALUES (%s, %s, %s, %s, %s, %s, %s)"
)


def _take_out(connection: Connection, plan: TablePlan, schema_name: str, keys: t.Sequence[Key]) -> None:
    wanted: dict[str, set[str]] = {}
    for key in keys:
        shown = _quarantine.without_nul(_row_lookup.shown(plan, key))
        wanted.setdefault(shown, set()).add(_digest_of(plan, _kept_key(key)))
    with connection.cursor() as cursor:
        cursor.execute(
            sql.SQL(
                "SELECT ctid::text, row_key, row_data FROM {} WHERE schema_name = {} AND table_name = {}"
                " AND row_key = ANY ({}::text[])"
            ).format(
                identifier(QUARANTINE_TABLE), sql.Literal(schema_name), sql.Literal(plan.target), sql.Literal([*wanted])
            )
        )
        # A long key is cut off where it is shown, so what is meant is told by the values that are kept.
        found = []
        for place, shown, data in cursor.fetchall():
            held = json.loads(data)
            if _digest_of(plan, [held[name] for name in plan.key]) in wanted[shown]:
                found.append(place)
        if found:
            cursor.execute(
                sql.SQL("DELETE FROM {} WHERE ctid = ANY ({}::tid[])").format(
                    identifier(QUARANTINE_TABLE), sql.Literal(found)
                )
            )


def _kept_key(key: Key) -> list[t.Any]:
    kept = []
    for value in key:
        if isinstance(value, str):
            kept.append(_quarantine.as_kept(b"text", value.encode("utf-8", "surrogateescape")))
        else:
            kept.append(_quarantine.as_kept(_storage(value), value))
    return kept


def _storage(value: t.Any) -> bytes:
    if value is None:
        return b"null"
    if isinstance(value, bytes):
        return b"blob"
    return b"integer" if isinstance(value, int) else b"real"


def _digest_of(plan: TablePlan, parts: t.Sequence[t.Any]) -> str:
    return json.dumps(dict(zip(plan.key, parts)), sort_keys=True)
