# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Read a CSV file (RFC 4180) record by record, and tell NULL from an empty text.

As for C(COPY ... (FORMAT csv)), a field without quotes that equals the null string is NULL and a quoted one never is;
Python's own csv module cannot tell them apart. What RFC 4180 leaves open is refused by file and line, never guessed.
"""

from __future__ import annotations

import codecs
import dataclasses
import typing as t

from ._errors import BadInput, CsvError

# What one record may take, so that a quote that is never closed does not fill the memory.
LARGEST_RECORD = 1 << 28
_CHARACTERS_OF_CSV = '"\r\n'


class Record(t.NamedTuple):
    """One record: the number of the line that it begins in, counted from 1, and its fields, NULL as None."""

    line: int
    fields: list[str | None]


@dataclasses.dataclass(frozen=True)
class Dialect:
    """How a file is written, by the names of C(COPY): one ASCII character between fields, and what means NULL.

    Raises:
        BadInput: Such a file could not be read back.
    """

    delimiter: str = ","
    null_string: str = ""

    def __post_init__(self) -> None:
        if len(self.delimiter) != 1 or not self.delimiter.isascii() or self.delimiter in _CHARACTERS_OF_CSV:
            raise BadInput(
                f"The delimiter {self.delimiter!r} is not possible",
                "it is one ASCII character, and neither a quote nor a line end",
            )
        if any(character in self.null_string for character in (self.delimiter, *_CHARACTERS_OF_CSV)):
            raise BadInput(
                f"The null_string {self.null_string!r} is not possible",
                "it must not contain the delimiter, a quote or a line end",
            )


def read_records(lines: t.Iterable[bytes], name: str, dialect: Dialect) -> t.Iterator[Record]:
    """Yield the records of a file, the header among them, holding one of them in memory at a time.

    Args:
        lines: The file in octets, cut behind every line feed.
        name: What the file is called in messages.
        dialect: How it is written.

    Raises:
        CsvError: The file is not UTF-8, or not written as RFC 4180 says. The message names the line.
    """
    pending: list[bytes] = []
    size = quotes = 0
    begins = 1
    line_end: bytes | None = None
    for number, line in enumerate(lines, 1):
        if number == 1 and line.startswith(codecs.BOM_UTF8):
            line = line[len(codecs.BOM_UTF8) :]
            if not line:  # an empty file
                return
        pending.append(line)
        size += len(line)
        quotes += line.count(b'"')
        if size > LARGEST_RECORD:
            raise _refusal(name, begins, f"this record has more than {LARGEST_RECORD} octets; is a quote left open?")
        if quotes % 2:  # a quoted field goes on in the next line
            continue
        octets = b"".join(pending)
        line_end = line_end or (b"\r\n" if octets.endswith(b"\r\n") else b"\n")
        if octets.endswith(line_end):
            octets = octets[: -len(line_end)]
        yield Record(begins, _Text(octets, name, begins, dialect).fields())
        pending, size, quotes, begins = [], 0, 0, number + 1
    if pending:
        _Text(b"".join(pending), name, begins, dialect).fields()  # says which quote is wrong


def _refusal(name: str, line: int, why: str) -> CsvError:
    return CsvError(
        f"CSV file {name}, line {line}, cannot be read",
        why,
        "Nothing was loaded. Write the file anew as RFC 4180 says, in UTF-8, with one kind of line end.",
        path=name,
        line=line,
    )


class _Text:
    """The text of one record, without its line end, on its way into fields."""

    def __init__(self, octets: bytes, name: str, begins: int, dialect: Dialect) -> None:
        self._name = name
        self._begins = begins
        self._dialect = dialect
        try:
            self._text = octets.decode()
        except UnicodeDecodeError as error:
            line = begins + octets.count(b"\n", 0, error.start)
            raise _refusal(name, line, f"octet 0x{octets[error.start]:02x} is no UTF-8") from None

    def fields(self) -> list[str | None]:
        text, delimiter = self._text, self._dialect.delimiter
        if '"' not in text:  # the usual case
            return [self._bare(field, 0) for field in text.split(delimiter)]
        found: list[str | None] = []
        place = 0
        while True:
            if text.startswith('"', place):
                end = self._closing_quote(place)
                found.append(text[place + 1 : end].replace('""', '"'))
                end += 1
                if not text.startswith(delimiter, end) and end < len(text):
                    raise self._fault(end, "a field goes on behind its closing quote")
            else:
                end = text.find(delimiter, place)
                end = len(text) if end < 0 else end
                found.append(self._bare(text[place:end], place))
            if end == len(text):
                return found
            place = end + 1

    def _closing_quote(self, opening: int) -> int:
        place = opening + 1
        while True:
            place = self._text.find('"', place)
            if place < 0:
                raise self._fault(opening, "a quote is never closed")
            if not self._text.startswith('"', place + 1):
                return place
            place += 2

    def _bare(self, field: str, place: int) -> str | None:
        if '"' in field:
            raise self._fault(place, "a quote stands inside a field without quotes")
        if "\r" in field or "\n" in field:
            raise self._fault(place, "a line end other than that of the first line stands outside quotes")
        return None if field == self._dialect.null_string else field

    def _fault(self, place: int, why: str) -> CsvError:
        return _refusal(self._name, self._begins + self._text.count("\n", 0, place), why)
