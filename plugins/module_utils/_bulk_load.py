# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Copy one profile's rows from a snapshot into its schema, all or nothing per table."""

from __future__ import annotations

import dataclasses
import io
import time
import typing as t

from . import _load_journal, _quarantine, _row_digest
from ._census import tenant_filter
from ._errors import BackupError, PostgresError, SqliteError, TargetNotEmpty
from ._load_journal import Loaded
from ._manifest import sha256_of
from ._postgres_store import postgres_errors, roll_back, try_profile_lock
from ._progress import SILENT, Progress
from ._psycopg2 import psycopg2, sql
from ._row_codec import csv_options, sqlite_csv_row
from ._sqlite_store import quote, reading
from ._value_kinds import COUNTED

if t.TYPE_CHECKING:
    import sqlite3

    from ._planned_table import TablePlan
    from ._psycopg2 import Connection

# Large enough that PostgreSQL is never waiting for Python, small enough to stay out of the memory figures.
_CHUNK_BYTES = 1 << 18

LOAD = "load"
KEEP = "keep"
REPLACE = "replace"


@dataclasses.dataclass(frozen=True)
class TableLoad:
    """What happens, or happened, to one table: C(action) is load, keep (already there) or replace."""

    table: str
    action: str
    rows: int
    digest: str
    duration_ms: int


class RowStream:
    """The rows of a table as the file that C(COPY ... FROM STDIN) reads: chunks of CSV lines, made in SQLite."""

    def __init__(self, cursor: t.Iterator[tuple[bytes]], progress: Progress = SILENT) -> None:
        self._cursor = cursor
        self._progress = progress
        self._chunk = b""
        self._place = 0
        self.rows = 0
        self.error: Exception | None = None  # psycopg2 would report it as the server's

    def read(self, size: int = -1) -> bytes:
        """Return up to C(size) bytes, nothing at the end (psycopg2's contract of C(copy_expert))."""
        if self._place >= len(self._chunk):
            self._chunk, self._place = self._next_chunk(), 0
        start, self._place = self._place, len(self._chunk) if size < 0 else self._place + size
        return self._chunk[start : self._place]  # the whole chunk itself where that is all of it

    def readline(self, _size: int = -1, /) -> bytes:
        """Not part of what COPY uses; psycopg2's contract asks for it."""
        raise io.UnsupportedOperation("readline")

    def _next_chunk(self) -> bytes:
        lines: list[bytes] = []
        gathered = 0
        try:
            for (line,) in self._cursor:
                lines.append(line)
                gathered += len(line)
                if gathered >= _CHUNK_BYTES:
                    break
        except Exception as error:
            self.error = error
            raise
        self.rows += len(lines)
        self._progress.advance(len(lines))
        return b"\n".join([*lines, b""]) if lines else b""


def check_digest(path: str, expected: str | None) -> str:
    """Return the SHA-256 of the file that is about to be loaded.

    Raises:
        BackupError: The file is not the snapshot it is said to be.
        SqliteError: It cannot be read.
    """
    try:
        found = sha256_of(path)
    except OSError as error:
        raise SqliteError(f"SQLite file {path} cannot be read", error.strerror or str(error)) from error
    if expected and found != expected:
        raise BackupError(
            f"Snapshot {path} is not the one that was verified",
            f"its SHA-256 is {found}, its manifest says {expected}",
            "Nothing was loaded. Take a new snapshot and run the same command again.",
        )
    return found


def begin(connection: Connection, source_id: str) -> None:
    """Take the profile's lock, before anything is decided, and make sure that there is a journal to write into.

    Raises:
        LockHeld: Another session works on this profile.
        PostgresError: The journal cannot be created.
    """
    try_profile_lock(connection, source_id)
    if not _load_journal.is_installed(connection):
        _load_journal.install(connection)
    connection.commit()


def decide(
    source: sqlite3.Connection,
    connection: Connection,
    plans: t.Sequence[TablePlan],
    schema_name: str,
    source_id: str,
) -> dict[str, str]:
    """Return per table whether its rows are to be loaded, are there already, or are ours to replace.

    Decided by the rows themselves, not by which snapshot they came from: a run that was interrupted takes a new
    snapshot, and loads only what is not there.

    Raises:
        TargetNotEmpty: A table holds rows that no load of ours accounts for. Nothing of it is touched.
        PostgresError: The schema cannot be read.
        SqliteError: The snapshot cannot be read.
    """
    journal = _load_journal.read(connection, schema_name)
    actions: dict[str, str] = {}
    strangers: list[str] = []
    for plan in plans:
        theirs = _row_digest.postgres_buckets(connection, plan, schema_name, 0)
        loaded = journal.get(plan.target)
        found = _strangers(plan.target, theirs, loaded, schema_name)
        strangers += found
        if loaded is None:
            actions[plan.target] = LOAD
        elif not found:
            same = _row_digest.sqlite_buckets(source, plan, source_id, 0) == theirs
            actions[plan.target] = KEEP if same else REPLACE
    _refuse_strangers(strangers, schema_name)
    if REPLACE in actions.values():
        # Rows of a parent cannot be replaced under children that stay.
        return dict.fromkeys(actions, REPLACE)
    return actions


def _strangers(table: str, held: _row_digest.Buckets, loaded: Loaded | None, schema_name: str) -> list[str]:
    """Return, as a message, that a table holds rows which the journal does not account for."""
    rows = _row_digest.count(held)
    if loaded is None:
        return [f"{schema_name}.{table} holds {rows} row(s) that nobody loaded"] if rows else []
    if _row_digest.fingerprint(held) != loaded.digest:
        return [f"{schema_name}.{table} holds {rows} row(s) and was changed after {loaded.rows} were loaded"]
    return []


def _refuse_strangers(strangers: list[str], schema_name: str) -> None:
    if strangers:
        raise TargetNotEmpty(
            f"Schema {schema_name} is not empty",
            "; ".join(strangers),
            "Nothing was loaded, and nothing of it was truncated. To keep these rows under a dated name and start "
            "from a clean schema, run the same command with -e cutover_archive_schema=true.",
            schema_name=schema_name,
            tables=strangers,
        )


def clear(connection: Connection, plans: t.Sequence[TablePlan], schema_name: str) -> None:
    """Delete the rows that L(decide) found to be ours, children first, in one transaction.

    Raises:
        TargetNotEmpty: Rows that nobody loaded have come since, or would be deleted along with ours.
        PostgresError: The rows cannot be deleted; all of them are still there.
    """
    try:
        with postgres_errors(f"Removing an earlier load from {schema_name}"), connection.cursor() as cursor:
            names = sql.SQL(", ").join([sql.Identifier(schema_name, plan.target) for plan in plans])
            cursor.execute(sql.SQL("LOCK TABLE {} IN SHARE ROW EXCLUSIVE MODE").format(names))
            journal = _load_journal.read(connection, schema_name)
            strangers = [
                stranger
                for plan in plans
                for stranger in _strangers(
                    plan.target,
                    _row_digest.postgres_buckets(connection, plan, schema_name, 0),
                    journal.get(plan.target),
                    schema_name,
                )
            ]
            cursor.execute(_DELETED_ALONG, {"schema": schema_name, "tables": [plan.target for plan in plans]})
            for schema, table in cursor.fetchall():
                cursor.execute(sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(schema, table)))
                (rows,) = cursor.fetchone() or (0,)
                if rows:
                    strangers.append(f"{schema}.{table} holds {rows} row(s) that would be deleted or changed along")
            _refuse_strangers(strangers, schema_name)
            for plan in reversed(plans):
                cursor.execute(sql.SQL("DELETE FROM {}").format(sql.Identifier(schema_name, plan.target)))
            _load_journal.forget(connection, schema_name)
            connection.commit()
    except BaseException:
        roll_back(connection)
        raise


def load_table(
    source: sqlite3.Connection,
    connection: Connection,
    plan: TablePlan,
    schema_name: str,
    source_id: str,
    snapshot_sha256: str,
    marked: bool = False,
    progress: Progress = SILENT,
) -> TableLoad:
    """Copy one table and write it into the journal, in one transaction that is committed here.

    Args:
        source: The snapshot, prepared by L(_value_kinds.prepare).
        connection: A session that may write the tenant schema.
        plan: The table's plan, its census clean.
        schema_name: The tenant schema.
        source_id: The profile.
        snapshot_sha256: The digest of the snapshot, for the journal.
        marked: What the census says of the marks in its texts.
        progress: Is told how many rows were sent.

    Raises:
        PostgresError: PostgreSQL refused a row; the table is as it was.
        SqliteError: The snapshot cannot be read; the table is as it was.
    """
    started = time.monotonic()
    where, values = tenant_filter(plan, source_id)
    row = sqlite_csv_row(plan.source_codec, marked)
    target = sql.Identifier(schema_name, plan.target)
    columns = sql.SQL(", ").join([sql.Identifier(column.target) for column in plan.columns])
    options = csv_options(plan.target_codec, marked)
    copy = sql.SQL("COPY {} ({}) FROM STDIN {}").format(target, columns, options)
    try:
        with postgres_errors(f"Loading table {schema_name}.{plan.target}"), connection.cursor() as cursor:
            with reading(source, f"reading table {plan.source}"):
                rows = RowStream(
                    source.execute(f"SELECT {row} FROM {quote(plan.source)} WHERE {where}", values), progress
                )
                try:
                    cursor.copy_expert(copy, rows, size=_CHUNK_BYTES)
                except psycopg2.Error:
                    if rows.error is not None:
                        raise rows.error from None
                    raise
            _quarantine.keep(source, connection, plan, schema_name, source_id)
            _align_sequences(cursor, plan, schema_name)
            buckets = _row_digest.postgres_buckets(connection, plan, schema_name, 0)
            held = _row_digest.count(buckets)
            if held != rows.rows:
                raise PostgresError(
                    f"Loading table {schema_name}.{plan.target} failed",
                    f"{rows.rows} row(s) were sent, the table held {held} right after: a trigger of it, or another "
                    "session, wrote or withheld rows",
                    "Nothing of this load was kept. Stop what writes there, and run the same command again.",
                )
            digest = _row_digest.fingerprint(buckets)
            loaded = Loaded(plan.target, snapshot_sha256, rows.rows, digest)
            _load_journal.write(connection, schema_name, source_id, loaded)
            connection.commit()
            cursor.execute(sql.SQL("ANALYZE {}").format(target))
            connection.commit()
    except BaseException:
        roll_back(connection)
        raise
    return TableLoad(plan.target, LOAD, rows.rows, digest, round((time.monotonic() - started) * 1000))


def _align_sequences(cursor: t.Any, plan: TablePlan, schema_name: str) -> None:
    # S31: a sequence left behind gives a duplicate key on the first insert. An empty table starts at its beginning.
    target = sql.Identifier(schema_name, plan.target)
    for column in plan.columns:
        if column.sequence and column.kind.name in COUNTED:
            align = "SELECT setval({}::regclass, m, true) FROM (SELECT max({}) FROM {}) AS t (m) WHERE m > 0"
            name = sql.Literal(column.sequence)
            cursor.execute(sql.SQL(align).format(name, sql.Identifier(column.target), target))


# Tables outside the load whose foreign keys would delete or change their rows along with ours.
_DELETED_ALONG = """
SELECT DISTINCT cn.nspname, c.relname
  FROM pg_constraint k
  JOIN pg_class p ON p.oid = k.confrelid
  JOIN pg_namespace pn ON pn.oid = p.relnamespace
  JOIN pg_class c ON c.oid = k.conrelid
  JOIN pg_namespace cn ON cn.oid = c.relnamespace
 WHERE k.contype = 'f' AND k.confdeltype IN ('c', 'n', 'd')
   AND pn.nspname = %(schema)s AND p.relname = ANY (%(tables)s)
   AND NOT (cn.nspname = %(schema)s AND c.relname = ANY (%(tables)s))
"""
