# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings: environment or C(.env) in the working directory, read once at start; the environment wins."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from dotenv import dotenv_values

MODE_SQLITE = "SQLITE"
MODE_MIRROR = "POSTGRES_MIRROR"
MODE_PRIMARY = "POSTGRES_PRIMARY"
MODES = (MODE_SQLITE, MODE_MIRROR, MODE_PRIMARY)


@dataclass(frozen=True)
class Settings:
    """Everything one process knows about itself; the backend mode belongs to it, not to a profile."""

    db_path: Path = Path("data/sx_obsidian.db")
    mode: str = MODE_SQLITE
    postgres_dsn: str = field(default="", repr=False)
    # Read because operators set it, never used: the application must own its tables, so it acts as itself.
    postgres_admin_dsn: str = field(default="", repr=False)
    schema_prefix: str = "sx"
    registry_table: str = "sx_source_registry"
    default_source_id: str = "default"
    host: str = "127.0.0.1"
    port: int = 8123
    require_explicit_source: bool = True
    enforce_profile_match: bool = True
    enable_fts: bool = True
    read_only: bool = False
    request_log: Path | None = None
    profiles: tuple[str, ...] = ()
    error_linger_seconds: float = 75.0

    def profile_index(self, source_id: str) -> int | None:
        """Return the profile's place (from 1) in the configured order, None when it is not listed."""
        return self.profiles.index(source_id) + 1 if source_id in self.profiles else None


def load_settings(environment: Mapping[str, str] | None = None, env_file: Path | None = None) -> Settings:
    """Read the settings once.

    Args:
        environment: Stands in for the process environment.
        env_file: Stands in for C(.env) in the working directory.
    """
    file_values = dotenv_values(env_file if env_file is not None else Path(".env"))
    values = {key: value for key, value in file_values.items() if value is not None}
    values.update(os.environ if environment is None else environment)

    def text(name: str, default: str) -> str:
        return values.get(name, "").strip() or default

    def flag(name: str, default: bool) -> bool:
        return text(name, "1" if default else "0").lower() in ("1", "true", "yes", "on")

    mode = text("SX_DB_BACKEND_MODE", MODE_SQLITE).upper()
    request_log = text("SX_API_LOG", "")
    return Settings(
        db_path=Path(text("SX_DB_PATH", "data/sx_obsidian.db")),
        # A misspelt mode silently means SQLite: whoever flips it has to check which store answers.
        mode=mode if mode in MODES else MODE_SQLITE,
        postgres_dsn=text("SX_POSTGRES_DSN", ""),
        postgres_admin_dsn=text("SX_POSTGRES_ADMIN_DSN", ""),
        schema_prefix=text("SX_POSTGRES_SCHEMA_PREFIX", "sx"),
        registry_table=text("SX_POSTGRES_REGISTRY_TABLE", "sx_source_registry"),
        default_source_id=text("SX_DEFAULT_SOURCE_ID", "default"),
        host=text("SX_API_HOST", "127.0.0.1"),
        port=int(text("SX_API_PORT", "8123")),
        require_explicit_source=flag("SX_API_REQUIRE_EXPLICIT_SOURCE", True),
        enforce_profile_match=flag("SX_API_ENFORCE_PROFILE_SOURCE_MATCH", True),
        enable_fts=flag("SX_DB_ENABLE_FTS", True),
        read_only=flag("DB_READ_ONLY", False),
        request_log=Path(request_log) if request_log else None,
        profiles=tuple(name.strip() for name in text("SX_PROFILES", "").split(",") if name.strip()),
        error_linger_seconds=float(text("SX_API_ERROR_LINGER_SECONDS", "75")),
    )
