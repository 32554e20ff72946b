# SPDX-License-Identifier: GPL-3.0-or-later
"""Texts that break careless copying: every one of them is legal in both stores."""

from __future__ import annotations

from random import Random

AWKWARD = (
    'it\'s "quoted" and `ticked`',
    "two\nlines and\r\nanother",
    "tab\tbetween",
    "back\\slash \\n \\t \\x41",
    "\\N",
    "before\n\\.\nafter",
    "\\.",
    "",
    " ",
    " leading and trailing ",
    "NULL",
    "null",
    "comma, semicolon; pipe| 100 % {braces} %s $1 :name ?",
    "emoji \U0001f600\U0001f469\u200d\U0001f4bb and flag \U0001f1f3\U0001f1f1",
    "combining e\u0301 versus \u00e9",
    "\u0627\u0644\u0639\u0631\u0628\u064a\u0629 and \u65e5\u672c\u8a9e",
    "\u00c4\u00d6\u00dc \u00e4\u00f6\u00fc \u00df \u0130\u0131",
    "no-break\u00a0space and zero\u200bwidth",
    "control \x01\x1f\x7f",
    "\u2028line separator and \ufeffbom",
    "-- comment /* and */ '; DROP TABLE videos; --",
    '{"json": ["like", null, 1e400]}',
    "=1+1",
    "007",
    "x" * 4000,
)

_WORDS = (
    *("studio", "light", "ring", "river", "market", "summer", "recipe", "slow", "coffee", "street", "window"),
    *("dance", "garden", "quick", "paint", "ocean", "night", "train", "paper", "glass", "winter", "bread"),
    *("small", "loud", "green", "copper"),
)


def sentence(random: Random, words: int) -> str:
    """Return some words."""
    return " ".join(random.choices(_WORDS, k=words))


def maybe_awkward(random: Random, text: str | None, share: float = 0.04) -> str | None:
    """Return the text, now and then one of the awkward ones instead."""
    return random.choice(AWKWARD) if random.random() < share else text
