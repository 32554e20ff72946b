# SPDX-License-Identifier: GPL-3.0-or-later
"""What is asked of SQLite after a rollback: the profile's rows and its foreign keys, and no other profile's."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from _module_process import run_process
from _online import make_file


def look(path: Path, source_id: str = "a", **options: Any) -> dict[str, Any]:
    shared = [{"name": "sources", "key": "id"}]
    given = {"source_id": source_id, "sqlite_path": str(path), "shared_tables": shared, **options}
    return run_process("sqlite_integrity_info", given)


def verdicts(found: dict[str, Any]) -> dict[str, str]:
    return {check["name"]: check["verdict"] for check in found["checks"]}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    make_file(tmp_path / "live.db", items=20)
    return tmp_path / "live.db"


def damage(path: Path, statement: str) -> None:
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(statement)


def test_rows_are_counted_and_every_row_has_its_parent(path: Path) -> None:
    found = look(path)
    assert (found["changed"], found["verdict"], found["rows"]) == (False, "passed", 50)
    assert found["tables"] == [
        {"table": "authors", "rows": 10},
        {"table": "items", "rows": 20},
        {"table": "tags", "rows": 20},
    ]
    assert verdicts(found) == {
        "rows of the profile": "passed",
        "foreign keys of items": "passed",
        "foreign keys of tags": "passed",
    }


def test_an_orphan_is_the_failure_of_its_own_profile(path: Path) -> None:
    damage(path, "DELETE FROM authors WHERE source_id = 'b' AND id < 2")
    assert look(path)["verdict"] == "passed"
    other = look(path, "b")
    assert verdicts(other)["foreign keys of items"] == "failed"
    assert other["checks"][1]["observed"] == {"rows without a parent": 4}
    refused = look(path, "b", fail_on_open=True)
    assert (refused["failed"], refused["error"]) == (True, "integrity_failed")
    assert "foreign keys of items" in refused["msg"]


def test_of_a_table_without_rowid_it_cannot_be_told_whose_orphans_they_are(path: Path) -> None:
    damage(path, "DELETE FROM items WHERE source_id = 'b' AND id = 'i0000003'")
    assert verdicts(look(path))["foreign keys of tags"] == "not_verified"
    damage(path, "CREATE TABLE one AS SELECT 1")
    assert verdicts(look(path, tenant_column="", exclude_tables=["one"]))["foreign keys of tags"] == "failed"


def test_no_rows_prove_nothing(path: Path) -> None:
    assert look(path, "nobody")["verdict"] == "not_verified"
