# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""The further checks of a parity run: what the seeds ask for beside equal rows (seed 002 §1 step E and §5).

Counts, unique keys, orphans, sequences, ordered slices, samples, and rows of another profile. The row comparison
of L(_parity) covers most of it; these look at the same data in other ways, so that a fault of ours shows too.
"""

from __future__ import annotations

import itertools
import typing as t

from ._census import tenant_filter
from ._finding import NAMED_KEYS, show_key
from ._parity_sequences import check_sequences
from ._postgres_store import postgres_errors
from ._psycopg2 import sql
from ._row_codec import postgres_row, sqlite_csv_field, sqlite_row
from ._sqlite_store import quote, reading
from ._verdict import FAILED, PASSED, Check, compare

if t.TYPE_CHECKING:
    import sqlite3

    from ._planned_table import ColumnPlan, TablePlan
    from ._postgres_store import Column
    from ._psycopg2 import Connection

_SLICE_ROWS = 10
_SAMPLES = 10


def check_table(
    source: sqlite3.Connection,
    connection: Connection,
    plan: TablePlan,
    schema_name: str,
    source_id: str,
    columns: t.Sequence[Column] = (),
) -> list[Check]:
    """Return the further checks of one table.

    Args:
        source: The SQLite side, prepared by L(_value_kinds.prepare).
        connection: The PostgreSQL side.
        plan: The table's plan.
        schema_name: The tenant schema.
        source_id: The profile.
        columns: The target's columns, for their sequences.

    Raises:
        SqliteError: The SQLite side cannot be read.
        PostgresError: The PostgreSQL side cannot be read.
    """
    checks = check_integrity(source, connection, plan, schema_name, source_id, columns)
    if plan.key:
        if all(plan.columns[place].kind.same_order for place in plan.key_places):
            checks += _slices(source, connection, plan, schema_name, source_id)
        checks.append(_samples(source, connection, plan, schema_name, source_id))
    return checks


def check_integrity(
    source: sqlite3.Connection,
    connection: Connection,
    plan: TablePlan,
    schema_name: str,
    source_id: str,
    columns: t.Sequence[Column] = (),
) -> list[Check]:
    """Return those of them that hold whatever the application writes, the arguments being the same.

    Raises:
        SqliteError: The SQLite side cannot be read.
        PostgresError: The PostgreSQL side cannot be read.
    """
    return [
        *_foreign_rows(connection, plan, schema_name, source_id),
        *_uniques(connection, plan, schema_name),
        *_orphans(connection, plan, schema_name),
        *check_sequences(source, connection, plan, schema_name, columns),
    ]


# Values stand in the statements as literals: an identifier may hold a "%", which psycopg2 takes for a placeholder.
def _scalar(connection: Connection, statement: sql.Composable) -> t.Any:
    with postgres_errors("Checking the tenant schema"), connection.cursor() as cursor:
        cursor.execute(statement)
        row = cursor.fetchone()
        return row[0] if row else None


def _targets(plan: TablePlan, names: t.Iterable[str]) -> list[str]:
    to_target = {column.source: column.target for column in plan.columns}
    return [to_target[name] for name in names]


def _foreign_rows(connection: Connection, plan: TablePlan, schema_name: str, source_id: str) -> list[Check]:
    if plan.tenant_column is None:
        return []
    (column,) = _targets(plan, [plan.tenant_column])
    statement = sql.SQL("SELECT count(*) FROM {} WHERE {} IS DISTINCT FROM {}").format(
        sql.Identifier(schema_name, plan.target), sql.Identifier(column), sql.Literal(source_id)
    )
    strangers = _scalar(connection, statement)
    return [compare(f"rows of other profiles in {plan.source}", 0, strangers)]


def _uniques(connection: Connection, plan: TablePlan, schema_name: str) -> list[Check]:
    # An index marked valid can still hold duplicates (a changed collation, a repaired disk): count them.
    checks = []
    for unique in plan.uniques:
        names = sql.SQL(", ").join([sql.Identifier(name) for name in _targets(plan, unique)])
        present = sql.SQL(" AND ").join(
            [sql.SQL("{} IS NOT NULL").format(sql.Identifier(name)) for name in _targets(plan, unique)]
        )
        statement = sql.SQL(
            "SELECT count(*) FROM (SELECT 1 FROM {table} WHERE {present} GROUP BY {names} HAVING count(*) > 1) AS d"
        ).format(table=sql.Identifier(schema_name, plan.target), present=present, names=names)
        checks.append(
            compare(f"duplicates of ({', '.join(unique)}) in {plan.source}", 0, _scalar(connection, statement))
        )
    return checks


def _orphans(connection: Connection, plan: TablePlan, schema_name: str) -> list[Check]:
    checks = []
    for reference in plan.references:
        ours = _targets(plan, reference.columns)
        join = sql.SQL(" AND ").join(
            [
                sql.SQL("parent.{} = child.{}").format(sql.Identifier(theirs), sql.Identifier(mine))
                for mine, theirs in zip(ours, reference.parent_target_columns)
            ]
        )
        present = sql.SQL(" AND ").join([sql.SQL("child.{} IS NOT NULL").format(sql.Identifier(name)) for name in ours])
        statement = sql.SQL(
            "SELECT count(*) FROM {child} AS child WHERE {present}"
            " AND NOT EXISTS (SELECT 1 FROM {parent} AS parent WHERE {join})"
        ).format(
            child=sql.Identifier(schema_name, plan.target),
            parent=sql.Identifier(schema_name, reference.parent_target),
            present=present,
            join=join,
        )
        checks.append(
            compare(
                f"rows of {plan.source} without a parent in {reference.parent}",
                0,
                _scalar(connection, statement),
            )
        )
    return checks


def _slices(
    source: sqlite3.Connection, connection: Connection, plan: TablePlan, schema_name: str, source_id: str
) -> list[Check]:
    checks = []
    where, values = tenant_filter(plan, source_id)
    texts = {column.source for column in plan.columns if column.kind.is_text}
    # NULL sorts first in SQLite and last in PostgreSQL, so a row with NULL in its key takes no part.
    where += "".join(f" AND {quote(name)} IS NOT NULL" for name in plan.key)
    keyed = sql.SQL(" AND ").join(
        [sql.SQL("{} IS NOT NULL").format(sql.Identifier(name)) for name in _targets(plan, plan.key)]
    )
    for end, direction in (("first", "ASC"), ("last", "DESC")):
        # Text in byte order on both sides: BINARY in SQLite is COLLATE "C" in PostgreSQL.
        order = ", ".join(
            quote(name) + (" COLLATE BINARY" if name in texts else "") + f" {direction}" for name in plan.key
        )
        with reading(source, f"reading table {plan.source}"):
            ours = source.execute(
                f"SELECT {sqlite_row(plan.source_codec)} FROM {quote(plan.source)} WHERE {where}"
                f" ORDER BY {order} LIMIT {_SLICE_ROWS}",
                values,
            ).fetchall()
        their_order = sql.SQL(", ").join(
            [
                sql.SQL("{} {} {}").format(
                    sql.Identifier(target),
                    sql.SQL('COLLATE "C"' if name in texts else ""),
                    sql.SQL(direction),
                )
                for name, target in zip(plan.key, _targets(plan, plan.key))
            ]
        )
        statement = sql.SQL("SELECT textsend({}) FROM {} WHERE {} ORDER BY {} LIMIT {}").format(
            postgres_row(plan.target_codec),
            sql.Identifier(schema_name, plan.target),
            keyed,
            their_order,
            sql.Literal(_SLICE_ROWS),
        )
        with postgres_errors(f"Reading table {plan.target}"), connection.cursor() as cursor:
            cursor.execute(statement)
            theirs = [bytes(row[0]) for row in cursor.fetchall()]
        same = [row for (row,) in ours] == theirs
        checks.append(
            Check(
                f"{end} {_SLICE_ROWS} rows of {plan.source} by key",
                PASSED if same else FAILED,
                f"the same {len(ours)} row(s) in the same order",
                "the same" if same else f"{len(theirs)} row(s) that differ or stand elsewhere",
            )
        )
    return checks


def _samples(
    source: sqlite3.Connection, connection: Connection, plan: TablePlan, schema_name: str, source_id: str
) -> Check:
    columns = [plan.columns[place] for place in plan.key_places]
    found = _sampled(source, plan, source_id, columns)
    statement = sql.SQL("SELECT textsend({}) FROM {} WHERE {}")
    wrong = []
    for row, fields in found:
        match = sql.SQL(" AND ").join([_equals(column, field) for column, field in zip(columns, fields)])
        query = statement.format(postgres_row(plan.target_codec), sql.Identifier(schema_name, plan.target), match)
        with postgres_errors(f"Reading table {plan.target}"), connection.cursor() as cursor:
            cursor.execute(query)
            theirs = [bytes(text) for (text,) in cursor.fetchall()]
        if row not in theirs:
            wrong.append(show_key(plan.key, fields))
    return compare(
        f"{len(found)} sampled rows of {plan.source}",
        0,
        len(wrong),
        ", ".join(wrong[:NAMED_KEYS]) if wrong else "",
    )


def _sampled(
    source: sqlite3.Connection, plan: TablePlan, source_id: str, columns: t.Sequence[ColumnPlan]
) -> list[tuple[bytes, tuple[bytes | None, ...]]]:
    """Return evenly spread rows in the order of their keys: the canonical row, and the key as it travels.

    One walk along the keys finds them: an OFFSET for each would be a walk of its own.
    """
    where, values = tenant_filter(plan, source_id)
    table = quote(plan.source)
    key = ", ".join(quote(name) for name in plan.key)
    travels = ", ".join(sqlite_csv_field(column.source, column.kind) for column in columns)
    found = []
    with reading(source, f"sampling table {plan.source}"):
        (rows,) = source.execute(f"SELECT count(*) FROM {table} WHERE {where}", values).fetchone()
        step = max(rows // _SAMPLES, 1)
        walk = source.execute(f"SELECT {plan.row_name or key} FROM {table} WHERE {where} ORDER BY {key}", values)
        picked = list(itertools.islice(walk, step // 2, None, step))
        for place in picked:
            if plan.row_name:
                match, given = f"{plan.row_name} = ?", place
            else:
                # What the connection returns as octets is text unless the column holds blobs.
                match = " AND ".join(f"CAST({quote(name)} AS BLOB) IS CAST(? AS BLOB)" for name in plan.key)
                given = place
            row, *fields = source.execute(
                f"SELECT {sqlite_row(plan.source_codec)}, {travels} FROM {table} WHERE {match}", given
            ).fetchone()
            found.append((row, tuple(fields)))
    return found


def _equals(column: ColumnPlan, field: bytes | None) -> sql.Composable:
    """Return the condition that a column of PostgreSQL holds what travelled into it, read as the column's own type."""
    name = sql.Identifier(column.target)
    if field is None:
        return sql.SQL("{} IS NULL").format(name)
    return sql.SQL("{} = CAST({} AS {})").format(name, sql.Literal(field.decode()), sql.SQL(column.target_type))
