# SPDX-License-Identifier: GPL-3.0-or-later
"""The row of a key is found exactly, and by an index."""

from __future__ import annotations

import contextlib
import sqlite3
from typing import Any

import pytest
from ansible_collections.sxops.pg_cutover.plugins.module_utils._row_lookup import key_condition


@pytest.mark.parametrize("declared", ["TEXT", "TEXT COLLATE NOCASE", "", "INT", "REAL", "NUMERIC", "BLOB"])
def test_every_value_finds_itself_and_nothing_else(declared: str) -> None:
    values: list[Any] = ["Bob", "bob", "bob ", "1", 1, 1.5, b"bob", b"1", "", b"", 2**62, 2**62 + 1, "1e3", "é"]
    with contextlib.closing(sqlite3.connect(":memory:")) as connection:
        connection.execute(f"CREATE TABLE t (k {declared}, n INTEGER)")
        connection.execute("CREATE INDEX i ON t (k)")
        connection.executemany("INSERT INTO t VALUES (?, ?)", [(value, n) for n, value in enumerate(values)])
        connection.execute("INSERT INTO t VALUES (CAST(x'636166e9' AS TEXT), 99), (NULL, 100)")
        connection.text_factory = bytes
        held = connection.execute("SELECT typeof(k), k, n FROM t").fetchall()
        for storage, value, _number in held:
            key = value.decode("utf-8", "surrogateescape") if storage == b"text" else value
            where, bound = key_condition(["k"], (key,))
            found = connection.execute(f"SELECT typeof(k), k FROM t WHERE {where}", bound).fetchall()
            assert found
            assert set(found) == {(storage, value)}
            plan = connection.execute(f"EXPLAIN QUERY PLAN SELECT * FROM t WHERE {where}", bound).fetchall()
            assert b"USING INDEX i" in plan[0][3]
