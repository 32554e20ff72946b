# SPDX-License-Identifier: GPL-3.0-or-later
"""Every record arrives as it was written, and whatever is no CSV is refused by its line."""

from __future__ import annotations

import csv
import io

import pytest
from ansible_collections.sxops.pg_cutover.plugins.module_utils import _csv_reader
from ansible_collections.sxops.pg_cutover.plugins.module_utils._csv_reader import Dialect, Record, read_records
from ansible_collections.sxops.pg_cutover.plugins.module_utils._errors import BadInput, CsvError
from hypothesis import given
from hypothesis import strategies as st

FIELDS = st.one_of(st.none(), st.text(st.characters(exclude_categories=["Cs"])), st.text('",;\r\n\\ x', max_size=6))


def records(octets: bytes, **dialect: str) -> list[Record]:
    return list(read_records(io.BytesIO(octets), "f.csv", Dialect(**dialect)))


def fields(octets: bytes, **dialect: str) -> list[list[str | None]]:
    return [found for _line, found in records(octets, **dialect)]


def written(rows: list[list[str | None]], delimiter: str, line_end: str, null: str = "") -> bytes:
    """Write rows as COPY does with FORCE_QUOTE for every column."""
    lines = [
        delimiter.join(null if field is None else '"' + field.replace('"', '""') + '"' for field in row) for row in rows
    ]
    return "".join(line + line_end for line in lines).encode()


@given(
    st.integers(1, 4).flatmap(lambda width: st.lists(st.lists(FIELDS, min_size=width, max_size=width), max_size=5)),
    st.sampled_from([",", ";", "\t", "|"]),
    st.sampled_from(["\n", "\r\n"]),
    st.booleans(),
    st.booleans(),
)
def test_whatever_is_written_is_read_back(
    rows: list[list[str | None]], delimiter: str, line_end: str, marked: bool, cut: bool
) -> None:
    octets = (b"\xef\xbb\xbf" if marked else b"") + written(rows, delimiter, line_end)
    if cut and rows and rows[-1] != [None]:  # which is nothing but its line end
        octets = octets.removesuffix(line_end.encode())
    assert fields(octets, delimiter=delimiter) == rows


@given(st.lists(st.lists(st.text(st.characters(codec="utf-8")), min_size=2, max_size=2), max_size=5))
def test_what_python_writes_is_read_alike_but_for_null(rows: list[list[str]]) -> None:
    stream = io.StringIO(newline="")
    csv.writer(stream).writerows(rows)
    assert [["" if field is None else field for field in row] for row in fields(stream.getvalue().encode())] == rows


def test_an_empty_field_is_null_and_a_quoted_one_is_not() -> None:
    assert fields(b'a,"",\n') == [["a", "", None]]
    assert fields(b',\n""\n\n') == [[None, None], [""], [None]]
    assert fields(b'\\N,"\\N",\n', null_string="\\N") == [[None, "\\N", ""]]


def test_a_record_is_known_by_the_line_it_begins_in() -> None:
    octets = b'\xef\xbb\xbfid,body\r\n1,"a\r\nb\nc"\r\n2,x\r\n'
    assert records(octets) == [(1, ["id", "body"]), (2, ["1", "a\r\nb\nc"]), (5, ["2", "x"])]


def test_what_is_data_stays_data() -> None:
    octets = "\\.,a b , ;\tß\0\n".encode()
    assert fields(octets) == [["\\.", "a b ", " ;\tß\0"]]
    assert fields(b"\xef\xbb\xbf\xef\xbb\xbfx\n") == [["\ufeffx"]], "only the first mark is one"
    assert fields(b"") == []


@pytest.mark.parametrize(
    ("octets", "line", "why"),
    [
        (b'a\nb\n"c\nd\n', 3, "never closed"),
        (b'a\n1"2\n', 2, "inside a field without quotes"),
        (b'a\n1"2,"x"\n3"\n', 2, "inside a field without quotes"),
        (b'a\n"x\ny"z\n', 3, "goes on behind its closing quote"),
        (b'a\n"x" ,1\n', 2, "goes on behind its closing quote"),
        (b"a\rb\r", 1, "a line end other than"),
        (b"a\nb\r\n", 2, "a line end other than"),
        (b"a\r\nb\n", 2, "a line end other than"),
        (b'a\n"x\ny\xff"\n', 3, "octet 0xff is no UTF-8"),
        ("a\n".encode("utf-16"), 1, "octet 0xff is no UTF-8"),
        (b'a\n"\xed\xa0\xbd"\n', 2, "no UTF-8"),
    ],
)
def test_what_is_no_csv_is_refused_by_its_line(octets: bytes, line: int, why: str) -> None:
    with pytest.raises(CsvError, match=f"CSV file f.csv, line {line}, cannot be read: .*{why}") as caught:
        records(octets)
    assert caught.value.facts == {"path": "f.csv", "line": line}


@given(st.binary(max_size=12), st.sampled_from([b'",\r\n', b'"a,\n', b'"\r\nx']))
def test_whatever_else_is_read_or_refused(noise: bytes, alphabet: bytes) -> None:
    octets = bytes(alphabet[octet % len(alphabet)] for octet in noise)
    try:
        found = fields(octets)
    except CsvError:
        return
    line_end = "\r\n" if octets.split(b'"')[0].find(b"\r\n") >= 0 or b"\r" in octets else "\n"
    assert fields(written(found, ",", line_end)) == found


def test_a_quote_left_open_does_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_csv_reader, "LARGEST_RECORD", 1000)
    read = 0

    def lines() -> object:
        nonlocal read
        for line in (b"a\n", b'"open\n', *[b"x" * 99 + b"\n"] * 1000):
            read += 1
            yield line

    with pytest.raises(CsvError, match=r"line 2, .*more than 1000 octets"):
        list(read_records(lines(), "f.csv", Dialect()))
    assert read < 20


@pytest.mark.parametrize("delimiter", ["", ",,", '"', "\n", "\r", "ß"])
def test_an_impossible_delimiter_is_refused(delimiter: str) -> None:
    with pytest.raises(BadInput, match="delimiter"):
        Dialect(delimiter)


@pytest.mark.parametrize("null", [",", 'x"', "a\n"])
def test_an_impossible_null_string_is_refused(null: str) -> None:
    with pytest.raises(BadInput, match="null_string"):
        Dialect(",", null)
