# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""runtime_mode through a real Ansible."""

from __future__ import annotations

import hashlib
import json
import pathlib
import stat
import typing as t
import venv

import pytest
from _ansible import run_module, run_modules, run_playbook

ENV = (
    "# settings\nSX_DB_BACKEND_MODE=SQLITE\nexport SX_POSTGRES_DSN='postgresql://sx:0ldhush@db/sx'\nSX_API_PORT=8123\n"
)
DSN = "postgresql://sx:n3whush@db/sx?sslmode=require&application_name=sx"


def arguments(path: pathlib.Path, **more: t.Any) -> dict[str, t.Any]:
    return {
        "path": str(path),
        "store": "postgres",
        "settings": {"SX_DB_BACKEND_MODE": "POSTGRES_PRIMARY"},
        "secrets": {"SX_POSTGRES_DSN": DSN},
        **more,
    }


@pytest.fixture
def settings_file(tmp_path: pathlib.Path) -> pathlib.Path:
    path = tmp_path / ".env"
    path.write_text(ENV)
    path.chmod(0o640)
    return path


def fingerprint(folder: pathlib.Path) -> dict[str, tuple[str, int]]:
    return {
        path.name: (hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_mtime_ns)
        for path in [*folder.iterdir()]
    } | {".": ("", folder.stat().st_mtime_ns)}


def test_check_mode_then_flip_then_again(settings_file: pathlib.Path) -> None:
    before = fingerprint(settings_file.parent)
    planned = run_module("runtime_mode", arguments(settings_file), check=True, diff=True)
    assert planned["changed"] and planned["keys_changed"] == ["SX_DB_BACKEND_MODE", "SX_POSTGRES_DSN"]
    assert planned["observed_settings"] == {"SX_DB_BACKEND_MODE": "SQLITE"} and "backup_file" not in planned
    assert fingerprint(settings_file.parent) == before

    done = run_module("runtime_mode", arguments(settings_file), diff=True)
    assert done["changed"] and done["diff"] == planned["diff"] and done["store"] == "postgres"
    assert settings_file.read_text() == ENV.replace("=SQLITE", "=POSTGRES_PRIMARY").replace(
        "postgresql://sx:0ldhush@db/sx", DSN
    )
    assert stat.S_IMODE(settings_file.stat().st_mode) == 0o640
    backup = pathlib.Path(done["backup_file"])
    assert backup.read_text() == ENV and stat.S_IMODE(backup.stat().st_mode) == 0o600
    assert "hush" not in json.dumps([planned, done])

    after = fingerprint(settings_file.parent)
    again = run_module("runtime_mode", arguments(settings_file), diff=True)
    assert not again["changed"] and again["keys_changed"] == [] and "backup_file" not in again
    assert again["observed_settings"] == {"SX_DB_BACKEND_MODE": "POSTGRES_PRIMARY"}
    assert fingerprint(settings_file.parent) == after


def test_the_diff_shows_the_touched_lines_only(settings_file: pathlib.Path) -> None:
    diff = run_module("runtime_mode", arguments(settings_file), check=True, diff=True)["diff"]
    assert diff == {
        "before_header": str(settings_file),
        "after_header": str(settings_file),
        "before": "SX_DB_BACKEND_MODE=SQLITE\nSX_POSTGRES_DSN: ******** (old value)\n",
        "after": "SX_DB_BACKEND_MODE=POSTGRES_PRIMARY\nSX_POSTGRES_DSN: ******** (new value)\n",
    }
    assert "diff" not in run_module("runtime_mode", arguments(settings_file), check=True)


def test_nothing_secret_is_printed_even_with_full_verbosity(settings_file: pathlib.Path) -> None:
    play = [
        {
            "name": "Flip",
            "hosts": "localhost",
            "gather_facts": False,
            "tasks": [{"name": "Flip", "sxops.pg_cutover.runtime_mode": arguments(settings_file)}],
        }
    ]
    done = run_playbook(json.dumps(play), diff=True, arguments=["-vvv"])
    assert done.process.returncode == 0 and done.stats["changed"] == 1
    assert "0ldhush" not in done.process.stdout + done.process.stderr
    # What the task was given is Ansible's to print, and it does know that "secrets" is no_log.
    assert "n3whush" not in json.dumps(done.tasks)


@pytest.mark.parametrize("check", [True, False])
def test_failures_say_what_and_what_to_do(settings_file: pathlib.Path, check: bool) -> None:
    folder, twice = settings_file.with_name("folder"), settings_file.with_name("twice")
    folder.mkdir()
    twice.write_text(ENV + "SX_DB_BACKEND_MODE=x\n")
    cases = {
        settings_file.with_name("absent"): "does not exist",
        folder: "is a folder",
        twice: "more than once (lines 2, 5)",
    }
    answers = run_modules([("runtime_mode", arguments(path)) for path in cases], check=check)
    for (path, message), failed in zip(cases.items(), answers, strict=True):
        assert failed["failed"] and failed["error"] == "settings" and not failed["changed"]
        assert str(path) in failed["msg"] and message in failed["msg"]


def test_a_value_that_cannot_be_written_is_not_repeated(settings_file: pathlib.Path) -> None:
    failed = run_module("runtime_mode", arguments(settings_file, secrets={"SX_POSTGRES_DSN": "n3w'hush$1"}))
    assert failed["failed"] and failed["error"] == "bad_input" and "SX_POSTGRES_DSN is refused" in failed["msg"]
    assert "n3w" not in json.dumps(failed["msg"]) and settings_file.read_text() == ENV


def test_json_and_absent_keys(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "appsettings.json"
    path.write_text('{\n  "Database": {\n    "Provider": "Sqlite"\n  },\n  "Old": 1\n}\n')
    wanted = {"Database.Provider": "Npgsql", "Database.Pool": 5, "Old": None}
    done = run_module("runtime_mode", {"path": str(path), "format": "json", "store": "postgres", "settings": wanted})
    assert done["changed"] and json.loads(path.read_text()) == {"Database": {"Provider": "Npgsql", "Pool": 5}}
    assert done["observed_settings"] == {"Database.Provider": "Sqlite", "Database.Pool": None, "Old": 1}


def test_yaml_keeps_comments(tmp_path: pathlib.Path) -> None:
    pytest.importorskip("ruamel.yaml")
    path = tmp_path / "settings.yaml"
    path.write_text("app: # the application\n  database:\n    url: sqlite:///var/app.db # see the runbook\n")
    wanted = {"app.database.url": "postgresql://db/harvest"}
    done = run_module("runtime_mode", {"path": str(path), "format": "yaml", "store": "postgres", "settings": wanted})
    assert done["changed"]
    assert path.read_text() == (
        'app: # the application\n  database:\n    url: "postgresql://db/harvest" # see the runbook\n'
    )


def test_yaml_without_its_library_says_what_to_install(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "settings.yaml"
    path.write_text("a: 1\n")
    bare = tmp_path / "bare"
    venv.create(bare, with_pip=False)
    failed = run_module(
        "runtime_mode",
        {"path": str(path), "format": "yaml", "store": "sqlite", "settings": {"a": 2}},
        python=str(bare / "bin" / "python"),
    )
    assert failed["failed"] and failed["error"] == "missing_dependency" and "ruamel.yaml" in failed["msg"]
    assert path.read_text() == "a: 1\n"


def test_a_kept_comment_is_warned_about(tmp_path: pathlib.Path) -> None:
    path = tmp_path / ".env"
    path.write_text("A=1 # why\n")
    done = run_module("runtime_mode", {"path": str(path), "store": "sqlite", "settings": {"A": "2"}})
    assert path.read_text() == "A=2 # why\n" and "EnvironmentFile" in str(done["warnings"])
