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

from ._census_relations import duplicates, orphans
from ._errors import DataRefused
from ._finding import Finding, first_keys
from ._sqlite_store import quote, reading
from ._value_kind import problems_of, suspicions_of

if t.TYPE_CHECKING:
    import sqlite3

    from ._planned_table import ColumnPlan, TablePlan
    from ._value_kind import Problem

_CONDITIONS_AT_ONCE = 1000  # SQLite returns at most 2000 columns
_TEXTS_AT_ONCE = 100  # a function of SQLite takes at most 127 arguments
_FAULTY = 2


class Census(t.NamedTuple):
    """The rows, what is wrong with them, and whether no text holds a mark of L(_row_codec.sqlite_csv_row)."""

    rows: int
    findings: list[Finding]
    marked: bool
    widest_row: int = 0


def take_census(connection: sqlite3.Connection, plan: TablePlan, source_id: str) -> Census:
    """Return the number of the profile's rows and everything in them that the target could not hold.

    Args:
        connection: A connection prepared by L(_value_kinds.prepare), inside a read transaction.
        plan: The table's plan.
        source_id: The profile, where the plan has a tenant column.

    Raises:
        SqliteError: The file cannot be read.
    """
    connection.create_function("pgc_text_faults", -1, _text_faults, deterministic=True)
    where, values = tenant_filter(plan, source_id)
    findings: list[Finding] = []
    with reading(connection, f"census of table {plan.source}"):
        glance = f"SELECT count(*), {', '.join(_glance(plan))} FROM {quote(plan.source)} WHERE {where}"
        rows, suspects, *faults = connection.execute(glance, values).fetchone()
        clean = not suspects and not any(fault and fault >= _FAULTY for fault in faults)
        # Clean data, the usual case, is looked at once, row by row; only other data column by column.
        problems = [
            (column, problem)
            for column in ([] if clean else plan.columns)
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
        findings += duplicates(connection, plan, where, values)
        findings += orphans(connection, plan, where, values)
    return Census(rows, findings, not any(faults))


def _glance(plan: TablePlan) -> t.Iterator[str]:
    """Yield what one pass asks for: the rows with a suspect value, and the faults of all texts of a row together."""
    found = [
        condition.replace("{x}", quote(column.source))
        for column in plan.columns
        for condition in suspicions_of(column.kind, column.not_null)
    ]
    yield f"ifnull(sum({_either(found)}), 0)"
    texts = [f"CAST({quote(column.source)} AS BLOB)" for column in plan.columns if column.kind.quoted]
    for start in range(0, len(texts), _TEXTS_AT_ONCE):
        yield f"max(pgc_text_faults({', '.join(texts[start : start + _TEXTS_AT_ONCE])}))"


def _either(conditions: t.Sequence[str]) -> str:
    # Balanced: SQLite limits the depth of an expression.
    if len(conditions) == 1:
        return conditions[0]
    middle = len(conditions) // 2
    return f"({_either(conditions[:middle])} OR {_either(conditions[middle:])})"


def _text_faults(*values: bytes | None) -> int:
    """Return whether the texts of a row hold something that no text of PostgreSQL does, or a mark of the codec's."""
    # A line feed between them: no octet sequence goes on beyond it.
    joined = b"\n".join([value for value in values if value])
    if not joined.isascii():
        try:
            joined.decode()
        except UnicodeDecodeError:
            return _FAULTY
    if b"\0" in joined:
        return _FAULTY
    return int(b"\x01" in joined or b"\x02" in joined)


def tenant_filter(plan: TablePlan, source_id: str) -> tuple[str, tuple[str, ...]]:
    """Return the WHERE condition, and its values, that keeps a statement to those of a profile's rows that travel."""
    where, values = whole_filter(plan, source_id)
    if plan.set_aside:
        where += f" AND NOT {_either([aside.condition for aside in plan.set_aside])}"
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
