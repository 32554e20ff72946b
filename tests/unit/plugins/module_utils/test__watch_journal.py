# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a watch keeps on the disk, and what it takes from there to go on."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest
from ansible_collections.sxops.pg_cutover.plugins.module_utils._watch_journal import WatchJournal
from ansible_collections.sxops.pg_cutover.plugins.module_utils._watch_sample import Sample, SamplesError

SINCE, LATER = "2026-11-21T09:31:02.410Z", "2026-11-22T10:00:00.000Z"
SAMPLE = Sample("2026-11-21T09:31:07.410Z", 5.0, "2026-11-21T09:31:02.410000Z", {"api": True})


def begun(path: Path, since: str = SINCE, keeps: bool = True) -> WatchJournal:
    journal = WatchJournal(str(path), since, keeps)
    journal.begin()
    return journal


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "assets_1" / "watch.jsonl"


def test_going_on(path: Path) -> None:
    first = begun(path)
    first.state.positions["/var/log/requests"] = {"offset": 7}
    first.state.shape = {"items": {}}
    first.add(SAMPLE)
    second = begun(path)
    assert second.samples == [SAMPLE]
    assert second.state == first.state
    assert second.sha256() is not None
    assert second.sha256() == first.sha256()


def test_all_of_it_is_for_its_owner_only(path: Path) -> None:
    begun(path).add(SAMPLE)
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert {stat.S_IMODE(found.stat().st_mode) for found in path.parent.iterdir()} == {0o600}
    assert len(list(path.parent.iterdir())) == 2


def test_another_switch_begins_anew_and_what_was_is_put_aside(path: Path) -> None:
    begun(path).add(SAMPLE)
    text = path.read_bytes()
    anew = begun(path, LATER)
    assert (anew.samples, anew.state.shape, anew.state.positions) == ([], None, {})
    assert not path.exists() and (path.parent / "watch-20261121T093102410Z.jsonl").read_bytes() == text


@pytest.mark.parametrize("state", [None, "", "{", "[]", '{"since": 1}'])
def test_samples_of_nobody_knows_which_switch_are_not_judged(path: Path, state: str | None) -> None:
    begun(path).add(SAMPLE)
    beside = Path(f"{path}.state")
    beside.unlink()
    if state is not None:
        beside.write_text(state, "utf-8")
    assert begun(path).samples == []
    assert (path.parent / "watch-unknown.jsonl").exists() or (path.parent / "watch-1.jsonl").exists()


def test_one_that_keeps_nothing_reads_and_writes_nothing(path: Path) -> None:
    reading = begun(path, keeps=False)
    reading.add(SAMPLE)
    assert reading.samples == [SAMPLE] and not path.parent.exists()
    begun(path).add(SAMPLE)
    before = {found: found.read_bytes() for found in path.parent.iterdir()}
    reading = begun(path, keeps=False)
    reading.add(SAMPLE)
    assert reading.samples == [SAMPLE, SAMPLE]
    begun(path, LATER, keeps=False).add(SAMPLE)
    assert {found: found.read_bytes() for found in path.parent.iterdir()} == before


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SamplesError, match=r"file/watch\.jsonl of the watch cannot be written"):
        begun(tmp_path / "file" / "watch.jsonl")


def test_the_state_is_not_written_again_where_nothing_changed(path: Path) -> None:
    journal = begun(path)
    before = Path(f"{path}.state").stat().st_mtime_ns, Path(f"{path}.state").stat().st_ino
    journal.add(SAMPLE)
    assert (Path(f"{path}.state").stat().st_mtime_ns, Path(f"{path}.state").stat().st_ino) == before
    assert json.loads(Path(f"{path}.state").read_text("utf-8"))["since"] == SINCE
