# SPDX-License-Identifier: GPL-3.0-or-later
"""Rows that changed in PostgreSQL after the switch come back into SQLite as it spells them, and nothing else moves."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from _databases import Database, fresh_database, two_profiles
from _replays import Online
from _servers import Server
from ansible_collections.sxops.pg_cutover.plugins.module_utils._errors import ReplayError
from ansible_collections.sxops.pg_cutover.plugins.module_utils._policies import CONVERTIBLE

CONVERT = {"policies": dict.fromkeys(CONVERTIBLE, "convert")}


@pytest.fixture(scope="module")
def database(server: Server) -> Iterator[Database]:
    with fresh_database(server, "replay_back") as found:
        yield found


@pytest.fixture
def online(database: Database, tmp_path: Path) -> Online:
    """A whole file that is one profile's; the test makes the tables."""
    return Online(database, tmp_path / "live.db")


@pytest.fixture
def videos(database: Database, tmp_path: Path) -> Online:
    made = two_profiles(database, tmp_path / "live.db")
    made.sqlite("DROP TABLE events")
    made.postgres("DROP TABLE events")
    return Online(made.database, made.sqlite_path, made.source_id, made.options)


GUID, OTHER = "6f9619ff-8b86-d011-b42d-00c04fc964ff", "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee"
# The column in SQLite, in PostgreSQL, what SQLite holds, what PostgreSQL is set to, what SQLite holds then.
KINDS: dict[str, tuple[str, str, Any, str, str]] = {
    "integer": ("INT", "int", 5, "7", "integer:7"),
    "int8": ("INT", "bigint", 5, "9223372036854775807", "integer:9223372036854775807"),
    "text": ("TEXT", "text", "x", "'it''s é \n'", "text:it's é \n"),
    "empty text": ("TEXT", "text", "x", "''", "text:"),
    "varchar": ("TEXT", "varchar(5)", "x", "'abc'", "text:abc"),
    "char": ("TEXT", "char(5)", "x", "'abc'", "text:abc"),
    "enum": ("TEXT", "mood", "sad", "'glad'", "text:glad"),
    "float": ("REAL", "double precision", 0.1, "0.30000000000000004", "real:0.3"),
    "infinity": ("REAL", "double precision", 0.1, "'-Infinity'", "real:-Inf"),
    "float4": ("REAL", "real", 0.5, "0.1", "real:0.100000001490116"),
    "numeric": ("NUMERIC", "numeric", 5, "12.50", "real:12.5"),
    "numeric integer": ("NUMERIC", "numeric", 5.5, "9007199254740993", "integer:9007199254740993"),
    "numeric as text": ("TEXT", "numeric", "1.50", "12345678901234567890.125", "text:12345678901234567890.125"),
    "integer as text": ("TEXT", "int", "5", "7", "text:7"),
    "number in text": ("", "text", 5, "'7'", "integer:7"),
    "word where numbers were": ("", "text", 5, "'seven'", "text:seven"),
    "zeros where numbers were": ("", "text", 5, "'007'", "text:007"),
    "bool": ("BOOLEAN", "boolean", 0, "true", "integer:1"),
    "bool as letters": ("TEXT", "boolean", "t", "false", "text:f"),
    "bool as words": ("TEXT", "boolean", "True", "false", "text:False"),
    "bool as capitals": ("TEXT", "boolean", "YES", "false", "text:NO"),
    "bytea": ("BLOB", "bytea", b"x", r"'\x41ff'", "blob:41FF"),
    "bytea as hex": ("TEXT", "bytea", "\\x41", r"'\x42ff'", "text:\\x42ff"),
    "bytea as text": ("TEXT", "bytea", "pem", "'key'", "text:key"),
    "json": ("TEXT", "json", "{}", """'{"a":  1}'""", 'text:{"a":  1}'),
    "jsonb": ("TEXT", "jsonb", "{}", """'{"b": 1.50, "a": [1,2]}'""", 'text:{"a": [1, 2], "b": 1.50}'),
    "date": ("TEXT", "date", "2024-01-02", "'2025-03-04'", "text:2025-03-04"),
    "time": ("TEXT", "time", "10:20:30", "'11:22:33.5'", "text:11:22:33.5"),
    "time without seconds": ("TEXT", "time", "10:20", "'11:22'", "text:11:22"),
    "uuid": ("TEXT", "uuid", GUID, f"'{OTHER}'", f"text:{OTHER}"),
    "uuid without dashes": ("TEXT", "uuid", GUID.replace("-", ""), f"'{OTHER}'", f"text:{OTHER.replace('-', '')}"),
    "uuid in capitals": ("TEXT", "uuid", GUID.upper(), f"'{OTHER}'", f"text:{OTHER.upper()}"),
    "uuid as octets": ("BLOB", "uuid", bytes(16), f"'{OTHER}'", f"blob:{OTHER.upper().replace('-', '')}"),
    "timestamptz": (
        "TEXT",
        "timestamptz",
        "2024-01-02T03:04:05Z",
        "'2025-03-04 05:06:07+00'",
        "text:2025-03-04T05:06:07Z",
    ),
    "milliseconds": (
        "TEXT",
        "timestamptz",
        "2024-01-02T03:04:05.000Z",
        "'2025-03-04 05:06:07.5+00'",
        "text:2025-03-04T05:06:07.500Z",
    ),
    "more digits than usual": (
        "TEXT",
        "timestamptz",
        "2024-01-02T03:04:05.000Z",
        "'2025-03-04 05:06:07.123456+00'",
        "text:2025-03-04T05:06:07.123456Z",
    ),
    "another zone": (
        "TEXT",
        "timestamptz",
        "2024-01-02 03:04:05+05:30",
        "'2025-03-04 23:06:07+00'",
        "text:2025-03-05 04:36:07+05:30",
    ),
    "naive": ("TEXT", "timestamptz", "2024-01-02 03:04:05", "'2025-03-04 05:06:07+00'", "text:2025-03-04 05:06:07"),
    "a day": ("TEXT", "timestamp", "2024-01-02", "'2025-03-04'", "text:2025-03-04"),
    "no day any more": ("TEXT", "timestamp", "2024-01-02", "'2025-03-04 01:00'", "text:2025-03-04 01:00:00"),
    "python": (
        "TEXT",
        "timestamp",
        "2024-01-02 03:04:05.000001",
        "'2025-03-04 05:06:07.5'",
        "text:2025-03-04 05:06:07.500000",
    ),
    "seconds": ("INT", "timestamptz", 1700000000, "'2025-03-04 05:06:07+00'", "integer:1741064767"),
    "thousands": ("INT", "timestamptz", 1700000000000, "'2025-03-04 05:06:07.25+00'", "integer:1741064767250"),
    "Julian": ("REAL", "timestamptz", 2460000.5, "'2025-03-04 12:00+00'", "real:2460739.0"),
    "NULL": ("TEXT", "text", "x", "NULL", ""),
}


@pytest.mark.parametrize("what", list(KINDS))
def test_a_value_comes_back_as_the_column_is_spelt(online: Online, what: str) -> None:
    declared, target, before, value, after = KINDS[what]
    online = dataclasses.replace(online, options=CONVERT)
    online.sqlite(
        f"CREATE TABLE t (id INTEGER PRIMARY KEY, x {declared}, y TEXT)",
        *(("INSERT INTO t VALUES (?, ?, ?)", (number, before, "same")) for number in (1, 2)),
    )
    online.create_schema(
        f"CREATE TYPE mood AS ENUM ('sad', 'glad'); CREATE TABLE t (id int PRIMARY KEY, x {target}, y text)"
    )
    online.begin()
    untouched = online.rows("t")[1]
    online.postgres(f"UPDATE t SET x = {value} WHERE id = 1; INSERT INTO t VALUES (9, {value}, 'new')")
    assert online.back().upserted == 2
    expected = after or None
    assert online.rows("t") == [("integer:1", expected, "text:same"), untouched, ("integer:9", expected, "text:new")]
    assert online.equal()


MISFITS = {
    "NaN": ("REAL", "double precision", "'NaN'"),
    "NaN of numeric": ("NUMERIC", "numeric", "'NaN'"),
    "too many digits": ("NUMERIC", "numeric", "0.12345678901234567890123"),
    "too large": ("NUMERIC", "numeric", "12345678901234567890123"),
    "a time without end": ("TEXT", "timestamptz", "'infinity'"),
    "before Christ": ("TEXT", "timestamp", "'0044-03-15 BC'"),
    "text that an affinity turns into a number": ("INT", "text", "'007'"),
    "a check of SQLite": ("TEXT CHECK (x <> 'bad')", "text", "'bad'"),
    "NULL": ("TEXT NOT NULL DEFAULT ''", "text", "NULL"),
}


@pytest.mark.parametrize("what", list(MISFITS))
def test_a_value_that_does_not_fit_stops_by_key(online: Online, what: str) -> None:
    declared, target, value = MISFITS[what]
    online.sqlite(f"CREATE TABLE t (id INTEGER PRIMARY KEY, x {declared})")
    online.create_schema(f"CREATE TABLE t (id int PRIMARY KEY, x {target})")
    online.begin()
    online.postgres(f"INSERT INTO t VALUES (42, {value})")
    with pytest.raises(ReplayError) as refused:
        online.back()
    assert (refused.value.facts["table"], refused.value.facts["key"]) == ("t", "(id=42)")
    assert online.rows("t") == []
    assert online.database.run("SELECT count(*) FROM sxops_cutover.change WHERE replayed_at IS NULL") == [(1,)]


@pytest.mark.parametrize("null", ["", "NOT NULL"])
def test_unique_values_change_hands(online: Online, null: str) -> None:
    online.sqlite(
        f"CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT {null} UNIQUE ON CONFLICT REPLACE, x BLOB)",
        "INSERT INTO t VALUES (1, 'a', x'01'), (2, 'b', x'02'), (3, 'c', x'03'), (4, 'd', x'04')",
    )
    online.create_schema(f"CREATE TABLE t (id int PRIMARY KEY, name text {null} UNIQUE DEFERRABLE, x bytea)")
    online.begin()
    online.postgres(
        "BEGIN; SET CONSTRAINTS ALL DEFERRED;"
        "UPDATE t SET name = 'b' WHERE id = 1; UPDATE t SET name = 'a' WHERE id = 2;"
        "UPDATE t SET name = 'x' WHERE id = 4; UPDATE t SET name = 'd' WHERE id = 3; INSERT INTO t VALUES (5, 'c', '');"
        "COMMIT"
    )
    online.back()
    assert online.equal()
    assert [row[1] for row in online.rows("t")] == ["text:b", "text:a", "text:d", "text:x", "text:c"]


def test_a_number_that_another_profile_has_stops_by_key(videos: Online) -> None:
    videos.begin()
    videos.postgres("INSERT INTO jobs VALUES (101, 'a', 'mine')")
    with pytest.raises(ReplayError) as refused:
        videos.back()
    assert refused.value.facts["key"] == "(id=101)"
    videos.postgres("UPDATE jobs SET id = 200 WHERE id = 101; INSERT INTO jobs VALUES (201, 'b', 'theirs')")
    with pytest.raises(ReplayError, match="another profile's"):
        videos.back()


def test_triggers_that_write_into_captured_tables_do_not_fire_again(online: Online) -> None:
    online.sqlite(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, x TEXT, changed INT DEFAULT 0)",
        "CREATE TABLE history (id INTEGER PRIMARY KEY, t INT, x TEXT)",
        "CREATE VIRTUAL TABLE search USING fts5(x, content=t, content_rowid=id)",
        "CREATE TRIGGER note AFTER INSERT ON t BEGIN"
        ' INSERT OR IGNORE INTO "history" (t, x) VALUES (NEW.id, NEW.x); END',
        "CREATE TRIGGER count_up AFTER UPDATE ON t BEGIN UPDATE t SET changed = changed + 1 WHERE id = NEW.id; END",
        "CREATE TRIGGER find AFTER INSERT ON t BEGIN INSERT INTO search (rowid, x) VALUES (NEW.id, NEW.x); END",
        "INSERT INTO t (x) VALUES ('old')",
    )
    online.create_schema(
        "CREATE TABLE t (id int PRIMARY KEY, x text, changed int);"
        "CREATE TABLE history (id int PRIMARY KEY, t int, x text)"
    )
    online.begin()
    before = online.declared()
    online.postgres("INSERT INTO t VALUES (2, 'new', 0); INSERT INTO history VALUES (2, 2, 'new')")
    online.back()
    online.postgres("UPDATE t SET changed = 8 WHERE id = 1")
    online.back()
    assert online.equal()
    assert online.declared() == before
    assert online.read("SELECT rowid FROM search WHERE search MATCH 'new'") == [(2,)]
    assert online.read("SELECT changed FROM t") == [(8,), (0,)]


def test_numbers_are_not_given_twice(online: Online) -> None:
    online.sqlite("CREATE TABLE t (id INTEGER PRIMARY KEY AUTOINCREMENT, x TEXT)", "INSERT INTO t (x) VALUES ('a')")
    online.create_schema("CREATE TABLE t (id bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, x text)")
    online.begin()
    online.postgres("INSERT INTO t (x) VALUES ('b'), ('c'), ('d'); DELETE FROM t WHERE id > 2")
    online.back()
    online.sqlite("INSERT INTO t (x) VALUES ('e')")
    assert online.rows("t") == [("integer:1", "text:a"), ("integer:2", "text:b"), ("integer:5", "text:e")]


def test_keys_in_another_spelling_are_found(online: Online) -> None:
    online = dataclasses.replace(online, options=CONVERT)
    spellings = [GUID, "7F9619FF8B86D011B42D00C04FC964FF", "8F9619fF8b86D011B42D00C04FC964FF"]
    online.sqlite(
        "CREATE TABLE ids (k TEXT PRIMARY KEY, x TEXT)",
        "CREATE TABLE times (k TEXT, n NUMERIC, x TEXT, PRIMARY KEY (k, n))",
        "CREATE TABLE names (k TEXT COLLATE NOCASE PRIMARY KEY, x TEXT)",
        *(("INSERT INTO ids VALUES (?, 'x')", (key,)) for key in (*spellings, bytes(range(16)))),
        "INSERT INTO times VALUES ('2024-01-02T03:04:05Z', 1.5, 'x'), ('2024-01-02 03:04:05+00', 2, 'y')",
        "INSERT INTO names VALUES ('bob', 'x')",
    )
    online.create_schema(
        "CREATE TABLE ids (k uuid PRIMARY KEY, x text);"
        "CREATE TABLE times (k timestamptz, n numeric, x text, PRIMARY KEY (k, n));"
        "CREATE TABLE names (k text PRIMARY KEY, x text)"
    )
    online.begin()
    online.postgres("UPDATE ids SET x = 'new'; UPDATE times SET x = 'new'; UPDATE names SET k = 'Bob'")
    assert online.back().upserted == 7
    assert online.equal()
    assert {row[0] for row in online.rows("ids")} >= {f"text:{key}" for key in spellings}
    assert online.rows("names") == [("text:Bob", "text:x")]
    online.postgres("DELETE FROM ids; DELETE FROM times")
    assert online.back().deleted == 6
    assert online.equal()


def test_wide_and_long_values_come_back(online: Online) -> None:
    online.sqlite("CREATE TABLE t (id TEXT PRIMARY KEY, x TEXT, y BLOB, z INT)")
    online.sqlite("INSERT INTO t VALUES ('k', 'x', x'', 1)")
    online.create_schema("CREATE TABLE t (id text PRIMARY KEY, x text, y bytea, z int)")
    online.begin()
    online.postgres("UPDATE t SET x = repeat('é', 5000000), y = decode(repeat('00ff', 5000000), 'hex')")
    online.postgres("INSERT INTO t VALUES (repeat('k', 2000), 'x', NULL, 1)")
    online.back()
    assert online.equal()


def test_many_columns_and_many_keys_need_no_bound_parameters(online: Online) -> None:
    # S58: SQLite binds 32766 at most, PostgreSQL 65535.
    columns = [f"c{number}" for number in range(400)]
    online.sqlite(f"CREATE TABLE wide (id INTEGER PRIMARY KEY, {', '.join(f'{name} INT' for name in columns)})")
    online.sqlite("CREATE TABLE many (a INT, b INT, PRIMARY KEY (a, b))")
    online.create_schema(
        f"CREATE TABLE wide (id int PRIMARY KEY, {', '.join(f'{name} int' for name in columns)});"
        "CREATE TABLE many (a int, b int, PRIMARY KEY (a, b))"
    )
    online.begin()
    online.postgres(
        f"INSERT INTO wide SELECT n, {', '.join(['n'] * 400)} FROM generate_series(1, 200) AS n;"
        "INSERT INTO many SELECT n, n FROM generate_series(1, 40000) AS n"
    )
    assert online.back().upserted == 40200
    assert online.equal()
    online.sqlite("UPDATE wide SET c0 = -7", "UPDATE many SET b = b + 1")
    assert online.forward().upserted == 40200
    assert online.equal()


def test_generated_columns_are_left_to_sqlite(online: Online) -> None:
    online.sqlite("CREATE TABLE t (id INTEGER PRIMARY KEY, n INT, twice INT AS (2 * n), half REAL AS (n / 2.0) STORED)")
    online.create_schema("CREATE TABLE t (id int PRIMARY KEY, n int, twice int GENERATED ALWAYS AS (2 * n) STORED)")
    online.postgres("ALTER TABLE t ADD half double precision")
    online.sqlite("INSERT INTO t VALUES (1, 1)")
    online.begin()
    online.postgres("UPDATE t SET n = 6, half = 3; INSERT INTO t (id, n, half) VALUES (2, 8, 4)")
    online.back()
    assert online.equal()
    online.postgres("UPDATE t SET half = 9 WHERE id = 2")
    with pytest.raises(ReplayError) as refused:
        online.back()
    assert (refused.value.facts["key"], refused.value.facts["column"]) == ("(id=2)", "half")


def test_a_row_that_was_set_aside_is_nobodys_to_change(online: Online) -> None:
    online = dataclasses.replace(online, options={"policies": {"nul_character": "quarantine"}})
    online.sqlite(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, x TEXT)", ("INSERT INTO t VALUES (1, ?), (2, 'b')", ("a\0",))
    )
    online.create_schema("CREATE TABLE t (id int PRIMARY KEY, x text)")
    online.begin()
    before = online.rows("t")
    online.postgres("INSERT INTO t VALUES (1, 'mine'); DELETE FROM t WHERE id = 1")
    assert online.back().tables == {}
    assert online.rows("t") == before
    assert online.equal()
    online.postgres("INSERT INTO t VALUES (1, 'mine')")
    with pytest.raises(ReplayError, match="was set aside"):
        online.back()
