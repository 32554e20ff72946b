# SPDX-License-Identifier: GPL-3.0-or-later
"""Both stores are read again, and every lie about the rows is found out."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from _databases import (
    VIDEOS,
    WHOLE,
    Database,
    Tenant,
    failed,
    fresh_database,
    messages,
    two_profiles,
)
from _servers import Server
from ansible_collections.sxops.pg_cutover.plugins.module_utils._verdict import FAILED, NOT_VERIFIED, PASSED


@pytest.fixture(scope="module")
def database(server: Server) -> Iterator[Database]:
    with fresh_database(server, "parity") as found:
        yield found


@pytest.fixture
def tenant(database: Database, tmp_path: Path) -> Tenant:
    """A whole file that is one profile's; the test makes the tables."""
    return Tenant(database, tmp_path / "snapshot.db")


@pytest.fixture
def videos(database: Database, tmp_path: Path) -> Tenant:
    return two_profiles(database, tmp_path / "snapshot.db")


LIES = {
    "a row deleted": ("DELETE FROM jobs WHERE id = 102", "missing jobs (id=102)"),
    "a row added": ("INSERT INTO videos VALUES ('a', 'new', NULL, 0, 0)", "extra videos (source_id=a, id=new)"),
    "a float rounded": (
        "UPDATE videos SET score = score::real WHERE id = 'v07'",
        "different videos (source_id=a, id=v07) in column(s) score",
    ),
    "the smallest change of a float": (
        "UPDATE videos SET score = 7.1000000000000005 WHERE id = 'v07'",
        "different videos (source_id=a, id=v07) in column(s) score",
    ),
    "a text cut off": (
        "UPDATE videos SET title = left(title, -1) WHERE id = 'v11'",
        "different videos (source_id=a, id=v11) in column(s) title",
    ),
    "a blank added": (
        "UPDATE videos SET title = title || ' ' WHERE id = 'v11'",
        "different videos (source_id=a, id=v11) in column(s) title",
    ),
    "NULL for a number": (
        "UPDATE videos SET size = NULL WHERE id = 'v00'",
        "different videos (source_id=a, id=v00) in column(s) size",
    ),
    "an empty text for NULL": (
        "UPDATE events SET what = '' WHERE ctid = (SELECT min(ctid) FROM events WHERE what IS NULL)",
        "extra events (source_id=a, what=), a row without a key",
    ),
    "a duplicate in a table without a key": (
        "INSERT INTO events VALUES ('a', 'x')",
        "extra events (source_id=a, what=x), a row without a key",
    ),
    "a duplicate lost from a table without a key": (
        "DELETE FROM events WHERE ctid = (SELECT min(ctid) FROM events WHERE what = 'x')",
        "missing events (source_id=a, what=x), a row without a key",
    ),
    "one duplicate in place of another row": (
        "UPDATE events SET what = 'x' WHERE what = 'y'",
        "missing events (source_id=a, what=y)",
    ),
    "two rows with their values exchanged": (
        "UPDATE videos SET title = CASE id WHEN 'v01' THEN 'a 2' ELSE 'a 1' END WHERE id IN ('v01', 'v02')",
        "different videos (source_id=a, id=v01) in column(s) title; different videos (source_id=a, id=v02) in",
    ),
    "two columns exchanged": (
        "UPDATE videos SET title = id, id = title WHERE id = 'v39'",
        "missing videos (source_id=a, id=v39); extra videos (source_id=a, id=a 39)",
    ),
    "a row of another profile in place of ours": (
        "UPDATE videos SET source_id = 'b', title = 'b 30' WHERE id = 'v30'",
        "missing videos (source_id=a, id=v30); extra videos (source_id=b, id=v30)",
    ),
    "a row of another profile beside ours": (
        "INSERT INTO events VALUES ('b', 'x')",
        "extra events (source_id=b, what=x)",
    ),
}


@pytest.mark.parametrize("lie", list(LIES))
def test_a_lie_is_found_with_row_and_column(videos: Tenant, lie: str) -> None:
    statement, named = LIES[lie]
    videos.load()
    videos.postgres(f"SET session_replication_role = replica; {statement}")
    assert named in messages(videos)


def test_rows_swapped_between_two_profiles_are_found_on_both_sides(videos: Tenant) -> None:
    other = Tenant(videos.database, videos.sqlite_path, "b", videos.options)
    other.create_schema(VIDEOS)
    videos.load()
    other.load()
    videos.database.run(
        "UPDATE sx_a.videos SET title = 'b 5' WHERE id = 'v05'; UPDATE sx_b.videos SET title = 'a 5' WHERE id = 'v05'"
    )
    assert "different videos (source_id=a, id=v05) in column(s) title" in messages(videos)
    assert "different videos (source_id=b, id=v05) in column(s) title" in messages(other)


def test_rows_of_other_profiles_have_a_check_of_their_own(videos: Tenant) -> None:
    videos.load()
    videos.postgres("INSERT INTO events VALUES ('b', 'x')")
    assert "rows of other profiles in events" in failed(videos)


def test_orphans_and_duplicates_that_constraints_overlooked_are_found(videos: Tenant) -> None:
    videos.load()
    videos.postgres("SET session_replication_role = replica; DELETE FROM videos WHERE id = 'v03'")
    assert "rows of notes without a parent in videos" in failed(videos)


def test_many_differences_are_counted_and_the_first_named(videos: Tenant) -> None:
    videos.load()
    videos.postgres("UPDATE videos SET size = size + 1")
    (table,) = (table for table in videos.parity().tables if table.table == "videos")
    assert (table.different, table.missing, table.extra, table.complete) == (40, 0, 0, True)
    assert len(table.first_differences) == 20


def test_differences_in_a_large_table_are_named_among_thousands_of_equal_rows(tenant: Tenant) -> None:
    tenant.sqlite(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, x TEXT)",
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 30000)"
        " INSERT INTO t SELECT i, 'text ' || i FROM n",
    )
    tenant.create_schema("CREATE TABLE t (id int PRIMARY KEY, x text)")
    tenant.load()
    assert tenant.parity().verdict == PASSED
    tenant.postgres("UPDATE t SET x = 'lie' WHERE id = 17000; DELETE FROM t WHERE id = 29999")
    text = messages(tenant)
    assert "different t (id=17000) in column(s) x" in text
    assert "missing t (id=29999)" in text


def test_changed_rows_are_paired_however_many_there_are(tenant: Tenant) -> None:
    tenant.sqlite(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, x TEXT)",
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 70000)"
        " INSERT INTO t SELECT i, 'text ' || i FROM n",
    )
    tenant.create_schema("CREATE TABLE t (id int PRIMARY KEY, x text)")
    tenant.load()
    tenant.postgres("UPDATE t SET x = x || '!' WHERE id % 10 = 0")
    (table,) = tenant.parity().tables
    assert (table.missing, table.extra) == (0, 0)
    assert 3000 < table.different < 7000
    assert table.complete is False
    assert {(found.kind, found.columns) for found in table.first_differences} == {("different", ("x",))}
    tenant.postgres("UPDATE t SET x = rtrim(x, '!'); UPDATE t SET x = 'lie' WHERE id IN (1, 777, 69999)")
    (table,) = tenant.parity().tables
    assert (table.missing, table.extra, table.different, table.complete) == (0, 0, 3, True)


def test_columns_that_both_stores_generate_are_compared_though_they_do_not_travel(tenant: Tenant) -> None:
    tenant.sqlite(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, x INT, y INT AS (x * 2) STORED, z TEXT AS (x || 'z'))",
        "INSERT INTO t (id, x) VALUES (1, 1), (2, 5)",
    )
    generated = "y int GENERATED ALWAYS AS (x * %s) STORED"
    tenant.create_schema(f"CREATE TABLE t (id int PRIMARY KEY, x int, {generated % 2})")
    assert [found["reason"].split(":")[0] for found in tenant.load()["left_out"]] == [
        "generated column without a counterpart"
    ]
    assert tenant.parity().verdict == PASSED
    tenant.create_schema(f"CREATE TABLE t (id int PRIMARY KEY, x int, {generated % 3})")
    tenant.load()
    assert tenant.actions() == {"t": "keep"}
    assert "different t (id=1) in column(s) y; different t (id=2) in column(s) y" in messages(tenant)


@pytest.mark.parametrize("mode", ["keys", "counts"])
def test_less_than_every_value_never_passes_and_says_so(videos: Tenant, mode: str) -> None:
    videos.load()
    found = videos.parity(mode)
    assert found.verdict == NOT_VERIFIED
    compared = [check.message for check in found.checks if check.name.startswith("rows of ")]
    assert len(compared) == len(WHOLE)
    assert all("were compared, the rows were not" in text for text in compared)
    videos.postgres("DELETE FROM notes WHERE id = 'v03'")
    assert videos.parity(mode).verdict == FAILED


def test_keys_find_an_exchanged_row_that_counts_do_not(videos: Tenant) -> None:
    videos.load()
    videos.postgres("UPDATE notes SET id = 'v25' WHERE id = 'v03'")
    assert videos.parity("counts").verdict == NOT_VERIFIED
    assert videos.parity("keys").verdict == FAILED


def test_nothing_to_compare_is_not_verified(videos: Tenant) -> None:
    videos.sqlite(*(f"DELETE FROM {name}" for name in WHOLE))
    videos.load()
    found = videos.parity()
    assert found.verdict == NOT_VERIFIED
    assert any("nothing is proven" in check.message for check in found.checks)


def test_a_file_that_lost_its_rows_after_the_load_does_not_pass(videos: Tenant) -> None:
    videos.load()
    videos.sqlite(*(f"DELETE FROM {name} WHERE source_id = 'a'" for name in WHOLE))
    assert videos.parity().verdict == FAILED


@pytest.mark.parametrize(
    ("declared", "target", "keys"),
    [
        ("BLOB", "bytea", [b"\x00\xff", b"", b"abc"]),
        ("BOOLEAN", "boolean", [0, 1]),
        ("NUMERIC", "numeric", [0.1, 10, 2.5]),
        ("REAL", "double precision", [0.1, 1e300, math.inf]),
        ("TEXT", "text", ["B", "a", "ä", "~", ""]),
        ("TEXT", "varchar(5)", ["abc", "abcde"]),
    ],
)
def test_a_key_of_any_type_is_sampled_and_sliced_alike_in_both_stores(
    tenant: Tenant, declared: str, target: str, keys: list[Any]
) -> None:
    tenant.sqlite(
        f"CREATE TABLE t (k {declared} PRIMARY KEY, x INT)",
        *(("INSERT INTO t VALUES (?, ?)", (key, number)) for number, key in enumerate(keys)),
    )
    tenant.create_schema(f"CREATE TABLE t (k {target} PRIMARY KEY, x int)")
    tenant.load()
    found = tenant.parity()
    assert found.verdict == PASSED
    assert {f"{len(keys)} sampled rows of t", "first 10 rows of t by key"} <= {check.name for check in found.checks}


def test_a_key_that_holds_null_is_no_false_alarm(tenant: Tenant) -> None:
    tenant.sqlite(
        "CREATE TABLE t (k TEXT PRIMARY KEY, x INT)",
        "INSERT INTO t VALUES (NULL, 1), (NULL, 2), ('a', 3), ('b', 4)",
    )
    tenant.create_schema("CREATE TABLE t (k text, x int)")
    tenant.load()
    assert tenant.parity().verdict == PASSED


def test_shared_rows_are_compared_by_their_named_columns_only(videos: Tenant) -> None:
    videos.sqlite(
        "CREATE TABLE sources (id TEXT PRIMARY KEY, label TEXT, enabled INT, seen TEXT)",
        "INSERT INTO sources VALUES ('a', 'Assets', 1, 'now')",
    )
    videos.database.run(
        "DROP TABLE IF EXISTS public.sources;"
        "CREATE TABLE public.sources (id text PRIMARY KEY, label text, enabled boolean, seen text);"
        "INSERT INTO public.sources VALUES ('a', 'Assets', true, 'later')"
    )
    shared = [{"name": "sources", "target": "public.sources", "key": "id", "columns": ["label", "enabled"]}]
    tenant = Tenant(videos.database, videos.sqlite_path, "a", {**videos.options, "shared_tables": shared})
    tenant.load()
    assert tenant.parity().verdict == PASSED
    tenant.database.run("UPDATE public.sources SET label = 'Other'")
    assert failed(tenant) == {"row of a in public.sources"}
    tenant.sqlite("DELETE FROM sources")
    assert tenant.parity().verdict == NOT_VERIFIED


def test_a_number_that_autoincrement_gave_is_never_given_again(tenant: Tenant) -> None:
    tenant.sqlite(
        "CREATE TABLE t (id INTEGER PRIMARY KEY AUTOINCREMENT, x TEXT)",
        "INSERT INTO t VALUES (7, 'x'), (41, 'y')",
        "DELETE FROM t WHERE id = 41",
    )
    tenant.create_schema("CREATE TABLE t (id bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, x text)")
    tenant.load()
    assert tenant.parity().verdict == PASSED
    assert tenant.postgres("INSERT INTO t (x) VALUES ('z') RETURNING id") == [(42,)]
    tenant.postgres("DELETE FROM t WHERE id = 42; ALTER SEQUENCE t_id_seq RESTART WITH 20")
    assert failed(tenant) == {"sequence of t.id"}


WIDE = "w" * 3000


def test_wide_rows_without_a_key_are_named_though_only_their_digests_are_held(tenant: Tenant) -> None:
    tenant.sqlite(
        "CREATE TABLE t (x TEXT, y BLOB)",
        *(("INSERT INTO t VALUES (?, ?)", (WIDE + str(n), b"b" * 400)) for n in (1, 1, 2, 3)),
    )
    tenant.create_schema("CREATE TABLE t (x text, y bytea)")
    tenant.load()
    assert tenant.parity().verdict == PASSED
    tenant.postgres("UPDATE t SET y = 'c' WHERE x LIKE '%w3'")
    tenant.postgres("DELETE FROM t WHERE ctid = (SELECT min(ctid) FROM t WHERE x LIKE '%w1')")
    tenant.postgres("INSERT INTO t SELECT x || '!', y FROM t, generate_series(1, 3) WHERE x LIKE '%w2'")
    (table,) = tenant.parity().tables
    assert (table.missing, table.extra, table.different, table.complete) == (2, 4, 0, True)
    assert sum("x=3001 octets with SHA-256" in found.key for found in table.first_differences) == 3
    assert sum("x=3002 octets with SHA-256" in found.key for found in table.first_differences) == 3


@pytest.mark.parametrize("octets", [1023, 1024, 1025, 100_000])
def test_a_change_within_a_large_value_is_found(tenant: Tenant, octets: int) -> None:
    tenant.sqlite(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, x TEXT, y BLOB)",
        ("INSERT INTO t VALUES (1, ?, ?)", ("é" + "x" * (octets - 2), b"\x00" * octets)),
    )
    tenant.create_schema("CREATE TABLE t (id int PRIMARY KEY, x text, y bytea)")
    tenant.load()
    assert tenant.parity().verdict == PASSED
    tenant.postgres("UPDATE t SET x = overlay(x PLACING 'y' FROM 500), y = set_byte(y, 500, 1)")
    assert "different t (id=1) in column(s) x, y" in messages(tenant)
