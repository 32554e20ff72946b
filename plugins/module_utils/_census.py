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
import re
import typing as t
from decimal import Context, Decimal

from ._errors import DataRefused
from ._sqlite_store import quote, reading

if t.TYPE_CHECKING:
    import sqlite3

    from ._table_plan import ColumnPlan, TablePlan

NAMED_KEYS = 20
_SHOWN_CHARACTERS = 100
_CONDITIONS_AT_ONCE = 1000  # SQLite returns at most 2000 columns
_TEXTS_AT_ONCE = 100  # a function of SQLite takes at most 127 arguments
_FAULTY = 2
_EXACT_INTEGER_AS_FLOAT = 2**53
_EXACT = Context(prec=400)  # more digits than any integer or double of SQLite has


@dataclasses.dataclass(frozen=True)
class Finding:
    """Values of one column that cannot travel: how many rows, and the keys of the first of them."""

    table: str
    column: str
    problem: str
    rows: int
    first_keys: tuple[str, ...]

    def __str__(self) -> str:
        more = ", …" if self.rows > len(self.first_keys) else ""
        return (
            f"{self.table}.{self.column}: {self.problem} in {self.rows} row(s), key {', '.join(self.first_keys)}{more}"
        )


class Census(t.NamedTuple):
    """The rows, what is wrong with them, and whether no text holds a mark of L(_row_codec.sqlite_csv_row)."""

    rows: int
    findings: list[Finding]
    marked: bool


def take_census(connection: sqlite3.Connection, plan: TablePlan, source_id: str) -> Census:
    """Return the number of the profile's rows and everything in them that the target could not hold.

    Args:
        connection: A connection prepared by L(_row_codec.prepare), inside a read transaction.
        plan: The table's plan.
        source_id: The profile, where the plan has a tenant column.

    Raises:
        SqliteError: The file cannot be read.
    """
    connection.create_function("pgc_text_faults", -1, _text_faults, deterministic=True)
    connection.create_function("pgc_invalid_utf8", 1, _invalid_utf8, deterministic=True)
    connection.create_function("pgc_changed_by_scale", 3, _changed_by_scale, deterministic=True)
    where, values = tenant_filter(plan, source_id)
    findings: list[Finding] = []
    with reading(connection, f"census of table {plan.source}"):
        glance = f"SELECT count(*), {', '.join(_glance(plan))} FROM {quote(plan.source)} WHERE {where}"
        rows, suspects, *faults = connection.execute(glance, values).fetchone()
        clean = not suspects and not any(fault and fault >= _FAULTY for fault in faults)
        # Clean data, the usual case, is looked at once, row by row; only other data column by column.
        conditions = [
            (column, problem, condition)
            for column in ([] if clean else plan.columns)
            for problem, condition in (*_conditions(column), *_text_conditions(column))
        ]
        for start in range(0, len(conditions), _CONDITIONS_AT_ONCE):
            some = conditions[start : start + _CONDITIONS_AT_ONCE]
            counts = ", ".join(f"ifnull(sum({condition}), 0)" for _c, _p, condition in some)
            found = connection.execute(f"SELECT {counts} FROM {quote(plan.source)} WHERE {where}", values).fetchone()
            for (column, problem, condition), number in zip(some, found):
                if number:
                    keys = _first_keys(connection, plan, f"({where}) AND {condition}", values)
                    findings.append(Finding(plan.source, column.source, problem, number, keys))
        findings += _duplicates(connection, plan, where, values)
        findings += _orphans(connection, plan, where, values)
    return Census(rows, findings, not any(faults))


def _glance(plan: TablePlan) -> t.Iterator[str]:
    """Yield what one pass asks for: the rows with a suspect value, and the faults of all texts of a row together."""
    found = [condition for column in plan.columns for _problem, condition in _conditions(column)]
    yield f"ifnull(sum({_either(found)}), 0)"
    texts = [f"CAST({quote(column.source)} AS BLOB)" for column in plan.columns if column.kind.is_text]
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
    """Return the WHERE condition, and its values, that keeps a statement to one profile's rows."""
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


def _conditions(column: ColumnPlan) -> list[tuple[str, str]]:
    x = quote(column.source)
    kind = column.kind
    other = " AND ".join(f"typeof({x}) <> '{storage}'" for storage in (*kind.storages, "null"))
    found = [
        (f"{'/'.join(kind.storages)} expected for {column.target_type}, another type stored",
         f"({other})")
    ]  # fmt: skip
    if kind.low is not None and kind.high is not None:
        found.append(
            (f"out of range for {column.target_type} ({kind.low} to {kind.high})",
             f"(typeof({x}) = 'integer' AND {x} NOT BETWEEN {kind.low} AND {kind.high})")
        )  # fmt: skip
    if kind.name == "float8":
        found.append(
            ("integer too large to be exact as double precision",
             f"(typeof({x}) = 'integer' AND {x} NOT BETWEEN -{_EXACT_INTEGER_AS_FLOAT} AND {_EXACT_INTEGER_AS_FLOAT})")
        )  # fmt: skip
    scaled = re.search(r"^numeric\((\d+),(-?\d+)\)$", column.target_type)
    if scaled:
        changed = f"pgc_changed_by_scale({x}, {', '.join(scaled.groups())})"
        found.append(
            (f"more digits than {column.target_type} keeps",
             f"(CASE WHEN typeof({x}) IN ('integer', 'real') THEN {changed} ELSE 0 END)")
        )  # fmt: skip
    limit = re.search(r"\((\d+)\)$", column.target_type) if kind.is_text else None
    if limit:
        found.append((f"longer than {column.target_type}", f"(length({x}) > {limit.group(1)})"))
    if column.not_null:
        found.append((f"NULL where {column.target_type} NOT NULL is declared", f"({x} IS NULL)"))
    return found


def _text_conditions(column: ColumnPlan) -> list[tuple[str, str]]:
    """Return the conditions that the first glance puts in one: L(_text_faults)."""
    x = quote(column.source)
    if not column.kind.is_text:
        return []
    return [
        ("NUL character in text", f"(typeof({x}) = 'text' AND instr(CAST({x} AS BLOB), x'00') > 0)"),
        ("text that is not valid UTF-8", f"(typeof({x}) = 'text' AND pgc_invalid_utf8(CAST({x} AS BLOB)))"),
    ]


def _invalid_utf8(value: bytes | None) -> int:
    if value is None:  # SQLite evaluates both sides of an AND
        return 0
    try:
        value.decode()
    except UnicodeDecodeError:
        return 1
    return 0


def _changed_by_scale(value: float, precision: int, scale: int) -> int:
    """Return whether numeric(precision, scale) would round the number or refuse it."""
    number = Decimal(repr(value))
    if not number.is_finite():
        return 1
    too_large = bool(number) and number.adjusted() >= precision - scale
    # The lowest digit that is kept stands at 10 ** -scale.
    exponent = number.normalize(_EXACT).as_tuple().exponent
    return int(too_large or (bool(number) and isinstance(exponent, int) and exponent < -scale))


def _first_keys(
    connection: sqlite3.Connection, plan: TablePlan, where: str, values: tuple[str, ...]
) -> tuple[str, ...]:
    shown = plan.key or ("rowid",)
    columns = ", ".join(quote(name) for name in shown)
    rows = connection.execute(
        f"SELECT {columns} FROM {quote(plan.source)} WHERE {where} ORDER BY {columns} LIMIT {NAMED_KEYS}",
        values,
    )
    return tuple(show_key(shown, row) for row in rows)


def show_key(names: t.Sequence[str], fields: t.Sequence[t.Any]) -> str:
    """Return a key for an operator: C((source_id=assets_1, id=42))."""
    texts = [field.decode(errors="backslashreplace") if isinstance(field, bytes) else str(field) for field in fields]
    texts = [text if len(text) <= _SHOWN_CHARACTERS else text[:_SHOWN_CHARACTERS] + "…" for text in texts]
    return "(" + ", ".join(f"{name}={text}" for name, text in zip(names, texts)) + ")"


def _duplicates(connection: sqlite3.Connection, plan: TablePlan, where: str, values: tuple[str, ...]) -> list[Finding]:
    guaranteed = [set(columns) for columns in plan.source_uniques if columns]
    findings = []
    for unique in plan.uniques:
        if any(columns <= set(unique) for columns in guaranteed):
            continue
        columns = ", ".join(f"{quote(name)} COLLATE BINARY" for name in unique)
        present = " AND ".join(f"{quote(name)} IS NOT NULL" for name in unique)
        grouped = (
            f"SELECT {columns}, count(*) FROM {quote(plan.source)} WHERE ({where}) AND {present}"
            f" GROUP BY {columns} HAVING count(*) > 1"
        )
        rows = connection.execute(f"{grouped} ORDER BY {columns}", values).fetchall()
        if rows:
            keys = tuple(show_key(unique, row[:-1]) for row in rows[:NAMED_KEYS])
            findings.append(
                Finding(
                    plan.source,
                    ", ".join(unique),
                    "duplicates of a unique key",
                    sum(row[-1] for row in rows),
                    keys,
                )
            )
    return findings


def _orphans(connection: sqlite3.Connection, plan: TablePlan, where: str, values: tuple[str, ...]) -> list[Finding]:
    findings = []
    for reference in plan.references:
        child = quote(plan.source)
        join = " AND ".join(
            f"parent.{quote(theirs)} = {child}.{quote(ours)} COLLATE BINARY"
            for ours, theirs in zip(reference.columns, reference.parent_columns)
        )
        own_values = values
        if plan.tenant_column is not None:
            # Another profile's row is no parent: it does not travel into this schema.
            join += f" AND parent.{quote(plan.tenant_column)} = ?"
            own_values = (*values, *values)
        present = " AND ".join(f"{child}.{quote(name)} IS NOT NULL" for name in reference.columns)
        orphaned = (
            f"({where}) AND {present} AND NOT EXISTS (SELECT 1 FROM {quote(reference.parent)} AS parent WHERE {join})"
        )
        (number,) = connection.execute(f"SELECT count(*) FROM {child} WHERE {orphaned}", own_values).fetchone()
        if number:
            keys = _first_keys(connection, plan, orphaned, own_values)
            findings.append(
                Finding(
                    plan.source,
                    ", ".join(reference.columns),
                    f"no parent row in {reference.parent}",
                    number,
                    keys,
                )
            )
    return findings
