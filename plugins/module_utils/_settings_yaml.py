# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Edit a YAML settings file by dotted path, comments and order kept.

A scalar that is already there, the usual flip, is replaced in place and every other byte stays. Anything else
goes through ruamel.yaml's round trip, which may lay out other lines anew; then that is said.
"""

from __future__ import annotations

import difflib
import importlib
import io
import json
import re
import typing as t

from ._errors import MissingDependency, SettingsError
from ._settings_edit import ABSENT, Change, Edit, line_ending, same, show, split_path

# Text that YAML 1.1 (PyYAML) and 1.2 both read back as this very text without quotes.
_PLAIN_TEXT = re.compile(r"[A-Za-z_/][A-Za-z0-9_./-]*")
_YAML_WORDS = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null"})
_NOT_PRINTABLE = re.compile(r"[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")
_Path = tuple[str, ...]


def edit(text: str, wanted: t.Mapping[str, t.Any], name: str) -> Edit:
    """Return the text with every wanted path at its value, or absent where the value is None.

    Args:
        text: The file, without a byte order mark.
        wanted: Dotted path to value; missing parents are created.
        name: What to call the file in messages.

    Raises:
        BadInput: A path has an empty name in it.
        MissingDependency: ruamel.yaml is not installed where this runs.
        SettingsError: The file is not one valid YAML document with a mapping at its top, something else than
            a mapping stands on the path, or the path leads through what an anchor or a merge key shares.
    """
    paths = {key: split_path(key) for key in wanted}
    root = _load(text, name)
    observed = {key: _value_at(root, path, name) for key, path in paths.items()}
    changes: list[Change] = []
    notes: tuple[str, ...] = ()
    edited = text
    for key, value in wanted.items():
        target = ABSENT if value is None else value
        if same(observed[key], target):
            continue
        changes.append(Change(key, show(key, observed[key]), show(key, target)))
        replaced = _replace_scalar(edited, paths[key], target)
        if replaced is None:
            replaced, notes = _round_trip(edited, paths[key], target, name)
        if _shape(_compose(replaced)) != _with(_shape(_compose(edited)), paths[key], target):
            raise SettingsError(
                f"{name} was not edited: setting {key} in it would change something else too",
                "its layout is beyond what can be edited safely",
                "Set the value by hand, or keep the settings to flip in a simpler file.",
            )
        edited = replaced
    return Edit(edited, tuple(changes), {key: None if at is ABSENT else at for key, at in observed.items()}, notes)


def _library() -> t.Any:
    try:
        return importlib.import_module("ruamel.yaml")
    except ImportError as error:
        raise MissingDependency(
            "A YAML settings file cannot be edited on this host",
            "the Python library ruamel.yaml is not installed there",
            "Install it (python3-ruamel.yaml, or pip install ruamel.yaml), or use an env or json file.",
        ) from error


def _yaml(text: str) -> t.Any:
    yaml = _library().YAML()
    yaml.preserve_quotes = True
    yaml.width = 2**20  # never fold a line
    yaml.explicit_start = bool(re.search(r"^---(\s|$)", text, re.MULTILINE))
    item = re.search(r"^( *)[^\s#-][^\n]*:[ \t]*\r?\n( *)- ", text, re.MULTILINE)
    child = re.search(r"^[^\s#-][^\n]*:[ \t]*\r?\n( +)[^\s#-]", text, re.MULTILINE)
    mapping = len(child.group(1)) if child else 2
    offset = max(len(item.group(2)) - len(item.group(1)), 0) if item else 0
    yaml.indent(mapping=mapping, sequence=offset + 2, offset=offset)
    return yaml


def _load(text: str, name: str) -> t.Any:
    library = _library()
    try:
        root = _yaml(text).load(text)
    except library.error.YAMLError as error:
        problem = getattr(error, "problem", None) or str(error).splitlines()[0]
        mark = getattr(error, "problem_mark", None)
        where = f" (line {mark.line + 1})" if mark else ""
        raise SettingsError(
            f"{name} is not one valid YAML document{where}", str(problem), "Correct the file first."
        ) from error
    if not isinstance(root, dict):
        raise SettingsError(f"{name} holds no YAML mapping at its top", "settings are addressed by name")
    return root


def _value_at(root: t.Any, path: _Path, name: str) -> t.Any:
    node = root
    for depth, part in enumerate(path):
        where = ".".join(path[:depth])
        if not isinstance(node, dict):
            raise SettingsError(f"{name}: {where} is not a mapping", f"so it cannot hold {'.'.join(path)}")
        if getattr(getattr(node, "anchor", None), "value", None) or getattr(node, "merge", None):
            raise SettingsError(
                f"{name}: {where or 'the top'} shares values by an anchor or a merge key",
                f"so setting {'.'.join(path)} could change other settings",
                "Write that mapping out in full.",
            )
        if part not in node:
            return ABSENT
        node = node[part]
        if node is None and depth < len(path) - 1:
            return ABSENT
    return _plain(node)


def _plain(value: t.Any) -> t.Any:
    """Return a value of ruamel.yaml as the plain Python value it stands for."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if type(value).__name__ == "ScalarBoolean":
        return bool(value)
    for kind in (bool, int, float, str):
        if isinstance(value, kind):
            return kind(value)
    return None if value is None else str(value)


def _compose(text: str) -> t.Any:
    return _library().YAML().compose(text)


def _shape(node: t.Any) -> t.Any:
    """Return what a composed document says, without its layout: tags and values, order included."""
    if not isinstance(node.value, list):
        return (str(node.tag), node.value)
    if (node.value and isinstance(node.value[0], tuple)) or str(node.tag).endswith(":map"):
        return [(_shape(key), _shape(value)) for key, value in node.value]
    return (str(node.tag), tuple(_freeze(_shape(item)) for item in node.value))


def _freeze(shape: t.Any) -> t.Any:
    return tuple(shape) if isinstance(shape, list) else shape


def _with(shape: t.Any, path: _Path, target: t.Any) -> t.Any:
    """Return the shape that the document must have once the path has its value."""
    members = shape if isinstance(shape, list) else []
    result, found = [], False
    for key, value in members:
        if key[1] != path[0]:
            result.append((key, value))
            continue
        found = True
        if len(path) > 1:
            result.append((key, _with(value, path[1:], target)))
        elif target is not ABSENT:
            result.append((key, _shape(_compose(_flow(target)))))
    if not found and target is not ABSENT:
        key = _shape(_compose(_flow(path[0])))
        result.append((key, _with([], path[1:], target) if len(path) > 1 else _shape(_compose(_flow(target)))))
    return result


def _replace_scalar(text: str, path: _Path, target: t.Any) -> str | None:
    """Return the text with a one-line scalar replaced in place; None when the path ends in no such one."""
    if target is ABSENT or isinstance(target, (dict, list)):
        return None
    node = _compose(text)
    for part in path:
        named = [value for key, value in node.value if key.value == part] if isinstance(node.value, list) else []
        if len(named) != 1:
            return None
        node = named[0]
    start, end = node.start_mark.index, node.end_mark.index
    if isinstance(node.value, list) or node.anchor or node.style not in (None, "", "'", '"') or start == end:
        return None
    old = text[start:end]
    if "\n" in old or "\r" in old or old.startswith("!"):
        return None
    return text[:start] + _scalar(target, node.style) + text[end:]


def _scalar(value: t.Any, style: str | None = None) -> str:
    if not isinstance(value, str):
        return _flow(value)
    if style == "'" and value.isprintable():
        return "'" + value.replace("'", "''") + "'"
    if style != '"' and _is_plain(value):
        return value
    return _flow(value)


def _flow(value: t.Any) -> str:
    """Return the value as JSON that is YAML too: in it, \\u stands for no half of a character outside the BMP."""
    return _NOT_PRINTABLE.sub(lambda match: f"\\u{ord(match.group()):04x}", json.dumps(value, ensure_ascii=False))


def _is_plain(value: str) -> bool:
    return bool(_PLAIN_TEXT.fullmatch(value)) and value.lower() not in _YAML_WORDS


def _round_trip(text: str, path: _Path, target: t.Any, name: str) -> tuple[str, tuple[str, ...]]:
    yaml = _yaml(text)
    root = _load(text, name)
    untouched = _dumped(yaml, root, text)
    _assign(root, path, target)
    before, after = text.splitlines(), untouched.splitlines()
    moved = [line for line in difflib.ndiff(before, after) if line.startswith("- ")]
    notes: tuple[str, ...] = ()
    if moved:
        notes = (f"{name}: {len(moved)} other line(s) are laid out anew (spaces or quotes), their values stay.",)
    return _dumped(yaml, root, text), notes


def _dumped(yaml: t.Any, root: t.Any, text: str) -> str:
    stream = io.StringIO()
    yaml.dump(root, stream)
    result = re.sub(r"\r?\n", line_ending(text), stream.getvalue())
    return result if text.endswith("\n") or not text else result.rstrip("\r\n")


def _assign(root: t.Any, path: _Path, target: t.Any) -> None:
    node = root
    for part in path[:-1]:
        if node.get(part) is None:
            node[part] = type(root)()
        node = node[part]
    if target is ABSENT:
        del node[path[-1]]
    else:
        node[path[-1]] = _styled(target)


def _styled(value: t.Any) -> t.Any:
    if isinstance(value, dict):
        return {key: _styled(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_styled(item) for item in value]
    if isinstance(value, str) and not _is_plain(value):
        return _library().scalarstring.DoubleQuotedScalarString(value)
    return value
