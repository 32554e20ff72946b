# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""The words of SQLite's language: names as it quotes and compares them, and statements as tokens."""

from __future__ import annotations

import re
import typing as t

from ._errors import SchemaRefused

_ASCII_LOWER = {upper: upper + 32 for upper in range(ord("A"), ord("Z") + 1)}
# https://www.sqlite.org/src/file/src/tokenize.c: every character beyond ASCII is part of a word.
_TOKEN = re.compile(
    r"""
    (?P<space>[ \t\n\f\r]+|--[^\n]*|/\*.*?(?:\*/|\Z))
    |(?P<blob>[xX]'[0-9A-Fa-f]*')
    |(?P<string>'(?:[^']|'')*')
    |(?P<quoted>"(?:[^"]|"")*")
    |(?P<name>`(?:[^`]|``)*`|\[[^\]]*\])
    |(?P<number>0[xX][0-9A-Fa-f]+|(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?)
    |(?P<word>[A-Za-z_\x80-\U0010ffff][A-Za-z0-9_$\x80-\U0010ffff]*)
    |(?P<operator>\|\||->>|->|<<|>>|<=|>=|<>|==|!=|[^ ])
    """,
    re.VERBOSE | re.DOTALL | re.ASCII,
)
WORD, NAME, QUOTED, STRING, BLOB, NUMBER, OPERATOR = ["word", "name", "quoted", "string", "blob", "number", "operator"]


class Token(t.NamedTuple):
    """A piece of a statement: C(text) is without its quotes, the digits of a blob, a word as it is spelt.

    C(quoted) stands between double quotes: a name, or a string where there is no such column.
    """

    kind: str
    text: str

    def is_word(self, *words: str) -> bool:
        """Return whether it is one of these keywords, given in capitals."""
        return self.kind == WORD and self.text.upper() in words

    def is_operator(self, *operators: str) -> bool:
        return self.kind == OPERATOR and self.text in operators

    @property
    def is_name(self) -> bool:
        return self.kind in (WORD, NAME, QUOTED)


def quote(identifier: str) -> str:
    """Return the identifier quoted for SQLite."""
    return '"' + identifier.replace('"', '""') + '"'


def fold(name: str) -> str:
    """Return the name as SQLite compares it: ASCII letters regardless of case, all others as they are."""
    return name.translate(_ASCII_LOWER)


def free_row_name(columns: t.Iterable[str]) -> str | None:
    """Return a name of the rowid that no column hides, None where all are taken."""
    taken = {fold(name) for name in columns}
    return next((name for name in ("rowid", "_rowid_", "oid") if name not in taken), None)


def tokens_of(statement: str) -> list[Token]:
    """Return the tokens of a statement, its white space and comments left out."""
    return [
        Token(kind, _unquoted(kind, match.group()))
        for match in _TOKEN.finditer(statement)
        for kind in [str(match.lastgroup)]
        if kind != "space"
    ]


def _unquoted(kind: str, text: str) -> str:
    if kind == BLOB:
        return text[2:-1]
    if kind in (STRING, QUOTED) or text.startswith("`"):
        return text[1:-1].replace(text[0] * 2, text[0])
    return text[1:-1] if kind == NAME else text


class Tokens:
    """Tokens to be read one after the other."""

    def __init__(self, tokens: t.Sequence[Token]) -> None:
        self._tokens = tokens
        self._place = 0

    @property
    def next(self) -> Token:
        """The token that comes next; an operator without a text at the end."""
        return self.after(0)

    def after(self, count: int) -> Token:
        """Return the token behind so many others."""
        place = self._place + count
        return self._tokens[place] if place < len(self._tokens) else Token(OPERATOR, "")

    @property
    def at_end(self) -> bool:
        return self._place >= len(self._tokens)

    def take(self) -> Token:
        token = self.next
        self._place += 1
        return token

    def took_word(self, *words: str) -> bool:
        """Take the next token if it is one of these keywords, and say whether it was."""
        found = self.next.is_word(*words)
        self._place += found
        return found

    def took_operator(self, *operators: str) -> bool:
        found = self.next.is_operator(*operators)
        self._place += found
        return found

    def rest(self) -> list[Token]:
        """Take all that is left."""
        left = list(self._tokens[self._place :])
        self._place = len(self._tokens)
        return left

    def expect(self, operator: str) -> None:
        """Take an operator that has to be there.

        Raises:
            SchemaRefused: It is not.
        """
        if not self.took_operator(operator):
            raise SchemaRefused(f"{self.next.text!r} was not understood")

    def group(self) -> list[Token]:
        """Take what stands between the parenthesis that comes next and its counterpart.

        Raises:
            SchemaRefused: There is no parenthesis.
        """
        self.expect("(")
        start, depth = self._place, 1
        while depth and not self.at_end:
            token = self.take()
            depth += token.is_operator("(") - token.is_operator(")")
        return list(self._tokens[start : self._place - (depth == 0)])


def split_list(tokens: t.Sequence[Token]) -> list[list[Token]]:
    """Return the items between the commas that stand in no parenthesis."""
    items: list[list[Token]] = [[]]
    depth = 0
    for token in tokens:
        depth += token.is_operator("(") - token.is_operator(")")
        if depth == 0 and token.is_operator(","):
            items.append([])
        else:
            items[-1].append(token)
    return items
