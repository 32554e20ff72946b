# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""The one canonical text of a row, the same from SQLite and from PostgreSQL.

A row is its head, a C(|), and the contents of its text columns one after the other. The head has one item per
column, separated by C(;): a token for what has a short text of its own (numbers, bits of floats, hexadecimal
octets), C(#<octets>) for a text, and C(~) for NULL. So two rows have the same text only when they have the same values
(the text can be read back, see L(parse_row)), and a plain digest of it stands for the row. Both texts are made inside
the databases, in C, with one call per row; Python only moves and hashes them.

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

NULL_ITEM = b"~"
NULL_TEXT = b"#~"
# Characters that hardly any text holds. Where the census found none of them, they quote a text and stand for NULL, and
# no text has to be searched for quotes.
QUOTE_MARK = "\x01"
NULL_MARK = "\x02"
# A function of SQLite takes 127 arguments, one of PostgreSQL 100; a column needs up to two.
_COLUMNS_AT_ONCE = 40


@dataclasses.dataclass(frozen=True)
class Kind:
    """How values of one PostgreSQL type travel and compare.

    The templates take the quoted column as C({x}); they are NULL where it is, unless C(null_safe) is false. What a
    token is made of holds none of C(; | ~ #).

    Attributes:
        name: What the plan calls it.
        storages: The storage classes (C(typeof)) that SQLite may hold in such a column.
        csv: SQLite expression of the CSV field, without its quotes.
        sqlite_text: SQLite expression of the token, or of the whole text.
        postgres_text: PostgreSQL expression of the same.
        low: Smallest integer, where the type has one.
        high: Largest integer, where the type has one.
        is_text: Whether the value is a text of any length and content.
        null_safe: Whether the SQLite expressions make NULL of NULL.
    """

    name: str
    storages: tuple[str, ...]
    csv: str
    sqlite_text: str
    postgres_text: str
    low: int | None = None
    high: int | None = None
    is_text: bool = False
    null_safe: bool = True


def _integer(bits: int) -> Kind:
    high = 2 ** (bits - 1) - 1
    # Texts and blobs sort after all numbers; one that stands here by mistake must not look like a number.
    token = f"CASE WHEN +{{x}} <= {2**63 - 1} THEN {{x}} ELSE '!'||hex({{x}}) END"
    return Kind(f"int{bits // 8}", ("integer",), "{x}", token, "{x}::text", -high - 1, high, null_safe=False)


TEXT = Kind("text", ("text",), "{x}", "{x}", "{x}::text", is_text=True)

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
    "bool": dataclasses.replace(_integer(16), name="bool", postgres_text="{x}::int::text", low=0, high=1),
    "bytea": Kind("bytea", ("blob",), r"'\x'||hex({x})", "hex({x})", "upper(encode({x},'hex'))", null_safe=False),
}


def prepare(connection: sqlite3.Connection) -> None:
    """Add the functions that the expressions need to a SQLite connection, and make it return bytes for text."""
    connection.text_factory = bytes
    connection.create_function("pgc_float_text", 1, _float_text, deterministic=True)
    connection.create_function("pgc_float_bits", 1, _float_bits, deterministic=True)
    connection.create_function("pgc_numeric_text", 1, _numeric_text, deterministic=True)


# SQLite's own printf does not round-trip doubles (0.3 % of random ones are off even with 17 digits); repr does.
# A value of another storage class is marked as what no number is: the census refuses it.
def _float_text(value: t.Any) -> t.Any:
    return repr(float(value)) if isinstance(value, (int, float)) else _misplaced(value)


def _float_bits(value: t.Any) -> t.Any:
    return struct.pack(">d", value).hex() if isinstance(value, (int, float)) else _misplaced(value)


def _numeric_text(value: t.Any) -> t.Any:
    if not isinstance(value, (int, float)):
        return _misplaced(value)
    if value in (float("inf"), float("-inf")):
        return "Infinity" if value > 0 else "-Infinity"
    number = Decimal(repr(value))
    text = format(number, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def _misplaced(value: t.Any) -> t.Any:
    if isinstance(value, str):
        value = value.encode(errors="surrogatepass")
    return value if value is None else "!" + value.hex()


def _concatenate(parts: t.Sequence[str]) -> str:
    # Balanced, because SQLite limits the depth of an expression (1000) and a table may have 2000 columns.
    if len(parts) == 1:
        return parts[0]
    middle = len(parts) // 2
    return f"({_concatenate(parts[:middle])}||{_concatenate(parts[middle:])})"


def _printf(formats: t.Sequence[str], values: t.Sequence[str], between: str, end: str = "") -> str:
    """Return the SQLite expression of the formats filled with the values, in as few calls as SQLite allows."""
    calls = []
    for start in range(0, len(formats), _COLUMNS_AT_ONCE):
        some = slice(start, start + _COLUMNS_AT_ONCE)
        last = start + _COLUMNS_AT_ONCE >= len(formats)
        template = between.join(formats[some]) + (end if last else between)
        calls.append(f"printf('{template}', {', '.join(values[some])})")
    return _concatenate(calls)


def sqlite_csv_row(columns: t.Sequence[tuple[str, Kind]], marked: bool = False) -> str:
    """Return the SQLite expression of a row as one CSV line, without its line end.

    Args:
        columns: The names in SQLite, and how each travels.
        marked: Whether no text holds L(QUOTE_MARK) or L(NULL_MARK), so that they can serve as what they are named
            after (see L(csv_options)). Otherwise a text stands between double quotes and NULL is an empty field.
    """
    if marked:
        formats = [f"{QUOTE_MARK}%s{QUOTE_MARK}" if kind.is_text else "%s" for _name, kind in columns]
        return _printf(formats, [_unless_null(name, kind, kind.csv, f"'{NULL_MARK}'") for name, kind in columns], ",")
    fields = [_quoted_field(name, kind) for name, kind in columns]
    if len(fields) == 1:  # nothing is joined, so a number would stay a number
        return f"CAST({fields[0]} AS TEXT)"
    return _concatenate([part for field in fields for part in ("','", field)][1:])


def _quoted_field(name: str, kind: Kind) -> str:
    csv = f"""'"'||replace({kind.csv},'"','""')||'"'""" if kind.is_text else kind.csv
    return _unless_null(name, kind, csv, "''")


def csv_options(columns: t.Sequence[tuple[str, Kind]], marked: bool) -> sql.Composable:
    """Return the options of C(COPY) that read the lines of L(sqlite_csv_row), the names being PostgreSQL's."""
    if not marked:
        return sql.SQL("(FORMAT csv)")
    options = [
        sql.SQL("FORMAT csv, QUOTE {}, ESCAPE {}, NULL {}").format(
            sql.Literal(QUOTE_MARK), sql.Literal(QUOTE_MARK), sql.Literal(NULL_MARK)
        )
    ]
    quoted = [sql.Identifier(name) for name, kind in columns if kind.is_text]
    if quoted:
        options.append(sql.SQL("FORCE_NULL ({})").format(sql.SQL(", ").join(quoted)))
    return sql.SQL("({})").format(sql.SQL(", ").join(options))


def sqlite_row(columns: t.Sequence[tuple[str, Kind]]) -> str:
    """Return the SQLite expression of the canonical row."""
    formats = ["#%s" if kind.is_text else "%s" for _name, kind in columns]
    head = _printf(formats, [_sqlite_item(name, kind) for name, kind in columns], ";", "|")
    texts = [f"ifnull({kind.sqlite_text.format(x=quote(name))},'')" for name, kind in columns if kind.is_text]
    return _concatenate([head, *texts])


def _sqlite_item(name: str, kind: Kind) -> str:
    item = f"length(CAST({kind.sqlite_text} AS BLOB))" if kind.is_text else kind.sqlite_text
    return _unless_null(name, kind, item, "'~'")


def _unless_null(name: str, kind: Kind, template: str, null: str) -> str:
    expression = template.format(x=quote(name))
    if kind.null_safe:
        return f"ifnull({expression},{null})"
    # Some functions of SQLite make a text of NULL, such as hex().
    return f"CASE WHEN {quote(name)} IS NULL THEN {null} ELSE {expression} END"


def postgres_row(columns: t.Sequence[tuple[str, Kind]]) -> sql.Composable:
    """Return the PostgreSQL expression of the canonical row (of type text)."""
    items: list[sql.Composable] = []
    for number, (name, kind) in enumerate(columns):
        text = sql.SQL(kind.postgres_text.replace("{x}", "{}")).format(sql.Identifier(name))
        separator = ";" if number else ""
        item = "{}, coalesce({}, '~')"
        if kind.is_text:
            separator += "#"
            item = "{}, coalesce(octet_length({})::text, '~')"
        items.append(sql.SQL(item).format(sql.Literal(separator), text))
    items.append(sql.SQL("'|'"))
    # concat() takes NULL for an empty text.
    items += [
        sql.SQL(kind.postgres_text.replace("{x}", "{}")).format(sql.Identifier(name))
        for name, kind in columns
        if kind.is_text
    ]
    return _concat(items)


def _concat(items: t.Sequence[sql.Composable]) -> sql.Composable:
    calls: list[sql.Composable] = [
        sql.SQL("concat({})").format(sql.SQL(", ").join(items[start : start + _COLUMNS_AT_ONCE]))
        for start in range(0, len(items), _COLUMNS_AT_ONCE)
    ]
    return calls[0] if len(calls) == 1 else _concat(calls)


def row_digest(row: bytes) -> bytes:
    """Return the 32-byte SHA-256 of a canonical row; PostgreSQL makes the same with C(sha256(textsend(...)))."""
    return hashlib.sha256(row).digest()


def parse_row(row: bytes) -> tuple[bytes | None, ...]:
    """Return the fields of a canonical row (None for NULL): the proof that the codec loses nothing.

    Raises:
        ValueError: The bytes are not a canonical row.
    """
    head, bar, texts = row.partition(b"|")
    if not bar:
        raise ValueError("the head has no end")
    fields: list[bytes | None] = []
    place = 0
    for item in head.split(b";"):
        if item in (NULL_ITEM, NULL_TEXT):
            fields.append(None)
        elif item.startswith(b"#"):
            end = place + int(item[1:])
            if not place <= end <= len(texts):
                raise ValueError("a text ends after the row does")
            fields.append(texts[place:end])
            place = end
        else:
            fields.append(item)
    if place != len(texts):
        raise ValueError("the row goes on after its last text")
    return tuple(fields)
