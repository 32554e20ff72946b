# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""What people say about gates: that something was done, or that a gate is waived; by whom and when. Pure."""

from __future__ import annotations

import dataclasses
import datetime
import typing as t

from ._instant import instant_of

# Control node and managed host need not agree about the second.
_CLOCK_SKEW = datetime.timedelta(minutes=5)
_EXAMPLE = "2026-11-27T09:30:00Z"


@dataclasses.dataclass(frozen=True)
class Statement:
    """What somebody said about one gate.

    Attributes:
        gate: The gate's name.
        by: Who said it.
        at: When, as it was written.
        words: The note, or the reason of a waiver.
        waives: Whether the gate is waived; attested otherwise.
        instant: The same as C(at), None where it cannot be read.
        fault: Why it does not count; empty when it does.
    """

    gate: str
    by: str
    at: str
    words: str
    waives: bool
    instant: datetime.datetime | None
    fault: str

    def as_dict(self) -> dict[str, str]:
        """Return it as the inventory has it."""
        return {"gate": self.gate, "by": self.by, "at": self.at, "reason" if self.waives else "note": self.words}

    def describe(self) -> str:
        """Return it for a message: who, when, and what else was said."""
        return f"{self.by}, {self.at}" + (f" ({self.words})" if self.words else "")


def read_statements(
    attested: t.Iterable[t.Mapping[str, t.Any]],
    waived: t.Iterable[t.Mapping[str, t.Any]],
    now: datetime.datetime,
    max_age: datetime.timedelta,
) -> list[Statement]:
    """Return what was said, each with the reason why it does not count, if there is one.

    Args:
        attested: C(gate), C(by), C(at), C(note), as the module's option has them.
        waived: C(gate), C(by), C(at), C(reason).
        now: The present, with its zone.
        max_age: How old a statement may be.
    """
    said = [_read(entry, False, now, max_age) for entry in attested]
    return said + [_read(entry, True, now, max_age) for entry in waived]


def _read(entry: t.Mapping[str, t.Any], waives: bool, now: datetime.datetime, max_age: datetime.timedelta) -> Statement:
    words = str(entry.get("reason" if waives else "note") or "").strip()
    by, at = str(entry.get("by") or "").strip(), str(entry.get("at") or "").strip()
    instant = instant_of(at)
    return Statement(
        gate=str(entry.get("gate") or "").strip(),
        by=by,
        at=at,
        words=words,
        waives=waives,
        instant=instant,
        fault=_fault(by, at, words, waives) or _fault_of_time(at, instant, now, max_age),
    )


def _fault(by: str, at: str, words: str, waives: bool) -> str:
    if not by:
        return "it does not say who (by is empty)"
    if waives and not words:
        return "a waiver needs a reason"
    return "" if at else f"it does not say when (at is empty; write it as {_EXAMPLE})"


def _fault_of_time(
    at: str, instant: datetime.datetime | None, now: datetime.datetime, max_age: datetime.timedelta
) -> str:
    if instant is None:
        return f"its time {at!r} cannot be read, or has no zone; write it as {_EXAMPLE}"
    if instant > now + _CLOCK_SKEW:
        return f"its time {at} lies in the future"
    if now - instant > max_age:
        return f"it was said {age_text(now - instant)} ago, and counts for {age_text(max_age)}"
    return ""


def age_text(age: datetime.timedelta) -> str:
    """Return a span in the unit that people use for it: C(3 days), C(5 hours), C(12 minutes)."""
    seconds = max(0.0, age.total_seconds())
    for unit, length in (("day", 86400), ("hour", 3600), ("minute", 60)):
        if seconds >= length:
            count = seconds / length
            shown = f"{count:.0f}" if count >= 10 else f"{count:.1f}".removesuffix(".0")
            return f"{shown} {unit}{'' if shown == '1' else 's'}"
    return f"{seconds:.0f} seconds"
