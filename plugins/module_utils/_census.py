# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Find, before anything is loaded, every value that the target would refuse or could not hold exactly.

SQLite keeps any value in any column, so the declared types promise nothing: one pass per table looks at the
real ones (hazards S01, S09, S12, S20, S40, S42).
"""

from __future__ import annotations

import dataclasses
import typing as t

from ._balanced import balanced
from ._census_relations import duplicates, orphans
from ._census_rows import hidden_rows, large_rows
from ._errors import DataRefused
from ._finding import Finding, first_keys
from ._glance import glance
from ._range import Range
from ._sqlite_store import quote, reading
from ._value_kind import problems_of

if t.TYPE_CHECKING:
    import sqlite3

    from ._glance import Glance
    from ._planned_table import ColumnPlan, TablePlan
    from ._value_kind import Problem

_CONDITIONS_AT_ONCE = 1000  # SQLite returns at most 2000 columns


class Census(t.NamedTuple):
    """The rows, what is wrong with them, whether no text holds a mark of the codec's, and the width of the widest."""

    rows: int
    findings: list[Finding]
    marked: bool
    widest_row: int = 0
    joinable: bool = False


def take_census(connection: sqlite3.Connection, plan: TablePlan, source_id: str, seen: Glance | None = None) -> Census:
    """Return the number of the profile's rows and everything in them that the target could not hold.

    Args:
        connection: A connection prepared by L(_value_kinds.prepare), inside a read transaction.
        plan: The table's plan.
        source_id: The profile, where the plan has a tenant column.
        seen: What a glance at all of these rows has seen; None to look now.

    Raises:
        SqliteError: The file cannot be read.
    """
    where, values = tenant_filter(plan, source_id)
    findings: list[Finding] = []
    with reading(connection, f"census of table {plan.source}"):
        seen = seen or glance(connection, plan, Range(where, values))
        # Clean data, the usual case, is only glanced at; other data is looked at column by column.
        problems = [
            (column, problem)
            for column in (plan.columns if seen.suspicious else [])
            for problem in (*_problems(column, True), *_problems(column, False))
        ]
        for start in range(0, len(problems), _CONDITIONS_AT_ONCE):
            some = problems[start : start + _CONDITIONS_AT_ONCE]
            counts = ", ".join(f"ifnull(sum({problem.condition}), 0)" for _column, problem in some)
            found = connection.execute(f"SELECT {counts} FROM {quote(plan.source)} WHERE {where}", values).fetchone()
            for (column, problem), number in zip(some, found):
                if number:
                    keys = first_keys(connection, plan, f"({where}) AND {problem.condition}", values)
                    findings.append(
                        Finding(plan.source, column.source, problem.text, number, keys, problem.problem_class)
                    )
        findings += hidden_rows(connection, plan, source_id)
        findings += large_rows(connection, plan, where, values, seen.widest_row)
        findings += duplicates(connection, plan, where, values)
        findings += orphans(connection, plan, where, values)
    return Census(seen.rows, findings, seen.marked, seen.widest_row, seen.joinable)


def tenant_filter(plan: TablePlan, source_id: str) -> tuple[str, tuple[str, ...]]:
    """Return the WHERE condition, and its values, that keeps a statement to those of a profile's rows that travel."""
    where, values = whole_filter(plan, source_id)
    if plan.set_aside:
        where += f" AND NOT {balanced(' OR ', [aside.condition for aside in plan.set_aside])}"
    return where, values


def whole_filter(plan: TablePlan, source_id: str) -> tuple[str, tuple[str, ...]]:
    """Return the same for all of a profile's rows, those that are set aside included."""
    if plan.tenant_column is None:
        return "1", ()
    return f"{quote(plan.tenant_column)} = ?", (source_id,)


def refuse(findings: t.Sequence[Finding]) -> None:
    """Raise L(DataRefused) naming every finding, if there are any."""
    if findings:
        raise DataRefused(
            "The data cannot be loaded exactly",
            "; ".join(str(finding) for finding in findings),
            "Nothing was loaded. Correct these rows in the application, then run the same command again.",
            findings=[dataclasses.asdict(finding) for finding in findings],
        )


def _problems(column: ColumnPlan, glanced: bool) -> list[Problem]:
    found = problems_of(column.kind, column.target_type, column.not_null)
    x = quote(column.source)
    return [
        dataclasses.replace(problem, condition=problem.condition.replace("{x}", x))
        for problem in found
        if problem.glanced is glanced
    ]
