# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""An instant as the ledger and every result write it, and read again: UTC, ISO 8601, milliseconds. Pure."""

from __future__ import annotations

import datetime
import typing as t


def instant_text(instant: datetime.datetime) -> str:
    """Return an instant as C(2026-11-27T09:30:00.410Z)."""
    found = instant.astimezone(datetime.timezone.utc)
    return found.strftime("%Y-%m-%dT%H:%M:%S.") + f"{found.microsecond // 1000:03d}Z"


def instant_of(text: t.Any) -> datetime.datetime | None:
    """Return the instant of an ISO 8601 time with its zone; None when it is none, or has no zone."""
    if not isinstance(text, str):
        return None
    try:
        # The Z is read by Python 3.11 only.
        found = datetime.datetime.fromisoformat(text[:-1] + "+00:00" if text.endswith(("Z", "z")) else text)
    except ValueError:
        return None
    return None if found.tzinfo is None else found
