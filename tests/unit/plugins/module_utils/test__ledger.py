# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The ledger on a real disk: its chain, its crashes, and what its entries come to."""

from __future__ import annotations

import errno
import json
import multiprocessing
import os
import pathlib
import re
import stat
import typing as t

import pytest
from ansible_collections.sxops.pg_cutover.plugins.module_utils import _ledger
from ansible_collections.sxops.pg_cutover.plugins.module_utils._errors import BadInput, LedgerError, ProfileError
from ansible_collections.sxops.pg_cutover.plugins.module_utils._ledger_summary import milliseconds, summary
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

FORK = multiprocessing.get_context("fork")


@pytest.fixture
def folder(tmp_path: pathlib.Path) -> pathlib.Path:
    made = _ledger.ledger_folder(str(tmp_path / "state"), "assets_1")
    _ledger.make_folder(made)
    return made


def filled(folder: pathlib.Path, count: int = 3) -> pathlib.Path:
    for number in range(1, count + 1):
        _ledger.append(folder, "note", "run-1", {"message": f"number {number}"})
    return folder / _ledger.FILE_NAME


# --- writing ---------------------------------------------------------------------------------------------------


def test_entries_are_chained_lines_of_json(folder: pathlib.Path) -> None:
    path = filled(folder)
    lines = path.read_bytes().splitlines()
    entries = [json.loads(line) for line in lines]
    assert [entry["seq"] for entry in entries] == [1, 2, 3]
    assert entries[0]["previous"] == "0" * 64 and list(entries[0])[:4] == ["seq", "time", "run_id", "kind"]
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", entry["time"]) for entry in entries)
    assert all(entry["digest"] == _ledger.digest_of(entry) for entry in entries)
    assert list(_ledger.read(folder).entries) == entries


def test_folders_are_private(tmp_path: pathlib.Path) -> None:
    old = os.umask(0)
    try:
        folder = _ledger.ledger_folder(str(tmp_path / "a" / "state"), "x")
        _ledger.make_folder(folder)
        path = filled(folder, 1)
    finally:
        os.umask(old)
    assert stat.S_IMODE(folder.stat().st_mode) == stat.S_IMODE(folder.parent.stat().st_mode) == 0o700
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("source_id", ["", ".", "..", "../x", "a/b", "a b", "a\0", "a\n"])
def test_hostile_ids_never_become_folders(source_id: str) -> None:
    with pytest.raises(ProfileError):
        _ledger.ledger_folder("/tmp", source_id)


def test_secrets_are_masked_before_they_are_written(folder: pathlib.Path) -> None:
    fields = {
        "dsn": "postgresql://sx:hunter2@db/sx",
        "facts": {"admin_password": "hunter2", "list": [{"api_token": "hunter2"}], "tokens": 3, "password": None},
        "message": "could not connect: host=db password=hunter2",
    }
    path_text = (filled(folder, 0)).parent
    _ledger.append(folder, "note", "run-1", fields)
    text = (path_text / _ledger.FILE_NAME).read_text()
    assert "hunter2" not in text and '"tokens":3' in text and "postgresql://sx:" in text


def test_a_failed_write_leaves_the_ledger_as_it_was(folder: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = filled(folder)
    before = path.read_bytes()

    def no_space(handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", no_space)
    with pytest.raises(LedgerError, match=r"ledger\.jsonl cannot be written: No space left"):
        _ledger.append(folder, "note", "run-1", {"message": "lost"})
    monkeypatch.undo()
    assert path.read_bytes() == before
    _ledger.append(folder, "note", "run-1", {"message": "next"})
    assert len(_ledger.read(folder).entries) == 4


def test_what_is_no_json_is_refused(folder: pathlib.Path) -> None:
    with pytest.raises(BadInput, match="cannot be written to the ledger"):
        _ledger.append(folder, "note", "run-1", {"facts": {"rate": float("nan")}})
    assert _ledger.read(folder).entries == ()


def test_state_folder_that_is_a_file(tmp_path: pathlib.Path) -> None:
    (tmp_path / "state").write_text("")
    folder = _ledger.ledger_folder(str(tmp_path / "state"), "x")
    with pytest.raises(LedgerError, match="cannot be created"):
        _ledger.make_folder(folder)
    assert _ledger.read(folder).entries == ()


def _append_many(folder: pathlib.Path, name: str, count: int) -> None:
    for number in range(count):
        _ledger.append(folder, "note", name, {"message": str(number)})


def test_many_writers_keep_the_chain(folder: pathlib.Path) -> None:
    writers = [FORK.Process(target=_append_many, args=(folder, f"run-{number}", 25)) for number in range(8)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
        assert writer.exitcode == 0
    entries = _ledger.read(folder).entries
    assert len(entries) == 200
    for number in range(8):
        mine = [entry["message"] for entry in entries if entry["run_id"] == f"run-{number}"]
        assert mine == [str(count) for count in range(25)]


# --- damage ----------------------------------------------------------------------------------------------------


def test_every_cut_of_the_last_line_is_set_aside_and_said(folder: pathlib.Path) -> None:
    path = filled(folder)
    whole = path.read_bytes()
    start = whole[:-1].rfind(b"\n") + 1
    for cut in (start + 1, start + 40, len(whole) - 1):
        for old in folder.iterdir():
            old.unlink()
        path.write_bytes(whole[:cut])
        reading = _ledger.read(folder)
        assert len(reading.entries) == 2 and reading.torn_bytes == cut - start
        assert path.read_bytes() == whole[:cut]  # reading changes nothing
        written, warning = _ledger.append(folder, "note", "run-2", {"message": "after"})
        assert warning and "set aside in" in warning
        aside = [found for found in folder.iterdir() if found.name.startswith("ledger.jsonl.torn-")]
        assert [found.read_bytes() for found in aside] == [whole[start:cut]]
        assert stat.S_IMODE(aside[0].stat().st_mode) == 0o600
        assert [entry["message"] for entry in written] == [warning, "after"]
        entries = _ledger.read(folder).entries
        assert [entry.get("event") for entry in entries] == [None, None, "torn_line", None]


def test_zeros_of_a_power_cut_are_set_aside(folder: pathlib.Path) -> None:
    path = filled(folder)
    with path.open("ab") as stream:
        stream.write(b"\0" * 4096)
    _ledger.append(folder, "note", "run-1", {"message": "x"})
    assert len(_ledger.read(folder).entries) == 5


def test_torn_lines_of_one_moment_do_not_overwrite_each_other(
    folder: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = filled(folder)
    monkeypatch.setattr(_ledger, "now_text", lambda: "2026-11-21T09:30:15.120Z")
    for text in (b"one", b"two", b"three"):
        with path.open("ab") as stream:
            stream.write(text)
        _ledger.append(folder, "note", "run-1", {"message": "x"})
    aside = sorted(found.name for found in folder.iterdir() if "torn" in found.name)
    assert aside == [f"ledger.jsonl.torn-20261121T093015120Z{end}" for end in ("", "-2", "-3")]


@pytest.mark.parametrize(
    ("damage", "line", "why"),
    [
        (lambda lines: [lines[0], lines[2]], 2, "a line is missing or was added"),
        (lambda lines: [lines[0], lines[1].replace(b"number 2", b"number 9"), lines[2]], 2, "digest does not match"),
        (lambda lines: [lines[0], b"nonsense", lines[2]], 2, "not JSON"),
        (lambda lines: [lines[0], b"", lines[1], lines[2]], 2, "not JSON"),
        (lambda lines: [b"[]", lines[1]], 1, "not an entry"),
        (lambda lines: [lines[1], lines[2]], 1, "a line is missing"),
        (lambda lines: [*lines, lines[2]], 4, "a line is missing or was added"),
    ],
)
def test_a_broken_chain_names_the_line(
    folder: pathlib.Path, damage: t.Callable[[list[bytes]], list[bytes]], line: int, why: str
) -> None:
    path = filled(folder)
    path.write_bytes(b"".join(text + b"\n" for text in damage(path.read_bytes().splitlines())))
    before = path.read_bytes()
    for action in (
        lambda: _ledger.read(folder),
        lambda: _ledger.append(folder, "note", "run-1", {"message": "x"}),
    ):
        with pytest.raises(LedgerError, match=rf"broken at line {line}: .*{why}") as caught:
            action()
        assert caught.value.facts["line"] == line
    assert path.read_bytes() == before


def test_a_line_rewritten_with_a_fitting_digest_breaks_the_next_one(folder: pathlib.Path) -> None:
    path = filled(folder)
    lines = path.read_bytes().splitlines()
    entry = json.loads(lines[0])
    entry["message"] = "forged"
    entry["digest"] = _ledger.digest_of(entry)
    lines[0] = json.dumps(entry, separators=(",", ":")).encode()
    path.write_bytes(b"\n".join(lines) + b"\n")
    with pytest.raises(LedgerError, match="line 2: it does not follow the line before it"):
        _ledger.read(folder)


FIELDS = st.dictionaries(
    st.text(max_size=6),
    st.recursive(
        st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.text()),
        lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=4), inner, max_size=3)),
        max_leaves=6,
    ),
    max_size=4,
)


@hypothesis_settings(max_examples=60, deadline=None)
@given(facts=st.lists(FIELDS, min_size=1, max_size=4))
def test_whatever_is_written_reads_back_with_its_chain_proven(
    tmp_path_factory: pytest.TempPathFactory, facts: list[dict[str, t.Any]]
) -> None:
    folder = tmp_path_factory.mktemp("ledger")
    for one in facts:
        _ledger.append(folder, "phase", "run-1", {"facts": one})
    read = _ledger.read(folder).entries
    assert [entry["facts"] for entry in read] == [_ledger.without_secrets(one) for one in facts]


# --- summary ---------------------------------------------------------------------------------------------------


class Story:
    """Entries one second apart, without a disk."""

    def __init__(self) -> None:
        self.entries: list[dict[str, t.Any]] = []

    def tell(self, run_id: str, kind: str, **fields: t.Any) -> Story:
        time = f"2026-11-21T09:00:{len(self.entries):02d}.000Z"
        self.entries.append({"seq": len(self.entries) + 1, "time": time, "run_id": run_id, "kind": kind, **fields})
        return self

    def cutover(self, run_id: str = "c1", end: bool = True) -> Story:
        self.tell(run_id, "run_started", verb="cutover", parameters={"mode": "offline"}, controller={"user": "ops"})
        self.tell(run_id, "phase", phase="load", status="started")
        self.tell(run_id, "phase", phase="load", status="passed", duration_ms=1000, facts={"rows": 5})
        if end:
            self.tell(run_id, "switched", store="postgres")
            self.tell(run_id, "run_ended", outcome="completed", store="postgres", message="done")
        return self


def test_summary_of_nothing() -> None:
    empty = summary([])
    assert empty.pop("entry_count") == 0
    assert empty.pop("schema_used") is False
    assert set(empty) == {
        "closed_since", "live_store", "live_store_since", "open_run", "last_run", "last_cutover", "last_rollback",
        "last_rehearsal", "last_drill", "last_error",
    }  # fmt: skip
    assert set(empty.values()) == {None}


def test_summary_of_a_completed_cutover() -> None:
    found = summary(Story().cutover().entries)
    assert (found["live_store"], found["live_store_since"]) == ("postgres", "2026-11-21T09:00:03.000Z")
    assert found["open_run"] is None and found["last_error"] is None
    run = found["last_cutover"]
    assert found["last_run"] == run
    assert (run["outcome"], run["duration_ms"], run["message"], run["live_store"]) == (
        "completed", 4000, "done", "postgres",
    )  # fmt: skip
    assert run["parameters"] == {"mode": "offline"} and run["controller"] == {"user": "ops"}
    assert run["phases"]["load"]["facts"] == {"rows": 5} and run["phases_passed"] == ["load"]


def test_summary_of_an_interrupted_run_is_what_there_is_to_resume() -> None:
    story = Story().cutover(end=False).tell("c1", "phase", phase="parity", status="started")
    run = summary(story.entries)["open_run"]
    assert (run["run_id"], run["verb"], run["outcome"], run["phases_passed"]) == ("c1", "cutover", None, ["load"])
    assert run["phases"]["parity"]["status"] == "started"


def test_a_phase_that_failed_later_has_not_passed() -> None:
    story = Story().cutover(end=False).tell("c1", "phase", phase="load", status="failed", message="gone")
    found = summary(story.entries)
    assert found["open_run"]["phases_passed"] == [] and found["last_error"]["phase"] == "load"


def test_rollback_makes_sqlite_live_and_the_cutover_stays_the_last_one() -> None:
    story = Story().cutover()
    story.tell("r1", "run_started", verb="rollback").tell("r1", "switched", store="sqlite")
    story.tell("r1", "run_ended", outcome="completed", store="sqlite")
    found = summary(story.entries)
    assert (found["live_store"], found["live_store_since"]) == ("sqlite", "2026-11-21T09:00:06.000Z")
    assert found["last_cutover"]["run_id"] == "c1" and found["last_rollback"]["run_id"] == "r1"


def test_a_cutover_is_closed_until_the_next_switch() -> None:
    story = Story().cutover().tell("x1", "run_started", verb="close")
    assert summary(story.entries)["closed_since"] is None
    story.tell("x1", "run_ended", outcome="refused").tell("x2", "run_started", verb="close")
    assert summary(story.entries)["closed_since"] is None
    story.tell("x2", "run_ended", outcome="completed", store="postgres")
    assert summary(story.entries)["closed_since"] == story.entries[-1]["time"]
    story.tell("r1", "run_started", verb="rollback").tell("r1", "switched", store="sqlite")
    assert summary(story.entries)["closed_since"] is None


def test_rehearsals_and_drills_switch_no_profile() -> None:
    story = Story().tell("h1", "run_started", verb="rehearse").tell("h1", "switched", store="postgres")
    story.tell("h1", "run_ended", outcome="completed", store="postgres")
    story.tell("d1", "run_started", verb="drill").tell("d1", "run_ended", outcome="completed")
    found = summary(story.entries)
    assert found["live_store"] is None
    assert found["last_rehearsal"]["run_id"] == "h1" and found["last_drill"]["run_id"] == "d1"


def test_failures_are_found_with_their_open_checks() -> None:
    checks = [{"name": "rows", "verdict": "failed"}, {"name": "health", "verdict": "passed"}]
    story = Story().cutover(end=False)
    story.tell("c1", "phase", phase="parity", status="failed", checks=checks, message="3 rows differ")
    assert summary(story.entries)["last_error"]["open_checks"] == checks[:1]
    story.tell("c1", "run_ended", outcome="rolled_back", store="sqlite", message="back on SQLite")
    error = summary(story.entries)["last_error"]
    assert (error["phase"], error["outcome"], error["message"]) == ("parity", "rolled_back", "back on SQLite")
    assert summary(story.entries)["last_cutover"] is None and summary(story.entries)["live_store"] == "sqlite"


def test_an_abandoned_run_is_no_error_and_not_open() -> None:
    story = Story().cutover(end=False).tell("c1", "run_ended", outcome="abandoned")
    found = summary(story.entries)
    assert found["open_run"] is None and found["last_error"] is None and found["last_run"]["outcome"] == "abandoned"


def test_entries_before_any_run_are_counted_only() -> None:
    assert summary(Story().tell("x", "note", event="torn_line").entries)["entry_count"] == 1


def test_a_clock_set_back_gives_no_negative_duration() -> None:
    assert milliseconds("2026-11-21T09:00:01.500Z", "2026-11-21T09:00:00.000Z") == 0
    assert milliseconds("2026-11-21T09:00:01.500Z", "2026-11-21T09:00:02.750Z") == 1250


def test_no_key_of_a_summary_hides_behind_a_method() -> None:
    def keys(value: t.Any) -> set[str]:
        if not isinstance(value, dict):
            return set()
        return set(value).union(*(keys(item) for item in value.values()))

    assert not keys(summary(Story().cutover().entries)) & set(dir(dict))


def test_the_schema_counts_as_used_from_catch_up_on_until_it_is_bootstrapped_again():
    def used(*phases: tuple[str, str]) -> bool:
        entries = [{"kind": "run_started", "run_id": "r", "verb": "cutover", "time": "2026-01-01T00:00:00.000Z"}]
        entries += [
            {"kind": "phase", "run_id": "r", "phase": phase, "status": status, "time": "2026-01-01T00:00:01.000Z"}
            for phase, status in phases
        ]
        return summary(entries)["schema_used"]

    boot, begun, done = ("bootstrap", "passed"), ("switch", "started"), ("switch", "passed")
    assert not used()
    assert not used(boot, ("load", "failed"))
    assert used(boot, begun)
    assert used(boot, ("catch_up", "started"))
    assert used(boot, begun, done, ("freeze", "failed"))
    assert not used(boot, begun, done, boot)
