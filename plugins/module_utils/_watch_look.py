# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""One look of the watch: everything is measured once, whatever of it works, and becomes one sample."""

from __future__ import annotations

import dataclasses
import typing as t

from . import _connection_pool, _postgres_store, _request_line, _service_level
from ._errors import CutoverError
from ._request_log import LogFile
from ._request_tally import RequestTally
from ._watch_checks import NOTHING, SlowChecks
from ._watch_return import Passed, ReturnPath
from ._watch_sample import Sample
from ._watch_stores import give_up_soon, impatient

if t.TYPE_CHECKING:
    from ._watch_state import State

Params = t.Mapping[str, t.Any]


@dataclasses.dataclass
class Look:
    """What one look came to; without a sample when somebody has gone back, and there is nothing to watch any more."""

    passed: Passed
    sample: Sample | None = None


@dataclasses.dataclass
class Moment:
    """When a look is taken: the time as text, and how many seconds it is after the switch."""

    time: str
    elapsed_s: float


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
        quick = impatient(params)
        app = impatient(params, params["app_dsn"]) if params["app_dsn"] else quick
        self._app = app
        self._admin = quick
        self._return = ReturnPath(quick, drain=params["drain"] and not check) if params["online"] else None
        self._slow = SlowChecks(quick, app, state)
        self._logs = _open_logs(params, state)
        self.problems: dict[str, str] = {}

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
        service = self._service()
        tally = self._requests()
        checks = self._slow.make(self._asks and any(service["ready"].values())) if slow else NOTHING
        self.problems.update(self._slow.problems)
        figures = tally.as_dict()
        latency = figures["latency_ms"] or {}
        return Look(
            passed,
            Sample(
                time=moment.time,
                elapsed_s=round(moment.elapsed_s, 3),
                run_started=self._state.since,
                requests=figures["requests"],
                errors_4xx=figures["errors_4xx"],
                errors_5xx=figures["errors_5xx"],
                latency_p50_ms=latency.get("p50"),
                latency_p95_ms=latency.get("p95"),
                pending=passed.pending,
                lag_s=passed.lag_s,
                replayed=passed.replayed.upserted,
                deleted=passed.replayed.deleted,
                **service,
                **self._postgres(),
                **checks,
            ),
        )

    def _note(self, name: str, problem: str) -> None:
        self.problems.pop(name, None)
        if problem:
            self.problems[name] = problem
