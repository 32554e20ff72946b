# SPDX-License-Identifier: GPL-3.0-or-later
"""The data of the benchmark: two tables, always the same for a number of rows, made once and kept."""

from __future__ import annotations

import contextlib
import random
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

SOURCE_ID = "bench"
BIG = "items"
SMALL = "notes"
_SEED = 20261121
_MANY = 2000
_COMMA = " || ',' || "
# Odd, so that multiplying by it gives every number a place of its own, in no visible order.
_SCATTER = 0x9E3779B97F4A7C15
_WORDS = (
    *("river", "winter", "stone", "lantern", "market", "garden", "signal", "harbour"),
    *("copper", "window", "paper", "morning", "engine", "silent"),
    *("it's", '"quoted"', "a\ttab", "line\nbreak", "back\\slash", "comma,", "semi;", "naïve", "Zürich"),
    *("東京", "🚀", "👩\u200d🚀", "🏳\ufe0f\u200d🌈", "100%", "\\N", "\\."),
)

_SCHEMA = """
CREATE TABLE items (
    source_id TEXT NOT NULL,
    id TEXT NOT NULL,
    title TEXT NOT NULL,
    body TEXT,
    author TEXT,
    views INTEGER NOT NULL,
    likes INTEGER,
    score REAL,
    thumb BLOB,
    updated_at TEXT NOT NULL,
    PRIMARY KEY (source_id, id)
);
CREATE TABLE notes (
    source_id TEXT NOT NULL,
    item_id TEXT NOT NULL,
    markdown TEXT NOT NULL,
    rating INTEGER,
    updated_at TEXT,
    PRIMARY KEY (source_id, item_id),
    FOREIGN KEY (source_id, item_id) REFERENCES items (source_id, id) ON DELETE CASCADE
);
"""
_INDEXES = """
CREATE INDEX items_author ON items (source_id, author);
CREATE INDEX items_updated_at ON items (updated_at DESC);
CREATE INDEX notes_rating ON notes (rating);
"""


@dataclass(frozen=True)
class Dataset:
    """A SQLite file with C(rows) rows in the big table and a tenth of that in the other; the big one as CSV as well."""

    rows: int
    sqlite: Path
    csv: Path

    @property
    def all_rows(self) -> int:
        return self.rows + small_rows(self.rows)


def small_rows(rows: int) -> int:
    """Return the number of rows of the second table."""
    return -(-rows // 10)


def make_dataset(folder: Path, rows: int) -> Dataset:
    """Return the data set of that size, made anew when it is not in the folder yet."""
    folder.mkdir(parents=True, exist_ok=True)
    found = Dataset(rows, folder / f"data-{_SEED}-{rows}.db", folder / f"data-{_SEED}-{rows}.csv")
    if not found.sqlite.exists():
        unfinished = found.sqlite.with_suffix(".part")
        unfinished.unlink(missing_ok=True)
        _write_sqlite(unfinished, rows)
        unfinished.rename(found.sqlite)
    if not found.csv.exists():
        unfinished = found.csv.with_suffix(".part")
        _write_csv(found.sqlite, unfinished)
        unfinished.rename(found.csv)
    return found


def _write_sqlite(path: Path, rows: int) -> None:
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for pragma in ("journal_mode = OFF", "synchronous = OFF", "cache_size = -400000"):
            connection.execute(f"PRAGMA {pragma}")
        connection.executescript(_SCHEMA)
        connection.execute("BEGIN")
        connection.executemany(f"INSERT INTO items VALUES ({', '.join('?' * 10)})", _items(rows))
        connection.executemany(f"INSERT INTO notes VALUES ({', '.join('?' * 5)})", _notes(rows))
        connection.execute("COMMIT")
        connection.executescript(_INDEXES)


def _items(rows: int) -> Iterator[tuple[object, ...]]:
    choice = random.Random(_SEED)
    titles, bodies = _texts(choice, 3, 5), _texts(choice, 5, 12)
    for number in range(rows):
        bits = choice.getrandbits(64)
        blank = bits & 15
        yield (
            SOURCE_ID,
            _key(number),
            f"{titles[bits >> 4 & 1023]} #{number}",
            bodies[bits >> 14 & 1023] if blank else None,
            f"author{bits >> 24 & 16383}",
            bits >> 38 & 0xFFFFF,
            bits >> 50 & 1023 if blank != 1 else None,
            choice.random() * 1000 if blank != 2 else None,
            bits.to_bytes(8, "big") * 3 if number % 10 == 3 else None,
            _moment(number),
        )


def _notes(rows: int) -> Iterator[tuple[object, ...]]:
    choice = random.Random(_SEED + 1)
    texts = _texts(choice, 8, 20)
    for number in range(0, rows, 10):
        bits = choice.getrandbits(32)
        yield SOURCE_ID, _key(number), f"# {texts[bits & 1023]}\n{number}", bits >> 10 & 7 or None, _moment(number)


def _key(number: int) -> str:
    return f"{number * _SCATTER & 0xFFFFFFFFFFFFFFFF:016x}"


def _moment(number: int) -> str:
    return f"2026-{number % 12 + 1:02}-{number % 28 + 1:02}T{number % 24:02}:{number % 60:02}:{number // 60 % 60:02}Z"


def _texts(choice: random.Random, fewest: int, most: int) -> list[str]:
    return [" ".join(choice.choices(_WORDS, k=choice.randint(fewest, most))) for _number in range(1024)]


def _write_csv(sqlite: Path, path: Path) -> None:
    """Write the big table as the CSV that COPY reads back exactly: NULL is an empty field, a text always quoted."""

    def quoted(name: str) -> str:
        return f"""ifnull('"' || replace({name}, '"', '""') || '"', '')"""

    fields = [
        *(quoted(name) for name in ("source_id", "id", "title", "body", "author")),
        *("views", "ifnull(likes, '')", "ifnull(exact(score), '')"),
        r"CASE WHEN thumb IS NULL THEN '' ELSE '\x' || hex(thumb) END",
        quoted("updated_at"),
    ]
    with (
        contextlib.closing(sqlite3.connect(f"file:{sqlite}?mode=ro", uri=True)) as connection,
        path.open("w", encoding="utf-8", newline="") as file,
    ):
        # SQLite's own text of a REAL does not always read back as the same number.
        connection.create_function("exact", 1, lambda value: None if value is None else repr(value))
        rows = connection.execute(f"SELECT {_COMMA.join(fields)} FROM items")
        while lines := rows.fetchmany(_MANY):
            file.writelines(f"{line}\n" for (line,) in lines)
