# SPDX-License-Identifier: GPL-3.0-or-later
"""Rows from CSV files into a real PostgreSQL, proven there against the same files."""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psycopg2
import pytest
from _ansible import run_module
from _databases import Database, Tenant, fresh_database
from _module_process import run_process
from ansible_collections.sxops.pg_cutover.plugins.module_utils._errors import CsvError, DataRefused, SchemaRefused
from ansible_collections.sxops.pg_cutover.plugins.modules import tenant_load
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from local_stack.stack import Stack

VIDEOS = (
    "CREATE TABLE videos (source_id text NOT NULL, id int PRIMARY KEY, title text, score float8, price numeric(8,2),"
    " flag bool, body bytea, seen timestamptz, born date, code uuid, meta jsonb, grade varchar(3) DEFAULT 'new')"
)
HEADER = "seen,id,title,score,price,flag,body,born,code,meta"
UUID = "6f1f2f0e-0000-4000-8000-00000000000a"
LINE = f'2026-11-21T10:00:00Z,1,"a ""b"",\nc",0.1,12.50,true,\\x00ff,2026-11-21,{UUID},"{{""a"": 1}}"'


@pytest.fixture(scope="module")
def database(stack: Stack) -> Iterator[Database]:
    with fresh_database(stack, "csv") as found:
        yield found


class Files:
    """CSV files for the profile a, and its schema."""

    def __init__(self, database: Database, folder: Path) -> None:
        self.folder = folder
        self.tenant = Tenant(database, folder / "none.db")

    def write(self, table: str, text: str | bytes, **options: Any) -> dict[str, Any]:
        path = self.folder / f"{table}.csv"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return {"table": table, "path": str(path), "sha256": None, "delimiter": ",", "null_string": "", **options}

    def given(self, *files: dict[str, Any], **options: Any) -> Tenant:
        """Return the profile with these files instead of a SQLite file."""
        params = {"csv_files": list(files), "sqlite_path": None, "tenant_column": "source_id", **options}
        return replace(self.tenant, options=params)

    def load(self, *files: dict[str, Any], check: bool = False, **options: Any) -> dict[str, Any]:
        """Do what the module tenant_load does, in this process; nothing of it may be left in its folder."""
        scratch = self.folder / "tmp"
        scratch.mkdir(exist_ok=True)
        module = SimpleNamespace(params=self.given(*files, **options).params, check_mode=check, tmpdir=str(scratch))
        try:
            return tenant_load.load(module)
        finally:
            assert list(scratch.iterdir()) == []

    def arguments(self, *files: dict[str, Any], **options: Any) -> dict[str, Any]:
        """Return what a task says."""
        return {"source_id": "a", "dsn": self.tenant.database.dsn, "csv_files": list(files), **options}


@pytest.fixture
def files(database: Database, tmp_path: Path) -> Files:
    made = Files(database, tmp_path)
    made.tenant.create_schema(VIDEOS)
    return made


def test_the_modules_bring_files_over_once_and_prove_it(files: Files) -> None:
    file = files.write("videos", f"\ufeff{HEADER}\r\n{LINE.replace(chr(10), chr(13) + chr(10))}\r\n,2,,,,,,,,\r\n")
    given = files.arguments(file)
    planned = run_process("tenant_load", given, check=True, diff=True)
    assert (planned["changed"], planned["rows"], planned["planned_only"]) == (True, 2, False), planned
    assert files.tenant.postgres("SELECT * FROM videos") == []
    loaded = run_process("tenant_load", given)
    digest = hashlib.sha256(Path(file["path"]).read_bytes()).hexdigest()
    assert loaded["csv_files"] == [{**file, "sha256": digest, "rows": 2, "other_rows": 0}]
    assert "title (TEXT) to title (text)" in loaded["tables"][0]["columns"]

    rows = files.tenant.postgres("SELECT *, seen = '2026-11-21 10:00+00' AS same FROM videos ORDER BY id")
    first = dict(zip(["source_id", "id", "title", "score", "price", "flag", "body"], rows[0], strict=False))
    assert bytes(first.pop("body")) == b"\x00\xff"
    assert first == {
        "source_id": "a",
        "id": 1,
        "title": 'a "b",\r\nc',
        "score": 0.1,
        "price": Decimal("12.50"),
        "flag": True,
    }
    assert rows[0][9:] == (UUID, {"a": 1}, "new", True)
    assert rows[1][:2] == ("a", 2) and set(rows[1][2:11]) == {None}

    parity = run_module("tenant_parity", given, check=True)
    assert "verdict" in parity, parity["msg"]
    assert (parity["verdict"], parity["rows"], parity["changed"]) == ("passed", 2, False), parity
    again = run_process("tenant_load", given)
    assert (again["changed"], again["tables"][0]["action"]) == (False, "keep")

    files.tenant.postgres("UPDATE videos SET price = 12.51 WHERE id = 1")
    lie = run_process("tenant_parity", given)
    assert lie["error"] == "parity_failed"
    assert "different videos (id=1) in column(s) price" in lie["msg"]


def test_an_empty_text_is_not_null(files: Files) -> None:
    files.load(files.write("videos", 'id,title\n1,\n2,""\n3,NULL\n'))
    assert files.tenant.postgres("SELECT id, title FROM videos ORDER BY 1") == [(1, None), (2, ""), (3, "NULL")]


def test_the_options_of_copy_are_heeded(files: Files) -> None:
    file = files.write("videos", 'id;title\n1;NULL\n2;"NULL"\n3;\n', delimiter=";", null_string="NULL")
    files.load(file)
    assert files.tenant.postgres("SELECT id, title FROM videos ORDER BY 1") == [(1, None), (2, "NULL"), (3, "")]


def test_it_reads_what_copy_writes(files: Files) -> None:
    """The server writes the files of a schema, and the same rows stand in another one."""
    files.load(files.write("videos", f"{HEADER}\n{LINE}\n,2,,,,,,,,\n"))
    before = files.tenant.postgres("SELECT * FROM videos ORDER BY id")
    with psycopg2.connect(files.tenant.database.dsn) as connection, connection.cursor() as cursor:
        path = files.folder / "copied.csv"
        with path.open("wb") as stream:
            cursor.copy_expert("COPY sx_a.videos TO STDOUT (FORMAT csv, HEADER)", stream)
    files.tenant.create_schema(VIDEOS)
    # A boolean is written as t and f, a time with its zone.
    loaded = files.load(files.write("videos", path.read_bytes()))
    assert loaded["rows"] == 2
    assert files.tenant.postgres("SELECT * FROM videos ORDER BY id") == before


def test_rows_of_other_profiles_are_counted_and_stay_out(files: Files) -> None:
    loaded = files.load(files.write("videos", "source_id,id\na,1\nb,2\nb,3\n"))
    assert (loaded["rows"], loaded["csv_files"][0]["rows"], loaded["csv_files"][0]["other_rows"]) == (1, 3, 2)
    assert files.tenant.postgres("SELECT source_id, id FROM videos") == [("a", 1)]


def test_a_shared_table_can_have_a_file(files: Files) -> None:
    files.tenant.database.run(
        "DROP TABLE IF EXISTS public.sources; CREATE TABLE public.sources (id text PRIMARY KEY, label text)"
    )
    shared = {"name": "sources", "target": "public.sources", "key": "id", "columns": ["label"]}
    videos, sources = files.write("videos", "id\n1\n"), files.write("sources", "id,label\na,A\nb,B\n")
    loaded = files.load(videos, sources, shared_tables=[shared])
    assert loaded["shared_rows"] == ["insert row a of public.sources"]
    assert files.tenant.database.run("SELECT * FROM public.sources") == [("a", "A")]
    refused = run_process("tenant_load", files.arguments(videos, shared_tables=[shared]))
    assert refused["error"] == "bad_input"
    assert "shared_tables names sources, but csv_files has no file for it" in refused["msg"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is empty"),
        ("id,\n1,2\n", "column 2 has no name"),
        ("id,ID\n1,2\n", "several columns are named ID, id"),
        ("id,title\n1,a\n2\n", "line 3, cannot be read: it has 1 field(s), the header names 2"),
        ("id,title\n1,a\n\n", "line 3, cannot be read"),
        ("id,title\n1,a,\n", "line 2, cannot be read: it has 3 field(s)"),
        ("source_id,id\n,1\n", "line 2, belongs to no profile"),
        (b"id,title\n1,\xff\n", "line 2, cannot be read: octet 0xff is no UTF-8"),
        ('id,title\n1,"a\n', "line 2, cannot be read: a quote is never closed"),
    ],
)
def test_a_faulty_file_is_refused_by_line_and_nothing_is_loaded(files: Files, text: str | bytes, said: str) -> None:
    file = files.write("videos", text)
    for check in (True, False):
        with pytest.raises(CsvError) as caught:
            files.load(file, check=check)
        assert said in str(caught.value) and file["path"] in str(caught.value)
    assert files.tenant.postgres("SELECT * FROM videos") == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("id,colour\n1,red\n", "column videos.colour: the tenant schema has no such column"),
        ("title\nx\n", "column videos.id: the tenant schema needs a value for it"),
    ],
)
def test_columns_that_do_not_pair_are_refused_by_name(files: Files, text: str, said: str) -> None:
    with pytest.raises(SchemaRefused, match=said):
        files.load(files.write("videos", text))


def test_a_table_that_the_schema_does_not_have_is_refused_by_name(files: Files) -> None:
    with pytest.raises(SchemaRefused, match="table films: the tenant schema has no such table"):
        files.load(files.write("films", "id\n1\n"))


@pytest.mark.parametrize(
    ("column", "value", "problem_class"),
    [
        ("seen", "2026-11-21 10:00:00", "naive_time"),
        ("flag", "maybe", "storage_class"),
        ("score", "twelve", "storage_class"),
        ("id", "99999999999", "out_of_range"),
        ("price", "1.005", "inexact_number"),
        ("body", "\\xzz", "text_as_bytes"),
        ("born", "2024-02-30", "invalid_time"),
        ("code", "no", "invalid_uuid"),
        ("meta", "{", "invalid_json"),
        ("grade", "long", "too_long"),
        ("title", "a\0b", "nul_character"),
        ("id", "", "null_value"),
    ],
)
def test_what_a_column_cannot_hold_is_refused_by_its_line(
    files: Files, column: str, value: str, problem_class: str
) -> None:
    header, good, bad = ("id", "1", value) if column == "id" else (f"id,{column}", "1,", f"2,{value}")
    file = files.write(
        "videos", f'{header}\n{good}\n"{bad}"\n' if column == "id" and value else f"{header}\n{good}\n{bad}\n"
    )
    with pytest.raises(DataRefused) as caught:
        files.load(file)
    (finding,) = caught.value.facts["findings"]
    assert (finding["table"], finding["column"], finding["problem_class"]) == ("videos", column, problem_class)
    assert "line=3)" in finding["first_keys"][0]
    assert files.tenant.postgres("SELECT * FROM videos") == []


def test_policies_can_be_given_otherwise(files: Files) -> None:
    file = files.write("videos", "id,flag,seen,title\n1,true,2026-11-21 10:00:00,x\n")
    with pytest.raises(DataRefused, match=r"videos.flag: .* in 1 row\(s\), key \(id=1, line=2\)"):
        files.load(file, policies={"boolean_text": "refuse", "naive_time": "convert"})
    files.load(file, policies={"naive_time": "convert"})
    assert files.tenant.postgres("SELECT flag, seen = '2026-11-21 10:00+00' FROM videos") == [(True, True)]


def test_rows_set_aside_are_named_by_their_line_and_accounted_for(files: Files) -> None:
    file = files.write("videos", "id,title\n1,x\n2,a\0b\n")
    given = files.arguments(file, policies={"nul_character": "quarantine"})
    loaded = run_process("tenant_load", given)
    assert loaded["quarantine"][0]["first_keys"] == ["(id=2, line=3)"]
    parity = run_process("tenant_parity", given)
    assert parity["verdict"] == "passed", parity
    assert any("rows of videos in quarantine" in check["name"] for check in parity["checks"])


def test_another_file_than_the_one_that_was_meant_is_refused(files: Files) -> None:
    file = files.write("videos", "id\n1\n")
    right = hashlib.sha256(b"id\n1\n").hexdigest()
    files.load({**file, "sha256": right})
    Path(file["path"]).write_text("id\n1\n2\n")
    for module in ("tenant_load", "tenant_parity"):
        refused = run_process(module, files.arguments({**file, "sha256": right}))
        assert refused["error"] == "csv" and f"{file['path']} is not the one that was meant" in refused["msg"]
    assert files.tenant.postgres("SELECT id FROM videos") == [(1,)]


def test_what_does_not_go_together_is_refused(files: Files) -> None:
    file = files.write("videos", "id\n1\n")
    for options, said in (
        ({"csv_files": None}, "Neither sqlite_path nor csv_files says where the rows are"),
        ({"sqlite_path": "/x.db"}, "mutually exclusive: sqlite_path|csv_files"),
        ({"snapshot_sha256": "0"}, "mutually exclusive: snapshot_sha256|csv_files"),
        ({"csv_files": []}, "csv_files names no file"),
        ({"csv_files": [file, {**file, "table": "Videos"}]}, "csv_files names table videos twice"),
        ({"csv_files": [{**file, "delimiter": "::"}]}, "The delimiter '::' is not possible"),
        ({"csv_files": [{**file, "path": "/dev/null"}]}, "it is no regular file"),
        ({"csv_files": [{**file, "path": "/no/such.csv"}]}, "CSV file /no/such.csv cannot be read: No such file"),
    ):
        result = run_process("tenant_load", {**files.arguments(file), **options})
        assert result["failed"] is True and said in result["msg"], result
        assert "Traceback" not in json.dumps(result)


def test_a_column_named_like_the_rowid_is_a_column(files: Files) -> None:
    files.tenant.create_schema("CREATE TABLE odd (rowid int, _rowid_ text, title varchar(2))")
    file = files.write("odd", "rowid,_rowid_,title\n7,x,ok\n7,x,long\n")
    with pytest.raises(DataRefused, match=r"odd.title: .* key \(line=3\)"):
        files.load(file, tenant_column="")


def test_a_schema_that_does_not_exist_yet_is_planned(files: Files) -> None:
    files.tenant.database.run("DROP SCHEMA sx_a CASCADE")
    planned = files.load(files.write("videos", "id,title\n1,x\n"), check=True)
    assert (planned["planned_only"], planned["rows"]) == (True, 1)


VALUES = {
    "text": st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])),
    "int8": st.integers(-(2**63), 2**63 - 1).map(str),
    "float8": st.floats(allow_nan=False, allow_infinity=False).map(repr),
    "numeric": st.decimals(allow_nan=False, allow_infinity=False).map(lambda number: format(number, "f")),
    "bool": st.sampled_from(["t", "FALSE", "1", "off"]),
    "bytea": st.binary(max_size=9).map(lambda octets: "\\x" + octets.hex()),
    "date": st.dates().map(str),
    "uuid": st.uuids().map(str),
}


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_every_value_arrives_as_postgresql_itself_reads_it(files: Files, data: st.DataObject) -> None:
    """The oracle is the server's own COPY of the same file."""
    names = list(VALUES)
    rows = data.draw(st.lists(st.tuples(*(st.none() | VALUES[name] for name in names)), max_size=4))
    columns = ", ".join(f'"{name}" {name}' for name in names)
    files.tenant.create_schema(f"CREATE TABLE v ({columns}); CREATE TABLE w ({columns})")
    path = files.folder / "v.csv"
    with path.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream, lineterminator="\n").writerow(names)
        for row in rows:
            fields = ['"' + field.replace('"', '""') + '"' if field is not None else "" for field in row]
            stream.write(",".join(fields) + "\n")
    files.load(files.write("v", path.read_bytes()), tenant_column="")
    with (
        psycopg2.connect(files.tenant.database.dsn) as connection,
        connection.cursor() as cursor,
        path.open("rb") as stream,
    ):
        cursor.copy_expert("COPY sx_a.w FROM STDIN (FORMAT csv, HEADER)", stream)
    text = "SELECT t::text FROM {} AS t ORDER BY 1"
    assert files.tenant.postgres(text.format("v")) == files.tenant.postgres(text.format("w"))
