# SPDX-License-Identifier: GPL-3.0-or-later
"""CSV files become a SQLite file of texts, each row under the number of its line, and nothing of it stays."""

from __future__ import annotations

import contextlib
import hashlib
import sqlite3
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.sxops.pg_cutover.plugins.module_utils._csv_snapshot import CSV_POLICIES, as_snapshot
from ansible_collections.sxops.pg_cutover.plugins.module_utils._errors import BadInput, CsvError, SqliteError
from ansible_collections.sxops.pg_cutover.plugins.module_utils._policies import check_policies

SHARED = {"name": "sources", "target": "public.sources", "key": "id", "columns": []}


class Given:
    """The options of a task, and the folder that the snapshot is made in."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.scratch = folder / "scratch"
        self.scratch.mkdir()

    def file(self, table: str, text: str | bytes, **more: Any) -> dict[str, Any]:
        path = self.folder / f"{table}.csv"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return {"table": table, "path": str(path), "sha256": None, "delimiter": ",", "null_string": "", **more}

    def snapshot(self, *files: dict[str, Any], **more: Any) -> contextlib.AbstractContextManager[dict[str, Any]]:
        params = {
            "source_id": "a",
            "sqlite_path": None,
            "tenant_column": "source_id",
            "shared_tables": [],
            "policies": {},
            "csv_files": list(files),
            **more,
        }
        return as_snapshot(params, lambda: self.scratch)

    def rows(self, file: dict[str, Any], **more: Any) -> list[tuple[Any, ...]]:
        """Return every row with its rowid and the storage class of its first column."""
        with self.snapshot(file, **more) as params:
            connection = sqlite3.connect(params["sqlite_path"])
            with contextlib.closing(connection):
                return connection.execute(f'SELECT _rowid_, * FROM "{file["table"]}"').fetchall()


@pytest.fixture
def given(tmp_path: Path) -> Given:
    return Given(tmp_path)


def test_every_value_is_a_text_under_the_number_of_its_line(given: Given) -> None:
    file = given.file("v", 'id,body\n1,"x\ny"\n007,\n')
    assert given.rows(file) == [(2, "1", "x\ny", "a"), (4, "007", None, "a")]


def test_the_tenant_column_of_the_file_counts_where_it_has_one(given: Given) -> None:
    file = given.file("v", "SOURCE_ID,id\na,1\nb,2\n")
    assert given.rows(file) == [(2, "a", "1"), (3, "b", "2")]
    assert given.rows(given.file("v", "id\n1\n"), tenant_column="") == [(2, "1")]


def test_a_shared_table_gets_no_tenant_column(given: Given) -> None:
    assert given.rows(given.file("sources", "id\na\n"), shared_tables=[SHARED]) == [(2, "a")]


def test_the_files_are_described_and_the_policies_laid_below_those_given(given: Given) -> None:
    file = given.file("v", "source_id\na\nb\nb\n")
    digest = hashlib.sha256(b"source_id\na\nb\nb\n").hexdigest()
    with given.snapshot(file, policies={"boolean_text": "refuse"}) as params:
        assert params["csv_files"] == [{**file, "sha256": digest, "rows": 3, "other_rows": 2}]
        assert params["policies"] == {**CSV_POLICIES, "boolean_text": "refuse"}
        path = Path(params["sqlite_path"])
        assert path.stat().st_mode & 0o777 == 0o600
    assert not path.exists()
    assert check_policies(CSV_POLICIES) == CSV_POLICIES


def test_nothing_stays_of_a_file_that_is_refused(given: Given) -> None:
    with (
        pytest.raises(CsvError, match=r"line 100002, .* 2 field"),
        given.snapshot(given.file("v", "id\n" + "1\n" * 100_000 + "1,2\n")),
    ):
        pass
    assert list(given.scratch.iterdir()) == []


def test_what_sqlite_cannot_write_is_said(given: Given) -> None:
    wide = ",".join(f"c{number}" for number in range(3000))
    with (
        pytest.raises(SqliteError, match="making it of CSV files failed: too many columns"),
        given.snapshot(given.file("v", f"{wide}\n")),
    ):
        pass
    assert list(given.scratch.iterdir()) == []


def test_the_memory_needed_is_that_of_a_record(given: Given) -> None:
    file = given.file("v", "id,body\n" + "".join(f"{number},{'x' * 90}\n" for number in range(50_000)))
    tracemalloc.start()
    try:
        with given.snapshot(file):
            peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < Path(file["path"]).stat().st_size / 10


def test_without_csv_files_nothing_is_touched() -> None:
    params = {"sqlite_path": "/x.db", "csv_files": None, "policies": {}}
    with as_snapshot(params, lambda: pytest.fail("no folder is needed")) as same:
        assert same == params
    with pytest.raises(BadInput, match="Neither"), as_snapshot({**params, "sqlite_path": None}, Path):
        pass


def test_some_name_of_the_rowid_has_to_be_free(given: Given) -> None:
    assert given.rows(given.file("v", "rowid,oid\n8,9\n"), tenant_column="") == [(2, "8", "9")]
    with pytest.raises(CsvError, match="one of the names rowid, _rowid_, oid must be free"):
        given.rows(given.file("v", "rowid,oid,_ROWID_\n8,9,7\n"))
