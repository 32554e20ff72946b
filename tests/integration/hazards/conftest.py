# SPDX-License-Identifier: GPL-3.0-or-later
"""The hazards of migrations from SQLite to PostgreSQL (S01 to S47), each put into a real file, on both servers.

A test carries the number of its hazard. What it asserts is an exact round trip, read back from both stores
independently of our codec, or a refusal that names table, column and key and leaves nothing behind.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from _databases import Database, Tenant, fresh_database
from _servers import Server

pytest.register_assert_rewrite("_outcomes")  # which the tests import: its failures are to tell the values


@pytest.fixture(scope="module")
def database(server: Server) -> Iterator[Database]:
    with fresh_database(server, "hazards") as found:
        yield found


@pytest.fixture
def tenant(database: Database, tmp_path: Path) -> Tenant:
    """A whole file that is one profile's, and no schema yet."""
    tenant = Tenant(database, tmp_path / "snapshot.db")
    tenant.drop_schema()
    return tenant
