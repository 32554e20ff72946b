# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Make a SQLite snapshot of CSV files, so that whatever works on a snapshot works on them: plan, census, load, parity.

Every value lands as text. What the declared type makes of it is a conversion with a name, like any other, and on for
CSV files (L(CSV_POLICIES)). The rowid of a row is the number of its line in the file.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import pathlib
import sqlite3
import stat
import tempfile
import typing as t

from ._csv_reader import LARGEST_RECORD, Dialect, Record, read_records
from ._errors import BadInput, CsvError
from ._sqlite_store import fold, quote, sqlite_errors
from ._sqlite_tokens import free_row_name

# A CSV file holds texts only, so these lose nothing. A time without a zone is still for the operator to decide.
CSV_POLICIES: t.Mapping[str, str] = {
    "boolean_text": "convert",
    "hex_as_bytes": "convert",
    "text_as_number": "convert",
}


@contextlib.contextmanager
def as_snapshot(
    params: t.Mapping[str, t.Any], folder: t.Callable[[], str | os.PathLike[str]]
) -> t.Iterator[dict[str, t.Any]]:
    """Yield the options of a module with a SQLite file for C(sqlite_path), made of C(csv_files) where those are given.

    The file is gone at the end. C(csv_files) then has the C(sha256) of each file, its C(rows), and how many of
    them are other profiles' (C(other_rows)).

    Args:
        params: Options as in L(_options.profile_options), L(_options.tenant_data_options),
            L(_options.csv_files_options) and L(_options.data_policies_options).
        folder: Returns where to make it; only called for CSV files.

    Raises:
        BadInput: The options do not go together.
        CsvError: A file cannot be read, or is another one than it is said to be.
        SqliteError: The snapshot cannot be written.
    """
    files = params.get("csv_files")
    if files is None:
        if params["sqlite_path"] is None:  # null in the task, which counts as given there
            raise BadInput("Neither sqlite_path nor csv_files says where the rows are")
        yield dict(params)
        return
    _check(files, params)
    handle, path = tempfile.mkstemp(prefix="csv_", suffix=".db", dir=folder())  # made with mode 0600
    os.close(handle)
    try:
        read = _write(path, files, params)
        yield {
            **params,
            "sqlite_path": path,
            "csv_files": read,
            "policies": {**CSV_POLICIES, **(params.get("policies") or {})},
        }
    finally:
        pathlib.Path(path).unlink()


def _check(files: t.Sequence[t.Mapping[str, t.Any]], params: t.Mapping[str, t.Any]) -> None:
    if not files:
        raise BadInput("csv_files names no file", remedy="Name the table and the path of each.")
    names = [fold(file["table"]) for file in files]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise BadInput(f"csv_files names table {', '.join(twice)} twice", "a table is read from one file")
    others = [table["name"] for table in params["shared_tables"] if fold(table["name"]) not in names]
    if others:
        raise BadInput(
            f"shared_tables names {', '.join(others)}, but csv_files has no file for it",
            remedy="Add a file with the profile's row, or leave the table out.",
        )


def _write(
    path: str, files: t.Sequence[t.Mapping[str, t.Any]], params: t.Mapping[str, t.Any]
) -> list[dict[str, t.Any]]:
    with sqlite_errors(path, "making it of CSV files"):
        connection = sqlite3.connect(path, isolation_level=None)
        with contextlib.closing(connection):
            # Nobody else reads it, and it is thrown away when something fails.
            connection.execute("PRAGMA journal_mode = OFF")
            connection.execute("PRAGMA synchronous = OFF")
            connection.execute("BEGIN")
            read = [_write_table(connection, file, params) for file in files]
            connection.execute("COMMIT")
    return read


def _write_table(
    connection: sqlite3.Connection, file: t.Mapping[str, t.Any], params: t.Mapping[str, t.Any]
) -> dict[str, t.Any]:
    table, path = file["table"], file["path"]
    digest = hashlib.sha256()
    with contextlib.closing(_lines(path, digest)) as lines:
        records = read_records(lines, path, Dialect(file["delimiter"], file["null_string"]))
        header = _header(next(records, None), path)
        shared = fold(table) in [fold(shared["name"]) for shared in params["shared_tables"]]
        tenant = "" if shared else params["tenant_column"] or ""
        place = next((at for at, name in enumerate(header) if tenant and fold(name) == fold(tenant)), None)
        filled = (params["source_id"],) if tenant and place is None else ()
        names = [*header, tenant] if filled else header
        connection.execute(f"CREATE TABLE {quote(table)} ({', '.join(f'{quote(name)} TEXT' for name in names)})")
        columns = ", ".join([_row_name(names, path), *map(quote, names)])
        places = ", ".join("?" for _place in range(len(names) + 1))
        rows = ((line, *fields, *filled) for line, fields in _checked(records, header, path, place))
        connection.executemany(f"INSERT INTO {quote(table)} ({columns}) VALUES ({places})", rows)
    found = digest.hexdigest()
    if file["sha256"] and found != file["sha256"]:
        raise CsvError(
            f"CSV file {path} is not the one that was meant",
            f"its SHA-256 is {found}, sha256 says {file['sha256']}",
            "Nothing was loaded. Name the right file, or its right sum.",
        )
    others = f"sum({quote(tenant)} <> ?)" if tenant else "0 * sum(1 <> ?)"
    counting = f"SELECT count(*), ifnull({others}, 0) FROM {quote(table)}"
    count, other_rows = connection.execute(counting, (params["source_id"],)).fetchone()
    return {**file, "sha256": found, "rows": count, "other_rows": other_rows}


def _lines(path: str, digest: t.Any) -> t.Generator[bytes, None, None]:
    """Yield the file line by line, and give every octet to the digest."""
    try:
        with pathlib.Path(path).open("rb") as stream:
            # It is read again when it is compared.
            if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
                raise CsvError(f"CSV file {path} cannot be read", "it is no regular file")
            for line in iter(lambda: stream.readline(LARGEST_RECORD + 1), b""):
                digest.update(line)
                yield line
    except OSError as error:
        raise CsvError(
            f"CSV file {path} cannot be read", error.strerror or str(error), "Check its path and its rights."
        ) from error


def _header(record: Record | None, path: str) -> list[str]:
    if record is None:
        raise CsvError(f"CSV file {path} is empty", "its first line has to name the columns")
    names = [name or "" for name in record.fields]
    if "" in names:
        raise CsvError(
            f"CSV file {path}, line 1, cannot be paired with the table", f"column {names.index('') + 1} has no name"
        )
    folded = [fold(name) for name in names]
    twice = sorted({name for name in names if folded.count(fold(name)) > 1})
    if twice:
        raise CsvError(
            f"CSV file {path}, line 1, cannot be paired with the table",
            f"several columns are named {', '.join(twice)}; capitals do not count",
        )
    return names


def _checked(records: t.Iterable[Record], header: t.Sequence[str], path: str, tenant: int | None) -> t.Iterator[Record]:
    """Yield the records, refusing those that are not of the header's shape or do not say whose they are."""
    for record in records:
        if len(record.fields) != len(header):
            raise CsvError(
                f"CSV file {path}, line {record.line}, cannot be read",
                f"it has {len(record.fields)} field(s), the header names {len(header)}",
                "Nothing was loaded.",
                path=path,
                line=record.line,
            )
        if tenant is not None and record.fields[tenant] is None:
            raise CsvError(
                f"CSV file {path}, line {record.line}, belongs to no profile",
                f"its {header[tenant]} is NULL",
                "Nothing was loaded. Correct it, or leave the whole column out when all rows are this profile's.",
                path=path,
                line=record.line,
            )
        yield record


def _row_name(names: t.Sequence[str], path: str) -> str:
    free = free_row_name(names)
    if free is None:
        raise CsvError(f"CSV file {path}, line 1, cannot be read", "one of the names rowid, _rowid_, oid must be free")
    return free
