# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The lock and the life of a run, with real processes competing for it."""

from __future__ import annotations

import json
import multiprocessing
import os
import pathlib
import signal
import stat
import time
import typing as t

import pytest
from ansible_collections.sxops.pg_cutover.plugins.module_utils import _ledger, _run_journal, _run_lock
from ansible_collections.sxops.pg_cutover.plugins.module_utils._errors import BadInput, LedgerError, LockHeld
from ansible_collections.sxops.pg_cutover.plugins.module_utils._ledger_summary import summary
from ansible_collections.sxops.pg_cutover.plugins.module_utils._run_journal import Journal, begin, end, read, record

FORK = multiprocessing.get_context("fork")


def holder(pid: int, **other: t.Any) -> dict[str, t.Any]:
    return {
        "user": "ops", "host": "control-1", "boot_id": "b1", "pid_namespace": "n1", "pid": pid, "started": pid * 10,
        **other,
    }  # fmt: skip


@pytest.fixture
def state(tmp_path: pathlib.Path) -> str:
    return str(tmp_path / "state")


def journal(state: str, pid: int = 1, **other: t.Any) -> Journal:
    return Journal(state, "assets_1", holder(pid), **other)


def kinds(state: str) -> list[str]:
    return [entry["kind"] for entry in read(journal(state)).entries]


def tree(state: str) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in pathlib.Path(state).rglob("*") if path.is_file()}


# --- one run ---------------------------------------------------------------------------------------------------


def test_a_run_from_begin_to_end(state: str) -> None:
    mine = journal(state)
    begun = begin(mine, "cutover", parameters={"dsn": "postgresql://u:hunter2@h/d"})
    run_id = str(begun.run_id)
    assert not begun.resumes and begun.took_over is None and begun.written == 1
    lock = json.loads((mine.folder / "lock.json").read_text())
    assert lock == {"run_id": run_id, "verb": "cutover", "since": lock["since"], "holder": holder(1), "attempt": 1}
    assert stat.S_IMODE((mine.folder / "lock.json").stat().st_mode) == 0o600
    assert record(mine, run_id, {"phase": "load", "status": "started"}).written == 1
    done = record(mine, run_id, {"phase": "load", "status": "passed", "facts": {"rows": 3}, "checks": [{"name": "a"}]})
    assert done.entries[-1]["duration_ms"] >= 0 and done.entries[-1]["facts"] == {"rows": 3}
    record(mine, run_id, {"store": "postgres"})
    record(mine, run_id, {"message": "restarted"})
    ended = end(mine, run_id, {"outcome": "completed", "store": "postgres"})
    assert ended.lock is None and not (mine.folder / "lock.json").exists()
    assert kinds(state) == ["run_started", "phase", "phase", "switched", "note", "run_ended"]
    assert summary(ended.entries)["last_cutover"]["run_id"] == run_id
    assert b"hunter2" not in b"".join(tree(state).values())
    assert sorted(path.name for path in mine.folder.iterdir()) == ["ledger.jsonl"]


def test_begin_again_by_the_same_process_gives_its_own_run(state: str) -> None:
    first = begin(journal(state), "cutover")
    for again in (begin(journal(state), "cutover"), begin(journal(state), "rollback")):
        assert again.run_id == first.run_id and again.written == 0 and again.took_over is None


def test_recording_the_same_again_writes_nothing(state: str) -> None:
    mine = journal(state)
    run_id = str(begin(mine, "cutover").run_id)
    passed = {"phase": "load", "status": "passed", "facts": {"rows": 3, "dsn": "postgresql://u:p@h/d"}}
    for _again in range(3):
        record(mine, run_id, {"phase": "load", "status": "started"})
    assert [record(mine, run_id, passed).written for _again in range(3)] == [1, 0, 0]
    assert record(mine, run_id, {**passed, "facts": {"rows": 4}}).written == 1
    assert kinds(state) == ["run_started", "phase", "phase", "phase"]


def test_the_end_of_a_phase_and_the_start_of_the_next_are_one_call_and_two_entries(state: str) -> None:
    mine = journal(state)
    run_id = str(begin(mine, "cutover").run_id)
    record(mine, run_id, {"phase": "load", "status": "started"})
    done = record(mine, run_id, {"phase": "load", "status": "passed", "facts": {"rows": 3}}, "parity")
    assert done.written == 2
    assert [(entry["phase"], entry["status"]) for entry in done.entries[1:]] == [
        ("load", "started"), ("load", "passed"), ("parity", "started"),
    ]  # fmt: skip
    assert done.entries[-1].keys() == done.entries[1].keys() and "duration_ms" in done.entries[2]
    # The same again, and the start by a call of its own, write nothing; the duration is that from the start.
    assert record(mine, run_id, {"phase": "load", "status": "passed", "facts": {"rows": 3}}, "parity").written == 0
    assert record(mine, run_id, {"phase": "parity", "status": "started"}).written == 0
    assert record(mine, run_id, {"phase": "parity", "status": "passed"}).entries[-1]["duration_ms"] >= 0


def test_killed_between_the_two_entries_the_next_run_begins_the_phase(state: str) -> None:
    run_id = str(begin(journal(state), "cutover").run_id)
    passed = {"phase": "load", "status": "passed"}
    record(journal(state), run_id, passed)  # what stands in the ledger then
    taken = begin(journal(state, 2), "cutover", take_over=run_id)
    assert summary(taken.entries)["open_run"]["phases_passed"] == ["load"]
    assert record(journal(state, 2), run_id, passed, "parity").written == 1
    # Killed behind both, the start does not stand in for that of the run that goes on.
    begin(journal(state, 3), "cutover", take_over=f"{run_id}.2")
    assert record(journal(state, 3), run_id, passed, "parity").written == 1
    with pytest.raises(LedgerError, match="does not hold profile assets_1 any more"):
        record(journal(state, 2), run_id, passed, "parity")


@pytest.mark.parametrize("name", ["Load", "copy", "a b"])
def test_a_next_phase_that_is_refused_leaves_nothing_of_the_record(state: str, name: str) -> None:
    mine = journal(state)
    run_id = str(begin(mine, "cutover").run_id)
    with pytest.raises(BadInput, match="is refused"):
        record(mine, run_id, {"phase": "load", "status": "passed"}, name)
    assert kinds(state) == ["run_started"]


def test_a_note_may_have_facts(state: str) -> None:
    mine = journal(state)
    run_id = str(begin(mine, "cutover").run_id)
    hook = {"message": "Hook before_load passed.", "facts": {"hook": "before_load", "token": "hunter2"}}
    assert record(mine, run_id, hook).entries[-1]["facts"] == {"hook": "before_load", "token": "********"}


def test_ending_twice_writes_once(state: str) -> None:
    mine = journal(state)
    run_id = str(begin(mine, "cutover").run_id)
    assert [end(mine, run_id, {"outcome": "completed"}).written for _again in range(2)] == [1, 0]
    with pytest.raises(LedgerError, match="no run holds it now"):
        record(mine, run_id, {"message": "late"})
    with pytest.raises(BadInput, match="has ended already"):
        begin(mine, "cutover", run_id=run_id)


@pytest.mark.parametrize(
    "entry",
    [
        {}, {"phase": "load"}, {"status": "passed"}, {"phase": "load", "status": "passed", "store": "sqlite"},
        {"phase": "copy", "status": "passed"}, {"phase": "Load", "status": "passed"}, {"phase": "", "status": "passed"},
        {"facts": {"a": 1}},
    ],
)  # fmt: skip
def test_records_that_say_nothing_or_too_much_are_refused(state: str, entry: dict[str, t.Any]) -> None:
    run_id = str(begin(journal(state), "cutover").run_id)
    with pytest.raises(BadInput):
        record(journal(state), run_id, entry)


@pytest.mark.parametrize("run_id", ["", "a b", "../x", "-x", "x" * 81, "a\n"])
def test_odd_run_ids_are_refused(state: str, run_id: str) -> None:
    with pytest.raises(BadInput, match="run_id"):
        begin(journal(state), "cutover", run_id=run_id)


# --- check mode ------------------------------------------------------------------------------------------------


def test_a_dry_run_writes_nothing(state: str) -> None:
    dry = journal(state, dry_run=True)
    begun = begin(dry, "cutover")
    assert begun.run_id and begun.written == 0 and begun.entries == []
    record(dry, str(begun.run_id), {"phase": "load", "status": "passed"})
    end(dry, str(begun.run_id), {"outcome": "completed"})
    assert not pathlib.Path(state).exists()
    begin(journal(state), "cutover")
    before = tree(state)
    with pytest.raises(LockHeld):
        begin(journal(state, 2, dry_run=True), "cutover")
    taken = begin(journal(state, 2, dry_run=True), "cutover", take_over=read(dry).lock.run_id)  # type: ignore[union-attr]
    assert taken.resumes and taken.took_over
    assert tree(state) == before


def test_reading_needs_nothing_and_leaves_nothing(state: str) -> None:
    found = read(journal(state))
    assert found.entries == [] and found.lock is None and not pathlib.Path(state).exists()


def test_a_torn_line_is_said_by_read_and_set_aside_by_the_next_run(state: str) -> None:
    run_id = str(begin(journal(state), "cutover").run_id)
    path = journal(state).folder / _ledger.FILE_NAME
    with path.open("ab") as stream:
        stream.write(b'{"seq":2,"ti')
    assert "is unfinished (12 bytes)" in read(journal(state)).warnings[0]
    done = record(journal(state), run_id, {"message": "on"})
    assert done.written == 2 and "set aside in" in done.warnings[0]
    assert read(journal(state)).warnings == []


# --- two runs --------------------------------------------------------------------------------------------------


def test_a_second_run_is_told_who_holds_the_lock(state: str) -> None:
    first = begin(journal(state), "cutover")
    with pytest.raises(LockHeld) as caught:
        begin(journal(state, 2), "rollback")
    text = str(caught.value)
    since = first.lock.since if first.lock else ""
    for part in (
        "assets_1",
        "cutover of ops on control-1",
        "process 1",
        since,
        f"-e cutover_take_over={first.run_id}",
        "Wait",
    ):
        assert part in text
    assert caught.value.facts["holder"] == holder(1) and caught.value.facts["run_id"] == first.run_id
    assert kinds(state) == ["run_started"]


def test_other_profiles_are_not_concerned(state: str) -> None:
    begin(journal(state), "cutover")
    assert begin(Journal(state, "assets_2", holder(2)), "cutover").written == 1


def test_taking_over_resumes_the_same_verb_and_shuts_the_old_process_out(state: str) -> None:
    run_id = str(begin(journal(state), "cutover").run_id)
    record(journal(state), run_id, {"phase": "load", "status": "passed", "facts": {"rows": 3}})
    record(journal(state), run_id, {"phase": "parity", "status": "started"})
    with pytest.raises(LockHeld, match="take_over named other, which is not that one"):
        begin(journal(state, 2), "cutover", take_over="other")
    taken = begin(journal(state, 2), "cutover", take_over=run_id)
    assert (taken.run_id, taken.resumes, taken.took_over) == (run_id, True, run_id)
    assert summary(taken.entries)["open_run"]["phases_passed"] == ["load"]
    for late in (
        lambda: record(journal(state), run_id, {"message": "I was only asleep"}),
        lambda: end(journal(state), run_id, {"outcome": "completed"}),
    ):
        with pytest.raises(LedgerError, match="does not hold profile assets_1 any more"):
            late()
    # A start before the crash does not stand in for the new one.
    assert record(journal(state, 2), run_id, {"phase": "parity", "status": "started"}).written == 1
    end(journal(state, 2), run_id, {"outcome": "completed"})


def test_taking_over_for_another_verb_closes_the_old_run(state: str) -> None:
    old = str(begin(journal(state), "cutover").run_id)
    taken = begin(journal(state, 2), "rollback", take_over=old)
    assert not taken.resumes and taken.run_id != old and taken.took_over == old
    assert [(e["kind"], e.get("outcome")) for e in taken.entries] == [
        ("run_started", None), ("run_ended", "abandoned"), ("run_started", None),
    ]  # fmt: skip
    assert summary(taken.entries)["open_run"]["verb"] == "rollback"


def test_a_named_new_run_does_not_resume(state: str) -> None:
    old = str(begin(journal(state), "cutover").run_id)
    fresh = begin(journal(state, 2), "cutover", run_id="second-try", take_over=old)
    assert fresh.run_id == "second-try" and not fresh.resumes


def test_an_open_run_without_a_lock_is_resumed(state: str) -> None:
    run_id = begin(journal(state), "cutover").run_id
    (journal(state).folder / "lock.json").unlink()
    again = begin(journal(state, 2), "cutover")
    assert again.resumes and again.run_id == run_id and again.took_over is None


def test_a_crash_between_the_last_entry_and_the_release(state: str, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = journal(state)
    run_id = str(begin(mine, "cutover").run_id)
    with monkeypatch.context() as patched:
        patched.setattr(_run_lock, "release", lambda *_args: None)
        end(mine, run_id, {"outcome": "completed"})
    assert read(mine).lock
    for pid in (2, 1):  # whoever comes next, the process itself included
        begun = begin(journal(state, pid), "rollback")
        assert not begun.resumes and begun.run_id != run_id and begun.took_over is None
        end(journal(state, pid), str(begun.run_id), {"outcome": "completed"})


def test_a_crash_between_the_lock_and_the_first_entry(state: str) -> None:
    mine = journal(state)
    _ledger.make_folder(mine.folder)
    _run_lock.take(mine.folder, _run_lock.RunLock("r-1", "cutover", _ledger.now_text(), holder(1)))
    with pytest.raises(LockHeld):
        begin(journal(state, 2), "cutover")
    begun = begin(mine, "cutover")
    assert begun.written == 1 and kinds(state) == ["run_started"]


def test_a_begin_that_cannot_write_its_entry_frees_the_lock(state: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_args: t.Any) -> t.NoReturn:
        raise LedgerError("Ledger full")

    with monkeypatch.context() as patched:
        patched.setattr(_ledger, "append", full)
        with pytest.raises(LedgerError, match="full"):
            begin(journal(state), "cutover")
    assert read(journal(state)).lock is None


def test_a_lock_nobody_understands_is_named(state: str) -> None:
    begin(journal(state), "cutover")
    path = journal(state).folder / "lock.json"
    for content in ("", "[]", '{"run_id": "x"}', "\xff"):
        path.write_bytes(content.encode("latin-1"))
        with pytest.raises(LedgerError, match=r"lock\.json cannot be understood.*then remove"):
            begin(journal(state, 2), "cutover")


def test_a_lock_that_changed_hands_is_not_released(state: str) -> None:
    mine = journal(state)
    lock = begin(mine, "cutover").lock
    assert lock
    other = _run_lock.RunLock("other", "cutover", lock.since, holder(2))
    _run_lock.take(mine.folder, other, instead_of=lock)
    with pytest.raises(LedgerError, match="does not belong to run"):
        _run_lock.release(mine.folder, lock)
    with pytest.raises(LockHeld, match="run_id other"):
        _run_lock.take(mine.folder, lock)
    assert sorted(path.name for path in mine.folder.iterdir()) == ["ledger.jsonl", "lock.json"]


# --- real processes --------------------------------------------------------------------------------------------


def _compete(state: str, number: int, barrier: t.Any, answers: t.Any, take_over: str | None) -> None:
    barrier.wait()
    try:
        begun = begin(journal(state, number), "cutover", take_over=take_over)
        answers.put((number, "won", begun.run_id))
    except LockHeld as error:
        answers.put((number, "held", error.facts["run_id"]))


def _race(state: str, take_over: str | None = None, first: int = 100, runners: int = 16) -> list[tuple[int, str, str]]:
    barrier, answers = FORK.Barrier(runners), FORK.Queue()
    processes = [
        FORK.Process(target=_compete, args=(state, number, barrier, answers, take_over))
        for number in range(first, first + runners)
    ]
    for process in processes:
        process.start()
    results = [answers.get(timeout=60) for _process in processes]
    for process in processes:
        process.join()
    return results


def test_of_many_simultaneous_runs_exactly_one_wins(state: str) -> None:
    for _again in range(5):
        results = _race(state)
        won = [result for result in results if result[1] == "won"]
        assert len(won) == 1
        assert {run_id for _number, _answer, run_id in results} == {won[0][2]}  # the others name the winner
        end(journal(state, won[0][0]), won[0][2], {"outcome": "completed"})
    assert kinds(state) == ["run_started", "run_ended"] * 5


def test_of_many_that_take_over_a_dead_run_exactly_one_wins(state: str) -> None:
    dead = read(journal(state)).lock or begin(journal(state), "cutover").lock
    for attempt in range(2, 6):
        assert dead
        results = _race(state, take_over=dead.name, first=100 * attempt)
        assert [result[1] for result in results].count("won") == 1
        dead = read(journal(state)).lock
        assert dead and dead.attempt == attempt and dead.name == f"{dead.run_id}.{attempt}"
    assert kinds(state) == ["run_started", *["note"] * 4]


def test_an_attempt_that_died_before_it_wrote_anything_has_its_own_name(state: str) -> None:
    lock = begin(journal(state), "cutover").lock
    assert lock
    folder = journal(state).folder
    second = _run_lock.RunLock(lock.run_id, "cutover", lock.since, holder(2), 2)
    _run_lock.take(folder, second, instead_of=lock)
    third = begin(journal(state, 3), "cutover", take_over=second.name).lock
    assert third and third.name == f"{lock.run_id}.3"


def _die_inside(state: str, ready: t.Any) -> None:
    with _run_lock.exclusive(journal(state).folder):
        ready.set()
        time.sleep(60)


def test_a_process_killed_while_it_looks_at_the_lock_blocks_nobody(state: str) -> None:
    run_id = str(begin(journal(state), "cutover").run_id)
    ready = FORK.Event()
    process = FORK.Process(target=_die_inside, args=(state, ready))
    process.start()
    assert ready.wait(30) and process.pid
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    assert end(journal(state), run_id, {"outcome": "completed"}).written == 1


def test_unknown_holders_are_told_apart_by_run_id_only(state: str) -> None:
    nobody = Journal(state, "assets_1")
    run_id = str(begin(nobody, "cutover").run_id)
    with pytest.raises(LockHeld, match="an unknown user on an unknown host"):
        begin(nobody, "cutover")
    assert begin(nobody, "cutover", run_id=run_id).written == 0
    assert _run_journal.record(journal(state), run_id, {"message": "x"}).written == 1
