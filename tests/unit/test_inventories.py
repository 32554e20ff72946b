# Copyright (c) 2026, pg_cutover developers
# SPDX-License-Identifier: GPL-3.0-or-later

"""The inventories say what the argument spec of role profile documents, as Ansible itself reads them."""

from __future__ import annotations

import collections
import json
import os
import subprocess
import sys
import typing as t
from pathlib import Path

import pytest
import yaml
from ansible_collections.sxops.pg_cutover.plugins.module_utils import _options, _policies

ROOT = Path(__file__).resolve().parents[2]
PROFILE_ROLE = ROOT / "roles" / "profile"
PRESETS = sorted(path for path in (PROFILE_ROLE / "vars").glob("*.yml") if path.stem != "main")
INVENTORIES = ("demo", "example")
MOST_LINES_OF_A_PROFILE = 15

Options = t.Mapping[str, t.Any]


def read_yaml(path: Path) -> t.Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def profile_options() -> Options:
    """Return what an entry of cutover_profiles may say."""
    main = read_yaml(PROFILE_ROLE / "meta" / "argument_specs.yml")["argument_specs"]["main"]
    return main["options"]["cutover_profiles"]["options"]


def host_variables(inventory: str, home: Path) -> dict[str, dict[str, t.Any]]:
    """Return each host's variables, templates as they are written, from a run of ansible-inventory."""
    program = Path(sys.executable).with_name("ansible-inventory")
    run = subprocess.run(
        [str(program), "-i", str(ROOT / "inventories" / inventory), "--list"],
        capture_output=True,
        check=False,
        cwd=ROOT,
        env={**os.environ, "ANSIBLE_HOME": str(home)},
        text=True,
        timeout=60,
    )
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)["_meta"]["hostvars"]


def faults(given: t.Mapping[str, t.Any], options: Options, place: str, *, whole: bool = True) -> list[str]:
    """Return what is undocumented, and what is missing or not among the choices."""
    found = [f"{place}.{name}: not documented" for name in given if name not in options]
    for name, option in options.items():
        if name not in given:
            found += [f"{place}.{name}: missing"] if whole and option.get("required") else []
            continue
        value = given[name]
        if "choices" in option and value not in option["choices"]:
            found.append(f"{place}.{name}: {value} is no choice")
        for nested in value if isinstance(value, list) else [value]:
            if "options" in option and isinstance(nested, dict):
                found += faults(nested, option["options"], f"{place}.{name}", whole=whole)
    return found


def last_line(node: yaml.Node) -> int:
    """Return the number of the line on which the last value of a node ends; its own end mark is behind comments."""
    if isinstance(node, yaml.CollectionNode) and node.value:
        last = node.value[-1]
        return max(last_line(part) for part in (last if isinstance(last, tuple) else (last,)))
    return node.end_mark.line


def entries_with_lines(path: Path) -> list[tuple[str, int]]:
    """Return the source_id and the number of lines of every profile in a file of variables."""
    document = yaml.compose(path.read_text(encoding="utf-8"))
    found = []
    for key, value in document.value:
        if key.value == "cutover_profiles":
            for entry in value.value:
                (source_id,) = (field.value for name, field in entry.value if name.value == "source_id")
                found.append((source_id, last_line(entry) - entry.start_mark.line + 1))
    return found


@pytest.mark.parametrize("inventory", INVENTORIES)
def test_every_profile_is_there_once_and_says_only_what_is_documented(inventory: str, tmp_path: Path) -> None:
    entries = [
        entry for variables in host_variables(inventory, tmp_path).values() for entry in variables["cutover_profiles"]
    ]
    assert entries
    often = collections.Counter(entry["source_id"] for entry in entries)
    assert {source_id for source_id, times in often.items() if times > 1} == set()
    assert [fault for entry in entries for fault in faults(entry, profile_options(), entry["source_id"])] == []


def test_the_example_is_a_fleet_whose_secrets_are_in_the_vault(tmp_path: Path) -> None:
    hosts = host_variables("example", tmp_path)
    assert len(hosts) == 2
    vault = read_yaml(ROOT / "inventories" / "example" / "group_vars" / "all" / "vault.yml")
    used = set()
    for variables in hosts.values():
        for entry in variables["cutover_profiles"]:
            assert [instance["service"]["manager"] for instance in entry["instances"]] == ["systemd"]
            secrets = [entry["postgres"], entry.get("settings", {}).get("postgres", {}).get("secrets", {})]
            used |= {value for texts in secrets for value in texts.values()}
    assert used == {"{{ " + name + " }}" for name in vault}


def test_a_profile_of_the_example_takes_few_lines() -> None:
    files = (ROOT / "inventories" / "example" / "host_vars").glob("*.yml")
    lines = dict(entry for path in files for entry in entries_with_lines(path))
    assert len(lines) == 3
    assert {source_id: number for source_id, number in lines.items() if number > MOST_LINES_OF_A_PROFILE} == {}


def test_lines_are_counted_without_what_follows(tmp_path: Path) -> None:
    path = tmp_path / "host.yml"
    path.write_text("cutover_profiles:\n  - source_id: a\n    x: {y: [1,\n      2]}\n\n  # b\n  - source_id: b\n\n")
    assert entries_with_lines(path) == [("a", 3), ("b", 1)]


def test_every_preset_can_be_chosen_and_says_only_what_is_documented() -> None:
    options = profile_options()
    assert options["app"]["choices"] == [path.stem for path in PRESETS]
    presets = {path.stem: read_yaml(path)["profile_preset"] for path in PRESETS}
    assert [fault for name, preset in presets.items() for fault in faults(preset, options, name, whole=False)] == []


def test_faults_are_found() -> None:
    options: Options = {
        "app": {"choices": ["generic"]},
        "instances": {"required": True, "options": {"name": {"required": True}}},
    }
    assert faults({"app": "other", "apps": 1, "instances": [{"name": "a"}, {"nam": "b"}]}, options, "p") == [
        "p.apps: not documented",
        "p.app: other is no choice",
        "p.instances.nam: not documented",
        "p.instances.name: missing",
    ]
    assert faults({}, options, "p") == ["p.instances: missing"]
    assert faults({}, options, "p", whole=False) == []


def test_the_policies_of_a_profile_are_those_of_the_engine() -> None:
    """A typo in a policy is refused with the first task, by Ansible's own check of the arguments."""
    classes = profile_options()["policies"]["options"]
    assert {name: option["choices"] for name, option in classes.items()} == {
        **{key: [_policies.REFUSE, _policies.QUARANTINE, _policies.CONVERT] for key in _policies.CONVERTIBLE},
        **{key: [_policies.REFUSE, _policies.QUARANTINE] for key in _policies.REFUSABLE},
        **{key: [_policies.REFUSE] for key in _policies.ALWAYS_REFUSED},
    }


def test_the_csv_files_of_a_profile_are_those_of_the_module() -> None:
    given = profile_options()["load"]["options"]["files"]["options"]
    known = _options.csv_files_options()["csv_files"]["options"]
    wanted = ("type", "required")
    assert {name: [option.get(key) for key in wanted] for name, option in given.items()} == {
        name: [option.get(key) for key in wanted] for name, option in known.items()
    }
