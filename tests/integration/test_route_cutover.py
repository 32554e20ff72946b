# SPDX-License-Identifier: GPL-3.0-or-later
"""There and back by route: a router sends the profile to a warm instance, and nothing is restarted."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest
from _ansible import Playbook, wait_for
from _cutover import DETAILS, HOST, World, details, message, new_world, refused, succeeded
from _haproxy import require_haproxy
from _writer import Writer
from api_client import Api


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    require_haproxy()
    items = {"assets_1": 100, "assets_2": 40}
    with new_world(tmp_path_factory.mktemp("route") / "s", items=items, router=True) as made:
        yield made


@pytest.fixture(scope="module")
def by_route(world: World) -> dict[str, Any]:
    """The variables that have the first profile switched by route; its instance serves the other one too."""
    router = world.description["router"]
    backends = router["backends"]["assets_1"]
    (instance,) = world.profile("assets_1")["instances"]
    return world.profiles(
        "assets_1",
        switch_method="route",
        instances=[{**instance, "serves": ["assets_1", "assets_2"]}],
        router={
            "socket": router["socket"],
            "map": router["map"],
            "base_url": router["base_url"],
            "sqlite_value": backends["sqlite"],
            "postgres_value": backends["postgres"],
        },
    )


def through(world: World) -> Api:
    api = world.api()
    return Api(world.description["router"]["base_url"], "assets_1", api.folder, {})


def store(world: World) -> str:
    return through(world).get("/items?limit=1").headers["x-sx-backend"]


def processes(world: World) -> dict[str, int | None]:
    return {name: world.pid(name) for name in ("api-assets_1", "api-assets_2", "router")}


@pytest.fixture(scope="module")
def there(world: World, by_route: dict[str, Any]) -> dict[str, Any]:
    before = processes(world)
    planned = succeeded(world.play("cutover.yml", check=True, variables=by_route))
    with contextlib.closing(world.sqlite()) as connection:
        found = connection.execute("SELECT id FROM videos WHERE source_id = 'assets_1' ORDER BY id LIMIT 10").fetchall()
    with Writer(through(world), [item for (item,) in found]).writing() as writer:
        wait_for(lambda: writer.acknowledged, "a write")
        run = world.play("cutover.yml", variables=by_route)
    return {"processes": before, "planned": planned, "run": succeeded(run), "writer": writer}


def test_the_plan_says_that_nothing_is_restarted(there: dict[str, Any]) -> None:
    printed = "\n".join(there["planned"].results("Print the plan", HOST)[0]["msg"])
    assert "is turned to api-assets_1-standby; nothing is restarted." in printed


def test_the_router_leads_to_postgres_and_no_write_is_lost(world: World, there: dict[str, Any]) -> None:
    assert store(world) == "postgres_primary"
    assert processes(world) == there["processes"]
    assert "SX_DB_BACKEND_MODE=SQLITE" in world.settings().read_text(encoding="utf-8")
    assert there["writer"].lost(world.notes("postgres")) == {}


def test_a_second_run_changes_nothing(world: World, there: dict[str, Any], by_route: dict[str, Any]) -> None:
    assert succeeded(world.play("cutover.yml", variables=by_route)).stats["changed"] == 0


def test_an_instance_of_several_profiles_cannot_be_switched_by_restart(world: World, by_route: dict[str, Any]) -> None:
    entries = [{**entry, "switch_method": "restart"} for entry in by_route["cutover_profiles"]]
    run = world.play("cutover.yml", variables={"cutover_profiles": entries})
    refused(run, "NO-GO: instance api-assets_1 also serves assets_2", "or switch it by route")


@pytest.fixture(scope="module")
def back(world: World, there: dict[str, Any], by_route: dict[str, Any]) -> Playbook:
    item = next(iter(there["writer"].acknowledged))
    assert through(world).put(f"/items/{item}/note-md", {"markdown": "written through the router"}).status == 200
    return succeeded(world.play("rollback.yml", variables=by_route))


def test_the_way_back_is_the_same_line_turned_round(world: World, back: Playbook, there: dict[str, Any]) -> None:
    assert store(world) == "sqlite"
    assert processes(world) == there["processes"]
    assert "Profile assets_1 is on SQLite: api-assets_1 answered every check." in message(back)
    assert "written through the router" in world.notes("sqlite").values()


def test_status_of_a_profile_that_is_switched_by_route(world: World, back: Playbook, by_route: dict[str, Any]) -> None:
    done = succeeded(world.play("status.yml", variables={**by_route, **DETAILS}))
    assert "switched by route, instance answers on sqlite" in details(done)[0]
