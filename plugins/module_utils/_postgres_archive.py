# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Read a custom-format archive of pg_dump back, all of it: what it lists, and how many rows of each table it holds."""

from __future__ import annotations

import os
import pathlib
import re
import tempfile
import threading
import typing as t

from ._errors import BackupError
from ._postgres_catalog import Name
from ._postgres_programs import Program, Runner, call
from ._verdict import FAILED, Check, compare

_ENTRY = re.compile(r"\d+; \d+ \d+ (.+)")
_PART = r'("(?:[^"]|"")*"|[^\s".]+)'
_COPY = re.compile(rf"COPY {_PART}\.{_PART} .*FROM stdin;")
_BUFFER_BYTES = 1024 * 1024


def list_entries(path: pathlib.Path, pg_restore: Program, run: Runner) -> list[str]:
    """Return the entries of an archive's table of contents, such as C(TABLE public sources owner).

    Raises:
        BackupError: The archive cannot be read.
    """
    listing = call(pg_restore, ["--list", str(path)], run, f"Reading the list of {path}")
    return [match.group(1) for match in map(_ENTRY.match, listing.splitlines()) if match]


def lists(entries: t.Iterable[str], kind: str, *names: str) -> bool:
    """Return whether the table of contents has an entry of a kind (C(TABLE), C(TABLE DATA), C(SCHEMA)) and name."""
    start = " ".join((kind, *(name.replace("\n", " ").replace("\r", " ") for name in names))) + " "
    return any(entry.startswith(start) for entry in entries)


def count_rows(path: pathlib.Path, pg_restore: Program, run: Runner) -> dict[Name, int]:
    """Return the rows that an archive holds of each table; every block of data in it is read and unpacked.

    pg_restore writes the data as SQL into a pipe that is counted meanwhile, so no copy of it is ever made.

    Raises:
        BackupError: The archive is damaged.
    """
    with tempfile.TemporaryDirectory(prefix="pg_cutover_") as folder:
        pipe = pathlib.Path(folder) / "rows"
        os.mkfifo(pipe, 0o600)
        # Both ends are held here, so neither opening it waits for the other, not even when pg_restore never comes.
        reading = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
        writing = os.open(pipe, os.O_WRONLY)
        os.set_blocking(reading, True)
        counts: dict[Name, int] = {}
        counter = threading.Thread(target=_count_stream, args=(reading, counts), daemon=True)
        counter.start()
        try:
            call(pg_restore, ["--data-only", f"--file={pipe}", str(path)], run, f"Reading the rows of {path}")
        finally:
            os.close(writing)
            counter.join()
    return counts


def _count_stream(handle: int, counts: dict[Name, int]) -> None:
    name: Name | None = None
    rows = 0
    with os.fdopen(handle, "rb", buffering=_BUFFER_BYTES) as stream:
        for line in stream:
            if name is None:
                match = _COPY.match(line.decode("utf-8", "replace")) if line.startswith(b"COPY ") else None
                if match:
                    name, rows = (_unquoted(match.group(1)), _unquoted(match.group(2))), 0
            elif line == b"\\.\n":
                counts[name] = counts.get(name, 0) + rows
                name = None
            else:
                rows += 1


def _unquoted(name: str) -> str:
    return name[1:-1].replace('""', '"') if name.startswith('"') else name


def archive_checks(
    path: pathlib.Path, schema: str | None, rows: t.Mapping[Name, int], pg_restore: Program, run: Runner
) -> list[Check]:
    """Return the checks that an archive lists the schema and every table, and holds every row that was counted.

    Args:
        path: The archive.
        schema: The one schema in it; None for a whole database.
        rows: The rows counted in the server, in the snapshot that the archive was made in.
        pg_restore: The program to read it with.
        run: Runs a program.
    """
    try:
        entries = list_entries(path, pg_restore, run)
        counts = count_rows(path, pg_restore, run)
    except BackupError as error:
        return [Check("archive_readable", FAILED, True, False, error.message())]
    checks = [] if schema is None else [compare("archive_lists_schema", True, lists(entries, "SCHEMA", "-", schema))]
    listed = [_dotted(name) for name in rows if all(lists(entries, kind, *name) for kind in ("TABLE", "TABLE DATA"))]
    checks.append(compare("archive_lists_tables", [_dotted(name) for name in rows], listed))
    expected = {_dotted(name): count for name, count in rows.items()}
    observed = {_dotted(name): counts.get(name) for name in rows}
    return [*checks, compare("rows_in_archive", expected, observed)]


def _dotted(name: Name) -> str:
    return ".".join(name)
