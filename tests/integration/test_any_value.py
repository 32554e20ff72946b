# SPDX-License-Identifier: GPL-3.0-or-later
"""Any value of SQLite in a column of any type, under any policies, arrives equal or is refused by the census.

COPY is never the one that refuses. What arrived is read back by plain means, not by the codec that moved it; and two
rows have one canonical text exactly where they hold the same value.
"""

from __future__ import annotations

import contextlib
import datetime
import io
import json
import math
import re
import sqlite3
import struct
import uuid
from collections.abc import Iterator, Mapping
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from _databases import Database, fresh_database
from _servers import Server
from ansible_collections.sxops.pg_cutover.plugins.module_utils import (
    _census,
    _postgres_store,
    _sqlite_store,
    _table_plan,
    _value_kinds,
)
from ansible_collections.sxops.pg_cutover.plugins.module_utils._parity import compare_table
from ansible_collections.sxops.pg_cutover.plugins.module_utils._planned_table import TablePlan
from ansible_collections.sxops.pg_cutover.plugins.module_utils._policies import CONVERTIBLE, REFUSABLE
from ansible_collections.sxops.pg_cutover.plugins.module_utils._row_codec import (
    csv_options,
    postgres_row,
    sqlite_csv_row,
    sqlite_row,
)
from ansible_collections.sxops.pg_cutover.plugins.module_utils._verdict import PASSED
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from psycopg2 import sql

# An inherited fixture is the same for every example: it is only a way to the server.
PROPERTY = settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
UTC = datetime.UTC
EPOCH = datetime.datetime(1970, 1, 1, tzinfo=UTC)

TYPES = {
    "smallint": "integer",
    "integer": "integer",
    "bigint": "integer",
    "text": "text",
    "varchar(4)": "text",
    "short": "text",
    "mood": "text",
    "public.citext": "text",
    "char(3)": "text",
    "json": "text",
    "jsonb": "jsonb",
    "double precision": "float",
    "real": "real",
    "numeric": "numeric",
    "numeric(6,2)": "numeric",
    "money_amount": "numeric",
    "boolean": "boolean",
    "bytea": "bytea",
    "date": "text",
    "time": "time",
    "time(1)": "time",
    "timestamptz": "moment",
    "timestamptz(0)": "moment",
    "timestamp": "moment",
    "timestamp(3)": "moment",
    "uuid": "uuid",
}

TEXT = st.text(st.characters(blacklist_categories=["Cs"]), max_size=6)
DIGITS = st.from_regex(r"[+-]?[0-9]{0,20}\.?[0-9]{0,20}([eE][+-]?[0-9]{1,3})?", fullmatch=True)
CLOCKS = st.from_regex(r"[0-2][0-9]:[0-6][0-9](:[0-6][0-9](\.[0-9]{1,7})?)?", fullmatch=True)
DAYS = st.from_regex(r"(0|1|2|9)[09][0-9][0-9]-[01][0-9]-[0-3][0-9]", fullmatch=True)
ZONES = st.sampled_from(["", "Z", "+00", "+05:30", "-0800", "+15:59", "-16", "+24", " UTC"])
MOMENTS = st.builds(
    lambda day, between, clock, zone: day + between + clock + zone, DAYS, st.sampled_from("T "), CLOCKS, ZONES
)
JSONS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=5,
)
VALUES = (
    st.none()
    | st.integers(-(2**63), 2**63 - 1)
    | st.sampled_from([0, 1, 2, -1, 5, 2**15, 2**31, 2**53, 2**53 + 1, 2**60 + 24, 1700000000, 1627303906122, 10**11])
    | st.floats(allow_nan=False)
    | st.floats(allow_nan=False, width=32)
    | st.floats(-1e12, 1e12)
    | st.floats(1721425, 5373485)
    | st.sampled_from(
        [-0.0, 5e-324, 1e308, 0.1, 1.005, 1e16, math.inf, -math.inf, 2460000.5, float(2**60), 1.0, 999.994]
    )
    | st.decimals(-99999, 99999, places=2).map(float)
    | TEXT
    | DIGITS
    | CLOCKS
    | DAYS
    | MOMENTS
    | JSONS.map(json.dumps)
    | JSONS.map(lambda value: json.dumps(value, ensure_ascii=False, indent=1))
    | st.uuids().map(str)
    | st.uuids().map(lambda value: value.hex.upper())
    | st.sampled_from(
        ["", "1", "0", "true", "ON", "y", "yes ", "2024-02-30", "\x00", "\\x00", "\\x0", "\\xAbcD", "\\X41"]
    )
    | st.sampled_from(
        ["abcd", "abcde", "a ", "ab  ", " a", "it's", "b", "it's ", "Bob", "bob", "NaN", "Infinity", "0x1F"]
    )
    | st.sampled_from(["24:00", "23:59:60", "{6F9619FF-8B86-D011-B42D-00C04FC964FF}", "now", "today", "infinity", "-0"])
    | st.sampled_from(['{"b": 1.50, "aa": [1e2, -0.0, "\\u00e9\\n\\u0001"], "a": {}}', '"\\u0000"', '["\\ud83d"]', "["])
    | st.sampled_from(['{"a":1,"a":2}', "1e999", "[1e400]", '"\\ud83d\\ude00"', "01", "1.", " 1 ", "'1'", "true"])
    | st.sampled_from(
        ["x" * 1024, "x" * 1025, "é" * 513, "\x01", "\x02", "\x01\x02", '"', '""', "\\.", "\n", "\r\n", ","]
    )
    | st.binary(max_size=6)
    | st.binary(min_size=16, max_size=16)
    | st.binary(min_size=1020, max_size=1030)
    | st.binary(max_size=4).map(lambda octets: (octets,))  # a text of these octets, valid or not
)
POLICIES = st.fixed_dictionaries(
    {},
    optional={
        **dict.fromkeys(CONVERTIBLE, st.sampled_from(["convert", "convert", "quarantine", "refuse"])),
        **dict.fromkeys(REFUSABLE, st.sampled_from(["quarantine", "refuse"])),
    },
)


@pytest.fixture(scope="module")
def database(server: Server) -> Iterator[Database]:
    with fresh_database(server, "any_value") as found:
        found.run(
            "CREATE SCHEMA s;"
            "CREATE TYPE s.mood AS ENUM ('it''s', 'b', ''); CREATE DOMAIN s.short AS varchar(3);"
            "CREATE DOMAIN s.money_base AS numeric(6,2); CREATE DOMAIN s.money_amount AS s.money_base"
        )
        yield found


@pytest.fixture(scope="module", params=list(TYPES))
def typed(database: Database, request: pytest.FixtureRequest) -> Iterator[tuple[Any, str]]:
    """A session, and what sort of type the column of table t has there."""
    if request.param == "public.citext":
        if not database.run("SELECT 1 FROM pg_available_extensions WHERE name = 'citext'"):
            pytest.skip("this PostgreSQL has no citext")
        database.run("CREATE EXTENSION IF NOT EXISTS citext SCHEMA public")
    database.run(f"SET search_path TO s; DROP TABLE IF EXISTS t; CREATE TABLE t (id bigint, x {request.param})")
    with contextlib.closing(_postgres_store.connect({"dsn": database.dsn})) as connection:
        yield connection, TYPES[request.param]


def sqlite_with(values: list[Any]) -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, x)")
    for number, value in enumerate(values):
        if isinstance(value, tuple):
            connection.execute("INSERT INTO t VALUES (?, CAST(? AS TEXT))", (number, *value))
        else:
            connection.execute("INSERT INTO t VALUES (?, ?)", (number, value))
    return connection


def plan_of(source: sqlite3.Connection, connection: Any, policies: Mapping[str, str]) -> TablePlan:
    targets = _postgres_store.read_tables(connection, "s")
    plan = _table_plan.make_plan(
        _sqlite_store.read_catalog(source), targets, tenant_column=None, schema_name="s", policies=policies
    )
    plan.refuse()
    return plan.tables[0]


@PROPERTY
@given(values=st.lists(VALUES, max_size=12), policies=POLICIES)
@example(values=[-0.0, 5e-324, math.inf, 0, 1, None, "-0", "0.0"], policies={"text_as_number": "convert"})
@example(values=[b"", None, b"\x00", "\\x00", "A"], policies={"hex_as_bytes": "convert", "text_as_bytes": "convert"})
@example(values=[12345, 0.1 + 0.2, "ab ", 1.0], policies={"number_as_text": "convert"})
@example(values=[137438953472.625], policies={"epoch_seconds": "convert"})
@example(values=[(b"caf\xe9",), (b"ok",), "", None, "\\N"], policies={})
def test_any_value_arrives_equal_or_is_refused(
    typed: tuple[Any, str], values: list[Any], policies: dict[str, str]
) -> None:
    connection, sort = typed
    with contextlib.closing(sqlite_with(values)) as source:
        plan = plan_of(source, connection, policies)
        held = dict(source.execute("SELECT id, x FROM t WHERE typeof(x) <> 'text'").fetchall())
        held.update(
            (number, octets.decode("utf-8", "surrogateescape"))
            for number, octets in source.execute("SELECT id, CAST(x AS BLOB) FROM t WHERE typeof(x) = 'text'")
        )
        _value_kinds.prepare(source)
        census = _census.take_census(source, plan, "a")
        source.execute("BEGIN")
        for key in {key for finding in census.findings for key in finding.first_keys}:
            source.execute(f"DELETE FROM t WHERE {key[1:-1]}")
        where, _values = _census.tenant_filter(plan, "a")
        lines = source.execute(f"SELECT {sqlite_csv_row(plan.source_codec, census.marked)} FROM t WHERE {where}")
        copy = sql.SQL("COPY s.t (id, x) FROM STDIN {}").format(csv_options(plan.target_codec, census.marked))
        with connection.cursor() as cursor:
            try:
                cursor.copy_expert(copy, io.BytesIO(b"".join(line + b"\n" for (line,) in lines)))
                ours = dict(source.execute(f"SELECT id, {sqlite_row(plan.source_codec)} FROM t WHERE {where}"))
                cursor.execute(sql.SQL("SELECT id, textsend({}) FROM s.t").format(postgres_row(plan.target_codec)))
                assert {number: bytes(text) for number, text in cursor} == ours
                cursor.execute("SELECT id, x, x::text FROM s.t")
                arrived = {number: (value, text) for number, value, text in cursor}
                assert set(arrived) == set(ours)
                if arrived:
                    assert compare_table(source, connection, plan, "s", "a").verdict == PASSED
            finally:
                connection.rollback()
        meanings = {number: meaning_here(sort, held[number]) for number in arrived}
        assert {number: meaning_there(sort, *arrived[number]) for number in arrived} == meanings
        texts = {number: text.partition(b";")[2] for number, text in ours.items()}
        for one in arrived:
            for other in arrived:
                assert (texts[one] == texts[other]) == (meanings[one] == meanings[other])


# What a value means, told by the standard library: of what SQLite holds, and of what PostgreSQL gives back.

TRUE = ("t", "true", "y", "yes", "on", "1")
FALSE = ("f", "false", "n", "no", "off", "0")


def meaning_here(sort: str, value: Any) -> Any:
    if value is None:
        return None
    if sort == "integer":
        return int(value)
    if sort == "text":
        return value if isinstance(value, str) else repr(value)
    if sort == "jsonb":
        return json_meaning(value)
    if sort in ("float", "real"):
        return bits(sort, float(value))
    if sort == "numeric":
        return Decimal(value if isinstance(value, str) else repr(value))
    if sort == "boolean":
        return (
            value.lower() in TRUE
            if isinstance(value, str) and value.lower() in TRUE + FALSE
            else {0: False, 1: True}[value]
        )
    if sort == "bytea":
        if isinstance(value, bytes):
            return value
        return (
            bytes.fromhex(value[2:])
            if re.fullmatch(r"\\x([0-9a-fA-F]{2})*", value)
            else value.encode("utf-8", "surrogateescape")
        )
    if sort == "uuid":
        return uuid.UUID(bytes=value) if isinstance(value, bytes) else uuid.UUID(value)
    return clock(value) if sort == "time" else moment(value)


def meaning_there(sort: str, value: Any, text: str | None) -> Any:
    if text is None:
        return None
    if sort == "text":
        return text
    if sort == "jsonb":
        return json_meaning(text)
    if sort in ("float", "real"):
        return bits(sort, float(text))
    if sort == "bytea":
        return bytes(value)
    if sort == "uuid":
        return uuid.UUID(text)
    if sort == "time":
        return clock(text)
    if sort == "moment":
        return moment(text)
    return value


def bits(sort: str, number: float) -> bytes:
    return struct.pack(">f" if sort == "real" else ">d", number)


def json_meaning(text: str) -> Any:
    # jsonb keeps the zeros after the point, and no sign of a zero. A number or null is taken for nothing else.
    def number(digits: str) -> tuple[str, str]:
        value = Decimal(digits)
        return "number", format(value if value else abs(value), "f")

    return "json", json.loads(text, parse_float=number, parse_int=number)


def clock(text: str) -> tuple[str, ...]:
    hour, minute, second = [*text.split(":"), "0"][:3]
    return hour, minute, str(Decimal(second).normalize())


def moment(value: Any) -> datetime.datetime:
    if isinstance(value, str):
        value = re.sub(r"(\.\d*)", lambda digits: digits[0].rstrip("0").ljust(7, "0"), value)
        found = datetime.datetime.fromisoformat(value)
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    if isinstance(value, float) and 1721425.5 <= value <= 5373484.5:
        return EPOCH + datetime.timedelta(microseconds=round((Fraction(value) - Fraction(2440587.5)) * 86_400_000_000))
    seconds = Fraction(value) / (1000 if isinstance(value, int) and abs(value) >= 10**11 else 1)
    return EPOCH + datetime.timedelta(microseconds=round(seconds * 1_000_000))
