# SPDX-License-Identifier: GPL-3.0-or-later
"""The bookkeeping schema is made once, however many runs need it at the same time."""

from __future__ import annotations

import concurrent.futures
import contextlib
import threading
from collections.abc import Callable, Iterator

import psycopg2
import pytest
from _databases import Database, fresh_database
from _servers import Server
from ansible_collections.sxops.pg_cutover.plugins.module_utils import _load_journal, _online_journal

RUNS = 8


@pytest.fixture
def database(server: Server) -> Iterator[Database]:
    with fresh_database(server, "bookkeeping") as created:
        yield created


@pytest.mark.parametrize("install", [_load_journal.install, _online_journal.install])
def test_several_runs_may_be_the_first(database: Database, install: Callable[..., None]) -> None:
    together = threading.Barrier(RUNS)

    def run(_number: int) -> None:
        with contextlib.closing(psycopg2.connect(database.dsn)) as connection:
            together.wait()
            install(connection)
            connection.commit()

    with concurrent.futures.ThreadPoolExecutor(RUNS) as pool:
        list(pool.map(run, range(RUNS)))
    with contextlib.closing(psycopg2.connect(database.dsn)) as connection:
        assert _load_journal.is_installed(connection) or _online_journal.is_installed(connection)
