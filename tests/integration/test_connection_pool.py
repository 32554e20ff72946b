# SPDX-License-Identifier: GPL-3.0-or-later
"""How full PostgreSQL's connections are: of the server, of a role and of a database, seen by a role without rights."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterator
from typing import Any

import psycopg2
import pytest
from _servers import Server
from ansible_collections.sxops.pg_cutover.plugins.module_utils._connection_pool import used
from psycopg2 import sql
from psycopg2.extensions import make_dsn


@contextlib.contextmanager
def superuser(server: Server) -> Iterator[Any]:
    connection = psycopg2.connect(server.superuser_dsn)
    connection.autocommit = True
    try:
        with connection.cursor() as cursor:
            yield cursor
    finally:
        connection.close()


@pytest.fixture
def app(server: Server) -> Iterator[tuple[str, str, str]]:
    """The DSN of a role that may do nothing but log in to a database of its own; their names."""
    name, password = f"pool_{secrets.token_hex(4)}", secrets.token_hex(8)
    role = sql.Identifier(name)
    with superuser(server) as cursor:
        cursor.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(role, sql.Literal(password)))
        cursor.execute(sql.SQL("CREATE DATABASE {}").format(role))
    yield make_dsn(server.superuser_dsn, user=name, password=password, dbname=name), name, name
    with superuser(server) as cursor:
        cursor.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(role))
        cursor.execute(sql.SQL("DROP ROLE {}").format(role))


@contextlib.contextmanager
def connections(dsn: str, number: int) -> Iterator[Any]:
    """So many sessions; the first one of them."""
    with contextlib.ExitStack() as stack:
        opened = [stack.enter_context(contextlib.closing(psycopg2.connect(dsn))) for _one in range(number)]
        yield opened[0]


def clients(cursor: Any) -> int:
    cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'")
    return int(cursor.fetchone()[0])


def test_the_server_counts_where_nothing_else_is_limited(server: Server, app: tuple[str, str, str]) -> None:
    with superuser(server) as cursor, connections(app[0], 4) as mine, connections(server.superuser_dsn, 2):
        cursor.execute(
            "SELECT current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int"
            " - coalesce(current_setting('reserved_connections', true), '0')::int"
        )
        (wanted,) = cursor.fetchone()
        before = clients(cursor)
        number, limit = used(mine)
        after = clients(cursor)
    assert limit == wanted
    assert min(before, after) >= 7, "the sessions of this test"
    assert min(before, after) <= number <= max(before, after)


@pytest.mark.parametrize("what", ["ROLE {} CONNECTION LIMIT 6", "DATABASE {} CONNECTION LIMIT 6"])
def test_the_fewest_that_are_left_count(server: Server, app: tuple[str, str, str], what: str) -> None:
    with superuser(server) as cursor:
        cursor.execute(sql.SQL("ALTER " + what).format(sql.Identifier(app[1])))
    with connections(app[0], 5) as mine, connections(server.superuser_dsn, 3):
        assert used(mine) == (5, 6)


def test_nothing_is_left_open(server: Server, app: tuple[str, str, str]) -> None:
    with connections(app[0], 1) as mine:
        used(mine)
        assert mine.info.transaction_status == psycopg2.extensions.TRANSACTION_STATUS_IDLE
