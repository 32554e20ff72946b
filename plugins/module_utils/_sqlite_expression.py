# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""SQLite's expressions as trees (https://www.sqlite.org/lang_expr.html), nothing being known of their types yet."""

from __future__ import annotations

import dataclasses
import typing as t

from ._errors import SchemaRefused
from ._sqlite_tokens import BLOB, NAME, NUMBER, QUOTED, STRING, WORD, Token, Tokens

# From loose to tight; all are left associative.
_OR, _AND, _NOT, _EQUALITY, _COLLATE, _UNARY = 1, 2, 3, 4, 10, 11
_BINARY = {
    **dict.fromkeys(("=", "==", "<>", "!="), _EQUALITY),
    **dict.fromkeys(("<", "<=", ">", ">="), 5),
    **dict.fromkeys(("&", "|", "<<", ">>"), 6),
    **dict.fromkeys(("+", "-"), 7),
    **dict.fromkeys(("*", "/", "%"), 8),
    **dict.fromkeys(("||", "->", "->>"), 9),
}
_SPELLINGS = {"==": "=", "!=": "<>"}
_PATTERNS = ("LIKE", "GLOB", "REGEXP", "MATCH")
_NO_COLUMNS = ("SELECT", "EXISTS", "RAISE", "WITH", "VALUES", "DISTINCT")


@dataclasses.dataclass(frozen=True)
class Node:
    """A part of an expression.

    Attributes:
        kind: C(number), C(string), C(blob), C(null), C(name), C(quoted) (a name, or else a string), C(function),
            C(unary), C(binary), C(not), C(collate), C(is), C(in), C(between), C(pattern), C(case) or C(cast).
        text: The literal, the name, the operator, or the keyword.
        parts: What it is made of.
    """

    kind: str
    text: str = ""
    parts: tuple[Node, ...] = ()


def parse(tokens: t.Sequence[Token]) -> Node:
    """Return the expression that the tokens are.

    Raises:
        SchemaRefused: It is none that is understood here, or is nested too deeply.
    """
    reader = _Parser(tokens)
    try:
        node = reader.expression(_OR)
    except RecursionError:
        raise SchemaRefused("it is nested too deeply") from None
    if not reader.tokens.at_end:
        raise SchemaRefused(f"{reader.tokens.next.text!r} was not understood")
    return node


class _Parser:
    def __init__(self, tokens: t.Sequence[Token]) -> None:
        self.tokens = Tokens(tokens)

    def expression(self, binding: int) -> Node:
        """Read an expression whose operators bind at least this tightly."""
        if self.tokens.took_word("NOT"):
            if binding > _NOT:
                raise SchemaRefused("NOT as an operand was not understood")
            left = Node("not", parts=(self.expression(_NOT),))
        elif self.tokens.next.is_operator("-", "+", "~"):
            operator = self.tokens.take().text
            left = Node("unary", operator, (self.expression(_UNARY),))
        else:
            left = self._primary()
        while True:
            following = self._following(left, binding)
            if following is None:
                return left
            left = following

    def _following(self, left: Node, binding: int) -> Node | None:
        tokens = self.tokens
        operator = tokens.next.text
        if tokens.next.is_operator(*_BINARY):
            if _BINARY[operator] < binding:
                return None
            tokens.take()
            return Node("binary", _SPELLINGS.get(operator, operator), (left, self.expression(_BINARY[operator] + 1)))
        for word, looseness in (("AND", _AND), ("OR", _OR)):
            if tokens.next.is_word(word):
                if looseness < binding:
                    return None
                tokens.take()
                return Node("binary", word, (left, self.expression(looseness + 1)))
        if tokens.next.is_word("COLLATE") and binding <= _COLLATE:
            tokens.take()
            return Node("collate", tokens.take().text.upper(), (left,))
        return self._test(left) if binding <= _EQUALITY else None

    def _test(self, left: Node) -> Node | None:
        """Read what has no more than a keyword on its right, or a keyword between its operands."""
        tokens = self.tokens
        null = Node("null")
        if tokens.took_word("ISNULL"):
            return Node("is", "IS", (left, null))
        if tokens.took_word("NOTNULL"):
            return Node("is", "IS NOT", (left, null))
        if tokens.took_word("IS"):
            negated = tokens.took_word("NOT")
            if tokens.took_word("DISTINCT"):
                negated = not negated
                if not tokens.took_word("FROM"):
                    raise SchemaRefused("IS DISTINCT without FROM was not understood")
            return Node("is", "IS NOT" if negated else "IS", (left, self.expression(_EQUALITY + 1)))
        negated = tokens.next.is_word("NOT") and tokens.after(1).is_word("NULL", "BETWEEN", "IN", *_PATTERNS)
        if negated:
            tokens.take()
        if negated and tokens.took_word("NULL"):
            return Node("is", "IS NOT", (left, null))
        found = self._range_list_or_pattern(left)
        return Node("not", parts=(found,)) if found and negated else found

    def _range_list_or_pattern(self, left: Node) -> Node | None:
        tokens = self.tokens
        if tokens.took_word("BETWEEN"):
            low = self.expression(_EQUALITY + 1)
            if not tokens.took_word("AND"):
                raise SchemaRefused("BETWEEN without AND was not understood")
            return Node("between", parts=(left, low, self.expression(_EQUALITY + 1)))
        if tokens.took_word("IN"):
            tokens.expect("(")
            return Node("in", parts=(left, *self._arguments()))
        if tokens.next.is_word(*_PATTERNS):
            word = tokens.take().text.upper()
            parts = [left, self.expression(_EQUALITY + 1)]
            if tokens.took_word("ESCAPE"):
                parts.append(self.expression(_EQUALITY + 1))
            return Node("pattern", word, tuple(parts))
        return None

    def _arguments(self) -> list[Node]:
        found: list[Node] = []
        while not self.tokens.took_operator(")"):
            if found:
                self.tokens.expect(",")
            found.append(self.expression(_OR))
        return found

    def _primary(self) -> Node:
        token = self.tokens.take()
        if token.kind in (NUMBER, STRING, BLOB):
            return Node(token.kind, token.text)
        if token.is_operator("("):
            inner = self.expression(_OR)
            if self.tokens.next.is_operator(","):
                raise SchemaRefused("a row value has no exact counterpart")
            self.tokens.expect(")")
            return inner
        if token.kind == WORD:
            found = self._keyword(token)
            if found:
                return found
        if token.is_name:
            if self.tokens.took_operator("."):
                token = self.tokens.take()
                return Node("name", token.text)
            return Node({QUOTED: "quoted", NAME: "name"}.get(token.kind, "name"), token.text)
        raise SchemaRefused(f"{token.text!r} was not understood" if token.text else "it ends too early")

    def _keyword(self, token: Token) -> Node | None:
        word = token.text.upper()
        if word in _NO_COLUMNS:
            raise SchemaRefused(f"{word} has no counterpart in an expression of PostgreSQL's")
        if word == "NULL":
            return Node("null")
        if word == "CASE":
            return self._case()
        if word == "CAST" and self.tokens.took_operator("("):
            value = self.expression(_OR)
            if not self.tokens.took_word("AS"):
                raise SchemaRefused("CAST without AS was not understood")
            words, depth = [], 0
            while not self.tokens.at_end and (depth or not self.tokens.took_operator(")")):
                following = self.tokens.take()
                depth += following.is_operator("(") - following.is_operator(")")  # as in varchar(10)
                words.append(following.text)
            return Node("cast", " ".join(words), (value,))
        if self.tokens.took_operator("("):
            arguments = self._arguments()
            if self.tokens.next.is_word("FILTER", "OVER"):
                raise SchemaRefused(f"{word} over other rows has no counterpart in an expression")
            return Node("function", token.text.lower(), tuple(arguments))
        return None

    def _case(self) -> Node:
        """Read CASE; with a base its conditions become comparisons with it. The parts are pairs, then what else."""
        tokens = self.tokens
        base = None if tokens.next.is_word("WHEN") else self.expression(_OR)
        parts: list[Node] = []
        while tokens.took_word("WHEN"):
            condition = self.expression(_OR)
            parts.append(condition if base is None else Node("binary", "=", (base, condition)))
            if not tokens.took_word("THEN"):
                raise SchemaRefused("WHEN without THEN was not understood")
            parts.append(self.expression(_OR))
        parts.append(self.expression(_OR) if tokens.took_word("ELSE") else Node("null"))
        if not tokens.took_word("END"):
            raise SchemaRefused("CASE without END was not understood")
        return Node("case", parts=tuple(parts))


def names_in(node: Node) -> t.Iterator[str]:
    """Return every name in an expression, as it is spelt."""
    if node.kind in ("name", "quoted"):
        yield node.text
    for part in node.parts:
        yield from names_in(part)
