# SPDX-License-Identifier: GPL-3.0-or-later
"""SQLite's statements as tokens, and what CREATE TABLE and CREATE INDEX say in them."""

from __future__ import annotations

import pytest
from ansible_collections.sxops.pg_cutover.plugins.module_utils._errors import SchemaRefused
from ansible_collections.sxops.pg_cutover.plugins.module_utils._sqlite_declaration import (
    index_declaration,
    table_declaration,
)
from ansible_collections.sxops.pg_cutover.plugins.module_utils._sqlite_tokens import quote, tokens_of
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("a 'x''check' b", [("word", "a"), ("string", "x'check"), ("word", "b")]),
        ("\"it's\"\"\" check", [("quoted", "it's\""), ("word", "check")]),
        ("a -- check\nb/* che\nck */c", [("word", "a"), ("word", "b"), ("word", "c")]),
        ("`x``y` [z'] 'b'", [("name", "x`y"), ("name", "z'"), ("string", "b")]),
        ("x'00fF'", [("blob", "00fF")]),
        ("x 'a'", [("word", "x"), ("string", "a")]),
        ("1.5e-3 .5 0x1F 7", [("number", "1.5e-3"), ("number", ".5"), ("number", "0x1F"), ("number", "7")]),
        ("é\u00a0$1 a$b", [("word", "é\u00a0$1"), ("word", "a$b")]),
        ("a<=b||c->>d", [("word", "a"), ("operator", "<="), ("word", "b"), ("operator", "||"), ("word", "c"),
                         ("operator", "->>"), ("word", "d")]),
        ("/* no end", []),
    ],
)  # fmt: skip
def test_a_statement_is_its_tokens(statement: str, expected: list[tuple[str, str]]) -> None:
    assert [tuple(token) for token in tokens_of(statement)] == expected


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00")))
def test_a_quoted_name_is_one_token_whatever_is_in_it(name: str) -> None:
    assert [tuple(token) for token in tokens_of(quote(name))] == [("quoted", name)]


def test_a_table_says_what_no_pragma_does() -> None:
    found = table_declaration(
        """CREATE TABLE "t(" (
             a TEXT COLLATE nocase DEFAULT 'CHECK (x)' CONSTRAINT "c 1" CHECK (a <> ','),
             [b c] "VARCHAR"(10, 2) NOT NULL ON CONFLICT ROLLBACK REFERENCES p (x) ON DELETE SET NULL,
             É INT GENERATED ALWAYS AS (a || ')') STORED REFERENCES p DEFERRABLE INITIALLY DEFERRED,
             e AS (1) DEFAULT -5, f DEFAULT (datetime('now')) COLLATE "rtrim", UNIQUE (a) ON CONFLICT IGNORE
             CHECK (a IN ('x')) CONSTRAINT k FOREIGN KEY (a) REFERENCES p NOT DEFERRABLE INITIALLY DEFERRED,
             FOREIGN KEY (e) REFERENCES p ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED, -- CHECK (no)
             PRIMARY KEY (e)) WITHOUT ROWID"""
    )
    assert dict(found.collations) == {"a": "NOCASE", "f": "RTRIM"}
    assert {name: "".join(token.text for token in tokens) for name, tokens in found.generated.items()} == {
        "É": "a||)",
        "e": "1",
    }
    assert [(check.name, "".join(token.text for token in check.condition)) for check in found.checks] == [
        ("c 1", "a<>,"),
        ("", "aIN(x)"),
    ]
    assert found.deferred == (False, True, False, True)
    assert found.conflicts == ("ROLLBACK", "IGNORE")


def test_an_index_says_what_it_is_made_of() -> None:
    found = index_declaration(
        "CREATE UNIQUE INDEX IF NOT EXISTS \"on\" ON [t] (lower(a, 'b,') DESC, b ASC) WHERE a > 1"
    )
    assert [" ".join(token.text for token in term) for term in found.terms] == ["lower ( a , b, )", "b"]
    assert [token.text for token in found.condition] == ["a", ">", "1"]
    assert index_declaration("CREATE INDEX i ON t (a)").condition == ()


@pytest.mark.parametrize("statement", ["CREATE TABLE t", "CREATE TABLE t (a) (", ""])
def test_what_is_no_table_is_refused_or_empty(statement: str) -> None:
    if statement.endswith("("):
        assert table_declaration(statement).checks == ()
    else:
        with pytest.raises(SchemaRefused):
            table_declaration(statement)
