# SPDX-License-Identifier: GPL-3.0-or-later
"""REPLACE deletes rows without firing a delete trigger: the rows that a new one pushes out are logged all the same."""

from __future__ import annotations

import contextlib
import itertools
import re
import sqlite3
import tempfile
from pathlib import Path
from typing import Any

import pytest
from _captured import CapturedFile, Row, logged
from ansible_collections.sxops.pg_cutover.plugins.module_utils import (
    _capture_sqlite,
    _collisions,
    _fence_sqlite,
    _sqlite_store,
)
from ansible_collections.sxops.pg_cutover.plugins.module_utils._errors import CaptureError
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

REST = "x, y TEXT, u TEXT NOT NULL DEFAULT 'd', g AS (x * 2), h TEXT AS (upper(u)) STORED"
ROWID = f"CREATE TABLE t (source_id TEXT, id TEXT, {REST}, PRIMARY KEY (source_id, id){{}})"
ALIAS = f"CREATE TABLE t (id INTEGER PRIMARY KEY, source_id TEXT, {REST}{{}})"
NO_ROWID = f"{ROWID} WITHOUT ROWID"
# What is unique, and the new row's values beside which the row (1, 'a', 5, 'Bob', 'u1') cannot stay.
UNIQUES: dict[str, tuple[str, str, dict[str, Any]]] = {
    "a constraint": (", UNIQUE (x)", "", {"x": 5}),
    "an index": ("", "CREATE UNIQUE INDEX i ON t (x)", {"x": 5}),
    "a descending index": ("", "CREATE UNIQUE INDEX i ON t (x DESC)", {"x": 5}),
    "several columns": ("", "CREATE UNIQUE INDEX i ON t (x, y)", {"x": 5, "y": "Bob"}),
    "a partial index": ("", "CREATE UNIQUE INDEX i ON t (x) WHERE y <> 'it''s' AND x > 3", {"x": 5}),
    "a collation of the index": ("", "CREATE UNIQUE INDEX i ON t (y COLLATE NOCASE)", {"y": "bOB"}),
    "an expression": ("", "CREATE UNIQUE INDEX i ON t (lower(y))", {"y": "BOB"}),
    "an expression with a collation": ("", "CREATE UNIQUE INDEX i ON t ((y || 'x') COLLATE NOCASE)", {"y": "BOB"}),
    "an expression of several kinds": (
        "",
        'CREATE UNIQUE INDEX i ON t (CASE WHEN y IS NOT NULL THEN CAST(x AS varchar(10)) || "y" END, [u])',
        {"x": 5, "y": "Bob", "u": "u1"},
    ),
    "a partial index of an expression": (
        "",
        "CREATE UNIQUE INDEX i ON t (abs(x)) WHERE y LIKE 'B%'",
        {"x": -5, "y": "B"},
    ),
    "a comparison in an expression": (
        "",
        "CREATE UNIQUE INDEX i ON t (CASE y WHEN 'Bob' THEN u ELSE u || x END)",
        {"y": "Bob", "u": "u1"},
    ),
    "a default in place of NULL": (", UNIQUE (u)", "UPDATE t SET u = 'd' WHERE source_id = 'a'", {"u": None}),
    "a column generated from a default": (
        ", UNIQUE (h)",
        "UPDATE t SET u = 'd' WHERE source_id = 'a'",
        {"u": None},
    ),
    "a generated column": (", UNIQUE (g)", "", {"x": 5}),
    "a conflict clause": (", UNIQUE (x) ON CONFLICT REPLACE", "", {"x": 5}),
}


def columns(table: str) -> str:
    return "id, source_id, x, y, u" if table == ALIAS else "source_id, id, x, y, u"


def values(table: str, number: int, source: str, **given: Any) -> Row:
    row = {"x": number * 100, "y": f"y{number}", "u": f"u{number}", **given}
    key = (number, source) if table == ALIAS else (source, str(number))
    return (*key, row["x"], row["y"], row["u"])


def made(folder: Path, table: str, unique: str, index: str = "") -> CapturedFile:
    """A captured file with the row 1 of profile a, and the row 2 of profile b."""
    file = CapturedFile(folder / "t.db")
    into = f"INSERT INTO t ({columns(table)}) VALUES (?, ?, ?, ?, ?)"
    file.run(
        table.format(unique),
        (into, values(table, 1, "a", x=5, y="Bob")),
        (into, values(table, 2, "b")),
        *([index] if index else []),
    )
    file.install()
    return file


def key(table: str, number: int, source: str) -> Row:
    return ("t", number) if table == ALIAS else ("t", source, str(number))


TABLES = {"rowid": ROWID, "integer primary key": ALIAS, "without rowid": NO_ROWID}


@pytest.mark.parametrize("source", ["a", "b"])
@pytest.mark.parametrize("table", list(TABLES))
@pytest.mark.parametrize("unique", list(UNIQUES))
def test_a_row_that_is_pushed_out_of_a_unique_index_is_logged(
    tmp_path: Path, table: str, unique: str, source: str
) -> None:
    constraint, index, clash = UNIQUES[unique]
    declared = TABLES[table]
    file = made(tmp_path, declared, constraint, index)
    with contextlib.closing(file.connect()) as application:
        application.execute(
            f"INSERT OR REPLACE INTO t ({columns(declared)}) VALUES (?, ?, ?, ?, ?)",
            values(declared, 7, source, **clash),
        )
        assert application.execute("SELECT count(*) FROM t").fetchone() == (2,)
    new = [key(declared, 7, "a")] if source == "a" else []
    assert file.logged() == [key(declared, 1, "a"), *new]


@pytest.mark.parametrize("table", list(TABLES))
@pytest.mark.parametrize("unique", list(UNIQUES))
def test_a_row_that_an_update_pushes_out_is_logged(tmp_path: Path, table: str, unique: str) -> None:
    constraint, index, clash = UNIQUES[unique]
    declared = TABLES[table]
    file = made(tmp_path, declared, constraint, index)
    assigned = ", ".join(f"{name} = ?" for name in clash)
    with contextlib.closing(file.connect()) as application:
        application.execute(f"UPDATE OR REPLACE t SET {assigned} WHERE source_id = 'b'", list(clash.values()))
        assert application.execute("SELECT source_id FROM t").fetchall() == [("b",)]
    assert file.logged() == [key(declared, 1, "a")]
    file.run("UPDATE t SET x = x + 1")
    assert file.logged() == [key(declared, 1, "a")]


def test_a_row_of_the_same_number_is_logged_when_another_profile_takes_it(tmp_path: Path) -> None:
    file = made(tmp_path, ALIAS, "")
    file.run("REPLACE INTO t (id, source_id) VALUES (1, 'b')")
    assert file.logged() == [("t", 1)]
    file.forget()
    file.run("INSERT INTO t (id, source_id) VALUES (1, 'a') ON CONFLICT (id) DO UPDATE SET x = 1")
    assert file.logged() == []
    file.run("UPDATE OR REPLACE t SET id = 1 WHERE id = 2")
    assert file.logged() == []


@pytest.mark.parametrize("name", ["rowid", "oid", "_rowid_"])
def test_a_row_that_is_pushed_out_by_its_rowid_is_logged(tmp_path: Path, name: str) -> None:
    file = made(tmp_path, ROWID, "")
    file.run(f"REPLACE INTO t ({name}, source_id, id) VALUES (1, 'b', 'new')")
    assert file.logged() == [("t", "a", "1")]
    file.forget()
    file.run("INSERT INTO t (source_id, id) VALUES ('a', 'x')")
    file.run(f"UPDATE OR REPLACE t SET {name} = 3 WHERE source_id = 'b' AND id = 'new'")
    assert file.logged() == [("t", "a", "x"), ("t", "a", "x")]
    assert file.run("SELECT count(*) FROM t WHERE source_id = 'a'") == [(0,)]


def test_a_column_that_hides_the_rowid_does_not_hide_the_row(tmp_path: Path) -> None:
    file = CapturedFile(tmp_path / "t.db")
    file.run("CREATE TABLE t (source_id TEXT, rowid TEXT, oid INT, PRIMARY KEY (source_id, rowid))")
    file.run("INSERT INTO t VALUES ('a', 'x', 7)")
    file.install()
    file.run("REPLACE INTO t (_rowid_, source_id, rowid, oid) VALUES (1, 'b', 'y', 1)")
    assert file.logged() == [("t", "a", "x")]


def test_a_key_with_a_collation_is_logged_as_it_was_spelt(tmp_path: Path) -> None:
    file = CapturedFile(tmp_path / "t.db")
    file.run(
        "CREATE TABLE t (source_id TEXT, name TEXT COLLATE NOCASE, PRIMARY KEY (source_id, name))",
        "INSERT INTO t VALUES ('a', 'Bob')",
    )
    file.install()
    file.run("REPLACE INTO t VALUES ('a', 'bOB')")
    assert file.logged() == [("t", "a", "Bob"), ("t", "a", "bOB")]
    file.forget()
    file.run("UPDATE t SET name = 'BOB'")
    assert file.logged() == [("t", "a", "bOB"), ("t", "a", "BOB")]


def test_tables_and_columns_with_the_names_of_rows_are_told_apart(tmp_path: Path) -> None:
    file = CapturedFile(tmp_path / "t.db")
    for name in ("new", "old", "victim"):
        file.run(
            f"CREATE TABLE {name} (id INTEGER PRIMARY KEY, source_id TEXT, new TEXT UNIQUE, old TEXT UNIQUE)",
            f"INSERT INTO {name} VALUES (1, 'a', 'x', 'y'), (2, 'a', 'z', 'w')",
        )
    file.install()
    for name in ("new", "old", "victim"):
        file.run(f"REPLACE INTO {name} VALUES (3, 'b', 'x', 'o')", f"UPDATE {name} SET source_id = 'b' WHERE id = 2")
    assert file.logged() == [(name, number) for name in ("new", "old", "victim") for number in (1, 2)]


def test_every_unique_index_is_looked_into_and_no_table_is_read_through(tmp_path: Path) -> None:
    for number, (table, (constraint, index, _clash)) in enumerate(itertools.product(TABLES.values(), UNIQUES.values())):
        folder = tmp_path / str(number)
        folder.mkdir()
        file = made(folder, table, constraint, index)
        with contextlib.closing(file.connect()) as connection:
            (declared,) = _sqlite_store.read_catalog(connection).tables
            conditions = _collisions.collisions(declared, "source_id")
            assert conditions
            for condition in conditions:
                looked_for = re.sub(r'NEW\.("[^"]*"|rowid)', "?1", condition)
                query = f"EXPLAIN QUERY PLAN SELECT 1 FROM t AS victim WHERE {looked_for}"
                (step,) = connection.execute(query, (1,)).fetchall()
                assert step[3].startswith("SEARCH victim USING"), (condition, step)


REFUSED = {
    "an affinity that decides": ("n INT, m TEXT", "(n = m)", "it compares values of different types"),
    "an affinity against a literal": (
        "n INT",
        "(CASE WHEN n > '5' THEN n END)",
        "it compares values of different types",
    ),
    "an affinity against what a function gives": ("n INT", "(n = abs(n))", "it compares values of different types"),
    "a type that SQLite would not recognize": (
        "n INT",
        "(CAST(n AS varchar ( 10 )))",
        "the type of a CAST is written with unusual white space",
    ),
    "a keyword for a name": ('"end" TEXT', '(CASE WHEN "end" > 3 THEN 1 END)', "it compares values of different types"),
    "a keyword as a name": ('"end" TEXT', '(lower("end") || CASE 1 WHEN 1 THEN 2 END)', "'END' was not understood"),
}


@pytest.mark.parametrize("reason", list(REFUSED))
def test_an_index_that_is_not_understood_is_refused_by_name(tmp_path: Path, reason: str) -> None:
    declared, expression, why = REFUSED[reason]
    file = CapturedFile(tmp_path / "t.db")
    file.run(
        f"CREATE TABLE t (id INTEGER PRIMARY KEY, source_id TEXT, {declared})",
        f"CREATE UNIQUE INDEX odd ON t ({expression})",
    )
    with pytest.raises(CaptureError, match="unique index odd: what a new row would push out of it") as found:
        file.install()
    assert why in found.value.why
    file.fence()
    assert file.fence_state() == "up"
    file.run("INSERT INTO t (source_id) VALUES ('b')")


# --- Anything that an application may do ------------------------------------------------------------------------------

PROPERTY_TABLES = (
    """CREATE TABLE t (id INTEGER PRIMARY KEY, source_id TEXT, a INT UNIQUE, b TEXT COLLATE NOCASE,
       c INT NOT NULL DEFAULT 1, g AS (a + c))""",
    "CREATE UNIQUE INDEX t_b ON t (b, c)",
    "CREATE UNIQUE INDEX t_part ON t (c) WHERE a > 2",
    "CREATE UNIQUE INDEX t_expression ON t (lower(b) || c)",
    "CREATE UNIQUE INDEX t_generated ON t (g, b)",
    """CREATE TABLE s (source_id TEXT, b TEXT COLLATE NOCASE, a INT UNIQUE, c INT NOT NULL DEFAULT 2 UNIQUE,
       ref INT REFERENCES t (id) ON DELETE CASCADE ON UPDATE CASCADE, PRIMARY KEY (source_id, b)){without_rowid}""",
)
small = st.integers(0, 3)
maybe = st.sampled_from([0, 1, 2, 3, 4, 5, None])
number = st.integers(0, 9)
letters = st.sampled_from(["x", "X", "y", "Y", "z", "Z", None])
source = st.sampled_from(["a", "a", "a", "b", "b", None])
conflict = st.sampled_from(["", " OR REPLACE", " OR REPLACE", " OR REPLACE", " OR IGNORE", " OR FAIL"])
default = st.sampled_from([0, 1, 2, 3, None, None])
T_ROW = st.tuples(st.one_of(number, st.none()), source, maybe, letters, default)
S_ROW = st.tuples(source, letters, maybe, default, maybe)
T_COLUMNS, S_COLUMNS = "id, source_id, a, b, c", "source_id, b, a, c, ref"
ASSIGNED = {
    "id": number,
    "rowid": small,
    "source_id": source,
    "a": maybe,
    "b": letters,
    "c": small,
    "ref": maybe,
}
UPSERTS = {
    "t": ["(id)", "(a)", "(b, c)"],
    "s": ["(source_id, b)", "(a)", "(c)"],
}


@st.composite
def statements(draw: st.DrawFn) -> tuple[str, list[Any]]:
    """A statement that changes one of the two tables, with its values."""
    table = draw(st.sampled_from(["t", "s"]))
    names, rows = (T_COLUMNS, T_ROW) if table == "t" else (S_COLUMNS, S_ROW)
    kind = draw(st.sampled_from(["insert", "insert", "update", "update", "upsert", "rowid", "delete", "clear"]))
    if kind == "clear":
        return f"DELETE FROM {table}", []
    if kind == "delete":
        return f"DELETE FROM {table} WHERE a = ? OR c = ?", [draw(small), draw(small)]
    if kind == "update":
        possible = [name for name in ASSIGNED if (name in names and table == "t") or (table == "s" and name != "id")]
        chosen = draw(st.lists(st.sampled_from(possible), min_size=1, max_size=2, unique=True))
        if {"id", "rowid"} <= set(chosen):
            chosen = ["id"]
        assigned = ", ".join(f"{name} = ?" for name in chosen)
        given = [draw(ASSIGNED[name]) for name in chosen]
        column = draw(st.sampled_from(["", "a", "a", "b", "c", "id" if table == "t" else "ref"]))
        where = f" WHERE {column} = ?" if column else ""
        given += [draw(ASSIGNED[column])] if column else []
        return f"UPDATE{draw(conflict)} {table} SET {assigned}{where}", given
    row = list(draw(rows))
    into = f"INSERT{draw(conflict)} INTO {table} ({names}) VALUES (?, ?, ?, ?, ?)"
    if kind == "rowid" and table == "s":
        into = f"INSERT{draw(conflict)} INTO s (rowid, {names}) VALUES (?, ?, ?, ?, ?, ?)"
        return into, [draw(small), *row]
    if kind == "upsert":
        name = draw(st.sampled_from(["a", "c", "b", "source_id"]))
        into += f" ON CONFLICT {draw(st.sampled_from(UPSERTS[table]))} DO UPDATE SET {name} = ?"
        row.append(draw(ASSIGNED[name]))
    return into, row


@st.composite
def inserts(draw: st.DrawFn) -> tuple[str, list[Any]]:
    """A row that is there at the beginning, unless one stands in its place."""
    table, names, rows = draw(st.sampled_from([("t", T_COLUMNS, T_ROW), ("s", S_COLUMNS, S_ROW)]))
    return f"INSERT OR IGNORE INTO {table} ({names}) VALUES (?, ?, ?, ?, ?)", list(draw(rows))


committed = st.sampled_from([True, True, True, False])
transactions = st.lists(st.tuples(st.lists(statements(), min_size=1, max_size=3), committed), min_size=1, max_size=3)


def rows_of(connection: sqlite3.Connection, source_id: str) -> dict[Row, Row]:
    """The profile's rows by table and key."""
    found: dict[Row, Row] = {}
    for row in connection.execute(f"SELECT {T_COLUMNS} FROM t WHERE source_id = ?", (source_id,)):
        found["t", row[0]] = row
    for row in connection.execute(f"SELECT {S_COLUMNS} FROM s WHERE source_id = ? AND b IS NOT NULL", (source_id,)):
        found["s", row[0], row[1]] = row
    return found


@contextlib.contextmanager
def property_file(before: list[tuple[str, list[Any]]], without_rowid: bool, foreign_keys: bool, recursive: bool) -> Any:
    with tempfile.TemporaryDirectory() as folder:
        file = CapturedFile(Path(folder) / "t.db")
        with contextlib.closing(file.connect()) as application:
            for statement in PROPERTY_TABLES:
                application.execute(statement.replace("{without_rowid}", " WITHOUT ROWID" if without_rowid else ""))
            application.execute(f"PRAGMA foreign_keys = {foreign_keys:d}")
            application.execute(f"PRAGMA recursive_triggers = {recursive:d}")
            run(application, [(before, True)])
            yield file, application


def run(application: sqlite3.Connection, work: list[tuple[list[tuple[str, list[Any]]], bool]]) -> None:
    """Run transactions, of which each is committed or rolled back; what SQLite refuses is left out."""
    for batch, commit in work:
        application.execute("BEGIN")
        for statement, bound in batch:
            with contextlib.suppress(sqlite3.IntegrityError, sqlite3.OperationalError):
                application.execute(statement, bound)
        if application.in_transaction:
            application.execute("COMMIT" if commit else "ROLLBACK")


anything = given(
    before=st.lists(inserts(), min_size=4, max_size=12),
    work=transactions,
    without_rowid=st.booleans(),
    foreign_keys=st.booleans(),
    recursive=st.booleans(),
)
often = settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow])


@anything
@often
def test_replaying_the_logged_keys_gives_the_later_state(
    before: Any, work: Any, without_rowid: bool, foreign_keys: bool, recursive: bool
) -> None:
    with property_file(before, without_rowid, foreign_keys, recursive) as (file, application):
        file.install()
        replica = rows_of(application, "a")
        run(application, work)
        later = rows_of(application, "a")
        event("changed" if replica != later else "as it was")
        for entry in logged(application, file.names):
            if entry in later:
                replica[entry] = later[entry]
            else:
                replica.pop(entry, None)
        assert replica == later
        assert file.look().complete


@anything
@often
def test_under_a_fence_nothing_changes_a_row_of_the_profile(
    before: Any, work: Any, without_rowid: bool, foreign_keys: bool, recursive: bool
) -> None:
    with property_file(before, without_rowid, foreign_keys, recursive) as (file, application):
        file.fence()
        earlier, others = rows_of(application, "a"), rows_of(application, "b")
        run(application, work)
        assert rows_of(application, "a") == earlier
        event("others changed" if rows_of(application, "b") != others else "as it was")
        assert file.fence_state() == "up"


def test_the_property_would_find_a_missing_trigger(tmp_path: Path) -> None:
    file = made(tmp_path, ALIAS, ", UNIQUE (x)")
    file.run('DROP TRIGGER "sxops_capture_sx_a.t.before_insert"')
    file.run("REPLACE INTO t (source_id, x) VALUES ('b', 5)")
    assert file.logged() == []
    with contextlib.closing(file.connect()) as connection:
        catalog = _sqlite_store.read_catalog(connection)
        found = _capture_sqlite.look(connection, catalog, ["t"], file.names, "a", "source_id")
        assert found.missing == ("trigger sxops_capture_sx_a.t.before_insert of table t is missing",)
        assert _fence_sqlite.state(connection, catalog, ["t"], file.names) == "down"
