# SPDX-License-Identifier: GPL-3.0-or-later
"""The operator's own hooks, the webhook and the figures in one cutover and its way back, and hooks that fail."""

from __future__ import annotations

import json
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from _ansible import Playbook
from _cutover import HOST, World, new_world, refused, succeeded
from _webhook import Webhook, webhook
from prometheus_client.parser import text_string_to_metric_families

PROGRAM = str(Path(__file__).with_name("_hook_program.py"))
PHASES = [
    "gates", "baseline", "bootstrap", "capture", "backup", "load", "parity", "catch_up", "smoke", "go", "switch",
    "verify",
]  # fmt: skip
SECRET = "S3cret-of-the-hook"
TASKS = """\
- name: Write down what a task file is told
  ansible.builtin.shell: "cat >> {journal}"
  args:
    stdin: "{{{{ {{'told': hook_facts, 'by': 'tasks'}} | to_json }}}}"
  changed_when: true
"""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with new_world(tmp_path_factory.mktemp("hooks") / "state") as found:
        yield found


@pytest.fixture(scope="module")
def journal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("journal") / "hooks.jsonl"


@pytest.fixture(scope="module")
def answering() -> Iterator[Webhook]:
    with webhook() as server:
        yield server


def command(journal: Path, status: int = 0, seconds: float = 0, **more: Any) -> dict[str, Any]:
    return {"command": [sys.executable, PROGRAM, str(journal), str(status), str(seconds)], **more}


def told(journal: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in journal.read_text().splitlines()] if journal.exists() else []


def notes(world: World) -> dict[str, dict[str, Any]]:
    """Return what the ledger says of each hook."""
    found = [entry for entry in world.ledger() if entry["kind"] == "note" and entry["facts"].get("event") == "hook"]
    return {entry["facts"]["hook"]: entry for entry in found}


def variables(world: World, journal: Path, answering: Webhook) -> dict[str, Any]:
    """Return what gives a host a hook at every boundary: one fails, some are task files, one is run elsewhere."""
    folder = journal.parent
    (folder / "tasks.yml").write_text(TASKS.format(journal=journal))
    (folder / "metrics").mkdir(exist_ok=True)
    names = [f"{when}_{phase}" for phase in [*PHASES, "cutover", "rollback"] for when in ("before", "after")]
    hooks = {name: command(journal, environment={"HOOK_SECRET": SECRET, "DEBUG": 1}) for name in names}
    for name in ("before_bootstrap", "after_parity", "after_rollback"):
        hooks[name] = {"tasks": str(folder / "tasks.yml")}
    # That of the profile is laid over it.
    hooks["after_load"] = {"command": ["/nonexistent/of/the/host"]}
    hooks["before_backup"] = {"command": ["/nonexistent/of/the/host"]}
    of_the_profile = {
        "after_backup": command(journal, 3, environment={"HOOK_SECRET": SECRET}),
        "after_load": command(journal, where="controller"),
        "before_backup": {},
    }
    return {
        **world.profiles("assets_1", hooks=of_the_profile),
        "cutover_hooks": hooks,
        "cutover_webhook": {
            "url": f"{answering.url}/in?token={SECRET}",
            "headers": {"Authorization": f"Bearer {SECRET}"},
        },
        "cutover_metrics_dir": str(folder / "metrics"),
    }


@pytest.fixture(scope="module")
def there(world: World, journal: Path, answering: Webhook) -> Playbook:
    return succeeded(world.play("cutover.yml", variables=variables(world, journal, answering), timeout=580))


@pytest.fixture(scope="module")
def cutover_told(there: Playbook, journal: Path) -> list[dict[str, Any]]:
    return told(journal)


@pytest.fixture(scope="module")
def back(
    world: World, there: Playbook, cutover_told: list[dict[str, Any]], journal: Path, answering: Webhook
) -> Playbook:
    return succeeded(world.play("rollback.yml", variables=variables(world, journal, answering)))


def test_hooks_run_at_every_boundary_in_order(cutover_told: list[dict[str, Any]]) -> None:
    wanted = [f"{when}_{phase}" for phase in PHASES for when in ("before", "after")]
    wanted.remove("before_backup")
    assert [found["told"]["hook"] for found in cutover_told] == ["before_cutover", *wanted, "after_cutover"]


def test_a_hook_stands_where_its_name_says(cutover_told: list[dict[str, Any]]) -> None:
    """Before a phase the ledger knows nothing of it, after it that it has passed, and the next one has not begun."""
    commands = {found["told"]["hook"]: found["phases"] for found in cutover_told if "phases" in found}
    assert len(commands) > 15
    for at, phase in enumerate(PHASES):
        if f"before_{phase}" in commands:
            assert not [one for one in commands[f"before_{phase}"] if one.startswith(f"{phase} ")]
        if f"after_{phase}" in commands:
            seen = commands[f"after_{phase}"]
            assert seen[-1] == f"{phase} passed"
            assert seen == [f"{one} {how}" for one in PHASES[: at + 1] for how in ("started", "passed")]


def test_a_hook_is_told_the_facts(world: World, there: Playbook, cutover_told: list[dict[str, Any]]) -> None:
    run_id = next(entry["run_id"] for entry in world.ledger() if entry["kind"] == "run_started")
    for found in cutover_told:
        facts = found["told"]
        assert (facts["source_id"], facts["run_id"], facts["verb"]) == ("assets_1", run_id, "cutover")
        assert (facts["schema"], facts["host"], facts["mode"]) == ("sx_assets_1", HOST, "online")
        assert facts["automatic"] is False
        assert facts["hook"].endswith(f"_{facts['phase']}")
        assert facts["outcome"] == ("" if facts["hook"].startswith("before_") else facts["outcome"]) != "failed"
        if "variables" in found:
            told_so = found["variables"]
            assert told_so["PG_CUTOVER_HOOK"] == facts["hook"] and told_so["PG_CUTOVER_PHASE"] == facts["phase"]
            assert (
                told_so["PG_CUTOVER_LIVE_STORE"] == facts["live_store"] and told_so["PG_CUTOVER_AUTOMATIC"] == "false"
            )
    live = {found["told"]["hook"]: found["told"]["live_store"] for found in cutover_told}
    assert [name for name, store in live.items() if store == "postgres"] == [
        "after_switch", "before_verify", "after_verify", "after_cutover",
    ]  # fmt: skip
    assert set(live.values()) == {"sqlite", "postgres"}
    loaded = [found["told"] for found in cutover_told if found["told"]["hook"] == "after_load"]
    assert loaded[0]["facts"]["rows"] > 400 and loaded[0]["outcome"] == "passed"


def test_no_secret_is_among_what_a_hook_is_told(world: World, cutover_told: list[dict[str, Any]]) -> None:
    text = json.dumps([{**found, "secret": None} for found in cutover_told])
    for name, secret in world.secrets.items():
        assert secret not in text, name
    assert SECRET not in text
    with_one = [found["secret"] for found in cutover_told if found.get("secret")]
    assert len(with_one) > 10 and set(with_one) == {SECRET}


def test_a_failing_after_hook_is_recorded_and_the_run_goes_on(world: World, there: Playbook) -> None:
    found = notes(world)["after_backup"]
    assert found["facts"]["outcome"] == "failed" and found["facts"]["duration_ms"] > 0
    assert "Hook after_backup" in found["message"] and "status 3" in found["message"]
    said = [
        result["msg"]
        for result in there.results("Say that it failed, and that the run goes on", HOST)
        if "msg" in result
    ]
    assert [text for text in said if "Hook after_backup" in text and text.endswith("The run goes on.")]
    assert world.ledger()[-1]["kind"] in ("run_ended", "note") and world.phases()


def test_every_hook_is_in_the_ledger_with_its_duration_its_words_masked_and_cut(world: World, back: Playbook) -> None:
    found = notes(world)
    assert set(found) == {f"{w}_{p}" for p in [*PHASES, "cutover", "rollback"] for w in ("before", "after")} - {
        "before_backup"
    }
    assert {name for name, entry in found.items() if entry["facts"]["outcome"] != "passed"} == {"after_backup"}
    assert {name for name, entry in found.items() if entry["facts"]["kind"] == "tasks"} == {
        "before_bootstrap", "after_parity", "after_rollback",
    }  # fmt: skip
    assert [name for name, entry in found.items() if entry["facts"]["where"] == "controller"] == ["after_load"]
    for entry in found.values():
        assert isinstance(entry["facts"]["duration_ms"], int) and entry["facts"]["duration_ms"] > 0
        if entry["facts"]["kind"] == "command":
            output = entry["facts"]["output"]
            assert "was here, with " in output and len(output) < 2100 and "hunter2" not in output
    assert SECRET not in json.dumps(world.ledger())


def test_hooks_of_a_rollback_are_those_of_the_whole(
    back: Playbook, cutover_told: list[dict[str, Any]], journal: Path
) -> None:
    rest = [found["told"] for found in told(journal)[len(cutover_told) :]]
    assert [facts["hook"] for facts in rest] == ["before_rollback", "after_rollback"]
    assert [facts["live_store"] for facts in rest] == ["postgres", "sqlite"]
    assert [(facts["verb"], facts["outcome"]) for facts in rest] == [("rollback", ""), ("rollback", "completed")]


def test_the_ledger_is_what_it_was_with_a_call_less_for_each_phase(world: World, back: Playbook) -> None:
    """The way back has no hooks inside, so there the start of verify is recorded with the end of switch."""
    entries = world.ledger()
    begun = [at for at, entry in enumerate(entries) if entry["kind"] == "run_started"][-1]
    phases = [f"{entry['phase']} {entry['status']}" for entry in entries[begun:] if entry["kind"] == "phase"]
    assert phases == ["switch started", "switch passed", "verify started", "verify passed"]
    outcomes = [task["outcome"] for task in back.tasks if task["task"].endswith("Record the start of phase verify")]
    assert outcomes == ["skipped"]


# --- the webhook -----------------------------------------------------------------------------------------------


def test_the_webhook_is_told_what_happened(world: World, back: Playbook, answering: Webhook) -> None:
    assert answering.events == ["freeze_announced", "switched", "rolled_back"]
    announced, switched, returned = [found["body"] for found in answering.requests]
    for body in (announced, switched, returned):
        assert (body["source_id"], body["schema"], body["host"]) == ("assets_1", "sx_assets_1", HOST)
        assert body["text"] and body["time"].endswith("Z") and body["run_id"]
    assert announced["mode"] == "online" and "moment" in announced["write_outage"]
    assert [body["live_store"] for body in (announced, switched, returned)] == ["sqlite", "postgres", "sqlite"]
    assert returned["verb"] == "rollback" and returned["outcome"] == "completed" and not returned["automatic"]


def test_the_freeze_is_announced_before_anything_is_changed(world: World, there: Playbook, answering: Webhook) -> None:
    bootstrap = next(e for e in world.ledger() if e.get("phase") == "bootstrap" and e["status"] == "started")
    assert answering.requests[0]["body"]["time"] <= bootstrap["time"]


def test_the_webhook_gets_its_token_and_no_other_secret(world: World, back: Playbook, answering: Webhook) -> None:
    for found in answering.requests:
        assert found["path"] == f"/in?token={SECRET}" and found["headers"]["Authorization"] == f"Bearer {SECRET}"
        assert found["headers"]["Content-Type"] == "application/json" and SECRET not in found["raw"]
        for name, secret in world.secrets.items():
            assert secret not in found["raw"], name


# --- the figures -----------------------------------------------------------------------------------------------


def test_the_figures_are_those_of_the_ledger(world: World, back: Playbook, journal: Path) -> None:
    path = journal.parent / "metrics" / "pg_cutover_assets_1.prom"
    assert stat.S_IMODE(path.stat().st_mode) == 0o644 and [one.name for one in path.parent.iterdir()] == [path.name]
    text = path.read_text()
    found = {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }

    def value(name: str, **labels: str) -> float:
        return found[f"pg_cutover_{name}", tuple(sorted({"source_id": "assets_1", **labels}.items()))]

    entries = world.ledger()
    ends = {entry["run_id"]: entry for entry in entries if entry["kind"] == "run_ended"}
    assert value("live_store", store="sqlite") == 1 and value("live_store", store="postgres") == 0
    for start in (entry for entry in entries if entry["kind"] == "run_started"):
        verb = start["verb"]
        assert value("last_run_outcome", verb=verb, outcome="completed") == 1
        assert value("last_run_outcome", verb=verb, outcome="failed") == 0
        assert value("runs_total", verb=verb, outcome="completed") == 1
        assert value("last_run_duration_seconds", verb=verb) > 0
        passed = [e for e in entries if e["run_id"] == start["run_id"] and e.get("status") == "passed"]
        for entry in passed:
            assert value("phase_duration_seconds", verb=verb, phase=entry["phase"]) == entry["duration_ms"] / 1000
        assert ends[start["run_id"]]["outcome"] == "completed"
    facts = {
        entry["phase"]: entry["facts"] for entry in entries if entry.get("status") == "passed" and "facts" in entry
    }
    (switch,) = [e["facts"] for e in entries if e.get("phase") == "switch" and "steps" in e.get("facts", {})][:1]
    assert value("write_lock_seconds", direction="to_postgres") == switch["lock_hold_ms"] / 1000
    assert (
        value("rows", phase="load") == facts["load"]["rows"]
        and value("rows", phase="parity") == facts["parity"]["rows"]
    )
    assert value("pending_rows", direction="to_sqlite") == 0 and value("lag_seconds") == 0
    assert value("hooks_failed_total", hook="after_backup") == 1
    assert value("report_timestamp_seconds") > value("last_run_timestamp_seconds", verb="rollback")
    assert not [secret for secret in [*world.secrets.values(), SECRET] if secret in text]


# --- refused and failing ---------------------------------------------------------------------------------------


def test_hooks_that_nobody_calls_or_can_run_are_refused_at_the_start(world: World, back: Playbook) -> None:
    before = len(world.ledger())
    hooks: dict[str, Any] = {
        "befor_load": {"command": ["true"]},
        "before_laod": {"command": ["true"]},
        "before_load": {"comand": ["true"]},
        "after_load": {"command": "true"},
        "before_parity": {"command": ["true"], "tasks": "/x.yml"},
        "after_parity": {"tasks": "/nonexistent.yml"},
        "before_smoke": {"command": ["true"], "where": "there"},
        "after_smoke": {"command": ["true"], "timeout": 0},
        "after_verify": {"command": ["true"]},
    }
    text = refused(
        world.play("cutover.yml", variables={"cutover_hooks": hooks}),
        "befor_load is none of the hooks", "before_laod is none of the hooks",
        "before_load says comand, which no hook has",
        "after_load: its command is a list", "before_parity needs either tasks or command",
        "/nonexistent.yml is no file on the control node", "before_smoke: where is host or controller",
        "after_smoke: timeout is a number of seconds", "Nothing was changed",
    )  # fmt: skip
    assert "after_verify is" not in text and "after_verify:" not in text
    assert len(world.ledger()) == before


def test_check_mode_names_the_hooks_and_runs_none(world: World, back: Playbook, journal: Path) -> None:
    before = journal.read_text()
    hooks = {"before_load": command(journal), "after_switch": command(journal, where="controller")}
    run = succeeded(world.play("cutover.yml", variables={"cutover_hooks": hooks}, check=True))
    text = "\n".join(run.results("Print the plan", HOST)[0]["msg"])
    assert f"Hook before_load: {sys.executable}." in text
    assert f"Hook after_switch: {sys.executable} on the control node." in text
    assert journal.read_text() == before


def test_a_failing_before_hook_stops_with_sqlite_live_and_untouched(
    world: World, back: Playbook, journal: Path, answering: Webhook
) -> None:
    rows, heard = world.sqlite_rows(), len(answering.requests)
    hooks = {"before_load": command(journal, 7, environment={"HOOK_SECRET": SECRET})}
    webhook_of = {"url": answering.url, "events": ["failed", "switched"], "where": "host"}
    run = world.play("cutover.yml", variables={"cutover_hooks": hooks, "cutover_webhook": webhook_of})
    text = refused(
        run, "stopped in phase load", f"Hook before_load ({sys.executable}) failed", "status 7", "was not begun: load",
        "SQLite is live and was not touched", "run_hooks=false", "cutover.yml -e source_id=assets_1",
    )  # fmt: skip
    assert SECRET not in text and "hunter2" not in text
    assert world.backend() == "sqlite" and world.sqlite_rows() == rows
    assert "load" not in world.phases("started") and world.phases("failed") == ["load"]
    assert world.last_end()["outcome"] == "failed"
    assert [found["body"]["event"] for found in answering.requests[heard:]] == ["failed"]


def test_a_failing_before_rollback_says_that_nothing_was_begun(world: World, back: Playbook, journal: Path) -> None:
    hooks = {"before_rollback": command(journal, 0, 30, timeout=1)}
    text = refused(
        world.play("rollback.yml", variables={"cutover_hooks": hooks}),
        "rollback of assets_1 did not begin", "took longer than 1 s and was stopped", "run_hooks=false",
    )  # fmt: skip
    assert "Nothing else was changed" in text and world.last_end()["outcome"] == "refused"
    assert not (world.folder() / "lock.json").exists()
    succeeded(world.play("rollback.yml", variables={"cutover_hooks": hooks, "run_hooks": False}))
