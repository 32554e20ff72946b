# SPDX-License-Identifier: GPL-3.0-or-later
"""The comparison while PostgreSQL is live: no write ever looks like damage, and damage is always found and named."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from _databases import Database, Tenant, fresh_database
from _module_process import run_process
from _online import POSTGRES_SCHEMA, Online, begin, make_file
from _servers import Server
from ansible_collections.sxops.pg_cutover.plugins.module_utils import _return_path, _sqlite_writer, _switch
from ansible_collections.sxops.pg_cutover.plugins.module_utils._errors import CutoverError
from ansible_collections.sxops.pg_cutover.plugins.module_utils._live_comparison import compare_live
from ansible_collections.sxops.pg_cutover.plugins.module_utils._verdict import FAILED, NOT_VERIFIED, PASSED, Check
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

PROPERTY = settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
# What somebody does who is not the application: no trigger sees it.
PAST_CAPTURE = "SET session_replication_role = replica; "


@pytest.fixture(scope="module")
def database(server: Server) -> Iterator[Database]:
    with fresh_database(server, "live_comparison") as created:
        yield created


def switched(database: Database, path: Path, items: int = 60) -> Online:
    online = begin(database, path, items=items)
    with online.stores() as stores:
        _switch.to_postgres(stores, "counts", None)
    return online


@pytest.fixture
def online(database: Database, tmp_path: Path) -> Online:
    return switched(database, tmp_path / "live.db")


@pytest.fixture(scope="module")
def lasting(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Online]:
    """A profile that many examples share."""
    with fresh_database(server, "live_comparison_property") as created:
        yield switched(created, tmp_path_factory.mktemp("lasting") / "live.db")


def checks(online: Online, deep: bool = False) -> dict[str, Check]:
    with online.tenant.stores() as stores:
        columns = {name: table.columns for name, table in stores.targets.items()}
        found = compare_live(
            stores.connection, stores.source, stores.plan, online.names, "a", "sx_a", deep=deep, columns=columns
        )
        assert not stores.source.in_transaction
    return {check.name: check for check in found}


def failures(online: Online, deep: bool = False) -> dict[str, str]:
    found = checks(online, deep)
    assert not [check for check in found.values() if check.verdict == NOT_VERIFIED], found
    return {name: check.message for name, check in found.items() if check.verdict == FAILED}


def drain(online: Online, batch: int = 200) -> None:
    with (
        online.tenant.stores() as stores,
        contextlib.closing(_sqlite_writer.open_writable(str(online.tenant.sqlite_path), 5000)) as target,
    ):
        stores.source.execute("ROLLBACK")
        assert _return_path.drain(stores.connection, target, stores.plan, online.names, "a", batch=batch).fenced


def test_it_says_for_every_table_that_nothing_is_missing(online: Online) -> None:
    found = checks(online)
    assert {check.verdict for check in found.values()} == {PASSED}
    assert found["rows of items"].expected == {"rows": 60}
    assert set(found) >= {
        "rows of authors",
        "rows of other profiles in items",
        "duplicates of (source_id, id) in items",
        "rows of tags without a parent in items",
    }
    deep = checks(online, deep=True)
    assert {check.verdict for check in deep.values()} == {PASSED}
    assert deep["rows of items"].observed == {"rows": 60, "missing": 0, "extra": 0, "different": 0}


def test_writes_on_their_way_back_are_left_out_and_no_others(online: Online) -> None:
    online.tenant.postgres(
        "INSERT INTO items VALUES ('a', 'new', 1, 'n', 1, NULL); DELETE FROM items WHERE id = 'i0000001';"
        " UPDATE items SET title = 't' WHERE id = 'i0000002'; UPDATE items SET id = 'moved' WHERE id = 'new'"
    )
    assert failures(online) == failures(online, deep=True) == {}
    assert checks(online)["rows of items"].message == "beside 4 key(s) that are on their way back to SQLite"
    online.tenant.postgres(f"{PAST_CAPTURE} UPDATE items SET title = 'x', score = 2 WHERE id = 'i0000003'")
    assert failures(online) == {}
    assert failures(online, deep=True) == {
        "rows of items": "different items (source_id=a, id=i0000003) in column(s) title, score;"
        " beside 4 key(s) that are on their way back to SQLite"
    }
    drain(online)
    assert list(failures(online, deep=True)) == ["rows of items"]


@pytest.mark.parametrize(
    ("statement", "name", "said"),
    [
        ("DELETE FROM tags WHERE item = 'i0000001'", "rows of tags", "missing tags (source_id=a, item=i0000001,"),
        ("INSERT INTO tags VALUES ('a', 'i0000001', 'x')", "rows of tags", "extra tags (source_id=a, item=i0000001,"),
        ("DELETE FROM items WHERE id = 'i0000001'", "rows of tags without a parent in items", ""),
        ("INSERT INTO authors VALUES ('b', 1, 'n', NULL)", "rows of other profiles in authors", ""),
        ("TRUNCATE tags", "rows of tags", ""),
    ],
)  # fmt: skip
def test_damage_past_the_capture_is_found_by_numbers_too(online: Online, statement: str, name: str, said: str) -> None:
    online.tenant.postgres("UPDATE items SET title = 't' WHERE id < 'i0000020'; UPDATE tags SET tag = 'old'")
    drain(online, batch=7)
    online.tenant.postgres("UPDATE tags SET tag = 'new'; DELETE FROM items WHERE id = 'i0000050'")
    drain(online)
    assert failures(online) == {}
    online.tenant.postgres(f"{PAST_CAPTURE} {statement}")
    assert name in failures(online)
    assert said in failures(online, deep=True)[name]


def test_a_table_that_is_gone_is_damage(online: Online) -> None:
    with online.tenant.stores() as stores:
        online.tenant.postgres("DROP TABLE tags")
        found = compare_live(stores.connection, stores.source, stores.plan, online.names, "a", "sx_a")
    verdicts = {check.name: check.verdict for check in found}
    assert verdicts["table tags is in the tenant schema"] == FAILED
    assert verdicts["rows compared"] == NOT_VERIFIED
    assert verdicts["rows of other profiles in items"] == PASSED


@pytest.mark.parametrize("missing", ["fence", "capture"])
def test_without_fence_or_capture_a_difference_says_nothing(online: Online, missing: str) -> None:
    if missing == "fence":
        with online.stores() as stores:
            _switch.to_sqlite(stores, "replay", None)
        online.write_sqlite("DELETE FROM items WHERE source_id = 'a'")
    else:
        online.tenant.postgres("DROP TRIGGER sxops_capture ON items; DELETE FROM items")
    for deep in (False, True):
        found = checks(online, deep)
        assert "rows of items" not in found
        assert found["rows compared"].verdict == NOT_VERIFIED
        assert ("fenced in SQLite" if missing == "fence" else "captured") in found["rows compared"].message
        assert {check.verdict for name, check in found.items() if name != "rows compared"} == {PASSED}


def test_a_row_that_a_policy_set_aside_is_no_damage(database: Database, tmp_path: Path) -> None:
    odd = "UPDATE tags SET tag = 'a' || char(0) WHERE source_id = 'a' AND item = 'i0000001'"
    online = begin(database, tmp_path / "live.db", policies={"nul_character": "quarantine"}, before=[odd])
    with online.stores() as stores:
        _switch.to_postgres(stores, "counts", None)
    online.tenant.postgres("UPDATE tags SET tag = 'other' WHERE item > 'i0000030'")
    assert failures(online) == failures(online, deep=True) == {}
    assert checks(online)["rows of tags"].expected == {"rows": 30}
    drain(online)
    assert failures(online, deep=True) == {}
    assert checks(online)["rows of tags"].expected == {"rows": 59}


IDS = st.integers(0, 12)
WRITE = st.one_of(
    st.tuples(st.just("UPDATE items SET title = 't{1}' WHERE id = 'i{0:07}'"), IDS, IDS),
    st.tuples(st.just("UPDATE items SET id = 'i{1:07}' WHERE id = 'i{0:07}'"), IDS, IDS),
    st.tuples(st.just("INSERT INTO items VALUES ('a', 'i{0:07}', NULL, 'w{1}', {1}, NULL)"), IDS, IDS),
    st.tuples(st.just("INSERT INTO tags VALUES ('a', 'i{0:07}', 'w{1}')"), IDS, IDS),
    st.tuples(st.just("DELETE FROM items WHERE id = 'i{0:07}'"), IDS, IDS),
    st.tuples(st.just("DELETE FROM tags WHERE tag = 'w{1}'"), IDS, IDS),
    st.tuples(st.just("UPDATE tags SET tag = 'u{1}' WHERE item = 'i{0:07}' AND tag = 'new'"), IDS, IDS),
    st.tuples(st.just("TRUNCATE tags"), IDS, IDS),
)
STEP = WRITE | st.tuples(st.just("drain"), st.integers(1, 4), IDS)
# On rows that no write above touches, with what undoes it.
BACK = "DELETE FROM items WHERE id = 'i0000030'; INSERT INTO items SELECT * FROM kept"
DIFFERENT = "different items (source_id=a, id=i0000030) in column(s)"
DAMAGE = st.sampled_from(
    [
        ("DELETE FROM items WHERE id = 'i0000030'", BACK, True, "missing items (source_id=a, id=i0000030)"),
        ("UPDATE items SET title = 'x' WHERE id = 'i0000030'", BACK, False, f"{DIFFERENT} title"),
        ("UPDATE items SET score = score + 1e-9 WHERE id = 'i0000030'", BACK, False, f"{DIFFERENT} score"),
        (
            "INSERT INTO items VALUES ('a', 'x', 1, '', NULL, NULL)",
            "DELETE FROM items WHERE id = 'x'",
            True,
            "extra items (source_id=a, id=x)",
        ),
        (
            "INSERT INTO authors VALUES ('a', 500, '', NULL)",
            "DELETE FROM authors WHERE id = 500",
            True,
            "extra authors (source_id=a, id=500)",
        ),
    ]
)


def take(online: Online, steps: list[tuple[Any, ...]]) -> None:
    for what, one, other in steps:
        if what == "drain":
            drain(online, batch=one)
            continue
        with contextlib.suppress(psycopg2.IntegrityError):  # an application's own mistakes
            online.tenant.postgres(what.format(one, other))


@PROPERTY
@given(
    before=st.lists(STEP, max_size=8),
    damage=st.lists(DAMAGE, max_size=1),
    after=st.lists(STEP, max_size=5),
)
def test_whatever_is_written_and_drained(
    lasting: Online, before: list[tuple[Any, ...]], damage: list[Any], after: list[tuple[Any, ...]]
) -> None:
    lasting.tenant.postgres("CREATE TABLE IF NOT EXISTS public.kept AS SELECT * FROM items WHERE id = 'i0000030'")
    take(lasting, before)
    assert failures(lasting) == failures(lasting, deep=True) == {}
    for statement, _undo, _counts, _said in damage:
        lasting.tenant.postgres(f"SET search_path TO sx_a, public; {PAST_CAPTURE} {statement}")
    take(lasting, after)
    found = failures(lasting, deep=True)
    for _statement, _undo, counts, said in damage:
        assert [message for message in found.values() if said in message]
        assert bool([name for name in failures(lasting) if name.startswith("rows of ")]) == counts
    assert bool(found) == bool(damage)
    for _statement, undo, _counts, _said in damage:
        lasting.tenant.postgres(f"SET search_path TO sx_a, public; {PAST_CAPTURE} {undo}")
    assert failures(lasting) == failures(lasting, deep=True) == {}


def in_the_background(
    work: Callable[[], None], until: threading.Event, failed: list[BaseException]
) -> threading.Thread:
    def run() -> None:
        try:
            while not until.is_set():
                work()
        except BaseException as error:  # seen by the test
            failed.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def test_an_application_that_never_rests_and_a_drain_that_never_rests(online: Online) -> None:
    done = threading.Event()
    failed: list[BaseException] = []
    number = iter(range(10**9))
    drained = 0
    with contextlib.closing(psycopg2.connect(online.tenant.database.dsn)) as application:

        def write() -> None:
            n = next(number)
            with application.cursor() as cursor:
                cursor.execute(f"SET search_path TO {online.tenant.schema}")
                cursor.execute("UPDATE items SET title = %s WHERE id = %s", (f"w{n}", f"i{n % 60:07}"))
                cursor.execute("INSERT INTO items VALUES ('a', %s, NULL, NULL, %s, NULL)", (f"n{n}", n / 7))
                cursor.execute("INSERT INTO tags VALUES ('a', %s, 'w')", (f"n{n}",))
                cursor.execute("DELETE FROM items WHERE id = %s", (f"n{n - 5}",))
                if n % 20 == 19:
                    cursor.execute("TRUNCATE tags")
            application.commit()

        def empty() -> None:
            nonlocal drained
            drain(online, batch=3)
            drained += 1

        threads = [in_the_background(work, done, failed) for work in (write, empty)]
        looks = 0
        try:
            while looks < 12 or drained < 3:
                assert not failed
                assert failures(online, deep=bool(looks % 2)) == {}
                looks += 1
        finally:
            done.set()
            for thread in threads:
                thread.join()
    assert not failed
    drain(online)
    assert failures(online, deep=True) == {}


def test_a_file_that_is_locked_is_not_verified(database: Database, tmp_path: Path) -> None:
    online = begin(database, tmp_path / "live.db", journal="DELETE")
    with online.stores() as stores:
        _switch.to_postgres(stores, "counts", None)
    with online.tenant.stores() as stores:
        stores.source.execute("PRAGMA busy_timeout = 10")
        stores.source.execute("ROLLBACK")
        with contextlib.closing(sqlite3.connect(online.tenant.sqlite_path, isolation_level=None)) as writer:
            writer.execute("BEGIN EXCLUSIVE")
            found = compare_live(stores.connection, stores.source, stores.plan, online.names, "a", "sx_a")
    assert [(check.name, check.verdict) for check in found] == [("rows compared", NOT_VERIFIED)]
    assert "locked" in found[0].message


def test_without_postgres_it_says_so(online: Online) -> None:
    with online.tenant.stores() as stores:
        stores.connection.close()
        with pytest.raises((CutoverError, psycopg2.Error)):
            compare_live(stores.connection, stores.source, stores.plan, online.names, "a", "sx_a")


def parity(online: Online, **options: Any) -> dict[str, Any]:
    given = {name: value for name, value in online.tenant.params.items() if name != "snapshot_sha256"}
    return run_process("tenant_parity", {**given, "live": True, **options})


def test_an_operator_can_ask_for_it(online: Online, tmp_path: Path) -> None:
    online.tenant.postgres("UPDATE items SET title = 't' WHERE id < 'i0000003'")
    progress = tmp_path / "progress.jsonl"
    found = parity(online, progress_file=str(progress))
    assert (found["changed"], found["verdict"], found["rows"]) == (False, PASSED, 10 + 57 + 60)
    assert {table["table"]: table["pending"] for table in found["tables"]} == {"authors": 0, "items": 3, "tags": 0}
    assert {"indexes and constraints of items", "rows of items"} <= {check["name"] for check in found["checks"]}
    assert "items" in progress.read_text()
    online.tenant.postgres(f"{PAST_CAPTURE} UPDATE items SET title = 'x' WHERE id = 'i0000009'")
    damaged = parity(online)
    assert (damaged["failed"], damaged["error"]) == (True, "parity_failed")
    assert "different items (source_id=a, id=i0000009) in column(s) title" in damaged["msg"]
    assert parity(online, fail_on_open=False)["verdict"] == FAILED
    assert "mode full" in parity(online, mode="counts")["msg"]


def test_a_table_that_only_sqlite_got_since_is_no_damage_and_one_that_postgres_lost_is(online: Online) -> None:
    online.write_sqlite("CREATE TABLE loose (source_id TEXT, id INTEGER PRIMARY KEY)")
    assert parity(online)["verdict"] == PASSED
    online.tenant.postgres("DROP TABLE tags")
    lost = parity(online, fail_on_open=False)
    assert lost["verdict"] == FAILED
    assert [check["name"] for check in lost["checks"] if check["verdict"] == FAILED] == [
        "table tags is in the tenant schema",
        "indexes and constraints of tags",
    ]


def test_after_an_offline_cutover_only_postgres_own_is_checked(database: Database, tmp_path: Path) -> None:
    path = tmp_path / "live.db"
    make_file(path)
    shared = [{"name": "sources", "target": None, "key": "id", "columns": []}]
    tenant = Tenant(database, path, options={"tenant_column": "source_id", "shared_tables": shared})
    tenant.create_schema(POSTGRES_SCHEMA)
    tenant.load()
    tenant.postgres("DELETE FROM tags; UPDATE items SET title = 'written since'")
    online = Online(tenant)
    found = parity(online, fail_on_open=False)
    assert found["verdict"] == NOT_VERIFIED
    assert [check["name"] for check in found["checks"] if check["verdict"] != PASSED] == ["rows compared"]
    tenant.postgres(f"{PAST_CAPTURE} DELETE FROM authors WHERE id = 1")
    found = parity(online, fail_on_open=False)
    assert [check["name"] for check in found["checks"] if check["verdict"] == FAILED] == [
        "rows of items without a parent in authors"
    ]
