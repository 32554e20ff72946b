# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""One look of the watch: everything is measured once, whatever of it works, and becomes one sample."""

from __future__ import annotations

import contextlib
import dataclasses
import typing as t

from . import _connection_pool, _postgres_store
from ._errors import CutoverError
from ._request_line import parser_for
from ._request_log import LogFile
from ._request_tally import RequestTally
from ._service_level import ServiceLevel
from ._watch_checks import NOTHING, SlowChecks
from ._watch_return import Passed, ReturnPath
from ._watch_sample import Sample
from ._watch_stores import give_up_soon, impatient

if t.TYPE_CHECKING:
    from ._watch_journal import State

Params = t.Mapping[str, t.Any]
# What PostgreSQL says to a session too many, the role's own limit and the database's included. A login that is refused
# has no SQLSTATE.
_EXHAUSTED = ("too many connections", "remaining connection slots", "too many clients")


@dataclasses.dataclass
class Look:
    """What one look came to; without a sample when somebody has gone back, and there is nothing to watch any more."""

    passed: Passed
    sample: Sample | None = None


@dataclasses.dataclass
class Moment:
    """When a look is taken: the time, so many seconds after the watch began, and when that was."""

    time: str
    elapsed_s: float
    run_started: str


class Looking:
    """Takes the looks of one watch.

    Args:
        params: The module's options.
        state: What an earlier part of the watch left; kept up to date here.
        check: Whether neither to write anywhere nor to ask the application, which may write on every question.

    Raises:
        CutoverError: An option cannot be used.
    """

    def __init__(self, params: Params, state: State, check: bool = False) -> None:
        self._params = params
        self._state = state
        self._asks = not check
        self._admin = impatient(params)
        self._app = impatient(params, params["app_dsn"]) if params["app_dsn"] else self._admin
        self._return = ReturnPath(self._admin, drain=params["drain"] and not check) if params["online"] else None
        self._slow = SlowChecks(self._admin, self._app, state)
        self._level = ServiceLevel({**params, "timeout": params["probe_timeout"]})
        self._logs = _logs(params, state)
        self._problems: dict[str, str] = {}

    @property
    def problems(self) -> dict[str, str]:
        """What could not be measured or done at the last attempt, and why."""
        return {**self._problems, **self._slow.problems}

    def take(self, moment: Moment, slow: bool, enough: t.Callable[[], bool] = lambda: False) -> Look:
        """Take a look.

        Args:
            moment: When it is.
            slow: Whether to make the checks that take longer as well.
            enough: Says when the way back has had its share of the time.
        """
        passed = self._return.one_pass(enough) if self._return is not None else Passed()
        self._note("return_path", passed.problem)
        if not passed.fenced:
            return Look(passed)
        service = self._service() if self._asks else {}
        measured: dict[str, t.Any] = {**service, **self._requests(), **self._postgres()}
        measured.update(self._slow.make(any(service.get("ready", {}).values())) if slow else NOTHING)
        return Look(
            passed,
            Sample(
                time=moment.time,
                elapsed_s=round(moment.elapsed_s, 3),
                run_started=moment.run_started,
                pending=passed.pending,
                lag_s=passed.lag_s,
                replayed=passed.replayed.upserted,
                deleted=passed.replayed.deleted,
                **measured,
            ),
        )

    def close(self) -> None:
        """Let go of the request logs."""
        for log in self._logs:
            log.close()

    def _service(self) -> dict[str, t.Any]:
        """Return how the instances serve; all of them are asked at once."""
        served = self._level.ask()
        return {
            "ready": {one.instance: one.ready for one in served},
            "ready_failures": {one.instance: one.failure for one in served if not one.ready},
            "probe_ms": {one.instance: one.latency_ms for one in served},
            "probes": sum(one.asked for one in served),
            "probes_5xx": sum(one.errors_5xx for one in served),
        }

    def _requests(self) -> dict[str, t.Any]:
        """Return the figures of the requests since the last look; nothing where there is no log."""
        tally = RequestTally()
        failed: list[str] = []
        for log in self._logs:
            gaps = log.gaps
            try:
                log.read_new(tally)
            except CutoverError as error:
                failed.append(error.message())
            if log.gaps > gaps:
                failed.append(f"Lines of {log.path} may be missing, not all of it was found again.")
            self._state.positions[log.path] = log.position
        self._note("request_log", " ".join(failed))
        if not any(log.exists for log in self._logs):
            return {}
        latency = tally.latency()
        return {
            "requests": tally.requests,
            "errors_4xx": tally.errors_4xx,
            "errors_5xx": tally.errors_5xx,
            "latency_p50_ms": latency.percentile(50),
            "latency_p95_ms": latency.percentile(95),
        }

    def _postgres(self) -> dict[str, t.Any]:
        """Return whether the application can reach PostgreSQL, and how much of its connections is in use."""
        try:
            return self._connections(self._app)
        except CutoverError as error:
            message = error.message()
        if any(words in message for words in _EXHAUSTED):
            # No room for one more is all of them in use, whoever may still get in.
            with contextlib.suppress(CutoverError):
                limit = self._connections(self._admin)["connections_limit"]
                return {
                    "postgres_ok": True,
                    "postgres_message": message,
                    "connections_used": limit,
                    "connections_limit": limit,
                }
        return {"postgres_ok": False, "postgres_message": message}

    @staticmethod
    def _connections(params: Params) -> dict[str, t.Any]:
        with contextlib.closing(_postgres_store.connect(params)) as connection:
            give_up_soon(connection)
            used, limit = _connection_pool.used(connection)
        return {"postgres_ok": True, "connections_used": used, "connections_limit": limit}

    def _note(self, name: str, problem: str) -> None:
        self._problems.pop(name, None)
        if problem:
            self._problems[name] = problem


def _logs(params: Params, state: State) -> list[LogFile]:
    written = params["request_log"] or {"format": "json", "pattern": None, "exclude_request_ids": None}
    parser = parser_for(written["format"], written["pattern"], written["exclude_request_ids"])
    return [LogFile(path, parser, state.positions.get(path)) for path in params["request_logs"]]
