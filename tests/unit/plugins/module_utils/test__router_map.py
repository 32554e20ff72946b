# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The text of a map file: one key gets another value, and nothing else changes."""

from __future__ import annotations

import pytest
from ansible_collections.sxops.pg_cutover.plugins.module_utils._router_map import values_of, with_value

FILE = (
    "# who is where\n"
    "assets_1 api-1\n"
    "\n"
    "#assets_1 old\n"
    "  assets_10\t api-10  \r\n"
    "lone\n"
    "assets_2    api-2 # no comment, but part of the value"
)


@pytest.mark.parametrize(
    ("key", "values"),
    [
        ("assets_1", ("api-1",)),
        ("assets_10", ("api-10",)),
        ("assets_2", ("api-2 # no comment, but part of the value",)),
        ("lone", ("",)),
        ("#assets_1", ()),
        ("#", ()),
        ("assets", ()),
        ("api-1", ()),
    ],
)
def test_values_are_read_as_haproxy_reads_them(key: str, values: tuple[str, ...]) -> None:
    assert values_of(FILE, key) == values


@pytest.mark.parametrize(
    ("key", "old", "new"),
    [
        ("assets_1", "assets_1 api-1\n", "assets_1 pg\n"),
        ("assets_10", "  assets_10\t api-10  \r\n", "  assets_10\t pg  \r\n"),
        ("lone", "lone\n", "lone pg\n"),
        ("assets_2", "assets_2    api-2 # no comment, but part of the value", "assets_2    pg"),
    ],
)
def test_only_the_value_of_the_key_changes(key: str, old: str, new: str) -> None:
    assert with_value(FILE, key, "pg") == FILE.replace(old, new)
    assert values_of(with_value(FILE, key, "pg"), key) == ("pg",)


def test_every_line_of_a_key_is_changed_as_the_process_changes_every_entry() -> None:
    assert with_value("a one\nb x\na two\n", "a", "three") == "a three\nb x\na three\n"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", "new pg\n"),
        ("# only this\n", "# only this\nnew pg\n"),
        ("a one", "a one\nnew pg\n"),
        ("a one\r\n", "a one\r\nnew pg\r\n"),
        ("a one\n\n", "a one\n\nnew pg\n"),
    ],
)
def test_a_new_key_gets_a_line_at_the_end(before: str, after: str) -> None:
    assert with_value(before, "new", "pg") == after


def test_there_and_back_is_the_same_text() -> None:
    assert with_value(with_value(FILE, "assets_1", "pg"), "assets_1", "api-1") == FILE


def test_what_is_no_line_for_haproxy_stays_in_its_line() -> None:
    text = "a one\x0btwo\u2028three\nb \udcff\n"
    assert values_of(text, "a") == ("one\x0btwo\u2028three",)
    assert with_value(text, "a", "pg") == "a pg\nb \udcff\n"
