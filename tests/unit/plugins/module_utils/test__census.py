# SPDX-License-Identifier: GPL-3.0-or-later
"""The census of real SQLite values: every class of value that cannot travel, by table, column and key."""

from __future__ import annotations

import sqlite3
import typing as t
from contextlib import closing

import pytest
from ansible_collections.sxops.pg_cutover.plugins.module_utils import _postgres_store
from ansible_collections.sxops.pg_cutover.plugins.module_utils._census import refuse, take_census
from ansible_collections.sxops.pg_cutover.plugins.module_utils._errors import DataRefused
from ansible_collections.sxops.pg_cutover.plugins.module_utils._finding import NAMED_KEYS, Finding, show_key
from ansible_collections.sxops.pg_cutover.plugins.module_utils._planned_table import ColumnPlan, Reference, TablePlan
from ansible_collections.sxops.pg_cutover.plugins.module_utils._value_kinds import kind_of, prepare

Names = tuple[str, ...]


@pytest.fixture
def connection() -> t.Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as opened:
        prepare(opened)
        yield opened


def column(
    name: str,
    type_name: str,
    not_null: bool = False,
    declared: str | None = None,
    policies: t.Mapping[str, str] | None = None,
    labels: Names = (),
) -> ColumnPlan:
    declared = declared or type_name
    target = _postgres_store.Column(name, type_name, declared, not_null, False, "", False, None, labels)
    kind = kind_of(target, policies)
    assert kind
    return ColumnPlan(name, name, "", declared, kind, not_null)


def table_plan(
    *columns: ColumnPlan,
    key: Names = ("id",),
    tenant: str | None = None,
    uniques: tuple[Names, ...] = (),
    source_uniques: tuple[Names, ...] = (),
    references: tuple[Reference, ...] = (),
    name: str = "t",
    indexes: tuple[Names, ...] = (),
) -> TablePlan:
    own = [column(part, "text") for part in key if part not in [known.source for known in columns]]
    facts = (name, name, (*own, *columns), key, tenant, uniques, source_uniques, references)
    return TablePlan(*facts, row_name="rowid", indexes=indexes)


def census_of(connection: sqlite3.Connection, plan: TablePlan, source_id: str = "a") -> list[Finding]:
    return take_census(connection, plan, source_id)[1]


def finding_for(
    connection: sqlite3.Connection, type_name: str, value: t.Any, declared: str | None = None
) -> Finding | None:
    """Return what the census says of one row whose value stands in a column of that type, or None."""
    connection.execute("CREATE TABLE t (id TEXT, x)")
    connection.executemany("INSERT INTO t VALUES (?, ?)", [("null", None), ("bad", value)])
    found = census_of(connection, table_plan(column("x", type_name, declared=declared)))
    assert len(found) <= 1
    return found[0] if found else None


@pytest.mark.parametrize(
    ("type_name", "value"),
    [
        ("int2", 2**15 - 1),
        ("int4", -(2**31)),
        ("int8", 2**63 - 1),
        ("int8", -(2**63)),
        ("text", ""),
        ("text", "ä😀\n\t\\N'\""),
        ("text", "\ufeff\ufffe\U0010ffff\x01"),
        ("varchar", "x" * 100),
        ("float8", 1.5),
        ("float8", float("-inf")),
        ("float8", 2**53),
        ("numeric", 0.1),
        ("numeric", 2**63 - 1),
        ("numeric", float("inf")),
        ("bool", 0),
        ("bool", 1),
        ("bytea", b""),
        ("bytea", b"\x00\xff"),
        ("float4", 0.5),
        ("float4", float("inf")),
        ("bpchar", "ab"),
        ("date", "2024-02-29"),
        ("time", "23:59"),
        ("time", "23:59:59.1200000"),
        ("timestamptz", "2024-02-29T12:34:56.123456+05:30"),
        ("timestamptz", "2024-02-29 12:34Z"),
        ("timestamp", "2024-02-29 12:34:56"),
        ("timestamp", "2024-02-29"),
        ("uuid", "6F9619FF-8B86-D011-B42D-00C04FC964FF"),
        ("uuid", "6f9619ff8b86d011b42d00c04fc964ff"),
        ("uuid", b"0123456789abcdef"),
        ("json", '{"a": 1, "a": 2}'),
        ("jsonb", ' {"b": [1.50, null, "\\u00e9"]}'),
    ],
)
def test_a_value_that_the_type_holds_exactly_is_no_finding(
    connection: sqlite3.Connection, type_name: str, value: t.Any
) -> None:
    assert finding_for(connection, type_name, value) is None


@pytest.mark.parametrize(
    ("type_name", "value", "problem_class", "problem"),
    [
        ("int4", "12", "text_as_number", "text of a number stored for int4"),
        ("int4", "", "storage_class", "integer expected for int4, another type stored"),
        ("int4", 1.5, "storage_class", "integer expected for int4, another type stored"),
        ("int4", b"1", "storage_class", "integer expected for int4, another type stored"),
        ("int2", 2**15, "out_of_range", "out of range for int2 (-32768 to 32767)"),
        ("int4", 99999999999, "out_of_range", "out of range for int4 (-2147483648 to 2147483647)"),
        ("int4", -(2**31) - 1, "out_of_range", "out of range for int4 (-2147483648 to 2147483647)"),
        ("bool", 2, "out_of_range", "out of range for bool (0 to 1)"),
        ("bool", "true", "boolean_text", "text of a boolean stored for bool"),
        ("bool", "maybe", "storage_class", "integer expected for bool, another type stored"),
        ("float8", "1.5", "text_as_number", "text of a number stored for float8"),
        ("float8", 2**53 + 1, "inexact_number", "integer too large to be exact as double precision"),
        ("float8", -(2**53) - 1, "inexact_number", "integer too large to be exact as double precision"),
        ("numeric", "1", "text_as_number", "text of a number stored for numeric"),
        ("text", 1, "number_as_text", "number stored for text"),
        ("text", 0.5, "number_as_text", "number stored for text"),
        ("text", b"pem", "storage_class", "text expected for text, another type stored"),
        ("text", "a\x00b", "nul_character", "NUL character in text"),
        ("text", "\x00", "nul_character", "NUL character in text"),
        ("bytea", "text", "text_as_bytes", "text stored for bytea"),
        ("bytea", 1, "storage_class", "blob expected for bytea, another type stored"),
        ("float4", 0.1, "inexact_number", "number that real would round"),
        ("float4", 1e300, "inexact_number", "number that real would round"),
        ("float4", 2**24 + 1, "inexact_number", "number that real would round"),
        ("float4", "x", "storage_class", "real/integer expected for float4, another type stored"),
        ("date", "2024-02-30", "invalid_time", "text that is no date, or one it would round"),
        ("date", "2024-01-01 00:00:00", "invalid_time", "text that is no date, or one it would round"),
        ("date", "", "invalid_time", "text that is no date, or one it would round"),
        ("date", "0000-00-00", "invalid_time", "text that is no date, or one it would round"),
        ("date", 20240101, "storage_class", "text expected for date, another type stored"),
        ("time", "24:00", "invalid_time", "text that is no time, or one it would round"),
        ("time", "01:02:03.1234567", "invalid_time", "text that is no time, or one it would round"),
        ("timestamptz", "2024-01-01 00:00", "naive_time", "time without a zone for timestamptz"),
        ("timestamptz", "yesterday", "invalid_time", "value that is no timestamptz, or one it would round"),
        ("timestamptz", "2024-01-01T00:00:61Z", "invalid_time", "value that is no timestamptz, or one it would round"),
        (
            "timestamptz",
            "2024-01-01T00:00+16:00",
            "invalid_time",
            "value that is no timestamptz, or one it would round",
        ),
        ("timestamptz", 1700000000, "epoch_seconds", "seconds since 1970 for timestamptz"),
        ("timestamptz", 1700000000.5, "epoch_seconds", "seconds since 1970 for timestamptz"),
        ("timestamptz", 1627303906122, "epoch_milliseconds", "milliseconds since 1970 for timestamptz"),
        ("timestamptz", 2460000.5, "julian_day", "Julian day for timestamptz"),
        ("timestamptz", 10**17, "invalid_time", "value that is no timestamptz, or one it would round"),
        ("timestamptz", float("inf"), "invalid_time", "value that is no timestamptz, or one it would round"),
        ("timestamptz", b"2024", "storage_class", "text/integer/real expected for timestamptz, another type stored"),
        ("timestamp", "2024-01-01 00:00Z", "zoned_time", "time with a zone for timestamp"),
        ("uuid", "not-a-uuid", "invalid_uuid", "value that is no UUID"),
        ("uuid", b"123", "invalid_uuid", "value that is no UUID"),
        ("uuid", 5, "storage_class", "text/blob expected for uuid, another type stored"),
        ("json", "{", "invalid_json", "text that json does not take, or not all of it"),
        ("json", '"\\u0000"', "invalid_json", "text that json does not take, or not all of it"),
        ("jsonb", '["\\ud800"]', "invalid_json", "text that jsonb does not take, or not all of it"),
        ("jsonb", '{"a": 1, "a": 2}', "invalid_json", "text that jsonb does not take, or not all of it"),
        ("jsonb", "NaN", "invalid_json", "text that jsonb does not take, or not all of it"),
        ("jsonb", "", "invalid_json", "text that jsonb does not take, or not all of it"),
        ("jsonb", "[" * 100000, "invalid_json", "text that jsonb does not take, or not all of it"),
        ("bpchar", "ab ", "too_long", "blanks at the end, which bpchar does not keep"),
    ],
)
def test_a_value_that_the_type_cannot_hold_is_found_with_its_key(
    connection: sqlite3.Connection, type_name: str, value: t.Any, problem_class: str, problem: str
) -> None:
    assert finding_for(connection, type_name, value) == Finding("t", "x", problem, 1, ("(id=bad)",), problem_class)


@pytest.mark.parametrize(
    "octets",
    [b"\xff", b"caf\xe9", b"\xc0\x80", b"\xed\xa0\xbd", b"\xf4\x90\x80\x80", b"\xe2\x82"],
    ids=["no lead", "latin-1", "overlong", "lone surrogate", "beyond Unicode", "cut off"],
)
def test_text_that_is_not_valid_utf8_is_found(connection: sqlite3.Connection, octets: bytes) -> None:
    connection.execute("CREATE TABLE t (id TEXT, x TEXT)")
    connection.execute("INSERT INTO t VALUES ('bad', CAST(? AS TEXT)), ('good', 'é')", (octets,))
    (found,) = census_of(connection, table_plan(column("x", "text")))
    assert (found.problem, found.rows, found.first_keys) == ("text that is not valid UTF-8", 1, ("(id=bad)",))


@pytest.mark.parametrize(("value", "refused"), [("éé😀", False), ("éé😀x", True), ("abc ", True)])
def test_a_varchar_counts_characters_and_blanks_too(connection: sqlite3.Connection, value: str, refused: bool) -> None:
    found = finding_for(connection, "varchar", value, "character varying(3)")
    assert (found is not None) is refused
    assert found is None or found.problem == "longer than character varying(3)"


@pytest.mark.parametrize(
    ("value", "refused"),
    [
        (999.99, False),
        (-999.99, False),
        (0.10, False),
        (0, False),
        (0.0, False),
        (999, False),
        (1.005, True),
        (5e-324, True),
        (1000, True),
        (2**63 - 1, True),
        (float("inf"), True),
    ],
)
def test_a_number_that_a_numeric_with_a_scale_would_round_or_refuse_is_found(
    connection: sqlite3.Connection, value: float, refused: bool
) -> None:
    found = finding_for(connection, "numeric", value, "numeric(5,2)")
    assert (found is not None) is refused
    assert found is None or found.problem == "more digits than numeric(5,2) keeps"


def test_null_where_the_target_wants_a_value_is_found(connection: sqlite3.Connection) -> None:
    connection.execute("CREATE TABLE t (id TEXT, x)")
    connection.execute("INSERT INTO t VALUES ('bad', NULL), ('good', 1)")
    assert census_of(connection, table_plan(column("x", "int4", not_null=True))) == [
        Finding("t", "x", "NULL where int4 NOT NULL is declared", 1, ("(id=bad)",), "null_value")
    ]


def test_null_in_a_key_is_found_though_sqlite_allows_it(connection: sqlite3.Connection) -> None:
    connection.execute("CREATE TABLE t (id TEXT PRIMARY KEY, x)")
    connection.execute("INSERT INTO t VALUES (NULL, 1), (NULL, 2), ('a', 3)")
    (found,) = census_of(connection, table_plan(column("id", "text", not_null=True), column("x", "int4")))
    assert (found.column, found.rows, found.first_keys) == ("id", 2, ("(id=None)", "(id=None)"))


def test_duplicates_of_what_the_target_keeps_unique_are_found(connection: sqlite3.Connection) -> None:
    connection.execute("CREATE TABLE t (id TEXT, x INT, y INT)")
    connection.executemany(
        "INSERT INTO t VALUES (?, ?, ?)",
        [("1", 1, 1), ("2", 1, 1), ("3", 1, 2), ("4", None, 1), ("5", None, 1)],
    )
    plan = table_plan(column("x", "int4"), column("y", "int4"), uniques=(("x", "y"), ("id",)))
    assert census_of(connection, plan) == [
        Finding("t", "x, y", "duplicates of a unique key", 2, ("(x=1, y=1)",), "duplicate_key")
    ]


def test_what_sqlite_itself_keeps_unique_is_not_counted_again(connection: sqlite3.Connection) -> None:
    connection.execute("CREATE TABLE t (id TEXT, x INT)")
    connection.execute("INSERT INTO t VALUES ('1', 1), ('2', 1)")
    plan = table_plan(column("x", "int4"), uniques=(("x", "id"),), source_uniques=((), ("x",)))
    assert census_of(connection, plan) == []


def test_texts_that_only_sqlite_takes_for_equal_are_no_duplicates(connection: sqlite3.Connection) -> None:
    connection.execute("CREATE TABLE t (id TEXT, x TEXT COLLATE NOCASE)")
    connection.execute("INSERT INTO t VALUES ('1', 'Bob'), ('2', 'bob')")
    assert census_of(connection, table_plan(column("x", "text"), uniques=(("x",),))) == []


@pytest.mark.parametrize(
    ("type_name", "one", "other", "policies"),
    [
        ("uuid", "6F9619FF-8B86-D011-B42D-00C04FC964FF", "6f9619ff8b86d011b42d00c04fc964ff", {}),
        ("uuid", b"0123456789abcdef", "30313233-3435-3637-3839-616263646566", {}),
        ("timestamptz", "2024-01-01T00:00Z", "2024-01-01 01:00:00+01", {}),
        ("time", "01:02", "01:02:00.000", {}),
        ("citext", "Bob", "bob", {}),
        ("jsonb", "[1,2]", "[1, 2]", {}),
        ("numeric", 2**60 + 24, float(2**60), {}),
        ("int4", 5, "05", {"text_as_number": "convert"}),
        ("float8", 0.5, ".50", {"text_as_number": "convert"}),
        ("bool", 1, "yes", {"boolean_text": "convert"}),
        ("text", 5, "5", {"number_as_text": "convert"}),
        ("bytea", b"A", "\\x41", {"hex_as_bytes": "convert"}),
        ("bytea", b"A", "A", {"text_as_bytes": "convert"}),
    ],
)
def test_two_spellings_of_one_value_are_duplicates_though_sqlite_keeps_them_apart(
    connection: sqlite3.Connection, type_name: str, one: t.Any, other: t.Any, policies: dict[str, str]
) -> None:
    connection.execute("CREATE TABLE t (id TEXT, x UNIQUE)")
    connection.execute("INSERT INTO t VALUES ('1', ?), ('2', ?)", (one, other))
    key = column("x", type_name, policies=policies)
    found = census_of(connection, table_plan(key, uniques=(("x",),), source_uniques=(("x",),)))
    assert [(finding.problem_class, finding.rows) for finding in found] == [("duplicate_key", 2)]


@pytest.mark.parametrize(
    ("type_name", "child", "parent", "policies"),
    [
        ("uuid", "6F9619FF-8B86-D011-B42D-00C04FC964FF", "6f9619ff8b86d011b42d00c04fc964ff", {}),
        ("uuid", b"0123456789abcdef", "30313233-3435-3637-3839-616263646566", {}),
        ("int4", "5", 5, {"text_as_number": "convert"}),
        ("text", 5, "5", {"number_as_text": "convert"}),
        ("citext", "Bob", "bob", {}),
    ],
)
def test_a_parent_in_another_spelling_is_a_parent(
    connection: sqlite3.Connection, type_name: str, child: t.Any, parent: t.Any, policies: dict[str, str]
) -> None:
    connection.execute("CREATE TABLE parent (id)")
    connection.execute("INSERT INTO parent VALUES (?), (NULL)", (parent,))
    connection.execute("CREATE TABLE t (id TEXT, up)")
    connection.execute("INSERT INTO t VALUES ('1', ?), ('2', NULL)", (child,))
    up = column("up", type_name, policies=policies)
    reference = Reference(("up",), "parent", ("id",), "parent", ("id",), (up.kind,))
    assert census_of(connection, table_plan(up, references=(reference,))) == []
    connection.execute("DELETE FROM parent WHERE id IS NOT NULL")
    assert [found.first_keys for found in census_of(connection, table_plan(up, references=(reference,)))] == [
        ("(id=1)",)
    ]


def test_a_parent_that_is_set_aside_is_none(connection: sqlite3.Connection) -> None:
    connection.execute("CREATE TABLE parent (id TEXT, x)")
    connection.execute("INSERT INTO parent VALUES ('p', 1), ('q', 'odd')")
    connection.execute("CREATE TABLE t (id TEXT, up TEXT, x)")
    connection.execute("INSERT INTO t VALUES ('1', 'p', 'odd'), ('2', 'q', 1)")
    reference = Reference(
        ("up",), "parent", ("id",), "parent", ("id",), (column("id", "text").kind,), ("typeof(x) = 'text'",)
    )
    found = census_of(connection, table_plan(column("up", "text"), references=(reference,)))
    assert [finding.first_keys for finding in found] == [("(id=2)",)]


def orphans(connection: sqlite3.Connection, tenant: str | None = None) -> list[Finding]:
    reference = Reference(("up",), "parent", ("id",), "parent", ("id",))
    tenants = [column(tenant, "text")] if tenant else []
    return census_of(connection, table_plan(column("up", "text"), *tenants, tenant=tenant, references=(reference,)))


def test_rows_without_a_parent_are_found_and_null_is_none(connection: sqlite3.Connection) -> None:
    connection.execute("CREATE TABLE parent (id TEXT PRIMARY KEY)")
    connection.execute("INSERT INTO parent VALUES ('p')")
    connection.execute("CREATE TABLE t (id TEXT, up TEXT)")
    connection.execute("INSERT INTO t VALUES ('1', 'p'), ('2', 'gone'), ('3', NULL), ('4', '')")
    assert orphans(connection) == [Finding("t", "up", "no parent row in parent", 2, ("(id=2)", "(id=4)"), "orphan")]


def test_a_parent_that_only_sqlite_takes_for_equal_is_none(connection: sqlite3.Connection) -> None:
    connection.execute("CREATE TABLE parent (id TEXT COLLATE NOCASE PRIMARY KEY)")
    connection.execute("INSERT INTO parent VALUES ('Bob')")
    connection.execute("CREATE TABLE t (id TEXT, up TEXT COLLATE NOCASE)")
    connection.execute("INSERT INTO t VALUES ('1', 'bob')")
    assert [found.rows for found in orphans(connection)] == [1]


def test_another_profiles_row_is_no_parent(connection: sqlite3.Connection) -> None:
    connection.execute("CREATE TABLE parent (id TEXT, s TEXT)")
    connection.execute("INSERT INTO parent VALUES ('p', 'a'), ('q', 'b')")
    connection.execute("CREATE TABLE t (id TEXT, up TEXT, s TEXT)")
    connection.execute("INSERT INTO t VALUES ('1', 'p', 'a'), ('2', 'q', 'a'), ('3', 'p', 'b')")
    assert [found.first_keys for found in orphans(connection, tenant="s")] == [("(id=2)",)]


def test_a_composite_foreign_key_counts_only_when_all_of_it_is_there(connection: sqlite3.Connection) -> None:
    connection.execute("CREATE TABLE parent (x INT, y INT)")
    connection.execute("INSERT INTO parent VALUES (1, 1), (2, 2)")
    connection.execute("CREATE TABLE t (id TEXT, a INT, b INT)")
    connection.execute("INSERT INTO t VALUES ('1', 1, 1), ('2', 1, 2), ('3', NULL, 9)")
    reference = Reference(("a", "b"), "parent", ("x", "y"), "parent", ("x", "y"))
    (found,) = census_of(connection, table_plan(column("a", "int4"), column("b", "int4"), references=(reference,)))
    assert (found.column, found.first_keys) == ("a, b", ("(id=2)",))


def test_only_the_profiles_own_rows_are_looked_at_and_counted(connection: sqlite3.Connection) -> None:
    connection.execute("CREATE TABLE t (s TEXT, id TEXT, x)")
    connection.execute("INSERT INTO t VALUES ('a', '1', 1), ('b', '1', 'text'), ('a', '2', 2)")
    plan = table_plan(column("s", "text"), column("x", "int4"), key=("s", "id"), tenant="s")
    assert take_census(connection, plan, "a")[:3] == (2, [], True)
    census = take_census(connection, plan, "b")
    assert (census.rows, [found.first_keys for found in census.findings]) == (1, [("(s=b, id=1)",)])


def test_the_first_keys_are_named_in_order_and_the_rest_is_counted(connection: sqlite3.Connection) -> None:
    connection.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, x)")
    connection.executemany("INSERT INTO t VALUES (?, 'text')", [(number,) for number in range(50, 0, -1)])
    (found,) = census_of(connection, table_plan(column("id", "int4"), column("x", "int4")))
    assert found.rows == 50
    assert found.first_keys == tuple(f"(id={number})" for number in range(1, NAMED_KEYS + 1))
    assert str(found).startswith("t.x: integer expected for int4, another type stored in 50 row(s), key (id=1), ")
    assert str(found).endswith(f"(id={NAMED_KEYS}), …")


def test_a_table_without_a_key_names_its_rows_by_rowid(connection: sqlite3.Connection) -> None:
    connection.execute("CREATE TABLE t (x)")
    connection.execute("INSERT INTO t VALUES (1), ('text')")
    (found,) = census_of(connection, table_plan(column("x", "int4"), key=()))
    assert found.first_keys == ("(rowid=2)",)


def test_names_with_quotes_and_percent_signs_are_looked_at(connection: sqlite3.Connection) -> None:
    connection.execute('CREATE TABLE "a ""t\' %s" ("x "" %d" , "k")')
    connection.execute('INSERT INTO "a ""t\' %s" VALUES (\'text\', 1)')
    plan = table_plan(column('x " %d', "int4"), column("k", "int4"), key=("k",), name="a \"t' %s")
    assert [found.column for found in census_of(connection, plan)] == ['x " %d']


def test_a_table_may_have_as_many_columns_as_sqlite_allows(connection: sqlite3.Connection) -> None:
    names = [f"c{number}" for number in range(1999)]
    connection.execute(f"CREATE TABLE t (id TEXT, {', '.join(names)})")
    connection.execute("INSERT INTO t (id, c0, c1998) VALUES ('1', 1, 2)")
    plan = table_plan(*(column(name, "text", not_null=name == "c7") for name in names))
    census = take_census(connection, plan, "a")
    assert (census.rows, [found.column for found in census.findings]) == (1, ["c0", "c7", "c1998"])


def test_the_refusal_names_every_finding_and_carries_them_as_facts() -> None:
    findings = [Finding("t", "x", "wrong", 1, ("(id=1)",), "c"), Finding("u", "y", "odd", 2, ("(id=2)", "(id=3)"), "d")]
    with pytest.raises(DataRefused) as refusal:
        refuse(findings)
    assert "t.x: wrong in 1 row(s), key (id=1); u.y: odd in 2 row(s), key (id=2), (id=3)" in str(refusal.value)
    assert "Nothing was loaded" in refusal.value.remedy
    assert refusal.value.facts["findings"][0] == {
        "table": "t",
        "column": "x",
        "problem": "wrong",
        "rows": 1,
        "first_keys": ("(id=1)",),
        "problem_class": "c",
    }


def test_no_finding_refuses_nothing() -> None:
    refuse([])


@pytest.mark.parametrize(
    ("field", "shown"), [(b"caf\xe9", r"caf\xe9"), (None, "None"), (1.5, "1.5"), ("x" * 500, "x" * 100 + "…")]
)
def test_a_key_is_shown_whatever_it_holds_and_never_at_length(field: t.Any, shown: str) -> None:
    assert show_key(["id"], [field]) == f"(id={shown})"


@pytest.mark.parametrize(("text", "marked"), [("plain", True), (None, True), ("a\x01", False), ("\x02", False)])
def test_texts_with_a_mark_of_the_codec_are_noticed(
    connection: sqlite3.Connection, text: str | None, marked: bool
) -> None:
    connection.execute("CREATE TABLE t (id TEXT, x TEXT)")
    connection.execute("INSERT INTO t VALUES ('1', 'ok'), ('2', ?)", (text,))
    assert take_census(connection, table_plan(column("x", "text")), "a")[:3] == (2, [], marked)


def test_a_character_that_only_two_texts_together_would_make_is_found(connection: sqlite3.Connection) -> None:
    connection.execute("CREATE TABLE t (id TEXT, x TEXT, y TEXT)")
    connection.execute("INSERT INTO t VALUES ('bad', CAST(x'c3' AS TEXT), CAST(x'a9' AS TEXT))")
    found = census_of(connection, table_plan(column("x", "text"), column("y", "text")))
    assert [finding.column for finding in found] == ["x", "y"]


@pytest.mark.parametrize(
    ("type_name", "value", "name"),
    [
        ("bool", "Yes", "boolean_text"),
        ("bool", "0", "boolean_text"),
        ("int4", "-007", "text_as_number"),
        ("float4", "0.1", "text_as_number"),
        ("numeric", "1.50", "text_as_number"),
        ("bytea", "\\x00fF", "hex_as_bytes"),
        ("bytea", "\\x0", "text_as_bytes"),
        ("text", 1.5, "number_as_text"),
        ("bytea", "é", "text_as_bytes"),
        ("timestamptz", "2024-01-01", "naive_time"),
        ("timestamp", "2024-01-01T00:00-08:00", "zoned_time"),
        ("timestamptz", 1700000000, "epoch_seconds"),
        ("timestamp", 1700000000123, "epoch_milliseconds"),
        ("timestamp", 2460000.5, "julian_day"),
    ],
)
def test_a_conversion_that_was_asked_for_leaves_no_finding(
    connection: sqlite3.Connection, type_name: str, value: t.Any, name: str
) -> None:
    connection.execute("CREATE TABLE t (id TEXT, x)")
    connection.execute("INSERT INTO t VALUES ('1', ?)", (value,))
    asked = column("x", type_name, policies={name: "convert"})
    assert [found.problem_class for found in census_of(connection, table_plan(column("x", type_name)))] == [name]
    assert census_of(connection, table_plan(asked)) == []


def test_a_word_that_is_no_boolean_stays_refused_when_the_others_are_converted(connection: sqlite3.Connection) -> None:
    connection.execute("CREATE TABLE t (id TEXT, x)")
    connection.execute("INSERT INTO t VALUES ('1', 'true'), ('2', 'maybe'), ('3', 1), ('4', 2)")
    found = census_of(connection, table_plan(column("x", "bool", policies={"boolean_text": "convert"})))
    assert [(finding.problem_class, finding.first_keys) for finding in found] == [
        ("storage_class", ("(id=2)",)),
        ("out_of_range", ("(id=4)",)),
    ]


def test_a_text_that_is_no_label_is_found(connection: sqlite3.Connection) -> None:
    connection.execute("CREATE TABLE t (id TEXT, x TEXT)")
    connection.execute("INSERT INTO t VALUES ('1', 'it''s'), ('2', 'other'), ('3', '{x}')")
    found = census_of(connection, table_plan(column("x", "mood", labels=("it's", "{x}"))))
    assert [(finding.problem_class, finding.first_keys) for finding in found] == [("unknown_label", ("(id=2)",))]


@pytest.mark.parametrize("asked", [{}, {"text_as_number": "convert"}], ids=["refused", "converted"])
@pytest.mark.parametrize(
    ("value", "problem_class"),
    [("40000", "out_of_range"), ("1.5", "storage_class"), ("", "storage_class"), ("0x1", "storage_class")],
)
def test_a_text_that_int2_cannot_give_back_has_one_class_whatever_is_asked(
    connection: sqlite3.Connection, asked: dict[str, str], value: str, problem_class: str
) -> None:
    connection.execute("CREATE TABLE t (id TEXT, x)")
    connection.execute("INSERT INTO t VALUES ('1', ?), ('2', 7), ('3', NULL)", (value,))
    found = census_of(connection, table_plan(column("x", "int2", policies=asked)))
    assert [(finding.problem_class, finding.first_keys) for finding in found] == [(problem_class, ("(id=1)",))]


def test_texts_of_a_bytea_column_have_two_classes_that_can_be_asked_for_together(
    connection: sqlite3.Connection,
) -> None:
    connection.execute("CREATE TABLE t (id TEXT, x)")
    connection.execute("INSERT INTO t VALUES ('1', '\\x41'), ('2', '\\x4'), ('3', x'00'), ('4', '\\X41')")

    def classes(*names: str) -> dict[str, tuple[str, ...]]:
        asked = column("x", "bytea", policies=dict.fromkeys(names, "convert"))
        return {found.problem_class: found.first_keys for found in census_of(connection, table_plan(asked))}

    assert classes() == {"hex_as_bytes": ("(id=1)",), "text_as_bytes": ("(id=2)", "(id=4)")}
    assert classes("text_as_bytes") == {"hex_as_bytes": ("(id=1)",)}
    assert classes("text_as_bytes", "hex_as_bytes") == {}


@pytest.mark.parametrize(("value", "refused"), [(12345, True), (1234, False), (0.1 + 0.2, True), (1.5, False)])
def test_a_number_that_becomes_a_text_is_as_long_as_that_text(
    connection: sqlite3.Connection, value: float, refused: bool
) -> None:
    connection.execute("CREATE TABLE t (id TEXT, x)")
    connection.execute("INSERT INTO t VALUES ('1', ?)", (value,))
    asked = column("x", "varchar", declared="character varying(4)", policies={"number_as_text": "convert"})
    assert [found.problem_class for found in census_of(connection, table_plan(asked))] == ["too_long"] * refused


@pytest.mark.parametrize("declared", ["", "TEXT COLLATE NOCASE", "TEXT COLLATE RTRIM"])
@pytest.mark.parametrize("held", [b"a5", "A5", "a5 "])
def test_rows_that_may_be_the_profiles_are_refused(connection: sqlite3.Connection, declared: str, held: t.Any) -> None:
    connection.execute(f"CREATE TABLE t (s {declared}, id TEXT)")
    connection.execute("INSERT INTO t VALUES ('a5', '1'), ('b', '2'), (?, '3'), (NULL, '4')", (held,))
    plan = table_plan(column("s", "text"), tenant="s")
    unclear = isinstance(held, bytes) or (held, declared[13:]) in (("A5", "NOCASE"), ("a5 ", "RTRIM"))
    found = [finding for finding in take_census(connection, plan, "a5").findings if finding.column == "s"]
    hidden = [finding.first_keys for finding in found if finding.problem_class == "hidden_row"]
    assert hidden == [("(id=3)",)] * unclear


def test_a_number_that_reads_like_the_id_is_a_hidden_row(connection: sqlite3.Connection) -> None:
    connection.execute("CREATE TABLE t (s, id TEXT)")
    connection.execute("INSERT INTO t VALUES ('5', '1'), (5, '2'), (5.0, '3')")
    found = take_census(connection, table_plan(column("s", "text"), tenant="s"), "5").findings
    assert [(finding.problem_class, finding.first_keys) for finding in found] == [("hidden_row", ("(id=2)",))]


@pytest.mark.parametrize(("octets", "refused"), [(2660, False), (2690, True), (5000, True)])
def test_a_key_that_no_index_entry_has_room_for_is_found(
    connection: sqlite3.Connection, octets: int, refused: bool
) -> None:
    connection.execute("CREATE TABLE t (id TEXT, x TEXT, y INT)")
    connection.execute("INSERT INTO t VALUES ('1', ?, 5), ('2', NULL, NULL)", ("é" * (octets // 2),))
    columns = (column("x", "text"), column("y", "int4"))
    assert census_of(connection, table_plan(*columns)) == []
    found = census_of(connection, table_plan(*columns, indexes=(("id",), ("x", "y"))))
    assert [(finding.problem_class, finding.column, finding.first_keys) for finding in found] == [
        ("long_index_key", "x, y", ("(id=1)",))
    ] * refused


def test_the_only_text_column_may_hold_anything(connection: sqlite3.Connection) -> None:
    connection.execute("CREATE TABLE t (x)")
    connection.execute("INSERT INTO t VALUES (5), (1.5), (x'00'), (NULL), ('ok')")
    found = census_of(connection, table_plan(column("x", "text"), key=()))
    assert [(finding.problem_class, finding.rows) for finding in found] == [("storage_class", 1), ("number_as_text", 2)]
