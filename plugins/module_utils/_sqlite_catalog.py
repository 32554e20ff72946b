# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""What a SQLite file declares, as its own PRAGMAs tell it."""

from __future__ import annotations

import dataclasses
import re
import typing as t

from ._online_names import is_ours
from ._sqlite_tokens import Token, Tokens, fold, quote, tokens_of

if t.TYPE_CHECKING:
    import sqlite3

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


@dataclasses.dataclass(frozen=True)
class Column:
    """A column as declared: C(primary_key) is its 1-based place in the key, 0 outside it.

    C(stored) is whether a generated column is STORED.
    """

    name: str
    declared_type: str
    not_null: bool
    default: str | None
    primary_key: int
    generated: bool
    stored: bool = False


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
    """An index; an expression has the column name None. C(origin) is c (CREATE INDEX), u (UNIQUE) or pk.

    C(collations) are in capitals where SQLite knows them.
    """

    name: str
    columns: tuple[str | None, ...]
    descending: tuple[bool, ...]
    unique: bool
    origin: str
    partial: bool
    sql: str | None
    collations: tuple[str, ...] = ()


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


def read_declarations(connection: sqlite3.Connection) -> Catalog:
    """Return what the file declares, C(sqlite_*) tables of SQLite's own and what online mode put there left out.

    Raises:
        sqlite3.DatabaseError: The file is damaged or locked; L(_sqlite_store.read_catalog) says so as ours.
    """
    declared = connection.execute("SELECT type, name, coalesce(sql, ''), tbl_name FROM sqlite_master ORDER BY rowid")
    rows = [row for row in declared if not is_ours(row[1])]
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
        Column(row[1], row[2] or "", bool(row[3]), row[4], row[5], row[6] in (2, 3), row[6] == 3)
        for row in connection.execute(f"PRAGMA table_xinfo({quote(name)})")
        if row[6] != 1
    )
    options = [token.text.upper() for token in table_options(sql)]
    return Table(
        name,
        kind,
        columns,
        _foreign_keys(connection, name, parents),
        _indexes(connection, name),
        "ROWID" in options,
        "STRICT" in options,
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
                tuple(row[4].upper() for row in parts),
            )
        )
    return tuple(reversed(found))


def table_options(statement: str) -> list[Token]:
    """Return what stands behind the columns of CREATE TABLE."""
    tokens = Tokens(tokens_of(statement))
    while not tokens.at_end and not tokens.next.is_operator("("):
        tokens.take()
    if tokens.at_end:
        return []
    tokens.group()
    return tokens.rest()
