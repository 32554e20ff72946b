# SPDX-License-Identifier: GPL-3.0-or-later
"""There and back again, offline, on a real stack: cutover.yml, rollback.yml and status.yml as an operator runs them.

One story in order: each part begins with what the one before it left.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from _ansible import Playbook
from _cutover import DETAILS, HOST, TABLES, Rows, World, details, message, new_world, succeeded

COMMENT = "# kept by the operator: do not touch ;-)\n"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    offline = {"cutover_mode": "offline"}
    with new_world(tmp_path_factory.mktemp("there_and_back") / "state", offline) as made:
        settings = made.settings()
        settings.write_text(COMMENT + settings.read_text(encoding="utf-8"), encoding="utf-8")
        yield made


@pytest.fixture(scope="module")
def fresh(world: World) -> dict[str, Any]:
    """What there was before anything was done."""
    return {
        "rows": world.sqlite_rows(),
        "other rows": world.sqlite_rows("assets_2"),
        "settings": world.settings().read_text(encoding="utf-8"),
        "other settings": world.settings("assets_2").read_bytes(),
        "other pid": world.pid("api-assets_2"),
    }


def line_of(status: Playbook, source_id: str = "assets_1") -> str:
    """Return the profile's line of status.yml."""
    return next(line for line in details(status) if line.startswith(f"{source_id}: "))


# A fresh profile


def test_status_of_a_fresh_profile(world: World, fresh: dict[str, Any]) -> None:
    status = succeeded(world.play("status.yml", None, variables=DETAILS))
    for profile in ("assets_1", "assets_2"):
        line = line_of(status, profile)
        assert "settings name sqlite, instance answers on sqlite, ledger says nothing" in line
        assert line.endswith(f"Next: ansible-playbook cutover.yml -e source_id={profile} --check")
    assert status.stats["changed"] == 0


def test_check_of_a_fresh_profile_prints_the_plan_and_touches_nothing(world: World, fresh: dict[str, Any]) -> None:
    # Somebody has the file open, so there is a log beside it that must not be touched either.
    with contextlib.closing(world.sqlite()) as somebody:
        somebody.execute("UPDATE job_queue SET source_id = source_id")
        before = world.everything()
        assert set(before["sqlite"]) == {"sx_obsidian.db", "sx_obsidian.db-wal"}
        plan = succeeded(world.play("cutover.yml", check=True))
        assert world.everything() == before
    assert plan.stats["changed"] == 0
    printed = plan.results("Print the plan", HOST)[0]["msg"]
    assert printed[0].endswith("to PostgreSQL schema sx_assets_1")
    for table in TABLES:
        assert f"table {table} load {len(fresh['rows'][table])} rows" in printed
    assert f"In all {sum(map(len, fresh['rows'].values()))} rows." in printed
    assert "Settings to change at the switch: SX_DB_BACKEND_MODE." in printed
    assert "Instances to restart: api-assets_1." in printed
    assert printed[1].startswith("Offline, because that is what cutover_mode or the profile says")
    assert not world.folder().exists()
    assert world.backend() == "sqlite"


# The cutover


@pytest.fixture(scope="module")
def cutover(world: World, fresh: dict[str, Any]) -> Playbook:
    return succeeded(world.play("cutover.yml", arguments=["-vvv", "--diff"]))


def test_the_application_answers_from_postgres(world: World, cutover: Playbook) -> None:
    assert world.backend() == "postgres_primary"
    health = world.api().get("/health").json["backend"]
    assert (health["backend"], health["active"], health["schema"]) == ("postgres_primary", True, "sx_assets_1")
    assert "Profile assets_1 is on PostgreSQL, schema sx_assets_1." in message(cutover)
    assert "ansible-playbook rollback.yml -e source_id=assets_1" in message(cutover)


def test_every_row_arrived_and_every_canary_was_put_back(
    world: World, cutover: Playbook, fresh: dict[str, Any]
) -> None:
    assert all(fresh["rows"].values()), "the seed leaves a table empty"
    assert world.postgres_rows() == fresh["rows"]
    assert world.sqlite_rows() == fresh["rows"]
    assert not (world.folder() / "smoke.json").exists()


def test_the_settings_are_flipped_and_nothing_else_in_them(
    world: World, cutover: Playbook, fresh: dict[str, Any]
) -> None:
    flipped = fresh["settings"].replace("SX_DB_BACKEND_MODE=SQLITE", "SX_DB_BACKEND_MODE=POSTGRES_PRIMARY")
    assert flipped != fresh["settings"] and COMMENT in flipped
    assert world.settings().read_text(encoding="utf-8") == flipped


def test_the_standby_is_stopped_and_named_sqlite_again(world: World, cutover: Playbook) -> None:
    standby = world.description["profiles"]["assets_1"]["standby"]
    assert world.stack.status()[standby["service"]] in ("STOPPED", "EXITED")
    assert "SX_DB_BACKEND_MODE=SQLITE\n" in Path(standby["settings_file"]).read_text(encoding="utf-8")


def test_the_other_profile_noticed_nothing(world: World, cutover: Playbook, fresh: dict[str, Any]) -> None:
    assert world.sqlite_rows("assets_2") == fresh["other rows"]
    assert world.settings("assets_2").read_bytes() == fresh["other settings"]
    assert world.pid("api-assets_2") == fresh["other pid"]
    assert world.backend("assets_2") == "sqlite"
    assert world.schemas() == ["sx_assets_1"]


def test_the_ledger_is_a_whole_chain_of_every_phase(world: World, cutover: Playbook) -> None:
    previous = "0" * 64
    for line in (world.folder() / "ledger.jsonl").read_bytes().splitlines():
        entry = json.loads(line)
        assert entry["previous"] == previous
        content = {name: value for name, value in entry.items() if name != "digest"}
        text = json.dumps(content, separators=(",", ":"), sort_keys=True)
        assert entry["digest"] == hashlib.sha256(text.encode()).hexdigest()
        previous = hashlib.sha256(line).hexdigest()
    assert world.phases() == [
        *("gates", "baseline", "freeze", "backup", "bootstrap", "load", "parity", "smoke", "go", "switch", "verify"),
    ]
    assert (world.last_end()["outcome"], world.last_end()["store"]) == ("completed", "postgres")
    checks = [check for entry in world.ledger() for check in entry.get("checks", [])]
    # Offline nothing tells what the application has written since the switch, and what is not known is not passed.
    assert len(checks) > 30
    assert [(check["name"], check["verdict"]) for check in checks if check["verdict"] != "passed"] == [
        ("rows compared", "not_verified")
    ]
    assert not (world.folder() / "lock.json").exists()


def test_the_baseline_is_in_the_ledger(world: World, cutover: Playbook, fresh: dict[str, Any]) -> None:
    (entry,) = [e for e in world.ledger() if e.get("phase") == "baseline" and e["status"] == "passed"]
    found = entry["facts"]
    (health,) = found["health"]
    assert (found["store"], health["instance"], health["ready"]) == ("sqlite", "api-assets_1", True)
    assert health["latency_ms"] > 0
    assert (found["probes"]["count"], found["probes"]["errors"]) == (10, 0)
    assert found["probes"]["latency_ms"]["p95"] > 0
    assert {"requests", "error_percent", "latency_ms"} <= set(found["requests"])
    assert found["requests_span_s"] == 900
    assert {table["table"]: table["rows"] for table in found["tables"]} == {
        name: len(rows) for name, rows in fresh["rows"].items()
    }
    assert 0 < found["connections"]["used"] < found["connections"]["limit"]
    assert found["startup_ms"] > 0
    assert found["stats"]["counts"]["items"] == len(fresh["rows"]["videos"])
    assert [check["name"] for check in entry["checks"]] == ["health", "backend", "request log"]


def test_no_secret_is_told_anywhere(world: World, cutover: Playbook) -> None:
    secrets = {name: value for name, value in world.secrets.items() if name.endswith(("password", "dsn"))}
    assert len(secrets) == 7
    output = cutover.process.stdout + cutover.process.stderr
    assert "TASK" in output and "EXEC" in output, "not the long output"
    results = json.dumps(cutover.tasks)
    state = world.folder().parent
    files = [path for path in state.rglob("*") if path.is_file()]
    names = {path.name for path in files}
    assert {"ledger.jsonl", "manifest.json", "registry.jsonl", "sx_obsidian.db"} <= names
    for name, secret in secrets.items():
        assert secret not in output, name
        assert secret not in results, name
        for path in files:
            assert secret.encode() not in path.read_bytes(), (name, path)


def test_what_was_written_is_for_its_owner_only(world: World, cutover: Playbook) -> None:
    state = world.folder().parent
    wrong = {
        str(path.relative_to(state.parent)): oct(stat.S_IMODE(path.stat().st_mode))
        for path in [state, *state.rglob("*"), *world.settings().parent.glob(".env*")]
        if stat.S_IMODE(path.stat().st_mode) not in ((0o700,) if path.is_dir() else (0o600, 0o400))
    }
    assert wrong == {}


def test_a_second_run_changes_nothing(world: World, cutover: Playbook) -> None:
    before = world.everything()
    again = succeeded(world.play("cutover.yml"))
    after = world.everything()
    # The application writes the row of its profile on every request.
    for state in (before, after):
        state["postgres rows"].pop("public.sources")
    assert again.stats["changed"] == 0
    assert after == before
    assert "Nothing was changed." in message(again) and "rollback.yml" in message(again)
    assert (world.ledger()[-1]["kind"], world.last_end()["outcome"]) == ("run_ended", "completed")


def test_check_of_a_cut_over_profile_touches_nothing(world: World, cutover: Playbook) -> None:
    before = world.everything()
    there = succeeded(world.play("cutover.yml", check=True))
    back = succeeded(world.play("rollback.yml", check=True))
    assert world.everything() == before
    assert there.stats["changed"] == back.stats["changed"] == 0
    assert "the settings name PostgreSQL already" in there.results("Print the plan", HOST)[0]["msg"][0]
    plan = "\n".join(back.results("Print the plan", HOST)[0]["msg"])
    assert "Settings to change: SX_DB_BACKEND_MODE." in plan and "api-assets_1" in plan
    assert world.backend() == "postgres_primary"


def test_status_of_a_cut_over_profile(world: World, cutover: Playbook) -> None:
    status = succeeded(world.play("status.yml", None, variables=DETAILS))
    line = line_of(status)
    assert "settings name postgres, instance answers on postgres, ledger says postgres" in line
    assert f"last cutover {world.last_end()['time']}" in line
    assert line.endswith("Next: ansible-playbook rollback.yml -e source_id=assets_1 brings it back")
    assert "settings name sqlite, instance answers on sqlite" in line_of(status, "assets_2")


# The way back


@pytest.fixture(scope="module")
def written(world: World, cutover: Playbook) -> dict[str, Any]:
    """What was written through the application while PostgreSQL was live: a note, and an item's meta."""
    with world.postgres() as cursor:
        cursor.execute(
            "SELECT id FROM sx_assets_1.videos v WHERE NOT EXISTS"
            " (SELECT 1 FROM sx_assets_1.video_notes n WHERE n.video_id = v.id) ORDER BY id DESC LIMIT 1"
        )
        (item,) = cursor.fetchone()
    answer = world.api().put(f"/items/{item}/note-md", {"markdown": "written on PostgreSQL"})
    assert answer.status == 200, answer.text
    return {"item": item, "rows": world.postgres_rows()}


@pytest.fixture(scope="module")
def rollback(world: World, written: dict[str, Any]) -> Playbook:
    return succeeded(world.play("rollback.yml", arguments=["-vvv", "--diff"]))


def test_rollback_brings_sqlite_back_and_keeps_what_postgres_has(
    world: World, rollback: Playbook, fresh: dict[str, Any], written: dict[str, Any]
) -> None:
    assert world.backend() == "sqlite"
    assert world.settings().read_text(encoding="utf-8") == fresh["settings"]
    assert world.sqlite_rows() == fresh["rows"]
    assert world.postgres_rows() == written["rows"] != fresh["rows"]
    assert not (world.folder() / "lock.json").exists()
    assert world.backend("assets_2") == "sqlite" and world.pid("api-assets_2") == fresh["other pid"]
    for name, secret in world.secrets.items():
        assert name == "supervisor_user" or secret not in rollback.process.stdout + rollback.process.stderr


def test_rollback_names_what_only_postgres_has(world: World, rollback: Playbook, written: dict[str, Any]) -> None:
    said = message(rollback)
    assert "Profile assets_1 is on SQLite: api-assets_1 answered every check." in said
    assert "NOT IN SQLITE: 1 row(s) that only PostgreSQL has" in said
    assert "schema sx_assets_1" in said
    assert "video_notes" in said and written["item"] in said
    assert world.last_end()["message"] in said


def test_status_of_a_rolled_back_profile(world: World, rollback: Playbook) -> None:
    line = line_of(succeeded(world.play("status.yml", variables=DETAILS)))
    assert "settings name sqlite, instance answers on sqlite, ledger says sqlite" in line
    assert f"last rollback {world.last_end()['time']}" in line
    assert line.endswith("Next: ansible-playbook cutover.yml -e source_id=assets_1 --check")


def test_rollback_of_a_profile_on_sqlite_changes_nothing(
    world: World, rollback: Playbook, fresh: dict[str, Any], written: dict[str, Any]
) -> None:
    service = world.pid("api-assets_1")
    again = succeeded(world.play("rollback.yml"))
    assert again.stats["changed"] == 0
    assert world.pid("api-assets_1") == service
    assert world.settings().read_text(encoding="utf-8") == fresh["settings"]
    assert (world.sqlite_rows(), world.postgres_rows()) == (fresh["rows"], written["rows"])


# There once more, killed again and again


@pytest.fixture(scope="module")
def grown(world: World, rollback: Playbook) -> Rows:
    """What SQLite holds when the second cutover begins: somebody wrote to it in the meantime."""
    with contextlib.closing(world.sqlite()) as connection:
        (item,) = connection.execute("SELECT max(id) FROM videos WHERE source_id = 'assets_1'").fetchone()
    assert world.api().put(f"/items/{item}/note-md", {"markdown": "written on SQLite"}).status == 200
    return world.sqlite_rows()


@pytest.fixture(scope="module")
def killed_after_freeze(world: World, grown: Rows) -> str:
    """A second cutover, dead after the phase freeze; the status that was printed then."""
    world.kill_when("cutover.yml", lambda: "freeze" in world.phases(), "phase freeze")
    assert (world.folder() / "lock.json").exists()
    return line_of(succeeded(world.play("status.yml", variables=DETAILS)))


@pytest.fixture(scope="module")
def killed_after_load(world: World, killed_after_freeze: str) -> list[dict[str, Any]]:
    """The same command again, dead after the phase load; the ledger as it stood then."""
    world.kill_when("cutover.yml", lambda: "load" in world.phases(), "phase load")
    return world.ledger()


@pytest.fixture(scope="module")
def killed_after_flip(world: World, killed_after_load: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The same command again, dead after the settings were flipped, before the restart."""
    settings = world.settings()
    world.kill_when("cutover.yml", lambda: "POSTGRES_PRIMARY" in settings.read_text(encoding="utf-8"), "the flip")
    return world.ledger()


@pytest.fixture(scope="module")
def killed_during_verify(world: World, killed_after_flip: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The same command again, dead while a canary stands in the application."""
    journal = world.folder() / "smoke.json"
    world.kill_when("cutover.yml", journal.exists, "a canary")
    return world.ledger()


def test_killed_after_the_freeze_the_profile_stands_still_and_status_says_so(
    world: World, killed_after_freeze: str, grown: Rows
) -> None:
    assert "settings name sqlite, instance does not answer on sqlite" in killed_after_freeze
    assert "open run in phase freeze" in killed_after_freeze
    assert "cutover.yml -e source_id=assets_1" in killed_after_freeze.partition("Next: ")[2]
    assert "rollback.yml -e source_id=assets_1" in killed_after_freeze.partition("Next: ")[2]


def test_the_same_command_takes_over_and_goes_on(
    world: World, killed_after_freeze: str, killed_after_load: list[dict[str, Any]]
) -> None:
    resumed = [entry for entry in killed_after_load if entry.get("event") == "resumed"]
    runs = {entry["run_id"] for entry in killed_after_load[-12:]}
    assert len(resumed) == 1 and len(runs) == 1 and resumed[0]["took_over"] in runs
    # The old schema, with the row that only it has, is aside; it was no obstacle.
    (load,) = [entry for entry in killed_after_load if entry.get("phase") == "load" and entry["run_id"] in runs][1:]
    assert set(load["facts"]["tables"].values()) == {"load"}


def test_killed_after_the_load_equal_rows_are_kept(
    world: World, killed_after_load: list[dict[str, Any]], killed_after_flip: list[dict[str, Any]]
) -> None:
    since = killed_after_flip[len(killed_after_load) :]
    (load,) = [entry for entry in since if entry.get("phase") == "load" and entry["status"] == "passed"]
    assert set(load["facts"]["tables"].values()) == {"keep"}


def test_killed_after_the_flip_nothing_is_loaded_again(
    world: World, killed_after_flip: list[dict[str, Any]], killed_during_verify: list[dict[str, Any]]
) -> None:
    switched = [entry["store"] for entry in killed_after_flip if entry["kind"] == "switched"]
    assert switched[-1] == "sqlite", "killed too late"
    since = killed_during_verify[len(killed_after_flip) :]
    assert {entry["phase"] for entry in since if entry["kind"] == "phase"} == {"switch", "verify"}


def test_killed_during_verify_the_same_command_finishes_and_no_row_is_lost(
    world: World,
    killed_during_verify: list[dict[str, Any]],
    grown: Rows,
    written: dict[str, Any],
    fresh: dict[str, Any],
) -> None:
    assert (world.folder() / "smoke.json").exists()
    finished = succeeded(world.play("cutover.yml"))
    assert "Profile assets_1 is on PostgreSQL" in message(finished)
    assert world.backend() == "postgres_primary"
    assert world.postgres_rows() == world.sqlite_rows() == grown
    assert not (world.folder() / "smoke.json").exists() and not (world.folder() / "lock.json").exists()
    assert (world.last_end()["outcome"], world.last_end()["store"]) == ("completed", "postgres")
    # Exactly one schema was kept aside, with the row that was only there.
    kept = [name for name in world.schemas() if name != "sx_assets_1"]
    assert len(kept) == 1 and re.fullmatch(r"sx_assets_1_kept_\d{8}T\d{6}", kept[0])
    assert world.postgres_rows(kept[0]) == written["rows"]
    assert world.sqlite_rows("assets_2") == fresh["other rows"]
    assert world.pid("api-assets_2") == fresh["other pid"]


# PostgreSQL is down


@pytest.fixture(scope="module")
def postgres_down(world: World, killed_during_verify: list[dict[str, Any]]) -> Iterator[None]:
    world.control("stop", "postgres")
    yield
    world.control("start", "postgres")


def test_status_while_postgres_is_down(world: World, postgres_down: None) -> None:
    line = line_of(succeeded(world.play("status.yml", variables=DETAILS)))
    assert "settings name postgres, instance does not answer on postgres" in line
    assert line.partition("Next: ")[2].startswith("ansible-playbook rollback.yml -e source_id=assets_1")


def test_a_cut_over_profile_with_postgres_down_is_not_called_healthy(world: World, postgres_down: None) -> None:
    again = world.play("cutover.yml")
    assert again.process.returncode != 0
    for part in ("is not healthy", "Nothing was changed by this run", "rollback.yml -e source_id=assets_1"):
        assert part in message(again)


def test_rollback_works_while_postgres_is_down(world: World, postgres_down: None, grown: Rows) -> None:
    done = succeeded(world.play("rollback.yml"))
    assert world.backend() == "sqlite"
    assert world.sqlite_rows() == grown
    said = message(done)
    assert "Profile assets_1 is on SQLite" in said
    assert "Not verified what only PostgreSQL has" in said
    for name, secret in world.secrets.items():
        assert name == "supervisor_user" or secret not in done.process.stdout + done.process.stderr


def test_the_rows_in_postgres_survived_all_of_it(world: World, grown: Rows) -> None:
    world.stack.up()
    assert world.postgres_rows() == grown
    assert world.backend() == "sqlite"
