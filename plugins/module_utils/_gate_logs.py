# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""The gate on the request log before the close: no more 400s and 500s since the switch than before (seed 000 §8)."""

from __future__ import annotations

import typing as t

from ._errors import CutoverError
from ._gate_decision import Measured
from ._gate_ledger import last_phase, last_switch
from ._gate_look import GateLook
from ._instant import instant_of
from ._log_lines import Window
from ._log_spans import read_logs
from ._request_figures import doubts
from ._request_line import parser_for
from ._verdict import FAILED, PASSED, Check, not_verified

NAME = "logs_reviewed"
# As the triggers of the window: twice the baseline, and what is that rare anyway.
_RATIO = 2.0
_FLOOR_5XX = 0.1
_FLOOR_4XX = 1.0


def logs_reviewed(look: GateLook) -> Measured:
    """The shares of 4xx and 5xx since the switch are no more than twice those of the baseline."""
    switch = last_switch(look.entries)
    if switch is None:
        return not_verified(NAME, "the ledger knows of no switch to PostgreSQL")
    paths = look.params["request_logs"]
    if not paths:
        return not_verified(NAME, "the profile names no request_log; read the application's log, and say so")
    since = instant_of(str(switch["time"]))
    if since is None:
        raise CutoverError("The time of the switch cannot be read", str(switch["time"]))
    form = look.params["request_log"] or {}
    parser = parser_for(form.get("format") or "json", form.get("pattern"), form.get("exclude_request_ids"))
    found = read_logs(paths, parser, Window(since.timestamp()))
    reasons = doubts(found)
    if reasons:
        return not_verified(NAME, f"{'; '.join(reasons)}. Read the application's log, and say so")
    entry = last_phase(look.entries, "baseline")
    return judge(found.tally.as_dict(), ((entry or {}).get("facts") or {}).get("requests"), look.now.isoformat())


def judge(tally: t.Mapping[str, t.Any], baseline: t.Mapping[str, t.Any] | None, now: str) -> Check:
    """Compare the figures since the switch with those of the baseline; pure.

    Args:
        tally: As L(_request_tally.RequestTally.as_dict).
        baseline: The same before the cutover; None where nothing was counted then.
        now: When, for the result.
    """
    observed: dict[str, t.Any] = {"at": now, "requests": tally["requests"]}
    expected: dict[str, t.Any] = {}
    wrong, words = [], []
    for key, floor in (("errors_4xx", _FLOOR_4XX), ("errors_5xx", _FLOOR_5XX)):
        share, before = _share(tally, key) or 0.0, _share(baseline, key) if baseline else None
        limit = max(_RATIO * (before or 0.0), floor)
        shown = f"{key[-3:]} {share:.2f} %"
        shown += " (before: not known)" if before is None else f" (before: {before:.2f} %)"
        observed[key], expected[key] = f"{share:.2f} %", f"at most {limit:.2f} %"
        words.append(shown)
        if share > limit:
            wrong.append(f"{shown} of {tally['requests']} requests, at most {limit:.2f} % are as before")
    if wrong:
        codes = ", ".join(f"{found['error_code']} ({found['count']})" for found in tally["by_error_code"][:5])
        message = (
            f"{'; '.join(wrong)}{'. Most of them: ' + codes if codes else ''}. Find out why before the way back is gone"
        )
        return Check(NAME, FAILED, expected, observed, message)
    return Check(NAME, PASSED, expected, observed, f"{tally['requests']} requests since the switch: {', '.join(words)}")


def _share(tally: t.Mapping[str, t.Any], key: str) -> float | None:
    requests = tally.get("requests") or 0
    return 100.0 * tally[key] / requests if requests else None
