# SPDX-License-Identifier: GPL-3.0-or-later
"""stack.json: what runs where, for people and for programs; it holds no secret."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .layout import Layout, write_private
from .profiles import Service
from .router import ROUTER, backend_of
from .secrets_file import ADMIN_USER, APP_USER, DATABASE, SUPERUSER


def describe(
    layout: Layout,
    ports: Mapping[str, int],
    items: Mapping[str, int],
    services: Sequence[Service],
    bin_dir: Path,
    launcher: str,
) -> dict[str, Any]:
    """Return the content of stack.json; with a port for a router there is one."""
    config = str(layout.supervisor_config)
    return {
        "state_dir": str(layout.state_dir),
        "python": sys.executable,
        "sqlite_path": str(layout.sqlite),
        "secrets_file": str(layout.secrets),
        "ports": dict(ports),
        "items": dict(items),
        "postgres": {
            "host": "127.0.0.1",
            "port": ports["postgres"],
            "dbname": DATABASE,
            "bin_dir": str(bin_dir),
            "data_dir": str(layout.postgres_data),
            "admin_user": ADMIN_USER,
            "app_user": APP_USER,
            "superuser": SUPERUSER,
            "pgpass": str(layout.pgpass),
            "service": "postgres",
            "launcher": launcher,
            "log": str(layout.logs / "postgres.log"),
        },
        "supervisor": {
            "config": config,
            "port": ports["supervisor"],
            "pidfile": str(layout.supervisor_pid),
            "supervisorctl": [sys.executable, "-m", "supervisor.supervisorctl", "-c", config],
        },
        "profiles": {
            service.profile: {
                **_service(service, layout),
                "standby": next(
                    _service(other, layout)
                    for other in services
                    if other.profile == service.profile and other.is_standby
                ),
            }
            for service in services
            if not service.is_standby
        },
        **({"router": _router(layout, ports[ROUTER], list(items))} if ROUTER in ports else {}),
    }


def write_description(layout: Layout, description: Mapping[str, Any]) -> None:
    """Write stack.json."""
    write_private(layout.description, json.dumps(description, indent=2) + "\n")


def _router(layout: Layout, port: int, profiles: Sequence[str]) -> dict[str, Any]:
    return {
        "base_url": f"http://127.0.0.1:{port}",
        "service": ROUTER,
        "socket": str(layout.router_socket),
        "map": str(layout.router_map),
        "config": str(layout.router_config),
        "log": str(layout.logs / f"{ROUTER}.log"),
        "backends": {
            profile: {store: backend_of(profile, store) for store in ("sqlite", "postgres")} for profile in profiles
        },
    }


def _service(service: Service, layout: Layout) -> dict[str, str]:
    return {
        "base_url": service.base_url,
        "service": service.name,
        "settings_file": str(service.settings_file),
        "request_log": str(service.request_log),
        "log": str(layout.logs / f"{service.name}.log"),
    }
