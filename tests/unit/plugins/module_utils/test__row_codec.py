# SPDX-License-Identifier: GPL-3.0-or-later
"""The canonical row: one text per row, from SQLite the same as from a plain reading of its definition."""

from __future__ import annotations

import hashlib
import sqlite3
import struct
import typing as t
from contextlib import closing
from decimal import Decimal

import pytest
from ansible_collections.sxops.pg_cutover.plugins.module_utils._census_rows import line_octets
from ansible_collections.sxops.pg_cutover.plugins.module_utils._row_codec import (
    LongText,
    parse_row,
    sqlite_csv_row,
    sqlite_row,
)
from ansible_collections.sxops.pg_cutover.plugins.module_utils._sqlite_store import quote
from ansible_collections.sxops.pg_cutover.plugins.module_utils._value_kind import INLINE_OCTETS
from ansible_collections.sxops.pg_cutover.plugins.module_utils._value_kinds import KINDS, prepare
from hypothesis import example, given
from hypothesis import strategies as st

Value: t.TypeAlias = "int | float | str | bytes | None"

TEXTS = st.text(st.characters(blacklist_categories=["Cs"]), max_size=12)
INTEGERS = st.integers(-(2**63), 2**63 - 1)
FLOATS = st.floats(allow_nan=False)  # SQLite stores a NaN as NULL
OF_KIND: dict[str, st.SearchStrategy[Value]] = {
    "int2": st.integers(-(2**15), 2**15 - 1),
    "int4": st.integers(-(2**31), 2**31 - 1),
    "int8": INTEGERS,
    "text": TEXTS,
    "varchar": TEXTS,
    "float8": FLOATS | st.integers(-(2**53), 2**53),
    "numeric": FLOATS | INTEGERS,
    "bool": st.sampled_from([0, 1]),
    "bytea": st.binary(max_size=12),
}


TEXTUAL = ("text", "varchar")


def row_of(kinds: t.Sequence[str], values: t.Sequence[Value]) -> bytes:
    """Return the canonical row by its definition, in plain Python."""
    return join(
        [
            (kind in TEXTUAL, None if value is None else content_of(kind, value))
            for kind, value in zip(kinds, values, strict=True)
        ]
    )


def join(fields: t.Iterable[tuple[bool, bytes | None]]) -> bytes:
    """Return the row of fields that are texts, or tokens, or NULL."""
    items, texts = [], []
    for textual, content in fields:
        if textual and content is not None and len(content) > INLINE_OCTETS:
            items.append(b"#" + long_token(content))
        elif textual:
            items.append(b"#~" if content is None else b"#%d" % len(content))
            texts.append(content or b"")
        else:
            items.append(b"~" if content is None else content)
    return b";".join(items) + b"|" + b"".join(texts)


def long_token(content: bytes) -> bytes:
    return b"%d:%s" % (len(content), hashlib.sha256(content).hexdigest().encode())


def content_of(kind: str, value: Value) -> bytes:
    if kind in TEXTUAL:
        assert isinstance(value, str)
        return value.encode()
    if kind == "bytea":
        assert isinstance(value, bytes)
        return long_token(value) if len(value) > INLINE_OCTETS else value.hex().upper().encode()
    if kind == "float8":
        return struct.pack(">d", value).hex().encode()
    if kind == "numeric" and isinstance(value, float):
        return plain(value).encode()
    return str(value).encode()


def plain(value: float) -> str:
    """Return the shortest decimal that reads back as the number, without exponent and trailing zeros."""
    if abs(value) == float("inf"):
        return "Infinity" if value > 0 else "-Infinity"
    digits = f"{Decimal(repr(value)):f}"
    digits = digits.rstrip("0").rstrip(".") if "." in digits else digits
    return "0" if digits == "-0" else digits


def encoded(connection: sqlite3.Connection, kinds: t.Sequence[str], values: t.Sequence[Value]) -> bytes:
    """Return the canonical row that SQLite makes of the values; the columns have no type and change nothing."""
    names = [f'c {number} "{kind}"' for number, kind in enumerate(kinds)]
    connection.execute("DROP TABLE IF EXISTS t")
    connection.execute(f"CREATE TABLE t ({', '.join(map(quote, names))})")
    connection.execute(f"INSERT INTO t VALUES ({', '.join('?' * len(values))})", values)
    columns = [(name, KINDS[kind]) for name, kind in zip(names, kinds, strict=True)]
    (row,) = connection.execute(f"SELECT {sqlite_row(columns)} FROM t").fetchone()
    assert isinstance(row, bytes)
    return row


@pytest.fixture(scope="module")
def connection() -> t.Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as opened:
        prepare(opened)
        yield opened


@st.composite
def typed_rows(draw: st.DrawFn) -> tuple[list[str], list[Value]]:
    kinds = draw(st.lists(st.sampled_from(sorted(OF_KIND)), min_size=1, max_size=6))
    return kinds, [draw(st.none() | OF_KIND[kind]) for kind in kinds]


TOKENS = st.binary(max_size=12).map(bytes.hex).map(str.encode)
FIELDS = st.lists(
    st.tuples(st.just(True), st.none() | st.binary(max_size=12)) | st.tuples(st.just(False), st.none() | TOKENS),
    min_size=1,
    max_size=6,
)


@given(typed_rows())
def test_sqlite_makes_the_row_that_the_definition_says(
    connection: sqlite3.Connection, row: tuple[list[str], list[Value]]
) -> None:
    kinds, values = row
    # A column without a type keeps a negative zero; one of type REAL does not.
    assert encoded(connection, kinds, values) == row_of(kinds, values)


@given(FIELDS)
def test_a_row_can_be_read_back(fields: list[tuple[bool, bytes | None]]) -> None:
    assert parse_row(join(fields)) == tuple(content for _textual, content in fields)


@given(FIELDS, st.data())
def test_two_rows_have_one_text_only_when_they_are_equal(
    fields: list[tuple[bool, bytes | None]], data: st.DataObject
) -> None:
    other = [
        (textual, data.draw(st.none() | (st.binary(max_size=4) if textual else TOKENS))) for textual, _value in fields
    ]
    assert (join(fields) == join(other)) == (fields == other)


@given(typed_rows(), st.data())
def test_another_value_of_the_same_column_is_another_text(
    connection: sqlite3.Connection, row: tuple[list[str], list[Value]], data: st.DataObject
) -> None:
    kinds, values = row
    place = data.draw(st.integers(0, len(values) - 1))
    other = list(values)
    other[place] = data.draw(st.none() | OF_KIND[kinds[place]])
    equal = values[place] == other[place]  # 1 and 1.0 are one number to both stores
    assert (encoded(connection, kinds, values) == encoded(connection, kinds, other)) == equal


@given(typed_rows())
def test_what_sqlite_makes_can_be_read_back(connection: sqlite3.Connection, row: tuple[list[str], list[Value]]) -> None:
    kinds, values = row
    fields = parse_row(encoded(connection, kinds, values))
    assert [field is None for field in fields] == [value is None for value in values]
    for kind, field, value in zip(kinds, fields, values, strict=True):
        assert kind != "text" or value is None or field == str(value).encode()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (["a", "b"], ["ab", ""]),
        (["", None], [None, ""]),
        (["~"], [None]),
        (["1:a", ""], ["1:", "a"]),
        (["a\x00b"], ["a"]),
        (["12:"], ["1", "2:"]),
    ],
)
def test_known_traps_of_joined_texts_stay_apart(
    connection: sqlite3.Connection, one: list[Value], other: list[Value]
) -> None:
    assert encoded(connection, ["text"] * len(one), one) != encoded(connection, ["text"] * len(other), other)


LENGTHS = [0, 1, INLINE_OCTETS - 1, INLINE_OCTETS, INLINE_OCTETS + 1, INLINE_OCTETS * 3]


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("fill", [b"a", "é".encode(), b"\x01"])
def test_a_long_value_is_its_length_and_digest_in_octets(
    connection: sqlite3.Connection, length: int, fill: bytes
) -> None:
    octets = (fill * length)[: length // len(fill) * len(fill)]
    values: list[Value] = [octets.decode(), octets, "end"]
    row = encoded(connection, ["text", "bytea", "text"], values)
    assert row == row_of(["text", "bytea", "text"], values)
    assert len(row) < 3 * INLINE_OCTETS + 100
    field = parse_row(row)[0]
    assert field == (LongText(long_token(octets)) if len(octets) > INLINE_OCTETS else octets)


def test_long_values_of_one_length_stay_apart_and_a_text_that_looks_like_one_too(
    connection: sqlite3.Connection,
) -> None:
    long = "x" * 2000
    shown = long_token(long.encode()).decode()
    rows = {
        encoded(connection, ["text", "bytea"], [text, blob])
        for text in (long, long[:-1] + "y", shown, "#" + shown)
        for blob in (long.encode(), long[:-1].encode() + b"\0", shown.encode())
    }
    assert len(rows) == 12
    assert (
        str(LongText(shown.encode())) == f"2000 octets with SHA-256 {hashlib.sha256(long.encode()).hexdigest()[:16]}…"
    )


@pytest.mark.parametrize("row", [b"", b"x", b"#3|ab", b"#1|ab", b"#-1|a", b"#x|", b"#1;#1|a", b"1|a"])
def test_bytes_that_are_no_row_are_refused(row: bytes) -> None:
    with pytest.raises(ValueError):
        parse_row(row)


@pytest.mark.parametrize("count", [1, 2, 3, 301, 1000, 2000])
def test_a_table_may_have_as_many_columns_as_sqlite_allows(connection: sqlite3.Connection, count: int) -> None:
    kinds = ["text", "int8"] * (count // 2) + ["text"] * (count % 2)
    connection.execute("DROP TABLE IF EXISTS t")
    connection.execute(f"CREATE TABLE t ({', '.join(f'c{number}' for number in range(count))})")
    connection.execute(f"INSERT INTO t (c0, c{count - 1}) VALUES (NULL, NULL)")
    connection.execute("UPDATE t SET c0 = 'x'")
    columns = [(f"c{number}", KINDS[kind]) for number, kind in enumerate(kinds)]
    (row,) = connection.execute(f"SELECT {sqlite_row(columns)} FROM t").fetchone()
    assert parse_row(row) == (b"x", *[None] * (count - 1))
    (line,) = connection.execute(f"SELECT {sqlite_csv_row(columns)} FROM t").fetchone()
    assert line == b'"x"' + b"," * (count - 1)
    (marked,) = connection.execute(f"SELECT {sqlite_csv_row(columns, True)} FROM t").fetchone()
    null = {"text": b"\x01\x02\x01", "int8": b"\x02"}
    assert marked == b",".join([b"\x01x\x01", *(null[kind] for kind in kinds[1:])])


@pytest.mark.parametrize(
    ("kind", "value", "field"),
    [
        ("text", 'a"b', b'"a""b"'),
        ("text", "", b'""'),
        ("text", None, b""),
        ("text", "\\.", b'"\\."'),
        ("text", "a,b\r\n\t\\N", b'"a,b\r\n\t\\N"'),
        ("bytea", b"\x00\xff", b"\\x00FF"),
        ("bytea", b"", b"\\x"),
        ("float8", 0.1, b"0.1"),
        ("float8", 5e-324, b"5e-324"),
        ("float8", float("inf"), b"inf"),
        ("float8", 3, b"3"),
        ("numeric", 1e22, b"10000000000000000000000"),
        ("numeric", 2.50, b"2.5"),
        ("numeric", float("-inf"), b"-Infinity"),
        ("bool", 1, b"1"),
        ("int8", -(2**63), b"-9223372036854775808"),
    ],
)
def test_a_value_travels_as_one_csv_field(
    connection: sqlite3.Connection, kind: str, value: Value, field: bytes
) -> None:
    connection.execute("DROP TABLE IF EXISTS t")
    connection.execute("CREATE TABLE t (c)")
    connection.execute("INSERT INTO t VALUES (?)", (value,))
    assert connection.execute(f"SELECT {sqlite_csv_row([('c', KINDS[kind])])} FROM t").fetchone() == (field,)


@pytest.mark.parametrize(
    ("kind", "value", "field"),
    [
        ("text", 'a"b,\n%s', b'\x01a"b,\n%s\x01'),
        ("text", "", b"\x01\x01"),
        ("text", None, b"\x01\x02\x01"),
        ("bytea", None, b"\x02"),
        ("bytea", b"\x00\xff", b"\\x00FF"),
        ("float8", 0.1, b"0.1"),
        ("int4", 7, b"7"),
        ("int4", None, b"\x02"),
    ],
)
def test_marks_take_the_place_of_quotes_where_no_text_holds_them(
    connection: sqlite3.Connection, kind: str, value: Value, field: bytes
) -> None:
    connection.execute("DROP TABLE IF EXISTS t")
    connection.execute("CREATE TABLE t (c)")
    connection.execute("INSERT INTO t VALUES (?)", (value,))
    assert connection.execute(f"SELECT {sqlite_csv_row([('c', KINDS[kind])], True)} FROM t").fetchone() == (field,)


@given(st.sampled_from(sorted(OF_KIND)), st.data())
@example("numeric", 5e-324)
def test_a_field_is_never_longer_than_the_census_says(
    connection: sqlite3.Connection, kind: str, data: st.DataObject | float
) -> None:
    value = data if isinstance(data, float) else data.draw(st.none() | OF_KIND[kind] | st.text('"x', max_size=90))
    if isinstance(value, str) and kind not in TEXTUAL:
        value = None
    connection.execute("DROP TABLE IF EXISTS t")
    connection.execute("CREATE TABLE t (c)")
    connection.execute("INSERT INTO t VALUES (?)", (value,))
    for marked in (False, True):
        line = sqlite_csv_row([("c", KINDS[kind])], marked)
        bound = line_octets("c", KINDS[kind].quoted)
        octets, most = connection.execute(f"SELECT length(CAST({line} AS BLOB)) + 1, {bound} FROM t").fetchone()
        assert octets <= most


@pytest.mark.parametrize("kind", ["int4", "bool", "float8", "numeric"])
@pytest.mark.parametrize("value", ["1", "1;2|", "", "~", b"1", "1\x00", "é"])
def test_what_is_no_number_never_looks_like_one(connection: sqlite3.Connection, kind: str, value: Value) -> None:
    row = encoded(connection, [kind, "text"], [value, "x"])
    assert parse_row(row)[1] == b"x"
    assert row.startswith(b"!")
