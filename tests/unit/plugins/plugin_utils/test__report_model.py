# Copyright (c) 2026, pg_cutover developers
# SPDX-License-Identifier: GPL-3.0-or-later

"""From a ledger to the report: which runs belong together, what they came to, and what is said of a broken one."""

from __future__ import annotations

import hashlib
import json
import pathlib
import typing as t

import pytest
from _report_ledgers import CHECKS, PHASES, Book, window
from ansible_collections.sxops.pg_cutover.plugins.module_utils import _ledger
from ansible_collections.sxops.pg_cutover.plugins.module_utils._errors import BadInput
from ansible_collections.sxops.pg_cutover.plugins.module_utils._ledger_summary import milliseconds
from ansible_collections.sxops.pg_cutover.plugins.plugin_utils import _report_charts, _report_model, _report_pages

FACTS = _report_model.Facts("assets_1", "api-1", "sx_assets_1")


@pytest.fixture
def book(tmp_path: pathlib.Path) -> Book:
    return Book(tmp_path)


def told(book: Book, run_id: str | None = None, **options: t.Any) -> dict[str, t.Any]:
    return _report_model.report(book.content(), FACTS, run_id, **options)


def entries(book: Book) -> list[dict[str, t.Any]]:
    return [json.loads(line) for line in book.content().splitlines()]


def verdicts(checks: list[dict[str, t.Any]]) -> dict[str, str]:
    return {check["name"]: check["verdict"] for check in checks}


# What a story came to


@pytest.mark.parametrize("phase", PHASES)
def test_a_failure_in_any_phase_is_named_with_live_store_and_next_command(book: Book, phase: str) -> None:
    book.cutover(until=phase)
    report = told(book)
    assert report["verdict"] == ("rolled_back" if phase in ("switch", "verify") else "failed")
    assert (report["stopped"]["phase"], report["stopped"]["task"]) == (phase, f"Do {phase}")
    assert report["stopped"]["message"] == f"never right in {phase}"
    assert report["live"]["store"] == "sqlite" and report["live"]["proven"]
    assert report["next"]["command"] == "ansible-playbook cutover.yml -e source_id=assets_1"
    for form in ("html", "md"):
        page = _report_pages.render(report, form)
        assert f"in phase {phase.replace('_', chr(92) + '_') if form == 'md' else phase}" in page
        assert "ansible-playbook cutover.yml -e source_id=assets_1" in page


def test_a_completed_cutover_says_how_to_close_it_and_how_to_go_back(book: Book) -> None:
    book.cutover()
    report = told(book)
    assert report["verdict"] == "completed" and report["stopped"] is None
    assert report["live"]["store"] == "postgres"
    assert report["next"]["command"].startswith("ansible-playbook close.yml")
    assert report["way_back"]["command"].startswith("ansible-playbook rollback.yml")
    assert "the settings name SQLite again" in report["way_back"]["text"]


def test_an_interrupted_cutover_is_open_and_goes_on_by_the_same_command(book: Book) -> None:
    book.begin(mode="online")
    book.phase("baseline")
    book.record(phase="load", status="started")
    report = told(book)
    assert report["verdict"] == "open" and report["stopped"]["phase"] == "load"
    assert report["live"] == {"store": "sqlite", "since": None, "proven": True, "text": "SQLite"}
    assert report["next"]["command"].startswith("ansible-playbook cutover.yml")


def test_a_switch_that_was_cut_short_leaves_the_live_store_unproven(book: Book) -> None:
    book.begin(mode="online")
    book.record(phase="switch", status="started")
    report = told(book)
    assert report["verdict"] == "open" and not report["live"]["proven"]
    assert report["live"]["text"].startswith("not proven")
    assert report["outages"] == []


def test_a_way_back_that_was_not_proven_is_not_called_one(book: Book) -> None:
    book.begin(mode="online")
    book.record(phase="switch", status="started")
    book.record(phase="switch", status="failed", message="no answer")
    book.end("rolled_back", message="no answer")
    report = told(book)
    assert not report["live"]["proven"]
    assert report["next"]["command"].startswith("ansible-playbook rollback.yml")
    assert report["objectives"]["rto_s"] is None


def test_a_failed_rollback_is_run_again(book: Book) -> None:
    book.cutover()
    book.begin("rollback", return_data="replay")
    book.record(phase="switch", status="started")
    book.end("failed", message="PostgreSQL's tables were not to be had", facts={"task": "Go back"})
    report = told(book)
    assert report["verdict"] == "failed"
    assert (report["stopped"]["verb"], report["stopped"]["phase"], report["stopped"]["task"]) == (
        "rollback",
        "switch",
        "Go back",
    )
    assert report["next"]["command"].startswith("ansible-playbook rollback.yml")


def test_a_refused_close_leaves_the_cutover_completed_and_is_told(book: Book) -> None:
    book.cutover()
    book.begin("close")
    book.end("refused", message="3 changed rows of PostgreSQL are not in SQLite")
    report = told(book)
    assert report["verdict"] == "completed"
    assert report["stopped"]["verb"] == "close" and "3 changed rows" in report["stopped"]["message"]
    book.begin("close")
    book.end("completed", store="postgres", message="closed")
    report = told(book)
    assert report["verdict"] == "closed" and report["stopped"] is None
    assert report["way_back"]["command"].startswith("ansible-playbook restore.yml")


# Which runs belong together


def test_a_story_ends_where_the_next_cutover_begins(book: Book) -> None:
    book.cutover()
    first = book.run_id
    book.watch("error_percent")
    book.rollback(automatic=True, trigger="error_percent", trigger_message="6.5 %", fired_at=book.clock())
    book.cutover(until="load")
    second = book.run_id
    book.begin("rehearse")
    rehearsal = book.run_id
    book.end("completed")
    assert [run["verb"] for run in told(book, first)["runs"]] == ["cutover", "watch", "rollback"]
    assert [run["verb"] for run in told(book, second)["runs"]] == ["cutover"]
    assert told(book)["run_id"] == rehearsal and told(book)["runs"][0]["verb"] == "rehearse"
    # Every run of a story leads to the same report.
    watched = told(book, first)["runs"][1]["run_id"]
    assert told(book, watched) == told(book, first)


def test_a_resumed_run_is_one_run_with_two_attempts(book: Book) -> None:
    book.begin(mode="online")
    book.record(phase="load", status="started")
    assert book.begin(mode="online", again=True) == book.run_id
    taken = Book(book.state_dir, book.clock)
    taken.journal = type(book.journal)(
        str(book.state_dir), "assets_1", {"user": "ops", "host": "control-1", "pid": 4712}
    )
    lock = json.loads((book.journal.folder / "lock.json").read_text())
    taken.begin_over(lock["run_id"])
    taken.phase("load")
    taken.end("completed", store="postgres")
    report = told(book)
    assert len(report["runs"]) == 1 and report["runs"][0]["attempts"] == 2
    bars = report["timeline"]["runs"][0]["phases"]
    assert [(drawn["phase"], drawn["status"]) for drawn in bars] == [("load", "interrupted"), ("load", "passed")]


def test_a_run_that_the_ledger_does_not_know_is_refused(book: Book) -> None:
    book.cutover()
    with pytest.raises(BadInput, match="Run other is unknown"):
        told(book, "other")
    with pytest.raises(BadInput, match="nothing to report"):
        _report_model.report(b"", FACTS)


# The measures


def test_the_timeline_counts_from_the_switch_and_names_the_marks_of_the_runbook(book: Book) -> None:
    book.cutover()
    book.watch()
    timeline = told(book)["timeline"]
    marks = {mark["mark"]: mark for mark in timeline["marks"]}
    assert list(marks) == ["T-30m", "T-20m", "T-15m", "T-10m", "T-0", "T+10m", "T+30m"]
    assert marks["T-30m"]["phases"] == ["gates", "baseline", "backup"]
    assert marks["T-0"]["offset_s"] == 0 and marks["T-15m"]["offset_s"] < 0 < marks["T+30m"]["offset_s"]
    bars = timeline["runs"][0]["phases"]
    assert all(0 <= drawn["left_percent"] <= 100 and 0 < drawn["width_percent"] <= 100 for drawn in bars)
    assert [drawn["left_percent"] for drawn in bars] == sorted(drawn["left_percent"] for drawn in bars)
    assert {mark["status"] for mark in told_marks(book, "load")} == {"passed", "failed", "not reached"}


def told_marks(book: Book, phase: str) -> list[dict[str, t.Any]]:
    book.cutover(until=phase)
    return told(book)["timeline"]["marks"]


def test_the_outage_is_the_measured_one_online_and_from_the_freeze_offline(book: Book) -> None:
    book.cutover()
    (online,) = told(book)["outages"]
    assert (online["write_outage_ms"], online["lock_hold_ms"]) == (2310.0, 7.2)
    assert "from the lock to the last instance" in online["how"]
    book.begin(mode="offline")
    book.phase("freeze")
    book.phase("load")
    book.phase("switch", facts={"online": False, "method": "restart"})
    book.record(store="postgres")
    book.end("completed", store="postgres")
    (offline,) = told(book)["outages"]
    first, *_between, last = [entry["time"] for entry in entries(book) if entry.get("phase") in ("freeze", "switch")][
        -4:
    ]
    assert offline["write_outage_ms"] == milliseconds(first, last) > 0
    assert "from the stop of the instances" in offline["how"]


def test_parity_holds_the_tables_and_a_failed_one_as_well(book: Book) -> None:
    book.cutover()
    parity = told(book)["parity"]
    assert parity["verdict"] == "passed" and parity["tables"][0]["table"] == "videos"
    book.begin()
    tables = [
        {
            "table": "videos",
            "verdict": "failed",
            "sqlite_rows": 5,
            "postgres_rows": 4,
            "missing": 1,
            "extra": 0,
            "different": 0,
        }
    ]
    checks = [
        {"name": "rows of videos", "verdict": "failed", "expected": 5, "observed": 4, "message": "id=7 is missing"}
    ]
    book.phase("parity", "failed", facts={"tables": tables}, checks=checks, message="1 row differs")
    book.end("failed", store="sqlite", message="1 row differs")
    report = told(book)
    assert report["parity"]["verdict"] == "failed" and report["parity"]["tables"][0]["missing"] == 1
    assert report["stopped"]["open_checks"][0]["message"] == "id=7 is missing"
    assert "id=7 is missing" in _report_pages.render(report, "html")


def test_an_automatic_rollback_is_judged_from_its_trigger_on(book: Book) -> None:
    book.cutover()
    book.watch("error_percent")
    fired = book.clock()
    book.rollback(automatic=True, trigger="error_percent", trigger_message="6.5 % for 2 min", fired_at=fired)
    report = told(book)
    objectives = report["objectives"]
    proven = next(entry["time"] for entry in reversed(entries(book)) if entry.get("phase") == "verify")
    assert (objectives["applies"], objectives["rto_s"], objectives["rpo_rows"], objectives["rpo_s"]) == (
        "automated",
        milliseconds(fired, proven) / 1000,
        0,
        0,
    )
    limits = {one["name"]: (one["rto_limit_s"], one["rpo_limit_s"]) for one in objectives["scenarios"]}
    assert limits == {
        "emergency": (900, 3600),
        "planned": (3600, 300),
        "emergency_sync": (1800, 300),
        "automated": (600, 3600),
    }
    assert {one["rto"] for one in objectives["scenarios"]} == {"passed"}
    assert report["lessons"]["reason"] == "Trigger error_percent: 6.5 % for 2 min"
    completeness = verdicts(report["rollback"]["completeness"])
    assert completeness["the trigger and its time are recorded"] == "passed"
    assert completeness["smoke checks pass on the rolled-back state"] == "passed"


def test_a_slow_rollback_misses_its_objective(book: Book) -> None:
    book.cutover()
    fired = book.clock()
    book.clock.wait(601)
    book.rollback(automatic=True, trigger="pool", trigger_message="", fired_at=fired)
    met = {one["name"]: one["rto"] for one in told(book)["objectives"]["scenarios"]}
    assert met == {"emergency": "passed", "planned": "passed", "emergency_sync": "passed", "automated": "failed"}


def test_without_postgres_the_loss_is_counted_from_the_last_time_it_was_in_step(book: Book) -> None:
    book.cutover()
    book.watch()
    book.rollback(reachable=False)
    objectives = told(book)["objectives"]
    assert objectives["rpo_rows"] is None and objectives["rpo_s"] > 0
    assert objectives["rpo_text"].startswith("PostgreSQL could not be reached")


def test_nothing_is_ticked_off_that_the_ledger_does_not_tell(book: Book) -> None:
    book.cutover()
    book.rollback()
    lists = told(book)["rollback"]
    completeness, validation = verdicts(lists["completeness"]), verdicts(lists["validation"])
    assert completeness["the trigger and its time are recorded"] == "not_verified"  # nobody said why
    assert completeness["the state of the migrations is verified on the rolled-back store"] == "not_verified"
    assert completeness["the release status is communicated, with this evidence"] == "not_verified"
    assert len(completeness) == 7 and len(validation) == 10
    assert validation["Health check"] == "passed"
    for name in ("Row counts", "Error logs", "Performance", "Scheduled jobs", "Monitoring", "User access"):
        assert validation[name] == "not_verified", name


def test_what_role_verify_asks_of_sqlite_is_found_again(book: Book) -> None:
    book.cutover()
    book.begin("rollback", return_data="replay", reason="customers complain")
    names = ("rows of the profile", "foreign keys of videos", "answers as fast as before the cutover")
    book.phase("verify", checks=[{**CHECKS["verify"][0], "name": name} for name in names])
    book.end("completed", store="sqlite")
    validation = verdicts(told(book)["rollback"]["validation"])
    assert {validation[name] for name in ("Row counts", "Data integrity", "Performance")} == {"passed"}


def test_the_checklist_is_that_of_the_close_where_there_is_one(book: Book) -> None:
    book.cutover()
    report = told(book)
    lines = verdicts(report["checklist"])
    assert lines["the write path is validated"] == "passed"
    assert lines["logs are reviewed for 400/500 anomalies"] == "not_verified"
    # What was attested before the cutover is asked at its close, and told then.
    assert lines["rollback instructions are shared with operators"] == "not_verified"
    book.begin("close")
    asked = [
        {"name": "backend_observed", "verdict": "failed", "expected": 1, "observed": 0, "message": "it says sqlite"}
    ]
    book.phase("checklist", "failed", facts={}, checks=asked, message="not all is checked")
    book.end("refused", message="not all is checked")
    assert verdicts(told(book)["checklist"]) == {"backend_observed": "failed"}


def test_a_waived_gate_is_listed_and_does_not_decide(book: Book) -> None:
    book.cutover()
    gates = told(book)["gates"]
    assert [check["name"] for check in gates["checks"]] == ["backup_verified", "require_tls"]
    assert gates["waived"][0]["gate"] == "restore_drill" and gates["attested"][0]["by"] == "Ada"


def test_the_baseline_stands_beside_what_was_measured_last(book: Book) -> None:
    book.cutover()
    book.watch()
    rows = {row["what"]: (row["baseline"], row["now"]) for row in told(book)["baseline"]["rows"]}
    assert rows["request latency, p95"] == (12.5, 18.0)
    assert rows["5xx of all requests"] == (0.0, 0.0)
    assert rows["connections used"] == (4.1, 6.0)


# The charts


def test_every_chart_has_its_threshold_and_what_fired_is_marked(book: Book) -> None:
    book.cutover()
    book.watch("error_percent")
    charts = {chart["name"]: chart for chart in told(book)["charts"]}
    assert list(charts) == ["errors", "latency", "lag", "connections", "readiness"]
    assert [chart["name"] for chart in charts.values() if chart["fired"]] == ["errors"]
    assert charts["errors"]["highest"] == 6.5 and charts["errors"]["thresholds"][0]["value"] == 1.0
    assert charts["readiness"]["thresholds"][0]["value"] == 80.0
    picture = _report_charts.draw(charts["errors"])
    line, highest = (
        picture["lines"][0],
        min(
            dot["y"]
            for dot in _report_charts.draw({**charts["errors"], "points": charts["errors"]["points"][::2]})["dots"]
        ),
    )
    assert highest < line["y"] < picture["bottom"]  # the curve goes above the threshold
    assert "Trigger error_percent: 1 %, fired." in picture["description"]
    assert [line["trigger"] for line in _report_charts.draw(charts["latency"])["beyond"]] == ["latency_immediate"]


@pytest.mark.parametrize("values", [[], [None, None], [0], [0, 0, 0], [1e-9], [5, None, 7], [1e12, 3]])
def test_any_series_can_be_drawn(values: list[float | None]) -> None:
    points = [{"s": float(place), "time": None, "value": value} for place, value in enumerate(values)]
    known = [value for value in values if value is not None]
    chart = {
        "name": "x",
        "unit": "ms",
        "points": points,
        "thresholds": [],
        "highest": max(known, default=None),
        "lowest": min(known, default=None),
    }
    picture = _report_charts.draw(chart)
    assert picture["path"].count("M") == (2 if values == [5, None, 7] else 1 if known else 0)
    assert all(0 <= dot["y"] <= picture["height"] and 0 <= dot["x"] <= picture["width"] for dot in picture["dots"])


# A ledger that was changed


def value_changed(lines: list[bytes]) -> tuple[list[bytes], int]:
    place = next(at for at, line in enumerate(lines) if b'"parity"' in line and b'"passed"' in line)
    return [*lines[:place], lines[place].replace(b'"missing":0', b'"missing":9', 1), *lines[place + 1 :]], place + 1


def value_changed_with_its_digest(lines: list[bytes]) -> tuple[list[bytes], int]:
    entry = json.loads(lines[5])
    entry["time"] = "2026-11-27T11:00:00.000Z"
    entry["digest"] = _ledger.digest_of(entry)
    text = json.dumps(entry, ensure_ascii=True, separators=(",", ":")).encode()
    return [*lines[:5], text, *lines[6:]], 7  # the next line does not follow it


def line_removed(lines: list[bytes]) -> tuple[list[bytes], int]:
    return [*lines[:9], *lines[10:]], 10


def line_added(lines: list[bytes]) -> tuple[list[bytes], int]:
    return [*lines[:12], lines[11], *lines[12:]], 13


def last_line_cut(lines: list[bytes]) -> tuple[list[bytes], int]:
    return [*lines[:-1], lines[-1][: len(lines[-1]) // 2]], len(lines)


TAMPERING = (value_changed, value_changed_with_its_digest, line_removed, line_added, last_line_cut)


@pytest.mark.parametrize("tamper", TAMPERING)
def test_a_changed_ledger_is_named_by_its_line_in_every_format(book: Book, tamper: t.Callable[..., t.Any]) -> None:
    book.cutover()
    lines, line = tamper(book.content().splitlines())
    end = b"" if tamper is last_line_cut else b"\n"
    report = _report_model.report(b"\n".join(lines) + end, FACTS)
    assert report["verdict"] == "broken" and report["words"] == "Evidence broken"
    assert (report["chain"]["verified"], report["chain"]["line"]) == (False, line)
    assert report["chain"]["entries"] == line - 1
    assert not report["live"]["proven"]
    assert [drawn["phase"] for drawn in report["timeline"]["runs"][0]["phases"]][:2] == [
        "gates",
        "baseline",
    ]  # what is before it
    page, text = _report_pages.render(report, "html"), _report_pages.render(report, "md")
    assert f"The evidence is broken at line {line} of the ledger" in page
    assert f"The evidence is broken at line {line} of the ledger" in text
    assert "Completed" not in page and "Completed" not in text
    assert _report_pages.file_name(report, "html").endswith("-broken.html")


def test_a_ledger_broken_at_its_first_line_still_makes_a_report(book: Book) -> None:
    book.cutover()
    report = _report_model.report(b"x" + book.content(), FACTS)
    assert report["chain"]["line"] == 1 and report["run_id"] is None
    assert all(_report_pages.render(report, form) for form in _report_pages.FORMATS)
    assert _report_pages.file_name(report, "md") == "assets_1-no-run-broken.md"


def anchor(report: dict[str, t.Any]) -> _report_model.Anchor:
    chain = report["chain"]
    return _report_model.Anchor(
        report["run_id"], chain["entries"], chain["first_digest"], chain["last_digest"], "seen.json"
    )


def test_missing_last_lines_are_found_by_what_an_earlier_report_saw(book: Book) -> None:
    book.cutover()
    seen = anchor(told(book))
    whole = book.content()
    cut = b"".join(whole.splitlines(keepends=True)[:-1])
    assert _report_model.report(cut, FACTS)["chain"]["verified"]  # the chain alone cannot know
    chain = _report_model.report(cut, FACTS, anchors=[seen])["chain"]
    assert not chain["verified"] and chain["line"] == seen.entries and "seen.json" in chain["why"]
    assert _report_model.report(whole, FACTS, anchors=[seen])["chain"]["verified"]
    book.watch()
    assert told(book, anchors=[seen])["chain"]["verified"]


def test_a_ledger_written_anew_is_found_and_a_new_one_is_none(book: Book, tmp_path: pathlib.Path) -> None:
    book.cutover()
    seen = anchor(told(book))
    forged, previous = [], _ledger.FIRST_PREVIOUS
    for line in book.content().splitlines():
        entry = {**json.loads(line), "previous": previous}
        entry["controller"] = {"user": "nobody"}
        entry["digest"] = _ledger.digest_of(entry)
        forged.append(json.dumps(entry, ensure_ascii=True, separators=(",", ":")).encode())
        previous = hashlib.sha256(forged[-1]).hexdigest()
    content = b"\n".join(forged) + b"\n"
    assert _ledger.examine(content).fault == ""
    assert "written anew" in _report_model.report(content, FACTS, anchors=[seen])["chain"]["why"]
    other = Book(tmp_path / "other")
    other.cutover(until="load")
    assert told(other, anchors=[seen])["chain"]["verified"]


# The pages


def test_the_same_ledger_makes_the_same_report(book: Book) -> None:
    book.cutover()
    book.watch()
    first, second = told(book), told(book)
    assert [_report_pages.render(first, form) for form in _report_pages.FORMATS] == [
        _report_pages.render(second, form) for form in _report_pages.FORMATS
    ]
    assert json.loads(_report_pages.render(first, "json")) == json.loads(json.dumps(first))


HOSTILE = "<img src=x onerror=alert(1)></script>| `rm` [a](http://x) \n# head & \"quoted\" 'text'"


def test_nothing_that_a_run_says_becomes_an_element_of_the_page(book: Book) -> None:
    book.begin(mode=HOSTILE)
    book.phase(
        "load",
        "failed",
        message=HOSTILE,
        facts={"task": HOSTILE},
        checks=[
            {"name": HOSTILE, "verdict": "failed", "expected": HOSTILE, "observed": {"x": HOSTILE}, "message": HOSTILE}
        ],
    )
    book.end("failed", store="sqlite", message=HOSTILE)
    report = _report_model.report(
        book.content(), _report_model.Facts("assets_1", HOSTILE, HOSTILE, {"cutover": HOSTILE})
    )
    page = _report_pages.render(report, "html")
    assert "<img" not in page and page.count("</script>") == 1 and "&lt;img" in page
    text = _report_pages.render(report, "md")
    outside_code = [part for line in text.splitlines() for part in line.split("`")[::2]]
    assert not any("<img" in part.replace(chr(92) + "<", "") for part in outside_code)
    assert "\n# head" not in text and "[a](http" not in "".join(outside_code).replace(chr(92) + "[a", "")


def test_passwords_are_masked_even_when_a_ledger_holds_one() -> None:
    entry = {
        "seq": 1,
        "time": "2026-11-27T09:30:02.000Z",
        "run_id": "r",
        "kind": "run_started",
        "verb": "cutover",
        "parameters": {"dsn": "postgresql://sx:hunter2@db/sx"},
        "previous": _ledger.FIRST_PREVIOUS,
    }
    entry["digest"] = _ledger.digest_of(entry)
    line = json.dumps(entry, ensure_ascii=True, separators=(",", ":")).encode() + b"\n"
    report = _report_model.report(line, FACTS)
    assert report["chain"]["verified"]
    assert "hunter2" not in "".join(_report_pages.render(report, form) for form in _report_pages.FORMATS)


def test_a_window_in_two_parts_is_one_curve(book: Book) -> None:
    book.cutover()
    book.watch()
    book.watch()
    report = told(book)
    assert len(report["charts"][0]["points"]) == 80
    seconds = [point["s"] for point in report["charts"][0]["points"]]
    assert seconds == sorted(seconds)
    # A part that tells of the samples of the one before it as well adds only its own.
    facts = window(book.clock.now)
    facts["series"] = [*_series_of(book), *facts["series"]]
    book.begin("watch")
    book.phase("window", facts=facts, checks=[])
    book.end("completed")
    assert len(told(book)["charts"][0]["points"]) == 120


def _series_of(book: Book) -> list[dict[str, t.Any]]:
    windows = [
        entry["facts"]["series"] for entry in entries(book) if entry.get("phase") == "window" and "facts" in entry
    ]
    return [sample for series in windows for sample in series]


def test_the_window_stands_where_it_was_watched_not_where_it_was_written_down(book: Book) -> None:
    book.cutover()
    book.watch()
    lane = told(book)["timeline"]["runs"][1]
    (drawn,) = lane["phases"]
    assert drawn["duration_ms"] == 195_000 and lane["started"] == drawn["started"] < told(book)["runs"][1]["started"]
    assert drawn["left_percent"] == 0 and 90 < drawn["width_percent"] <= 100


def test_a_trigger_that_fired_without_a_way_back_asks_for_a_decision(book: Book) -> None:
    book.cutover()
    book.watch("error_percent")
    report = told(book)
    assert (report["verdict"], report["live"]["store"], report["live"]["proven"]) == ("fired", "postgres", True)
    assert "error percent fired" in report["sentence"]
    assert report["next"]["command"] == "ansible-playbook rollback.yml -e source_id=assets_1 -e advise=true"
    assert report["stopped"]["phase"] == "window"


@pytest.mark.parametrize("fired", ["", "latency_scheduled"])
def test_a_watch_that_ends_because_somebody_went_back_does_not_say_that_the_profile_stays(
    book: Book, fired: str
) -> None:
    book.cutover()
    book.rollback(reason="customers complain")
    book.watch(fired, "fence_down")
    report = told(book)
    assert (report["verdict"], report["live"]["store"], report["stopped"]) == ("rolled_back", "sqlite", None)
    assert report["sentence"] == "The profile is back on SQLite."
    assert report["next"]["command"].startswith("ansible-playbook cutover.yml")


def test_a_watch_that_ends_does_not_hide_a_rollback_that_stopped(book: Book) -> None:
    book.cutover()
    book.begin("rollback", return_data="replay")
    book.phase("switch")
    book.record(store="sqlite")
    book.phase("verify", "failed", message="api-1 does not answer")
    book.end("failed", message="api-1 does not answer")
    book.watch(stopped_by="fence_down")
    report = told(book)
    assert (report["verdict"], report["stopped"]["verb"], report["stopped"]["phase"]) == (
        "failed",
        "rollback",
        "verify",
    )
    assert report["next"]["command"].startswith("ansible-playbook rollback.yml")


def test_files_are_written_only_when_they_change_and_are_private(tmp_path: pathlib.Path) -> None:
    folder = tmp_path / "a" / "reports"
    assert _report_pages.write(folder, {"x.md": "1"}, dry_run=True) == ["x.md"] and not folder.exists()
    assert _report_pages.write(folder, {"x.md": "1", "y.md": "2"}, dry_run=False) == ["x.md", "y.md"]
    assert _report_pages.write(folder, {"x.md": "1", "y.md": "3"}, dry_run=False) == ["y.md"]
    assert {path.name: path.read_text() for path in folder.iterdir()} == {"x.md": "1", "y.md": "3"}
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}
