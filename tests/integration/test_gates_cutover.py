# SPDX-License-Identifier: GPL-3.0-or-later
"""The gates around a real cutover: an open one stops before anything is changed, and is opened by who may say so.

One story in order: each part begins with what the one before it left.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from _ansible import Playbook
from _cutover import HOST, World, message, new_world, refused, succeeded

NOW = datetime.now(UTC)
SAID = {"by": "the release manager", "at": NOW.isoformat()}
WAIVED = [
    {"gate": gate, **SAID, "reason": "rehearsed elsewhere"}
    for gate in ("restore_drill", "migration_dry_run", "import_rehearsal", "rollback_rehearsal")
]
OLD = {"gate": "on_call", "by": "the release manager", "at": (NOW - timedelta(days=30)).isoformat()}
# Two are missing, one is too old.
ATTESTED = [{"gate": "owners", **SAID}, OLD]
OPEN = ("qa_sign_off", "on_call", "runbook_approval")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    variables = {"cutover_attested": ATTESTED, "cutover_waived": WAIVED}
    items = {"assets_1": 60, "assets_2": 20}
    with new_world(tmp_path_factory.mktemp("gates") / "state", variables, items=items) as made:
        yield made


def phase(world: World, name: str, status: str) -> dict[str, Any]:
    found = [entry for entry in world.ledger() if entry.get("phase") == name and entry["status"] == status]
    assert found, f"no phase {name} {status}"
    return found[-1]


def verdicts(entry: dict[str, Any]) -> dict[str, str]:
    return {check["name"]: check["verdict"] for check in entry["checks"]}


def test_check_prints_the_plan_and_says_no_go_without_failing(world: World) -> None:
    before = world.everything()
    dry = succeeded(world.play("cutover.yml", check=True))
    assert world.everything() == before and dry.stats["changed"] == 0 and not world.folder().exists()
    (shown,) = dry.results("Print the gates", HOST)
    lines = shown["msg"]
    assert lines[0].startswith("NO-GO: ") and f"{len(OPEN)} open, 4 waived" in lines[0]
    for gate in OPEN:
        assert [line for line in lines if line.startswith(f"NO-GO  {gate}: ")], lines
    assert [line for line in lines if line.startswith("GO     search_path_sessions: ")], lines
    order = [task["task"].rpartition(" : ")[2] for task in dry.tasks]
    assert order.index("Print the plan") < order.index("Print the gates")


@pytest.fixture(scope="module")
def no_go(world: World) -> tuple[Playbook, dict[str, Any], dict[str, Any]]:
    """A cutover with three gates open, and everything before and after it."""
    before = world.everything()
    run = world.play("cutover.yml", arguments=["-vvv"])
    return run, before, world.everything()


def test_an_open_gate_stops_before_anything_is_changed(no_go: tuple[Playbook, dict[str, Any], dict[str, Any]]) -> None:
    run, before, after = no_go
    assert after == before and run.stats["changed"] == 0
    text = refused(run, "The cutover of assets_1 did not begin. NO-GO: 3 of ", *OPEN, "Nothing was changed.")
    assert "-e attest=qa_sign_off,on_call,runbook_approval -e attested_by=" in text
    assert "it was said 30 days ago, and counts for 7 days" in text
    assert "SQLite is live and was not touched" in text
    assert "ansible-playbook cutover.yml -e source_id=assets_1" in text


def test_the_ledger_has_every_gate_of_a_no_go(
    world: World, no_go: tuple[Playbook, dict[str, Any], dict[str, Any]]
) -> None:
    entry = phase(world, "gates", "failed")
    found = verdicts(entry)
    assert {gate for gate, verdict in found.items() if verdict != "passed"} == set(OPEN)
    assert len(found) >= 15 and "baseline" not in world.phases("started")
    assert [said["gate"] for said in entry["facts"]["waived"]] == [waiver["gate"] for waiver in WAIVED]
    assert world.last_end()["outcome"] == "refused"


def test_the_report_of_a_no_go_names_the_gates_the_live_store_and_the_next_command(
    world: World, no_go: tuple[Playbook, dict[str, Any], dict[str, Any]]
) -> None:
    report = world.report()
    assert report["verdict"] == "refused" and report["chain"]["verified"]
    assert (report["stopped"]["verb"], report["stopped"]["phase"]) == ("cutover", "gates")
    assert {check["name"] for check in report["stopped"]["open_checks"]} == set(OPEN)
    text = message(no_go[0])
    assert report["stopped"]["message"].startswith("NO-GO: 3 of ") and report["stopped"]["message"] in text
    assert report["live"] == {"store": "sqlite", "since": None, "proven": True, "text": "SQLite"}
    assert report["next"]["command"] == "ansible-playbook cutover.yml -e source_id=assets_1"
    assert f"The report: {world.description['state_dir']}/reports/assets_1-{report['run_id']}.html." in text


def test_no_secret_is_told_anywhere(world: World, no_go: tuple[Playbook, dict[str, Any], dict[str, Any]]) -> None:
    output = no_go[0].process.stdout + no_go[0].process.stderr
    ledger = (world.folder() / "ledger.jsonl").read_text(encoding="utf-8")
    for name, secret in world.secrets.items():
        assert name == "supervisor_user" or (secret not in output and secret not in ledger), name


def test_what_is_measured_cannot_be_waived(world: World) -> None:
    waived = {"cutover_waived": [*WAIVED, {"gate": "encoding", **SAID, "reason": "it will do"}]}
    before = world.everything()
    refused(
        world.play("cutover.yml", variables=waived),
        "encoding (failed): it was waived by the release manager, but is measured",
    )
    assert world.everything() == before


@pytest.fixture(scope="module")
def cutover(world: World, no_go: Any) -> Playbook:
    """The same, with what was missing said for this run."""
    said = {"attest": ",".join(OPEN), "attested_by": "the QA lead"}
    return succeeded(world.play("cutover.yml", variables=said))


def test_who_says_so_opens_the_gates(world: World, cutover: Playbook) -> None:
    assert world.backend() == "postgres_primary"
    assert world.phases()[0] == "gates" and world.phases()[-3:] == ["go", "switch", "verify"]
    gates, go = phase(world, "gates", "passed"), phase(world, "go", "passed")
    assert {said["gate"]: said["by"] for said in gates["facts"]["attested"]} == {
        "owners": "the release manager",
        **dict.fromkeys(OPEN, "the QA lead"),
    }
    assert set(verdicts(gates).values()) == {"passed"} == set(verdicts(go).values())
    assert {"backup_of_this_run", "parity", "smoke", "registry", "rollback_candidate"} <= set(verdicts(go))


def test_the_close_names_what_is_open_and_the_ledger_has_the_checklist(world: World, cutover: Playbook) -> None:
    before = world.schemas()
    text = refused(world.play("close.yml"), "is not closed", "rollback_instructions_shared", "Nothing was closed.")
    assert "-e attest=" in text and world.backend() == "postgres_primary" and world.schemas() == before
    found = verdicts(phase(world, "checklist", "failed"))
    assert found["rollback_instructions_shared"] == "not_verified"
    assert {"backend_observed", "reads_validated", "writes_validated", "plugin_validated"} <= set(found)
    assert {found[name] for name in ("backend_observed", "writes_validated", "data", "window")} == {"passed"}
    assert world.last_end()["outcome"] == "refused"
    report = world.report()
    assert (report["stopped"]["verb"], report["stopped"]["phase"]) == ("close", "checklist")
    assert {check["name"] for check in report["stopped"]["open_checks"]} >= {"rollback_instructions_shared"}
    assert (report["verdict"], report["live"]["store"]) == ("completed", "postgres")
    assert report["next"]["command"] == "ansible-playbook close.yml -e source_id=assets_1"


def test_the_checklist_is_closed_by_who_says_so(world: World, cutover: Playbook) -> None:
    said = {"attest": "rollback_instructions_shared,logs_reviewed", "attested_by": "the QA lead"}
    done = succeeded(world.play("close.yml", variables=said))
    assert "is closed" in message(done)
    assert set(verdicts(phase(world, "checklist", "passed")).values()) == {"passed"}
