# SPDX-License-Identifier: GPL-3.0-or-later
"""S09 to S16: NUL characters, broken UTF-8, JSON that PostgreSQL cannot hold, texts and bytes in each other's place."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from _databases import Tenant
from _outcomes import assert_arrives, assert_refused, assert_same_rows, in_sqlite, only

PEM = "-----BEGIN KEY-----\nMIIB+/=\r\n-----END KEY-----\n"


def hold_octets(tenant: Tenant, *texts: bytes) -> Tenant:
    """Put texts made of these octets, valid or not, into a text column."""
    tenant.sqlite(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, x TEXT)",
        *(("INSERT INTO t VALUES (?, CAST(? AS TEXT))", (number, octets)) for number, octets in enumerate(texts, 1)),
    )
    tenant.create_schema("CREATE TABLE t (id bigint PRIMARY KEY, x text)")
    return tenant


# S09


@pytest.mark.parametrize(
    ("text", "target"),
    [
        *((text, "text") for text in ("a\x00b", "\x00", "ends\x00", "ä\x00😀", "x" * 5000 + "\x00")),
        *(("a\x00b", target) for target in ("varchar(9)", "json", "char(9)")),
    ],
)
def test_s09_a_nul_in_text_is_refused_and_never_cuts_it(tenant: Tenant, text: str, target: str) -> None:
    tenant.hold("TEXT", target, '"fine"', text)
    assert_refused(tenant, "t", "x", "nul_character", "(id=2)")


def test_s09_a_row_set_aside_for_its_nul_is_kept_whole(tenant: Tenant) -> None:
    tenant.hold("TEXT", "text", "fine", "a\x00b").under(nul_character="quarantine").load()
    assert tenant.postgres("SELECT id, x FROM t") == [(1, "fine")]
    kept = tenant.database.run("SELECT row_key, row_data FROM sxops_cutover.quarantine WHERE schema_name = 'sx_a'")
    assert [key for key, _data in kept] == ["(id=2)"]
    assert "610062" in kept[0][1]


def test_s09_a_nul_in_a_key_is_refused(tenant: Tenant) -> None:
    tenant.sqlite("CREATE TABLE t (k TEXT PRIMARY KEY)", ("INSERT INTO t VALUES (?), ('a')", ("a\x00b",)))
    tenant.create_schema("CREATE TABLE t (k text PRIMARY KEY)")
    assert_refused(tenant, "t", "k", "nul_character", "(k=a\x00b)")


# S10


@pytest.mark.parametrize("text", ['"\\u0000"', '{"a": "x\\u0000y"}', '{"\\u0000": 1}', '["ok", ["\\u0000"]]'])
@pytest.mark.parametrize("target", ["json", "jsonb"])
def test_s10_an_escaped_nul_in_json_is_refused_before_a_query_trips_over_it(
    tenant: Tenant, text: str, target: str
) -> None:
    tenant.hold("TEXT", target, '{"a": 1}', text)
    assert_refused(tenant, "t", "x", "invalid_json", "(id=2)")


def test_s10_an_escaped_backslash_before_u0000_is_no_nul(tenant: Tenant) -> None:
    tenant.hold("JSON", "jsonb", '"\\\\u0000"').load()
    assert only(tenant.postgres("SELECT x #>> '{}' FROM t")) == "\\u0000"
    assert tenant.parity().verdict == "passed"


def test_s10_it_travels_in_a_text_column(tenant: Tenant) -> None:
    tenant.hold("JSON", "text", '"\\u0000"', '{"a": "\\ud83d"}')
    assert_arrives(tenant)


# S11


@pytest.mark.parametrize("text", ["", "{", "[1,]", "{'a': 1}", "NaN", "1 2", '{"a": 1e400000}', "\ufeff{}"])
@pytest.mark.parametrize("target", ["json", "jsonb"])
def test_s11_text_that_is_no_json_is_refused(tenant: Tenant, text: str, target: str) -> None:
    tenant.hold("TEXT", target, "[]", text)
    assert_refused(tenant, "t", "x", "invalid_json", "(id=2)")


@pytest.mark.parametrize("target", ["json", "jsonb"])
def test_s11_sqlites_binary_json_is_refused_as_the_blob_it_is(tenant: Tenant, target: str) -> None:
    tenant.hold("BLOB", target, "[]", bytes.fromhex("4c1761133 1".replace(" ", "")))
    assert_refused(tenant, "t", "x", "storage_class", "(id=2)")


def test_s11_names_that_jsonb_would_drop_are_refused_and_kept_by_json(tenant: Tenant) -> None:
    twice = '{"a": 1, "a": 2}'
    tenant.hold("TEXT", "jsonb", twice)
    assert_refused(tenant, "t", "x", "invalid_json", "(id=1)")
    tenant.create_schema("CREATE TABLE t (id int PRIMARY KEY, x json)")
    tenant.load()
    assert only(tenant.postgres("SELECT x::text FROM t")) == twice


# S12


BROKEN = [b"\xff", b"caf\xe9", b"\xc3", b"ok\xc0\x80", b"\xf4\x90\x80\x80", b"a\x80b", b"\xe2\x82"]


@pytest.mark.parametrize("target", ["text", "varchar(90)", "jsonb"])
def test_s12_text_that_is_no_utf8_is_refused_by_key(tenant: Tenant, target: str) -> None:
    hold_octets(tenant, b'"fine"', *BROKEN, '"ä€😀"'.encode())
    tenant.create_schema(f"CREATE TABLE t (id bigint PRIMARY KEY, x {target})")
    assert_refused(tenant, "t", "x", "invalid_utf8", *(f"(id={number})" for number in range(2, len(BROKEN) + 2)))


def test_s12_rows_set_aside_for_it_leave_all_others_exact(tenant: Tenant) -> None:
    hold_octets(tenant, b"fine", *BROKEN, "ä€😀".encode()).under(invalid_utf8="quarantine").load()
    assert tenant.postgres("SELECT x FROM t ORDER BY id") == [("fine",), ("ä€😀",)]
    kept = tenant.database.run("SELECT count(*) FROM sxops_cutover.quarantine WHERE schema_name = 'sx_a'")
    assert kept == [(len(BROKEN),)]


# S13


SURROGATES = [b"\xed\xa0\xbd", b"x\xed\xb8\x80y", b"\xed\xa0\xbd\xed\xb8\x80"]


def test_s13_lone_and_paired_surrogates_are_refused_by_key(tenant: Tenant) -> None:
    hold_octets(tenant, *SURROGATES, "😀".encode())
    assert_refused(tenant, "t", "x", "invalid_utf8", "(id=1)", "(id=2)", "(id=3)")


@pytest.mark.parametrize("text", ['"\\ud83d"', '{"a": "\\ude00 x"}'])
@pytest.mark.parametrize("target", ["json", "jsonb"])
def test_s13_half_a_character_in_json_is_refused(tenant: Tenant, text: str, target: str) -> None:
    tenant.hold("TEXT", target, '"\\ud83d\\ude00"', text)
    assert_refused(tenant, "t", "x", "invalid_json", "(id=2)")


# S14


def test_s14_text_in_a_blob_column_is_refused_until_asked_for_and_never_decoded(tenant: Tenant) -> None:
    texts = [PEM, base64.b64encode(b"looks like base64").decode(), "ä", ""]
    tenant.hold("BLOB", "bytea", b"\x00\xff", *texts)
    assert_refused(tenant, "t", "x", "text_as_bytes", "(id=2)", "(id=3)", "(id=4)", "(id=5)")
    asked = tenant.under(text_as_bytes="convert")
    asked.load()
    arrived = [bytes(x) for (x,) in tenant.postgres("SELECT x FROM t ORDER BY id")]
    assert arrived == [b"\x00\xff", *(text.encode() for text in texts)]
    assert asked.parity().verdict == "passed"


def test_s14_text_in_a_translated_blob_column_is_refused(tenant: Tenant) -> None:
    tenant.sqlite("CREATE TABLE t (id INTEGER PRIMARY KEY, x BLOB)", ("INSERT INTO t VALUES (7, ?)", (PEM,)))
    tenant.translate()
    assert_refused(tenant, "t", "x", "text_as_bytes", "(id=7)")


# S15


@pytest.mark.parametrize(
    ("octets", "target"),
    [
        *((octets, "text") for octets in (b"", b"plain ascii", b"\x00\x01", b"\xff\xfe", bytes(range(256)))),
        *((b"plain ascii", target) for target in ("varchar(999)", "char(999)")),
    ],
)
def test_s15_bytes_in_a_text_column_are_refused(tenant: Tenant, octets: bytes, target: str) -> None:
    tenant.hold("TEXT", target, "fine", octets)
    assert_refused(tenant, "t", "x", "storage_class", "(id=2)")


# S16


def test_s16_blob_literals_arrive_as_their_bytes(tenant: Tenant) -> None:
    tenant.sqlite(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, x BLOB)",
        "INSERT INTO t VALUES (1, X'00FF10'), (2, x''), (3, NULL), (4, x'5c785c27'), (5, randomblob(100000))",
    )
    tenant.translate()
    assert_arrives(tenant)
    assert bytes(only(tenant.postgres("SELECT x FROM t WHERE id = 1"))) == b"\x00\xff\x10"


@pytest.mark.parametrize("text", ["X'00FF'", "x''", "\\x00ff", "\\000", "\\\\x", "'\\''"])
def test_s16_texts_that_look_like_literals_stay_texts(tenant: Tenant, text: str) -> None:
    tenant.hold("TEXT", "text", text)
    assert_arrives(tenant)
    assert only(tenant.postgres("SELECT x FROM t")) == text


def test_s16_digits_behind_x_are_bytes_when_asked_for(tenant: Tenant) -> None:
    tenant.hold("BLOB", "bytea", "\\x00fF", b"\\x00ff")
    asked = tenant.under(hex_as_bytes="convert")
    asked.load()
    assert [bytes(x) for (x,) in tenant.postgres("SELECT x FROM t ORDER BY id")] == [b"\x00\xff", b"\\x00ff"]
    assert asked.parity().verdict == "passed"


@pytest.mark.parametrize("default", ["x'00ff'", "X''", "(x'5c27')"])
def test_s16_a_blob_as_default_gives_the_same_bytes_in_both(tenant: Tenant, default: Any) -> None:
    tenant.sqlite(f"CREATE TABLE t (id INTEGER PRIMARY KEY, x BLOB DEFAULT {default})", "INSERT INTO t (id) VALUES (1)")
    tenant.translate()
    assert_arrives(tenant)
    tenant.postgres("INSERT INTO t (id) VALUES (2)")
    in_sqlite(tenant, "INSERT INTO t (id) VALUES (2)")
    assert_same_rows(tenant, "t")
