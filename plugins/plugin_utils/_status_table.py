# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Every profile of every host in one table, or one below the other where that would be too wide. Pure."""

from __future__ import annotations

import datetime
import typing as t

Row = t.Mapping[str, t.Any]

UNKNOWN = "?"
_GAP = "  "
_TITLES = {
    "host": "HOST",
    "source_id": "PROFILE",
    "phase": "PHASE",
    "live_store": "LIVE",
    "lag": "LAG",
    "window": "WINDOW",
    "last_backup": "BACKUP",
    "last_rehearsal": "REHEARSAL",
    "last_drill": "DRILL",
    "last_cutover": "CUTOVER",
    "next_command": "NEXT",
}
_UNITS = (("d", 86400), ("h", 3600), ("min", 60), ("s", 1))


def lines(rows: t.Sequence[Row], width: int, now: datetime.datetime) -> list[str]:
    """Return the table, or a list for each profile when one of its lines would be longer than C(width).

    Args:
        rows: What is known of each profile, as role status keeps it. One with a C(problem) was not looked at.
        width: How many columns there are.
        now: The time, with a time zone; times are given as what has passed since.
    """
    found = [_cells(row, now) for row in rows]
    sizes = {name: max(len(cells[name]) for cells in [_TITLES, *found]) for name in _TITLES}
    table = [_GAP.join(cells[name].ljust(sizes[name]) for name in _TITLES).rstrip() for cells in [_TITLES, *found]]
    if max(map(len, table)) > width:
        table = _lists(found)
    problems = [f"{row['host']} {row['source_id']}: {row['problem']}" for row in rows if row.get("problem")]
    return table + problems


def _lists(found: list[dict[str, str]]) -> list[str]:
    size = max(map(len, _TITLES.values()))
    written: list[str] = []
    for cells in found:
        written.append(f"{cells['host']} {cells['source_id']}")
        written += [
            f"  {title.lower().ljust(size)}  {cells[name]}".rstrip()
            for name, title in _TITLES.items()
            if name not in ("host", "source_id")
        ]
    return written


def _cells(row: Row, now: datetime.datetime) -> dict[str, str]:
    cells = {name: str(row.get(name) or UNKNOWN) for name in ("host", "source_id")}
    if row.get("problem"):
        state = "unreachable" if row.get("unreachable") else "not verified"
        return {
            **dict.fromkeys(_TITLES, UNKNOWN),
            **cells,
            "phase": state,
            "next_command": row.get("next_command") or "",
        }
    cells.update(phase=row["phase"], live_store=row["live_store"], next_command=row["next_command"])
    cells.update(lag=_lag(row), window=_window(row, now))
    for name in ("last_backup", "last_rehearsal", "last_drill", "last_cutover"):
        cells[name] = _ago(row.get(name), now)
    return cells


def _lag(row: Row) -> str:
    """Return how many rows wait for the other store, and how old the oldest is."""
    pending = row.get("pending")
    if pending is None:
        return UNKNOWN if row.get("online") else "-"
    seconds = row.get("lag_seconds") or 0
    return f"{pending} rows" + (f", {_span(seconds)}" if pending and seconds else "")


def _window(row: Row, now: datetime.datetime) -> str:
    until = row.get("window_until")
    if until:
        return f"{_span(max(0.0, (_time(until) - now).total_seconds()))} left"
    return str(row.get("window") or "-")


def _ago(time: str | None, now: datetime.datetime) -> str:
    return _span(max(0.0, (now - _time(time)).total_seconds())) if time else "never"


def _span(seconds: float) -> str:
    """Return a span in its largest unit."""
    for name, size in _UNITS:
        if seconds >= size:
            return f"{int(seconds // size)} {name}"
    return "0 s"


def _time(text: str) -> datetime.datetime:
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))
