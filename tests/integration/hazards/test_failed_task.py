# SPDX-License-Identifier: GPL-3.0-or-later
"""What cannot arrive exactly fails the task: one hazard of each group through the modules as Ansible runs them."""

from __future__ import annotations

from typing import Any

import pytest
from _ansible import run_modules
from _databases import Tenant
from _module_process import run_process
from _outcomes import assert_empty, tables_of

TEXTS = "CREATE TABLE t (id INTEGER PRIMARY KEY, x TEXT)"

# Per group of hazards: the statements that make the file, the application's tables, and the finding.
REFUSED: dict[str, tuple[list[str], str, dict[str, Any]]] = {
    "S01 text in an integer column": (
        ["CREATE TABLE t (id INTEGER PRIMARY KEY, x INTEGER)", "INSERT INTO t VALUES (1, 1), (2, '12.3D0')"],
        "CREATE TABLE t (id int PRIMARY KEY, x int)",
        {"table": "t", "column": "x", "problem_class": "storage_class", "rows": 1, "first_keys": ["(id=2)"]},
    ),
    "S05 milliseconds in a time column": (
        ["CREATE TABLE t (id INTEGER PRIMARY KEY, x DATETIME)", "INSERT INTO t VALUES (7, 1627303906122)"],
        "CREATE TABLE t (id int PRIMARY KEY, x timestamptz)",
        {"table": "t", "column": "x", "problem_class": "epoch_milliseconds", "rows": 1, "first_keys": ["(id=7)"]},
    ),
    "S09 NUL in text": (
        [TEXTS, "INSERT INTO t VALUES (1, 'a'), (2, 'a' || char(0) || 'b')"],
        "CREATE TABLE t (id int PRIMARY KEY, x text)",
        {"table": "t", "column": "x", "problem_class": "nul_character", "rows": 1, "first_keys": ["(id=2)"]},
    ),
    "S12 broken UTF-8": (
        [TEXTS, "INSERT INTO t VALUES (1, 'a'), (2, CAST(x'636166e9' AS TEXT))"],
        "CREATE TABLE t (id int PRIMARY KEY, x text)",
        {"table": "t", "column": "x", "problem_class": "invalid_utf8", "rows": 1, "first_keys": ["(id=2)"]},
    ),
    "S21 longer than declared": (
        [TEXTS, "INSERT INTO t VALUES (1, 'four'), (2, 'fives')"],
        "CREATE TABLE t (id int PRIMARY KEY, x varchar(4))",
        {"table": "t", "column": "x", "problem_class": "too_long", "rows": 1, "first_keys": ["(id=2)"]},
    ),
    "S25 duplicates of a key that only PostgreSQL has": (
        [TEXTS, "INSERT INTO t VALUES (1, 'a'), (2, 'b'), (3, 'a')"],
        "CREATE TABLE t (id int PRIMARY KEY, x text UNIQUE)",
        {"table": "t", "column": "x", "problem_class": "duplicate_key", "rows": 2, "first_keys": ["(x=a)"]},
    ),
    "S40 orphans": (
        [TEXTS, "CREATE TABLE c (id INTEGER PRIMARY KEY, up INTEGER)", "INSERT INTO c VALUES (5, 99)"],
        "CREATE TABLE t (id int PRIMARY KEY, x text); CREATE TABLE c (id int PRIMARY KEY, up int REFERENCES t)",
        {"table": "c", "column": "up", "problem_class": "orphan", "rows": 1, "first_keys": ["(id=5)"]},
    ),
    "S42 NULL in a primary key": (
        ["CREATE TABLE t (k TEXT PRIMARY KEY)", "INSERT INTO t VALUES ('a'), (NULL)"],
        "CREATE TABLE t (k text PRIMARY KEY)",
        {"table": "t", "column": "k", "problem_class": "null_value", "rows": 1},
    ),
}


def options(tenant: Tenant, **more: Any) -> dict[str, Any]:
    return {
        "source_id": tenant.source_id,
        "dsn": tenant.database.dsn,
        "sqlite_path": str(tenant.sqlite_path),
        "tenant_column": "",
        **more,
    }


def assert_failed(result: dict[str, Any], expected: dict[str, Any]) -> None:
    """Assert that a task failed with this finding, and told it in words as well."""
    assert (result["failed"], result["error"], result.get("changed", False)) == (True, "data_refused", False)
    (finding,) = result["findings"]
    assert {name: finding[name] for name in expected} == expected
    assert f"{expected['table']}.{expected['column']}: " in result["msg"]
    assert "Nothing was loaded" in result["msg"]
    for key in expected.get("first_keys", []):
        assert key in result["msg"]


@pytest.mark.parametrize("hazard", list(REFUSED))
def test_a_refused_row_fails_the_module_that_loads_it(tenant: Tenant, hazard: str) -> None:
    made, tables, expected = REFUSED[hazard]
    tenant.sqlite(*made)
    tenant.create_schema(tables)
    assert_failed(run_process("tenant_load", options(tenant)), expected)
    assert_empty(tenant)


def test_refused_rows_fail_the_tasks_of_a_playbook(tenant: Tenant) -> None:
    profiles = []
    for number, (made, tables, expected) in enumerate(REFUSED.values()):
        profile = Tenant(tenant.database, tenant.sqlite_path.with_name(f"{number}.db"), f"p{number}")
        profile.sqlite(*made)
        profile.create_schema(tables)
        profiles.append((profile, expected))
    calls = [("tenant_load", options(profile)) for profile, _expected in profiles]
    for (profile, expected), result in zip(profiles, run_modules(calls), strict=True):
        assert_failed(result, expected)
        assert_empty(profile)


def test_what_cannot_be_translated_fails_the_task_by_name_and_makes_no_schema(tenant: Tenant) -> None:
    tenant.sqlite(
        TEXTS,
        "CREATE TABLE odd (id INTEGER PRIMARY KEY, s TEXT CHECK (julianday(s) > 0))",
        "CREATE VIEW seen AS SELECT x FROM t",
        "CREATE TRIGGER touch AFTER UPDATE ON t BEGIN DELETE FROM odd; END",
    )
    result = run_process("tenant_schema", options(tenant, tables="translate", registry_table=""))
    assert (result["failed"], result["error"]) == (True, "schema_refused")
    for part in ("odd", "view seen", "trigger touch"):
        assert part in result["msg"]
        assert any(part in refusal for refusal in result["refusals"])
    assert tables_of(tenant) == []


def test_a_lie_fails_the_task_that_compares(tenant: Tenant) -> None:
    tenant.hold("REAL", "double precision", 0.1, 0.2)
    tenant.load()
    tenant.postgres("UPDATE t SET x = x::real WHERE id = 2")
    result = run_process("tenant_parity", options(tenant))
    assert (result["failed"], result["error"], result["verdict"]) == (True, "parity_failed", "failed")
    assert "different t (id=2) in column(s) x" in result["msg"]
