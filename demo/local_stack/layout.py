# SPDX-License-Identifier: GPL-3.0-or-later
"""Where everything lives below the state folder; nothing is written outside of it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

DEMO_DIR = Path(__file__).resolve().parent.parent
DEFAULT_STATE_DIR = DEMO_DIR.parent / "build" / "demo"


@dataclass(frozen=True)
class Layout:
    """The paths of one stack."""

    state_dir: Path

    @property
    def lock(self) -> Path:
        """Held while a command changes the stack."""
        return self.state_dir / "lock"

    @property
    def description(self) -> Path:
        """stack.json: what runs where, without secrets."""
        return self.state_dir / "stack.json"

    @property
    def secrets(self) -> Path:
        """secrets.json: the passwords (0600)."""
        return self.state_dir / "secrets.json"

    @property
    def sqlite(self) -> Path:
        """The one SQLite file of all profiles."""
        return self.state_dir / "data" / "sx_obsidian.db"

    @property
    def postgres_data(self) -> Path:
        """PostgreSQL's data directory."""
        return self.state_dir / "postgres" / "data"

    @property
    def postgres_ready(self) -> Path:
        """Written once roles and database exist, so that an interrupted set-up is done over."""
        return self.state_dir / "postgres" / "ready"

    @property
    def pgpass(self) -> Path:
        """libpq password file of the three roles."""
        return self.state_dir / "postgres" / "pgpass"

    @property
    def supervisor_config(self) -> Path:
        """supervisord's configuration (0600, it holds the control password)."""
        return self.state_dir / "supervisor" / "supervisord.conf"

    @property
    def supervisor_pid(self) -> Path:
        """supervisord's pid file."""
        return self.state_dir / "supervisor" / "supervisord.pid"

    @property
    def router_config(self) -> Path:
        """HAProxy's configuration, where the stack has a router."""
        return self.state_dir / "router" / "haproxy.cfg"

    @property
    def router_map(self) -> Path:
        """Which instance answers for which profile."""
        return self.state_dir / "router" / "profiles.map"

    @property
    def router_socket(self) -> Path:
        """Where a running HAProxy takes commands."""
        return self.state_dir / "router" / "haproxy.sock"

    @property
    def logs(self) -> Path:
        """Output of supervisord and every program."""
        return self.state_dir / "logs"

    def service_dir(self, service: str) -> Path:
        """Return the working folder of one API process."""
        return self.state_dir / "services" / service

    def create(self) -> None:
        """Create the folders; only their owner may look inside."""
        self.state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        for name in ("data", "postgres", "supervisor", "logs", "services"):
            (self.state_dir / name).mkdir(mode=0o700, exist_ok=True)


def write_private(path: Path, text: str) -> None:
    """Write a file only its owner may read, completely or not at all."""
    temporary = path.with_name(path.name + ".new")
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as handle:
        handle.write(text)
    temporary.replace(path)
