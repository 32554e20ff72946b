# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""The life of a run in the ledger: begin (lock and resume), record, end, read."""

from __future__ import annotations

import contextlib
import dataclasses
import pathlib
import typing as t

from . import _ledger, _run_lock
from ._errors import BadInput, LedgerError
from ._ledger_summary import milliseconds, summary
from ._run_entry import RESUMED, check_run_id, kind_of, last_phase, new_run_id, same_phase


@dataclasses.dataclass(frozen=True)
class Journal:
    """One profile's ledger and lock as one run sees them.

    Args:
        state_dir: The folder above the profiles' folders.
        source_id: The profile; refused, not cleaned, when it could not be a folder name.
        holder: The process on the control node; empty when it is not known.
        dry_run: Say what would be written, write nothing.
    """

    state_dir: str
    source_id: str
    holder: dict[str, t.Any] = dataclasses.field(default_factory=dict)
    dry_run: bool = False

    @property
    def folder(self) -> pathlib.Path:
        return _ledger.ledger_folder(self.state_dir, self.source_id)


@dataclasses.dataclass
class Outcome:
    """What a call came to. C(written) is the number of entries appended."""

    run_id: str | None
    entries: list[dict[str, t.Any]]
    lock: _run_lock.RunLock | None
    written: int = 0
    resumes: bool = False
    took_over: str | None = None
    warnings: list[str] = dataclasses.field(default_factory=list)


def read(journal: Journal) -> Outcome:
    """Return the ledger and who holds the lock; nothing is written.

    Raises:
        ProfileError: The source_id is refused.
        LedgerError: The ledger or the lock cannot be read, or the chain is broken.
    """
    reading = _ledger.read(journal.folder)
    lock = _run_lock.read(journal.folder)
    outcome = Outcome(lock.run_id if lock else None, list(reading.entries), lock)
    if reading.torn_bytes:
        outcome.warnings.append(
            f"The last line of {journal.folder / _ledger.FILE_NAME} is unfinished ({reading.torn_bytes} bytes); "
            "the next run sets it aside"
        )
    return outcome


def begin(
    journal: Journal,
    verb: str,
    run_id: str | None = None,
    parameters: t.Mapping[str, t.Any] | None = None,
    take_over: str | None = None,
) -> Outcome:
    """Take the profile's lock and start a run, or go on with the open one of the same verb.

    A run of another verb that is still open is closed as C(abandoned). The process that holds the lock
    already gets its own run back.

    Args:
        journal: The profile, and who asks.
        verb: Such as C(cutover) or C(rollback).
        run_id: The id of a new run; an open run with another id is then not resumed. None makes one, or resumes.
        parameters: What the run was started with; passwords in it are masked.
        take_over: The dead run whose lock is to be taken, as the failure named it.

    Raises:
        BadInput: The run_id is none.
        LockHeld: Another run holds the profile; its facts name it.
        LedgerError: The ledger or the lock cannot be read or written.
    """
    check_run_id(run_id)
    if journal.dry_run:
        return _begin(journal, verb, run_id, parameters or {}, take_over)
    _ledger.make_folder(journal.folder)
    with _run_lock.exclusive(journal.folder):
        return _begin(journal, verb, run_id, parameters or {}, take_over)


def _begin(
    journal: Journal, verb: str, run_id: str | None, parameters: t.Mapping[str, t.Any], take_over: str | None
) -> Outcome:
    outcome = read(journal)
    lock = outcome.lock
    started, ended = (_runs_with(outcome.entries, kind) for kind in ("run_started", "run_ended"))
    mine = lock and (_run_lock.same_process(lock.holder, journal.holder) or lock.is_of(run_id or "", journal.holder))
    if lock and mine and lock.run_id in started - ended:
        return outcome
    # A lock whose run has ended was left by a crash between that entry and the release.
    if lock and not mine and lock.run_id not in ended and take_over != lock.name:
        raise _run_lock.held(journal.folder, lock, take_over or "")
    open_run = summary(outcome.entries)["open_run"]
    outcome.resumes = bool(open_run and open_run["verb"] == verb and run_id in (None, open_run["run_id"]))
    outcome.run_id = open_run["run_id"] if outcome.resumes else run_id or new_run_id(verb)
    if outcome.run_id in ended:
        raise BadInput(f"Run {outcome.run_id} has ended already", remedy="Give another run_id, or none.")
    outcome.took_over = lock.run_id if lock and not mine and lock.run_id not in ended else None
    attempt = 1 + _attempts(outcome, lock) if outcome.resumes else 1
    taken = _run_lock.RunLock(str(outcome.run_id), verb, _ledger.now_text(), dict(journal.holder), attempt)
    if journal.dry_run:
        return outcome
    _run_lock.take(journal.folder, taken, instead_of=lock)
    outcome.lock = taken
    try:
        if outcome.resumes:
            event = {"event": RESUMED, "took_over": outcome.took_over, "controller": journal.holder}
            _append(journal, outcome, "note", {**event, "parameters": dict(parameters)})
        else:
            if open_run:
                reason = {"outcome": "abandoned", "message": f"{verb} {taken.run_id} was started instead"}
                _append(journal, outcome, "run_ended", reason, open_run["run_id"])
            _append(
                journal,
                outcome,
                "run_started",
                {
                    "verb": verb,
                    "parameters": dict(parameters),
                    "controller": journal.holder,
                    "took_over": outcome.took_over,
                },
            )
    except BaseException:
        _run_lock.release(journal.folder, taken)
        raise
    return outcome


def record(journal: Journal, run_id: str, entry: t.Mapping[str, t.Any], next_phase: str | None = None) -> Outcome:
    """Append what happened in a run: a phase, a switch, or a note; nothing when the same was recorded last.

    Args:
        journal: The profile, and who asks.
        run_id: The run, which must hold the lock.
        entry: C(phase) with C(status), C(facts), C(checks), C(message); or C(store) for a switch; or C(message)
            alone, or with C(facts), for a note.
        next_phase: The phase that begins with this. Its start is an entry of its own behind the other, as if it had
            been recorded by a call of its own; a crash between them leaves the first.

    Raises:
        BadInput: The entry is none of these.
        LedgerError: The run does not hold the lock (it was taken over, or has ended), or writing failed.
    """
    fields = {key: value for key, value in entry.items() if value is not None}
    records = [(kind_of(fields), fields)]
    if next_phase:
        begun = {"phase": next_phase, "status": "started"}
        records.append((kind_of(begun), begun))
    if journal.dry_run:
        return read(journal)
    with _held(journal, run_id):
        outcome = read(journal)
        outcome.run_id = run_id
        for kind, found in records:
            _record(journal, outcome, kind, found)
    return outcome


def _record(journal: Journal, outcome: Outcome, kind: str, fields: dict[str, t.Any]) -> None:
    if kind == "phase":
        started = last_phase(outcome.entries, str(outcome.run_id), fields["phase"])
        if started and same_phase(started, _ledger.without_secrets(fields)):
            return
        if started and started["status"] == "started" and fields["status"] != "started":
            fields["duration_ms"] = milliseconds(started["time"], _ledger.now_text())
    _append(journal, outcome, kind, fields)


def end(journal: Journal, run_id: str, entry: t.Mapping[str, t.Any]) -> Outcome:
    """Close the run with its C(outcome), C(store) (the live one) and C(message), and release its lock.

    Raises:
        LedgerError: Another run holds the lock, the run is unknown, or writing failed.
    """
    if journal.dry_run:
        return read(journal)
    if not journal.folder.is_dir():
        raise LedgerError(f"Run {run_id} cannot be ended", f"profile {journal.source_id} has no ledger here")
    with _run_lock.exclusive(journal.folder):
        outcome = read(journal)
        outcome.run_id = run_id
        lock = outcome.lock
        if lock and not lock.is_of(run_id, journal.holder):
            raise _foreign(journal, run_id, lock)
        if run_id not in _runs_with(outcome.entries, "run_started"):
            raise LedgerError(f"Run {run_id} cannot be ended", f"profile {journal.source_id} knows no such run")
        if run_id not in _runs_with(
            outcome.entries, "run_ended"
        ):  # else a crash came between this entry and the release
            _append(journal, outcome, "run_ended", entry)
        if lock:
            _run_lock.release(journal.folder, lock)
            outcome.lock = None
    return outcome


def _append(
    journal: Journal, outcome: Outcome, kind: str, fields: t.Mapping[str, t.Any], run_id: str | None = None
) -> None:
    entries, warning = _ledger.append(journal.folder, kind, run_id or str(outcome.run_id), fields)
    outcome.entries += entries
    outcome.written += len(entries)
    if warning:
        outcome.warnings = [warning]


@contextlib.contextmanager
def _held(journal: Journal, run_id: str) -> t.Iterator[None]:
    if not journal.folder.is_dir():
        raise _foreign(journal, run_id, None)
    with _run_lock.exclusive(journal.folder):
        lock = _run_lock.read(journal.folder)
        if lock is None or not lock.is_of(run_id, journal.holder):
            raise _foreign(journal, run_id, lock)
        yield


def _foreign(journal: Journal, run_id: str, lock: _run_lock.RunLock | None) -> LedgerError:
    why = "no run holds it now"
    facts: dict[str, t.Any] = {}
    if lock:
        why = f"run {lock.run_id} ({lock.verb}, process {lock.holder.get('pid')} on {lock.holder.get('host')}) holds it"
        facts = {"holder": lock.holder}
    return LedgerError(
        f"Run {run_id} does not hold profile {journal.source_id} any more, so it may not go on",
        f"{why}; the run has ended or was taken over",
        "Stop here and start the playbook again; it resumes what is open.",
        run_id=run_id,
        **facts,
    )


def _attempts(outcome: Outcome, lock: _run_lock.RunLock | None) -> int:
    """Return how many processes the run has had; the lock may know of one that died before it wrote anything."""
    mine = [entry for entry in outcome.entries if entry["run_id"] == outcome.run_id]
    recorded = 1 + len([entry for entry in mine if entry.get("event") == RESUMED])
    return max(recorded, lock.attempt if lock and lock.run_id == outcome.run_id else 0)


def _runs_with(entries: list[dict[str, t.Any]], kind: str) -> set[str]:
    return {entry["run_id"] for entry in entries if entry["kind"] == kind}
