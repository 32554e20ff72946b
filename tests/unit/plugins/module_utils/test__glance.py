# SPDX-License-Identifier: GPL-3.0-or-later
"""The quick look that decides whether the census has to look closer: it may suspect too much, never too little."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from typing import Any

import pytest
from ansible_collections.sxops.pg_cutover.plugins.module_utils._glance import NOTHING, Glance, glance
from ansible_collections.sxops.pg_cutover.plugins.module_utils._planned_table import ColumnPlan, TablePlan
from ansible_collections.sxops.pg_cutover.plugins.module_utils._postgres_store import Column
from ansible_collections.sxops.pg_cutover.plugins.module_utils._range import Range
from ansible_collections.sxops.pg_cutover.plugins.module_utils._row_codec import sqlite_csv_row
from ansible_collections.sxops.pg_cutover.plugins.module_utils._value_kinds import kind_of, prepare


@pytest.fixture
def connection() -> Iterator[sqlite3.Connection]:
    with contextlib.closing(sqlite3.connect(":memory:")) as opened:
        prepare(opened)
        yield opened


def plan_of(policies: dict[str, str] | None = None, **types: str) -> TablePlan:
    columns = []
    for name, type_name in types.items():
        kind = kind_of(Column(name, type_name, type_name, False, False, "", False, None), policies)
        assert kind
        columns.append(ColumnPlan(name, name, "", type_name, kind, False))
    return TablePlan("t", "t", tuple(columns), (), None, (), (), ())


def look(connection: sqlite3.Connection, plan: TablePlan, *rows: tuple[Any, ...]) -> Glance:
    names = ", ".join(column.source for column in plan.columns)
    connection.execute(f"CREATE TABLE t ({names})")
    connection.executemany(f"INSERT INTO t VALUES ({', '.join('?' * len(plan.columns))})", rows)
    return both_ways(connection, plan)


def both_ways(connection: sqlite3.Connection, plan: TablePlan) -> Glance:
    """Look at all rows one by one and at many together, which has to tell the same."""
    one_by_one = glance(connection, plan, Range("1", ()))
    together = glance(connection, plan, Range("rowid BETWEEN ? AND ?", (1, 2000), True))
    assert together[:3] == one_by_one[:3]
    return Glance(*one_by_one[:3], min(one_by_one.widest_row, together.widest_row), together.joinable)


@pytest.mark.parametrize("type_name", ["text", "int4", "float8", "bytea", "bool", "numeric"])
@pytest.mark.parametrize("value", [None, 1, 1.5, "a", b"a", 2**40, float("inf")])
def test_a_value_of_another_class_is_suspected(connection: sqlite3.Connection, type_name: str, value: Any) -> None:
    fits = {
        "text": isinstance(value, str),
        "int4": value == 1,
        "bool": value == 1,
        "float8": isinstance(value, (int, float)),
        "numeric": isinstance(value, (int, float)),
        "bytea": isinstance(value, bytes),
    }[type_name]
    seen = look(connection, plan_of(x=type_name, y="text"), (None, "before"), (value, "\x01"), (None, "after"))
    assert seen.rows == 3
    assert seen.suspicious == (value is not None and not fits)
    assert not seen.marked


@pytest.mark.parametrize("texts", [("a\0",), ("caf\xe9".encode("latin-1"),), ("ok", b"\xed\xa0\xbd")])
def test_what_is_no_text_for_postgresql_is_suspected(connection: sqlite3.Connection, texts: tuple[Any, ...]) -> None:
    seen = look(connection, plan_of(x="text"))
    for text in texts:
        connection.execute("INSERT INTO t VALUES (CAST(? AS TEXT))", (text,))
    seen = both_ways(connection, plan_of(x="text"))
    assert (seen.rows, seen.suspicious) == (len(texts), True)


def test_half_a_character_is_not_completed_by_what_follows(connection: sqlite3.Connection) -> None:
    look(connection, plan_of(x="text", y="text"))
    connection.execute("INSERT INTO t VALUES (CAST(x'c3' AS TEXT), CAST(x'a9' AS TEXT))")
    assert both_ways(connection, plan_of(x="text", y="text")).suspicious
    connection.execute("UPDATE t SET x = '', y = CAST(x'c3' AS TEXT)")
    connection.execute("INSERT INTO t VALUES (CAST(x'a9' AS TEXT), '')")
    assert both_ways(connection, plan_of(x="text", y="text")).suspicious


@pytest.mark.parametrize(
    ("policies", "types", "row"),
    [
        ({}, {"x": "text"}, ('"' * 5000,)),
        ({}, {"x": "bytea", "y": "int8"}, (b"a" * 5000, -(2**63))),
        ({"text_as_bytes": "convert"}, {"x": "bytea"}, ("é" * 5000,)),
        ({"text_as_number": "convert"}, {"x": "numeric", "y": "text"}, ("9" * 5000, "é" * 9)),
        ({}, {f"c{n}": "float8" for n in range(50)}, (-1.7976931348623157e308,) * 50),
    ],
)
def test_no_encoded_row_is_wider_than_said(
    connection: sqlite3.Connection, policies: dict[str, str], types: dict[str, str], row: tuple[Any, ...]
) -> None:
    plan = plan_of(policies, **types)
    seen = look(connection, plan, tuple(None for _column in row), row)
    ((line,),) = connection.execute(f"SELECT {sqlite_csv_row(plan.source_codec)} FROM t WHERE rowid = 2").fetchall()
    assert not seen.suspicious
    assert len(line) <= seen.widest_row < 10 * len(line)


def test_rows_too_large_to_be_asked_for_together_are_looked_at_one_by_one(connection: sqlite3.Connection) -> None:
    rows = [(f"{n}" * 1_000_000, b"a" * 9_000_000 if n == 7 else None) for n in range(10, 30)]
    seen = look(connection, plan_of(x="text", y="bytea"), *rows, ("last\0", b""))
    assert (seen.rows, seen.suspicious, seen.marked) == (21, True, False)
    connection.execute("DELETE FROM t WHERE y = x''")
    seen = both_ways(connection, plan_of(x="text", y="bytea"))
    assert (seen.rows, seen.suspicious, seen.marked) == (20, False, True)
    assert connection.execute("SELECT length(zeroblob(20000000))").fetchone() == (20_000_000,), "the limit is lifted"


def test_glances_at_ranges_add_up() -> None:
    one, other = Glance(2, False, True, 10, True), Glance(3, True, False, 7, False)
    assert one | NOTHING == one
    assert one | other == Glance(5, True, False, 10, False)
