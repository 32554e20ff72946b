# Copyright (c) 2026 pg_cutover developers
# SPDX-License-Identifier: GPL-3.0-or-later

"""What one file of this repository promises about another."""

from __future__ import annotations

import ast
import configparser
import os
import re
import tomllib
import typing as t
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
MODULES = sorted((ROOT / "plugins" / "modules").glob("[!_]*.py"))
ENGINE = sorted((ROOT / "plugins" / "module_utils").rglob("*.py"))
DEMO = sorted((ROOT / "demo").rglob("*.py"))
ROLES = sorted(path for path in (ROOT / "roles").glob("*") if path.is_dir())

# Names the engine may not use: it raises and returns, the modules talk to the outside.
FORBIDDEN_IMPORTS = {"ansible", "ansible_collections", "pty", "subprocess"}
FORBIDDEN_NAMES = re.compile(
    r"print|exit|quit|breakpoint|SystemExit|sys\.(exit|stdout|stderr)"
    r"|os\.(_exit|abort|popen|posix_spawnp?|startfile|system|(exec|spawn)[a-z]+)"
)


def names(paths: list[Path]) -> list[str]:
    return [str(path.relative_to(ROOT)) for path in paths]


def read_yaml(*parts: str) -> t.Any:
    return yaml.safe_load(ROOT.joinpath(*parts).read_text(encoding="utf-8"))


def requirements(*parts: str) -> list[str]:
    lines = ROOT.joinpath(*parts).read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith(("#", "-r "))]


def own_files(*suffixes: str) -> list[Path]:
    """Return the files with one of these suffixes that are ours: no environment, cache or build result."""
    found = []
    for folder, folders, files in os.walk(ROOT):
        folders[:] = [f for f in folders if f == ".ci" or (not f.startswith(".") and f not in ("build", "__pycache__"))]
        found += [Path(folder, file) for file in files if file.endswith(suffixes)]
    return sorted(found)


def imported(tree: ast.AST) -> set[str]:
    """Return the full names of what a file imports, relative imports left out."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def used(tree: ast.AST) -> set[str]:
    """Return the names a file uses, attributes of a plain name with that name (``sys.exit``)."""
    found = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    return found | {
        f"{node.value.id}.{node.attr}"
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
    }


def engine_violations(source: str) -> set[str]:
    tree = ast.parse(source)
    modules = imported(tree)
    return {name for name in modules if name.split(".")[0] in FORBIDDEN_IMPORTS} | {
        name for name in modules | used(tree) if FORBIDDEN_NAMES.fullmatch(name)
    }


def test_every_module_is_in_the_action_group_and_nothing_else_is() -> None:
    group = read_yaml("meta", "runtime.yml")["action_groups"]["all"]
    assert group == sorted(set(group))
    assert group == [path.stem for path in MODULES]


def test_every_action_plugin_has_its_module() -> None:
    actions = {path.stem for path in (ROOT / "plugins" / "action").glob("[!_]*.py")}
    assert actions <= {path.stem for path in MODULES}


@pytest.mark.parametrize("path", MODULES, ids=names(MODULES))
def test_examples_use_the_name_that_galaxy_gives_the_module(path: Path) -> None:
    galaxy = read_yaml("galaxy.yml")
    assert f"{galaxy['namespace']}.{galaxy['name']}.{path.stem}:" in path.read_text(encoding="utf-8")


def test_the_lower_bounds_are_the_same_wherever_they_are_written() -> None:
    (core,) = requirements("requirements.txt")
    assert read_yaml("meta", "runtime.yml")["requires_ansible"] == core.removeprefix("ansible-core") + ".0"
    assert requirements("meta", "ee-requirements.txt") == requirements("requirements-managed-host.txt")
    python = read_yaml("tests", "config.yml")["modules"]["python_requires"]
    ruff = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["ruff"]
    assert ruff["per-file-target-version"]["plugins/**"] == "py" + python.removeprefix(">=").replace(".", "")


def test_both_ansible_cfg_files_say_the_same() -> None:
    settings = []
    for folder in (ROOT, ROOT / "playbooks"):
        parser = configparser.ConfigParser(interpolation=None)
        parser.read(folder / "ansible.cfg")
        values = {section: dict(parser[section]) for section in parser.sections()}
        for name in ("home", "inventory"):
            values["defaults"][name] = os.path.normpath(folder / values["defaults"][name])
        settings.append(values)
    assert settings[0] == settings[1]
    assert settings[0]["defaults"]["home"] == str(ROOT / "build" / "ansible")


def test_every_source_file_names_its_license() -> None:
    sources = [path for path in own_files(".py", ".yml") if path.stat().st_size]
    without = [path for path in sources if "SPDX-License-Identifier:" not in path.read_text(encoding="utf-8")]
    assert Path(__file__).resolve() in sources
    assert names(without) == []


def test_there_are_roles() -> None:
    assert ROLES


@pytest.mark.parametrize("role", ROLES, ids=names(ROLES))
def test_a_role_documents_exactly_the_defaults_it_has(role: Path) -> None:
    assert (role / "README.md").is_file()
    specs = read_yaml(str(role), "meta", "argument_specs.yml")["argument_specs"]
    assert "main" in specs
    defaults_file = role / "defaults" / "main.yml"
    defaults = (read_yaml(str(defaults_file)) or {}) if defaults_file.is_file() else {}

    documented = {}
    for entry_point, spec in specs.items():
        for name, option in spec.get("options", {}).items():
            assert not (option.get("required") and "default" in option), f"{entry_point}: {name}"
            if "default" in option:
                assert documented.setdefault(name, option["default"]) == option["default"], f"{entry_point}: {name}"
    assert documented == defaults


@pytest.mark.parametrize("path", ENGINE, ids=names(ENGINE))
def test_the_engine_knows_no_ansible_and_leaves_the_process_alone(path: Path) -> None:
    assert engine_violations(path.read_text(encoding="utf-8")) == set()


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("import ansible.errors", {"ansible.errors"}),
        ("from ansible.module_utils import basic", {"ansible.module_utils", "ansible.module_utils.basic"}),
        ("import subprocess as s", {"subprocess"}),
        ("from sys import exit as leave", {"sys.exit"}),
        ("import os\nos.execvp('x', ['x'])", {"os.execvp"}),
        ("print('x')", {"print"}),
        ("import sys\nsys.stdout.write('x')", {"sys.stdout"}),
        ("raise SystemExit", {"SystemExit"}),
        ("from ._errors import CutoverError\ncursor.execute('SELECT 1')", set()),
    ],
)
def test_what_the_engine_may_not_do_is_found(source: str, found: set[str]) -> None:
    assert engine_violations(source) == found


@pytest.mark.parametrize("path", DEMO, ids=names(DEMO))
def test_the_system_under_cutover_does_not_know_the_collection(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert not {name for name in imported(tree) if name.split(".")[0] in ("ansible_collections", "plugins")}
    strings = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    assert not {text for text in strings if "ansible_collections" in text or "module_utils" in text}


def test_a_hook_can_be_named_for_every_phase_of_the_runbook() -> None:
    variables = read_yaml("roles", "cutover", "vars", "main.yml")
    phases = set(variables["cutover_before_catch_up"])
    for way in ("cutover", "finish"):
        phases |= set(variables["cutover_phases"]["offline"][way])
    texts = [*variables["cutover_phases"]["online"].values(), variables["cutover_from_catch_up"]]
    phases |= {
        name for text in texts for found in re.findall(r"\[('[^\]]*')\]", text) for name in re.findall(r"\w+", found)
    }
    boundaries = read_yaml("roles", "profile", "vars", "main.yml")["profile_hook_boundaries"]
    assert {"catch_up", "hold", "verify", "load"} <= phases <= set(boundaries)
    assert {"window", "cutover", "rollback", "close"} <= set(boundaries)
