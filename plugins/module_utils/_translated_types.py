# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Which PostgreSQL type a column of SQLite becomes: by its declared type, or by what it really holds."""

from __future__ import annotations

import dataclasses
import re
import typing as t

from ._sqlite_store import reading
from ._sqlite_tokens import quote

if t.TYPE_CHECKING:
    import sqlite3

    from ._sqlite_catalog import Catalog, Column

BIGINT, DOUBLE, NUMERIC, TEXT, BOOLEAN, BYTEA = "bigint", "double precision", "numeric", "text", "boolean", "bytea"
# https://www.sqlite.org/datatype3.html, 3.1: SQLite's own order of deciding
_AFFINITIES = (
    ("INTEGER", ("INT",)),
    ("TEXT", ("CHAR", "CLOB", "TEXT")),
    ("BLOB", ("BLOB",)),
    ("REAL", ("REAL", "FLOA", "DOUB")),
)
_BY_AFFINITY = {"INTEGER": BIGINT, "TEXT": TEXT, "BLOB": BYTEA, "REAL": DOUBLE, "NUMERIC": NUMERIC}
# What a declared type promises by itself. Any other name says no more than its affinity does.
_PROMISES = (
    (re.compile(r"BOOL(EAN)?"), BOOLEAN),
    (re.compile(r"(UNSIGNED |SIGNED |BIG |TINY|SMALL|MEDIUM|BIG)*INT(EGER|\d)?( UNSIGNED| SIGNED)?"), BIGINT),
    (
        re.compile(r"(LONG|MEDIUM|TINY|NATIVE |NATIONAL |VARYING )*(N?VAR|N)?(CHAR|CHARACTER|TEXT|CLOB)( VARYING)?"),
        TEXT,
    ),
    (re.compile(r"VARYING CHARACTER|CHARACTER VARYING"), TEXT),
    (re.compile(r"(LONG|MEDIUM|TINY)?BLOB"), BYTEA),
    (re.compile(r"REAL|FLOAT|DOUBLE( PRECISION)?"), DOUBLE),
    (re.compile(r"NUMERIC|DECIMAL"), NUMERIC),
    (re.compile(r"JSON"), TEXT),
)
# Kept as they are, text as it is spelt and seconds as numbers: no type of PostgreSQL's keeps every spelling of a time.
_TIMES = re.compile(r"DATE|DATETIME|TIMESTAMPTZ|(TIME|TIMESTAMP)( WITH(OUT)? TIME ZONE)?")
# Where there are no values to go by: names that promise no number, whatever affinity SQLite makes of them.
_TEXTS = ("", "ANY", "STRING", "UUID", "GUID", "JSONB")
# Beyond these an integer cannot be told from its neighbours as double precision.
_EXACT_INTEGER_AS_FLOAT = 2**53
INTEGER, LARGE, REAL, STRING, BLOB = "integer", "large integer", "real", "text", "blob"


@dataclasses.dataclass(frozen=True)
class Observed:
    """What is known of columns whose declaration promises no type, each by its table and name.

    Attributes:
        counts: How many values of which storage class they hold.
        parents: The types of the columns that they refer to by a foreign key.
    """

    counts: t.Mapping[tuple[str, str], t.Mapping[str, int]]
    parents: t.Mapping[tuple[str, str], str]


@dataclasses.dataclass(frozen=True)
class TypeChoice:
    """A type, whether only the values decided it, and why there is none."""

    type: str
    note: str = ""
    refusal: str = ""


def affinity(declared: str, strict: bool = False) -> str:
    """Return SQLite's affinity for a declared type: INTEGER, TEXT, BLOB (also for none), REAL or NUMERIC."""
    name = declared.upper()
    if not name or (strict and name == "ANY"):
        return "BLOB"
    for found, words in _AFFINITIES:
        if any(word in name for word in words):
            return found
    return "NUMERIC"


def postgres_type(declared: str) -> str | None:
    """Return the PostgreSQL type for a declared SQLite type, None where it says nothing exact."""
    for pattern, found in _PROMISES:
        if pattern.fullmatch(_bare(declared)):
            return found
    return None


def _bare(declared: str) -> str:
    return " ".join(re.sub(r"\([^)]*\)", " ", declared.upper()).split())


def choose(table: str, column: Column, strict: bool, observed: Observed) -> TypeChoice:
    """Return the type of a column whose declaration promises none, from the storage classes of its values."""
    promised = postgres_type(column.declared_type)
    declared = f"declared as {column.declared_type!r}" if column.declared_type else "declared without a type"
    what = f"column {table}.{column.name}: {declared}"
    if promised:
        kept = promised == TEXT and affinity(column.declared_type) != "TEXT"
        return TypeChoice(promised, f"{what}, stays text as it is spelt" if kept else "")
    counts = observed.counts.get((table, column.name), {})
    held = " and ".join(f"{count} {name}" for name, count in sorted(counts.items()))
    kind = _holding(frozenset(counts))
    if _TIMES.fullmatch(_bare(column.declared_type)) and kind in (None, TEXT, BYTEA):
        return TypeChoice(TEXT, f"{what}, stays text as it is spelt")
    if kind:
        return TypeChoice(kind, f"{what}, holds {held} value(s): {kind}")
    if counts:
        return TypeChoice(
            TEXT, refusal=f"{what}, it holds {held} value(s), which no one type of PostgreSQL keeps apart"
        )
    parent = observed.parents.get((table, column.name))
    if parent:
        return TypeChoice(parent, f"{what}, holds no value: {parent}, as what it refers to")
    kind = TEXT if column.declared_type.upper() in _TEXTS else _BY_AFFINITY[affinity(column.declared_type, strict)]
    return TypeChoice(kind, f"{what}, holds no value: {kind}")


def _holding(classes: frozenset[str]) -> str | None:
    if not classes:
        return None
    if classes <= {INTEGER, LARGE}:
        return BIGINT
    if classes <= {INTEGER, REAL}:
        return DOUBLE
    if classes <= {INTEGER, LARGE, REAL}:
        return NUMERIC
    return {frozenset({STRING}): TEXT, frozenset({BLOB}): BYTEA}.get(classes)


def read_observed(source: sqlite3.Connection, catalog: Catalog, names: t.Collection[str]) -> Observed:
    """Return how many values of which storage class the columns hold whose declaration promises none.

    One pass over each table that has such a column, whatever profile its rows belong to: the type has to hold them
    all. An integer beyond what double precision keeps exactly counts as C(large integer).

    Raises:
        SqliteError: A table cannot be read.
    """
    found: dict[tuple[str, str], dict[str, int]] = {}
    for table in catalog.tables:
        columns = [c for c in table.columns if not c.generated and postgres_type(c.declared_type) is None]
        if table.name not in names or not columns:
            continue
        sums = [
            f"total({condition.replace('{x}', quote(column.name))})"
            for column in columns
            for condition in _CLASSES.values()
        ]
        with reading(source, f"reading the types in table {table.name}"):
            counted = iter(source.execute(f"SELECT {', '.join(sums)} FROM {quote(table.name)}").fetchone())
        for column in columns:
            counts = {name: int(next(counted)) for name in _CLASSES}
            found[table.name, column.name] = {name: count for name, count in counts.items() if count}
    return Observed(found, _parents(catalog, found))


def _parents(catalog: Catalog, columns: t.Collection[tuple[str, str]]) -> dict[tuple[str, str], str]:
    declared = {(table.name, column.name): column.declared_type for table in catalog.tables for column in table.columns}
    found = {}
    for table in catalog.tables:
        for key in table.foreign_keys:
            for name, parent_name in zip(key.columns, key.parent_columns):
                promised = postgres_type(declared.get((key.parent, parent_name), ""))
                if promised and (table.name, name) in columns:
                    found[table.name, name] = promised
    return found


_SMALL = f"{{x}} BETWEEN -{_EXACT_INTEGER_AS_FLOAT} AND {_EXACT_INTEGER_AS_FLOAT}"
_CLASSES = {
    INTEGER: f"typeof({{x}}) = 'integer' AND {_SMALL}",
    LARGE: f"typeof({{x}}) = 'integer' AND NOT {_SMALL}",
    REAL: "typeof({x}) = 'real'",
    STRING: "typeof({x}) = 'text'",
    BLOB: "typeof({x}) = 'blob'",
}
