# Copyright (c) 2026, pg_cutover developers
# SPDX-License-Identifier: GPL-3.0-or-later

"""The module through Ansible: files on the control node, nothing else fetched, and what it says when it cannot."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest
from _ansible import ROOT, Playbook, environment, run_playbook
from _report_ledgers import Book

PLAY = """
- name: Report
  hosts: localhost
  gather_facts: false
  tasks:
    - name: Make it
      sxops.pg_cutover.cutover_report: "{{ given }}"
"""


@pytest.fixture
def book(tmp_path: Path) -> Book:
    made = Book(tmp_path / "state")
    made.cutover()
    return made


def make(book: Book, dest: Path, **given: Any) -> dict[str, Any]:
    """Return what the module says."""
    options = given.pop("options", {})
    arguments = {"source_id": "assets_1", "state_dir": str(book.state_dir), "dest": str(dest), **given}
    run: Playbook = run_playbook(PLAY, {"given": arguments}, **options)
    (result,) = run.results("Make it")
    return result


def test_three_files_are_written_once(book: Book, tmp_path: Path) -> None:
    dest = tmp_path / "out" / "reports"
    first = make(book, dest, schema_name="sx_assets_1")
    name = f"assets_1-{book.run_id}"
    assert first["changed"] and first["verdict"] == "completed" and first["live_store"] == "postgres"
    assert sorted(path.name for path in dest.iterdir()) == [f"{name}.html", f"{name}.json", f"{name}.md"]
    assert first["html"] == str(dest / f"{name}.html") and first["run_id"] == book.run_id
    assert first["chain"]["verified"] and first["chain"]["entries"] == len(book.content().splitlines())
    times = {path: path.stat().st_mtime_ns for path in dest.iterdir()}
    again = make(book, dest, schema_name="sx_assets_1")
    assert not again["changed"] and again["written"] == []
    assert {path: path.stat().st_mtime_ns for path in dest.iterdir()} == times
    told = json.loads((dest / f"{name}.json").read_text(encoding="utf-8"))
    assert (told["host"], told["schema"], told["verdict"]) == ("localhost", "sx_assets_1", "completed")
    book.watch()
    later = make(book, dest, formats=["json"], commands={"close": "make close"})
    assert later["written"] == [f"{name}.json"] and later["html"] is None
    assert json.loads((dest / f"{name}.json").read_text(encoding="utf-8"))["next"]["command"] == "make close"


def test_check_mode_says_what_it_would_write(book: Book, tmp_path: Path) -> None:
    result = make(book, tmp_path / "reports", options={"check": True})
    assert result["changed"] and len(result["written"]) == 3
    assert not (tmp_path / "reports").exists()


def test_a_changed_ledger_is_no_failure_and_never_takes_the_place_of_what_was_seen(book: Book, tmp_path: Path) -> None:
    dest = tmp_path / "reports"
    good = make(book, dest)
    seen = Path(good["html"]).read_bytes()
    whole = book.content()
    book.path.write_bytes(whole.replace(b'"replayed":12', b'"replayed":13', 1))
    broken = make(book, dest)
    assert broken["verdict"] == "broken" and not broken["chain"]["verified"]
    assert f"line {broken['chain']['line']} of the ledger" in Path(broken["html"]).read_text(encoding="utf-8")
    assert Path(good["html"]).read_bytes() == seen
    # Lines that are missing at the end leave a chain that holds; the report that saw them tells.
    book.path.write_bytes(b"".join(whole.splitlines(keepends=True)[:-1]))
    cut = make(book, dest)
    assert cut["verdict"] == "broken" and "it is missing" in cut["chain"]["why"]
    assert make(book, tmp_path / "elsewhere")["verdict"] == "open"


@pytest.mark.parametrize(
    ("given", "error", "parts"),
    [
        ({"source_id": "../x"}, "profile_refused", ["'../x'"]),
        ({"source_id": "nobody"}, "ledger", ["nobody/ledger.jsonl cannot be read", "A profile without a run has none"]),
        ({"run_id": "no such run"}, "bad_input", ["'no such run' is refused"]),
        ({"run_id": "other"}, "bad_input", ["Run other is unknown"]),
        ({"dest": "/dev/null/reports"}, "report", ["cannot be written to /dev/null/reports"]),
        ({"formats": ["pdf"]}, None, ["pdf", "html, json, md"]),
    ],
)
def test_what_cannot_be_done_is_said(
    book: Book, tmp_path: Path, given: dict[str, Any], error: str | None, parts: list[str]
) -> None:
    options = {"dest": str(tmp_path / "reports"), **given}
    result = make(book, Path(options.pop("dest")), **options)
    assert result["failed"] and (error is None or result["error"] == error)
    assert all(part in result["msg"] for part in parts), result["msg"]
    assert "Traceback" not in result["msg"] and not (tmp_path / "reports").exists()


def test_the_module_alone_says_that_it_cannot_do_it(tmp_path: Path) -> None:
    code = "from ansible_collections.sxops.pg_cutover.plugins.modules import cutover_report; cutover_report.main()"
    arguments = json.dumps({"ANSIBLE_MODULE_ARGS": {"source_id": "assets_1"}})
    process = subprocess.run(
        [sys.executable, "-c", f"import ansible.module_utils.basic as b; b._ANSIBLE_PROFILE = 'legacy'; {code}"],
        input=arguments,
        capture_output=True,
        text=True,
        env={**os.environ, "TMPDIR": str(tmp_path)},
        check=False,
    )
    assert json.loads(process.stdout)["failed"]
    assert "made on the control node by the action plugin" in process.stdout


def test_the_templates_are_part_of_the_collection(tmp_path: Path) -> None:
    command = ["ansible-galaxy", "collection", "build", "--output-path", str(tmp_path), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True, env=environment(), cwd=tmp_path)
    (archive,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(archive) as content:
        names = set(content.getnames())
    folder = ROOT / "plugins/plugin_utils/report"
    assert {f"plugins/plugin_utils/report/{path.name}" for path in folder.iterdir()} <= names
    assert not any("cutover_reports" in name for name in names)
