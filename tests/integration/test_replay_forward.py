# SPDX-License-Identifier: GPL-3.0-or-later
"""Rows that changed in SQLite while it was live arrive in PostgreSQL, or stop by table, key and column."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from _databases import Database, fresh_database, two_profiles
from _replays import Online
from _servers import Server


@pytest.fixture(scope="module")
def database(server: Server) -> Iterator[Database]:
    with fresh_database(server, "replay_forward") as found:
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


@pytest.mark.parametrize("one_transaction", [True, False])
def test_changes_arrive_and_a_second_pass_changes_nothing(videos: Online, one_transaction: bool) -> None:
    videos.begin()
    videos.sqlite(
        "UPDATE videos SET title = 'new', score = NULL WHERE id IN ('v01', 'v02')",
        "DELETE FROM notes WHERE id = 'v03' AND source_id = 'a'",
        "DELETE FROM videos WHERE id = 'v03' AND source_id = 'a'",
        "INSERT INTO videos VALUES ('a', 'v99', 'x \" '' , \n y', 0.1, 7)",
        "INSERT INTO notes VALUES ('a', 'v99', 'a note')",
        "UPDATE jobs SET id = 500 WHERE id = 100",
    )
    done = videos.forward(one_transaction=one_transaction)
    assert (done.upserted, done.deleted) == (5, 3)
    assert videos.equal()
    again = videos.forward(one_transaction=one_transaction)
    assert (again.upserted, again.deleted) == (0, 0)
    videos.database.run("UPDATE sxops_cutover.tenant SET position = 0")
    again = videos.forward(one_transaction=one_transaction)
    assert (again.upserted, again.deleted) == (0, 0)
    assert videos.equal()


def test_rows_come_back(videos: Online) -> None:
    videos.begin()
    videos.postgres(
        "UPDATE videos SET title = 'new', score = NULL WHERE id IN ('v01', 'v02');"
        "DELETE FROM notes WHERE id = 'v03'; DELETE FROM videos WHERE id = 'v03';"
        "INSERT INTO videos VALUES ('a', 'v99', 'x', 0.1, 7); UPDATE jobs SET id = 50 WHERE id = 100"
    )
    done = videos.back()
    assert (done.upserted, done.deleted) == (4, 3)
    assert videos.equal()
    assert videos.back().tables == {}
