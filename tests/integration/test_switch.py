# SPDX-License-Identifier: GPL-3.0-or-later
"""The switch in both directions on real stores: one store takes writes at every instant, and no write is lost."""

from __future__ import annotations

import contextlib
import json
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from _databases import Database, fresh_database
from _online import ITEMS, Online, begin
from _servers import Server
from ansible_collections.sxops.pg_cutover.plugins.module_utils import (
    _switch,
    _switch_back,
    _switch_close,
    _switch_forward,
    _switch_repair,
)
from ansible_collections.sxops.pg_cutover.plugins.module_utils._errors import ReplayError, SwitchRefused
from ansible_collections.sxops.pg_cutover.plugins.module_utils._online_journal import PROVEN, RETURNED, SWITCHED
from ansible_collections.sxops.pg_cutover.plugins.module_utils._outcome import Outcome

TITLE = "SELECT title FROM items WHERE source_id = 'a' AND id = 'i0000001'"


@pytest.fixture(scope="module")
def database(server: Server) -> Iterator[Database]:
    with fresh_database(server, "online_switch") as created:
        yield created


@pytest.fixture
def online(database: Database, tmp_path: Path) -> Online:
    return begin(database, tmp_path / "live.db")


def forward(online: Online, **limits: Any) -> Outcome:
    with online.stores(**limits) as stores:
        return _switch.to_postgres(stores, "counts", None)


def back(online: Online, return_data: str = "replay", **limits: Any) -> Outcome:
    with online.stores(**limits) as stores:
        return _switch.to_sqlite(stores, return_data, None)


def while_something_is_open(online: Online, store: str, since: str, end: Callable[[], object]) -> Outcome:
    """Switch while somebody is in the way, who ends a second after this step; until then no attempt can succeed."""
    timers: list[threading.Timer] = []

    def passed(step: str) -> None:
        if step == since and not timers:
            timers.append(threading.Timer(1.0, end))
            timers[0].start()

    with online.stores(passed, fence_timeout=0.1, lock_timeout=0.1, retries=200, retry_delay=0.05) as stores:
        if store == "postgres":
            outcome = _switch.to_postgres(stores, "counts", None)
        else:
            outcome = _switch.to_sqlite(stores, "replay", None)
    timers[0].join()
    return outcome


def update(online: Online, title: str) -> None:
    online.write_sqlite(f"UPDATE items SET title = '{title}' WHERE source_id = 'a' AND id = 'i0000001'")


def test_postgres_takes_the_writes_and_has_every_one_that_sqlite_took(online: Online) -> None:
    assert online.accepting() == {"sqlite"}
    update(online, "changed")
    online.write_sqlite(
        "INSERT INTO authors VALUES ('a', 99, 'new', NULL)",
        "INSERT INTO items VALUES ('a', 'new', 99, 'new', 0.1, x'00')",
        "DELETE FROM items WHERE source_id = 'a' AND id = 'i0000002'",  # its tag goes with it
    )
    outcome = forward(online)
    assert online.accepting() == {"postgres"}
    assert online.accepting("b") == {"sqlite"}
    assert outcome.replayed == 5
    assert [step["name"] for step in outcome.steps] == list(_switch_forward.STEPS)
    assert online.tenant.parity().verdict == "passed"
    assert online.rows("postgres", "items", "title", "id = 'i0000001'") == [("changed",)]
    again = forward(online)
    assert not again.changed


def test_what_postgres_took_comes_back(online: Online) -> None:
    forward(online)
    online.tenant.postgres(
        "UPDATE items SET title = 'from postgres', score = 1e-300 WHERE id = 'i0000001';"
        "INSERT INTO items VALUES ('a', 'later', 1, NULL, NULL, NULL); DELETE FROM items WHERE id = 'i0000003'"
    )
    outcome = back(online)
    assert online.accepting() == {"sqlite"}
    assert outcome.not_replayed == 0
    assert [step["name"] for step in outcome.steps] == list(_switch_back.STEPS)
    assert online.tenant.parity().verdict == "passed"
    assert online.rows("sqlite", "items", "title, score", "id = 'i0000001'") == [("from postgres", 1e-300)]
    assert online.standing().phase == RETURNED
    assert not back(online).changed
    # Nothing of ours is left in the file of all profiles.
    with contextlib.closing(sqlite3.connect(online.tenant.sqlite_path)) as connection:
        assert not connection.execute("SELECT name FROM sqlite_master WHERE name LIKE 'sxops%'").fetchall()


def test_a_profile_that_went_back_starts_anew(online: Online) -> None:
    forward(online)
    back(online)
    with pytest.raises(SwitchRefused, match="earlier cutover was taken back"):
        forward(online)


def test_closing_leaves_nothing_in_either_store(online: Online) -> None:
    before = _objects(online)
    forward(online)
    online.tenant.postgres("UPDATE items SET title = 'late' WHERE id = 'i0000001'")
    with online.stores() as stores, pytest.raises(SwitchRefused, match=r"1 changed row\(s\) of PostgreSQL"):
        _switch_close.close(stores)
    back_and_forth = _drain(online)
    assert back_and_forth == 1
    with online.stores() as stores:
        assert _switch_close.close(stores).changed
        assert not _switch_close.close(stores).changed
    assert any("sxops_" in str(line[0]) for line in before)
    assert _objects(online) == [line for line in before if "sxops_" not in str(line[0])]
    assert online.accepting() == {"sqlite", "postgres"}  # nobody is guarded any more


def _drain(online: Online) -> int:
    with online.stores() as stores:
        done = _switch_back._drain(stores)
    return done.upserted + done.deleted


def _objects(online: Online) -> list[tuple[Any, ...]]:
    """Return everything that SQLite declares, and the functions and triggers of ours for this schema in PostgreSQL."""
    with contextlib.closing(sqlite3.connect(online.tenant.sqlite_path)) as connection:
        found = connection.execute("SELECT name, sql FROM sqlite_master ORDER BY name").fetchall()
    functions = online.tenant.database.run(
        "SELECT n.nspname || '.' || proname FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace"
        " WHERE n.nspname || '.' || proname = ANY (%s)",
        ([online.names.capture_function, online.names.fence_function],),
    )
    triggers = online.tenant.database.run(
        "SELECT tgname FROM pg_trigger WHERE NOT tgisinternal AND tgrelid IN (SELECT oid FROM pg_class WHERE"
        " relnamespace = %s::regnamespace)",
        (online.tenant.schema,),
    )
    return [*found, *functions, *triggers]


# ---- refused, and nothing has changed


def test_a_rebuilt_table_is_found_under_the_lock(online: Online) -> None:
    """An application that rebuilds a table drops its triggers, without a word."""
    online.write_sqlite(
        "CREATE TABLE tags2 (source_id TEXT NOT NULL, item TEXT NOT NULL, tag TEXT NOT NULL,"
        " PRIMARY KEY (source_id, item, tag)) WITHOUT ROWID",
        "INSERT INTO tags2 SELECT * FROM tags",
        "DROP TABLE tags",
        "ALTER TABLE tags2 RENAME TO tags",
    )
    with pytest.raises(SwitchRefused, match="tags"):
        forward(online)
    assert online.accepting() == {"sqlite"}


@pytest.mark.parametrize(
    ("statement", "named"),
    [
        ("ALTER TABLE items ADD COLUMN colour TEXT", "colour"),
        ("CREATE TABLE drafts (source_id TEXT, id TEXT, PRIMARY KEY (source_id, id))", "drafts"),
    ],
)
def test_a_changed_schema_is_refused_by_name(online: Online, statement: str, named: str) -> None:
    online.write_sqlite(statement)
    with pytest.raises(Exception, match=named) as caught:
        forward(online)
    assert caught.type.__name__ in ("SwitchRefused", "SchemaRefused")
    assert online.accepting() == {"sqlite"}
    update(online, "still writable")


def test_a_profile_whose_parity_was_not_proven_is_refused(online: Online) -> None:
    with online.stores() as stores:
        stores.say_phase("loaded")
        stores.postgres.commit()
    with pytest.raises(SwitchRefused, match="parity with the snapshot passed"):
        forward(online)


def test_a_read_only_server_is_refused(online: Online) -> None:
    with online.stores() as stores:
        stores.postgres.cursor().execute("SET default_transaction_read_only TO on")
        stores.postgres.commit()
        with pytest.raises(SwitchRefused, match="takes writes"):
            _switch.to_postgres(stores, "counts", None)
    assert online.accepting() == {"sqlite"}


def test_stores_that_differ_undo_the_switch(online: Online) -> None:
    with online.stores() as stores:  # a row that no log knows of, behind everybody's back
        cursor = stores.postgres.cursor()
        cursor.execute("SET session_replication_role TO replica")
        cursor.execute(f"DELETE FROM {online.tenant.schema}.tags WHERE item = 'i0000005'")
        stores.postgres.commit()
    with pytest.raises(SwitchRefused, match="counts of tags") as caught:
        forward(online)
    assert caught.value.facts["undone"] is True
    assert online.accepting() == {"sqlite"}
    update(online, "goes on")
    standing = online.standing()
    assert standing.capture.complete
    assert standing.to_postgres == 1


def test_a_value_that_postgres_refuses_leaves_sqlite_live(online: Online) -> None:
    online.write_sqlite("UPDATE items SET title = 'a' || char(0) || 'b' WHERE source_id = 'a' AND id = 'i0000004'")
    with pytest.raises(ReplayError, match="i0000004"):
        forward(online)
    assert online.accepting() == {"sqlite"}


def test_a_table_too_many_keeps_nobody_from_going_back(online: Online) -> None:
    forward(online)
    online.write_sqlite("CREATE TABLE stray (source_id TEXT, id TEXT, PRIMARY KEY (source_id, id))")
    standing = online.standing()
    assert (standing.live_store, standing.is_half_done) == ("postgres", False)
    assert any("stray" in text for text in standing.capture.missing)
    online.tenant.postgres("UPDATE items SET title = 'back' WHERE id = 'i0000001'")
    assert back(online).changed
    assert online.accepting() == {"sqlite"}
    assert online.rows("sqlite", "items", "title", "id = 'i0000001'") == [("back",)]


# ---- the numbered hazards of hazards.md


def test_c1_a_write_after_the_last_catch_up_is_replayed_under_the_lock(online: Online) -> None:
    late: list[str] = []

    def write(step: str) -> None:
        if step == "caught up":
            update(online, "at the last moment")
            late.append(step)

    with online.stores(write) as stores:
        _switch.to_postgres(stores, "counts", None)
    assert late
    assert online.rows("postgres", "items", "title", "id = 'i0000001'") == [("at the last moment",)]


def test_c2_a_transaction_opened_before_the_switch_and_committed_during_it_is_waited_for(online: Online) -> None:
    writer = sqlite3.connect(online.tenant.sqlite_path, isolation_level=None, check_same_thread=False)
    writer.execute("BEGIN IMMEDIATE")
    writer.execute("UPDATE items SET title = 'slow' WHERE source_id = 'a' AND id = 'i0000001'")
    outcome = while_something_is_open(online, "postgres", "prepared", lambda: writer.execute("COMMIT"))
    writer.close()
    assert outcome.attempts > 1
    assert online.rows("postgres", "items", "title", "id = 'i0000001'") == [("slow",)]


def test_c2_a_writer_that_never_ends_makes_the_switch_give_up_with_nothing_changed(online: Online) -> None:
    with contextlib.closing(sqlite3.connect(online.tenant.sqlite_path, isolation_level=None)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        with pytest.raises(SwitchRefused, match=r"given up after 3 attempt\(s\)"):
            forward(online, fence_timeout=0.1, retry_delay=0.01)
        writer.execute("UPDATE items SET title = 'mine' WHERE source_id = 'a' AND id = 'i0000001'")
        writer.execute("COMMIT")
    assert online.accepting() == {"sqlite"}


def test_c3_a_long_transaction_in_postgres_is_waited_for_on_the_way_back(online: Online) -> None:
    forward(online)
    writer = psycopg2.connect(online.tenant.database.dsn)
    writer.cursor().execute(f"UPDATE {online.tenant.schema}.items SET title = 'late' WHERE id = 'i0000001'")
    outcome = while_something_is_open(online, "sqlite", "drained", writer.commit)
    writer.close()
    assert outcome.attempts > 1
    assert online.rows("sqlite", "items", "title", "id = 'i0000001'") == [("late",)]


def test_c4_a_way_back_that_cannot_be_used_refuses_the_way_there(online: Online) -> None:
    # An index of the application that its rows of PostgreSQL would violate.
    online.write_sqlite(
        "CREATE TRIGGER refuse BEFORE INSERT ON items BEGIN SELECT RAISE(ABORT, 'read the manual'); END"
    )
    with pytest.raises(SwitchRefused, match="a row of every table can be brought back"):
        forward(online)
    assert online.accepting() == {"sqlite"}


def test_c5_giving_up_after_a_lost_session_leaves_no_table_denied(online: Online) -> None:
    def lose(step: str) -> None:
        if step == "replayed":
            online.tenant.database.run(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE application_name = 'pg_cutover' AND pid <> pg_backend_pid()"
            )

    # PostgreSQL has committed by then, so the session is missed only when PostgreSQL is to be opened.
    with online.stores(lose) as stores, pytest.raises(Exception, match=r"failed|closed"):
        _switch.to_postgres(stores, "counts", None)
    assert online.accepting() == set()
    with online.stores() as stores:
        assert _switch_repair.repair(stores, "counts").changed
    assert online.accepting() == {"postgres"}


def test_c7_a_failed_switch_fences_no_other_profile(online: Online) -> None:
    online.write_sqlite("UPDATE items SET title = char(0) WHERE source_id = 'a' AND id = 'i0000004'")
    for _attempt in range(2):
        with pytest.raises(ReplayError):
            forward(online)
        assert online.accepting("b") == {"sqlite"}
    assert online.accepting() == {"sqlite"}


def test_c8_a_failed_way_back_keeps_the_way_back(online: Online) -> None:
    forward(online)
    online.tenant.postgres("UPDATE items SET title = 'kept' WHERE id = 'i0000001'")
    with contextlib.closing(sqlite3.connect(online.tenant.sqlite_path, isolation_level=None)) as writer:
        writer.execute("BEGIN IMMEDIATE")  # another profile's
        with pytest.raises(Exception, match=r"locked|given up"):
            back(online, fence_timeout=0.1, retry_delay=0.01)
        assert online.tenant.postgres("SELECT count(*) FROM sxops_cutover.change WHERE replayed_at IS NULL") == [(1,)]
        writer.execute("ROLLBACK")
    assert online.accepting() == {"postgres"}
    back(online)
    assert online.rows("sqlite", "items", "title", "id = 'i0000001'") == [("kept",)]


def test_c9_leftovers_of_a_run_that_was_given_up_do_not_break_the_next(online: Online) -> None:
    def stop(step: str) -> None:
        if step == "locked":
            raise KeyboardInterrupt

    with online.stores(stop) as stores, pytest.raises(KeyboardInterrupt):
        _switch.to_postgres(stores, "counts", None)
    assert online.accepting() == {"sqlite"}
    update(online, "meanwhile")
    forward(online)
    assert online.accepting() == {"postgres"}
    assert online.tenant.parity().verdict == "passed"


def test_c10_more_than_may_be_replayed_under_the_lock_is_caught_up_with_before(online: Online) -> None:
    written: list[str] = []

    def write(step: str) -> None:
        if step == "caught up" and not written:
            online.write_sqlite("UPDATE items SET title = title || '!' WHERE source_id = 'a'")
            written.append(step)

    with online.stores(write, max_pending=5) as stores:
        outcome = _switch.to_postgres(stores, "counts", None)
    assert outcome.attempts == 2
    assert outcome.pending_before == 0
    assert outcome.replayed == ITEMS
    assert online.tenant.parity().verdict == "passed"


def test_c10_so_is_what_postgres_changed(online: Online) -> None:
    forward(online)
    online.tenant.postgres("UPDATE items SET title = title || '?'")
    back(online, max_pending=5)
    assert online.tenant.parity().verdict == "passed"


def test_c11_a_lost_fence_is_named_and_put_back(online: Online) -> None:
    forward(online)
    online.write_sqlite(
        "DROP TABLE tags", "CREATE TABLE tags (source_id TEXT, item TEXT, tag TEXT, PRIMARY KEY (source_id, item, tag))"
    )
    standing = online.standing()
    assert standing.is_half_done
    assert "both stores" in standing.sentence("a", online.tenant.schema)
    with online.stores() as stores:
        assert _switch_repair.repair(stores, "counts").changed
        assert not _switch_repair.repair(stores, "counts").changed
    assert online.accepting() == {"postgres"}


def test_c12_sqlite_opens_without_postgres_and_postgres_is_fenced_once_it_is_back(online: Online) -> None:
    forward(online)
    online.tenant.postgres("UPDATE items SET title = 'only here' WHERE id = 'i0000001'")
    with online.stores() as stores:
        stores.connection = stores.plan = None
        outcome = _switch.to_sqlite(stores, "replay", None)
    assert outcome.not_replayed is None
    assert "sqlite" in online.accepting()
    standing = online.standing()
    assert standing.opened_alone
    assert standing.is_half_done
    with online.stores() as stores:
        _switch_repair.repair(stores, "counts")
    assert online.accepting() == {"sqlite"}
    standing = online.standing()
    assert not standing.is_half_done
    assert standing.to_sqlite == 1  # still there, to be merged


def test_a_file_without_a_wal_is_switched_once_its_readers_are_gone(database: Database, tmp_path: Path) -> None:
    online = begin(database, tmp_path / "live.db", journal="DELETE")
    update(online, "written")
    reader = sqlite3.connect(online.tenant.sqlite_path, isolation_level=None, check_same_thread=False)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM items").fetchone()  # no writer can commit now
    with pytest.raises(SwitchRefused, match="given up"):
        forward(online, fence_timeout=0.1, retry_delay=0.01)
    standing = online.standing()
    assert (standing.phase, standing.live_store, standing.is_half_done) == (PROVEN, "sqlite", False)
    outcome = while_something_is_open(online, "postgres", "prepared", lambda: reader.execute("ROLLBACK"))
    reader.close()
    assert outcome.attempts > 1
    assert online.accepting() == {"postgres"}
    online.tenant.postgres("UPDATE items SET title = 'back' WHERE id = 'i0000001'")
    back(online)
    assert online.rows("sqlite", "items", "title", "id = 'i0000001'") == [("back",)]


# ---- C6: killed at every numbered step


KILLED = """
import json, os, signal, sys
from ansible_collections.sxops.pg_cutover.plugins.module_utils import _switch, _switch_stores
params, store, last = json.loads(sys.argv[1])
def stop(step):
    if step == last:
        os.kill(os.getpid(), signal.SIGKILL)
limits = _switch_stores.Limits(retries=3)
with _switch_stores.open_for_switch(params, limits, passed=stop) as stores:
    if store == "postgres":
        _switch.to_postgres(stores, "counts", None)
    else:
        _switch.to_sqlite(stores, "replay", None)
"""


def killed(online: Online, store: str, step: str) -> None:
    arguments = json.dumps([online.tenant.params, store, step])
    done = subprocess.run([sys.executable, "-c", KILLED, arguments], capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    deadline = time.monotonic() + 30  # until the server has noticed
    while online.tenant.database.run(
        "SELECT 1 FROM pg_stat_activity WHERE application_name = 'pg_cutover' AND pid <> pg_backend_pid()"
    ):
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.parametrize("command", ["again", "repair", "give up"])
@pytest.mark.parametrize("step", _switch_forward.STEPS)
def test_c6_killed_on_the_way_there(online: Online, step: str, command: str) -> None:
    update(online, "acknowledged")
    killed(online, "postgres", step)
    assert len(online.accepting()) <= 1
    assert online.accepting("b") == {"sqlite"}
    with online.stores() as stores:
        if command == "again":
            _switch.to_postgres(stores, "counts", None)
        elif command == "repair":
            _switch_repair.repair(stores, "counts")
        else:
            _switch.to_sqlite(stores, "replay", None)
    live = online.accepting()
    assert len(live) == 1
    assert live == {"postgres"} or command != "again"
    assert live == {"sqlite"} or command != "give up"
    (store,) = live
    assert online.rows(store, "items", "title", "id = 'i0000001'") == [("acknowledged",)]
    assert online.tenant.parity().verdict == "passed" or store == "sqlite"
    if store == "sqlite" and command == "repair":  # what is captured from here on is complete
        update(online, "later")
        forward(online)
        assert online.rows("postgres", "items", "title", "id = 'i0000001'") == [("later",)]


@pytest.mark.parametrize("command", ["again", "repair"])
@pytest.mark.parametrize("step", _switch_back.STEPS)
def test_c6_killed_on_the_way_back(online: Online, step: str, command: str) -> None:
    forward(online)
    online.tenant.postgres("UPDATE items SET title = 'acknowledged' WHERE id = 'i0000001'")
    killed(online, "sqlite", step)
    assert len(online.accepting()) <= 1
    with online.stores() as stores:
        if command == "again":
            _switch.to_sqlite(stores, "replay", None)
        else:
            _switch_repair.repair(stores, "counts")
    live = online.accepting()
    assert len(live) == 1
    (store,) = live
    assert store == "sqlite" or command == "repair"
    assert online.rows(store, "items", "title", "id = 'i0000001'") == [("acknowledged",)]
    assert online.standing().phase in (SWITCHED, RETURNED)


def test_a_switch_that_was_given_up_can_be_begun_again(online: Online) -> None:
    """Undone while SQLite was fenced already: its changes are captured again, and nothing was missed."""
    killed(online, "postgres", "fenced")
    assert online.accepting() == set()
    back(online)
    assert online.standing().phase == PROVEN
    update(online, "after that")
    forward(online)
    assert online.rows("postgres", "items", "title", "id = 'i0000001'") == [("after that",)]


def test_keep_leaves_the_writes_in_postgres_and_captures_what_follows(online: Online) -> None:
    forward(online)
    online.tenant.postgres("UPDATE items SET title = 'left' WHERE id = 'i0000001'")
    outcome = back(online, "keep")
    assert outcome.not_replayed == 1
    assert online.accepting() == {"sqlite"}
    assert online.rows("sqlite", "items", "title", "id = 'i0000001'") == [("title 1",)]
    standing = online.standing()
    assert standing.to_sqlite == 1
    assert standing.capture.complete


def test_backup_brings_back_the_rows_of_the_snapshot_and_no_other_profile(online: Online) -> None:
    update(online, "before the switch")
    forward(online)
    online.write_sqlite("UPDATE items SET title = 'other profile' WHERE source_id = 'b'")
    with online.stores() as stores:
        _switch.to_sqlite(stores, "backup", None, str(online.tenant.sqlite_path.with_suffix(".snapshot")))
    assert online.accepting() == {"sqlite"}
    assert online.rows("sqlite", "items", "title", "id = 'i0000001'") == [("title 1",)]
    assert len(online.rows("sqlite", "items")) == ITEMS
    with contextlib.closing(sqlite3.connect(online.tenant.sqlite_path)) as connection:
        titles = connection.execute("SELECT DISTINCT title FROM items WHERE source_id = 'b'").fetchall()
        assert titles == [("other profile",)]
        assert not connection.execute("PRAGMA foreign_key_check").fetchall()


def test_a_second_run_says_who_works_on_the_profile(online: Online) -> None:
    with online.stores(), pytest.raises(Exception, match="being worked on"), online.stores():
        pass
