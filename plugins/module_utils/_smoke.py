# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Smoke checks: what a preset says to ask an application, asked and judged (seed 000 §4, §5 and §8)."""

from __future__ import annotations

import time
import typing as t

from ._errors import BadInput, CutoverError, ProbeError
from ._http_probe import Probe, merge_headers
from ._ledger import now_text
from ._profile import check_source_id
from ._redact import redact, secrets_of_headers
from ._smoke_expectation import judge, judge_row, shown
from ._smoke_journal import Journal, Trip
from ._smoke_round_trip import RoundTrip, put_back
from ._smoke_store import Stores
from ._smoke_subject import Subject, fill, names_in, query_names
from ._verdict import FAILED, NOT_VERIFIED, PASSED, Check, describe, not_verified, open_checks, overall

Params = t.Mapping[str, t.Any]


class SmokeFailed(CutoverError):
    """The application answers, but not as it must."""

    code = "smoke_failed"


def smoke(module: t.Any) -> dict[str, t.Any]:
    """Return the result of C(smoke_check), or raise when a check is open.

    Raises:
        SmokeFailed: A check has not passed and O(fail_on_open) is on; facts C(checks), C(verdict) and the rest.
        BadInput: The checks contradict themselves; nothing was asked.
        CutoverError: The journal of an interrupted round trip cannot be used.
    """
    run = SmokeRun(module.params)
    if module.check_mode:
        return run.plan()
    result = run.apply()
    if module.params["fail_on_open"] and result["verdict"] != PASSED:
        raise run.failure(result)
    return result


class SmokeRun:
    """One call: readiness, leftovers of an interrupted call, subjects, checks, in this order."""

    def __init__(self, params: Params) -> None:
        self._params = params
        self._source_id: str | None = check_source_id(params["source_id"]) if params["source_id"] else None
        self._requests: list[dict[str, t.Any]] = [_given(check) for check in params["checks"]]
        _refuse_contradictions(params, self._requests)
        plain_headers = fill(params["headers"] or {}, {}, self._source_id)
        secret_headers = fill(params["secret_headers"] or {}, {}, self._source_id)
        self._secrets = secrets_of_headers(plain_headers, secret_headers)
        self._probe = Probe(
            params["base_url"],
            merge_headers(plain_headers, secret_headers),
            params["timeout"],
            ca_path=params["ca_path"],
            validate_certs=params["validate_certs"],
        )
        self._stores = Stores(params)
        self._journal = Journal(params["journal"]) if params["journal"] else None
        self._subjects: dict[str, Subject] = {}
        self._checks: list[Check] = []
        self._ready_after_ms: int | None = None
        self._changed = False
        self._started = time.monotonic()

    def plan(self) -> dict[str, t.Any]:
        """Return what would be asked. Nothing is: an application may write on every request, health included."""
        for request in self._requests:
            self._checks.append(not_verified(request["name"], f"check mode: would {self._intent(request)}"))
        return self._result()

    def apply(self) -> dict[str, t.Any]:
        """Ask everything and return the result; an open check does not raise here."""
        try:
            if self._wait() and self._put_back_leftover():
                for subject in self._params["subjects"]:
                    self._subjects[subject["name"]] = self._ask_subject(subject)
                for request in self._requests:
                    self._checks.append(self._redacted(self._check(request)))
            else:
                why = f"not asked, because of {self._checks[-1].name!r}"
                self._checks += [not_verified(request["name"], why) for request in self._requests]
            return self._result()
        finally:
            self._stores.close()

    def failure(self, result: dict[str, t.Any]) -> SmokeFailed:
        """Return the error for a result whose verdict is not passed."""
        where = f"{self._probe.base_url}" + (f" (source_id {self._source_id})" if self._source_id else "")
        blocking = open_checks(self._checks)
        if not self._requests:
            return SmokeFailed(
                f"No smoke check of {where} was made", "checks is empty", "Give the application's checks.", **result
            )
        state = "Something was left changed, see put back above; run the same task again to put it right."
        remedy = "Read the application's log for these requests, put right what they name, and run the task again."
        what = f"{len(blocking)} of {len(self._checks)} smoke checks of {where} did not pass"
        return SmokeFailed(what, describe(blocking), state if self._changed else remedy, **result)

    def _wait(self) -> bool:
        params = self._params
        if not params["wait"]:
            return True
        wanted = {"status": params["wait_status"], "within_s": params["wait_timeout"]}
        path = fill(params["wait_path"], {}, self._source_id, in_url=True)
        try:
            ready = self._probe.wait_until_ready(
                path,
                lambda answer: answer.status in params["wait_status"],
                params["wait_timeout"],
                params["wait_sleep"],
            )
        except ProbeError as error:
            self._checks.append(self._redacted(Check("ready", FAILED, wanted, error.why, error.message())))
            return False
        self._ready_after_ms = ready.duration_ms
        observed = {"status": ready.response.status, "attempts": ready.attempts, "after_ms": ready.duration_ms}
        self._checks.append(Check("ready", PASSED, wanted, observed))
        return True

    def _put_back_leftover(self) -> bool:
        trip = self._journal.read() if self._journal else None
        if trip is None or self._journal is None:
            return True
        if trip.source_id != self._source_id:
            raise BadInput(
                f"The journal {self._journal.path} belongs to source_id {trip.source_id!r}, not to {self._source_id!r}",
                "a round trip of that profile was interrupted",
                "Give every profile a journal of its own, and run the smoke checks of that profile again.",
            )
        # The request of the interrupted run may still be at work in the application, and land after the row was put
        # back: nothing is known of it until the time that a request may take is over.
        time.sleep(min(max(self._params["timeout"] - self._journal.age_s(), 0), self._params["timeout"]))
        headers = next((r.get("headers") or {} for r in self._requests if r["name"] == trip.name), {})
        back = put_back(self._probe, self._stores, fill(headers, {}, self._source_id), trip, None)
        self._changed = True
        name = f"put back what an interrupted {trip.name!r} left"
        if back.restored:
            self._journal.clear()
        verdict = PASSED if back.restored else FAILED
        observed = "as it was" if back.restored else "changed"
        self._checks.append(self._redacted(Check(name, verdict, "as it was", observed, "; ".join(back.problems))))
        return back.restored

    def _ask_subject(self, subject: Params) -> Subject:
        name, store, if_none = subject["name"], subject["store"], subject.get("if_none")
        rows = {known.name: known.row for known in self._subjects.values() if known.row is not None}
        for needed in query_names(subject["query"]):
            if self._subjects[needed].row is None:
                earlier = self._subjects[needed]
                return Subject(name, store, None, if_none or earlier.if_none, f"subject {needed!r} has no row")
        try:
            row = self._stores.get(store).first(subject["query"], rows, self._source_id)
        except CutoverError as error:
            return Subject(name, store, None, None, f"the query of subject {name!r} failed: {error.message()}")
        return Subject(name, store, row, if_none, "" if row is not None else f"subject {name!r} found no row")

    def _check(self, request: dict[str, t.Any]) -> Check:
        name = request["name"]
        needed = sorted(names_in(request) | ({request["subject"]} if request.get("subject") else set()))
        absent = [self._subjects[key] for key in needed if self._subjects[key].row is None]
        for subject in absent:
            if subject.if_none is None:
                return not_verified(name, subject.why)
        if absent:
            return Check(name, PASSED, None, absent[0].if_none, f"nothing to ask: {absent[0].why}")
        try:
            return self._asked(request)
        except ProbeError as error:
            return Check(name, FAILED, "an answer", error.why, error.message())
        except CutoverError as error:
            return not_verified(name, error.message())

    def _asked(self, request: dict[str, t.Any]) -> Check:
        name = request["name"]
        rows = {known.name: known.row for known in self._subjects.values() if known.row is not None}
        wanted = {
            key: fill(value, rows, self._source_id) for key, value in request.items() if key.startswith("expect_")
        }
        if request.get("subject"):
            return judge_row(name, wanted, rows[request["subject"]])
        headers = fill(request.get("headers") or {}, rows, self._source_id)
        if request.get("round_trip"):
            return self._round_trip(name, request["round_trip"], headers, rows)
        body = request.get("body")
        answer = self._probe.request(
            request["method"],
            fill(request["path"], rows, self._source_id, in_url=True),
            headers,
            fill(request.get("json"), rows, self._source_id),
            body=None if body is None else str(fill(body, rows, self._source_id)).encode(),
        )
        return judge(name, {**wanted, "max_latency": request.get("max_latency")}, answer)

    def _round_trip(self, name: str, options: Params, headers: dict[str, t.Any], rows: t.Mapping[str, t.Any]) -> Check:
        def filled(value: t.Any, *, in_url: bool = False) -> t.Any:
            return fill(value, rows, self._source_id, in_url=in_url)

        write, place = options["write"], options["lands_in"]
        from_read, field = write.get("from_read"), options["field"]
        trip = Trip(
            name=name,
            source_id=self._source_id,
            read_path=filled(options["read"]["path"], in_url=True),
            write_method=write["method"],
            write_path=filled(write["path"], in_url=True),
            body=filled(write.get("body")),
            from_read=from_read,
            field=field,
            value_at=options.get("value_at") or (f"{from_read}.{field}" if from_read else field),
            volatile=list(options.get("volatile") or []),
            table=filled(place["table"]),
            column=place["column"],
            where=filled(place["where"]),
        )
        if self._journal is None:
            raise BadInput("Round trips need journal", "an interrupted one could not be put back without it")
        store = self._params["expect_store"]
        check, restored = RoundTrip(self._probe, self._stores, headers, trip, store, self._journal).run()
        self._changed = self._changed or not restored
        return check

    def _intent(self, request: dict[str, t.Any]) -> str:
        if request.get("subject"):
            return f"look at subject {request['subject']}"
        trip = request.get("round_trip")
        if trip:
            write = trip["write"]
            return f"read {trip['read']['path']}, write {write['method']} {write['path']} and put it back"
        return f"ask {request['method']} {self._probe.base_url}{request['path']}"

    def _redacted(self, check: Check) -> Check:
        return Check(**redact(check.as_dict(), self._secrets))

    def _result(self) -> dict[str, t.Any]:
        return {
            "changed": self._changed,
            "verdict": overall(self._checks) if self._requests else NOT_VERIFIED,
            "checks": [check.as_dict() for check in self._checks],
            "subjects": redact([shown(subject.as_dict()) for subject in self._subjects.values()], self._secrets),
            "base_url": self._probe.base_url,
            "duration_ms": round((time.monotonic() - self._started) * 1000),
            "ready_after_ms": self._ready_after_ms,
            "answered_at": now_text(),
        }


def _given(value: t.Any) -> t.Any:
    """Return options without those that were left out (null inside free-form dicts such as headers stays)."""
    if not isinstance(value, dict):
        return value
    nested = {"round_trip", "read", "write", "lands_in"}
    return {key: _given(item) if key in nested else item for key, item in value.items() if item is not None}


def _refuse_contradictions(params: Params, requests: list[dict[str, t.Any]]) -> None:
    known: set[str] = set()
    for subject in params["subjects"]:
        unknown = query_names(subject["query"]) - known
        if unknown:
            raise BadInput(
                f"Subject {subject['name']!r} uses {', '.join(sorted(unknown))}",
                "no subject before it has that name",
                "Order the subjects so that each uses only earlier ones.",
            )
        if subject["name"] in known:
            raise BadInput(f"Two subjects are named {subject['name']!r}", remedy="Give each a name of its own.")
        known.add(subject["name"])
    names: set[str] = set()
    for request in requests:
        name = request["name"]
        if name in names:
            raise BadInput(f"Two checks are named {name!r}", remedy="Give each a name of its own.")
        names.add(name)
        unknown = (names_in(request) | ({request["subject"]} if request.get("subject") else set())) - known
        if unknown:
            raise BadInput(f"Check {name!r} uses {', '.join(sorted(unknown))}", "no subject has that name")
        if not request.get("round_trip"):
            continue
        missing = [option for option in ("journal", "expect_store") if not params[option]]
        if missing:
            raise BadInput(
                f"Check {name!r} makes a round trip",
                f"{' and '.join(missing)} must be given for that",
                "It needs to know where the canary must land, and where to keep the original meanwhile.",
            )
        if not request["round_trip"]["lands_in"]["where"]:
            raise BadInput(f"Check {name!r}: lands_in.where is empty", "it must name one row")
