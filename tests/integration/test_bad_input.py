# SPDX-License-Identifier: GPL-3.0-or-later
"""What is refused before anything is touched: every message says what, why and what to do, and nothing has changed.

The refused runs touch nothing, so they all work on one stack, two at a time; each test looks at one of them.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import os
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from _ansible import Playbook
from _cutover import World, holding, new_world, refused
from api_client import free_port

LONG = "x" * 80
NEXT = "To try again: ansible-playbook cutover.yml -e source_id=assets_1"
ON_SQLITE = "Nothing was changed by this run. The settings name SQLite, so SQLite {sqlite} is the live store"
BY_LEDGER = "Nothing was changed by this run. By the ledger this profile was never switched, so SQLite {sqlite} is"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with new_world(tmp_path_factory.mktemp("bad_input") / "state", items=200) as made:
        yield made


class Refusals:
    """The cases: each the arguments of L(World.play), made beside the stack."""

    def __init__(self, world: World, folder: Path, stack: contextlib.ExitStack) -> None:
        self.world = world
        self.folder = folder
        self.stack = stack
        self.secret = "a-wrong-secret-word"
        self.dead_port = free_port()

    def path(self, name: str) -> Path:
        """Return a path in a folder of its own."""
        (self.folder / name).mkdir()
        return self.folder / name / "file"

    def changed(self, **changes: Any) -> dict[str, Any]:
        """Return a run for assets_1 with other values in the inventory."""
        return {"variables": self.world.profiles(**changes)}

    def dsn(self, **parts: str) -> dict[str, Any]:
        """Return a run with other connection strings."""
        dsns = {
            name: self.world.secrets[name].replace(parts["old"], parts["new"])
            for name in ("dsn", "admin_dsn")
            if parts["old"] in self.world.secrets[name]
        }
        return self.changed(postgres={**self.world.profile("assets_1")["postgres"], **dsns})

    def copy_of_sqlite(self, name: str) -> Path:
        """Return a copy of the SQLite file, whole."""
        path = self.path(name)
        with contextlib.closing(self.world.sqlite()) as source, contextlib.closing(sqlite3.connect(path)) as copy:
            source.backup(copy)
        return path

    # The profile

    def no_source_id(self) -> dict[str, Any]:
        return {"source_id": None}

    def unknown(self) -> dict[str, Any]:
        return {"source_id": "assets_9"}

    def statement(self) -> dict[str, Any]:
        return {"source_id": "assets_1; DROP SCHEMA public"}

    def path_upwards(self) -> dict[str, Any]:
        return {"source_id": "../../etc"}

    def empty(self) -> dict[str, Any]:
        return {"source_id": ""}

    def too_long(self) -> dict[str, Any]:
        return {"source_id": LONG, **self.changed(source_id=LONG)}

    def one_schema_for_two(self) -> dict[str, Any]:
        profiles = [self.world.profile("assets_1", source_id="a.b"), self.world.profile("assets_2", source_id="a-b")]
        return {"source_id": "a.b", "variables": {"cutover_profiles": profiles}}

    def serves_another(self) -> dict[str, Any]:
        (instance,) = self.world.profile("assets_1")["instances"]
        return self.changed(instances=[{**instance, "serves": ["assets_1", "assets_2"]}])

    # The settings

    def settings_missing(self) -> dict[str, Any]:
        return self.changed(settings_file=str(self.folder / "nowhere/.env"))

    def settings_unwritable(self) -> dict[str, Any]:
        path = self.path("unwritable")
        path.write_bytes(self.world.settings().read_bytes())
        if os.geteuid() == 0:
            # Nothing but this stops root.
            done = subprocess.run(["chattr", "+i", path], capture_output=True, check=False)
            if done.returncode:
                pytest.skip("this file system has no immutable files, and root may write all others")
            self.stack.callback(subprocess.run, ["chattr", "-i", path], check=True)
        else:
            path.chmod(0o400)
            path.parent.chmod(0o500)
            self.stack.callback(path.parent.chmod, 0o700)
        return self.changed(settings_file=str(path))

    def settings_of_nothing_known(self) -> dict[str, Any]:
        path = self.path("mirror")
        text = self.world.settings().read_text(encoding="utf-8")
        path.write_text(text.replace("MODE=SQLITE", "MODE=POSTGRES_MIRROR"), encoding="utf-8")
        return self.changed(settings_file=str(path))

    # SQLite

    def sqlite_missing(self) -> dict[str, Any]:
        return self.changed(sqlite_path=str(self.folder / "nowhere.db"))

    def sqlite_no_database(self) -> dict[str, Any]:
        path = self.path("no_database")
        path.write_text("source_id,id,caption\n" * 500, encoding="utf-8")
        return self.changed(sqlite_path=str(path))

    def sqlite_truncated(self) -> dict[str, Any]:
        path = self.copy_of_sqlite("truncated")
        os.truncate(path, path.stat().st_size // 2 // 4096 * 4096)
        return self.changed(sqlite_path=str(path))

    def sqlite_locked(self) -> dict[str, Any]:
        path = self.copy_of_sqlite("locked")
        connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        connection.execute("PRAGMA journal_mode = DELETE").fetchall()
        self.stack.enter_context(holding(connection, "BEGIN EXCLUSIVE"))
        return self.changed(sqlite_path=str(path))

    # PostgreSQL

    def postgres_unreachable(self) -> dict[str, Any]:
        port = str(self.world.description["postgres"]["port"])
        return self.dsn(old=f":{port}/", new=f":{self.dead_port}/")

    def postgres_wrong_password(self) -> dict[str, Any]:
        return self.dsn(old=self.world.secrets["admin_password"], new=self.secret)

    def pg_dump_too_old(self) -> dict[str, Any]:
        folder = self.path("old_programs").parent
        for name in ("pg_dump", "pg_restore"):
            script = folder / name
            script.write_text(f"#!/bin/sh\necho '{name} (PostgreSQL) 13.22'\n", encoding="utf-8")
            script.chmod(0o755)
        return self.changed(postgres={**self.world.profile("assets_1")["postgres"], "bin_dir": str(folder)})

    def no_space(self) -> dict[str, Any]:
        folder = self.path("full").parent
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", folder], check=False).returncode:
            pytest.skip("no small file system can be mounted here")
        self.stack.callback(subprocess.run, ["umount", folder], check=True)
        return {"variables": {"cutover_backup_dir": str(folder / "backups")}}


CASES: dict[str, tuple[str, ...]] = {
    "no_source_id": ("No source_id was given", "-e source_id=<id>", "Nothing was changed", "assets_1, assets_2"),
    "unknown": ("source_id 'assets_9' is unknown", "cutover_profiles", "Nothing was changed", "assets_1, assets_2"),
    "statement": ("'assets_1; DROP SCHEMA public' is refused", "only letters, digits", "Nothing was changed"),
    "path_upwards": ("'../../etc' is refused", "only letters, digits", "Nothing was changed"),
    "empty": ("No source_id was given", "-e source_id=<id>", "Nothing was changed"),
    "too_long": (
        f"source_id '{LONG}' (80 characters) is refused",
        "PostgreSQL keeps 63",
        "Nothing was changed by this run",
    ),
    "one_schema_for_two": ("'a.b'", "'a-b'", "sx_a_b", "Nothing was changed by this run"),
    "serves_another": ("NO-GO: instance api-assets_1 also serves assets_2", "an instance of its own", ON_SQLITE, NEXT),
    "settings_missing": ("nowhere/.env", "does not exist", BY_LEDGER, NEXT),
    "settings_unwritable": ("unwritable/file", "cannot be", BY_LEDGER, NEXT),
    "settings_of_nothing_known": ("POSTGRES_MIRROR", "cannot be told from the settings", NEXT),
    "sqlite_missing": ("nowhere.db does not exist", "Check sqlite_path", "Nothing was changed by this run", NEXT),
    "sqlite_no_database": ("is not a SQLite database", "Check sqlite_path", "Nothing was changed by this run", NEXT),
    "sqlite_truncated": ("is truncated", "Restore it", "Nothing was changed by this run", NEXT),
    "sqlite_locked": ("is locked", "another process holds its", "let that writer finish", NEXT),
    "postgres_unreachable": ("PostgreSQL", "refused", ON_SQLITE, NEXT),
    "postgres_wrong_password": ("password authentication failed for user", ON_SQLITE, NEXT),
    "pg_dump_too_old": ("pg_dump", "13.22", "18", "bin_dir", ON_SQLITE, NEXT),
    "no_space": ("space", "backups", ON_SQLITE, NEXT),
}


@pytest.fixture(scope="module")
def runs(
    world: World, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, concurrent.futures.Future[Playbook]]]:
    """Every refused run, under its name, and two more: what there was before all of them and after."""
    made: dict[str, concurrent.futures.Future[Any]] = {}
    with contextlib.ExitStack() as stack, concurrent.futures.ThreadPoolExecutor(2) as pool:
        refusals = Refusals(world, tmp_path_factory.mktemp("refusals"), stack)

        def run(prepare: Callable[[], dict[str, Any]]) -> Playbook:
            return world.play("cutover.yml", **{"source_id": "assets_1", **prepare()})

        before = world.everything()
        for name in CASES:
            made[name] = pool.submit(run, getattr(refusals, name))
        concurrent.futures.wait(made.values())
        after = world.everything()
        for name, state in (("before", before), ("after", after)):
            made[name] = concurrent.futures.Future()
            made[name].set_result(state)
        yield made


@pytest.mark.parametrize("case", CASES)
def test_it_is_refused_with_what_why_and_what_to_do(case: str, world: World, runs: dict[str, Any]) -> None:
    sqlite = world.description["sqlite_path"]
    run = runs[case].result()
    refused(run, *(part.format(sqlite=sqlite) for part in CASES[case]))
    assert run.stats["changed"] == 0
    output = run.process.stdout + run.process.stderr
    for name, secret in {**world.secrets, "given password": "a-wrong-secret-word"}.items():
        assert name == "supervisor_user" or secret not in output, name


def test_nothing_was_changed_by_any_of_them(world: World, runs: dict[str, Any]) -> None:
    assert runs["after"].result() == runs["before"].result()
    assert not (Path(world.description["state_dir"]) / "cutover").exists()


def test_the_service_still_answers_on_sqlite(world: World, runs: dict[str, Any]) -> None:
    assert world.backend("assets_1") == world.backend("assets_2") == "sqlite"
