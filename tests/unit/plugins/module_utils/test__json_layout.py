# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lines that are written alike come to exactly what they come to one by one."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ansible_collections.sxops.pg_cutover.plugins.module_utils._json_layout import JsonLayout
from ansible_collections.sxops.pg_cutover.plugins.module_utils._log_lines import Counting, Window
from ansible_collections.sxops.pg_cutover.plugins.module_utils._request_line import JsonLine, compiled
from ansible_collections.sxops.pg_cutover.plugins.module_utils._request_tally import RequestTally
from hypothesis import given
from hypothesis import strategies as st

TIMES = ("timestamp", "time", "ts", "@timestamp")
AT = 1795791942
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "status": st.sampled_from([200, 204, 404, 500]) | st.sampled_from(["200", 99, 600, None, True, 200.0]),
    "latency": st.floats(0, 1e4)
    | st.integers(0, 10**14)
    | st.sampled_from([None, -1, "3.5", "x", 1e300, float("nan")]),
    "route": st.sampled_from(["/items", "/items?q=hunter2", "", None, 5, 'a"b', "\\", "ä\u2028\x85b", "\x07"]),
    "error_code": st.sampled_from([None, "", "E_ONE", "ä", 7]),
    "request_id": st.sampled_from(["own-1", "r-1", "", None, 9]),
    "time": st.sampled_from(["2026-11-27T15:05:42Z", AT, AT * 1000, float(AT), None, "never", 5, -3, ""]),
    "extra": st.none() | st.booleans() | st.text(max_size=5) | st.floats() | st.lists(st.integers(), max_size=2),
}


class Single(JsonLine):
    """Reads line by line."""

    def alike(self, text: str) -> None:
        return None


@st.composite
def logs(draw: st.DrawFn) -> str:
    keys = draw(st.permutations(sorted(VALUES)).flatmap(lambda all_: st.integers(1, 7).map(lambda n: all_[:n])))
    separators = draw(st.sampled_from([(", ", ": "), (",", ":")]))
    ascii_ = draw(st.booleans())
    text = ""
    for _number in range(draw(st.integers(1, 12))):
        entry = {key: draw(VALUES[key]) for key in keys}
        text += json.dumps(entry, separators=separators, ensure_ascii=ascii_)
        text += draw(st.sampled_from(["", "", "", " ", "\r", "}", "\n", "\x0b"])) + "\n"
    return text


def counted(parser: JsonLine, text: str, window: Window) -> tuple[Any, ...]:
    counting = Counting(parser, RequestTally(), window)
    for _time in range(2):  # the second time the layout is known
        counting.add(text.encode("utf-8", "surrogatepass"))
    tally = counting.tally
    return tally.as_dict(), tally.excluded, tally.latency(), counting.lines, sorted(counting.malformed)


@given(
    logs(),
    st.sampled_from([None, "^own-", "^$", "^"]),
    st.sampled_from([Window(), Window(since=AT), Window(until=AT), Window(AT - 10, AT + 10), Window(since=1)]),
)
def test_the_same_as_line_by_line(text: str, excluded: str | None, window: Window) -> None:
    pattern = compiled("exclude_request_ids", excluded) if excluded else None
    assert counted(JsonLine(pattern), text, window) == counted(Single(pattern), text, window)


def test_all_lines_of_one_writer_are_alike() -> None:
    text = "".join(
        json.dumps({"timestamp": "2026-11-27T15:05:42Z", "route": "/a", "status": 200, "latency": n / 7, "x": n}) + "\n"
        for n in range(50)
    )
    found = JsonLine().alike(text)
    assert found is not None
    assert (len(found.lines), found.others) == (50, [])


def test_the_layout_follows_a_writer_that_changes_its_own() -> None:
    parser = JsonLine()
    for order in ('{"status": 200, "route": "/a"}\n', '{"route": "/a", "status": 200}\n'):
        for _time in range(2):
            found = parser.alike(order * 20)
        assert found is not None
        assert (len(found.lines), found.others) == (20, [])


@pytest.mark.parametrize(
    "line",
    [
        "{}",
        '{"route": "/a"}',
        '{"status": 200, "status": 500}',
        '{"status": 200, "more": {"a": 1}}',
        '{"status": 200, "more": [1]}',
        '{"status": 200, "a key": 1}',
        json.dumps({"status": 200, **{f"k{n}": n for n in range(20)}}),
    ],
)
def test_what_is_not_simple_is_left_to_be_read_line_by_line(line: str) -> None:
    assert JsonLayout.of(line, TIMES) is None
