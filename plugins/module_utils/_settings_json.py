# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Edit a JSON settings file by dotted path: only the named values are rewritten, every other byte stays."""

from __future__ import annotations

import dataclasses
import json
import re
import typing as t

from ._errors import SettingsError
from ._settings_edit import ABSENT, Change, Edit, line_ending, same, show, split_path

_SPACE = re.compile(r"[ \t\r\n]*")
_DECODER = json.JSONDecoder()


@dataclasses.dataclass(frozen=True)
class _Member:
    name: str
    start: int
    value_start: int
    value_end: int


def edit(text: str, wanted: t.Mapping[str, t.Any], name: str) -> Edit:
    """Return the text with every wanted path at its value, or absent where the value is None.

    Args:
        text: The file, without a byte order mark.
        wanted: Dotted path to value; missing parents are created.
        name: What to call the file in messages.

    Raises:
        BadInput: A path has an empty name in it.
        SettingsError: The file is not plain JSON (comments are refused), is no object, names a key on the
            path twice, or something else than an object stands on the path.
    """
    _check(text, name)
    paths = {key: split_path(key) for key in wanted}
    observed = {key: _value_at(text, path, name) for key, path in paths.items()}
    changes: list[Change] = []
    for key, value in wanted.items():
        target = ABSENT if value is None else value
        if same(_value_at(text, paths[key], name), target):
            continue
        text = _without(text, paths[key], name) if value is None else _with(text, paths[key], value, name)
        changes.append(Change(key, show(key, observed[key]), show(key, target)))
    return Edit(text, tuple(changes), {key: None if value is ABSENT else value for key, value in observed.items()})


def _check(text: str, name: str) -> None:
    try:
        root = json.loads(text)
    except ValueError as error:
        at = getattr(error, "pos", len(text))
        if text[at : at + 2] in ("//", "/*"):
            raise SettingsError(
                f"{name} holds a comment (line {text.count(chr(10), 0, at) + 1})",
                "that is not JSON, and it is edited as JSON only",
                "Remove the comments, or keep the settings to flip in a JSON file of their own.",
            ) from error
        raise SettingsError(f"{name} is not valid JSON", str(error), "Correct the file first.") from error
    if not isinstance(root, dict):
        raise SettingsError(f"{name} holds no JSON object at its top", "settings are addressed by name")


def _members(text: str, brace: int) -> tuple[list[_Member], int]:
    """Return the members of the object whose C({) stands at C(brace), and where its C(}) stands."""
    members: list[_Member] = []
    at = _skip(text, brace + 1)
    while text[at] != "}":
        member_name, end = _DECODER.raw_decode(text, at)
        value_start = _skip(text, _skip(text, end) + 1)
        value_end = _DECODER.raw_decode(text, value_start)[1]
        members.append(_Member(member_name, at, value_start, value_end))
        at = _skip(text, value_end)
        if text[at] == ",":
            at = _skip(text, at + 1)
    return members, at


def _skip(text: str, at: int) -> int:
    match = _SPACE.match(text, at)
    return match.end() if match else at


def _walk(text: str, path: tuple[str, ...], name: str) -> tuple[int, int, _Member | None]:
    """Return the innermost object on the path (where its brace stands, how deep) and its member on the path."""
    brace = _skip(text, 0)
    for depth, wanted in enumerate(path):
        named = [member for member in _members(text, brace)[0] if member.name == wanted]
        where = ".".join(path[: depth + 1])
        if len(named) > 1:
            raise SettingsError(
                f"{name} names {where} more than once",
                "which one counts depends on the reader",
                "Keep one of them.",
            )
        if not named or depth == len(path) - 1:
            return brace, depth, named[0] if named else None
        if text[named[0].value_start] != "{":
            raise SettingsError(f"{name}: {where} is not an object", f"so it cannot hold {'.'.join(path)}")
        brace = named[0].value_start
    raise AssertionError("a path has at least one name")


def _value_at(text: str, path: tuple[str, ...], name: str) -> t.Any:
    _brace, depth, member = _walk(text, path, name)
    return ABSENT if member is None or depth < len(path) - 1 else _DECODER.raw_decode(text, member.value_start)[0]


def _without(text: str, path: tuple[str, ...], name: str) -> str:
    brace, _depth, member = _walk(text, path, name)
    members, close = _members(text, brace)
    if member is None:
        return text
    index = members.index(member)
    if index + 1 < len(members):
        return text[: member.start] + text[members[index + 1].start :]
    if index > 0:
        return text[: members[index - 1].value_end] + text[member.value_end :]
    return text[: brace + 1] + text[close:]


def _with(text: str, path: tuple[str, ...], value: t.Any, name: str) -> str:
    brace, depth, member = _walk(text, path, name)
    if member is not None:
        return (
            text[: member.value_start] + _dump(text, value, _indent_at(text, member.start)) + text[member.value_end :]
        )
    for parent in reversed(path[depth + 1 :]):
        value = {parent: value}
    members, close = _members(text, brace)
    eol = line_ending(text)
    if members:
        last = members[-1]
        indent = _indent_at(text, last.start)
        separator = text[last.start : last.value_start][len(json.dumps(last.name)) :]
        colon = separator if separator.strip() == ":" and "\n" not in separator else ": "
        gap = eol + indent if indent is not None else ("" if colon == ":" else " ")
        added = f",{gap}{_quote(text, path[depth])}{colon}{_dump(text, value, indent)}"
        return text[: last.value_end] + added + text[last.value_end :]
    unit = _unit(text)
    if unit is None:
        return f"{text[: brace + 1]}{_quote(text, path[depth])}: {_dump(text, value, None)}{text[close:]}"
    outer = _line_indent(text, brace)
    inner = f"{eol}{outer}{unit}{_quote(text, path[depth])}: {_dump(text, value, outer + unit)}{eol}{outer}"
    return text[: brace + 1] + inner + text[close:]


def _indent_at(text: str, start: int) -> str | None:
    """Return the white space before a member that starts its line; None when something else stands there."""
    before = re.search(r"(?:^|[\r\n])([ \t]*)\Z", text[:start])
    return before.group(1) if before else None


def _line_indent(text: str, at: int) -> str:
    match = re.match(r"[ \t]*", text[text.rfind("\n", 0, at) + 1 :])
    return match.group() if match else ""


def _unit(text: str) -> str | None:
    """Return one step of the file's indentation; None when the file is one line with something in it."""
    members = _members(text, _skip(text, 0))[0]
    if not members:
        return "  "
    return _indent_at(text, members[0].start)


def _ascii_only(text: str) -> bool:
    return text.isascii() and "\\u" in text


def _quote(text: str, name: str) -> str:
    return json.dumps(name, ensure_ascii=_ascii_only(text))


def _dump(text: str, value: t.Any, indent: str | None) -> str:
    if indent is None or not isinstance(value, (dict, list)):
        return json.dumps(value, ensure_ascii=_ascii_only(text))
    dumped = json.dumps(value, ensure_ascii=_ascii_only(text), indent=_unit(text) or "  ")
    return dumped.replace("\n", line_ending(text) + indent)
