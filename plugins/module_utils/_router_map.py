# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""The text of a HAProxy map file: what stands for a key, and the same text with another value for it.

HAProxy reads a line as a key, white space, and a value up to the end of the line; a line that begins with V(#) is a
comment (a V(#) further in is not). Of several lines of one key the first is found, and a change by the runtime socket
reaches all of them, so all of them are changed here as well.
"""

from __future__ import annotations

import re

_LINE = re.compile(r"(?P<key>[ \t]*(?P<name>[^ \t\r\n]+)[ \t]*)(?P<value>[^\r\n]*?)(?P<rest>[ \t]*\r?)\Z")


def values_of(text: str, key: str) -> tuple[str, ...]:
    """Return the value of every line of a key, in order."""
    return tuple(
        match.group("value") for match in map(_entry, text.split("\n")) if match and match.group("name") == key
    )


def with_value(text: str, key: str, value: str) -> str:
    """Return the text with this value for a key; every other line, comment and line ending stays as it is.

    A key that has no line yet gets one at the end.
    """
    lines = text.split("\n")
    found = False
    for place, line in enumerate(lines):
        match = _entry(line)
        if match and match.group("name") == key:
            found = True
            gap = match.group("key")
            lines[place] = gap + ("" if gap[-1] in " \t" else " ") + value + match.group("rest")
    if found:
        return "\n".join(lines)
    ending = "\r\n" if text.endswith("\r\n") else "\n"
    return text + ("" if not text or text.endswith("\n") else ending) + f"{key} {value}{ending}"


def _entry(line: str) -> re.Match[str] | None:
    return None if line.startswith("#") else _LINE.match(line)
