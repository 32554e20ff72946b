# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""The checks of a look that take longer, and are made now and then: the data, leakage, and the schema."""

from __future__ import annotations

import contextlib
import typing as t

from . import _migration_history, _postgres_store, _schema_shape
from ._errors import CutoverError
from ._live_comparison import compare_live
from ._online_names import OnlineNames
from ._verdict import Check, open_checks
from ._watch_questions import Questions
from ._watch_stores import give_up_soon, opened

if t.TYPE_CHECKING:
    from ._watch_journal import State

Found = t.Optional[dict[str, t.Any]]
NOTHING: dict[str, Found] = {"data": None, "leakage": None, "migration": None}


class SlowChecks:
    """Makes them; what could not be made is told in C(problems), by the name of the measurement.

    Args:
        params: The module's options, those of PostgreSQL from L(_watch_stores.impatient).
        app_params: The same with the application's own connection, for the subjects of its checks.
        state: Keeps how the schema looked first, with which it is compared from then on.

    Raises:
        BadInput: A check is not written as it must be.
    """

    def __init__(self, params: t.Mapping[str, t.Any], app_params: t.Mapping[str, t.Any], state: State) -> None:
        self._params = params
        self._state = state
        self._data = Questions(app_params, "data")
        self._leakage = Questions(app_params, "leakage")
        self.problems: dict[str, str] = {}

    def make(self, answers: bool) -> dict[str, Found]:
        """Make all of them; C(answers) says whether the application answers at all, and is worth being asked."""
        return {
            "data": self._made(
                "data", [self._compare] if self._params["online"] else [], self._data if answers else None
            ),
            "leakage": self._made("leakage", [], self._leakage if answers else None),
            "migration": self._made("migration", [self._schema], None),
        }

    def _made(self, name: str, measures: t.Sequence[t.Callable[[], list[Check]]], questions: Questions | None) -> Found:
        found: list[Check] = []
        why: list[str] = []
        for measure in [*measures, *([questions.ask] if questions is not None else [])]:
            try:
                found += measure()
            except CutoverError as error:
                why.append(error.message())
        self.problems.pop(name, None)
        if why:
            self.problems[name] = " ".join(why)
        if not found:
            return None
        # Those that could not be made are among the failed ones, by their verdict.
        return {"checked": len(found), "failed": [check.as_dict() for check in open_checks(found)]}

    def _compare(self) -> list[Check]:
        with opened(self._params) as stores:
            return compare_live(
                stores.connection,
                stores.source,
                stores.plan,
                OnlineNames(stores.profile.schema_name),
                stores.profile.source_id,
                stores.profile.schema_name,
                columns={name: table.columns for name, table in stores.targets.items()},
            )

    def _schema(self) -> list[Check]:
        with contextlib.closing(_postgres_store.connect(self._params)) as connection:
            give_up_soon(connection)
            found: list[Check] = []
            if self._params["migrations"]:
                found += _migration_history.check_history(
                    connection, self._params["schema_name"], self._params["migrations"]
                )
            shape = _schema_shape.shape(connection, self._params["schema_name"])
            if self._state.shape is None:
                self._state.shape = shape
            return [*found, *_schema_shape.compare_shape(self._state.shape, shape)]
