# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Figures for Prometheus, read back by its own parser."""

from __future__ import annotations

import pathlib
import re
import stat
import typing as t

import pytest
from ansible_collections.sxops.pg_cutover.plugins.module_utils import _run_journal
from ansible_collections.sxops.pg_cutover.plugins.module_utils._errors import MetricsError
from ansible_collections.sxops.pg_cutover.plugins.module_utils._prometheus_text import COUNTER, Family, put, render
from ansible_collections.sxops.pg_cutover.plugins.module_utils._run_metrics import families_of, seconds
from prometheus_client.parser import text_string_to_metric_families

Entries = list[dict[str, t.Any]]
STANDING = {
    "live_store": "postgres", "pending_to_postgres": 0, "pending_to_sqlite": 4, "lag_seconds": 1.5,
    "postgres_reachable": True,
}  # fmt: skip


@pytest.fixture
def entries(tmp_path: pathlib.Path) -> Entries:
    """A cutover, its window in which two triggers fired, a hook that failed, and a rollback that goes on."""
    mine = _run_journal.Journal(str(tmp_path), "assets_1", {"pid": 1})
    run_id = str(_run_journal.begin(mine, "cutover").run_id)
    for phase, facts in (("load", {"rows": 7}), ("switch", {"lock_hold_ms": 7.25, "write_outage_ms": 1500})):
        _run_journal.record(mine, run_id, {"phase": phase, "status": "started"})
        _run_journal.record(mine, run_id, {"phase": phase, "status": "passed", "facts": facts})
    hook = {"event": "hook", "hook": "after_load", "outcome": "failed"}
    _run_journal.record(mine, run_id, {"message": "Hook after_load failed.", "facts": hook})
    _run_journal.record(mine, run_id, {"store": "postgres"})
    _run_journal.end(mine, run_id, {"outcome": "completed", "store": "postgres"})
    watch = str(_run_journal.begin(mine, "watch").run_id)
    _run_journal.record(mine, watch, {"phase": "window", "status": "started"})
    fired = {"fired": ["error_ratio", "pool"]}
    _run_journal.record(mine, watch, {"phase": "window", "status": "failed", "facts": fired})
    _run_journal.end(mine, watch, {"outcome": "failed"})
    _run_journal.begin(mine, "rollback")
    return _run_journal.read(mine).entries


def values(text: str) -> dict[tuple[t.Any, ...], float]:
    """Return what Prometheus reads, by name and by labels without the profile."""
    return {
        (sample.name, *sorted(value for name, value in sample.labels.items() if name != "source_id")): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_the_figures_are_those_of_the_ledger_and_of_the_stores(entries: Entries) -> None:
    found = values(render(families_of("assets_1", entries, STANDING, 1764244800.25)))
    cutover = next(entry for entry in entries if entry["kind"] == "run_ended")
    assert found["pg_cutover_live_store", "postgres"] == 1 and found["pg_cutover_live_store", "sqlite"] == 0
    assert found["pg_cutover_last_run_timestamp_seconds", "cutover"] == seconds(cutover["time"])
    assert found["pg_cutover_last_run_outcome", "completed", "cutover"] == 1
    assert found["pg_cutover_last_run_outcome", "failed", "watch"] == 1
    assert found["pg_cutover_runs_total", "completed", "cutover"] == 1
    assert ("pg_cutover_last_run_timestamp_seconds", "rollback") not in found and found["pg_cutover_run_open",] == 1
    for entry in entries:
        if entry.get("status") == "passed":
            labels = sorted(("cutover", entry["phase"]))
            assert found[("pg_cutover_phase_duration_seconds", *labels)] == entry["duration_ms"] / 1000
    assert found["pg_cutover_phase_passed", "watch", "window"] == 0
    assert found["pg_cutover_write_lock_seconds", "to_postgres"] == 0.00725
    assert found["pg_cutover_write_outage_seconds", "to_postgres"] == 1.5
    assert found["pg_cutover_rows", "load"] == 7
    assert found["pg_cutover_pending_rows", "to_sqlite"] == 4 and found["pg_cutover_lag_seconds",] == 1.5
    assert found["pg_cutover_triggers_fired_total", "error_ratio"] == 1
    assert found["pg_cutover_hooks_failed_total", "after_load"] == 1
    assert found["pg_cutover_report_timestamp_seconds",] == 1764244800.25


def test_names_are_those_that_prometheus_asks_for(entries: Entries) -> None:
    for family in families_of("assets_1", entries, STANDING, 1.0):
        assert re.fullmatch(r"pg_cutover_[a-z_]+", family.name) and family.meaning.endswith(".")
        assert family.name.endswith("_total") == (family.kind == COUNTER)
        assert not re.search(r"_(ms|milliseconds|minutes|percent)\b", family.name)
        assert all(labels["source_id"] == "assets_1" for labels, _value in family.samples)


def test_what_is_not_known_has_no_value() -> None:
    found = values(render(families_of("assets_1", [], {}, 1.0)))
    assert set(found) == {
        ("pg_cutover_live_store", "sqlite"), ("pg_cutover_live_store", "postgres"), ("pg_cutover_run_open",),
        ("pg_cutover_report_timestamp_seconds",),
    }  # fmt: skip
    assert found["pg_cutover_live_store", "sqlite"] == 1


@pytest.mark.parametrize(("told", "live"), [("none", (0, 0)), ("both", (1, 1)), ("unfenced", (1, 0))])
def test_a_switch_that_is_half_done_is_seen(told: str, live: tuple[int, int]) -> None:
    found = values(render(families_of("assets_1", [], {**STANDING, "live_store": told}, 1.0)))
    assert (found["pg_cutover_live_store", "sqlite"], found["pg_cutover_live_store", "postgres"]) == live


def test_labels_and_meanings_are_escaped() -> None:
    odd = 'a"b\\c\nd'
    family = Family("x_total", COUNTER, "A line\nand \\ another.")
    family.add(2.5, label=odd)
    (read,) = text_string_to_metric_families(render([family]))
    assert read.samples[0].labels == {"label": odd} and read.samples[0].value == 2.5
    assert read.documentation == "A line\nand \\ another."


def test_the_file_is_put_in_place_as_a_whole_for_others_to_read(tmp_path: pathlib.Path) -> None:
    target = tmp_path / "p.prom"
    target.write_text("old")
    target.chmod(0o600)
    before = target.stat().st_ino
    assert put(tmp_path, "p.prom", "new\n") == target
    assert target.read_text() == "new\n" and stat.S_IMODE(target.stat().st_mode) == 0o644
    assert target.stat().st_ino != before and [path.name for path in tmp_path.iterdir()] == ["p.prom"]


def test_a_folder_that_is_not_there_is_no_mystery(tmp_path: pathlib.Path) -> None:
    with pytest.raises(MetricsError, match=r"No such file or directory.*cutover_metrics_dir"):
        put(tmp_path / "missing", "p.prom", "x")
