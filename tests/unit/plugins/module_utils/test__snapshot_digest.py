# SPDX-License-Identifier: GPL-3.0-or-later
"""The SHA-256 of a snapshot, made by a process of its own."""

from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path

import pytest
from ansible_collections.sxops.pg_cutover.plugins.module_utils._errors import BackupError, PostgresError, SqliteError
from ansible_collections.sxops.pg_cutover.plugins.module_utils._snapshot_digest import hashing


@pytest.fixture
def snapshot(tmp_path: Path) -> Path:
    path = tmp_path / "snapshot.db"
    path.write_bytes(b"rows")
    return path


def test_the_digest_is_that_of_the_file(snapshot: Path) -> None:
    expected = hashlib.sha256(b"rows").hexdigest()
    with hashing(str(snapshot), None) as unknown, hashing(str(snapshot), expected) as known:
        assert unknown() == known() == expected


def test_another_file_than_the_verified_one_is_refused_before_any_other_failure(snapshot: Path) -> None:
    with pytest.raises(BackupError, match="is not the one that was verified") as refused, hashing(str(snapshot), "0"):
        raise SqliteError("the file has no tables")
    assert "Nothing was loaded" in str(refused.value)
    with pytest.raises(BackupError), hashing(str(snapshot), "0") as digest:
        digest()


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with (
        pytest.raises(SqliteError, match=r"missing\.db cannot be read"),
        hashing(str(tmp_path / "missing.db"), "") as it,
    ):
        it()


def test_a_failure_does_not_wait_for_a_file_that_takes_long(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "endless.db")
    started = time.monotonic()
    with pytest.raises(PostgresError, match="no server"), hashing(str(tmp_path / "endless.db"), None):
        raise PostgresError("no server")
    assert time.monotonic() - started < 5
