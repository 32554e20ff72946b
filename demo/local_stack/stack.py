# SPDX-License-Identifier: GPL-3.0-or-later
"""The stack as one object: up, seed, down, status."""

from __future__ import annotations

import contextlib
import fcntl
import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from .answering import answers, tail, wait_until_answering, wait_until_routed
from .binaries import postgres_bin_dir
from .cluster import create_cluster, create_roles_and_database, postgres_command, wait_for_postgres
from .description import describe, write_description
from .errors import StackError
from .layout import DEFAULT_STATE_DIR, Layout
from .ports import choose_free_ports, is_free
from .processes import kill, stack_processes, wait_until_gone
from .profiles import (
    DEFAULT_ITEMS,
    DEFAULT_PROFILES,
    POSTGRES_MODE,
    SQLITE_MODE,
    Service,
    item_counts,
    service_names,
    services,
    write_settings,
)
from .router import ROUTER, require_router, router_command, write_router
from .secrets_file import ensure_secrets, write_pgpass
from .seed import seed_database
from .supervisor import Supervisor
from .supervisor_config import api_program, postgres_program, router_program, write_config
from .unprivileged import choose_launcher, launcher_named

START_TIMEOUT = 60.0
STOP_TIMEOUT = 45.0
_NOT_IN_PATHS = frozenset("%;\n")


class Stack:
    """One stack below one folder.

    Args:
        state_dir: Everything the stack writes is below it.
        say: Called with each line of progress.
    """

    def __init__(self, state_dir: Path | str = DEFAULT_STATE_DIR, say: Callable[[str], None] | None = None) -> None:
        self.layout = Layout(Path(state_dir).expanduser().resolve())
        self._say = say or (lambda _line: None)

    def up(
        self,
        items: int | Mapping[str, int] = DEFAULT_ITEMS,
        profiles: Sequence[str] = DEFAULT_PROFILES,
        router: bool = False,
    ) -> bool:
        """Make and start whatever is missing; return whether anything was.

        Args:
            items: Number of items: of the first profile (each other one gets a quarter), or of each by name.
            profiles: The profiles.
            router: Put HAProxy in front, with every standby running behind it in PostgreSQL mode. All three count only
                the first time; a stack keeps what it was made with.
        """
        if set(str(self.layout.state_dir)) & _NOT_IN_PATHS:
            raise StackError(f"supervisord cannot work in {self.layout.state_dir}: no '%' or ';' please")
        self.layout.create()
        with self._locked():
            if self.layout.description.exists():
                description = self.describe()
            else:
                description = self._plan(item_counts(profiles, items), router)
            changed = self._make(description)
            return self._start(description) or changed

    def seed(self) -> dict[str, int]:
        """Replace the SQLite file by a fresh one, stopping the API processes meanwhile; return row counts."""
        description = self.describe()
        with self._locked():
            supervisor = self._supervisor(description)
            stopped = [service.name for service in self._services(description) if supervisor.stop_program(service.name)]
            counts = seed_database(self.layout.sqlite, description["items"])
            for name in stopped:
                supervisor.start_program(name)
            self._await_services(description, supervisor, stopped)
        return counts

    def down(self, purge: bool = False) -> bool:
        """Stop everything and wait until it is gone; return whether anything was running.

        Args:
            purge: Delete the state folder as well.
        """
        if not self.layout.state_dir.exists():
            return False
        with self._locked():
            stopped = self._stop()
            if purge:
                if not self._is_ours():
                    raise StackError(f"{self.layout.state_dir} is not a stack's folder; not deleting it")
                shutil.rmtree(self.layout.state_dir)
        return stopped

    def describe(self) -> dict[str, Any]:
        """Return the content of stack.json."""
        try:
            return dict(json.loads(self.layout.description.read_text(encoding="utf-8")))
        except FileNotFoundError:
            raise StackError(f"no stack in {self.layout.state_dir}: run 'up' first") from None

    def secrets(self) -> dict[str, str]:
        """Return the content of secrets.json."""
        try:
            return dict(json.loads(self.layout.secrets.read_text(encoding="utf-8")))
        except FileNotFoundError:
            raise StackError(f"no stack in {self.layout.state_dir}: run 'up' first") from None

    def status(self) -> dict[str, str]:
        """Return each program's state; C(DOWN) for all of them when the service manager is."""
        description = self.describe()
        states = self._supervisor(description).states()
        names = ["postgres", *(service.name for service in self._services(description))]
        names += [ROUTER] if ROUTER in description else []
        return {name: states.get(name, "DOWN") for name in names}

    def _plan(self, items: dict[str, int], router: bool) -> dict[str, Any]:
        bin_dir = postgres_bin_dir()
        launcher = choose_launcher(bin_dir, self.layout.state_dir)
        if router:
            require_router(self.layout)
        ports = choose_free_ports(
            ["postgres", "supervisor", *([ROUTER] if router else []), *service_names(list(items))]
        )
        # Secrets first: without them the description below would promise a stack that cannot be resumed.
        self.layout.secrets.unlink(missing_ok=True)
        ensure_secrets(self.layout, ports["postgres"])
        description = describe(
            self.layout, ports, items, services(self.layout, list(items), ports), bin_dir, launcher.name
        )
        write_description(self.layout, description)
        return description

    def _make(self, description: Mapping[str, Any]) -> bool:
        changed = False
        ports = description["ports"]
        secrets = ensure_secrets(self.layout, ports["postgres"])
        write_pgpass(self.layout, secrets, ports["postgres"])
        bin_dir = Path(description["postgres"]["bin_dir"])
        launcher = launcher_named(description["postgres"]["launcher"])
        if not self.layout.postgres_ready.exists():
            self._say(f"making the PostgreSQL cluster ({launcher.name})")
            create_cluster(self.layout, bin_dir, launcher, secrets, ports["postgres"])
            changed = True
        if not self.layout.sqlite.exists():
            self._say(f"seeding {self.layout.sqlite}")
            counts = seed_database(self.layout.sqlite, description["items"])
            self._say(f"  {sum(counts.values())} rows in {len(counts)} tables")
            changed = True
        members = self._services(description)
        for service in members:
            mode = POSTGRES_MODE if ROUTER in description and service.is_standby else SQLITE_MODE
            write_settings(self.layout, service, list(description["profiles"]), secrets, mode)
        if not self._supervisor(description).is_up():
            programs = [postgres_program(self.layout, postgres_command(self.layout, bin_dir, launcher))]
            started = self._started(description)
            programs += [api_program(self.layout, service, service.name in started) for service in members]
            if ROUTER in description:
                write_router(self.layout, members, ports)
                programs.append(router_program(self.layout, router_command(self.layout)))
            write_config(self.layout, programs, secrets, ports["supervisor"])
        return changed

    def _start(self, description: Mapping[str, Any]) -> bool:
        changed = False
        supervisor = self._supervisor(description)
        secrets = ensure_secrets(self.layout, description["ports"]["postgres"])
        if not supervisor.is_up():
            self._clear_leftovers()
            self._require_free_ports(description["ports"])
            self._say("starting the service manager")
            supervisor.start(START_TIMEOUT)
            changed = True
        expected = self._started(description)
        missing = [name for name in expected if supervisor.states().get(name) not in ("RUNNING", "STARTING")]
        for name in missing:
            self._say(f"starting {name}")
            supervisor.start_program(name)
        try:
            wait_for_postgres(secrets, partial(supervisor.state, "postgres"), START_TIMEOUT)
        except StackError as error:
            raise StackError(f"{error}\n{tail(self.layout.logs / 'postgres.log')}") from error
        create_roles_and_database(self.layout, secrets)
        self._await_services(description, supervisor, expected)
        if ROUTER in description:
            log = self.layout.logs / f"{ROUTER}.log"
            for profile in description["items"]:
                wait_until_routed(description[ROUTER]["base_url"], profile, log, START_TIMEOUT)
        return changed or bool(missing)

    def _await_services(self, description: Mapping[str, Any], supervisor: Supervisor, names: Sequence[str]) -> None:
        for service in self._services(description):
            if service.name in names:
                log = self.layout.logs / f"{service.name}.log"
                wait_until_answering(service, log, partial(supervisor.state, service.name), START_TIMEOUT)
        supervisor.wait_until_settled(START_TIMEOUT)

    def answering(self) -> dict[str, bool]:
        """Return for each API process whether it answers."""
        return {service.name: answers(service) for service in self._services(self.describe())}

    def _stop(self) -> bool:
        pids = set(stack_processes(self.layout.state_dir))
        if self.layout.description.exists() and self.layout.secrets.exists():
            supervisor = self._supervisor(self.describe())
            if supervisor.is_up():
                self._say("stopping everything")
                pids.update(supervisor.pids())
                supervisor.shut_down()
                wait_until_gone(pids, STOP_TIMEOUT)
        self._clear_leftovers()
        return bool(pids)

    def _clear_leftovers(self) -> None:
        """End what a killed supervisord left behind; PostgreSQL's own processes follow their parent."""
        left = stack_processes(self.layout.state_dir)
        if left:
            self._say(f"ending leftover processes: {', '.join(map(str, left))}")
            kill(left)
            stubborn = wait_until_gone(left, 10)
            if stubborn:
                raise StackError(f"processes that do not end: {stubborn}")

    def _require_free_ports(self, ports: Mapping[str, int]) -> None:
        taken = [f"{name} {port}" for name, port in ports.items() if not is_free(port)]
        if taken:
            raise StackError(
                f"ports of this stack are in use by something else: {', '.join(taken)}. Free them, or start"
                " over with 'down --purge' and 'up'."
            )

    def _supervisor(self, description: Mapping[str, Any]) -> Supervisor:
        ports = description["ports"]
        return Supervisor(self.layout, ensure_secrets(self.layout, ports["postgres"]), ports["supervisor"])

    def _started(self, description: Mapping[str, Any]) -> list[str]:
        """Return the programs that run without being asked for."""
        routed = ROUTER in description
        members = [s.name for s in self._services(description) if routed or not s.is_standby]
        return ["postgres", *members, *([ROUTER] if routed else [])]

    def _services(self, description: Mapping[str, Any]) -> list[Service]:
        return services(self.layout, list(description["items"]), description["ports"])

    def _is_ours(self) -> bool:
        files = {"lock", "stack.json", "secrets.json", "stack.json.new", "secrets.json.new"}
        # "cutover" and "reports" are where the demo inventory lets the collection keep what it writes.
        folders = {"data", "postgres", "supervisor", "logs", "services", "router", "cutover", "reports"}
        return {entry.name for entry in self.layout.state_dir.iterdir()} <= files | folders

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        with self.layout.lock.open("w", encoding="ascii") as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise StackError(f"another command is working on {self.layout.state_dir}") from None
            yield
