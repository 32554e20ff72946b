# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""What an application is like before anything is changed; everything after is compared with it (seed 002 §1)."""

from __future__ import annotations

import contextlib
import time
import typing as t

from . import _connection_pool
from ._errors import BadInput, CutoverError
from ._log_lines import Window
from ._log_spans import read_logs
from ._open_log import RequestLogError
from ._postgres_store import connect
from ._profile import check_source_id, profile_of
from ._request_line import parser_for
from ._request_time import shown
from ._service_level import Served, ServiceLevel, percentiles
from ._tenant_rows import rows_in_postgres, rows_in_sqlite
from ._verdict import FAILED, NOT_VERIFIED, PASSED, Check, describe, not_verified, open_checks, overall

if t.TYPE_CHECKING:
    from ._request_tally import RequestTally

REQUEST_LOG = "request log"
Params = t.Mapping[str, t.Any]


class BaselineOpen(CutoverError):
    """The application is not well, or its figures cannot be told, before anything was changed."""

    code = "baseline_open"


def baseline(module: t.Any) -> dict[str, t.Any]:
    """Return the result of C(baseline_info).

    Raises:
        BaselineOpen: A check has not passed and O(fail_on_open) is on; everything that was found is among the facts.
        BadInput: The options contradict each other; nothing was asked.
        CutoverError: The rows of the profile cannot be counted.
    """
    started = time.monotonic()
    params = module.params
    check_source_id(params["source_id"])
    _refuse_contradictions(params)
    level = ServiceLevel(params)
    if module.check_mode:
        checks = [not_verified(f"ask {url}", "check mode: it would be asked") for url in level.urls()]
        return _result(None, checks, [], started)
    measured, checks, notes = measure(params, level)
    result = _result(measured, checks, notes, started)
    if params["fail_on_open"] and result["verdict"] != PASSED:
        blocking = open_checks(checks)
        raise BaselineOpen(
            f"{len(blocking)} of {len(checks)} checks of the baseline of {params['source_id']} did not pass",
            describe(blocking),
            "Nothing was changed. Put right what they name, and run the task again.",
            **result,
        )
    return result


def measure(
    params: Params, level: ServiceLevel, now: t.Callable[[], float] = time.time
) -> tuple[dict[str, t.Any], list[Check], list[str]]:
    """Return the baseline, the checks that it rests on, and what could not be found out and does not block.

    Args:
        params: The options of C(baseline_info).
        level: Asks the application.
        now: The clock of the wall, in seconds since 1970.
    """
    notes: list[str] = []
    taken = now()
    served = level.ask()
    checks = [check for instance in served for check in instance.checks]
    probed = _probed(level, served, params)
    requests, log_checks, by_time = _requests(params, now())
    connections, tables = _stores(params, notes)
    if requests is not None and not by_time:
        notes.append("the lines of the request log have no time, so all of them count")
    return (
        {
            "taken": shown(taken),
            "store": params["store"],
            "health": [
                {"instance": instance.instance, "ready": instance.ready, "latency_ms": instance.latency_ms}
                for instance in served
            ],
            "probes": probed,
            "requests": None if requests is None else requests.as_dict(),
            "requests_span_s": params["span"] if requests is not None and by_time else None,
            "tables": tables,
            "connections": connections,
            "startup_ms": None,
            "stats": {},
        },
        [*checks, *log_checks],
        notes,
    )


def _probed(level: ServiceLevel, served: t.Sequence[Served], params: Params) -> dict[str, t.Any]:
    # Who is not ready fails the baseline anyway; what takes as long as a request may is not asked for ten times more.
    ready = [instance.instance for instance in served if instance.ready]
    asked = level.ask_often(params["probes"], params["probe_pause"], ready)
    return {
        "count": sum(instance.asked for instance in asked),
        "latency_ms": percentiles(value for instance in asked for value in instance.latencies_ms),
        "errors": sum(instance.errors_5xx for instance in asked),
    }


def _requests(params: Params, until: float) -> tuple[RequestTally | None, list[Check], bool]:
    """Return the figures of the request logs, the check of them, and whether their lines have times."""
    logs = params["request_logs"] or {}
    paths = logs.get("paths") or []
    if not paths:
        return None, [], True
    parser = parser_for(logs["format"], logs.get("pattern"), logs.get("exclude_request_ids"))
    by_time = True
    try:
        found = read_logs(paths, parser, Window(until - params["span"], None)).tally
        if found.without_time and not found.requests:
            by_time = False
            found = read_logs(paths, parser, Window(), with_rotated=False).tally
    except RequestLogError as error:
        return None, [Check(REQUEST_LOG, FAILED, "readable", error.why, error.message())], True
    observed = {"requests": found.requests, "malformed": found.malformed}
    wanted = f"lines of the format {logs['format']}"
    if found.malformed and not found.requests:
        why = f"none of {found.malformed} lines in {', '.join(paths)} is of the format {logs['format']}"
        return found, [Check(REQUEST_LOG, FAILED, wanted, observed, why)], by_time
    return found, [Check(REQUEST_LOG, PASSED, wanted, observed)], by_time


def _stores(params: Params, notes: list[str]) -> tuple[dict[str, int] | None, list[dict[str, t.Any]]]:
    """Return the connections in use, None where PostgreSQL is not needed and cannot be asked, and the rows by table."""
    live = params["store"] == "postgres"
    if not live and not (params["dsn"] or params["login_host"] or params["login_db"]):
        return None, rows_in_sqlite(params)
    connections: dict[str, int] | None = None
    tables: list[dict[str, t.Any]] = []
    try:
        with contextlib.closing(connect(params)) as connection:
            number, limit = _connection_pool.used(connection)
            connections = {"used": number, "limit": limit}
            if live:
                profile = profile_of(params["source_id"], params["schema_prefix"], params["schema_name"])
                tables = rows_in_postgres(connection, profile.schema_name)
    except CutoverError as error:
        if live:
            raise
        notes.append(f"the connections were not counted: {error.message()}")
    return connections, tables if live else rows_in_sqlite(params)


def _refuse_contradictions(params: Params) -> None:
    if params["store"] == "sqlite" and not params["sqlite_path"]:
        raise BadInput("The profile's rows are in SQLite, and no file is named", remedy="Give sqlite_path.")
    if params["probes"] < 1 or params["probe_pause"] < 0 or params["span"] <= 0:
        raise BadInput(
            "probes, probe_pause or span cannot be used",
            f"they are {params['probes']}, {params['probe_pause']:g} and {params['span']:g}",
            "Ask at least once, with a pause of 0 seconds or more, and look at a span above 0 seconds.",
        )


def _result(
    measured: dict[str, t.Any] | None, checks: t.Sequence[Check], notes: t.Sequence[str], started: float
) -> dict[str, t.Any]:
    return {
        "changed": False,
        "baseline": measured,
        "checks": [check.as_dict() for check in checks],
        "verdict": overall(checks) if measured else NOT_VERIFIED,
        "notes": list(notes),
        "duration_ms": round((time.monotonic() - started) * 1000),
    }
