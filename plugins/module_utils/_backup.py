# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""The verb that both backup modules share: take a snapshot, or prove one that exists."""

from __future__ import annotations

import pathlib
import time
import typing as t

from ._backup_folder import check_name, check_space, new_snapshot_id, utc_now
from ._errors import BackupError
from ._manifest import MANIFEST, Snapshot, list_snapshots, load_manifest, verify_files
from ._verdict import PASSED, Check, describe, open_checks, overall


class Source(t.Protocol):
    """A store that snapshots can be taken of (L(_snapshot.SqliteSource), L(_postgres_dump.PostgresSource))."""

    @property
    def kind(self) -> str: ...

    @property
    def subject(self) -> dict[str, t.Any]: ...

    @property
    def main_name(self) -> str: ...

    def lacks(self, snapshot: Snapshot) -> str: ...

    def plan(self) -> int: ...

    def take(self, dest: str, snapshot_id: str | None) -> Snapshot: ...

    def verify(self, snapshot: Snapshot) -> list[Check]: ...


def backup(source: Source, params: t.Mapping[str, t.Any], check_mode: bool) -> dict[str, t.Any]:
    """Bring about C(state) (present, verified) of a snapshot in C(dest) and return the module's result.

    Args:
        source: What to copy.
        params: The module's options C(dest), C(snapshot_id) and C(state).
        check_mode: Say what would be done; the source is asked all the same, nothing is written.

    Raises:
        BackupError: A snapshot does not verify, is not one of this source, or could not be written.
        CutoverError: What the source refuses.
    """
    started = time.monotonic()
    dest, snapshot_id = params["dest"], params.get("snapshot_id")
    if params["state"] == "verified":
        found = _chosen(source, dest, snapshot_id)
        return _result(found, _proven(found, source.verify(found)), False, started)
    if snapshot_id and (pathlib.Path(dest) / check_name(snapshot_id, "snapshot_id") / MANIFEST).exists():
        found = _chosen(source, dest, snapshot_id)
        return _result(found, _proven(found, verify_files(found)), False, started)
    if check_mode:
        needed = source.plan()
        check_space(dest, needed)
        planned = pathlib.Path(dest) / (snapshot_id or new_snapshot_id(utc_now()))
        return _planned(source, planned, needed, started)
    taken = source.take(dest, snapshot_id)
    return _result(taken, list(taken.checks), True, started)


def _chosen(source: Source, dest: str, snapshot_id: str | None) -> Snapshot:
    """Return the snapshot of that id, or the newest one of this source."""
    if snapshot_id:
        snapshot = load_manifest(pathlib.Path(dest) / check_name(snapshot_id, "snapshot_id"))
        _refuse_other(source, snapshot)
        return snapshot
    for snapshot in list_snapshots(dest, source.kind):
        if not _differences(source, snapshot):
            return snapshot
    raise BackupError(
        f"No snapshot to verify in {dest}",
        "it holds none of " + ", ".join(f"{key} {value!r}" for key, value in source.subject.items() if value),
        "Check dest, or take one with state=present.",
    )


def _differences(source: Source, snapshot: Snapshot) -> str:
    if snapshot.kind != source.kind:
        return f"it is one of {snapshot.kind}, not of {source.kind}"
    different = [
        f"its {key} is {snapshot.subject.get(key)!r}, not {value!r}"
        for key, value in source.subject.items()
        if value is not None and snapshot.subject.get(key) != value
    ]
    return ", ".join(different)


def _refuse_other(source: Source, snapshot: Snapshot) -> None:
    why = _differences(source, snapshot) or source.lacks(snapshot)
    if why:
        raise BackupError(
            f"Snapshot {snapshot.folder} is not the one asked for",
            why,
            "It was not touched. Choose another snapshot_id, or another dest for another store.",
        )


def _proven(snapshot: Snapshot, checks: list[Check]) -> list[Check]:
    if overall(checks) != PASSED:
        raise BackupError(
            f"Snapshot {snapshot.folder} does not verify",
            describe(open_checks(checks)),
            "Do not restore from it: use an older one that verifies, or take a new one under another snapshot_id.",
            checks=[check.as_dict() for check in checks],
            verdict=overall(checks),
        )
    return checks


def _result(snapshot: Snapshot, checks: list[Check], changed: bool, started: float) -> dict[str, t.Any]:
    after = {"snapshot": snapshot.id, "path": str(snapshot.path), "sha256": snapshot.sha256}
    return {
        "changed": changed,
        "snapshot": snapshot.as_dict(),
        "checks": [check.as_dict() for check in checks],
        "verdict": overall(checks),
        "duration_ms": _since(started),
        "diff": {"before": {} if changed else after, "after": after},
    }


def _planned(source: Source, folder: pathlib.Path, needed: int, started: float) -> dict[str, t.Any]:
    """Return the result of check mode: the same keys, empty where only the copy itself could tell."""
    path = str(folder / source.main_name)
    snapshot: dict[str, t.Any] = {
        "id": folder.name,
        "kind": source.kind,
        "created_at": None,
        "folder": str(folder),
        "path": path,
        "sha256": None,
        "bytes": None,
        "needed_bytes": needed,
        "manifest_path": str(folder / MANIFEST),
        "subject": source.subject,
        **{key: [] for key in ("tables", "exports", "files", "findings")},
        "details": {},
    }
    return {
        "changed": True,
        "snapshot": snapshot,
        "checks": [],
        "verdict": overall([]),
        "duration_ms": _since(started),
        "diff": {"before": {}, "after": {"snapshot": folder.name, "path": path, "sha256": None}},
    }


def _since(started: float) -> int:
    return round((time.monotonic() - started) * 1000)
