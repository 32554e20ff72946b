# SPDX-License-Identifier: GPL-3.0-or-later
"""How this application looks after its connections: it does not.

On success the transaction is committed and the connection left to the garbage collector. After an error it is
neither rolled back nor closed, so its open transaction, with the locks it holds, stays for a minute and more.
"""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from collections.abc import Iterator
from typing import Any

import psycopg2
from fastapi import HTTPException

from .database import Database

# A flood of errors must not use up the process's file descriptors; the collector would get most of them too.
_MOST_LINGERING = 16
_lingering: list[Any] = []
_guard = threading.Lock()


def linger(database: Database, seconds: float) -> None:
    """Keep a failed connection open, its transaction with it, for about this long."""
    connection = database.connection
    if not database.is_postgres and not connection.in_transaction:
        return  # The engine itself rolled back (RAISE(ROLLBACK) does): nothing is held, nothing to keep.
    with _guard:
        if len(_lingering) >= _MOST_LINGERING:
            if not database.is_postgres:
                # Never let go of an earlier one instead: it may be the one holding the write lock.
                _end(connection)
                return
            _end(_lingering.pop(0))
        _lingering.append(connection)
    timer = threading.Timer(seconds, _let_go, (connection,))
    timer.daemon = True
    timer.start()


def _let_go(connection: Any) -> None:
    with _guard:
        if connection in _lingering:
            _lingering.remove(connection)
    _end(connection)


def _end(connection: Any) -> None:
    with contextlib.suppress(sqlite3.Error, psycopg2.Error):
        # Closing alone does not end a SQLite transaction while a statement of it is referenced somewhere.
        connection.rollback()
    connection.close()


@contextlib.contextmanager
def careless(database: Database, linger_seconds: float) -> Iterator[Database]:
    """Use a connection for one request the way this application does."""
    try:
        yield database
    except HTTPException:
        database.commit()
        raise
    except BaseException:
        linger(database, linger_seconds)
        raise
    database.commit()
