# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Gates on backups: the one before a cutover, and those of this run that going back rests on."""

from __future__ import annotations

import datetime
import os
import pathlib
import typing as t

from ._attested import age_text
from ._gate_decision import Measured
from ._gate_ledger import last_phase
from ._gate_look import Entry, GateLook
from ._instant import instant_of
from ._manifest import Snapshot, list_snapshots, load_manifest, sha256_of, verify_files
from ._verdict import FAILED, PASSED, Check, not_verified, open_checks


def sqlite_backup(look: GateLook) -> Measured:
    """A verified snapshot is there and not too old, or this run takes one before it loads anything.

    A snapshot whose bytes are not those that were written blocks either way: whatever spoiled it, spoils the next one.
    """
    name = "sqlite_backup"
    limit = datetime.timedelta(hours=look.params["backup_max_age_hours"])
    takes = bool(look.params["takes_backup"])
    expected = f"verified, at most {age_text(limit)} old" + (", or taken by this run" if takes else "")
    found = _newest(look)
    will = "; phase backup of this run takes one, verifies it, and blocks when it cannot"
    if found is None:
        words = f"there is no snapshot of this profile in {look.params['backup_dir']}"
        if takes:
            return Check(name, PASSED, expected, None, words + will)
        return Check(name, FAILED, expected, None, words + ", and this run takes none: it goes on with what was loaded")
    wrong = open_checks(verify_files(found))
    taken = instant_of(found.created_at)
    age = look.now - taken if taken else None
    observed = {"snapshot": str(found.path), "at": found.created_at, "sha256": found.files[0].sha256}
    words = f"snapshot {found.id}, {age_text(age) if age is not None else 'of unknown age'} old"
    if wrong:
        faults = "; ".join(check.message or f"{check.name} is not what was written" for check in wrong)
        words += f" is damaged: {faults}. See to the disk, and move the folder {found.folder} away"
        return Check(name, FAILED, expected, observed, words)
    if age is None or age > limit:
        words += f", is older than {age_text(limit)}"
        if takes:
            return Check(name, PASSED, expected, observed, words + will)
        remedy = "; have the cutover start over with -e cutover_archive_schema=true, which takes a new one"
        return Check(name, FAILED, expected, observed, words + remedy)
    return Check(name, PASSED, expected, observed, words + ", has the checksum that it was written with")


def _newest(look: GateLook) -> Snapshot | None:
    path = os.path.realpath(look.params["sqlite_path"])
    for snapshot in list_snapshots(look.params["backup_dir"], "sqlite"):
        if snapshot.subject.get("source_id") == look.source_id and snapshot.subject.get("path") == path:
            return snapshot
    return None


def _backup(look: GateLook) -> Entry | None:
    entry = last_phase(look.entries, "backup")
    return entry if entry and entry["status"] == "passed" else None


_NONE = "the ledger has no phase backup that passed; run the cutover from its beginning"


def backup_of_this_run(look: GateLook) -> Measured:
    """The snapshot that was loaded is still there, byte by byte."""
    name, entry = "backup_of_this_run", _backup(look)
    if entry is None:
        return not_verified(name, _NONE)
    facts = entry.get("facts") or {}
    path, wanted = str(facts.get("sqlite_snapshot")), facts.get("sqlite_sha256")
    try:
        observed = sha256_of(path)
    except OSError as error:
        words = f"{path}: {error.strerror or error}; without it nothing leads back but the return path"
        return Check(name, FAILED, wanted, None, words)
    if observed != wanted:
        return Check(name, FAILED, wanted, observed, f"{path} was changed after it was written")
    return Check(name, PASSED, wanted, observed, f"{path} has the checksum that it was written with")


def postgres_snapshot_of_this_run(look: GateLook) -> Measured:
    """The dump of what PostgreSQL held before the load is still there, byte by byte."""
    name, entry = "postgres_snapshot_of_this_run", _backup(look)
    folder = ((entry or {}).get("facts") or {}).get("postgres_dump")
    if not folder:
        return not_verified(name, _NONE)
    snapshot = load_manifest(folder)
    wrong = open_checks(verify_files(snapshot))
    observed = [check.as_dict() for check in wrong]
    if wrong:
        faults = "; ".join(check.message or f"{check.name} is not what was written" for check in wrong)
        return Check(name, FAILED, [], observed, f"{folder} is damaged: {faults}")
    return Check(name, PASSED, [], [], f"every file of {folder} has the checksum that it was written with")


def rollback_candidate(look: GateLook) -> Measured:
    """What rollback.yml -e return_data=backup would go back to is a snapshot of this profile, and that of this run."""
    name = "rollback_candidate"
    passed = [
        entry
        for entry in look.entries
        if entry["kind"] == "phase" and entry["phase"] == "backup" and entry["status"] == "passed"
    ]
    mine = _backup(look)
    if not passed or mine is None:
        return not_verified(name, _NONE)
    facts: t.Mapping[str, t.Any] = passed[-1].get("facts") or {}
    path = str(facts.get("sqlite_snapshot"))
    if passed[-1]["run_id"] != mine["run_id"]:
        words = f"a way back would take {path}, which run {passed[-1]['run_id']} wrote, not this cutover"
        return Check(name, FAILED, (mine.get("facts") or {}).get("sqlite_snapshot"), path, words)
    snapshot = load_manifest(pathlib.Path(path).parent)
    if snapshot.subject.get("source_id") != look.source_id:
        words = f"{path} is a snapshot of {snapshot.subject.get('source_id')!r}"
        return Check(name, FAILED, look.source_id, snapshot.subject.get("source_id"), words)
    words = f"{path}; ansible-playbook rollback.yml -e source_id={look.source_id} -e return_data=backup goes back to it"
    return Check(name, PASSED, look.source_id, look.source_id, words)
