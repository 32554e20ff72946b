# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""The one canonical text of a row, the same from SQLite and from PostgreSQL.

A field is C(<octets>:<bytes>) and NULL is C(~); a row is its fields one after the other. So two rows have the
same text only when they have the same values (the text can be read back, see L(parse_row)), and a plain digest
of it stands for the row. Both texts are made inside the databases, in C; Python only moves and hashes them.

The same file says how a value travels: one CSV field for C(COPY ... FROM STDIN), also made inside SQLite.
"""

from __future__ import annotations

import dataclasses
import hashlib
import struct
import typing as t
from decimal import Decimal

from ._psycopg2 import sql
from ._sqlite_store import quote

if t.TYPE_CHECKING:
    import sqlite3

NULL_FIELD = b"~"


@dataclasses.dataclass(frozen=True)
class Kind:
    """How values of one PostgreSQL type travel and compare.

    The templates take the quoted column as C({x}) and may assume that it is not NULL.

    Attributes:
        name: What the plan calls it.
        storages: The storage classes (C(typeof)) that SQLite may hold in such a column.
        csv: SQLite expression of the CSV field.
        sqlite_text: SQLite expression of the canonical text.
        postgres_text: PostgreSQL expression of the canonical text.
        low: Smallest integer, where the type has one.
        high: Largest integer, where the type has one.
    """

    name: str
    storages: tuple[str, ...]
    csv: str
    sqlite_text: str
    postgres_text: str
    low: int | None = None
    high: int | None = None


def _integer(bits: int) -> Kind:
    high = 2 ** (bits - 1) - 1
    return Kind(f"int{bits // 8}", ("integer",), "{x}", "{x}", "{x}::text", -high - 1, high)


TEXT = Kind("text", ("text",), """'"'||replace({x},'"','""')||'"'""", "{x}", "{x}::text")

# By the name of the type in pg_type. A type that is not here is refused by name: guessing a conversion would
# be a silent change of data.
KINDS: t.Mapping[str, Kind] = {
    "int2": _integer(16),
    "int4": _integer(32),
    "int8": _integer(64),
    "text": TEXT,
    "varchar": TEXT,
    "float8": Kind(
        "float8",
        ("real", "integer"),
        "pgc_float_text({x})",
        "pgc_float_bits({x})",
        "encode(float8send({x}),'hex')",
    ),
    "numeric": Kind(
        "numeric",
        ("integer", "real"),
        "pgc_numeric_text({x})",
        "pgc_numeric_text({x})",
        "trim_scale({x})::text",
    ),
    "bool": Kind("bool", ("integer",), "{x}", "{x}", "{x}::int::text", 0, 1),
    "bytea": Kind("bytea", ("blob",), r"'\x'||hex({x})", "hex({x})", "upper(encode({x},'hex'))"),
}


def prepare(connection: sqlite3.Connection) -> None:
    """Add the functions that the expressions need to a SQLite connection, and make it return bytes for text."""
    connection.text_factory = bytes
    connection.create_function("pgc_float_text", 1, _float_text, deterministic=True)
    connection.create_function("pgc_float_bits", 1, _float_bits, deterministic=True)
    connection.create_function("pgc_numeric_text", 1, _numeric_text, deterministic=True)


# SQLite's own printf does not round-trip doubles (0.3 % of random ones are off even with 17 digits); repr does.
# A value of another storage class is passed on as it is: the census has already refused it.
def _float_text(value: t.Any) -> t.Any:
    return repr(float(value)) if isinstance(value, (int, float)) else value


def _float_bits(value: t.Any) -> t.Any:
    return struct.pack(">d", value).hex() if isinstance(value, (int, float)) else value


def _numeric_text(value: t.Any) -> t.Any:
    if not isinstance(value, (int, float)):
        return value
    if value in (float("inf"), float("-inf")):
        return "Infinity" if value > 0 else "-Infinity"
    number = Decimal(repr(value))
    text = format(number, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def _concatenate(parts: t.Sequence[str]) -> str:
    # Balanced, because SQLite limits the depth of an expression (1000) and a table may have 2000 columns.
    if len(parts) == 1:
        return parts[0]
    middle = len(parts) // 2
    return f"({_concatenate(parts[:middle])}||{_concatenate(parts[middle:])})"


def sqlite_csv_row(columns: t.Sequence[tuple[str, Kind]]) -> str:
    """Return the SQLite expression of a row as one CSV line, without its line end; NULL is an empty field."""
    fields = [_unless_null(name, kind.csv, "''") for name, kind in columns]
    if len(fields) == 1:  # nothing is joined, so a number would stay a number
        return f"CAST({fields[0]} AS TEXT)"
    return _concatenate([part for field in fields for part in ("','", field)][1:])


def sqlite_row(columns: t.Sequence[tuple[str, Kind]]) -> str:
    """Return the SQLite expression of the canonical row."""
    return _concatenate([_sqlite_field(name, kind) for name, kind in columns])


def _sqlite_field(name: str, kind: Kind) -> str:
    text = kind.sqlite_text
    return _unless_null(name, f"length(CAST({text} AS BLOB))||':'||{text}", "'~'")


def _unless_null(name: str, template: str, null: str) -> str:
    # Not ifnull(): some functions of SQLite make a text of NULL, such as hex().
    return f"CASE WHEN {quote(name)} IS NULL THEN {null} ELSE {template.format(x=quote(name))} END"


def postgres_row(columns: t.Sequence[tuple[str, Kind]]) -> sql.Composable:
    """Return the PostgreSQL expression of the canonical row (of type text)."""
    return sql.SQL("||").join([_postgres_field(name, kind) for name, kind in columns])


def _postgres_field(name: str, kind: Kind) -> sql.Composable:
    text = sql.SQL(kind.postgres_text.replace("{x}", "{}")).format(sql.Identifier(name))
    return sql.SQL("coalesce(octet_length({text})||':'||({text}),'~')").format(text=text)


def row_digest(row: bytes) -> bytes:
    """Return the 32-byte SHA-256 of a canonical row; PostgreSQL makes the same with C(sha256(convert_to(...)))."""
    return hashlib.sha256(row).digest()


def parse_row(row: bytes) -> tuple[bytes | None, ...]:
    """Return the fields of a canonical row (None for NULL): the proof that the codec loses nothing.

    Raises:
        ValueError: The bytes are not a canonical row.
    """
    fields: list[bytes | None] = []
    place = 0
    while place < len(row):
        if row[place : place + 1] == NULL_FIELD:
            fields.append(None)
            place += 1
            continue
        colon = row.index(b":", place)
        end = colon + 1 + int(row[place:colon])
        if end > len(row):
            raise ValueError("a field ends after the row does")
        fields.append(row[colon + 1 : end])
        place = end
    return tuple(fields)
