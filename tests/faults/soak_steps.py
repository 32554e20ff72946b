# SPDX-License-Identifier: GPL-3.0-or-later
"""The steps of one round of the soak: the modules in the order of the playbooks, without the playbooks around them."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import psycopg2
from local_stack.answering import ask
from psycopg2 import sql

from .modules import StepFailed, run_command, run_module

RESTART, ROUTE = "restart", "route"
METHODS = (ROUTE, RESTART)
_MODES = {"sqlite": "SQLITE", "postgres": "POSTGRES_PRIMARY"}
_DEMO = Path(__file__).resolve().parents[2] / "demo"
_SHARED = [{"name": "sources", "target": "public.sources", "key": "id", "columns": ["id", "label", "enabled"]}]


@dataclass(frozen=True)
class Switched:
    """A switch that has been made.

    Attributes:
        began: When it was started, in seconds of the monotonic clock.
        ended: When the traffic of the profile had been sent to the other store.
        lock_hold_ms: How long the live store was locked.
        attempts: How often the lock was tried for.
    """

    began: float
    ended: float
    lock_hold_ms: float
    attempts: int


class Steps(Protocol):
    """What a soak does in each round, while the load goes on."""

    def cut_over(self, profile: str) -> Switched:
        """Bring the profile into PostgreSQL."""

    def watch(self, profile: str) -> None:
        """Bring what was written there back into SQLite, as during the stabilization window."""

    def roll_back(self, profile: str) -> Switched:
        """Bring the profile back."""

    def clean_up(self, profile: str) -> None:
        """Take everything away that the next round would trip over."""


class ModuleSteps:
    """The steps as modules on a local stack.

    Args:
        description: That of the stack.
        secrets: Its passwords.
        method: L(ROUTE) or L(RESTART).
        folder: For snapshots.
    """

    def __init__(self, description: Mapping[str, Any], secrets: Mapping[str, str], method: str, folder: Path) -> None:
        self._stack, self._secrets, self._method, self._folder = description, secrets, method, folder

    def cut_over(self, profile: str) -> Switched:
        """Bring the profile into PostgreSQL."""
        self._tenant("change_capture", profile, side="sqlite", state="present")
        snapshot = run_module(
            "sqlite_backup", sqlite_path=self._stack["sqlite_path"], dest=str(self._folder), source_id=profile
        )["snapshot"]
        self._bootstrap(profile)
        at = {"sqlite_path": snapshot["path"]}
        self._tenant("tenant_load", profile, snapshot_sha256=snapshot["sha256"], **at)
        self._tenant("tenant_parity", profile, **at)
        self._tenant(
            "tenant_replay",
            profile,
            direction="to_postgres",
            snapshot_path=snapshot["path"],
            snapshot_sha256=snapshot["sha256"],
            proven=True,
            max_lag=200,
            timeout=60,
        )
        if self._method == ROUTE:
            self._ask_standby(profile)
        return self._switch(profile, "postgres")

    def watch(self, profile: str) -> None:
        """Drain the return path once."""
        self._tenant("tenant_replay", profile, direction="to_sqlite", max_lag=200, timeout=60)

    def roll_back(self, profile: str) -> Switched:
        """Bring the profile back without losing a write."""
        return self._switch(profile, "sqlite")

    def clean_up(self, profile: str) -> None:
        """Remove capture from both stores, the tenant schema and the snapshots."""
        self._tenant("tenant_switch", profile, state="closed")
        self._tenant("tenant_schema", profile, state="archived", archive_suffix="kept")
        self._drop_schema(f"sx_{profile}_kept")
        shutil.rmtree(self._folder, ignore_errors=True)

    def _switch(self, profile: str, store: str) -> Switched:
        route = {"route": self._route(profile, store)} if self._method == ROUTE else {}
        began = time.monotonic()
        done = self._tenant("tenant_switch", profile, store=store, **route)
        if done["live_store"] != store:
            raise StepFailed(f"tenant_switch: {done['live_store']} is live, not {store}")
        if self._method == RESTART:
            self._restart(profile, store)
        return Switched(began, time.monotonic(), float(done["lock_hold_ms"]), int(done["attempts"]))

    def _ask_standby(self, profile: str) -> None:
        """Ask the instance that the profile will be sent to, as the canary of a cutover does."""
        url = self._stack["profiles"][profile]["standby"]["base_url"]
        said = ask(url, "/items?limit=1", profile)
        if not said.startswith("200"):
            raise StepFailed(f"the standby of {profile} answers {said}")

    def _route(self, profile: str, store: str) -> dict[str, str]:
        router = self._stack["router"]
        value = router["backends"][profile][store]
        return {"socket": router["socket"], "map": router["map"], "key": profile, "value": value}

    def _restart(self, profile: str, store: str) -> None:
        described = self._stack["profiles"][profile]
        settings = {"SX_DB_BACKEND_MODE": _MODES[store]}
        run_module("runtime_mode", path=described["settings_file"], store=store, settings=settings, backup=False)
        run_command([*self._stack["supervisor"]["supervisorctl"], "restart", described["service"]])

    def _bootstrap(self, profile: str) -> None:
        run_command(
            [self._stack["python"], "-m", "reference_api", "pg-bootstrap", "--source", profile],
            cwd=Path(self._stack["profiles"][profile]["standby"]["settings_file"]).parent,
            env={**os.environ, "PYTHONPATH": str(_DEMO), "SX_DB_BACKEND_MODE": _MODES["postgres"]},
        )

    def _tenant(self, module: str, profile: str, **options: Any) -> dict[str, Any]:
        common: dict[str, Any] = {"source_id": profile, "dsn": self._secrets["admin_dsn"]}
        if module != "tenant_schema":
            common |= {"sqlite_path": self._stack["sqlite_path"], "shared_tables": _SHARED}
        return run_module(module, **{**common, **options})

    def _drop_schema(self, schema: str) -> None:
        # A hundred of them would only make everything slower.
        connection = psycopg2.connect(self._secrets["admin_dsn"])
        try:
            with connection, connection.cursor() as cursor:
                cursor.execute(sql.SQL("DROP SCHEMA {} CASCADE").format(sql.Identifier(schema)))
        finally:
            connection.close()
