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

Of a text or blob of more than 1024 octets there is only C(<octets>:<SHA-256>), in the head (of a text after C(#)): a
row of large values has a small text, and two such values are told apart by what proves the whole row anyway.

The same file says how a value travels: one CSV field for C(COPY ... FROM STDIN), also made inside SQLite.
"""

from __future__ import annotations

import hashlib
import typing as t

from ._balanced import balanced
from ._psycopg2 import sql
from ._sqlite_store import quote
from ._value_kind import INLINE_OCTETS

if t.TYPE_CHECKING:
    from ._value_kind import Kind

NULL_ITEM = b"~"
NULL_TEXT = b"#~"
# Characters that hardly any text holds. Where the census found none of them, they quote a text and stand for NULL, and
# no text has to be searched for quotes.
QUOTE_MARK = "\x01"
NULL_MARK = "\x02"
# A function of SQLite takes 127 arguments, one of PostgreSQL 100; a column needs up to two.
_COLUMNS_AT_ONCE = 40


def _printf(formats: t.Sequence[str], values: t.Sequence[str], between: str, end: str = "") -> str:
    """Return the SQLite expression of the formats filled with the values, in as few calls as SQLite allows."""
    calls = []
    for start in range(0, len(formats), _COLUMNS_AT_ONCE):
        some = slice(start, start + _COLUMNS_AT_ONCE)
        last = start + _COLUMNS_AT_ONCE >= len(formats)
        template = between.join(formats[some]) + (end if last else between)
        calls.append(f"printf('{template}', {', '.join(values[some])})")
    return balanced("||", calls)


def sqlite_csv_row(columns: t.Sequence[tuple[str, Kind]], marked: bool = False) -> str:
    """Return the SQLite expression of a row as one CSV line, without its line end.

    Args:
        columns: The names in SQLite, and how each travels.
        marked: Whether no text holds L(QUOTE_MARK) or L(NULL_MARK), so that they can serve as what they are named
            after (see L(csv_options)). Otherwise a text stands between double quotes and NULL is an empty field.
    """
    if marked:
        formats = [f"{QUOTE_MARK}%s{QUOTE_MARK}" if kind.quoted else "%s" for _name, kind in columns]
        return _printf(formats, [_unless_null(name, kind, kind.csv, f"'{NULL_MARK}'") for name, kind in columns], ",")
    fields = [_quoted_field(name, kind) for name, kind in columns]
    if len(fields) == 1:  # nothing is joined, so a number would stay a number
        return f"CAST({fields[0]} AS TEXT)"
    return balanced("||", [part for field in fields for part in ("','", field)][1:])


def _quoted_field(name: str, kind: Kind) -> str:
    csv = f"""'"'||replace({kind.csv},'"','""')||'"'""" if kind.quoted else kind.csv
    return _unless_null(name, kind, csv, "''")


def sqlite_csv_field(name: str, kind: Kind) -> str:
    """Return the SQLite expression of one field as it travels, without quotes; NULL stays NULL."""
    return f"CAST({_unless_null(name, kind, kind.csv, 'NULL')} AS TEXT)"


def csv_options(columns: t.Sequence[tuple[str, Kind]], marked: bool) -> sql.Composable:
    """Return the options of C(COPY) that read the lines of L(sqlite_csv_row), the names being PostgreSQL's."""
    if not marked:
        return sql.SQL("(FORMAT csv)")
    options = [
        sql.SQL("FORMAT csv, QUOTE {}, ESCAPE {}, NULL {}").format(
            sql.Literal(QUOTE_MARK), sql.Literal(QUOTE_MARK), sql.Literal(NULL_MARK)
        )
    ]
    quoted = [sql.Identifier(name) for name, kind in columns if kind.quoted]
    if quoted:
        options.append(sql.SQL("FORCE_NULL ({})").format(sql.SQL(", ").join(quoted)))
    return sql.SQL("({})").format(sql.SQL(", ").join(options))


def sqlite_row(columns: t.Sequence[tuple[str, Kind]]) -> str:
    """Return the SQLite expression of the canonical row."""
    formats = ["#%s" if kind.is_text else "%s" for _name, kind in columns]
    head = _printf(formats, [_sqlite_item(name, kind) for name, kind in columns], ";", "|")
    return balanced("||", [head, *(_sqlite_content(name, kind) for name, kind in columns if kind.is_text)])


def _sqlite_item(name: str, kind: Kind) -> str:
    item = kind.sqlite_text
    if kind.is_text:
        octets = f"CAST({item} AS BLOB)"
        item = f"CASE WHEN length({octets}) > {INLINE_OCTETS} THEN pgc_long({octets}) ELSE length({octets}) END"
    return _unless_null(name, kind, item, "'~'")


def _sqlite_content(name: str, kind: Kind) -> str:
    text = kind.sqlite_text.replace("{x}", quote(name))
    return f"CASE WHEN length(CAST({text} AS BLOB)) <= {INLINE_OCTETS} THEN {text} ELSE '' END"


def _unless_null(name: str, kind: Kind, template: str, null: str) -> str:
    expression = template.replace("{x}", quote(name))
    if kind.null_safe:
        return f"ifnull({expression},{null})"
    # Some functions of SQLite make a text of NULL, such as hex().
    return f"CASE WHEN {quote(name)} IS NULL THEN {null} ELSE {expression} END"


def postgres_row(columns: t.Sequence[tuple[str, Kind]]) -> sql.Composable:
    """Return the PostgreSQL expression of the canonical row (of type text)."""
    items: list[sql.Composable] = []
    for number, (name, kind) in enumerate(columns):
        separator = (";" if number else "") + ("#" if kind.is_text else "")
        item = _POSTGRES_TEXT if kind.is_text else "coalesce({x}, '~')"
        items += [sql.Literal(separator), _postgres(item, name, kind)]
    items.append(sql.SQL("'|'"))
    # concat() takes NULL for an empty text.
    items += [_postgres(_POSTGRES_CONTENT, name, kind) for name, kind in columns if kind.is_text]
    return _concat(items)


_POSTGRES_TEXT = (
    f"CASE WHEN octet_length({{x}}) > {INLINE_OCTETS}"
    " THEN octet_length({x})||':'||encode(sha256(textsend({x})),'hex') ELSE coalesce(octet_length({x})::text, '~') END"
)
_POSTGRES_CONTENT = f"CASE WHEN octet_length({{x}}) <= {INLINE_OCTETS} THEN {{x}} END"


def _postgres(template: str, name: str, kind: Kind) -> sql.Composable:
    expression = template.replace("{x}", kind.postgres_text)
    return sql.SQL(expression.replace("{x}", "{0}")).format(sql.Identifier(name))


def _concat(items: t.Sequence[sql.Composable]) -> sql.Composable:
    calls: list[sql.Composable] = [
        sql.SQL("concat({})").format(sql.SQL(", ").join(items[start : start + _COLUMNS_AT_ONCE]))
        for start in range(0, len(items), _COLUMNS_AT_ONCE)
    ]
    return calls[0] if len(calls) == 1 else _concat(calls)


def row_digest(row: bytes) -> bytes:
    """Return the 32-byte SHA-256 of a canonical row; PostgreSQL makes the same with C(sha256(textsend(...)))."""
    return hashlib.sha256(row).digest()


class LongText(t.NamedTuple):
    """A text of which the canonical row holds only C(<octets>:<SHA-256>)."""

    token: bytes

    def __str__(self) -> str:
        octets, digest = self.token.decode().split(":")
        return f"{octets} octets with SHA-256 {digest[:16]}…"


Field = t.Union[bytes, LongText, None]


def parse_row(row: bytes) -> tuple[Field, ...]:
    """Return the fields of a canonical row (None for NULL): the proof that the codec loses nothing.

    Raises:
        ValueError: The bytes are not a canonical row.
    """
    head, end_of_head, texts = row.partition(b"|")
    if not end_of_head:
        raise ValueError("the head has no end")
    fields: list[Field] = []
    place = 0
    for item in head.split(b";"):
        if item in (NULL_ITEM, NULL_TEXT):
            fields.append(None)
        elif item.startswith(b"#") and b":" in item:
            fields.append(LongText(item[1:]))
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
