# SPDX-License-Identifier: GPL-3.0-or-later
"""The profiles of the stack and the settings file of each of their API processes."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from .errors import StackError
from .layout import Layout, write_private
from .secrets_file import Secrets

DEFAULT_PROFILES = ("assets_1", "assets_2")
DEFAULT_ITEMS = 20_000
_PROFILE = re.compile(r"[A-Za-z0-9._-]+\Z")
_PLAIN_VALUE = re.compile(r"[A-Za-z0-9_./:@,+-]*\Z")
STANDBY = "-standby"
SQLITE_MODE, POSTGRES_MODE = "SQLITE", "POSTGRES_PRIMARY"


@dataclass(frozen=True)
class Service:
    """One API process: its name for the service manager, its profile, its folder and port."""

    name: str
    profile: str
    folder: Path
    port: int

    @property
    def base_url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def settings_file(self) -> Path:
        """Its C(.env)."""
        return self.folder / ".env"

    @property
    def request_log(self) -> Path:
        """Its log of answered requests."""
        return self.folder / "request.jsonl"

    @property
    def is_standby(self) -> bool:
        """Whether it is started only when somebody asks for it."""
        return self.name.endswith(STANDBY)


def item_counts(profiles: Sequence[str], items: int | Mapping[str, int]) -> dict[str, int]:
    """Return how many items each profile gets: the first all of C(items), each other one a quarter."""
    for profile in profiles:
        if not _PROFILE.match(profile):
            raise StackError(f"profile {profile!r}: only letters, digits, '.', '_' and '-' are allowed")
    if not profiles or len(set(profiles)) != len(profiles):
        raise StackError("name at least one profile, each once")
    if isinstance(items, int):
        return {profile: items if index == 0 else items // 4 for index, profile in enumerate(profiles)}
    return {profile: items[profile] for profile in profiles}


def service_names(profiles: Sequence[str]) -> list[str]:
    """Return the service names: for each profile the one that serves and its standby."""
    return [f"api-{profile}{suffix}" for profile in profiles for suffix in ("", STANDBY)]


def services(layout: Layout, profiles: Sequence[str], ports: Mapping[str, int]) -> list[Service]:
    """Return the API processes of the profiles."""
    return [
        Service(name, name.removeprefix("api-").removesuffix(STANDBY), layout.service_dir(name), ports[name])
        for name in service_names(profiles)
    ]


def write_settings(
    layout: Layout, service: Service, profiles: Sequence[str], secrets: Secrets, mode: str = SQLITE_MODE
) -> None:
    """Write a service's settings file unless it exists: later it belongs to whoever cuts the profile over."""
    service.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if service.settings_file.exists():
        return
    values = {
        "SX_DB_BACKEND_MODE": mode,
        "SX_DB_PATH": str(layout.sqlite),
        "SX_POSTGRES_DSN": secrets.dsn,
        "SX_POSTGRES_ADMIN_DSN": secrets.admin_dsn,
        "SX_POSTGRES_SCHEMA_PREFIX": "sx",
        "SX_POSTGRES_REGISTRY_TABLE": "sx_source_registry",
        "SX_DEFAULT_SOURCE_ID": service.profile,
        "SX_PROFILES": ",".join(profiles),
        "SX_API_HOST": "127.0.0.1",
        "SX_API_PORT": str(service.port),
        "SX_API_LOG": str(service.request_log),
        "DB_READ_ONLY": "0",
    }
    lines = [f"# Settings of {service.name}, read once when it starts.\n"]
    lines += [f"{name}={_quoted(value)}\n" for name, value in values.items()]
    write_private(service.settings_file, "".join(lines))


def _quoted(value: str) -> str:
    if _PLAIN_VALUE.match(value):
        return value
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
