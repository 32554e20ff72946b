# SPDX-License-Identifier: GPL-3.0-or-later
"""No secret leaves, whatever it is spelt like and wherever it stands."""

from __future__ import annotations

import pytest
from ansible_collections.sxops.pg_cutover.plugins.module_utils._redact import MASK, redact, redact_text, secrets_of
from hypothesis import given
from hypothesis import strategies as st

SECRET = "s3cr3t-Word"


@pytest.mark.parametrize(
    "text",
    [
        f"postgresql://app:{SECRET}@db:5432/sx",
        f"postgresql+psycopg://app:{SECRET}@db/sx",
        f"postgres://app:{SECRET}:{SECRET}@db/sx",
        f"postgres://app:p@{SECRET}@db/sx",
        f"postgres://app:p#{SECRET}?@db/sx",
        f"postgres://:{SECRET}@db/sx",
        f"host=db password={SECRET} dbname=sx",
        f"host=db password = '{SECRET} with spaces' dbname=sx",
        rf"host=db password='it\'s {SECRET}'",
        f"host=db sslpassword={SECRET}",
        f"postgresql://db/sx?user=a&password={SECRET}&sslmode=require",
        f"Server=db;Password={SECRET};Database=sx",
        f"Server=db;Pwd={SECRET}",
        f"see PASSWD={SECRET}",
    ],
)
def test_what_looks_like_a_password_in_a_connection_string_is_masked_unasked(text: str) -> None:
    masked = redact_text(f"cannot connect to {text} at all")
    assert SECRET not in masked
    assert MASK in masked
    assert masked.startswith("cannot connect to ")


@pytest.mark.parametrize(
    "dsn",
    [
        f"postgresql://app:{SECRET}@db:5432/sx",
        f"postgresql://db/sx?password={SECRET}",
        f"postgresql://db/sx?sslpassword={SECRET}&x=y",
        f"postgresql://app:{SECRET}%20@db/sx",
        f"host=db password={SECRET}",
        f"host=db password = '{SECRET}'",
        f"host=db sslpassword={SECRET}",
    ],
)
def test_the_password_inside_a_secret_connection_string_is_a_secret_by_itself(dsn: str) -> None:
    assert SECRET not in redact_text(f"the server said {SECRET} is wrong", secrets_of(dsn))


@pytest.mark.parametrize(
    ("dsn", "password"),
    [
        ("postgresql://app:a%40b@db/sx", "a@b"),
        ("postgresql://app:a?b#c@db/sx", "a?b#c"),
        (r"host=db password='it\'s \\ x'", r"it's \ x"),
    ],
)
def test_the_password_is_found_as_libpq_reads_it(dsn: str, password: str) -> None:
    assert password in secrets_of(dsn)


@pytest.mark.parametrize("dsn", [None, "", "host=db", "postgresql://db/sx", "postgresql://app@db/sx", "http://[bad"])
def test_a_connection_string_without_a_password_has_no_other_secret_than_itself(dsn: str | None) -> None:
    assert secrets_of(dsn) == (frozenset([dsn]) if dsn else frozenset())


def test_the_longest_secret_is_masked_first() -> None:
    assert redact_text("abcdef", ["abc", "abcdef"]) == MASK


@pytest.mark.parametrize(
    "text",
    [
        "nothing to hide",
        "http://127.0.0.1:8123/health",
        "postgresql://app@db/sx",
        "the password is not shown",
        "mail a@b.example: done",
    ],
)
def test_text_without_a_password_is_left_alone(text: str) -> None:
    assert redact_text(text) == text


def test_values_are_masked_at_any_depth_and_other_types_are_kept() -> None:
    value = {"a": [f"x{SECRET}", {"b": (SECRET, 1, None, True, 1.5)}], "n": 3}
    assert redact(value, [SECRET]) == {"a": [f"x{MASK}", {"b": [MASK, 1, None, True, 1.5]}], "n": 3}


def test_a_password_that_is_an_ordinary_word_does_not_rename_the_keys_of_a_result() -> None:
    assert redact({"rows": "rows"}, ["rows"]) == {"rows": MASK}


def test_a_connection_string_that_stands_as_a_key_is_masked() -> None:
    assert SECRET not in str(redact({f"postgresql://a:{SECRET}@db": 1}))


@given(st.text(st.characters(blacklist_categories=["Cs"]), min_size=1), st.text(), st.text())
def test_a_known_secret_never_survives(secret: str, before: str, after: str) -> None:
    if secret in MASK:
        return
    assert secret not in redact_text(before + secret + after, [secret]).replace(MASK, "\x00")
