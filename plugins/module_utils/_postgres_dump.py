# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""A snapshot of PostgreSQL: one tenant schema and its registry rows, or the whole database, as of one instant.

One transaction exports its snapshot; pg_dump, the row counts and the registry rows all look through it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import pathlib
import shutil
import typing as t

from ._backup_folder import DiskUsage, create, new_snapshot_id, private_file, seal, timestamp, utc_now
from ._jsonl_export import count_rows
from ._manifest import BackupFile, Snapshot, TableCount, verify_files
from ._postgres_archive import archive_checks
from ._postgres_catalog import (
    Contents,
    Name,
    RegistryRows,
    count_tables,
    read_contents,
    read_environment,
    read_registry,
)
from ._postgres_programs import Program, Runner, call, child_address, database_of, find_program, major_of
from ._postgres_store import address, connect, postgres_errors
from ._profile import Profile
from ._verdict import PASSED, Check, compare

if t.TYPE_CHECKING:
    from ._psycopg2 import Connection

KIND = "postgres"
_REGISTRY_FILE = "registry.jsonl"


@dataclasses.dataclass(frozen=True)
class PostgresSource:
    """What to take a snapshot of.

    Attributes:
        params: The module's options: how to connect, C(pg_dump), C(pg_restore), C(bin_dir).
        run: Runs a program (C(module.run_command)).
        profile: The profile whose schema and registry rows are dumped; the whole database when None.
        registry_table: The application's table that maps sources to schemas; empty when it keeps none.
        sources_table: The application's table of sources; empty when it keeps none.
        lock_timeout_s: How long to wait for the lock of another session on a table, in seconds.
    """

    params: t.Mapping[str, t.Any]
    run: Runner
    profile: Profile | None
    registry_table: str = ""
    sources_table: str = ""
    lock_timeout_s: float = 30.0
    kind: t.ClassVar[str] = KIND

    @property
    def subject(self) -> dict[str, t.Any]:
        """What a snapshot of this source says that it is a copy of."""
        source_id = self.profile.source_id if self.profile else None
        scope = "profile" if self.profile else "database"
        database = database_of(self.params)  # None when a snapshot is verified without naming a server
        return {"scope": scope, "source_id": source_id, "schema_name": self.schema_name, "database": database}

    @property
    def schema_name(self) -> str | None:
        """The one schema to dump; None for the whole database."""
        return self.profile.schema_name if self.profile else None

    @property
    def main_name(self) -> str:
        """The file name of the archive."""
        return "database.dump" if self.profile is None else "tenant.dump"

    def lacks(self, snapshot: Snapshot) -> str:
        """Return what is asked for and not in a snapshot of the same subject: nothing can be."""
        return ""

    def plan(self) -> int:
        """Return how many bytes a snapshot needs at most; nothing is written.

        Raises:
            PostgresError: The server cannot be reached or refused something.
            ProfileError: The registry says otherwise about the profile's schema.
            MissingDependency: A client program is missing.
            BackupError: A client program is too old.
        """
        with contextlib.closing(connect(self.params)) as connection:
            self.programs(connection)
            child_address(self.params, connection)
            self.begin(connection)
            if self.profile is not None:
                read_registry(connection, self.profile, self.registry_table, self.sources_table)
            return read_contents(connection, self.schema_name).bytes

    def take(
        self, dest: str | os.PathLike[str], snapshot_id: str | None, disk_usage: DiskUsage = shutil.disk_usage
    ) -> Snapshot:
        """Take a snapshot, see L(take)."""
        return take(self, dest, snapshot_id, disk_usage)

    def verify(self, snapshot: Snapshot) -> list[Check]:
        """Check a snapshot, see L(verify); the server is not needed for it."""
        return verify(snapshot, self.params, self.run)

    def programs(self, connection: Connection) -> tuple[Program, Program]:
        """Return pg_dump and pg_restore, new enough for the server."""
        server = connection.server_version // 10000
        with postgres_errors("Reading the server's version"), connection.cursor() as cursor:
            cursor.execute("SHOW server_version")
            version = cursor.fetchone()
        connection.rollback()
        reason = f"the server is PostgreSQL {version[0] if version else server}"
        pg_dump = find_program("pg_dump", self.params, self.run, server, reason)
        reason = f"the archive is written by pg_dump {pg_dump.version}"
        return pg_dump, find_program("pg_restore", self.params, self.run, pg_dump.major, reason)

    def begin(self, connection: Connection, exported: str | None = None) -> None:
        """Start a transaction that reads one snapshot, another session's exported one where it is given."""
        connection.set_session(isolation_level="REPEATABLE READ", readonly=True)
        with postgres_errors("Preparing the snapshot"), connection.cursor() as cursor:
            if exported:
                cursor.execute("SET TRANSACTION SNAPSHOT %s", (exported,))
            # A role's own limits must not end the transaction while pg_dump looks through it; and where row
            # security would hide rows, an error is wanted, not a smaller backup.
            cursor.execute("SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0")
            cursor.execute("SET LOCAL row_security = off")
            cursor.execute("SET LOCAL lock_timeout = %s", (f"{round(self.lock_timeout_s * 1000)}ms",))


def take(
    source: PostgresSource,
    dest: str | os.PathLike[str],
    snapshot_id: str | None = None,
    disk_usage: DiskUsage = shutil.disk_usage,
) -> Snapshot:
    """Take a verified snapshot of a profile or of the database.

    Args:
        source: What to dump.
        dest: The folder of backups; the snapshot becomes the folder C(<dest>/<snapshot_id>).
        snapshot_id: Its name; the instant in UTC when None.
        disk_usage: As C(shutil.disk_usage).

    Raises:
        PostgresError: The server cannot be reached or refused something.
        ProfileError: The registry says otherwise about the profile's schema.
        MissingDependency: A client program is missing.
        BackupError: A client program is too old, no room, not writable, the id is taken, or the archive did not
            verify. Nothing half-written stays.
        LockHeld: Another process writes the same snapshot.
    """
    now = utc_now()
    needed = source.plan()
    chosen = snapshot_id or new_snapshot_id(now)

    def fill(folder: pathlib.Path) -> Snapshot:
        with contextlib.closing(connect(source.params)) as connection:
            pg_dump, pg_restore = source.programs(connection)
            source.begin(connection)
            exported = _export_snapshot(connection)
            contents = read_contents(connection, source.schema_name)
            # Counted before the dump: the locks of it keep every table as it is until pg_dump has its own.
            rows = count_tables(connection, contents.tables)
            environment = read_environment(connection)
            files = []
            if contents.schema_exists:
                files.append(_dump(source, connection, pg_dump, exported, folder / source.main_name))
            registry = _registry_at(source, exported)
            if source.profile is not None:
                files.append(_write_registry(registry, folder / _REGISTRY_FILE))
        checks = [Check("one_snapshot", PASSED, observed=exported, message="dump and counts show the same instant")]
        if contents.schema_exists:
            checks += archive_checks(folder / source.main_name, source.schema_name, rows, pg_restore, source.run)
        return Snapshot(
            kind=KIND,
            id=chosen,
            folder=folder,
            created_at=timestamp(now),
            subject={**source.subject, "database": environment["database"]},
            files=tuple(files),
            tables=tuple(_counted(source, name, count) for name, count in rows.items()),
            checks=tuple(checks),
            details={
                "server": address(source.params),
                "server_version": environment["server_version"],
                "pg_dump_version": pg_dump.version,
                "schema_exists": contents.schema_exists,
                "registry": [{"table": r.table, "exists": r.exists, "rows": len(r.rows)} for r in registry],
                "restore": _restore_note(source, contents),
            },
            environment=environment,
        )

    return create(dest, chosen, needed, fill, disk_usage)


def _restore_note(source: PostgresSource, contents: Contents) -> str:
    if source.profile is None:
        return "Restore the whole database."
    if contents.schema_exists:
        return f"Restore the registry rows, then schema {source.profile.schema_name}."
    return (
        f"Schema {source.profile.schema_name} did not exist, so restoring this snapshot means dropping it. "
        "The registry rows are put back as they were."
    )


def _export_snapshot(connection: Connection) -> str:
    with postgres_errors("Exporting the snapshot"), connection.cursor() as cursor:
        cursor.execute("SELECT pg_export_snapshot()")
        row = cursor.fetchone()
    return str(row[0]) if row else ""


def _counted(source: PostgresSource, name: Name, rows: int) -> TableCount:
    schema, table = name
    return TableCount(table, rows, rows if source.profile else None, schema)


def _dump(
    source: PostgresSource, connection: Connection, pg_dump: Program, exported: str, path: pathlib.Path
) -> BackupFile:
    os.close(private_file(path))
    where = child_address(source.params, connection)
    arguments = [
        f"--dbname={where.conninfo}",
        "--format=custom",
        f"--file={path}",
        f"--snapshot={exported}",
        f"--lock-wait-timeout={round(source.lock_timeout_s * 1000)}",
        "--no-password",
    ]
    if source.params.get("session_role"):
        arguments.append(f"--role={source.params['session_role']}")
    if source.schema_name is not None:
        # quoted, because it is a pattern in which plain names are folded to lower case
        arguments += ["--strict-names", f'--schema="{source.schema_name}"']
    doing = f"Dumping {'the database' if source.schema_name is None else 'schema ' + source.schema_name}"
    call(pg_dump, arguments, source.run, doing, where.environment, where.secrets)
    return seal(path, "dump")


def _registry_at(source: PostgresSource, exported: str) -> tuple[RegistryRows, ...]:
    """Read the profile's rows of the shared tables, by a second session that ends at once.

    The application runs DDL on these tables with every request: a lock held on them for as long as a dump takes,
    even a reader's, could hang every profile.
    """
    if source.profile is None:
        return ()
    with contextlib.closing(connect(source.params)) as connection:
        source.begin(connection, exported)
        return read_registry(connection, source.profile, source.registry_table, source.sources_table)


def _write_registry(registry: t.Iterable[RegistryRows], path: pathlib.Path) -> BackupFile:
    lines = [line for table in registry for line in table.lines()]
    with os.fdopen(private_file(path), "w", encoding="utf-8", newline="\n") as stream:
        stream.writelines(line + "\n" for line in lines)
    return seal(path, "registry", rows=len(lines))


def verify(snapshot: Snapshot, params: t.Mapping[str, t.Any], run: Runner) -> list[Check]:
    """Check an existing snapshot of PostgreSQL again: digests, the archive's list, and every row in it.

    Args:
        snapshot: The snapshot.
        params: The module's options C(pg_restore) and C(bin_dir).
        run: Runs a program.
    """
    checks = verify_files(snapshot)
    if any(check.verdict != PASSED for check in checks):
        return checks
    for file in snapshot.files:
        path = snapshot.folder / file.name
        if file.purpose == "registry":
            checks.append(compare(f"rows of {file.name}", file.rows, count_rows(path)))
        elif file.purpose == "dump":
            written_by = str(snapshot.details["pg_dump_version"])
            major = major_of(written_by)
            reason = f"the archive is written by pg_dump {written_by}"
            pg_restore = find_program("pg_restore", params, run, major, reason)
            rows = {(str(table.schema), table.name): table.rows for table in snapshot.tables}
            checks += archive_checks(path, snapshot.subject.get("schema_name"), rows, pg_restore, run)
    return checks
