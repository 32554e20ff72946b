# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""What an edit of a settings file comes to; shared by the formats (env, json, yaml)."""

from __future__ import annotations

import dataclasses
import json
import re
import typing as t

from ._errors import BadInput

ABSENT: t.Any = object()
_NAME = re.compile(r"(?:\\.|[^.\\])+")


@dataclasses.dataclass(frozen=True)
class Change:
    """One key that does not stand in the file as wanted.

    C(before) and C(after) are the lines (without line ending) that show it, None when the key is absent.
    """

    key: str
    before: str | None
    after: str | None


@dataclasses.dataclass(frozen=True)
class Edit:
    """The edited text, with what was found and what has to change.

    Args:
        text: The whole new text; equal to the old one when there is nothing to do.
        changes: The keys to change, in the order they were asked for.
        observed: The value of every named key before the edit, None when absent. Holds secrets.
        notes: What an operator should know about this edit, without values.
    """

    text: str
    changes: tuple[Change, ...]
    observed: dict[str, t.Any]
    notes: tuple[str, ...] = ()


def show(key: str, value: t.Any) -> str | None:
    """Return the line that shows a structured value in a diff; None for an absent one."""
    return None if value is ABSENT else f"{key}: {json.dumps(value, ensure_ascii=False, default=str)}"


def same(one: t.Any, other: t.Any) -> bool:
    """Compare by type too: 1, 1.0, true and "1" are four different settings; ABSENT equals only itself."""
    if one is ABSENT or other is ABSENT:
        return one is other
    return json.dumps(one, sort_keys=True, default=str) == json.dumps(other, sort_keys=True, default=str)


def line_ending(text: str) -> str:
    """Return the line ending that the text uses most; C(\\n) when it has none."""
    windows = text.count("\r\n")
    return "\r\n" if windows > text.count("\n") - windows else "\n"


def split_path(key: str) -> tuple[str, ...]:
    """Return the names of a dotted path; C(\\.) stands for a dot inside a name.

    Raises:
        BadInput: A name in it is empty, or it ends in a lone backslash.
    """
    names: list[str] = []
    position = 0
    while True:
        match = _NAME.match(key, position)
        if not match or (match.end() < len(key) and key[match.end()] != "."):
            raise BadInput(
                f"Settings key {key!r} is refused",
                "a name in the dotted path is empty or ends in a backslash",
                "Write it like 'database.provider'; a dot inside a name is written '\\.'.",
            )
        names.append(re.sub(r"\\(.)", r"\1", match.group()))
        if match.end() == len(key):
            return tuple(names)
        position = match.end() + 1
