# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Rows that cannot travel and were asked to be set aside: kept whole, counted, and accounted for by name.

They stand in a table of their own in the bookkeeping schema, each value with its storage class and exactly as SQLite
holds it, so that nothing of them is lost and they can be brought in by hand.
"""

from __future__ import annotations

import collections
import hashlib
import itertools
import json
import typing as t

from ._census import whole_filter
from ._finding import NAMED_KEYS, show_key
from ._load_journal import QUARANTINE_TABLE, is_installed
from ._postgres_store import identifier, postgres_errors, relation_exists
from ._psycopg2 import sql
from ._sqlite_store import quote, reading
from ._verdict import Check, compare

if t.TYPE_CHECKING:
    import sqlite3

    from ._planned_table import SetAside, TablePlan
    from ._psycopg2 import Connection

Kept = t.Counter["tuple[t.Any, ...]"]  # the key, the class, the column and the digest of the row


def count(source: sqlite3.Connection, plan: TablePlan, source_id: str) -> list[dict[str, t.Any]]:
    """Return, for the result of a load, what is set aside of a table: class, column, rows and the first keys.

    A row with several faults counts under the first of them.

    Raises:
        SqliteError: The file cannot be read.
    """
    found = []
    for aside, where, values in _picked(plan, source_id):
        with reading(source, f"reading table {plan.source}"):
            counting = f"SELECT count(*) FROM {quote(plan.source)} WHERE {where}"
            (rows,) = source.execute(counting, values).fetchone()
            if not rows:
                continue
            keys = [key for key, _row in rows_as_kept(source, plan, f"{where} LIMIT {NAMED_KEYS}", values)]
        found.append(
            {
                "table": plan.source,
                "column": aside.column,
                "problem": aside.text,
                "problem_class": aside.problem_class,
                "rows": rows,
                "first_keys": keys,
            }
        )
    return found


def keep(source: sqlite3.Connection, connection: Connection, plan: TablePlan, schema_name: str, source_id: str) -> int:
    """Write the rows that are set aside into their table, in the transaction of the load; return how many.

    Raises:
        SqliteError: The file cannot be read.
        PostgresError: The rows cannot be written.
    """
    if not plan.set_aside:
        return 0
    kept = 0
    insert = sql.SQL(
        "INSERT INTO {} (schema_name, table_name, source_id, problem_class, column_name, row_key, row_data)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s)"
    ).format(identifier(QUARANTINE_TABLE))
    with postgres_errors(f"Setting rows of {plan.target} aside"), connection.cursor() as cursor:
        for aside, where, values in _picked(plan, source_id):
            with reading(source, f"reading table {plan.source}"):
                for key, row in rows_as_kept(source, plan, where, values):
                    facts = (schema_name, plan.target, source_id, aside.problem_class, aside.column, key, row)
                    cursor.execute(insert, facts)
                    kept += 1
    return kept


def as_checks(
    source: sqlite3.Connection, connection: Connection, plan: TablePlan, schema_name: str, source_id: str
) -> list[Check]:
    """Return the check that every row which parity leaves out stands in quarantine, and no other does.

    Raises:
        SqliteError: The file cannot be read.
        PostgresError: The quarantine cannot be read.
    """
    ours: Kept = collections.Counter(
        (key, aside.problem_class, aside.column, hashlib.sha256(row.encode()).digest())
        for aside, where, values in _picked(plan, source_id)
        for key, row in rows_as_kept(source, plan, where, values)
    )
    theirs: Kept = collections.Counter()
    if is_installed(connection) and relation_exists(connection, QUARANTINE_TABLE):
        with postgres_errors("Reading the quarantine"), connection.cursor() as cursor:
            cursor.execute(
                sql.SQL(
                    "SELECT row_key, problem_class, column_name, sha256(textsend(row_data)) FROM {}"
                    " WHERE schema_name = %s AND table_name = %s"
                ).format(identifier(QUARANTINE_TABLE)),
                (schema_name, plan.target),
            )
            theirs.update((*facts, bytes(digest)) for *facts, digest in cursor)
    if not ours and not theirs:
        return []
    differing = (ours - theirs) + (theirs - ours)
    named = ", ".join(
        f"{key} ({name} in {column})" for key, name, column, _digest in itertools.islice(ours, NAMED_KEYS)
    )
    check = compare(
        f"rows of {plan.source} in quarantine",
        {"rows": sum(ours.values()), "not the same": 0},
        {"rows": sum(theirs.values()), "not the same": sum(differing.values())},
        ", ".join(key for key, *_facts in itertools.islice(differing.elements(), NAMED_KEYS))
        if differing
        else f"set aside by policy: {named}",
    )
    return [check]


def _picked(plan: TablePlan, source_id: str) -> t.Iterator[tuple[SetAside, str, tuple[str, ...]]]:
    where, values = whole_filter(plan, source_id)
    for aside in plan.set_aside:
        yield aside, f"{where} AND {aside.condition}", values
        where += f" AND NOT {aside.condition}"


def rows_as_kept(
    source: sqlite3.Connection, plan: TablePlan, where: str, values: tuple[str, ...]
) -> t.Iterator[tuple[str, str]]:
    """Yield the key, for an operator, and the whole row, as JSON of storage class and value by column."""
    shown = plan.shown_key
    names = [column.source for column in plan.columns]
    selected = [quote(name) for _label, name in shown]
    for name in names:
        selected += [f"typeof({quote(name)})", quote(name)]
    for row in source.execute(f"SELECT {', '.join(selected)} FROM {quote(plan.source)} WHERE {where}", values):
        facts = row[len(shown) :]
        data = {name: as_kept(facts[2 * place], facts[2 * place + 1]) for place, name in enumerate(names)}
        yield without_nul(show_key([label for label, _name in shown], row)), json.dumps(data)


def as_kept(storage: bytes, value: t.Any) -> dict[str, t.Any]:
    if isinstance(value, bytes):
        text = None if storage == b"blob" or b"\0" in value else _decoded(value)
        return {storage.decode() + " as hex": value.hex()} if text is None else {"text": text}
    return {storage.decode(): repr(value) if isinstance(value, float) else value}


def _decoded(value: bytes) -> str | None:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return None


def without_nul(text: str) -> str:
    return text.replace("\0", "\\0")
