# Copyright (c) 2026, pg_cutover developers
# SPDX-License-Identifier: GPL-3.0-or-later

"""The table of status.yml: aligned, no wider than asked for, and nothing of a profile is left out."""

from __future__ import annotations

import datetime
import typing as t

from ansible_collections.sxops.pg_cutover.plugins.plugin_utils._status_table import lines

NOW = datetime.datetime(2026, 11, 27, 12, 0, 0, tzinfo=datetime.UTC)


def row(**changes: t.Any) -> dict[str, t.Any]:
    return {
        "host": "api-1", "source_id": "assets_1", "phase": "window", "live_store": "postgres", "online": True,
        "pending": 3, "lag_seconds": 75.0, "window": "", "window_until": "2026-11-27T12:41:30Z",
        "last_backup": "2026-11-27T11:18:00.120Z", "last_rehearsal": "2026-11-24T12:00:00.000Z", "last_drill": None,
        "last_cutover": "2026-11-27T11:59:58.500Z", "next_command": "close.yml", "problem": "", **changes,
    }  # fmt: skip


def cells(line: str) -> list[str]:
    return [part.strip() for part in line.split("  ") if part.strip()]


def test_every_profile_has_a_line_and_every_figure_a_column() -> None:
    quiet = row(
        source_id="a", phase="not begun", live_store="sqlite", online=False, pending=None, lag_seconds=None,
        window_until="", last_backup=None, last_rehearsal=None, last_cutover=None, next_command="cutover.yml --check",
    )  # fmt: skip
    title, first, second = lines([row(), quiet], 120, NOW)
    assert cells(title) == [
        "HOST", "PROFILE", "PHASE", "LIVE", "LAG", "WINDOW", "BACKUP", "REHEARSAL", "DRILL", "CUTOVER", "NEXT",
    ]  # fmt: skip
    assert cells(first) == [
        "api-1", "assets_1", "window", "postgres", "3 rows, 1 min", "41 min left", "41 min", "3 d", "never", "1 s",
        "close.yml",
    ]  # fmt: skip
    assert cells(second)[2:] == [
        "not begun", "sqlite", "-", "-", "never", "never", "never", "never", "cutover.yml --check",
    ]  # fmt: skip
    starts = [title.index(name) for name in ("PROFILE", "PHASE", "LIVE", "NEXT")]
    for line in (first, second):
        assert [line[at - 2 : at] for at in starts] == ["  "] * 4 and all(line[at] != " " for at in starts)
    assert max(map(len, (title, first, second))) <= 120


def test_where_it_is_too_wide_there_is_a_list_for_each_profile() -> None:
    wide = lines([row(), row(host="api-2")], 120, NOW)
    narrow = lines([row(), row(host="api-2")], 60, NOW)
    assert len(wide) == 3 and max(map(len, wide)) > 60
    assert max(map(len, narrow)) <= 60
    assert [line for line in narrow if not line.startswith(" ")] == ["api-1 assets_1", "api-2 assets_1"]
    assert "  lag        3 rows, 1 min" in narrow and "  next       close.yml" in narrow


def test_one_that_was_not_looked_at_says_why_below() -> None:
    gone = {
        "host": "api-2", "source_id": "b", "unreachable": True, "problem": "Failed to connect: no route to host",
    }  # fmt: skip
    broken = {"host": "api-3", "source_id": "c", "unreachable": False, "problem": "the ledger is broken"}
    found = lines([row(), gone, broken], 120, NOW)
    assert cells(found[2])[:4] == ["api-2", "b", "unreachable", "?"]
    assert cells(found[3])[:4] == ["api-3", "c", "not verified", "?"]
    assert found[4:] == ["api-2 b: Failed to connect: no route to host", "api-3 c: the ledger is broken"]


def test_what_is_pending_and_not_known_is_no_zero() -> None:
    assert cells(lines([row(pending=None)], 120, NOW)[1])[4] == "?"
    assert cells(lines([row(pending=0, lag_seconds=None)], 120, NOW)[1])[4] == "0 rows"
    assert "over" in lines([row(window_until="", window="over")], 120, NOW)[1]
