# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""What a snapshot of a store is: its files with their digests, its row counts, and the manifest that says so.

A folder is a snapshot only while it holds a readable manifest; the manifest carries its own digest, so that a
changed manifest is noticed as surely as a changed file.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import pathlib
import typing as t

from ._errors import BackupError
from ._verdict import Check, compare

FORMAT_VERSION = 1
MANIFEST = "manifest.json"
_CHUNK_BYTES = 1024 * 1024


@dataclasses.dataclass(frozen=True)
class BackupFile:
    """One file of a snapshot. C(purpose) is database, dump, export or registry; the first file is the main one."""

    name: str
    purpose: str
    sha256: str
    bytes: int
    table: str | None = None
    rows: int | None = None


@dataclasses.dataclass(frozen=True)
class TableCount:
    """Rows of a table; C(profile_rows) are those of the snapshot's profile, None where that cannot be told."""

    name: str
    rows: int
    profile_rows: int | None = None
    schema: str | None = None  # PostgreSQL only


@dataclasses.dataclass(frozen=True)
class Snapshot:
    """A verified copy of a store at one instant.

    Attributes:
        kind: C(sqlite) or C(postgres).
        id: Name of the snapshot and of its folder.
        folder: Where its files are.
        created_at: The instant, UTC, ISO 8601 with C(Z).
        subject: What it is a copy of; a snapshot answers for nothing else (path, source_id, scope, schema, ...).
        files: Its files, the main one first.
        tables: Row counts at that instant.
        checks: The checks made when it was taken.
        findings: What was found in the data and is no fault of the copy (foreign key violations).
        details: What a reader of the result wants to know besides.
        environment: What a restore has to find or to make again (versions, roles, extensions); manifest only.
    """

    kind: str
    id: str
    folder: pathlib.Path
    created_at: str
    subject: t.Mapping[str, t.Any]
    files: tuple[BackupFile, ...]
    tables: tuple[TableCount, ...]
    checks: tuple[Check, ...]
    findings: tuple[t.Mapping[str, t.Any], ...] = ()
    details: t.Mapping[str, t.Any] = dataclasses.field(default_factory=dict)
    environment: t.Mapping[str, t.Any] = dataclasses.field(default_factory=dict)

    @property
    def path(self) -> pathlib.Path:
        """The main file: the copied database, or the dump."""
        return self.folder / self.files[0].name

    @property
    def sha256(self) -> str:
        return self.files[0].sha256

    @property
    def bytes(self) -> int:
        return self.files[0].bytes

    @property
    def manifest_path(self) -> pathlib.Path:
        return self.folder / MANIFEST

    @property
    def exports(self) -> tuple[BackupFile, ...]:
        return tuple(file for file in self.files if file.purpose == "export")

    def as_dict(self) -> dict[str, t.Any]:
        """Return what the modules hand back as C(snapshot)."""
        return {
            "id": self.id,
            "kind": self.kind,
            "created_at": self.created_at,
            "folder": str(self.folder),
            "path": str(self.path),
            "sha256": self.sha256,
            "bytes": self.bytes,
            "manifest_path": str(self.manifest_path),
            "subject": dict(self.subject),
            "tables": [dataclasses.asdict(table) for table in self.tables],
            "exports": [
                {
                    "table": f.table,
                    "path": str(self.folder / f.name),
                    "rows": f.rows,
                    "bytes": f.bytes,
                    "sha256": f.sha256,
                }
                for f in self.exports
            ],
            "files": [{**dataclasses.asdict(file), "path": str(self.folder / file.name)} for file in self.files],
            "findings": [dict(finding) for finding in self.findings],
            "details": dict(self.details),
        }


def manifest_text(snapshot: Snapshot) -> str:
    """Return the manifest of a snapshot: JSON, with the digest of everything else in it under C(digest)."""
    content = {
        "format": FORMAT_VERSION,
        "kind": snapshot.kind,
        "id": snapshot.id,
        "created_at": snapshot.created_at,
        "subject": dict(snapshot.subject),
        "files": [dataclasses.asdict(file) for file in snapshot.files],
        "tables": [dataclasses.asdict(table) for table in snapshot.tables],
        "checks": [check.as_dict() for check in snapshot.checks],
        "findings": [dict(finding) for finding in snapshot.findings],
        "details": dict(snapshot.details),
        "environment": dict(snapshot.environment),
    }
    return json.dumps({**content, "digest": _digest(content)}, indent=2, ensure_ascii=False) + "\n"


def _digest(content: t.Mapping[str, t.Any]) -> str:
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def load_manifest(folder: str | os.PathLike[str]) -> Snapshot:
    """Return the snapshot in a folder, as its manifest describes it; its files are not looked at.

    Raises:
        BackupError: There is no manifest, it cannot be read, was changed, or describes another snapshot.
    """
    home = pathlib.Path(folder)
    path = home / MANIFEST
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        raise BackupError(
            f"{home} is not a snapshot",
            f"it has no {MANIFEST}" if home.is_dir() else "it does not exist",
            "Name an existing snapshot, or leave snapshot_id out to take a new one.",
        ) from None
    except OSError as error:
        raise BackupError(f"Manifest {path} cannot be read", error.strerror or str(error)) from error
    except ValueError as error:
        raise _unusable(path, f"it is not JSON ({error})") from error
    if not isinstance(content, dict) or content.pop("digest", None) != _digest(content):
        raise _unusable(path, "it was changed after it was written")
    if content.get("format") != FORMAT_VERSION:
        raise _unusable(path, f"its format is {content.get('format')!r}, this version reads {FORMAT_VERSION}")
    snapshot = _parse(home, path, content)
    if snapshot.id != home.name:
        raise _unusable(path, f"it describes snapshot {snapshot.id!r}, not {home.name!r}")
    return snapshot


def _parse(home: pathlib.Path, path: pathlib.Path, content: dict[str, t.Any]) -> Snapshot:
    try:
        files = tuple(BackupFile(**item) for item in content["files"])
        if not files or any(pathlib.PurePath(file.name).name != file.name for file in files):
            raise ValueError("a file of it lies outside its folder")
        return Snapshot(
            kind=content["kind"],
            id=content["id"],
            folder=home,
            created_at=content["created_at"],
            subject=content["subject"],
            files=files,
            tables=tuple(TableCount(**item) for item in content["tables"]),
            checks=tuple(Check(**item) for item in content["checks"]),
            findings=tuple(content["findings"]),
            details=content["details"],
            environment=content["environment"],
        )
    except (KeyError, TypeError, ValueError) as error:
        raise _unusable(path, f"it is incomplete ({error})") from error


def _unusable(path: pathlib.Path, why: str) -> BackupError:
    return BackupError(
        f"Manifest {path} cannot be used",
        why,
        "Do not restore from this snapshot; use another one, or take a new one.",
    )


def list_snapshots(dest: str | os.PathLike[str], kind: str) -> list[Snapshot]:
    """Return the snapshots of a kind (C(sqlite), C(postgres)) in a folder of backups, the newest first.

    Folders without a manifest are no snapshots and are passed over.

    Raises:
        BackupError: The folder, or a manifest in it, cannot be read: an unreadable newest backup must not let an
            older one pass for it.
    """
    try:
        folders = [entry for entry in pathlib.Path(dest).iterdir() if not entry.name.startswith(".")]
        found = [load_manifest(folder) for folder in folders if (folder / MANIFEST).exists()]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise BackupError(f"Backup folder {dest} cannot be read", error.strerror or str(error)) from error
    found.sort(key=lambda snapshot: (snapshot.created_at, snapshot.id), reverse=True)
    return [snapshot for snapshot in found if snapshot.kind == kind]


def sha256_of(path: str | os.PathLike[str]) -> str:
    """Return the SHA-256 of a file's bytes, in hexadecimal."""
    digest = hashlib.sha256()
    with pathlib.Path(path).open("rb") as stream:
        for chunk in iter(lambda: stream.read(_CHUNK_BYTES), b""):
            digest.update(chunk)
    return digest.hexdigest()


def verify_files(snapshot: Snapshot) -> list[Check]:
    """Return one check per file of the snapshot: it is there and its bytes are those that were written."""
    checks = []
    for file in snapshot.files:
        path = snapshot.folder / file.name
        try:
            observed, why = sha256_of(path), ""
            size = path.stat().st_size
            if size != file.bytes:
                why = f"it has {size} bytes, {file.bytes} were written"
        except OSError as error:
            observed, why = "", f"{path}: {error.strerror or error}"
        checks.append(compare(f"sha256 of {file.name}", file.sha256, observed, why))
    return checks
