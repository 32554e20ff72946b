# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""The stabilization window: look after look, until its time is over, a trigger fires, or somebody has gone back.

Nothing that a look meets ends the watch. A PostgreSQL that is gone, an application that hangs and a row that does not
fit into SQLite are measurements, and the triggers say what they mean.
"""

from __future__ import annotations

import dataclasses
import datetime
import time
import typing as t

from . import _decision_tree, _triggers, _watch_words
from ._errors import BadInput
from ._instant import instant_text
from ._profile import profile_of
from ._trigger import IMMEDIATE, Trigger
from ._trigger_limits import limits_of
from ._watch_journal import WatchJournal
from ._watch_look import Looking, Moment
from ._watch_sample import SamplesError, series

if t.TYPE_CHECKING:
    from ._progress import Progress
    from ._watch_sample import Sample

DURATION, TRIGGER, FENCE_DOWN, LOOKED = "duration", "trigger", "fence_down", "looked"
_RARELY_S = 60.0  # a person is told of a long watch so often
_TIMES_TOLD = 20  # and of a short one so many times


@dataclasses.dataclass
class Clock:
    """What time it is, and how one waits; tests have their own."""

    seconds: t.Callable[[], float] = time.monotonic
    now: t.Callable[[], datetime.datetime] = lambda: datetime.datetime.now(datetime.timezone.utc)
    sleep: t.Callable[[float], None] = time.sleep


class Watch:
    """One call of the module stabilization_watch.

    Args:
        params: Its options.
        check: Whether to change nothing, and to ask nothing of the application.
        progress: Is told how it stands.
        clock: The time.

    Raises:
        CutoverError: An option cannot be used.
    """

    def __init__(
        self, params: t.Mapping[str, t.Any], check: bool, progress: Progress, clock: Clock | None = None
    ) -> None:
        _check(params)
        self._clock = clock or Clock()
        self._began = self._clock.now()
        self._run = self._began.isoformat()
        self._started = self._clock.seconds()
        schema = profile_of(params["source_id"], params["schema_prefix"], params["schema_name"]).schema_name
        self._params = {
            **params,
            "schema_name": schema,
            "base_url": params["base_url"] or params["instances"][0]["base_url"],
            "duration": 0.0 if check else params["duration"],
        }
        self._progress = progress
        self._limits = limits_of(params["triggers"])
        since = params["since"] or instant_text(self._began)
        self._journal = WatchJournal(params["samples_file"], since, keeps=params["record"] and not check)
        self._journal.begin()
        self._looking = Looking(self._params, self._journal.state, check)
        self._triggers: list[Trigger] = []
        self._slow_at: float | None = None
        self._told_at: float | None = None
        self._told_of: set[str] = set()
        self._fired_first: dict[str, Trigger] = {}
        self._unkept = ""
        self._replayed = self._deleted = 0

    def run(self) -> dict[str, t.Any]:
        """Watch, and return the result of the module.

        Raises:
            CutoverError: The samples cannot be kept.
        """
        self._progress.begin("watch", self._params["source_id"], round(self._params["duration"]))
        try:
            stopped_by = self._watch()
        finally:
            self._looking.close()
        self._progress.end()
        return self._result(stopped_by)

    def _watch(self) -> str:
        interval, duration = self._params["interval"], self._params["duration"]
        due = 0.0
        while True:
            spent = self._spent
            last = spent >= duration
            if not self._look(last, interval):
                return FENCE_DOWN
            if duration and any(one.firing and one.severity == IMMEDIATE for one in self._triggers):
                return TRIGGER
            if last:
                return DURATION if duration else LOOKED
            # A look that took longer costs the looks that it was in the way of, and the rhythm stays.
            due += interval
            while due <= self._spent - interval:
                due += interval
            self._clock.sleep(max(0.0, min(due, duration) - self._spent))

    @property
    def _problems(self) -> dict[str, str]:
        return {**self._looking.problems, **({"samples": self._unkept} if self._unkept else {})}

    @property
    def _spent(self) -> float:
        return self._clock.seconds() - self._started

    def _look(self, last: bool, interval: float) -> bool:
        """Take a look; return whether there is still something to watch."""
        began = self._spent
        slow = last or self._slow_at is None or began - self._slow_at >= self._params["check_interval"]
        moment = Moment(instant_text(self._clock.now()), began, self._run)
        look = self._looking.take(moment, slow, enough=lambda: self._spent - began >= interval)
        self._replayed += look.passed.replayed.upserted
        self._deleted += look.passed.replayed.deleted
        if look.sample is None:
            return False
        self._slow_at = began if slow else self._slow_at
        self._unkept = ""
        try:
            self._journal.add(look.sample)
        except SamplesError as error:  # a full disk must not leave the profile unwatched
            self._unkept = error.message()
        self._triggers = _triggers.evaluate(self._journal.samples, self._params["baseline"], self._limits)
        for one in _triggers.fired(self._triggers):
            self._fired_first.setdefault(one.name, one)
        self._tell(look.sample)
        return True

    def _tell(self, sample: Sample) -> None:
        fired = {one.name for one in self._triggers if one.firing}
        pause = min(_RARELY_S, max(self._params["duration"] / _TIMES_TOLD, self._params["interval"]))
        if self._told_at is None or fired - self._told_of or self._spent - self._told_at >= pause:
            self._told_at, self._told_of = self._spent, fired
            self._progress.say(
                _watch_words.standing(
                    self._spent, self._params["duration"], self._journal.samples, self._triggers, self._problems
                ),
                round(self._spent),
            )

    def _over_by_now(self) -> list[dict[str, t.Any]]:
        """Return the triggers that fired at an earlier look and do not any more, as they were then."""
        firing = {one.name for one in self._triggers if one.firing}
        return [one.as_dict() for name, one in self._fired_first.items() if name not in firing]

    def _result(self, stopped_by: str) -> dict[str, t.Any]:
        samples = self._journal.samples
        last = samples[-1] if samples else None
        return {
            "changed": bool(self._replayed or self._deleted),
            "fired": [one.name for one in self._triggers if one.firing],
            "fired_meanwhile": self._over_by_now(),
            "triggers": [one.as_dict() for one in self._triggers],
            "checks": [one.as_check().as_dict() for one in self._triggers],
            "advice": _decision_tree.advise(self._triggers, self._params["answers"]).as_dict(),
            "samples": len(samples),
            "samples_file": self._params["samples_file"],
            "samples_sha256": self._journal.sha256(),
            "series": series(samples),
            "problems": self._problems,
            "stopped_by": stopped_by,
            "started": instant_text(self._began),
            "ended": instant_text(self._clock.now()),
            "duration_ms": round(self._spent * 1000),
            "replayed": self._replayed,
            "deleted": self._deleted,
            "pending": last.pending if last else None,
            "lag_seconds": last.lag_s if last else None,
            "schema_name": self._params["schema_name"],
        }


def _check(params: t.Mapping[str, t.Any]) -> None:
    if not params["instances"]:
        raise BadInput("There is nobody to watch", "instances is empty", "Give the instances that serve the profile.")
    for name, least in (("interval", 0.01), ("probe_timeout", 0.01), ("duration", 0), ("check_interval", 0)):
        if not params[name] >= least:
            raise BadInput(f"{name} is {params[name]:g}", f"it has to be at least {least:g} seconds")
