# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Triggers of the application in SQLite that would do once more what PostgreSQL's rows already show.

A trigger that writes into a captured table had its effect in PostgreSQL, or the application did it itself: firing it
again on replayed rows would add that twice. Such triggers are taken away within our transaction and put back verbatim
before its end. All others, such as those that keep a full-text index in step, fire as for any other write.
"""

from __future__ import annotations

import contextlib
import typing as t

from ._online_names import is_ours
from ._sqlite_tokens import Token, Tokens, fold, quote, tokens_of
from ._sqlite_writer import writing

if t.TYPE_CHECKING:
    import sqlite3


@contextlib.contextmanager
def without_triggers(connection: sqlite3.Connection, tables: t.Collection[str]) -> t.Iterator[list[str]]:
    """Take away the triggers that write into one of these tables, and put them back at the end.

    Args:
        connection: SQLite, inside a transaction that is rolled back where anything fails.
        tables: The tables whose rows are replayed.

    Yields:
        The names of the triggers.

    Raises:
        SqliteError: They cannot be taken away or put back.
    """
    with writing(connection, "taking triggers away"):
        found = _writing_into(connection, tables)
        for name, _statement in found:
            connection.execute(f"DROP TRIGGER {quote(name)}")
    yield [name for name, _statement in found]
    with writing(connection, "putting triggers back"):
        for _name, statement in found:
            connection.execute(statement)


def _writing_into(connection: sqlite3.Connection, tables: t.Collection[str]) -> list[tuple[str, str]]:
    wanted = {fold(name) for name in tables}
    rows = connection.execute("SELECT name, sql FROM main.sqlite_master WHERE type = 'trigger' ORDER BY rowid")
    triggers = [(_text(name), _text(statement)) for name, statement in rows.fetchall()]
    return [
        (name, statement)
        for name, statement in triggers
        if not is_ours(name) and any(fold(written) in wanted for written in written_tables(statement))
    ]


def written_tables(statement: str) -> set[str]:
    """Return the tables that the body of a trigger inserts into, updates or deletes from, as it spells them."""
    tokens = Tokens(tokens_of(statement))
    while not tokens.at_end and not tokens.next.is_word("BEGIN"):
        tokens.take()
    found: set[str] = set()
    begins = True  # whether a statement begins here
    tokens.take()
    while not tokens.at_end:
        token = tokens.take()
        if begins or token.is_word("INSERT", "REPLACE", "UPDATE", "DELETE"):
            name = _table_behind(token, tokens)
            if name is not None:
                found.add(name)
        begins = token.is_operator(";")
    return found


def _table_behind(token: Token, tokens: Tokens) -> str | None:
    if token.is_word("INSERT", "UPDATE") and tokens.next.is_word("OR"):
        tokens.take()
        tokens.take()
    if token.is_word("INSERT", "REPLACE"):
        return tokens.take().text if tokens.took_word("INTO") and tokens.next.is_name else None
    if token.is_word("DELETE"):
        return tokens.take().text if tokens.took_word("FROM") and tokens.next.is_name else None
    if token.is_word("UPDATE") and tokens.next.is_name and not tokens.next.is_word("SET"):
        return tokens.take().text  # not the SET of an upsert
    return None


def _text(value: t.Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
