# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Open a SQLite file without harming it, and read what it declares."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import pathlib
import re
import sqlite3
import stat
import struct
import typing as t
import urllib.parse

from ._errors import SqliteError

_MAGIC = b"SQLite format 3\x00"
_HEADER_BYTES = 100
_SMALLEST = 512
_ASCII_LOWER = {upper: upper + 32 for upper in range(ord("A"), ord("Z") + 1)}
_QUOTED = re.compile(r"""'(?:[^']|'')*'|"(?:[^"]|"")*"|`(?:[^`]|``)*`|\[[^\]]*\]|--[^\n]*|/\*.*?\*/""", re.DOTALL)
_VIRTUAL = re.compile(r"\s*CREATE\s+VIRTUAL\s+TABLE\b.*?\bUSING\s+[\"'`\[]?(\w+)", re.IGNORECASE | re.DOTALL)
# The storage of a virtual table by its module: what stands behind the table's name and an underscore.
_RTREE = "node|rowid|parent"
_SHADOWS = {
    "fts3": "content|segments|segdir|docsize|stat",
    "fts4": "content|segments|segdir|docsize|stat",
    "fts5": "data|idx|content|docsize|config",
    "rtree": _RTREE,
    "rtree_i32": _RTREE,
    "geopoly": _RTREE,
    "spellfix1": "vocab",
    "vec0": r"chunks|rowids|info|auxiliary|(vector_chunks|metadatachunks|metadatatext)\d+",
}
_LOCKED = re.compile(r"database (table |schema )?is locked")
_RESTORE = "Restore it from its newest verified backup before anything else."


@dataclasses.dataclass(frozen=True)
class Column:
    """A column as declared: C(primary_key) is its 1-based place in the key, 0 outside it."""

    name: str
    declared_type: str
    not_null: bool
    default: str | None
    primary_key: int
    generated: bool


@dataclasses.dataclass(frozen=True)
class ForeignKey:
    """A foreign key, spelt as the parent spells itself; C(parent_columns) is its primary key where left implicit."""

    columns: tuple[str, ...]
    parent: str
    parent_columns: tuple[str, ...]
    on_update: str
    on_delete: str


@dataclasses.dataclass(frozen=True)
class Index:
    """An index; an expression has the column name None. C(origin) is c (CREATE INDEX), u (UNIQUE) or pk."""

    name: str
    columns: tuple[str | None, ...]
    descending: tuple[bool, ...]
    unique: bool
    origin: str
    partial: bool
    sql: str | None


@dataclasses.dataclass(frozen=True)
class Table:
    """A table of a SQLite file. C(kind) is table, virtual or shadow (the storage of a virtual table)."""

    name: str
    kind: str
    columns: tuple[Column, ...]
    foreign_keys: tuple[ForeignKey, ...]
    indexes: tuple[Index, ...]
    without_rowid: bool
    strict: bool
    sql: str

    @property
    def key(self) -> tuple[str, ...]:
        """The columns of the primary key in key order; empty when there is none."""
        keyed = sorted((column for column in self.columns if column.primary_key), key=lambda c: c.primary_key)
        return tuple(column.name for column in keyed)

    @property
    def column_names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)


@dataclasses.dataclass(frozen=True)
class Catalog:
    """Everything a SQLite file declares; views and triggers by name, and the table of each trigger."""

    tables: tuple[Table, ...]
    views: tuple[str, ...]
    triggers: tuple[str, ...]
    trigger_tables: tuple[str, ...] = ()


def quote(identifier: str) -> str:
    """Return the identifier quoted for SQLite."""
    return '"' + identifier.replace('"', '""') + '"'


def open_readonly(path: str | pathlib.Path, timeout_s: float = 5.0) -> sqlite3.Connection:
    """Open a database file for reading only: nothing is changed, the WAL is read as well, and nothing is left behind.

    The file is never opened as a plain file while SQLite has it open: closing such a handle would drop every lock
    of this process on it, those of other connections included (https://www.sqlite.org/howtocorrupt.html, 2.2).

    Args:
        path: The database file.
        timeout_s: How long to wait for a lock, in seconds.

    Raises:
        SqliteError: The file is missing, is not a database, is truncated, or cannot be read.
    """
    file = pathlib.Path(path)
    _refuse_missing(file)
    wal = file.with_name(file.name + "-wal")
    alone = not wal.exists()
    connection = _open(file, "ro", timeout_s)
    if alone and wal.exists():
        # A reader in mode=ro makes an empty WAL and may not remove it. One in mode=rw removes it when it leaves.
        with contextlib.suppress(SqliteError):
            cleaner = _open(file, "rw", timeout_s)
            connection.close()
            return cleaner
    return connection


def _open(file: pathlib.Path, mode: str, timeout_s: float) -> sqlite3.Connection:
    # Absolute, behind an empty authority: SQLite takes file://srv/x.db for the host "srv".
    uri = f"file://{urllib.parse.quote(os.fsencode(file.absolute()))}?mode={mode}"
    with sqlite_errors(file):
        connection = sqlite3.connect(uri, uri=True, timeout=timeout_s, isolation_level=None)
        try:
            connection.execute("PRAGMA query_only = ON")
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        except sqlite3.OperationalError:
            connection.close()
            raise
        except sqlite3.DatabaseError as error:
            connection.close()
            raise _explain(file, error) from error
    return connection


def _refuse_missing(file: pathlib.Path) -> None:
    try:
        found = file.stat()
    except FileNotFoundError:
        raise SqliteError(f"SQLite file {file} does not exist", remedy="Check sqlite_path of the profile.") from None
    except OSError as error:
        raise SqliteError(f"SQLite file {file} cannot be read", error.strerror or str(error)) from error
    if not stat.S_ISREG(found.st_mode):
        raise SqliteError(f"{file} is not a SQLite database", "it is no regular file")
    if found.st_size < _SMALLEST:  # which SQLite takes for a new, empty database
        why = "it is shorter than any database" if found.st_size else "it is empty"
        raise SqliteError(f"{file} is not a SQLite database", why, "Check sqlite_path of the profile.")


def _explain(file: pathlib.Path, error: sqlite3.DatabaseError) -> SqliteError:
    """Return what is wrong with a file that SQLite has just refused, and closed, by its header."""
    try:
        with file.open("rb") as stream:
            header = stream.read(_HEADER_BYTES)
        size = file.stat().st_size
    except OSError as problem:
        return SqliteError(f"SQLite file {file} cannot be read", problem.strerror or str(problem))
    if len(header) < _HEADER_BYTES or not header.startswith(_MAGIC):
        return SqliteError(
            f"{file} is not a SQLite database",
            "its header is another one (an encrypted file looks like this too)",
            "Check sqlite_path of the profile.",
        )
    # https://www.sqlite.org/fileformat.html: page size at 16 (1 means 65536), number of pages at 28
    (page_size,) = struct.unpack(">H", header[16:18])
    (pages,) = struct.unpack(">I", header[28:32])
    expected = pages * (65536 if page_size == 1 else page_size)
    if size < expected:
        return SqliteError(
            f"SQLite file {file} is truncated",
            f"its header says {pages} pages ({expected} bytes), the file has {size} bytes",
            _RESTORE,
        )
    return SqliteError(f"SQLite file {file} cannot be used", str(error), _RESTORE)


@contextlib.contextmanager
def sqlite_errors(path: str | pathlib.Path, doing: str = "") -> t.Iterator[None]:
    """Turn errors of the sqlite3 library into L(SqliteError), saying what they mean for an operator."""
    what = f"SQLite file {path}" + (f": {doing}" if doing else "")
    try:
        yield
    except sqlite3.OperationalError as error:
        text = str(error)
        if _LOCKED.match(text):
            raise SqliteError(
                f"{what} is locked",
                f"another process holds its write lock ({text})",
                f"See who has it open (fuser {path}), let that writer finish, and run the same command again.",
                locked=True,
            ) from error
        raise SqliteError(f"{what} failed", text) from error
    except sqlite3.DataError as error:  # a value over SQLite's own limits: the file is sound
        raise SqliteError(f"{what} failed", str(error)) from error
    except sqlite3.DatabaseError as error:
        raise SqliteError(
            f"{what} cannot be used",
            str(error),
            _RESTORE,
        ) from error


def reading(connection: sqlite3.Connection, doing: str) -> contextlib.AbstractContextManager[None]:
    """Return L(sqlite_errors) for the file behind a connection."""
    path = connection.execute("PRAGMA database_list").fetchone()[2]
    return sqlite_errors(path.decode() if isinstance(path, bytes) else path, doing)


def read_catalog(connection: sqlite3.Connection) -> Catalog:
    """Return what the file declares, C(sqlite_*) tables of SQLite's own left out.

    Raises:
        SqliteError: The file is damaged or locked.
    """
    with reading(connection, "reading what it declares"):
        return _read_catalog(connection)


def _read_catalog(connection: sqlite3.Connection) -> Catalog:
    rows = connection.execute(
        "SELECT type, name, coalesce(sql, ''), tbl_name FROM sqlite_master ORDER BY rowid"
    ).fetchall()
    names = [(name, sql) for kind, name, sql, _table in rows if kind == "table" and not name.startswith("sqlite_")]
    virtual = {name: made[1].lower() for name, sql in names if (made := _VIRTUAL.match(sql))}
    parents = {fold(name): _parent(connection, name) for name, _sql in names if name not in virtual}
    tables = tuple(_read_table(connection, name, sql, _kind(name, virtual), parents) for name, sql in names)
    return Catalog(
        tables=tables,
        views=tuple(row[1] for row in rows if row[0] == "view"),
        triggers=tuple(row[1] for row in rows if row[0] == "trigger"),
        trigger_tables=tuple(row[3] for row in rows if row[0] == "trigger"),
    )


def _kind(name: str, virtual: t.Mapping[str, str]) -> str:
    if name in virtual:
        return "virtual"
    # FTS, R-tree and their like keep their storage in tables named after them. Only their known names count: an
    # application may well keep docs_history beside a virtual table docs.
    for parent, module in virtual.items():
        storage = _SHADOWS.get(module)
        if storage and fold(name).startswith(fold(parent) + "_") and re.fullmatch(storage, name[len(parent) + 1 :]):
            return "shadow"
    return "table"


def fold(name: str) -> str:
    """Return the name as SQLite compares it: ASCII letters regardless of case, all others as they are."""
    return name.translate(_ASCII_LOWER)


def bare(sql: str) -> str:
    """Return a statement in capitals with its comments, string literals and quoted names blanked out."""
    return _QUOTED.sub(" ", sql).upper()


class _Parent(t.NamedTuple):
    """A table as foreign keys may refer to it: its own spelling, that of its columns (folded to own), its key."""

    name: str
    columns: dict[str, str]
    key: tuple[str, ...]


def _parent(connection: sqlite3.Connection, table: str) -> _Parent:
    info = connection.execute(f"PRAGMA table_xinfo({quote(table)})").fetchall()
    key = tuple(row[1] for row in sorted(info, key=lambda row: row[5]) if row[5])
    return _Parent(table, {fold(row[1]): row[1] for row in info}, key)


def _read_table(
    connection: sqlite3.Connection, name: str, sql: str, kind: str, parents: t.Mapping[str, _Parent]
) -> Table:
    if kind == "virtual":
        # Its module may not be loaded here, so its columns are not asked for: virtual tables are never copied.
        return Table(name, kind, (), (), (), False, False, sql)
    columns = tuple(
        Column(row[1], row[2] or "", bool(row[3]), row[4], row[5], row[6] in (2, 3))
        for row in connection.execute(f"PRAGMA table_xinfo({quote(name)})")
        if row[6] != 1
    )
    tail = bare(sql).rpartition(")")[2]
    return Table(
        name,
        kind,
        columns,
        _foreign_keys(connection, name, parents),
        _indexes(connection, name),
        "WITHOUT" in tail and "ROWID" in tail,
        "STRICT" in tail,
        sql,
    )


def _foreign_keys(
    connection: sqlite3.Connection, table: str, parents: t.Mapping[str, _Parent]
) -> tuple[ForeignKey, ...]:
    grouped: dict[int, list[t.Any]] = {}
    for row in connection.execute(f"PRAGMA foreign_key_list({quote(table)})"):
        grouped.setdefault(row[0], []).append(row)
    found = []
    for _number, rows in sorted(grouped.items(), reverse=True):  # SQLite lists the last declared one first
        rows.sort(key=lambda row: row[1])
        parent = parents.get(fold(rows[0][2]), _Parent(rows[0][2], {}, ()))
        explicit = tuple(parent.columns.get(fold(row[4]), row[4]) for row in rows if row[4] is not None)
        found.append(
            ForeignKey(
                tuple(row[3] for row in rows),
                parent.name,
                explicit or parent.key,
                rows[0][5],
                rows[0][6],
            )
        )
    return tuple(found)


def _indexes(connection: sqlite3.Connection, table: str) -> tuple[Index, ...]:
    found = []
    for _number, name, unique, origin, partial in connection.execute(f"PRAGMA index_list({quote(table)})").fetchall():
        parts = [row for row in connection.execute(f"PRAGMA index_xinfo({quote(name)})") if row[5]]
        sql = connection.execute("SELECT sql FROM sqlite_master WHERE type = 'index' AND name = ?", (name,)).fetchone()
        found.append(
            Index(
                name,
                tuple(row[2] for row in parts),
                tuple(bool(row[3]) for row in parts),
                bool(unique),
                origin,
                bool(partial),
                sql[0] if sql else None,
            )
        )
    return tuple(reversed(found))
