# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
from ansible_collections.sxops.pg_cutover.plugins.module_utils._schema_shape import compare_shape
from ansible_collections.sxops.pg_cutover.plugins.module_utils._verdict import FAILED, NOT_VERIFIED, PASSED

ITEMS: dict[str, Any] = {
    "columns": {"id": "text NOT NULL", "title": "text"},
    "indexes": {"items_pkey": "UNIQUE btree (id)", "by_title": "btree (title)"},
    "constraints": {"items_pkey": "PRIMARY KEY (id)"},
}
EXPECTED = {"items": ITEMS, "tags": {"columns": {"tag": "text"}, "indexes": {}, "constraints": {}}}


def test_the_same_shape_passes_and_so_does_more_of_it_and_another_name() -> None:
    assert [check.verdict for check in compare_shape(EXPECTED, EXPECTED)] == [PASSED, PASSED]
    more = copy.deepcopy(EXPECTED)
    more["items"]["columns"]["score"] = "integer"
    more["other"] = copy.deepcopy(ITEMS)
    more["items"]["indexes"]["renamed"] = more["items"]["indexes"].pop("by_title")
    assert [check.verdict for check in compare_shape(EXPECTED, more)] == [PASSED, PASSED]


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda shape: shape.pop("items"), "the table is missing"),
        (lambda shape: shape["items"]["columns"].pop("title"), "column title is missing"),
        (
            lambda shape: shape["items"]["columns"].update(title="integer"),
            "column title is integer and should be text",
        ),
        (lambda shape: shape["items"]["indexes"].pop("by_title"), "index by_title is missing: btree (title)"),
        (
            lambda shape: shape["items"]["constraints"].clear(),
            "constraint items_pkey is missing: PRIMARY KEY (id)",
        ),
    ],
)
def test_what_is_missing_or_another_fails_by_name(damage: Callable[[Any], object], said: str) -> None:
    observed = copy.deepcopy(EXPECTED)
    damage(observed)
    items, tags = compare_shape(EXPECTED, observed)
    assert (items.name, items.verdict, items.message) == ("schema of items", FAILED, said)
    assert tags.verdict == PASSED


def test_nothing_expected_proves_nothing() -> None:
    assert [check.verdict for check in compare_shape({}, EXPECTED)] == [NOT_VERIFIED]
