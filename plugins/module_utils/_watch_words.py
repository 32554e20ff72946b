# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""What a person is told of a running watch, in one line. Pure."""

from __future__ import annotations

import typing as t

if t.TYPE_CHECKING:
    from ._trigger import Trigger
    from ._watch_sample import Sample

_CLOSEST = 2


def standing(
    spent: float,
    duration: float,
    samples: t.Sequence[Sample],
    triggers: t.Sequence[Trigger],
    problems: t.Mapping[str, str],
) -> str:
    """Return C(12 min 5 s of 1 h 0 min, 1,234 requests (3 with 5xx), p95 12 ms, 2 keys to bring back, ...)."""
    requests = sum(sample.requests or 0 for sample in samples)
    errors = sum(sample.errors_5xx or 0 for sample in samples)
    latency = next((sample.latency_p95_ms for sample in reversed(samples) if sample.latency_p95_ms is not None), None)
    last = samples[-1]
    parts = [f"{_span(spent)} of {_span(duration)}", f"{requests:,} requests ({errors:,} with 5xx)"]
    if latency is not None:
        parts.append(f"p95 {latency:,.0f} ms")
    if last.pending:
        lag = f", oldest {last.lag_s:.1f} s" if last.lag_s is not None else ""
        parts.append(f"{last.pending:,} keys to bring back{lag}")
    if last.postgres_ok is False:
        parts.append("PostgreSQL cannot be reached")
    waiting = [name for name, ready in last.ready.items() if not ready]
    if waiting:
        parts.append(f"not ready: {', '.join(waiting)}")
    if problems.get("return_path") and last.postgres_ok is not False:
        parts.append(f"the way back stands still ({problems['return_path']})")
    return ", ".join(parts) + f"; {_closest(triggers)}"


def _closest(triggers: t.Sequence[Trigger]) -> str:
    fired = [one for one in triggers if one.firing]
    if fired:
        return "FIRED " + "; ".join(f"{one.name} ({one.message})" for one in fired)
    near = [one for one in triggers if one.held_s and one.needed_s]
    near.sort(key=lambda one: one.held_s / one.needed_s, reverse=True)
    if not near:
        return "no trigger is near"
    return "closest: " + "; ".join(
        f"{one.name} for {_span(one.held_s)} of {_span(one.needed_s)}" for one in near[:_CLOSEST]
    )


def _span(seconds: float) -> str:
    whole = round(seconds)
    hours, rest = divmod(whole, 3600)
    minutes, rest = divmod(rest, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
