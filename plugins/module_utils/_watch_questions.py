# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""What the watch asks the application about its data: lookups, ordered lists, leakage (seed 002 §5, seed 000 §8).

Such a check only counts as failed when the application answered, and answered wrongly, three times in a row. That it
does not answer, or answers with an error of its own, is measured elsewhere and says nothing about the data. And the
row that a check was made from may change between the question to the store and the one to the application: people
work with it.
"""

from __future__ import annotations

import dataclasses
import typing as t

from ._errors import BadInput
from ._smoke import SmokeRun
from ._verdict import FAILED, NOT_VERIFIED, Check

_ATTEMPTS = 3
_NO_FAULT_OF_THE_DATA = 500  # statuses from here on, and
_TOO_MANY = 429
_CHECK = {
    "path": None,
    "subject": None,
    "method": "GET",
    "headers": None,
    "json": None,
    "body": None,
    "expect_status": [200],
    "expect_json": None,
    "expect_json_min": None,
    "expect_headers": None,
    "expect_text": None,
    "expect_no_text": None,
    "max_latency": None,
}
_SUBJECT = {"if_none": None}
_NEEDED = {"name", "store", "query"}
Params = t.Mapping[str, t.Any]


class Questions:
    """Checks of one kind, with the subjects that they need.

    Args:
        params: The module's options; C(base_url), C(headers) and the like say how the application is asked.
        kind: C(data) or C(leakage): the options C(<kind>_subjects) and C(<kind>_checks).

    Raises:
        BadInput: A check or a subject is not written as the module smoke_check takes them, or would write.
    """

    def __init__(self, params: Params, kind: str) -> None:
        subjects = [_subject(one, f"{kind}_subjects") for one in params[f"{kind}_subjects"]]
        checks = [_check(one, f"{kind}_checks") for one in params[f"{kind}_checks"]]
        self._options = {
            **params,
            "subjects": subjects,
            "checks": checks,
            "timeout": params["probe_timeout"],
            "wait": False,
            "expect_store": None,
            "journal": None,
        }
        self.count = len(checks)
        SmokeRun(self._options)  # refuses what contradicts itself

    def ask(self) -> list[Check]:
        """Ask everything, and once more what was answered wrongly.

        Raises:
            CutoverError: It cannot be asked at all.
        """
        found = self._once()
        for _attempt in range(_ATTEMPTS - 1):
            if not any(check.verdict == FAILED for check in found):
                break
            again = {check.name: check for check in self._once()}
            found = [again.get(check.name, check) if check.verdict == FAILED else check for check in found]
        return found

    def _once(self) -> list[Check]:
        found = [Check(**one) for one in SmokeRun(self._options).apply()["checks"]] if self.count else []
        return [_of_the_data(check) for check in found]


def _of_the_data(check: Check) -> Check:
    if check.verdict != FAILED:
        return check
    status = check.observed.get("status") if isinstance(check.observed, dict) else None
    errs = isinstance(status, int) and (status >= _NO_FAULT_OF_THE_DATA or status == _TOO_MANY)
    no_answer = check.expected == "an answer"
    return dataclasses.replace(check, verdict=NOT_VERIFIED) if errs or no_answer else check


def _check(given: Params, option: str) -> dict[str, t.Any]:
    name = given.get("name")
    unknown = sorted(set(given) - {"name", *_CHECK})
    if not isinstance(name, str) or unknown:
        raise BadInput(
            f"{option} cannot be used", f"{', '.join(unknown)} is not known" if unknown else "name is missing"
        )
    if bool(given.get("path")) == bool(given.get("subject")):
        raise BadInput(f"{option}: check {name!r} cannot be used", "it needs one of path and subject")
    check = {**_CHECK, **given}
    if str(check["method"]).upper() not in ("GET", "HEAD"):
        raise BadInput(f"{option}: check {name!r} is refused", f"{check['method']} may write, and the watch only looks")
    check["expect_status"] = [int(status) for status in check["expect_status"]]
    return check


def _subject(given: Params, option: str) -> dict[str, t.Any]:
    unknown = sorted(set(given) - {*_NEEDED, *_SUBJECT})
    missing = sorted(_NEEDED - set(given))
    if unknown or missing:
        raise BadInput(
            f"{option} cannot be used",
            f"{', '.join(unknown)} is not known" if unknown else f"{', '.join(missing)} is missing",
        )
    return {**_SUBJECT, **given}
