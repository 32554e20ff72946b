# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Name the row that stands in the way of a replay: by table, key and column, whoever noticed it."""

from __future__ import annotations

import typing as t

from . import _row_lookup
from ._errors import PostgresError, ReplayError
from ._postgres_store import postgres_errors
from ._psycopg2 import psycopg2
from ._row_codec import parse_row, sqlite_row
from ._sqlite_store import quote, reading
from ._value_kind import problems_of

if t.TYPE_CHECKING:
    import sqlite3

    from ._change_log import Key
    from ._planned_table import TablePlan
    from ._psycopg2 import Connection
    from ._staged_rows import StagedTable

_REMEDY = "Nothing of this step was acknowledged. Correct the row in the application, then run the same command again."
_ORPHAN = "23503"


def refuse_values(source: sqlite3.Connection, plan: TablePlan, source_id: str, keys: t.Iterable[Key]) -> None:
    """Look for the values of these rows that PostgreSQL does not take as they are.

    Raises:
        ReplayError: There is one; it names the first.
        SqliteError: The file cannot be read.
    """
    problems = [
        (column, problem, problem.condition.replace("{x}", quote(column.source)))
        for column in plan.columns
        for problem in problems_of(column.kind, column.target_type, column.not_null)
    ]
    if not problems:
        return
    whens = " ".join(f"WHEN {condition} THEN {place}" for place, (_c, _p, condition) in enumerate(problems))
    own, own_values = _row_lookup.own_row(plan, source_id)
    travels = "".join(f" AND NOT {aside.condition}" for aside in plan.set_aside)
    with reading(source, f"looking at changed rows of table {plan.source}"):
        for key in keys:
            where, values = _row_lookup.key_condition(plan.key, key)
            statement = f"SELECT CASE {whens} END FROM {quote(plan.source)} WHERE {where} AND {own}{travels}"
            row = source.execute(statement, (*values, *own_values)).fetchone()
            if row is not None and row[0] is not None:
                column, problem, _condition = problems[row[0]]
                raise refusal(plan, key, problem.text, column.source, problem_class=problem.problem_class)


def refuse_wrong(source: sqlite3.Connection, connection: Connection, staged: StagedTable, source_id: str) -> None:
    """Compare every staged row with what PostgreSQL made of it.

    Raises:
        ReplayError: One of them is not the same; it names the first, and the columns.
    """
    if not staged.keys:
        return
    plan = staged.compared
    with postgres_errors(f"Verifying replayed rows of {plan.target}"), connection.cursor() as cursor:
        wrong = staged.wrong(cursor, 0, len(staged.keys))
    if not wrong:
        return
    refuse_values(source, staged.plan, source_id, [key for key, _row in wrong])
    key, theirs = wrong[0]
    where, values = _row_lookup.key_condition(plan.key, key)
    statement = f"SELECT {sqlite_row(plan.source_codec)} FROM {quote(plan.source)} WHERE {where}"
    with reading(source, f"verifying a row of table {plan.source}"):
        (ours,) = source.execute(statement, values).fetchone()
    if theirs is None:
        raise refusal(plan, key, "it was written to PostgreSQL and is not there: a trigger or a rule withholds it")
    pairs = zip(plan.columns, parse_row(ours), parse_row(theirs))
    columns = ", ".join(column.source for column, mine, other in pairs if mine != other)
    raise refusal(
        plan, key, f"PostgreSQL holds another value than SQLite in column(s) {columns} after it was written", columns
    )


def refuse_unchecked(connection: Connection) -> None:
    """Let PostgreSQL check what it was told to put off.

    Raises:
        ReplayError: A constraint does not hold; PostgreSQL names the values.
        PostgresError: The session is gone.
    """
    try:
        with postgres_errors("Checking the constraints of replayed rows"), connection.cursor() as cursor:
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
    except PostgresError as error:
        if not isinstance(error.__cause__, psycopg2.IntegrityError):
            raise
        raise ReplayError(
            f"Changed rows of table {error.facts.get('table')} cannot be replayed into PostgreSQL",
            error.why,
            _REMEDY,
            **error.facts,
        ) from error


def refusal(plan: TablePlan, key: Key, why: str, column: str = "", **facts: t.Any) -> ReplayError:
    """Return the error of a row of SQLite that does not become the same in PostgreSQL."""
    shown = _row_lookup.shown(plan, key)
    where = f"{plan.source}.{column}" if column else f"table {plan.source}"
    return ReplayError(
        f"Row {shown} of {where} cannot be replayed into PostgreSQL",
        why,
        _REMEDY,
        table=plan.source,
        key=shown,
        column=column,
        **facts,
    )


Staged = list["tuple[StagedTable, list[Key]]"]


def culprit(
    connection: Connection, staged: Staged, write: t.Callable[[Staged], t.Any], error: BaseException
) -> ReplayError:
    """Return the error of the row that PostgreSQL refused among many, found by writing fewer and fewer of them.

    Args:
        connection: PostgreSQL, rolled back to where none of them is written.
        staged: The tables and their keys.
        write: Writes some of them; raises psycopg2.Error.
        error: What PostgreSQL said of all of them.
    """
    if getattr(error, "pgcode", None) == _ORPHAN:
        found = _orphan(connection, staged, error)
        if found is not None:
            return found
    pairs = [(table, key) for table, keys in staged for key in keys]
    while len(pairs) > 1:
        first, second = pairs[: len(pairs) // 2], pairs[len(pairs) // 2 :]
        pairs = first if _fails(connection, _grouped(first), write) else second
    last = _fails(connection, _grouped(pairs), write) if pairs else None
    said = " ".join(str(last or error).split())
    if last is None:
        tables = ", ".join(table.plan.source for table, _keys in staged)
        return ReplayError(f"Changed rows of {tables} cannot be replayed into PostgreSQL", said, _REMEDY)
    ((table, key),) = pairs
    return refusal(table.plan, key, said, _column(table, last), sqlstate=getattr(last, "pgcode", None))


def _grouped(pairs: t.Sequence[tuple[StagedTable, Key]]) -> Staged:
    found: dict[int, tuple[StagedTable, list[Key]]] = {}
    for table, key in pairs:
        found.setdefault(id(table), (table, []))[1].append(key)
    return list(found.values())


def _fails(connection: Connection, part: Staged, write: t.Callable[[Staged], t.Any]) -> BaseException | None:
    """Write a part on top of what is there; undo it where it fails, and return why."""
    before = [(table, len(table.keys), len(table.rows.gone)) for table, _keys in part]
    with connection.cursor() as cursor:
        cursor.execute("SAVEPOINT sxops_part")
        try:
            write(part)
        except psycopg2.Error as error:
            cursor.execute("ROLLBACK TO SAVEPOINT sxops_part")
            for table, keys, gone in before:
                table.forget(keys, gone)
            return error
        cursor.execute("RELEASE SAVEPOINT sxops_part")
    return None


def _column(table: StagedTable, error: BaseException) -> str:
    """Return the column that PostgreSQL named, by its name in SQLite."""
    named = getattr(getattr(error, "diag", None), "column_name", None)
    return next((column.source for column in table.plan.columns if column.target == named), "")


def _orphan(connection: Connection, staged: Staged, error: BaseException) -> ReplayError | None:
    """Return the error of the first row whose parent is not there."""
    said = " ".join(str(error).split())
    with postgres_errors("Looking for rows without a parent"), connection.cursor() as cursor:
        ranges = {table.plan.target: (table, *table.fill(keys)) for table, keys in staged}
        for table, first, last in ranges.values():
            for reference in table.plan.references:
                beside = ranges.get(reference.parent_target)
                cursor.execute(table.orphans(reference, first, last, beside[0] if beside else None))
                row = cursor.fetchone()
                if row is not None:
                    columns = ", ".join(reference.columns)
                    why = f"its parent in {reference.parent} is not there, or does not travel ({said})"
                    return refusal(table.plan, table.keys[row[0]], why, columns, sqlstate=_ORPHAN)
        for table, first, _last in ranges.values():
            table.forget(first, len(table.rows.gone))
    return None
