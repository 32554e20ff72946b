# SPDX-License-Identifier: GPL-3.0-or-later
"""The one place that knows how this application writes times: as text, whole seconds, UTC."""

from __future__ import annotations

from datetime import UTC, datetime


def utc_now() -> str:
    """Return the current time as C(YYYY-MM-DDTHH:MM:SSZ)."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
