# SPDX-License-Identifier: GPL-3.0-or-later
"""Names of a profile: refused or kept, never cleaned."""

from __future__ import annotations

import re
import string

import pytest
from ansible_collections.sxops.pg_cutover.plugins.module_utils._errors import ProfileError
from ansible_collections.sxops.pg_cutover.plugins.module_utils._profile import (
    Profile,
    check_source_id,
    profile_of,
    refuse_collision,
    schema_name_of,
)
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize("source_id", ["assets_1", "a", "A.b-c_9", "0", "-", "..a"])
def test_an_id_of_plain_characters_is_kept_as_it_is(source_id: str) -> None:
    assert check_source_id(source_id) == source_id


@pytest.mark.parametrize(
    "source_id",
    [
        "assets_1; DROP SCHEMA public",
        "../../etc",
        "a b",
        " assets_1",
        "assets_1\n",
        "assets\x001",
        "ässets",
        "assets_\uff11",  # a full-width digit
        "a/b",
        'a"b',
        "a'b",
        "$(id)",
        "{{ id }}",
    ],
)
def test_an_id_with_any_other_character_is_refused_and_named(source_id: str) -> None:
    with pytest.raises(ProfileError) as refusal:
        check_source_id(source_id)
    assert repr(source_id) in str(refusal.value)
    assert refusal.value.code == "profile_refused"


@pytest.mark.parametrize("source_id", [None, ""])
def test_a_missing_id_says_how_to_give_one(source_id: str | None) -> None:
    with pytest.raises(ProfileError, match="-e source_id="):
        check_source_id(source_id)


@pytest.mark.parametrize("source_id", [".", "..", "..."])
def test_an_id_that_names_a_folder_is_refused(source_id: str) -> None:
    with pytest.raises(ProfileError, match="folder"):
        check_source_id(source_id)


def test_dots_and_dashes_become_underscores_in_the_schema_and_case_is_kept() -> None:
    assert schema_name_of("Assets-1.b", "sx") == "sx_Assets_1_b"


def test_the_longest_schema_name_that_postgresql_keeps_whole_is_accepted() -> None:
    assert len(schema_name_of("a" * 60, "sx")) == 63


@pytest.mark.parametrize("length", [61, 71, 80])
def test_a_schema_name_that_postgresql_would_cut_is_refused_with_its_length(length: int) -> None:
    with pytest.raises(ProfileError, match=rf"\({length} characters\) is refused.*{length + 3} bytes"):
        schema_name_of("a" * length, "sx")


@pytest.mark.parametrize("prefix", ["9x", "s x", "s-x", 'sx"', "sx;", "é"])
def test_a_prefix_that_makes_no_plain_identifier_is_refused(prefix: str) -> None:
    with pytest.raises(ProfileError, match="must match"):
        schema_name_of("assets_1", prefix)


@pytest.mark.parametrize("name", ["pg_catalog", "PG_x", "pg_", "information_schema", "INFORMATION_SCHEMA"])
def test_the_schemas_of_postgresql_are_refused(name: str) -> None:
    with pytest.raises(ProfileError, match="reserves it"):
        profile_of("assets_1", "sx", name)


@pytest.mark.parametrize(("source_id", "prefix", "name"), [("cutover", "sxops", None), ("a", "sx", "SXOPS_cutover")])
def test_the_collections_own_schema_is_refused(source_id: str, prefix: str, name: str | None) -> None:
    with pytest.raises(ProfileError, match="keeps its own records"):
        profile_of(source_id, prefix, name)


def test_a_schema_name_of_its_own_wins_over_the_prefix() -> None:
    assert profile_of("a.b", "sx", "tenant_ab") == Profile("a.b", "tenant_ab")


def test_an_empty_schema_name_means_the_prefix() -> None:
    assert profile_of("a", "sx", "").schema_name == "sx_a"


def test_two_ids_with_one_schema_are_refused_and_both_named() -> None:
    with pytest.raises(ProfileError, match=r"'a-b'.*'sx_a_b'.*'a.b'") as refusal:
        refuse_collision(profile_of("a-b", "sx"), {"a.b": "sx_a_b"})
    assert refusal.value.facts == {"other_source_id": "a.b", "schema_name": "sx_a_b"}


def test_schemas_that_differ_only_in_case_are_refused() -> None:
    with pytest.raises(ProfileError, match="'ASSETS'"):
        refuse_collision(profile_of("assets", "sx"), {"ASSETS": "sx_ASSETS"})


def test_a_profile_does_not_collide_with_itself_or_with_strangers() -> None:
    refuse_collision(profile_of("a.b", "sx"), {"a.b": "sx_a_b", "c": "sx_c"})


@given(st.text(max_size=80))
def test_whatever_is_accepted_is_a_plain_identifier_that_postgresql_keeps_whole(source_id: str) -> None:
    try:
        name = schema_name_of(source_id, "sx")
    except ProfileError:
        return
    assert set(source_id) <= set(string.ascii_letters + string.digits + "._-")
    assert re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{,62}", name)
