# SPDX-License-Identifier: GPL-3.0-or-later
"""Every value of a real SQLite file arrives equal in a real PostgreSQL, or is refused."""

from __future__ import annotations

import contextlib
import math
import sqlite3
import struct
import tempfile
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from _databases import (
    Database,
    Tenant,
    fresh_database,
    messages,
    with_policies,
)
from ansible_collections.sxops.pg_cutover.plugins.module_utils import (
    _census,
    _sqlite_store,
)
from ansible_collections.sxops.pg_cutover.plugins.module_utils._errors import (
    DataRefused,
)
from ansible_collections.sxops.pg_cutover.plugins.module_utils._verdict import FAILED, NOT_VERIFIED, PASSED
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from local_stack.stack import Stack

# An inherited fixture is the same for every example: it is only a way to the server.
PROPERTY = settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))


NASTY = [
    "",
    " ",
    "'",
    '"',
    '""',
    ",",
    "\\",
    "\\N",
    "\\.",
    "a\n\\.\nb",
    "\\.\n",
    "\n",
    "\r",
    "a\r\nb",
    "\t",
    "\x03\x1f\x7f",
    "\ufeff",
    "ä😀\u202e\U0010ffff",
    "NULL",
    "~",
    "1:a",
    "%s %(x)s {x} $1",
    "x" * 300_000,
]


@pytest.fixture(scope="module")
def database(stack: Stack) -> Iterator[Database]:
    with fresh_database(stack, "values") as found:
        yield found


@pytest.fixture
def tenant(database: Database, tmp_path: Path) -> Tenant:
    """A whole file that is one profile's; the test makes the tables."""
    return Tenant(database, tmp_path / "snapshot.db")


KINDS = {
    "smallint": "int2",
    "integer": "int4",
    "bigint": "int8",
    "text": "text",
    "varchar(4)": "text",
    "double precision": "float8",
    "numeric": "numeric",
    "numeric(6,2)": "numeric",
    "boolean": "bool",
    "bytea": "bytea",
    "real": "float4",
    "char(3)": "bpchar",
    "date": "date",
    "time": "time",
    "timestamptz": "timestamptz",
    "timestamp(3)": "timestamp",
    "uuid": "uuid",
    "json": "json",
    "jsonb": "jsonb",
}
TEXT = st.text(st.characters(blacklist_categories=["Cs"]), max_size=6)
VALUES = (
    st.none()
    | st.integers(-(2**63), 2**63 - 1)
    | st.sampled_from([0, 1, 2, -1, 2**15, 2**31, 2**53, 2**53 + 1])
    | st.floats(allow_nan=False)
    | st.sampled_from([-0.0, 5e-324, 1e308, 0.1, 1.005, 1e16, math.inf, -math.inf])
    | st.decimals(-9999, 9999, places=2).map(float)
    | TEXT
    | st.sampled_from(["", "1", "true", "2024-02-30", "\x00", "\\x00", "abcd", "abcde", "a ", " a"])
    | st.sampled_from(["2024-02-29", "2024-02-29T01:02:03.004Z", "2024-02-29 01:02:03.0045", "0001-01-01 00:00+14:00"])
    | st.sampled_from(["23:59:59.999999", "24:00", "6F9619FF-8B86-D011-B42D-00C04FC964FF", "9999-12-31 23:59-10"])
    | st.sampled_from(
        ['{"b": 1.50, "aa": [1e2, -0.0, "\\u00e9\\n\\u0001"], "a": {}}', '"\\u0000"', "[", "NaN", "1e999"]
    )
    | st.binary(max_size=6)
    | st.binary(min_size=16, max_size=16)
)
EXACT = ("int2", "int4", "int8", "text", "float8", "numeric", "bool", "bytea", "bpchar")


@pytest.fixture(scope="module", params=list(KINDS))
def typed(database: Database, request: pytest.FixtureRequest) -> tuple[Tenant, str]:
    """A table with a key and a column of one type."""
    tenant = Tenant(database, Path(), source_id="typed")
    tenant.create_schema(f"CREATE TABLE t (id bigint PRIMARY KEY, x {request.param})")
    return tenant, KINDS[request.param]


def as_read(kind: str, value: Any) -> Any:
    """Return what a PostgreSQL client reads of a value that arrived equal."""
    if value is None:
        return None
    if kind == "numeric":
        return Decimal(repr(value))
    if kind == "bool":
        return bool(value)
    return float(value) if kind == "float8" else value


@PROPERTY
@given(values=st.lists(VALUES | st.binary(max_size=4).map(lambda octets: (octets,)), max_size=12))
@example(values=[-0.0, 5e-324, math.inf, 0, 1, None])
@example(values=[b"", None, b"\x00"])
@example(values=["", None, "\\N"])
@example(values=[(b"caf\xe9",), (b"ok",)])
def test_any_value_of_sqlite_arrives_equal_or_is_refused(typed: tuple[Tenant, str], values: list[Any]) -> None:
    """A tuple stands for text made of these octets, valid or not."""
    with tempfile.TemporaryDirectory() as folder:
        tenant = Tenant(typed[0].database, Path(folder) / "x.db", source_id="typed")
        tenant.sqlite("CREATE TABLE t (id INTEGER PRIMARY KEY, x)")
        for number, value in enumerate(values):
            if isinstance(value, tuple):
                tenant.sqlite(("INSERT INTO t VALUES (?, CAST(? AS TEXT))", (number, *value)))
            else:
                tenant.sqlite(("INSERT INTO t VALUES (?, ?)", (number, value)))
        tenant.postgres(f"TRUNCATE t; DELETE FROM sxops_cutover.load WHERE schema_name = '{tenant.schema}'")
        with tenant.stores() as stores:
            (plan,) = stores.plan.tables
            findings = _census.take_census(stores.source, plan, "typed").findings
        refused = {key for finding in findings for key in finding.first_keys}
        if refused:
            with pytest.raises(DataRefused):
                tenant.load()
            assert tenant.postgres("SELECT count(*) FROM t") == [(0,)]
        tenant.sqlite(*(f"DELETE FROM t WHERE {key[1:-1]}" for key in refused))
        with contextlib.closing(sqlite3.connect(tenant.sqlite_path)) as connection:
            stored = connection.execute("SELECT id, x FROM t ORDER BY id").fetchall()
        assert tenant.load()["rows"] == len(stored)
        assert tenant.parity().verdict == (PASSED if stored else NOT_VERIFIED)
        if typed[1] not in EXACT:
            return  # whose values have many spellings: their texts are compared in the tests of _value_texts
        arrived = tenant.postgres(
            "SELECT id, rtrim(x) FROM t ORDER BY id" if typed[1] == "bpchar" else "SELECT id, x FROM t ORDER BY id"
        )
        arrived = [(number, bytes(x) if isinstance(x, memoryview) else x) for number, x in arrived]
        assert arrived == [(number, as_read(typed[1], x)) for number, x in stored]
        assert [bits(x) for _number, x in arrived] == [bits(as_read(typed[1], x)) for _number, x in stored]


def bits(value: Any) -> Any:
    return struct.pack(">d", value) if isinstance(value, float) else value


@pytest.mark.parametrize("journal", ["delete", "wal"])
@pytest.mark.parametrize("marks", [[], ["\x01", "\x02", "\x01\x02"]], ids=["without marks", "with the codec's marks"])
def test_text_arrives_octet_by_octet(tenant: Tenant, journal: str, marks: list[str]) -> None:
    texts = [*NASTY, *marks, None]
    tenant.sqlite(
        f"PRAGMA journal_mode = {journal}",
        "CREATE TABLE t (id INTEGER PRIMARY KEY, x TEXT)",
        *(("INSERT INTO t VALUES (?, ?)", (number, text)) for number, text in enumerate(texts)),
    )
    tenant.create_schema("CREATE TABLE t (id int PRIMARY KEY, x text)")
    tenant.load()
    assert [x for (x,) in tenant.postgres("SELECT x FROM t ORDER BY id")] == texts
    assert tenant.parity().verdict == PASSED


@pytest.mark.parametrize(
    ("declared", "values"),
    [
        ("text", ["x", "", None, None, "\\.", "\\N", "\n", ""]),
        ("int", [1, None, None, 1]),
        ("bytea", [b"", None, b"\\.", None]),
        ("double precision", [0.5, None, None, math.inf]),
    ],
)
def test_a_table_of_one_column_keeps_null_apart_and_every_duplicate(
    tenant: Tenant, declared: str, values: list[Any]
) -> None:
    tenant.sqlite("CREATE TABLE t (x)", *(("INSERT INTO t VALUES (?)", (value,)) for value in values))
    tenant.create_schema(f"CREATE TABLE t (x {declared})")
    tenant.load()
    found = [bytes(x) if isinstance(x, memoryview) else x for (x,) in tenant.postgres("SELECT x FROM t")]
    assert sorted(map(repr, found)) == sorted(map(repr, values))
    assert tenant.parity().verdict == PASSED


def test_a_wide_table_travels(tenant: Tenant) -> None:
    names = [f'"{n} % "' for n in range(600)]
    tenant.sqlite(
        f"CREATE TABLE t (id INTEGER PRIMARY KEY, {', '.join(f'{name} TEXT' for name in names)})",
        f"INSERT INTO t (id, {names[0]}, {names[-1]}) VALUES (1, 'first', 'last')",
    )
    tenant.create_schema(f"CREATE TABLE t (id int PRIMARY KEY, {', '.join(f'{name} text' for name in names)})")
    tenant.load()
    assert tenant.parity().verdict == PASSED


def test_large_values_travel_in_pieces(tenant: Tenant) -> None:
    tenant.sqlite("CREATE TABLE t (x BLOB)", "INSERT INTO t VALUES (zeroblob(6000000)), (randomblob(1000000)), (x'')")
    tenant.create_schema("CREATE TABLE t (x bytea)")
    tenant.load()
    assert tenant.parity().verdict == PASSED


@pytest.mark.parametrize("name", ["select", "MiXeD Case", 'quo"te', "per%cent", "%s", "ä€", "a.b", "it's", "{x}"])
def test_any_identifier_travels_and_is_compared_and_reported(tenant: Tenant, name: str) -> None:
    q = _sqlite_store.quote(name)
    tenant.sqlite(
        f"CREATE TABLE {q} ({q} INTEGER PRIMARY KEY, s TEXT)",
        f"CREATE TABLE child (id INTEGER PRIMARY KEY, {q} INTEGER REFERENCES {q}, s TEXT)",
        f"INSERT INTO {q} VALUES (1, 'a'), (2, 'a')",
        "INSERT INTO child VALUES (1, 2, 'a')",
    )
    tenant.create_schema(
        f"CREATE TABLE {q} ({q} int GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, s text);"
        f"CREATE TABLE child (id int PRIMARY KEY, {q} int REFERENCES {q}, s text)"
    )
    tenant = Tenant(tenant.database, tenant.sqlite_path, options={"tenant_column": "s"})
    tenant.load()
    assert tenant.parity().verdict == PASSED
    assert tenant.actions() == {name: "keep", "child": "keep"}
    tenant.postgres(f"UPDATE {q} SET s = 'b' WHERE {q} = 2")
    assert f"different {name} ({name}=2) in column(s) s" in messages(tenant)


SPELLINGS = [
    ("timestamptz", "2024-02-29T12:34:56.120+05:30", "2024-02-29 07:04:56.12+00"),
    ("timestamptz", "2024-02-29 12:34Z", "2024-02-29 12:34:00+00"),
    ("timestamptz", "0001-01-01T00:00:00+00", "0001-01-01 00:00:00+00"),
    ("timestamp", "2024-02-29", "2024-02-29 00:00:00"),
    ("timestamp(3)", "9999-12-31T23:59:59.999", "9999-12-31 23:59:59.999"),
    ("date", "2024-02-29", "2024-02-29"),
    ("time", "01:02", "01:02:00"),
    ("time(1)", "01:02:03.100", "01:02:03.1"),
    ("uuid", "6F9619FF8B86D011B42D00C04FC964FF", "6f9619ff-8b86-d011-b42d-00c04fc964ff"),
    ("uuid", b"0123456789abcdef", "30313233-3435-3637-3839-616263646566"),
    ("json", ' {"b":1,"b":2}', ' {"b":1,"b":2}'),
    ("jsonb", '{"bb":1.50,"a":[1E2,-0.0,0E+5,"\\u00e9\\/\\u007f\\t"],"é":null}', None),
    ("real", 0.5, "0.5"),
    ("char(4)", "ab", "ab"),
    ("mood", "it's", "it's"),
    ("short", "abc", "abc"),
    ("money_amount", 1.25, "1.25"),
]


@pytest.mark.parametrize(("declared", "value", "text"), SPELLINGS)
def test_a_type_that_sqlite_does_not_have_takes_what_it_can_give_back(
    tenant: Tenant, declared: str, value: Any, text: str | None
) -> None:
    tenant.sqlite("CREATE TABLE t (id INTEGER PRIMARY KEY, x)", ("INSERT INTO t VALUES (1, ?), (2, NULL)", (value,)))
    tenant.create_schema(
        "CREATE TYPE mood AS ENUM ('it''s', 'b'); CREATE DOMAIN short AS varchar(3);"
        " CREATE DOMAIN money_base AS numeric(6,2); CREATE DOMAIN money_amount AS money_base;"
        f"CREATE TABLE t (id int PRIMARY KEY, x {declared})"
    )
    tenant.load()
    assert tenant.parity().verdict == PASSED
    assert tenant.actions() == {"t": "keep"}
    if text is not None:
        assert tenant.postgres("SET timezone TO 'UTC'; SELECT x::text FROM t ORDER BY id") == [(text,), (None,)]
    tenant.postgres("UPDATE t SET x = NULL")
    assert "different t (id=1) in column(s) x" in messages(tenant)


@pytest.mark.parametrize("key", ["uuid", "timestamptz", "date", "citext", "char(40)"])
def test_a_key_of_such_a_type_is_sampled(tenant: Tenant, key: str) -> None:
    values = {
        "uuid": ["6F9619FF-8B86-D011-B42D-00C04FC964FF", b"0123456789abcdef"],
        "timestamptz": ["2024-01-01T00:00Z", "2024-01-01T00:30+01:00"],
        "date": ["2024-01-01", "2023-01-01"],
    }.get(key, ["b", "A"])
    if key == "citext" and not tenant.database.run("SELECT 1 FROM pg_available_extensions WHERE name = 'citext'"):
        pytest.skip("this PostgreSQL has no citext")
    if key == "citext":
        tenant.database.run("CREATE EXTENSION IF NOT EXISTS citext SCHEMA public")
        key = "public.citext"
    tenant.sqlite(
        "CREATE TABLE t (k PRIMARY KEY, x TEXT) WITHOUT ROWID",
        *(("INSERT INTO t VALUES (?, 'x')", (value,)) for value in values),
    )
    tenant.create_schema(f"CREATE TABLE t (k {key} PRIMARY KEY, x text)")
    tenant.load()
    found = tenant.parity()
    assert found.verdict == PASSED
    assert "2 sampled rows of t" in {check.name for check in found.checks}


@pytest.mark.parametrize(
    ("declared", "value", "name", "arrives"),
    [
        ("boolean", "Yes", "boolean_text", "true"),
        ("boolean", "f", "boolean_text", "false"),
        ("boolean", "ON", "boolean_text", "true"),
        ("boolean", "0", "boolean_text", "false"),
        ("smallint", "+007", "text_as_number", "7"),
        ("bigint", "-9223372036854775808", "text_as_number", "-9223372036854775808"),
        ("numeric", "1.500", "text_as_number", "1.500"),
        ("numeric(6,2)", "-0.1", "text_as_number", "-0.10"),
        ("numeric", "12345678901234567890.12", "text_as_number", "12345678901234567890.12"),
        ("double precision", "1e22", "text_as_number", "1e+22"),
        ("double precision", "-0", "text_as_number", "-0"),
        ("real", "16777.215", "text_as_number", "16777.215"),
        ("bytea", "\\x00fF", "hex_as_bytes", "\\x00ff"),
        ("text", 5, "number_as_text", "5"),
        ("text", 1e22, "number_as_text", "1e+22"),
        ("bytea", 'é"', "text_as_bytes", "\\xc3a922"),
        ("timestamptz", "2024-01-01", "naive_time", "2024-01-01 00:00:00+00"),
        ("timestamp", "2024-01-01T00:00-08:00", "zoned_time", "2024-01-01 08:00:00"),
        ("timestamptz", 1700000000, "epoch_seconds", "2023-11-14 22:13:20+00"),
        ("timestamptz", -1, "epoch_seconds", "1969-12-31 23:59:59+00"),
        ("timestamp", 1627303906122, "epoch_milliseconds", "2021-07-26 12:51:46.122"),
        ("timestamp", 2460000.5, "julian_day", "2023-02-25 00:00:00"),
    ],
)
def test_a_named_conversion_is_refused_until_asked_for_and_read_back(
    tenant: Tenant, declared: str, value: Any, name: str, arrives: str
) -> None:
    tenant.sqlite("CREATE TABLE t (id INTEGER PRIMARY KEY, x)", ("INSERT INTO t VALUES (1, ?), (2, NULL)", (value,)))
    tenant.create_schema(f"CREATE TABLE t (id int PRIMARY KEY, x {declared})")
    with pytest.raises(DataRefused) as refusal:
        tenant.load()
    assert [finding["problem_class"] for finding in refusal.value.facts["findings"]] == [name]
    asked = with_policies(tenant, **{name: "convert"})
    asked.load()
    assert asked.postgres("SET timezone TO 'UTC'; SELECT x::text FROM t ORDER BY id") == [(arrives,), (None,)]
    assert asked.parity().verdict == PASSED
    assert asked.actions() == {"t": "keep"}
    if declared not in ("text", "bytea"):  # which compare by their octets
        assert tenant.parity().verdict == FAILED  # without the policy the two values are not the same
