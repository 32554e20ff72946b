# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Hold an answer against what a smoke check expects of it. Pure."""

from __future__ import annotations

import typing as t

from ._http_probe import Response
from ._verdict import FAILED, PASSED, Check

SHOWN = 300
MISSING = "(missing)"
Expectation = t.Mapping[str, t.Any]


def judge(name: str, wanted: Expectation, answer: Response) -> Check:
    """Return the check of one HTTP answer; its message names every expectation that was not met.

    Args:
        name: The check's name.
        wanted: C(expect_status), C(expect_json), C(expect_json_min), C(expect_headers), C(expect_text),
            C(expect_no_text), C(max_latency) as in the module's O(checks).
        answer: What the application said.
    """
    statuses = wanted.get("expect_status") or [200]
    expected: dict[str, t.Any] = {"status": statuses[0] if len(statuses) == 1 else list(statuses)}
    observed: dict[str, t.Any] = {"status": answer.status}
    unmet = []
    if answer.status not in statuses:
        unmet.append(f"status {answer.status} instead of {' or '.join(map(str, statuses))}")
    for header, value in (wanted.get("expect_headers") or {}).items():
        found = answer.headers.get(header, MISSING)
        expected[f"header {header}"], observed[f"header {header}"] = value, found
        if found != str(value):
            unmet.append(f"header {header} is {found!r} instead of {value!r}")
    unmet += _judge_json(wanted, answer.json, expected, observed)
    unmet += _judge_text(wanted, answer.text, expected, observed)
    limit = wanted.get("max_latency")
    if limit is not None:
        expected["latency_ms"], observed["latency_ms"] = f"at most {limit}", answer.latency_ms
        if answer.latency_ms > limit:
            unmet.append(f"it took {answer.latency_ms} ms, more than {limit} ms")
    if not unmet:
        return Check(name, PASSED, shown(expected), shown(observed))
    message = f"{answer.url}: {'; '.join(unmet)}. The answer begins {answer.text[:SHOWN]!r}"
    return Check(name, FAILED, shown(expected), shown(observed), message)


def judge_row(name: str, wanted: Expectation, row: t.Mapping[str, t.Any]) -> Check:
    """Return the check of a subject's row itself (O(checks[].subject)) by its JSON expectations."""
    expected: dict[str, t.Any] = {}
    observed: dict[str, t.Any] = {}
    unmet = _judge_json(wanted, dict(row), expected, observed)
    return Check(name, FAILED if unmet else PASSED, shown(expected), shown(observed), "; ".join(unmet))


def _judge_json(
    wanted: Expectation, document: t.Any, expected: dict[str, t.Any], observed: dict[str, t.Any]
) -> list[str]:
    unmet = []
    for path, value in (wanted.get("expect_json") or {}).items():
        found = lookup(document, path)
        met = any(same(value, item) for item in found)
        expected[path], observed[path] = value, value if met else _summary(found)
        if not met:
            unmet.append(f"{path} is {_brief(_summary(found))} instead of {_brief(value)}")
    for path, least in (wanted.get("expect_json_min") or {}).items():
        sizes = [_size(item) for item in lookup(document, path)]
        numbers = [size for size in sizes if size is not None]
        found_most = max(numbers) if numbers else MISSING
        expected[path], observed[path] = f"at least {least}", found_most
        if not numbers or max(numbers) < float(least):
            unmet.append(f"{path} is {found_most}, less than {least}")
    return unmet


def _judge_text(wanted: Expectation, text: str, expected: dict[str, t.Any], observed: dict[str, t.Any]) -> list[str]:
    unmet = []
    for option, label, want in (("expect_text", "text", True), ("expect_no_text", "no text", False)):
        needle = wanted.get(option)
        if needle is None:
            continue
        there = str(needle) in text
        expected[label] = needle
        observed[label] = "found" if there else "not found"
        if there is not want:
            unmet.append(f"the text {_brief(needle)} is {'missing' if want else 'there'}")
    return unmet


def lookup(document: t.Any, path: str) -> list[t.Any]:
    """Return what stands at a dotted path: nothing, one value, or several where a C(*) stands for every element.

    Args:
        document: Parsed JSON.
        path: Keys and list positions joined by dots (C(backend.backend), C(items.0.id), C(results.*.id)). The
            empty path is the document itself.
    """
    found = [document]
    for part in path.split(".") if path else []:
        step: list[t.Any] = []
        for value in found:
            if isinstance(value, t.Mapping):
                step += list(value.values()) if part == "*" else [value[part]] if part in value else []
            elif isinstance(value, list):
                if part == "*":
                    step += value
                elif part.isdigit() and int(part) < len(value):
                    step.append(value[int(part)])
        found = step
    return found


def same(left: t.Any, right: t.Any) -> bool:
    """Return whether two JSON values are equal, true never being 1."""
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, t.Mapping) and isinstance(right, t.Mapping):
        return left.keys() == right.keys() and all(same(left[key], right[key]) for key in left)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(same(*pair) for pair in zip(left, right))
    return bool(left == right)


def shown(value: t.Any) -> t.Any:
    """Return the value with long texts cut, fit for a result that people read."""
    if isinstance(value, str):
        return value if len(value) <= SHOWN else f"{value[:SHOWN]}… ({len(value)} characters)"
    if isinstance(value, t.Mapping):
        return {key: shown(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [shown(item) for item in value[:20]]
    return value


def _summary(found: list[t.Any]) -> t.Any:
    return MISSING if not found else found[0] if len(found) == 1 else found


def _brief(value: t.Any) -> str:
    text = repr(value)
    return text if len(text) <= SHOWN else text[:SHOWN] + "…"


def _size(value: t.Any) -> float | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, (int, float)):
        return value
    return len(value) if isinstance(value, (list, t.Mapping)) else None
