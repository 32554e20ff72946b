# SPDX-License-Identifier: GPL-3.0-or-later
"""The reference API's pure parts."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from reference_api.names import schema_name
from reference_api.refusal import Refusal
from reference_api.settings import load_settings
from reference_api.sqlite_schema import set_up_schema
from reference_api.tables import SOURCES, TENANT_TABLES

NO_FILE = Path("/nonexistent/.env")
DEMO_DIR = Path(__file__).resolve().parents[3] / "demo"


@pytest.mark.parametrize(
    ("written", "mode"),
    [
        ("SQLITE", "SQLITE"),
        ("postgres_primary", "POSTGRES_PRIMARY"),
        (" POSTGRES_MIRROR ", "POSTGRES_MIRROR"),
        ("POSTGRES", "SQLITE"),
        ("", "SQLITE"),
    ],
)
def test_unknown_mode_is_sqlite(written: str, mode: str) -> None:
    assert load_settings({"SX_DB_BACKEND_MODE": written}, NO_FILE).mode == mode


def test_environment_wins_over_the_file(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    path.write_text("SX_API_PORT=1\nSX_DEFAULT_SOURCE_ID='from file'\nDB_READ_ONLY=1\n", encoding="utf-8")
    settings = load_settings({"SX_API_PORT": "2", "DB_READ_ONLY": "0"}, path)
    assert (settings.port, settings.default_source_id, settings.read_only) == (2, "from file", False)


def test_defaults_are_the_contracts() -> None:
    settings = load_settings({}, NO_FILE)
    assert (settings.port, settings.schema_prefix, settings.registry_table) == (
        8123,
        "sx",
        "sx_source_registry",
    )
    assert settings.require_explicit_source and settings.enforce_profile_match and not settings.read_only


def test_settings_do_not_show_passwords() -> None:
    assert "secret" not in repr(load_settings({"SX_POSTGRES_DSN": "postgresql://u:secret@h/d"}, NO_FILE))


def test_schema_names_collide_as_in_the_real_application() -> None:
    assert schema_name("sx", "a.b") == schema_name("sx", "a-b") == "sx_a_b"
    assert schema_name("sx", "Assets_1") == "sx_Assets_1"


@pytest.mark.parametrize("source_id", ["", "a b", "a;b", "ä", "a\n", 'a"b', "../a"])
def test_hostile_ids_are_refused(source_id: str) -> None:
    with pytest.raises(Refusal):
        schema_name("sx", source_id)


def test_schema_is_the_contracts() -> None:
    with closing(sqlite3.connect(":memory:")) as connection:
        set_up_schema(connection, enable_fts=True, default_source_id="default")
        indexes = connection.execute("SELECT name FROM sqlite_master WHERE type='index' AND sql IS NOT NULL").fetchall()
        assert len(indexes) == 10
        for table in (SOURCES, *TENANT_TABLES):
            info = connection.execute(f"PRAGMA table_info({table.name})").fetchall()
            assert tuple(row[1] for row in info) == table.column_names
            assert tuple(row[1] for row in sorted(info, key=lambda row: row[5]) if row[5]) == table.primary_key
        assert len(TENANT_TABLES) == 8
        keys = {
            table.name: connection.execute(f"PRAGMA foreign_key_list({table.name})").fetchall()
            for table in TENANT_TABLES
        }
        assert {name for name, found in keys.items() if found} == {"user_meta", "video_notes"}
        assert {row[6] for found in keys.values() for row in found} == {"CASCADE"}


def test_the_demo_never_imports_the_collection() -> None:
    pattern = re.compile(r"^\s*(?:from|import)\s+(?:ansible|plugins)", re.MULTILINE)
    files = list(DEMO_DIR.rglob("*.py"))
    assert files
    assert [str(path) for path in files if pattern.search(path.read_text(encoding="utf-8"))] == []
