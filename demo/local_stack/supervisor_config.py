# SPDX-License-Identifier: GPL-3.0-or-later
"""supervisord's configuration file."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from .layout import DEMO_DIR, Layout, write_private
from .profiles import Service
from .router import ROUTER
from .secrets_file import Secrets


@dataclass(frozen=True)
class Program:
    """One program supervisord looks after."""

    name: str
    command: Sequence[str]
    directory: Path
    log: Path
    autostart: bool = True
    priority: int = 999
    stop_signal: str = "TERM"
    stop_group: bool = True
    environment: Mapping[str, str] = field(default_factory=dict)


def postgres_program(layout: Layout, command: Sequence[str]) -> Program:
    """Return PostgreSQL as a program; it starts first and stops last, by its fast shutdown."""
    return Program(
        name="postgres",
        command=command,
        directory=layout.postgres_data,
        log=layout.logs / "postgres.log",
        priority=10,
        stop_signal="INT",
        # The server ends its own processes; a signal to each of them looks like a crash to it.
        stop_group=False,
        environment={"LC_ALL": "C"},
    )


def router_program(layout: Layout, command: Sequence[str]) -> Program:
    """Return HAProxy as a program."""
    return Program(
        name=ROUTER,
        command=command,
        directory=layout.router_config.parent,
        log=layout.logs / f"{ROUTER}.log",
        priority=200,
    )


def api_program(layout: Layout, service: Service, autostart: bool) -> Program:
    """Return an API process as a program."""
    python_path = os.pathsep.join(filter(None, (str(DEMO_DIR), os.environ.get("PYTHONPATH"))))
    return Program(
        name=service.name,
        command=[sys.executable, "-m", "reference_api", "serve"],
        directory=service.folder,
        log=layout.logs / f"{service.name}.log",
        autostart=autostart,
        priority=100,
        environment={
            "PYTHONPATH": python_path,
            "PYTHONUNBUFFERED": "1",
            "PYTHONDONTWRITEBYTECODE": "1",
        },
    )


def write_config(layout: Layout, programs: Sequence[Program], secrets: Secrets, port: int) -> None:
    """Write the configuration; control is over TCP because the path of a socket has a length limit."""
    control = {"username": secrets.supervisor_user, "password": secrets.supervisor_password}
    sections = [
        _section("inet_http_server", {"port": f"127.0.0.1:{port}", **control}),
        _section(
            "supervisord",
            {
                "directory": str(layout.state_dir),
                "pidfile": str(layout.supervisor_pid),
                "logfile": str(layout.logs / "supervisord.log"),
                "childlogdir": str(layout.logs),
                "identifier": "local_stack",
                "strip_ansi": "true",
                "umask": "077",
                **({"user": "root"} if os.geteuid() == 0 else {}),
            },
        ),
        _section(
            "rpcinterface:supervisor",
            {"supervisor.rpcinterface_factory": "supervisor.rpcinterface:make_main_rpcinterface"},
        ),
        _section("supervisorctl", {"serverurl": f"http://127.0.0.1:{port}", **control}),
        *(_program_section(program) for program in programs),
    ]
    write_private(layout.supervisor_config, "\n".join(sections))


def _program_section(program: Program) -> str:
    return _section(
        f"program:{program.name}",
        {
            "command": shlex.join(program.command),
            "directory": str(program.directory),
            "autostart": "true" if program.autostart else "false",
            "autorestart": "unexpected",
            "priority": str(program.priority),
            "startsecs": "1",
            "startretries": "2",
            "stopsignal": program.stop_signal,
            "stopwaitsecs": "15",
            "stopasgroup": "true" if program.stop_group else "false",
            "killasgroup": "true",
            "redirect_stderr": "true",
            "stdout_logfile": str(program.log),
            "stdout_logfile_maxbytes": "10MB",
            "stdout_logfile_backups": "1",
            "environment": ",".join(f"{name}={_environment_value(v)}" for name, v in program.environment.items()),
        },
    )


def _section(name: str, options: Mapping[str, str]) -> str:
    # A percent sign begins an expansion, and a semicolon after a space a comment.
    lines = [f"{key} = {value.replace('%', '%%')}\n" for key, value in options.items()]
    return f"[{name}]\n" + "".join(lines)


def _environment_value(value: str) -> str:
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
