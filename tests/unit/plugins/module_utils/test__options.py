# SPDX-License-Identifier: GPL-3.0-or-later
"""Every shared option group says the same in its doc fragment and in its argument spec."""

from __future__ import annotations

import importlib
import typing as t

import pytest
import yaml
from ansible_collections.sxops.pg_cutover.plugins.module_utils import _options

GROUPS = [
    "postgres",
    "profile",
    "registry",
    "tenant_data",
    "csv_files",
    "data_policies",
    "progress",
    "instances",
    "requests",
]
COMPARED = ("type", "default", "required", "choices", "elements")


def documented(group: str) -> dict[str, t.Any]:
    module = importlib.import_module(f"ansible_collections.sxops.pg_cutover.plugins.doc_fragments.{group}")
    options: dict[str, t.Any] = yaml.safe_load(module.ModuleDocFragment.DOCUMENTATION)["options"]
    return options


def declared(group: str) -> dict[str, t.Any]:
    options: dict[str, t.Any] = getattr(_options, f"{group}_options")()
    return options


def plain(options: dict[str, t.Any], nested: str) -> dict[str, t.Any]:
    """Return what both sides state of every option, at any depth."""
    return {
        name: {
            **{
                fact: option[fact]
                for fact in COMPARED
                if option.get(fact) is not None and option.get(fact) is not False
            },
            **({"options": plain(option[nested], nested)} if nested in option else {}),
        }
        for name, option in options.items()
    }


def each_option(options: dict[str, t.Any], nested: str) -> t.Iterator[tuple[str, dict[str, t.Any]]]:
    for name, option in options.items():
        yield name, option
        yield from each_option(option.get(nested, {}), nested)


@pytest.mark.parametrize("group", GROUPS)
def test_fragment_and_argument_spec_are_in_step(group: str) -> None:
    assert plain(documented(group), "suboptions") == plain(declared(group), "options")


def test_every_option_group_has_a_fragment() -> None:
    functions = [name for name in vars(_options) if name.endswith("_options")]
    assert sorted(functions) == sorted(f"{group}_options" for group in GROUPS)


@pytest.mark.parametrize("group", GROUPS)
def test_every_option_is_described_and_typed(group: str) -> None:
    for name, option in each_option(documented(group), "suboptions"):
        assert option.get("description"), name
        assert option.get("type"), name


@pytest.mark.parametrize("group", GROUPS)
def test_whatever_sounds_like_a_secret_says_whether_it_is_one(group: str) -> None:
    for name, option in each_option(declared(group), "options"):
        if any(word in name for word in ("dsn", "pass", "key", "token", "secret")):
            assert "no_log" in option, name


@pytest.mark.parametrize("group", GROUPS)
def test_each_call_returns_an_argument_spec_of_its_own(group: str) -> None:
    declared(group).clear()
    assert declared(group)


def test_an_optional_default_is_never_given_together_with_required() -> None:
    for group in GROUPS:
        for name, option in each_option(declared(group), "options"):
            assert not (option.get("required") and "default" in option), name
