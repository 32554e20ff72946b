# SPDX-License-Identifier: GPL-3.0-or-later
"""JSON lines hold whatever a SQLite cell can hold, and give it back."""

from __future__ import annotations

import json
import math
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.sxops.pg_cutover.plugins.module_utils._errors import BackupError, BadInput
from ansible_collections.sxops.pg_cutover.plugins.module_utils._jsonl_export import (
    RawText,
    check_exportable,
    count_rows,
    decode_text,
    decode_value,
    export_table,
    read_rows,
)
from ansible_collections.sxops.pg_cutover.plugins.module_utils._sqlite_store import Table, read_catalog


def table_of(connection: sqlite3.Connection, name: str) -> Table:
    return next(table for table in read_catalog(connection).tables if table.name == name)


@pytest.fixture
def database() -> Any:
    with closing(sqlite3.connect(":memory:")) as connection:
        yield connection


@pytest.mark.parametrize(
    "value",
    [
        None,
        "",
        'it\'s "quoted"\n\ttab\\ \u2028 \U0001f600',
        "nul\0inside",
        '{"$base64":"AA=="}',
        0,
        1,
        9223372036854775807,
        -9223372036854775808,
        9007199254740993,
        0.1,
        1.0,
        -0.0,
        5e-324,
        1.7976931348623157e308,
        math.inf,
        -math.inf,
        b"",
        b"\x00\xff\n",
    ],
)
def test_every_value_comes_back_as_it_was(database: sqlite3.Connection, tmp_path: Path, value: Any) -> None:
    database.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, v)")
    database.execute("INSERT INTO t VALUES (1, ?)", (value,))
    path = tmp_path / "t.jsonl"
    assert export_table(database, table_of(database, "t"), path) == 1
    (row,) = read_rows(path)
    assert type(row["v"]) is type(value)
    assert row["v"] == value
    if isinstance(value, float):
        assert math.copysign(1, row["v"]) == math.copysign(1, value)
    json.loads(path.read_text(), parse_constant=lambda word: pytest.fail(f"{word} is not JSON"))
    assert path.stat().st_mode & 0o777 == 0o600


def test_text_that_is_not_utf8_keeps_its_bytes_and_stays_text(database: sqlite3.Connection, tmp_path: Path) -> None:
    database.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, v)")
    database.execute("INSERT INTO t VALUES (1, CAST(x'ff41' AS TEXT)), (2, CAST(x'eda080' AS TEXT)), (3, x'ff41')")
    path = tmp_path / "t.jsonl"
    export_table(database, table_of(database, "t"), path)
    values = [row["v"] for row in read_rows(path)]
    assert values == [RawText(b"\xff\x41"), RawText(b"\xed\xa0\x80"), b"\xff\x41"]
    assert [type(value) for value in values] == [RawText, RawText, bytes]
    assert database.text_factory is str


def test_only_the_profile_s_rows_in_the_order_of_the_key(database: sqlite3.Connection, tmp_path: Path) -> None:
    database.execute(
        "CREATE TABLE t (source_id TEXT COLLATE NOCASE, id INTEGER, twice INTEGER AS (id * 2),"
        " PRIMARY KEY (source_id, id))"
    )
    rows = [("b", 1), ("a", 10), ("a", 9), ("A", 1), ("a", None), ("a", None)]
    database.executemany("INSERT INTO t (source_id, id) VALUES (?, ?)", rows)
    path = tmp_path / "t.jsonl"
    assert export_table(database, table_of(database, "t"), path, "a", "SOURCE_ID") == 4
    assert [row["id"] for row in read_rows(path)] == [None, None, 9, 10]
    assert set(next(read_rows(path))) == {"source_id", "id"}, "a generated column cannot be written back"
    first = path.read_bytes()
    again = tmp_path / "again.jsonl"
    export_table(database, table_of(database, "t"), again, "a", "source_id")
    assert again.read_bytes() == first
    assert count_rows(path) == 4


def test_a_table_without_key_goes_by_rowid_and_one_without_rowid_by_key(
    database: sqlite3.Connection, tmp_path: Path
) -> None:
    database.execute("CREATE TABLE loose (rowid TEXT, v)")
    database.executemany("INSERT INTO loose VALUES (?, ?)", [("z", 1), ("a", 2)])
    database.execute("CREATE TABLE keyed (k TEXT PRIMARY KEY, v) WITHOUT ROWID")
    database.executemany("INSERT INTO keyed VALUES (?, ?)", [("z", 1), ("a", 2)])
    for name, order in (("loose", [1, 2]), ("keyed", [2, 1])):
        path = tmp_path / f"{name}.jsonl"
        export_table(database, table_of(database, name), path)
        assert [row["v"] for row in read_rows(path)] == order


def test_what_cannot_be_exported_is_refused_by_name(database: sqlite3.Connection) -> None:
    database.execute("CREATE TABLE notes (source_id, v)")
    database.execute("CREATE TABLE plain (v)")
    tables = read_catalog(database).tables
    with pytest.raises(BadInput, match=r"'nots' cannot be exported.*there are: notes, plain"):
        check_exportable(tables, ["nots"], "a", "source_id")
    with pytest.raises(BadInput, match=r"'plain'.*no column 'source_id'"):
        check_exportable(tables, ["plain"], "a", "source_id")
    assert [table.name for table in check_exportable(tables, ["plain", "plain"], "a", "")] == ["plain"]
    assert [table.name for table in check_exportable(tables, ["notes"], "a", "Source_ID")] == ["notes"]


@pytest.mark.parametrize("line", ["[1]", '{"v": {"$real": "nan"}}', '{"v": {"$base64": "*"}}', '{"v": {}}', "{"])
def test_a_line_that_is_no_row_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "t.jsonl"
    path.write_text('{"v":1}\n' + line + "\n")
    with pytest.raises(BackupError, match="line 2, is not a row"):
        list(read_rows(path))


def test_text_and_values_alone() -> None:
    assert decode_text("é".encode()) == "é"
    assert decode_value({"$text_base64": "/w=="}) == RawText(b"\xff")
