# SPDX-License-Identifier: GPL-3.0-or-later
"""Compare the live store, read by SQL, with every write that was acknowledged."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import psycopg2
from psycopg2 import sql

from .clients import META, NOTE
from .ledger import Expected, Key

# Where each value of the clients lands.
_PLACES = {META: ("user_meta", "notes"), NOTE: ("video_notes", "markdown")}
_NAMED = 5
Found = list[tuple[Key, str | None]]
Store = Callable[[str], Found]


@dataclass
class Verdict:
    """What the comparison came to.

    Attributes:
        checked: How many keys with an acknowledged write were looked up.
        lost: How many of them hold neither their last acknowledged value nor a later one without an answer.
        duplicated: How many keys have more than one row, and how many values stand in more than one row.
        done_though_refused: How many keys hold a value whose write was refused.
        examples: The first few of each, in words.
    """

    checked: int = 0
    lost: int = 0
    duplicated: int = 0
    done_though_refused: int = 0
    examples: list[str] = field(default_factory=list)

    @property
    def good(self) -> bool:
        """Whether something was compared and nothing was wrong."""
        return self.checked > 0 and not (self.lost or self.duplicated or self.done_though_refused)

    def __add__(self, other: Verdict) -> Verdict:
        return Verdict(
            self.checked + other.checked,
            self.lost + other.lost,
            self.duplicated + other.duplicated,
            self.done_though_refused + other.done_though_refused,
            [*self.examples, *other.examples],
        )


def sqlite_store(path: Path | str) -> Store:
    """Return a reader of a SQLite file; it asks in one transaction and holds no lock on writers."""

    def read(profile: str) -> Found:
        with closing(sqlite3.connect(f"{Path(path).resolve().as_uri()}?mode=ro", uri=True, timeout=30)) as connection:
            connection.execute("BEGIN")
            return [
                (Key(profile, item, kind), value)
                for kind, (table, column) in _PLACES.items()
                for item, value in connection.execute(
                    f"SELECT video_id, {column} FROM {table} WHERE source_id = ?", (profile,)
                )
            ]

    return read


def postgres_store(dsn: str, schema: Callable[[str], str] = "sx_{}".format) -> Store:
    """Return a reader of the profiles' schemas."""

    def read(profile: str) -> Found:
        with closing(psycopg2.connect(dsn)) as connection, connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
            found: Found = []
            for kind, (table, column) in _PLACES.items():
                cursor.execute(
                    sql.SQL("SELECT video_id, {} FROM {}").format(
                        sql.Identifier(column), sql.Identifier(schema(profile), table)
                    )
                )
                found += [(Key(profile, item, kind), value) for item, value in cursor.fetchall()]
            return found

    return read


def verify(expected: Mapping[Key, Expected], stores: Mapping[str, Store]) -> Verdict:
    """Compare what the clients expect with the live store of each profile; they must be quiet meanwhile."""
    total = Verdict()
    for profile, read in stores.items():
        total += compare({key: value for key, value in expected.items() if key.profile == profile}, read(profile))
    return total


def compare(expected: Mapping[Key, Expected], found: Iterable[tuple[Key, str | None]]) -> Verdict:
    """Compare what the clients of one profile expect with all rows of its live store."""
    rows = list(found)
    store = dict(rows)
    lost, refused = [], []
    for key, wanted in sorted(expected.items()):
        value = store.get(key)
        if value is not None and value in wanted.refused:
            refused.append(f"{_name(key)} holds {value}, which was refused")
        elif not wanted.allows(value):
            maybe = f" (or {', '.join(wanted.maybe)})" if wanted.maybe else ""
            lost.append(f"{_name(key)} holds {value!r}, acknowledged was {wanted.acknowledged}{maybe}")
    ours = {value for wanted in expected.values() for value in (wanted.acknowledged, *wanted.maybe) if value}
    twice = [
        f"{_name(key)} has {number} rows" for key, number in Counter(key for key, _v in rows).items() if number > 1
    ]
    values = Counter((key.field, value) for key, value in store.items() if value in ours)
    twice += [f"{kind} {value} stands in {number} rows" for (kind, value), number in values.items() if number > 1]
    return Verdict(
        checked=sum(wanted.acknowledged is not None for wanted in expected.values()),
        lost=len(lost),
        duplicated=len(twice),
        done_though_refused=len(refused),
        examples=[
            *(f"lost: {text}" for text in lost[:_NAMED]),
            *(f"duplicated: {text}" for text in twice[:_NAMED]),
            *(f"done though refused: {text}" for text in refused[:_NAMED]),
        ],
    )


def _name(key: Key) -> str:
    return f"{key.field} of item {key.item} of {key.profile}"
