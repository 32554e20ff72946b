# SPDX-License-Identifier: GPL-3.0-or-later
"""Real SQLite files: opened without harm, refused in words, and read for what they declare."""

from __future__ import annotations

import hashlib
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from ansible_collections.sxops.pg_cutover.plugins.module_utils._errors import SqliteError
from ansible_collections.sxops.pg_cutover.plugins.module_utils._sqlite_store import (
    Catalog,
    ForeignKey,
    Table,
    fold,
    open_readonly,
    quote,
    read_catalog,
    sqlite_errors,
)


def make(path: Path, *statements: str, journal: str = "delete") -> Path:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(f"PRAGMA journal_mode = {journal}")
        for statement in statements:
            connection.execute(statement)
    return path


def checksums(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}


def catalog_of(folder: Path, *statements: str) -> Catalog:
    with closing(open_readonly(make(folder / "x.db", *statements))) as connection:
        return read_catalog(connection)


def table_of(folder: Path, *statements: str, name: str = "t") -> Table:
    return next(table for table in catalog_of(folder, *statements).tables if table.name == name)


def refusal_of(path: Path) -> SqliteError:
    with pytest.raises(SqliteError) as refusal:
        open_readonly(path).close()
    assert str(path) in str(refusal.value)
    return refusal.value


# Opening


def test_a_missing_file_is_refused_and_not_created(tmp_path: Path) -> None:
    assert "does not exist" in str(refusal_of(tmp_path / "none.db"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", ["folder", "pipe"])
def test_what_is_no_file_is_refused_without_waiting_for_it(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "x.db"
    if kind == "folder":
        path.mkdir()
    else:
        os.mkfifo(path)
    assert "no regular file" in str(refusal_of(path))


def test_an_empty_file_is_refused_though_sqlite_takes_it_for_a_new_database(tmp_path: Path) -> None:
    (tmp_path / "x.db").touch()
    assert "it is empty" in str(refusal_of(tmp_path / "x.db"))


@pytest.mark.parametrize(
    "content", [b"x", b"PK\x03\x04" + b"z" * 5000, os.urandom(8192)], ids=["short", "zip", "encrypted"]
)
def test_what_is_no_database_is_refused_and_encryption_is_mentioned(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.db").write_bytes(content)
    error = refusal_of(tmp_path / "x.db")
    assert "is not a SQLite database" in str(error)
    assert ("encrypted" in str(error)) is (len(content) > 100)


@pytest.mark.parametrize("journal", ["delete", "wal"])
def test_a_truncated_file_is_refused_with_both_sizes(tmp_path: Path, journal: str) -> None:
    path = make(tmp_path / "x.db", "CREATE TABLE t (x)", "INSERT INTO t VALUES (zeroblob(50000))", journal=journal)
    size = path.stat().st_size
    os.truncate(path, size - 8192)
    error = refusal_of(path)
    assert "is truncated" in str(error)
    assert f"({size} bytes), the file has {size - 8192} bytes" in str(error)
    assert "verified backup" in error.remedy


def test_a_damaged_catalogue_is_an_error_for_the_operator_and_no_traceback(tmp_path: Path) -> None:
    path = make(tmp_path / "x.db", *(f"CREATE TABLE t{number} (x TEXT)" for number in range(200)))
    content = bytearray(path.read_bytes())
    content[4096 * 2 :] = b"\xff" * len(content[4096 * 2 :])
    path.write_bytes(content)
    with pytest.raises(SqliteError, match="verified backup"), closing(open_readonly(path)) as connection:
        read_catalog(connection)


@pytest.mark.parametrize("name", ["a b.db", "a%20b.db", "a?mode=rwc.db", "a#b.db", "ä€😀.db", "a'b\"c.db"])
def test_any_file_name_is_taken_literally(tmp_path: Path, name: str) -> None:
    path = make(tmp_path / name, "CREATE TABLE t (x)")
    with closing(open_readonly(path)) as connection:
        assert connection.execute("SELECT name FROM sqlite_master").fetchall() == [("t",)]
    assert [found.name for found in tmp_path.iterdir()] == [name]


def test_a_file_name_that_is_no_text_is_opened(tmp_path: Path) -> None:
    path = make(tmp_path / "x.db", "CREATE TABLE t (x)").rename(tmp_path / os.fsdecode(b"\xff.db"))
    open_readonly(path).close()


def test_a_path_that_begins_with_two_slashes_is_no_host_name(tmp_path: Path) -> None:
    open_readonly(f"/{make(tmp_path / 'x.db', 'CREATE TABLE t (x)')}").close()


def test_a_relative_path_is_taken_from_the_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(tmp_path / "x.db", "CREATE TABLE t (x)")
    monkeypatch.chdir(tmp_path)
    open_readonly("x.db").close()


@pytest.mark.parametrize("journal", ["delete", "truncate", "wal"])
def test_reading_neither_changes_nor_leaves_any_file(tmp_path: Path, journal: str) -> None:
    path = make(tmp_path / "x.db", "CREATE TABLE t (x)", "INSERT INTO t VALUES (1)", journal=journal)
    before = checksums(tmp_path)
    with closing(open_readonly(path)) as connection:
        read_catalog(connection)
        assert connection.execute("SELECT x FROM t").fetchall() == [(1,)]
    assert checksums(tmp_path) == before


def test_commits_that_stand_in_the_wal_only_are_read_and_stay_there(tmp_path: Path) -> None:
    path = make(tmp_path / "x.db", "CREATE TABLE t (x)", journal="wal")
    with closing(sqlite3.connect(path, isolation_level=None)) as writer:
        writer.execute("INSERT INTO t VALUES (1)")
        before = checksums(tmp_path)
        with closing(open_readonly(path)) as connection:
            assert connection.execute("SELECT x FROM t").fetchall() == [(1,)]
        after = checksums(tmp_path)
        assert {name: after[name] for name in ("x.db", "x.db-wal")} == {
            name: before[name] for name in ("x.db", "x.db-wal")
        }


def test_a_wal_left_by_a_killed_writer_is_read_and_not_checkpointed(tmp_path: Path) -> None:
    path = make(tmp_path / "x.db", "CREATE TABLE t (x)", journal="wal")
    program = (
        "import os, sqlite3, sys\n"
        "c = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
        "c.execute('INSERT INTO t VALUES (1)')\n"
        "os._exit(9)\n"
    )
    subprocess.run([sys.executable, "-c", program, str(path)], check=False)
    before = checksums(tmp_path)
    with closing(open_readonly(path)) as connection:
        assert connection.execute("SELECT x FROM t").fetchall() == [(1,)]
    after = checksums(tmp_path)
    assert (after["x.db"], after["x.db-wal"]) == (before["x.db"], before["x.db-wal"])


@pytest.mark.parametrize("journal", ["delete", "wal"])
@pytest.mark.parametrize("statement", ["INSERT INTO t VALUES (1)", "DROP TABLE t", "CREATE TABLE u (x)", "VACUUM"])
def test_nothing_can_be_written_through_it(tmp_path: Path, journal: str, statement: str) -> None:
    path = make(tmp_path / "x.db", "CREATE TABLE t (x)", journal=journal)
    with closing(open_readonly(path)) as connection, pytest.raises(sqlite3.OperationalError, match="readonly"):
        connection.execute(statement)


def test_another_process_can_write_while_it_is_open(tmp_path: Path) -> None:
    path = make(tmp_path / "x.db", "CREATE TABLE t (x)", journal="wal")
    with closing(open_readonly(path)) as connection:
        connection.execute("BEGIN")
        connection.execute("SELECT * FROM t").fetchall()
        with closing(sqlite3.connect(path, isolation_level=None, timeout=0)) as writer:
            writer.execute("INSERT INTO t VALUES (1)")
        connection.execute("COMMIT")
        assert connection.execute("SELECT x FROM t").fetchall() == [(1,)]


def test_a_locked_file_says_who_to_look_for(tmp_path: Path) -> None:
    path = make(tmp_path / "x.db", "CREATE TABLE t (x)")
    with closing(sqlite3.connect(path, isolation_level=None)) as writer:
        writer.execute("BEGIN EXCLUSIVE")
        with pytest.raises(SqliteError, match=r"is locked.*fuser") as refusal:
            open_readonly(path, timeout_s=0)
    assert refusal.value.facts == {"locked": True}


def test_a_table_called_locked_is_no_lock(tmp_path: Path) -> None:
    path = make(tmp_path / "x.db", "CREATE TABLE t (x)")
    with (
        closing(open_readonly(path)) as connection,
        pytest.raises(SqliteError, match="no such table: locked_and_busy") as refusal,
        sqlite_errors(path),
    ):
        connection.execute("SELECT * FROM locked_and_busy")
    assert "is locked" not in str(refusal.value)


def test_a_value_over_sqlites_limits_does_not_send_the_operator_to_the_backups(tmp_path: Path) -> None:
    path = make(tmp_path / "x.db", "CREATE TABLE t (x)")
    with closing(open_readonly(path)) as connection, pytest.raises(SqliteError) as refusal, sqlite_errors(path):
        connection.execute("SELECT zeroblob(2000000000)").fetchall()
    assert "too big" in str(refusal.value)
    assert "backup" not in str(refusal.value)


# What is declared


def test_names_with_quotes_and_spaces_are_read_back_as_they_are(tmp_path: Path) -> None:
    name = "a \"b\" 'c' `d` [e] %s ä;"
    table = table_of(
        tmp_path,
        f"CREATE TABLE {quote(name)} ({quote(name)} TEXT PRIMARY KEY, x REFERENCES {quote(name)})",
        f"CREATE INDEX {quote(name + 'i')} ON {quote(name)} ({quote(name)} DESC, x)",
        name=name,
    )
    assert table.key == (name,)
    assert table.foreign_keys[0].parent == name
    assert [index.columns for index in table.indexes if index.origin == "c"] == [(name, "x")]


def test_columns_keep_type_default_and_not_null(tmp_path: Path) -> None:
    table = table_of(tmp_path, "CREATE TABLE t (a VARCHAR(10) NOT NULL DEFAULT 'x''y', b, c INT DEFAULT (1+1))")
    assert [(c.name, c.declared_type, c.not_null, c.default) for c in table.columns] == [
        ("a", "VARCHAR(10)", True, "'x''y'"),
        ("b", "", False, None),
        ("c", "INT", False, "1+1"),
    ]
    assert table.key == ()


def test_a_composite_key_stands_in_key_order_not_in_column_order(tmp_path: Path) -> None:
    assert table_of(tmp_path, "CREATE TABLE t (a, b, c, PRIMARY KEY (c, a))").key == ("c", "a")


def test_foreign_keys_stand_as_declared_and_an_implicit_parent_key_is_filled_in(tmp_path: Path) -> None:
    table = table_of(
        tmp_path,
        "CREATE TABLE parent (y, x, PRIMARY KEY (x, y))",
        "CREATE TABLE t (a, b, c, up REFERENCES t (a) ON DELETE SET NULL, FOREIGN KEY (a, b) REFERENCES parent"
        " ON DELETE CASCADE ON UPDATE RESTRICT, FOREIGN KEY (c) REFERENCES missing)",
    )
    assert table.foreign_keys == (
        ForeignKey(("up",), "t", ("a",), "NO ACTION", "SET NULL"),
        ForeignKey(("a", "b"), "parent", ("x", "y"), "RESTRICT", "CASCADE"),
        ForeignKey(("c",), "missing", (), "NO ACTION", "NO ACTION"),
    )


def test_a_foreign_key_that_spells_its_parent_otherwise_is_spelt_as_the_parent_is(tmp_path: Path) -> None:
    table = table_of(
        tmp_path, "CREATE TABLE Videos (Id TEXT PRIMARY KEY)", "CREATE TABLE t (v TEXT REFERENCES vIDEOS (iD))"
    )
    assert (table.foreign_keys[0].parent, table.foreign_keys[0].parent_columns) == ("Videos", ("Id",))


@pytest.mark.parametrize(
    ("options", "without_rowid", "strict"),
    [
        ("", False, False),
        ("WITHOUT ROWID", True, False),
        ("without\n rowid, Strict", True, True),
        ("STRICT", False, True),
        ("/* WITHOUT ROWID, STRICT */", False, False),
        ("-- ) STRICT\n WITHOUT ROWID", True, False),
    ],
)
def test_table_options_are_read_from_behind_the_columns_only(
    tmp_path: Path, options: str, without_rowid: bool, strict: bool
) -> None:
    table = table_of(tmp_path, f"CREATE TABLE t (a INTEGER PRIMARY KEY, b TEXT DEFAULT ') STRICT --') {options}")
    assert (table.without_rowid, table.strict) == (without_rowid, strict)


def test_generated_columns_are_marked(tmp_path: Path) -> None:
    table = table_of(tmp_path, "CREATE TABLE t (a INT, b INT AS (a + 1), c INT AS (a * 2) STORED)")
    assert [(column.name, column.generated) for column in table.columns] == [("a", False), ("b", True), ("c", True)]


def test_indexes_tell_partial_expression_descending_unique_and_origin(tmp_path: Path) -> None:
    table = table_of(
        tmp_path,
        "CREATE TABLE t (a TEXT PRIMARY KEY, b UNIQUE, c)",
        "CREATE INDEX plain ON t (b, c DESC)",
        "CREATE UNIQUE INDEX part ON t (c) WHERE c > 0",
        "CREATE INDEX expr ON t (lower(a), c)",
    )
    found = {i.name: (i.columns, i.descending, i.unique, i.origin, i.partial) for i in table.indexes}
    assert found == {
        "sqlite_autoindex_t_1": (("a",), (False,), True, "pk", False),
        "sqlite_autoindex_t_2": (("b",), (False,), True, "u", False),
        "plain": (("b", "c"), (False, True), False, "c", False),
        "part": (("c",), (False,), True, "c", True),
        "expr": ((None, "c"), (False, False), False, "c", False),
    }


@pytest.mark.parametrize(
    ("virtual", "storage"),
    [
        ("docs USING fts5(x)", {"docs_data", "docs_idx", "docs_content", "docs_docsize", "docs_config"}),
        ("docs USING fts4(x)", {"docs_content", "docs_segments", "docs_segdir", "docs_docsize", "docs_stat"}),
        ('"docs" using "rtree"(id, a, b)', {"docs_node", "docs_rowid", "docs_parent"}),
    ],
)
def test_the_storage_of_a_virtual_table_is_told_from_a_table_with_a_similar_name(
    tmp_path: Path, virtual: str, storage: set[str]
) -> None:
    catalog = catalog_of(
        tmp_path, f"CREATE VIRTUAL TABLE {virtual}", "CREATE TABLE docs_history (x)", "CREATE TABLE docsx (x)"
    )
    kinds: dict[str, set[str]] = {}
    for table in catalog.tables:
        kinds.setdefault(table.kind, set()).add(table.name)
    assert kinds == {"virtual": {"docs"}, "shadow": storage, "table": {"docs_history", "docsx"}}


def test_a_virtual_table_whose_module_is_missing_stands_in_nobodys_way(tmp_path: Path) -> None:
    path = make(tmp_path / "x.db", "CREATE TABLE t (x)", "CREATE VIRTUAL TABLE v USING fts5(x)")
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute("UPDATE sqlite_master SET sql = replace(sql, 'fts5', 'nowhere') WHERE name = 'v'")
    with closing(open_readonly(path)) as connection:
        assert {table.name: table.kind for table in read_catalog(connection).tables}["v"] == "virtual"


def test_views_and_triggers_are_known_by_name_and_sqlites_own_tables_are_not_ours(tmp_path: Path) -> None:
    catalog = catalog_of(
        tmp_path,
        "CREATE TABLE t (x INTEGER PRIMARY KEY AUTOINCREMENT)",
        "CREATE VIEW v AS SELECT * FROM t",
        "CREATE TRIGGER g AFTER INSERT ON t BEGIN SELECT 1; END",
        "ANALYZE",
    )
    assert [table.name for table in catalog.tables] == ["t"]
    assert (catalog.views, catalog.triggers) == (("v",), ("g",))


@pytest.mark.parametrize(("name", "folded"), [("AbC", "abc"), ("É", "É"), ("\u212a", "\u212a"), ("a_Z9", "a_z9")])
def test_names_fold_as_in_sqlite_ascii_letters_only(name: str, folded: str) -> None:
    assert fold(name) == folded
