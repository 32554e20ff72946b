# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Subjects of smoke checks: rows picked by SQL whose columns fill C({name.column}) placeholders. Pure."""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import re
import typing as t
import urllib.parse

from ._errors import BadInput

_HOLE = re.compile(r"\{(?:source_id|([A-Za-z_]\w*)\.([A-Za-z_]\w*))\}")
# Quoted text, comments and casts are passed over, so that only a real parameter counts.
_SQL_PART = re.compile(
    r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|--[^\n]*|/\*.*?\*/|::"
    r"|(?P<hole>:(?P<name>[A-Za-z_]\w*)(?:\.(?P<column>[A-Za-z_]\w*))?)",
    re.DOTALL,
)
Row = t.Mapping[str, t.Any]


@dataclasses.dataclass(frozen=True)
class Subject:
    """What a subject's query gave: a row, or why there is none. C(if_none) lets checks that need it pass."""

    name: str
    store: str
    row: Row | None = None
    if_none: str | None = None
    why: str = ""

    def as_dict(self) -> dict[str, t.Any]:
        return {
            "name": self.name,
            "store": self.store,
            "row": self.row,
            "if_none": self.if_none,
            "why": self.why,
        }


def names_in(value: t.Any) -> set[str]:
    """Return the names of the subjects that a value (text, list or dict at any depth) has placeholders for."""
    if isinstance(value, str):
        return {match.group(1) for match in _HOLE.finditer(value) if match.group(1)}
    if isinstance(value, t.Mapping):
        return {name for pair in value.items() for part in pair for name in names_in(part)}
    if isinstance(value, (list, tuple)):
        return {name for item in value for name in names_in(item)}
    return set()


def fill(value: t.Any, rows: t.Mapping[str, Row], source_id: str | None, *, in_url: bool = False) -> t.Any:
    """Return the value with its placeholders filled.

    A text that is one placeholder and nothing else takes the column's value with its type; otherwise the value
    becomes part of the text, percent-encoded when C(in_url).

    Raises:
        BadInput: A column that the subject has not, or NULL inside a text.
    """
    if isinstance(value, t.Mapping):
        return {fill(key, rows, source_id): fill(item, rows, source_id) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [fill(item, rows, source_id) for item in value]
    if not isinstance(value, str):
        return value
    whole = _HOLE.fullmatch(value)
    if whole and not in_url:
        return _value(whole, rows, source_id)

    def text(match: re.Match[str]) -> str:
        found = _value(match, rows, source_id)
        if found is None:
            raise BadInput(f"{match.group(0)} cannot be put into {value!r}", "it is NULL")
        return urllib.parse.quote(str(found), safe="") if in_url else str(found)

    return _HOLE.sub(text, value)


def _value(match: re.Match[str], rows: t.Mapping[str, Row], source_id: str | None) -> t.Any:
    name, column = match.group(1), match.group(2)
    if name is None:
        if source_id is None:
            raise BadInput(
                "A placeholder for the source_id cannot be filled", "no source_id was given", "Give source_id."
            )
        return source_id
    return _column(rows, name, column)


def _column(rows: t.Mapping[str, Row], name: str, column: str) -> t.Any:
    row = rows.get(name)
    if row is None:
        raise BadInput(f"Subject {name!r} has no row")
    if column not in row:
        raise BadInput(
            f"Subject {name!r} has no column {column!r}",
            f"its query returns {', '.join(row)}",
            "Name the column in its query (AS).",
        )
    return row[column]


def query_names(query: str) -> set[str]:
    """Return the names of the subjects that a query takes parameters from (C(:name.column))."""
    return {match.group("name") for match in _SQL_PART.finditer(query) if match.group("column")}


def bind(
    query: str, rows: t.Mapping[str, Row], source_id: str | None, *, mark: str, percent: str = "%"
) -> tuple[str, list[t.Any]]:
    """Return the query with the driver's parameter marks, and the values for them.

    Args:
        query: SQL with C(:source_id) and C(:subject.column) parameters.
        rows: Rows of earlier subjects by name.
        source_id: The profile.
        mark: C(?) for sqlite3, C(%s) for psycopg2.
        percent: How the driver wants a literal percent sign, C(%%) for psycopg2.

    Raises:
        BadInput: A parameter that nothing fills.
    """
    values: list[t.Any] = []
    parts: list[str] = []
    place = 0
    for match in _SQL_PART.finditer(query):
        if not match.group("hole"):
            continue
        if match.group("column"):
            values.append(_column(rows, match.group("name"), match.group("column")))
        elif match.group("name") == "source_id" and source_id is not None:
            values.append(source_id)
        else:
            raise BadInput(
                f"The parameter {match.group('hole')} of a subject's query cannot be filled",
                "no source_id was given" if match.group("name") == "source_id" else "it is not known",
                "Known are :source_id and :subject.column of an earlier subject.",
            )
        parts += [query[place : match.start()].replace("%", percent), mark]
        place = match.end()
    parts.append(query[place:].replace("%", percent))
    return "".join(parts), values


def plain(value: t.Any) -> t.Any:
    """Return a database value as JSON can hold it; numbers stay numbers."""
    if isinstance(value, decimal.Decimal):
        return int(value) if value.is_finite() and value == value.to_integral_value() else float(value)
    if isinstance(value, (datetime.datetime, datetime.date, datetime.time)):
        return value.isoformat()
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value).hex()
    if value is None or isinstance(value, (str, int, float, bool, list, dict)):
        return value
    return str(value)
