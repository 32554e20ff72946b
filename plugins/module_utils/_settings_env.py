# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Edit a dotenv file so that python-dotenv, a POSIX shell and systemd's EnvironmentFile read the same values.

Only the lines of the named keys are touched; comments, order, C(export), quotes and line endings stay.
"""

from __future__ import annotations

import dataclasses
import re
import typing as t

from ._errors import BadInput, SettingsError
from ._settings_edit import Change, Edit, line_ending

_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_HEAD = re.compile(r"(?P<lead>[ \t]*(?:export[ \t]+)?)(?P<key>[A-Za-z_][A-Za-z0-9_]*)(?P<equals>[ \t]*=[ \t]*)")
_BARE = re.compile(r"[ \t]*(?:export[ \t]+)?(?P<key>[A-Za-z_][A-Za-z0-9_]*)[ \t]*(?=[\r\n]|\Z)")
_EOL = re.compile(r"\r\n|\n|\r|\Z")
_SINGLE = re.compile(r"'(?:\\.|[^'\\])*'", re.DOTALL)
_SINGLE_SHELL = re.compile(r"'[^']*'")
_DOUBLE = re.compile(r'"(?:\\.|[^"\\])*"', re.DOTALL)
_TRAILING = re.compile(r"(?:[ \t]+#.*|[ \t]*)\Z")
_COMMENT = re.compile(r"[ \t]+#.*\Z")

# Read alike by all three without quotes. Not in it: ~ (expanded after a colon), and what a shell acts upon.
_PLAIN = re.compile(r"[A-Za-z0-9_.,/:@%+=-]*")
# python-dotenv expands these even inside single quotes, and knows no way to write them literally.
_INTERPOLATION = re.compile(r"\$\{")
# In single quotes python-dotenv takes these for an escape, a shell does not.
_SINGLE_TRAP = re.compile(r"\\(?:\\|'|\Z)")
_DOUBLE_ESCAPES = re.compile(r"\\[\\\"]")
# systemd drops a variable holding one of these.
_REFUSED_CHARACTERS = re.compile(r"[\x00-\x08\x0a-\x1f\x7f\ud800-\udfff\ufdd0-\ufdef]")


@dataclasses.dataclass(frozen=True)
class _Line:
    """A line that defines a key; it ends where its (maybe multi-line) value and comment end."""

    key: str
    number: int
    start: int
    end: int
    eol_end: int
    lead: str
    quote: str
    value: str
    portable: bool
    tail: str


def edit(text: str, wanted: t.Mapping[str, t.Any], name: str) -> Edit:
    """Return the text with every wanted key at its value, or absent where the value is None.

    Args:
        text: The file, without a byte order mark.
        wanted: Key to value; booleans become C(true) and C(false).
        name: What to call the file in messages.

    Raises:
        BadInput: A key is no variable name, or a value cannot be written so that every reader agrees on it.
        SettingsError: A key is defined more than once, or the file is ambiguous where it would be edited.
    """
    texts = {key: _text_of(key, value) for key, value in wanted.items()}
    found = _find(text, texts, name)
    changes: list[Change] = []
    notes: list[str] = []
    pieces: list[tuple[int, int, str]] = []
    added: list[str] = []
    for key, value in texts.items():
        line = found.get(key)
        if value is None:
            if line:
                changes.append(Change(key, text[line.start : line.end], None))
                pieces.append((line.start, line.eol_end, ""))
            continue
        if line and line.value == value and line.portable:
            continue
        new = f"{line.lead if line else ''}{key}={_encode(key, value, line)}"
        if line and line.tail:
            new += line.tail
            notes.append(
                f"{name} line {line.number}: the comment behind {key} was kept; systemd's EnvironmentFile "
                "would read it as part of the value."
            )
        changes.append(Change(key, text[line.start : line.end] if line else None, new))
        if line:
            pieces.append((line.start, line.end, new))
        else:
            added.append(new)
    new_text = _rebuild(text, pieces, added, name)
    observed = {key: found[key].value if key in found else None for key in texts}
    return Edit(new_text, tuple(changes), observed, tuple(notes))


def _text_of(key: str, value: t.Any) -> str | None:
    if not _KEY.fullmatch(key):
        raise BadInput(
            f"Settings key {key!r} is refused",
            "a variable name in an env file holds only letters, digits and '_', and starts with no digit",
        )
    if value is None:
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return str(value)
    if not isinstance(value, str):
        raise BadInput(f"Settings key {key} is refused", "an env file holds text only, not lists or dictionaries")
    bad = _REFUSED_CHARACTERS.search(value)
    if bad or any(ord(character) & 0xFFFE == 0xFFFE for character in value):
        character = f"U+{ord(bad.group()):04X}" if bad else "a noncharacter"
        raise BadInput(
            f"The value of settings key {key} is refused",
            f"it holds {character}, which dotenv, sh and systemd read differently or not at all",
        )
    return value


def _encode(key: str, value: str, line: _Line | None) -> str:
    """Return the value as written: in the line's own quotes if every reader agrees on it, else in others."""
    if not _INTERPOLATION.search(value):
        for quote in dict.fromkeys((line.quote if line else "", "", "'", '"')):
            if not quote and _PLAIN.fullmatch(value) and (value or not (line and line.tail)):
                return value
            if quote == "'" and "'" not in value and not _SINGLE_TRAP.search(value):
                return f"'{value}'"
            if quote == '"' and "$" not in value and "`" not in value:
                return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    raise BadInput(
        f"The value of settings key {key} is refused",
        "there is no way to write it that dotenv, sh and systemd read alike ('${', or '$' or '`' together "
        "with a single quote or a doubled or final backslash)",
        "In a connection URL percent-encode them: %24 for '$', %27 for a quote, %60 for '`', %5C for '\\'.",
    )


def _find(text: str, texts: t.Mapping[str, str | None], name: str) -> dict[str, _Line]:
    found: dict[str, _Line] = {}
    numbers: dict[str, list[int]] = {}
    for line in _lines(text, name):
        if line.key not in texts:
            continue
        numbers.setdefault(line.key, []).append(line.number)
        found[line.key] = line
        if _continued(text, line.start):
            raise SettingsError(
                f"{name} line {line.number} defines {line.key} behind a line that ends in a backslash",
                "some readers take both for one line",
                "Remove that backslash.",
            )
    for key, places in numbers.items():
        if len(places) > 1:
            where = ", ".join(str(place) for place in places)
            raise SettingsError(
                f"{name} defines {key} more than once (lines {where})",
                "which one counts depends on the reader, and editing one of them would look like it worked",
                "Keep one of these lines and delete or comment out the others.",
                key=key,
                lines=places,
            )
    return found


def _lines(text: str, name: str) -> t.Iterator[_Line]:
    position, number = 0, 1
    while position < len(text):
        head = _HEAD.match(text, position)
        bare = None if head else _BARE.match(text, position)
        if head:
            line = _definition(text, position, number, head, name)
        else:
            eol = _end_of_line(text, position)
            key = bare.group("key") if bare else ""
            line = _Line(key, number, position, eol.start(), eol.end(), "", "", "", False, "")
        if line.key:
            yield line
        number += len(re.findall(r"\r\n|\n|\r", text[position : line.eol_end]))
        position = line.eol_end


def _definition(text: str, start: int, number: int, head: re.Match[str], name: str) -> _Line:
    at = head.end()
    quote = text[at : at + 1] if text[at : at + 1] in ("'", '"') else ""
    portable = head.group("equals") == "="
    if quote:
        closing = _DOUBLE.match(text, at) if quote == '"' else _SINGLE.match(text, at) or _SINGLE_SHELL.match(text, at)
        if not closing:
            raise SettingsError(
                f"{name} line {number} opens a quote that is never closed",
                "readers disagree on where that value ends",
                "Close the quote.",
            )
        eol = _end_of_line(text, closing.end())
        tail = text[closing.end() : eol.start()]
        value, agreed = _unquote(closing.group())
        portable = portable and agreed and bool(_TRAILING.match(tail))
        if not _TRAILING.match(tail):
            tail = f" {tail}" if tail.startswith("#") else ""
        tail = tail.rstrip(" \t") and tail
    else:
        eol = _end_of_line(text, at)
        rest = text[at : eol.start()]
        if rest.startswith("#") and head.group("equals") != "=":
            value, tail = "", f" {rest}"
        else:
            comment = _COMMENT.search(rest)
            value = (rest[: comment.start()] if comment else rest).rstrip()
            tail = rest[len(value) :] if comment else ""
        portable = portable and bool(_PLAIN.fullmatch(value)) and bool(value or not tail)
    lead = head.group("lead")
    return _Line(head.group("key"), number, start, eol.start(), eol.end(), lead, quote, value, portable, tail)


def _unquote(token: str) -> tuple[str, bool]:
    """Return what python-dotenv reads, and whether a shell and systemd read the same."""
    inner = token[1:-1]
    agreed = not _INTERPOLATION.search(inner)
    if token[0] == "'":
        return re.sub(r"\\([\\'])", r"\1", inner), agreed and not _SINGLE_TRAP.search(inner)
    plain = _DOUBLE_ESCAPES.sub("", inner)
    agreed = agreed and not any(character in plain for character in "\\$`")
    named = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
    return re.sub(r"\\([\\'\"abfnrtv])", lambda match: named.get(match.group(1), match.group(1)), inner), agreed


def _end_of_line(text: str, position: int) -> re.Match[str]:
    found = _EOL.search(text, position)
    if found is None:
        raise AssertionError("the end of the text always matches")
    return found


def _continued(text: str, start: int) -> bool:
    return bool(re.search(r"\\(?:\r\n|\n|\r)\Z", text[:start]))


def _rebuild(text: str, pieces: list[tuple[int, int, str]], added: list[str], name: str) -> str:
    eol = line_ending(text)
    unfinished = bool(text) and not text.endswith(("\n", "\r"))
    for start, end, replacement in sorted(pieces, reverse=True):
        text = text[:start] + replacement + text[end:]
    if unfinished and text.endswith(("\n", "\r")):
        text = text[: -len(eol)] if text.endswith(eol) else text[:-1]
    if added:
        if _continued(text + ("" if text.endswith(("\n", "\r")) else eol), len(text) + len(eol)):
            raise SettingsError(
                f"{name} ends in a backslash",
                "a line added behind it would be read as part of it",
                "Remove it.",
            )
        if unfinished:
            text = eol.join(([text] if text else []) + added)
        else:
            text += "".join(line + eol for line in added)
    return text
