# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""The steps of a catch-up: from the snapshot that was loaded, pass by pass, until little enough is pending.

The application goes on writing to SQLite meanwhile. PostgreSQL is fenced before the first pass: whatever an application
wrote there would be taken for a difference, and be lost.
"""

from __future__ import annotations

import contextlib
import dataclasses
import typing as t

from . import _capture_sqlite, _change_log, _fence_postgres, _load_journal, _online_journal, _sqlite_store
from ._capture_sqlite import Capture
from ._errors import BackupError, CaptureError, ReplayError, SqliteError
from ._manifest import sha256_of
from ._online_journal import LOADED, PROVEN, RETURNED, Tenant
from ._postgres_store import postgres_errors
from ._replay_forward import replay
from ._sqlite_tokens import quote
from ._sqlite_writer import begin_writing, open_writable, writing

if t.TYPE_CHECKING:
    from ._change_log import Pending
    from ._online_names import OnlineNames
    from ._replayed import Replayed, Say
    from ._tenant_stores import Stores

_WORTH_PRUNING = 1000
_ENTRIES_AT_ONCE = 1000
_PRUNING_WAITS_MS = 200


def read_again(stores: Stores) -> None:
    """Let the SQLite side see what has been committed until now.

    Raises:
        SqliteError: The file cannot be read.
    """
    with _sqlite_store.reading(stores.source, "reading what has changed"):
        stop_reading(stores)
        stores.source.execute("BEGIN")


def stop_reading(stores: Stores) -> None:
    """End the read transaction: in WAL mode it keeps the log from being shortened, in any other nobody can commit."""
    if stores.source.in_transaction:
        stores.source.execute("ROLLBACK")


def look(stores: Stores, names: OnlineNames, tenant_column: str | None) -> Capture:
    """Return SQLite's capture, of which nothing may be missing, in the transaction that the rows are read in.

    Raises:
        CaptureError: Not every change is captured; it names what is missing.
        SqliteError: The file cannot be read.
    """
    tables = [table.source for table in stores.plan.tables]
    catalog = _sqlite_store.read_catalog(stores.source)
    found = _capture_sqlite.look(stores.source, catalog, tables, names, stores.profile.source_id, tenant_column)
    if not found.complete:
        raise CaptureError(
            f"Changes of profile {stores.profile.source_id!r} are not all captured in SQLite",
            "; ".join(found.missing),
            "Nothing was replayed, SQLite is live. Begin the cutover anew: capture, snapshot, load.",
            missing=list(found.missing),
        )
    return found


def begin(
    stores: Stores, names: OnlineNames, capture: Capture, snapshot: tuple[str, str] | None, proven: bool
) -> Tenant:
    """Return how far the profile is, written down anew where a snapshot has been loaded since.

    Args:
        stores: Both stores.
        names: What online mode calls its tables.
        capture: What is captured in SQLite now.
        snapshot: The path and the SHA-256 of the snapshot that was loaded; None to go on.
        proven: Whether parity with the snapshot has passed.

    Raises:
        ReplayError: Nothing that was proven can be gone on from, or PostgreSQL is live already.
        CaptureError: The snapshot was not taken of what is captured now.
        PostgresError: PostgreSQL refused something.
    """
    connection = stores.connection
    _online_journal.install(connection)
    found = _online_journal.read(connection, names.schema_name)
    if snapshot is not None and (
        found is None or (found.snapshot_sha256, found.capture_id) != (snapshot[1], capture.capture_id)
    ):
        _refuse_live(found, names)
        found = _of_snapshot(stores, names, capture, *snapshot)
        _online_journal.write(connection, found)
    if found is not None and found.phase == LOADED and proven:
        found = dataclasses.replace(found, phase=PROVEN)
        _online_journal.write(connection, found)
    with postgres_errors("Writing how far the profile is"):
        connection.commit()
    return check(found, names, capture)


def check(found: Tenant | None, names: OnlineNames, capture: Capture) -> Tenant:
    """Return how far the profile is, where rows may be replayed into PostgreSQL.

    Raises:
        ReplayError: They may not.
        CaptureError: The position belongs to another capture.
    """
    if found is None:
        raise ReplayError(
            f"There is nothing to catch up with in schema {names.schema_name}",
            "no snapshot is known to have been loaded into it while changes were captured",
            "Capture, take a snapshot, load it and prove it first; then give snapshot_path and snapshot_sha256.",
        )
    _refuse_live(found, names)
    if found.phase != PROVEN:
        raise ReplayError(
            f"Schema {names.schema_name} cannot be caught up yet",
            f"it is {found.phase}: its rows have not been proven equal to the snapshot's",
            "Compare with the snapshot (module tenant_parity), then say so (proven: true).",
        )
    if found.capture_id != capture.capture_id:
        raise CaptureError(
            f"Changes of schema {names.schema_name} have been captured anew since its snapshot was loaded",
            f"the log is {capture.capture_id}, the snapshot holds {found.capture_id}",
            "Take a new snapshot, and load and prove it.",
        )
    return found


def _refuse_live(found: Tenant | None, names: OnlineNames) -> None:
    if found is not None and found.phase not in (LOADED, PROVEN):
        returned = found.phase == RETURNED
        raise ReplayError(
            f"Nothing can be replayed into schema {names.schema_name}",
            "the profile has gone back to SQLite" if returned else f"it is {found.phase}, PostgreSQL may be live",
            "Begin a new cutover with a clean schema." if returned else "See tenant_switch_info for what to do next.",
        )


def _of_snapshot(stores: Stores, names: OnlineNames, capture: Capture, path: str, sha256: str) -> Tenant:
    loaded = _load_journal.read(stores.connection, names.schema_name)
    for plan in stores.plan.tables:
        one = loaded.get(plan.target)
        if one is None or not one.complete or one.snapshot_sha256 != sha256:
            raise ReplayError(
                f"Table {plan.source} was not loaded from the snapshot {sha256[:16]}…",
                "" if one is None else f"it holds a load of {one.snapshot_sha256[:16]}…",
                "Load that snapshot (module tenant_load).",
            )
    if sha256_of(path) != sha256:
        raise BackupError(f"Snapshot {path} is not the one that was verified", f"its SHA-256 is not {sha256}")
    with contextlib.closing(_sqlite_store.open_readonly(path)) as snapshot:
        tables = [table.source for table in stores.plan.tables]
        catalog = _sqlite_store.read_catalog(snapshot)
        tenant_column = next((table.tenant_column for table in stores.plan.tables), None)
        source_id = stores.profile.source_id
        then = _capture_sqlite.look(snapshot, catalog, tables, names, source_id, tenant_column)
    if then.capture_id is None or then.capture_id != capture.capture_id:
        raise CaptureError(
            f"Snapshot {path} holds no log that goes on in the SQLite file",
            f"it holds {then.capture_id or 'none'}, the file {capture.capture_id}",
            "Take the snapshot after the capture was installed.",
        )
    return Tenant(names.schema_name, source_id, str(then.capture_id), LOADED, then.position, sha256, then.position)


def fence(stores: Stores, names: OnlineNames) -> None:
    """Refuse everybody else's writes to the tenant schema, at once.

    Raises:
        PostgresError: PostgreSQL refused it.
    """
    if _fence_postgres.state(stores.connection, stores.plan, names) != _fence_postgres.UP:
        _fence_postgres.put_up(stores.connection, stores.plan, names)
    with postgres_errors("Fencing the tenant schema"):
        stores.connection.commit()


def pending(stores: Stores, names: OnlineNames, tenant: Tenant, enough: int = 0) -> Pending:
    """Return what is pending, in the transaction that the rows are read in.

    Where readers keep writers waiting (any journal mode but WAL) it is not all at once, but more than C(enough).

    Raises:
        CaptureError: The log cannot be gone on from.
        SqliteError: The file cannot be read.
    """
    (mode,) = stores.source.execute("PRAGMA journal_mode").fetchone()
    most = None if mode in (b"wal", "wal") else max(_ENTRIES_AT_ONCE, enough + 1)
    return _change_log.sqlite_pending(stores.source, stores.plan, names, tenant.position, most)


def one_pass(
    stores: Stores, names: OnlineNames, tenant: Tenant, some: Pending, say: Say | None = None
) -> tuple[Replayed, Tenant]:
    """Replay what is pending, and return what was done, and how far the profile is now.

    Raises:
        CutoverError: As L(_replay_forward.replay).
    """
    try:
        done = _replay(stores, names, some, say)
    except ReplayError:
        # A row may need another one that was logged later.
        everything = _change_log.sqlite_pending(stores.source, stores.plan, names, tenant.position)
        if everything.last == some.last:
            raise
        some = everything
        done = _replay(stores, names, some, say)
    return done, dataclasses.replace(tenant, position=some.last)


def _replay(stores: Stores, names: OnlineNames, some: Pending, say: Say | None) -> Replayed:
    stores.connection.rollback()
    return replay(
        stores.source,
        stores.connection,
        stores.plan,
        names,
        stores.profile.source_id,
        some,
        one_transaction=False,
        say=say,
        position=some.last,
    )


def prune(stores: Stores, names: OnlineNames, tenant: Tenant) -> int:
    """Shorten SQLite's log by what was replayed, unless somebody else is writing; return by how many entries."""
    with (
        contextlib.suppress(SqliteError),
        contextlib.closing(open_writable(stores.sqlite_path, _PRUNING_WAITS_MS)) as target,
    ):
        statement = f"SELECT count(*) FROM (SELECT 1 FROM {quote(names.log)} WHERE seq <= ? LIMIT {_WORTH_PRUNING})"
        with writing(target, "looking at the log"):
            (entries,) = target.execute(statement, (tenant.position,)).fetchone()
        if entries < _WORTH_PRUNING:
            return 0
        begin_writing(target)
        deleted = _change_log.prune_sqlite(target, names, tenant.position)
        with writing(target, "shortening the log"):
            target.execute("COMMIT")
        return deleted
    return 0
