# SPDX-License-Identifier: GPL-3.0-or-later
"""Start, ask and stop supervisord."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import xmlrpc.client
from typing import Any

from supervisor.xmlrpc import Faults

from .errors import StackError
from .layout import Layout
from .secrets_file import Secrets

# The environment wins over the settings files: what the caller has set must not reach the services.
_KEPT_OUT = ("SX_", "DB_READ_ONLY", "PG")
_RUNNING = ("RUNNING", "STARTING", "BACKOFF")


class Supervisor:
    """The service manager of one stack."""

    def __init__(self, layout: Layout, secrets: Secrets, port: int) -> None:
        self._layout = layout
        url = f"http://{secrets.supervisor_user}:{secrets.supervisor_password}@127.0.0.1:{port}/RPC2"
        self._rpc: Any = xmlrpc.client.ServerProxy(url).supervisor

    def is_up(self) -> bool:
        """Tell whether our supervisord answers (another stack's would refuse the password)."""
        try:
            return str(self._rpc.getState()["statename"]) == "RUNNING"
        except (OSError, xmlrpc.client.Error):
            return False

    def start(self, timeout: float) -> None:
        """Start supervisord in the background; it starts the programs."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith(_KEPT_OUT)}
        environment["PYTHONDONTWRITEBYTECODE"] = "1"
        done = subprocess.run(
            [sys.executable, "-m", "supervisor.supervisord", "-c", str(self._layout.supervisor_config)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=environment,
            cwd=self._layout.state_dir,
            timeout=timeout,
            check=False,
        )
        if done.returncode != 0:
            raise StackError(f"supervisord did not start: {done.stdout.strip()}")
        deadline = time.monotonic() + timeout
        while not self.is_up():
            if time.monotonic() > deadline:
                raise StackError(f"supervisord does not answer; see {self._layout.logs / 'supervisord.log'}")
            time.sleep(0.05)

    def states(self) -> dict[str, str]:
        """Return each program's state; nothing when supervisord is down."""
        return {name: str(info["statename"]) for name, info in self._infos().items()}

    def state(self, name: str) -> str:
        """Return one program's state; C(DOWN) when supervisord is."""
        return self.states().get(name, "DOWN")

    def wait_until_settled(self, timeout: float) -> None:
        """Wait until no program is on its way up, so that the next command finds them as they are."""
        deadline = time.monotonic() + timeout
        while "STARTING" in self.states().values() and time.monotonic() < deadline:
            time.sleep(0.05)

    def pids(self) -> list[int]:
        """Return the pids of supervisord and of the programs that run."""
        found = [int(info["pid"]) for info in self._infos().values() if info["pid"]]
        if self._layout.supervisor_pid.exists():
            text = self._layout.supervisor_pid.read_text(encoding="ascii").strip()
            found += [int(text)] if text.isdigit() else []
        return found

    def start_program(self, name: str) -> None:
        """Start a program unless it runs; do not wait for it."""
        if self.states().get(name) not in _RUNNING:
            try:
                self._rpc.startProcess(name, False)
            except xmlrpc.client.Fault as fault:
                # supervisord's own autostart may have been quicker.
                if fault.faultCode != Faults.ALREADY_STARTED:
                    raise

    def stop_program(self, name: str) -> bool:
        """Stop a program and wait for it; return whether it had been running."""
        if self.states().get(name) not in _RUNNING:
            return False
        self._rpc.stopProcess(name, True)
        return True

    def shut_down(self) -> None:
        """Stop every program, then supervisord; returns at once."""
        self._rpc.shutdown()

    def _infos(self) -> dict[str, Any]:
        try:
            return {str(info["name"]): info for info in self._rpc.getAllProcessInfo()}
        except (OSError, xmlrpc.client.Error):
            return {}
