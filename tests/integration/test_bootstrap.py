# SPDX-License-Identifier: GPL-3.0-or-later
"""A schema that somebody else filled, and the two bootstraps that the other tests do not use, each to the end."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from _ansible import Playbook
from _cutover import World, message, new_world, refused, succeeded
from api_client import clean_environment, run_cli

MODULE: dict[str, Any] = {"bootstrap": {"method": "module"}, "owner": "sx_app"}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with new_world(tmp_path_factory.mktemp("bootstrap") / "state", items={"assets_1": 100, "assets_2": 100}) as made:
        yield made


@pytest.fixture(scope="module")
def fresh(world: World) -> dict[str, Any]:
    """The rows of both profiles before anything was done."""
    return {name: world.sqlite_rows(name) for name in ("assets_1", "assets_2")}


@pytest.fixture(scope="module")
def strange(world: World, fresh: dict[str, Any]) -> dict[str, Any]:
    """The schema of assets_2 as somebody else left it: bootstrapped, with one row."""
    folder = world.settings("assets_2").parent
    done = run_cli(
        clean_environment(SX_DB_BACKEND_MODE="POSTGRES_PRIMARY"), "pg-bootstrap", "--source", "assets_2", cwd=folder
    )
    assert done.returncode == 0, done.stderr
    with world.postgres() as cursor:
        cursor.execute("INSERT INTO sx_assets_2.videos (source_id, id, caption) VALUES ('assets_2', 'theirs', 'mine!')")
    return {"rows": world.postgres_rows("sx_assets_2"), "everything": world.everything()}


@pytest.fixture(scope="module")
def refusal(world: World, strange: dict[str, Any]) -> Playbook:
    return world.play("cutover.yml", "assets_2", variables=world.profiles("assets_2", **MODULE))


def test_rows_that_nobody_loaded_are_refused_and_stay(world: World, strange: dict[str, Any], refusal: Playbook) -> None:
    assert world.everything() == strange["everything"]
    refused(
        refusal,
        "Schema sx_assets_2 is not empty: sx_assets_2.videos holds 1 row(s) that nobody loaded",
        "nothing of it was truncated",
        "-e cutover_archive_schema=true",
        "Nothing was changed by this run.",
        "is the live store",
    )
    assert refusal.stats["changed"] == 0
    assert world.backend("assets_2") == "sqlite"


@pytest.fixture(scope="module")
def by_module(world: World, refusal: Playbook) -> Playbook:
    variables = {**world.profiles("assets_2", **MODULE), "cutover_archive_schema": True}
    return succeeded(world.play("cutover.yml", "assets_2", variables=variables))


def test_they_are_kept_under_a_dated_name_when_the_operator_says_so(
    world: World, strange: dict[str, Any], by_module: Playbook
) -> None:
    kept = [name for name in world.schemas() if name != "sx_assets_2"]
    assert len(kept) == 1 and kept[0].startswith("sx_assets_2_kept_")
    assert world.postgres_rows(kept[0]) == strange["rows"]


def test_a_schema_made_by_the_module_serves_the_application(
    world: World, fresh: dict[str, Any], by_module: Playbook
) -> None:
    assert "Profile assets_2 is on PostgreSQL, schema sx_assets_2." in message(by_module)
    assert world.backend("assets_2") == "postgres_primary"
    assert world.postgres_rows("sx_assets_2") == fresh["assets_2"]
    with world.postgres() as cursor:
        cursor.execute("SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname = 'sx_assets_2'")
        assert cursor.fetchall() == [("sx_app",)]


def by_api(world: World, mapped: str) -> dict[str, Any]:
    """Return the variables for the application's own bootstrap by HTTP; its header must name a mapped profile."""
    bootstrap = {
        "method": "api",
        "path": "/admin/bootstrap/schema",
        "headers": {"X-SX-Source-ID": mapped},
        "body": {"source_id": "assets_1"},
    }
    return world.profiles("assets_1", bootstrap=bootstrap)


@pytest.fixture(scope="module")
def wrong_header(world: World, by_module: Playbook) -> Playbook:
    return world.play("cutover.yml", variables=by_api(world, "assets_1"))


def test_a_bootstrap_that_the_application_refuses_ends_on_sqlite(
    world: World, fresh: dict[str, Any], wrong_header: Playbook
) -> None:
    refused(
        wrong_header,
        "stopped in phase bootstrap",
        "No schema mapping",
        "SQLite is live and was not touched. The application serves from it as before.",
        "To try again: ansible-playbook cutover.yml -e source_id=assets_1",
    )
    assert world.backend() == "sqlite"
    assert world.sqlite_rows() == fresh["assets_1"]
    standby = world.description["profiles"]["assets_1"]["standby"]
    assert world.stack.status()[standby["service"]] in ("STOPPED", "EXITED")


def test_a_schema_made_by_the_api_of_the_application(
    world: World, fresh: dict[str, Any], wrong_header: Playbook
) -> None:
    done = succeeded(world.play("cutover.yml", variables=by_api(world, "assets_2")))
    assert "Profile assets_1 is on PostgreSQL, schema sx_assets_1." in message(done)
    assert world.backend() == world.backend("assets_2") == "postgres_primary"
    assert world.postgres_rows() == fresh["assets_1"]
    assert world.postgres_rows("sx_assets_2") == fresh["assets_2"]
