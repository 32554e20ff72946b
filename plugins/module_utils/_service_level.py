# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""How an application serves: is every instance ready, how long do its answers take, how many of them are errors."""

from __future__ import annotations

import concurrent.futures
import dataclasses
import math
import time
import typing as t

from ._errors import BadInput, ProbeError
from ._http_probe import Probe, Response, merge_headers
from ._redact import redact, secrets_of_headers
from ._smoke_expectation import judge
from ._smoke_subject import fill
from ._verdict import FAILED, PASSED, Check

_AT_ONCE = 8
PERCENTILES = (50, 95, 99)
Params = t.Mapping[str, t.Any]


@dataclasses.dataclass(frozen=True)
class Served:
    """What came of the questions to one instance.

    Args:
        instance: Its name.
        checks: One for each ready check; C(ready) when all of them passed.
        latencies_ms: Of every question that was answered.
        asked: How many questions there were.
        errors_5xx: How many of them a 5xx answered.
    """

    instance: str
    checks: tuple[Check, ...]
    latencies_ms: tuple[float, ...]
    asked: int
    errors_5xx: int

    @property
    def ready(self) -> bool:
        return all(check.verdict == PASSED for check in self.checks)

    @property
    def failure(self) -> str:
        """Why it is not ready, in the words of the first check that did not pass."""
        return next((check.message or check.name for check in self.checks if check.verdict != PASSED), "")

    @property
    def latency_ms(self) -> float | None:
        """The longest that an answer took; None when there was none."""
        return max(self.latencies_ms, default=None)


class ServiceLevel:
    """Asks every instance of an application what its ready checks say.

    Args:
        params: C(instances), C(headers), C(secret_headers), C(ready_checks), C(source_id), C(timeout),
            C(validate_certs) and C(ca_path) as the module options of these names.

    Raises:
        BadInput: There is nobody or nothing to ask, or two instances have one name.
        ProbeError: An address cannot be used.
    """

    def __init__(self, params: Params) -> None:
        self._source_id: str | None = params["source_id"]
        self._requests = [
            {name: value for name, value in check.items() if value is not None} for check in params["ready_checks"]
        ]
        plain = fill(params.get("headers") or {}, {}, self._source_id)
        secret = fill(params.get("secret_headers") or {}, {}, self._source_id)
        self._secrets = secrets_of_headers(plain, secret)
        names = [instance["name"] for instance in params["instances"]]
        if not names or not self._requests:
            what = "instances" if not names else "ready_checks"
            raise BadInput(f"There is nothing to ask: {what} is empty", remedy=f"Give the application's {what}.")
        if len(set(names)) < len(names):
            raise BadInput("Two instances have one name", ", ".join(sorted(names)), "Give each a name of its own.")
        self._probes = {
            instance["name"]: Probe(
                instance["base_url"],
                merge_headers(plain, secret),
                params["timeout"],
                ca_path=params.get("ca_path"),
                validate_certs=params.get("validate_certs", True),
            )
            for instance in params["instances"]
        }

    def ask(self) -> list[Served]:
        """Ask every instance everything once, all of them at the same time; none keeps the others from being told."""
        return self._each(self._ask)

    def ask_often(
        self,
        number: int,
        pause_s: float,
        instances: t.Collection[str] | None = None,
        sleep: t.Callable[[float], None] = time.sleep,
    ) -> list[Served]:
        """Ask every instance so many questions more, the ready checks in turn, for what they take.

        An instance that gives no answer is not asked again.

        Args:
            number: How many questions, to each.
            pause_s: Seconds between two of them.
            instances: The names of those to ask; all of them by default.
            sleep: Waits so many seconds.
        """
        return self._each(lambda name, probe: self._ask_often(name, probe, number, pause_s, sleep), instances)

    def urls(self) -> list[str]:
        """Return what would be asked, for a plan."""
        return [
            f"{request.get('method') or 'GET'} {probe.url(fill(request['path'], {}, self._source_id, in_url=True))}"
            for probe in self._probes.values()
            for request in self._requests
        ]

    def _each(self, work: t.Callable[[str, Probe], Served], instances: t.Collection[str] | None = None) -> list[Served]:
        names = [name for name in self._probes if instances is None or name in instances]
        with concurrent.futures.ThreadPoolExecutor(_AT_ONCE) as pool:
            return list(pool.map(lambda name: work(name, self._probes[name]), names))

    def _ask(self, name: str, probe: Probe) -> Served:
        checks, answers = [], []
        for request in self._requests:
            label = request["name"] if len(self._probes) == 1 else f"{request['name']} at {name}"
            try:
                answer = self._answer(probe, request)
            except ProbeError as error:
                check = Check(label, FAILED, "an answer", error.why, error.message())
            else:
                answers.append(answer)
                wanted = {
                    key: fill(value, {}, self._source_id) for key, value in request.items() if key.startswith("expect_")
                }
                check = judge(label, {**wanted, "max_latency": request.get("max_latency")}, answer)
            checks.append(Check(**redact(check.as_dict(), self._secrets)))
        return _served(name, checks, answers, len(self._requests))

    def _ask_often(
        self, name: str, probe: Probe, number: int, pause_s: float, sleep: t.Callable[[float], None]
    ) -> Served:
        answers: list[Response] = []
        for place in range(number):
            if place:
                sleep(pause_s)
            try:
                answers.append(self._answer(probe, self._requests[place % len(self._requests)]))
            except ProbeError:
                return _served(name, [], answers, place + 1)
        return _served(name, [], answers, number)

    def _answer(self, probe: Probe, request: Params) -> Response:
        body = request.get("body")
        return probe.request(
            request.get("method") or "GET",
            fill(request["path"], {}, self._source_id, in_url=True),
            fill(request.get("headers") or {}, {}, self._source_id),
            fill(request.get("json"), {}, self._source_id),
            body=None if body is None else str(fill(body, {}, self._source_id)).encode(),
        )


def percentiles(values: t.Iterable[float]) -> dict[str, float | None]:
    """Return p50, p95 and p99 as C({'p50': …}): the value that so many of a hundred do not exceed; None without any."""
    ordered = sorted(values)
    return {
        f"p{percent}": ordered[math.ceil(len(ordered) * percent / 100) - 1] if ordered else None
        for percent in PERCENTILES
    }


def _served(name: str, checks: t.Sequence[Check], answers: t.Sequence[Response], asked: int) -> Served:
    errors = sum(answer.status >= 500 for answer in answers)
    return Served(name, tuple(checks), tuple(answer.latency_ms for answer in answers), asked, errors)
