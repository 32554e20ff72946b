# SPDX-License-Identifier: GPL-3.0-or-later
"""tenant_schema, tenant_load and tenant_parity through a real Ansible: what an operator gives, and gets to read."""

from __future__ import annotations

import hashlib
import itertools
import json
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from _ansible import run_module, run_modules
from _databases import Database, Tenant, fresh_database
from local_stack.stack import Stack

MODULES = ["tenant_schema", "tenant_load", "tenant_parity"]
HOSTILE = ["assets_1; DROP SCHEMA public", "../../etc", "", "a b", "x" * 80, "a\nb", "-e@x", "é"]


@pytest.fixture(scope="module")
def database(stack: Stack) -> Iterator[Database]:
    with fresh_database(stack, "tenant_modules") as found:
        yield found


@pytest.fixture
def tenant(database: Database, tmp_path: Path) -> Tenant:
    """A WAL file of two profiles with a shared table, and a database that holds nothing."""
    database.run(
        "DROP SCHEMA public CASCADE; CREATE SCHEMA public; DROP SCHEMA IF EXISTS sx_a CASCADE;"
        " DROP SCHEMA IF EXISTS sxops_cutover CASCADE; DROP SCHEMA IF EXISTS sx_a_kept CASCADE;"
        " CREATE TABLE public.sources (id text PRIMARY KEY, label text, enabled int)"
    )
    tenant = Tenant(database, tmp_path / "snapshot.db")
    tenant.sqlite(
        "PRAGMA journal_mode = WAL",
        "CREATE TABLE sources (id TEXT PRIMARY KEY, label TEXT, enabled INT, seen TEXT)",
        "CREATE TABLE videos (source_id TEXT, id TEXT, title TEXT, score REAL, PRIMARY KEY (source_id, id))",
        "CREATE TABLE notes (source_id TEXT, id TEXT, body TEXT NOT NULL, PRIMARY KEY (source_id, id),"
        " FOREIGN KEY (source_id, id) REFERENCES videos ON DELETE CASCADE)",
        "CREATE VIRTUAL TABLE videos_fts USING fts5(title)",
        *(("INSERT INTO sources VALUES (?, ?, 1, 'now')", (source, f"Label {source}")) for source in "ab"),
        *(
            ("INSERT INTO videos VALUES (?, ?, ?, ?)", (source, f"v{n}", f"{source} \\. \n ä {n}", n + 0.1))
            for source in "ab"
            for n in range(30)
        ),
        *(("INSERT INTO notes VALUES (?, ?, '')", (source, f"v{n}")) for source in "ab" for n in range(5)),
    )
    return tenant


def options(tenant: Tenant, **more: Any) -> dict[str, Any]:
    shared = [{"name": "sources", "target": "public.sources", "key": "id", "columns": ["label", "enabled"]}]
    return {
        "source_id": "a",
        "dsn": tenant.database.dsn,
        "sqlite_path": str(tenant.sqlite_path),
        "shared_tables": shared,
        **more,
    }


def translation(tenant: Tenant, **more: Any) -> tuple[str, dict[str, Any]]:
    return "tenant_schema", options(tenant, tables="translate", **more)


def state_of(tenant: Tenant) -> Any:
    """Return both stores as they are: the file octet by octet, schema and row counts of PostgreSQL."""
    files = {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in tenant.sqlite_path.parent.iterdir()
        if path.name.startswith(tenant.sqlite_path.name)
    }
    described = tenant.database.describe()
    rows = {
        (schema, table): tenant.database.run(f'SELECT * FROM "{schema}"."{table}" ORDER BY 1')
        for schema, table, kind, *_rest in described
        if kind == "r"
    }
    return files, described, rows


def test_the_three_modules_bring_a_profile_over_once_and_prove_it(tenant: Tenant) -> None:
    before = state_of(tenant)
    steps: list[tuple[str, dict[str, Any]]] = [
        translation(tenant),
        ("tenant_load", options(tenant)),
        ("tenant_parity", options(tenant)),
    ]
    planned_schema, planned_load = run_modules(steps[:2], check=True, diff=True)
    assert state_of(tenant) == before, "check mode touched something"
    schema, load, parity = run_modules(steps, diff=True)

    assert planned_schema["actions"] == schema["actions"]
    assert schema["actions"][:2] == ["bookkeeping schema sxops_cutover", "schema sx_a"]
    assert "mapping a to sx_a" in schema["actions"]
    assert schema["diff"] == planned_schema["diff"]
    assert schema["diff"]["before"]["missing"] == schema["actions"]
    assert (planned_schema["mapped"], schema["mapped"], schema["schema_exists"]) == (False, True, True)

    assert planned_load["planned_only"] is True
    assert [table["table"] for table in planned_load["tables"]] == ["videos", "notes"]
    assert (planned_load["changed"], load["changed"], load["rows"]) == (True, True, 35)
    assert load["diff"]["before"]["rows to load"] == {"videos": 30, "notes": 5}
    assert {entry["table"] for entry in load["left_out"]} >= {"sources", "videos_fts", "videos_fts_data"}
    assert load["snapshot_sha256"] == hashlib.sha256(tenant.sqlite_path.read_bytes()).hexdigest()
    assert tenant.database.run("SELECT * FROM public.sources") == [("a", "Label a", 1)]

    assert (parity["verdict"], parity["rows"], parity["changed"]) == ("passed", 35, False)
    assert not any(result.get("failed") for result in (schema, load, parity))

    loaded = state_of(tenant)
    again = run_modules(steps, diff=True)
    assert [result["changed"] for result in again] == [False, False, False]
    assert {table["action"] for table in again[1]["tables"]} == {"keep"}
    assert again[1]["diff"]["before"] == again[1]["diff"]["after"]
    assert state_of(tenant) == loaded
    assert loaded[0] == before[0], "the SQLite file was changed, or something was left beside it"
    for result in (planned_schema, planned_load, schema, load, parity, *again):
        assert urllib.parse.urlsplit(tenant.database.dsn).password not in json.dumps(result)


def test_a_lie_fails_the_task_with_row_and_column(tenant: Tenant) -> None:
    run_modules([translation(tenant), ("tenant_load", options(tenant))])
    tenant.database.run("UPDATE sx_a.videos SET score = round(score::numeric, 0) WHERE id = 'v7'")
    failed, told = run_modules(
        [("tenant_parity", options(tenant)), ("tenant_parity", options(tenant, fail_on_open=False))], check=True
    )
    assert failed["failed"] is True
    assert failed["error"] == "parity_failed"
    assert "different videos (source_id=a, id=v7) in column(s) score" in failed["msg"]
    assert (told.get("failed", False), told["verdict"], told["changed"]) == (False, "failed", False)
    assert [table["different"] for table in told["tables"]] == [1, 0]


def test_what_cannot_travel_is_refused_also_in_check_mode_and_nothing_is_written(tenant: Tenant) -> None:
    tenant.sqlite(("UPDATE videos SET title = ? WHERE id = 'v3'", ("a\x00b",)))
    run_modules([translation(tenant)])
    before = state_of(tenant)
    planned = run_module("tenant_load", options(tenant), check=True)
    real = run_module("tenant_load", options(tenant))
    for result in (planned, real):
        assert result["failed"] is True
        assert result["error"] == "data_refused"
        assert "videos.title: NUL character in text in 1 row(s), key (source_id=a, id=v3)" in result["msg"]
        assert result["findings"][0]["first_keys"] == ["(source_id=a, id=v3)"]
    assert state_of(tenant) == before


def test_rows_that_nobody_loaded_fail_the_task_and_stay(tenant: Tenant) -> None:
    run_modules([translation(tenant)])
    tenant.database.run("INSERT INTO sx_a.videos VALUES ('a', 'v1', 'mine', 1)")
    before = state_of(tenant)
    result = run_module("tenant_load", options(tenant))
    assert result["error"] == "target_not_empty"
    assert "sx_a.videos holds 1 row(s) that nobody loaded" in result["msg"]
    assert state_of(tenant) == before


def test_a_schema_in_the_way_is_kept_under_another_name_with_its_rows(tenant: Tenant) -> None:
    run_modules([translation(tenant), ("tenant_load", options(tenant))])
    archive = {**options(tenant), "state": "archived", "archive_suffix": "kept"}
    before = state_of(tenant)
    planned = run_module("tenant_schema", archive, check=True, diff=True)
    assert (planned["changed"], planned["archived_as"]) == (True, "sx_a_kept")
    assert planned["diff"] == {"before": {"schema": "sx_a"}, "after": {"schema": "sx_a_kept"}}
    assert state_of(tenant) == before
    done, again, schema, load = run_modules(
        [("tenant_schema", archive), ("tenant_schema", archive), translation(tenant), ("tenant_load", options(tenant))]
    )
    assert (done["changed"], done["schema_exists"], again["changed"]) == (True, False, False)
    assert tenant.database.run("SELECT count(*) FROM sx_a_kept.videos") == [(30,)]
    assert "schema sx_a" in schema["actions"]
    assert {table["action"] for table in load["tables"]} == {"load"}


def test_a_hostile_source_id_is_refused_by_every_module_before_anything_happens(tenant: Tenant) -> None:
    before = state_of(tenant)
    modules = itertools.cycle(MODULES)
    calls = [
        (module, options(tenant, source_id=source_id)) for source_id, module in zip(HOSTILE, modules, strict=False)
    ]
    for (_module, given), result in zip(calls, run_modules(calls), strict=True):
        assert result["failed"] is True
        assert result["error"] == "profile_refused", result
        assert given["source_id"] == "" or repr(given["source_id"]) in result["msg"]
        assert "Traceback" not in json.dumps(result)
    assert state_of(tenant) == before


def test_two_ids_with_one_schema_are_refused_by_name(tenant: Tenant) -> None:
    first, second, third = run_modules(
        [
            translation(tenant, source_id="a.b"),
            translation(tenant, source_id="a-b"),
            translation(tenant, source_id="c.d", known_profiles={"c-d": "sx_c_d"}),
        ]
    )
    assert first["schema_name"] == "sx_a_b"
    for result, other in ((second, "a.b"), (third, "c-d")):
        assert result["error"] == "profile_refused"
        assert result["other_source_id"] == other
        assert repr(other) in result["msg"]
    assert tenant.database.run("SELECT source_id FROM public.sx_source_registry") == [("a.b",)]
    assert tenant.database.run("SELECT 1 FROM pg_namespace WHERE nspname = 'sx_c_d'") == []
    tenant.database.run("DROP SCHEMA sx_a_b CASCADE")


def test_a_server_that_refuses_or_is_not_there_is_named_without_the_password(tenant: Tenant) -> None:
    right = urllib.parse.urlsplit(tenant.database.dsn)
    wrong = f"postgresql://postgres:n0t-This@127.0.0.1:{right.port}/tenant_modules"
    nobody = "postgresql://postgres:n0t-This@127.0.0.1:1/tenant_modules"
    parts = {"dsn": None, "login_host": "127.0.0.1", "login_port": 1, "login_db": "x", "login_password": "n0t-This"}
    results = run_modules(
        [
            ("tenant_schema", options(tenant, dsn=wrong)),
            ("tenant_load", options(tenant, dsn=nobody)),
            ("tenant_parity", options(tenant, **parts)),
            ("tenant_schema", options(tenant, dsn=f"postgresql://postgres:oops@n0t-This@127.0.0.1:{right.port}/x")),
        ]
    )
    said = ["refused the login", "cannot be reached at 127.0.0.1:1", "cannot be reached", "percent-encoded"]
    for part, result in zip(said, results, strict=True):
        assert result["failed"] is True
        assert result["error"] == "postgres", result
        assert "n0t-This" not in json.dumps(result)
        assert "Traceback" not in json.dumps(result)
        assert part in result["msg"]
    assert [result.get("reason") for result in results[:2]] == ["authentication", "unreachable"]


def test_a_file_that_is_no_whole_database_is_refused_in_words(tenant: Tenant, tmp_path: Path) -> None:
    (tmp_path / "text.db").write_text("no database " * 100)
    (tmp_path / "empty.db").touch()
    (tmp_path / "cut.db").write_bytes(tenant.sqlite_path.read_bytes()[:-4096])
    (tmp_path / "folder.db").mkdir()
    files = ["missing.db", "text.db", "empty.db", "cut.db", "folder.db"]
    calls = [("tenant_load", name) for name in files]
    calls += [("tenant_parity", "missing.db"), ("tenant_parity", "cut.db"), ("tenant_schema", "missing.db")]
    more = {"tenant_schema": {"tables": "translate"}}
    results = run_modules(
        [(module, options(tenant, sqlite_path=str(tmp_path / name), **more.get(module, {}))) for module, name in calls]
    )
    for (_module, name), result in zip(calls, results, strict=True):
        assert result["failed"] is True
        assert result["error"] == "sqlite", result
        assert str(tmp_path / name) in result["msg"]
        assert "Traceback" not in json.dumps(result)
    assert not (tmp_path / "missing.db").exists()


def test_another_snapshot_than_the_verified_one_is_refused(tenant: Tenant) -> None:
    _schema, result = run_modules([translation(tenant), ("tenant_load", options(tenant, snapshot_sha256="0" * 64))])
    assert result["error"] == "backup"
    assert tenant.database.run("SELECT count(*) FROM sx_a.videos") == [(0,)]


def test_a_profile_without_a_schema_says_how_to_get_one(tenant: Tenant) -> None:
    for result in run_modules([("tenant_load", options(tenant)), ("tenant_parity", options(tenant))]):
        assert result["error"] == "postgres"
        assert "Schema sx_a of source_id 'a' does not exist" in result["msg"]
        assert "tenant_schema" in result["msg"]


def test_a_table_that_cannot_be_translated_fails_the_task_by_name(tenant: Tenant) -> None:
    tenant.sqlite("CREATE TABLE odd (source_id TEXT, x TEXT COLLATE RTRIM CHECK (date(x) > ''))")
    before = state_of(tenant)
    for check in (True, False):
        result = run_module(*translation(tenant), check=check)
        assert result["error"] == "schema_refused"
        assert len(result["refusals"]) == 2
        assert "table odd: CHECK constraint 1: the function date has no exact counterpart" in result["msg"]
    assert state_of(tenant) == before


def test_a_password_that_is_an_ordinary_word_does_not_break_the_result(tenant: Tenant) -> None:
    """A result is read by roles: its keys stay what they are, whatever the password is."""
    tenant.database.run("DROP ROLE IF EXISTS reader; CREATE ROLE reader LOGIN SUPERUSER PASSWORD 'tables'")
    dsn = urllib.parse.urlsplit(tenant.database.dsn)
    own = dsn._replace(netloc=f"reader:tables@{dsn.hostname}:{dsn.port}").geturl()
    result = run_module("tenant_schema", {"source_id": "a", "dsn": own})
    assert result["tables"] == []
    tenant.database.run("DROP OWNED BY reader; DROP ROLE reader")


def test_the_schema_public_is_never_moved_aside(tenant: Tenant) -> None:
    result = run_module("tenant_schema", {**options(tenant), "schema_name": "public", "state": "archived"})
    assert result["failed"] and result["error"] == "profile_refused"
    assert "Schema public" in result["msg"] and "Nothing was changed" in result["msg"]
