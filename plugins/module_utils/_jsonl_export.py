# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Write rows of a SQLite table as JSON lines, losing nothing that SQLite can hold, and read them back.

NULL is C(null) and the empty string is C(""); integers are exact and REAL values round-trip. What JSON has no word
for is an object with one key: bytes C({"$base64": ...}), text that is not UTF-8 C({"$text_base64": ...}), infinities
C({"$real": "inf"}). A SQLite value is never an object, so nothing else can look like that.
"""

from __future__ import annotations

import base64
import json
import math
import os
import pathlib
import sqlite3
import typing as t

from ._backup_folder import private_file
from ._errors import BackupError, BadInput
from ._sqlite_store import Table, quote


class RawText(bytes):
    """Text of a SQLite cell whose bytes are not UTF-8, kept as they are."""


def decode_text(raw: bytes) -> str | RawText:
    """Return a TEXT value as text, or its bytes when they are not UTF-8 (for C(connection.text_factory))."""
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return RawText(raw)


def encode_value(value: t.Any) -> t.Any:
    """Return a cell (None, int, float, str, bytes, L(RawText)) as what JSON can hold."""
    if isinstance(value, RawText):
        return {"$text_base64": base64.b64encode(value).decode()}
    if isinstance(value, bytes):
        return {"$base64": base64.b64encode(value).decode()}
    if isinstance(value, float) and math.isinf(value):
        return {"$real": "inf" if value > 0 else "-inf"}
    return value


def decode_value(value: t.Any) -> t.Any:
    """Return the cell that L(encode_value) wrote.

    Raises:
        ValueError: No such value is ever written.
    """
    if not isinstance(value, dict):
        return value
    if len(value) == 1:
        ((tag, text),) = value.items()
        if tag == "$text_base64":
            return RawText(base64.b64decode(text, validate=True))
        if tag == "$base64":
            return base64.b64decode(text, validate=True)
        if tag == "$real" and text in ("inf", "-inf"):
            return float(text)
    raise ValueError(f"{value!r} is not a value of a SQLite cell")


def check_exportable(
    tables: t.Iterable[Table], names: t.Iterable[str], source_id: str | None, tenant_column: str | None
) -> list[Table]:
    """Return the tables to export by name.

    Raises:
        BadInput: A name is not that of an ordinary table, or the profile's rows cannot be told apart in it.
    """
    ordinary = {table.name: table for table in tables if table.kind == "table"}
    chosen = []
    for name in dict.fromkeys(names):
        table = ordinary.get(name)
        if table is None:
            raise BadInput(
                f"Table {name!r} cannot be exported",
                "the SQLite file holds no ordinary table of that name",
                f"Correct export_tables; there are: {', '.join(sorted(ordinary)) or 'none'}.",
            )
        if source_id and tenant_column and column_named(table, tenant_column) is None:
            raise BadInput(
                f"Table {name!r} cannot be exported for source_id {source_id!r}",
                f"it has no column {tenant_column!r}, so whose rows are whose cannot be told",
                "Leave it out of export_tables, or give an empty tenant_column when the file holds a single profile.",
            )
        chosen.append(table)
    return chosen


def column_named(table: Table, name: str) -> str | None:
    """Return the name of a column as the table spells it (SQLite does not tell upper from lower case), or None."""
    return next((column for column in table.column_names if column.lower() == name.lower()), None)


def export_table(
    connection: sqlite3.Connection,
    table: Table,
    path: str | os.PathLike[str],
    source_id: str | None = None,
    tenant_column: str | None = None,
) -> int:
    """Write the rows of a table, one JSON object a line, ordered by key, into a new file (0600).

    Args:
        connection: The database to read.
        table: The table; generated columns are left out, as they cannot be written back.
        path: The new file.
        source_id: Only rows of this profile; all rows when None.
        tenant_column: The column that holds the profile's id; all rows when None or empty.

    Returns:
        The number of rows written.
    """
    names = [column.name for column in table.columns if not column.generated]
    tenant = column_named(table, tenant_column) if source_id and tenant_column else None
    query = f"SELECT {', '.join(map(quote, names))} FROM {quote(table.name)}"
    if tenant:
        query += f" WHERE {quote(tenant)} = ? COLLATE BINARY"
    query += _order(table)
    rows = 0
    before = connection.text_factory
    connection.text_factory = decode_text
    try:
        cursor = connection.execute(query, (source_id,) if tenant else ())
        with os.fdopen(private_file(path), "w", encoding="utf-8", newline="\n") as stream:
            for row in cursor:
                cells = {name: encode_value(value) for name, value in zip(names, row)}
                stream.write(json.dumps(cells, ensure_ascii=False, separators=(",", ":"), allow_nan=False) + "\n")
                rows += 1
    finally:
        connection.text_factory = before
    return rows


def _order(table: Table) -> str:
    terms = [f"{quote(name)} COLLATE BINARY" for name in table.key]
    if not table.without_rowid:  # the key of a rowid table may hold NULLs, several of them
        taken = {name.lower() for name in table.column_names}
        terms += [alias for alias in ("rowid", "_rowid_", "oid") if alias not in taken][:1]
    return " ORDER BY " + ", ".join(terms) if terms else ""


def read_rows(path: str | os.PathLike[str]) -> t.Iterator[dict[str, t.Any]]:
    """Yield the rows of an exported file as they were in SQLite.

    Raises:
        BackupError: A line is not a row; the message names it.
    """
    with pathlib.Path(path).open(encoding="utf-8", newline="\n") as stream:
        for number, line in enumerate(stream, 1):
            try:
                yield {name: decode_value(value) for name, value in json.loads(line).items()}
            except (ValueError, AttributeError) as error:
                raise BackupError(f"Export {path}, line {number}, is not a row", str(error)) from error


def count_rows(path: str | os.PathLike[str]) -> int:
    """Return the number of rows in a JSON lines file."""
    with pathlib.Path(path).open("rb") as stream:
        return sum(1 for _line in stream)
