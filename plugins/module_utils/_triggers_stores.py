# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""The triggers that look at PostgreSQL and at what is in it: reachable, its connections, its tables and rows. Pure."""

from __future__ import annotations

import typing as t

from ._trigger import IMMEDIATE, Kind, Trigger, exact, figure
from ._trigger_limits import Limits
from ._trigger_timeline import Look, holding
from ._verdict import FAILED
from ._watch_sample import Sample

CONNECTION = Kind("connection", IMMEDIATE, "seed 003, connection failures", "s")
POOL = Kind("pool", IMMEDIATE, "seed 003, scenario 4; seed 002 §3.3", "%")
MIGRATION = Kind("migration", IMMEDIATE, "seed 002 §2.2; seed 003, migration errors", "checks")
DATA_MISMATCH = Kind("data_mismatch", IMMEDIATE, "seed 002 §2.4; seed 003, data integrity issues", "checks")
LEAKAGE = Kind("leakage", IMMEDIATE, "seed 003, security breach", "checks")
_SHOWN = 3


def connection(looks: t.Sequence[Look], limits: Limits) -> Trigger:
    """Fires when PostgreSQL could not be reached for longer than C(connection_timeout)."""
    measured: dict[str, t.Any] = {"threshold": limits.connection_timeout, "needed_s": limits.connection_timeout}
    if all(look.sample.postgres_ok is None for look in looks):
        return CONNECTION.not_verified("PostgreSQL was not asked", **measured)
    held = holding(looks, _unreachable)
    if held is None:
        return CONNECTION.passed("PostgreSQL answers", observed=0.0, **measured)
    measured.update(observed=held.seconds, held_s=held.seconds, since=held.since.sample.time)
    why = held.until.sample.postgres_message
    said = f"PostgreSQL has not been reached for {held.seconds:g} s" + (f" ({why})" if why else "")
    if held.seconds > limits.connection_timeout:
        return CONNECTION.fires(f"{said}, more than {limits.connection_timeout:g} s", **measured)
    return CONNECTION.passed(f"{said}, of {limits.connection_timeout:g} s that it may last", **measured)


def pool(looks: t.Sequence[Look], limits: Limits) -> Trigger:
    """Fires when more than C(pool_percent) of the connections have been in use for C(pool_duration)."""
    measured: dict[str, t.Any] = {"threshold": limits.pool_percent, "needed_s": limits.pool_duration}
    known = [look.sample for look in looks if look.sample.connections_percent is not None]
    if not known:
        return POOL.not_verified("nobody counted the connections", **measured)
    last = known[-1]
    measured["observed"] = figure(last.connections_percent)
    said = f"{last.connections_used} of {last.connections_limit} connections are in use"
    held = holding(looks, lambda sample: _used_up(sample, limits))
    if held is None:
        return POOL.passed(said, **measured)
    measured.update(held_s=held.seconds, since=held.since.sample.time)
    said += f", more than {limits.pool_percent:g} % for {held.seconds:g} s"
    if held.seconds >= limits.pool_duration:
        return POOL.fires(said, **measured)
    return POOL.passed(f"{said}; {limits.pool_duration:g} s are needed", **measured)


def migration(looks: t.Sequence[Look]) -> Trigger:
    """Fires when the migration history or the schema lacks something."""
    return _checked(MIGRATION, [(look, look.sample.migration) for look in looks], "the migrations and the schema")


def data_mismatch(looks: t.Sequence[Look]) -> Trigger:
    """Fires when the rows of both stores differ otherwise than by what was written since."""
    return _checked(DATA_MISMATCH, [(look, look.sample.data) for look in looks], "the rows of both stores")


def leakage(looks: t.Sequence[Look]) -> Trigger:
    """Fires when a profile sees what is another one's."""
    return _checked(LEAKAGE, [(look, look.sample.leakage) for look in looks], "what is other profiles'")


def _checked(kind: Kind, answers: t.Sequence[tuple[Look, t.Mapping[str, t.Any] | None]], what: str) -> Trigger:
    """Return a trigger of checks by the last time they were made: one that fails is enough, and at once."""
    made = [(look, answer) for look, answer in answers if answer is not None]
    if not made:
        return kind.not_verified(f"{what} were not looked at", threshold=0)
    look, answer = made[-1]
    number = int(answer.get("checked") or 0)
    unmet = [check for check in answer.get("failed") or [] if check.get("verdict", FAILED) == FAILED]
    unmade = [check for check in answer.get("failed") or [] if check.get("verdict", FAILED) != FAILED]
    measured: dict[str, t.Any] = {"observed": len(unmet), "threshold": 0}
    if unmet:
        since = _failing_since(made)
        measured.update(since=since.sample.time, held_s=round(look.at - since.at, 3))
        return kind.fires(f"{len(unmet)} of {max(number, len(unmet))} checks failed: {_words(unmet)}", **measured)
    if unmade or not number:
        why = f"{len(unmade)} of {number} checks could not be made: {_words(unmade)}" if unmade else f"{what}: no check"
        return kind.not_verified(why, **measured)
    return kind.passed(f"{number} checks passed at {look.sample.time}", **measured)


def _failing_since(made: t.Sequence[tuple[Look, t.Mapping[str, t.Any]]]) -> Look:
    since = made[-1][0]
    for look, answer in reversed(made):
        if not any(check.get("verdict", FAILED) == FAILED for check in answer.get("failed") or []):
            break
        since = look
    return since


def _words(checks: t.Sequence[t.Mapping[str, t.Any]]) -> str:
    words = [": ".join(filter(None, (check.get("name"), check.get("message")))) for check in checks[:_SHOWN]]
    more = len(checks) - _SHOWN
    return "; ".join(words) + (f"; and {more} more" if more > 0 else "")


def _unreachable(sample: Sample) -> bool | None:
    return None if sample.postgres_ok is None else not sample.postgres_ok


def _used_up(sample: Sample, limits: Limits) -> bool | None:
    if sample.connections_used is None or not sample.connections_limit:
        return None
    return 100 * sample.connections_used > exact(limits.pool_percent) * sample.connections_limit
