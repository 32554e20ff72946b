# SPDX-License-Identifier: GPL-3.0-or-later
"""Rows that are set aside by policy are kept whole, counted, and accounted for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from _databases import (
    Database,
    Tenant,
    failed,
    fresh_database,
    with_policies,
)
from _servers import Server
from ansible_collections.sxops.pg_cutover.plugins.module_utils._errors import (
    BadInput,
    DataRefused,
)
from ansible_collections.sxops.pg_cutover.plugins.module_utils._verdict import FAILED, PASSED


@pytest.fixture(scope="module")
def database(server: Server) -> Iterator[Database]:
    with fresh_database(server, "quarantine") as found:
        yield found


@pytest.fixture
def tenant(database: Database, tmp_path: Path) -> Tenant:
    """A whole file that is one profile's; the test makes the tables."""
    return Tenant(database, tmp_path / "snapshot.db")


def test_rows_in_quarantine_are_kept_whole_counted_and_accounted_for(tenant: Tenant) -> None:
    tenant.sqlite(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, x TEXT, n)",
        "INSERT INTO t VALUES (1, 'ok', 1), (2, 'a' || char(0) || 'b', 2)",
        "INSERT INTO t VALUES (3, CAST(x'ff' AS TEXT), 'x'), (4, 'ok', 'x')",
    )
    tenant.create_schema("CREATE TABLE t (id int PRIMARY KEY, x text, n int)")
    with pytest.raises(DataRefused):
        with_policies(tenant, nul_character="quarantine").load()
    assert tenant.postgres("SELECT count(*) FROM t") == [(0,)]
    asked = with_policies(tenant, nul_character="quarantine", invalid_utf8="quarantine", storage_class="quarantine")
    planned = asked.load(check=True)["quarantine"]
    done = asked.load()
    assert done["rows"] == 1
    assert planned == done["quarantine"]
    assert [(found["problem_class"], found["rows"], found["first_keys"]) for found in planned] == [
        ("nul_character", 1, ["(id=2)"]),
        ("invalid_utf8", 1, ["(id=3)"]),
        ("storage_class", 1, ["(id=4)"]),
    ]
    kept = asked.database.run(
        "SELECT row_key, row_data::jsonb FROM sxops_cutover.quarantine WHERE schema_name = 'sx_a' ORDER BY 1"
    )
    assert kept == [
        ("(id=2)", {"id": {"integer": 2}, "x": {"text as hex": "610062"}, "n": {"integer": 2}}),
        ("(id=3)", {"id": {"integer": 3}, "x": {"text as hex": "ff"}, "n": {"text": "x"}}),
        ("(id=4)", {"id": {"integer": 4}, "x": {"text": "ok"}, "n": {"text": "x"}}),
    ]
    found = asked.parity()
    assert found.verdict == PASSED
    (check,) = (check for check in found.checks if check.name == "rows of t in quarantine")
    assert "(id=2) (nul_character in x)" in check.message
    assert asked.actions() == {"t": "keep"}
    asked.database.run("DELETE FROM sxops_cutover.quarantine WHERE row_key = '(id=3)'")
    assert failed(asked) == {"rows of t in quarantine"}
    assert tenant.parity().verdict == FAILED  # without the policies these rows are missing


def test_every_one_of_equal_rows_in_quarantine_counts(tenant: Tenant) -> None:
    tenant.sqlite("CREATE TABLE t (x)", "INSERT INTO t VALUES (1), ('x'), ('x'), ('x')")
    tenant.create_schema("CREATE TABLE t (x int)")
    asked = with_policies(tenant, storage_class="quarantine")
    asked.load()
    assert asked.parity().verdict == PASSED
    asked.database.run(
        "UPDATE sxops_cutover.quarantine SET row_data = '{}' WHERE schema_name = 'sx_a' AND ctid ="
        " (SELECT min(ctid) FROM sxops_cutover.quarantine WHERE schema_name = 'sx_a')"
    )
    (check,) = (check for check in asked.parity().checks if check.verdict == FAILED)
    assert (check.expected, check.observed) == ({"rows": 3, "not the same": 0}, {"rows": 3, "not the same": 2})


def test_a_child_of_a_row_in_quarantine_is_an_orphan(tenant: Tenant) -> None:
    tenant.sqlite(
        "CREATE TABLE parent (id INTEGER PRIMARY KEY, n)",
        "CREATE TABLE child (id INTEGER PRIMARY KEY, up INT)",
        "INSERT INTO parent VALUES (1, 1), (2, 'odd')",
        "INSERT INTO child VALUES (10, 1), (11, 2)",
    )
    tenant.create_schema(
        "CREATE TABLE parent (id int PRIMARY KEY, n int);"
        "CREATE TABLE child (id int PRIMARY KEY, up int REFERENCES parent)"
    )
    with pytest.raises(DataRefused, match=r"child\.up: no parent row in parent in 1 row\(s\), key \(id=11\)"):
        with_policies(tenant, storage_class="quarantine").load()


def test_a_new_load_replaces_its_quarantine_too(tenant: Tenant) -> None:
    tenant.sqlite("CREATE TABLE t (id INTEGER PRIMARY KEY, x)", "INSERT INTO t VALUES (1, 1), (2, 'x'), (3, 'y')")
    tenant.create_schema("CREATE TABLE t (id int PRIMARY KEY, x int)")
    asked = with_policies(tenant, storage_class="quarantine")
    asked.load()
    tenant.sqlite("UPDATE t SET x = 2 WHERE id = 3")
    assert asked.actions() == {"t": "replace"}
    assert asked.database.run("SELECT row_key FROM sxops_cutover.quarantine WHERE schema_name = 'sx_a'") == [
        ("(id=2)",)
    ]
    assert asked.parity().verdict == PASSED


@pytest.mark.parametrize(
    ("policies", "said"),
    [
        ({"nul": "refuse"}, "Policy for 'nul' is unknown"),
        ({"orphan": "quarantine"}, "Policy quarantine for orphan is not possible"),
        ({"too_long": "convert"}, "Policy convert for too_long is not possible"),
        ({"too_long": "cut"}, "Policy 'cut' for too_long is unknown"),
    ],
)
def test_a_policy_that_does_not_exist_is_refused(tenant: Tenant, policies: dict[str, str], said: str) -> None:
    tenant.sqlite("CREATE TABLE t (x)")
    with pytest.raises(BadInput, match=said):
        with_policies(tenant, **policies).load()
