# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Write a canary through the application, find it by SQL, and leave the row exactly as it was.

The order makes every crash recoverable: row and answer are read, kept in the journal, only then written.
"""

from __future__ import annotations

import copy
import dataclasses
import json
import secrets
import time
import typing as t

from ._errors import CutoverError
from ._http_probe import Probe, Response
from ._smoke_expectation import lookup, same, shown
from ._smoke_journal import Journal, Trip
from ._smoke_store import POSTGRES, SQLITE, StoredRow, Stores, differing
from ._verdict import FAILED, NOT_VERIFIED, PASSED, Check

# A replay between the stores (catch-up, return path) may carry a canary over in the moment between the write and
# the look; a double write does so every time.
_LANDING_ATTEMPTS = 3
_LANDING_PAUSE_S = 0.3
# Such a replay brings the original over as well, at its next turn (DESIGN §5: every 5 s).
_REPLAY_WAIT_S = 12.0


@dataclasses.dataclass
class PutBack:
    """How putting back went. C(restored): no canary is left and the row is as it was, or as somebody left it since."""

    restored: bool = True
    problems: list[str] = dataclasses.field(default_factory=list)

    def problem(self, text: str, *, restored: bool = True) -> None:
        self.problems.append(text)
        self.restored = self.restored and restored


class RoundTrip:
    """One round trip against one application.

    Args:
        probe: Asks the application; its headers are sent with every request.
        stores: Both stores; the one that is not expected may be left out.
        headers: Headers of this check alone.
        trip: What to read and write.
        expect_store: Where the canary must land, C(sqlite) or C(postgres).
        journal: Where the original is kept while the canary stands.
        sleep: Waits so many seconds.
    """

    def __init__(
        self,
        probe: Probe,
        stores: Stores,
        headers: t.Mapping[str, str | None],
        trip: Trip,
        expect_store: str,
        journal: Journal,
        sleep: t.Callable[[float], None] = time.sleep,
    ) -> None:
        self._probe = probe
        self._stores = stores
        self._headers = headers
        self._trip = trip
        self._expected = expect_store
        self._other = SQLITE if expect_store == POSTGRES else POSTGRES
        self._journal = journal
        self._sleep = sleep
        self._not_looked = ""

    def run(self) -> tuple[Check, bool]:
        """Make the round trip; return its check, and whether the stores are as they were.

        Raises:
            CutoverError: It stopped before anything was written.
        """
        trip = self._trip
        landed: list[str] = []
        self._look_before()
        self._journal.write(trip)
        try:
            landed, problems = self._write_and_find()
        except CutoverError as error:
            problems = [error.message()]
        back = put_back(self._probe, self._stores, self._headers, trip, self._expected)
        if back.restored:
            self._journal.clear()
            problems += back.problems
        else:
            problems += back.problems
            problems.append(f"putting back did NOT work, the original is kept in {self._journal.path}")
        if problems and back.restored:
            problems.append("the row is as it was before the check")
        expected = {"canary_in": [self._expected], "row": "as it was"}
        observed = {"canary_in": landed, "row": "as it was" if back.restored else "changed"}
        if problems:
            return Check(trip.name, FAILED, expected, observed, "; ".join(problems)), back.restored
        if self._not_looked:
            verdict = NOT_VERIFIED if self._stores.configured(self._other) else PASSED
            return Check(trip.name, verdict, expected, observed, self._not_looked), True
        return Check(trip.name, PASSED, expected, observed), True

    def _look_before(self) -> None:
        trip = self._trip
        trip.rows[self._expected] = self._stores.get(self._expected).row(trip.table, trip.where)
        if not self._stores.configured(self._other):
            self._not_looked = f"the {self._other} store was not looked into, it is not among the options"
        else:
            try:
                trip.rows[self._other] = self._stores.get(self._other).row(trip.table, trip.where)
            except CutoverError as error:
                self._not_looked = f"the {self._other} store could not be looked into: {error.message()}"
        answer = _ask(self._probe, "GET", trip.read_path, self._headers)
        trip.original = _one(answer, trip.value_at)
        trip.document = trip.body if trip.from_read is None else _one(answer, trip.from_read)
        if not isinstance(trip.original, (str, list, type(None))):
            raise CutoverError(
                f"{trip.value_at} of {answer.url} cannot take a canary",
                f"it is {trip.original!r}, not a text, a list or null",
                "Name a text field in round_trip.field.",
            )
        if _set(trip.document, trip.field, trip.original) is None:
            raise CutoverError(
                f"round_trip.field {trip.field!r} does not exist in what is written to {trip.write_path}"
            )
        trip.token = secrets.token_hex(8)

    def _write_and_find(self) -> tuple[list[str], list[str]]:
        trip = self._trip
        landed: list[str] = []
        for attempt in range(1, _LANDING_ATTEMPTS + 1):
            if attempt > 1:
                self._sleep(_LANDING_PAUSE_S)
            canary = f"[pg_cutover canary {trip.token}.{attempt}]"
            _write(self._probe, self._headers, trip, trip.document, _with_canary(trip.original, canary))
            answer = _ask(self._probe, "GET", trip.read_path, self._headers)
            if not _holds(_one(answer, trip.value_at), canary):
                said = f"{trip.write_method} {trip.write_path} was answered with success"
                return landed, [f"{said}, but {answer.url} does not show in {trip.value_at} what was written"]
            landed = []
            for name in trip.rows:
                row = self._stores.get(name).row(trip.table, trip.where)
                trip.canary_rows[name] = row
                if row is not None and trip.column not in row:
                    raise CutoverError(f"Table {trip.table} of the {name} store has no column {trip.column!r}")
                if row is not None and _holds(row[trip.column], canary):
                    landed.append(name)
            trip.landed = landed
            self._journal.write(trip)
            if self._expected not in landed or landed == [self._expected]:
                break
        return landed, self._landing_problems(landed)

    def _landing_problems(self, landed: list[str]) -> list[str]:
        trip = self._trip
        place = f"{trip.table}.{trip.column}"
        if landed == [self._expected]:
            return []
        if not landed:
            seen = f"the application shows the canary, but {place} does not hold it in {' or '.join(trip.rows)}"
            return [f"{seen}: it works on another database than the one that was looked into"]
        if self._expected in landed:
            return [f"the canary landed in {self._expected} and in {self._other} ({place}): both stores take writes"]
        return [f"the canary landed in {self._other} instead of {self._expected} ({place})"]


def put_back(
    probe: Probe, stores: Stores, headers: t.Mapping[str, str | None], trip: Trip, live: str | None
) -> PutBack:
    """Put the original of a trip back, through the application first, then what still differs by SQL.

    Somebody else's change made meanwhile is kept: then only the field with the canary is put back.

    Args:
        live: The store that the application is expected to work on; None when an interrupted run is put right.
    """
    back = PutBack()
    holding = _holding(stores, trip, back)
    foreign = [text for name in holding for text in _changed_meanwhile(stores, trip, name)]
    try:
        answer = _ask(probe, "GET", trip.read_path, headers)
        if _holds(_one(answer, trip.value_at), trip.token):
            document = trip.document if trip.from_read is None else _one(answer, trip.from_read)
            if trip.from_read is not None and not trip.canary_rows and not _same_besides(document, trip):
                foreign.append(f"what {answer.url} shows")
            _write(probe, headers, trip, document if foreign else trip.document, trip.original)
            answer = _ask(probe, "GET", trip.read_path, headers)
            if not same(_one(answer, trip.value_at), trip.original):
                back.problem(f"{answer.url} does not show the original again after it was written back")
    except CutoverError as error:
        back.problem(f"putting back through the application did not work: {error.message()}")
    if foreign:
        back.problem(f"somebody else changed {', '.join(foreign)} meanwhile, so only {trip.field} was put back")
    for name in holding or _written_to(stores, trip, live):
        if holding and trip.landed and name not in trip.landed and _gone_by_replay(stores, trip, str(name)):
            continue
        _restore(stores, trip, str(name), back, foreign=bool(foreign), held=bool(holding))
    return back


def _written_to(stores: Stores, trip: Trip, live: str | None) -> list[str]:
    """Return where the write went when no canary stands any more; after an interruption any store may be it."""
    if live is not None:
        return [live] if live in trip.rows else []
    return [name for name in trip.rows if stores.configured(name)]


def _restore(stores: Stores, trip: Trip, name: str, back: PutBack, *, foreign: bool, held: bool) -> None:
    """Bring the row in one store to what it was, and make sure of it by reading it again."""
    try:
        store = stores.get(name)
        now = store.row(trip.table, trip.where)
        canary_stands = now is not None and _holds(now.get(trip.column), trip.token)
        if name not in trip.rows:
            if canary_stands:
                back.problem(f"the {name} store still holds the canary, its row before is not known", restored=False)
            return
        before = trip.rows[name]
        columns = differing(before, now)
        if foreign and not canary_stands:
            return
        if foreign and (before is None or now is None):
            back.problem(f"the row of {trip.table} in {name} holds the canary and somebody's change", restored=False)
            return
        if foreign and before is not None and now is not None:
            before = {**now, trip.column: before[trip.column]}
        elif not held and (before is None or now is None or set(columns) - set(trip.volatile)):
            return  # no canary ever stood here: the difference is somebody else's
        if columns:
            store.put_back(trip.table, trip.where, before)
        lost = [column for column in columns if column not in trip.volatile] if trip.rows[name] is not None else []
        if lost and not foreign:
            back.problem(
                f"{trip.table} in {name}: {', '.join(lost)} did not come back through the application as before and "
                f"was put back by SQL"
            )
        left = differing(before, store.row(trip.table, trip.where))
        if left:
            back.problem(f"{trip.table} in {name}: {', '.join(left)} is not as before", restored=False)
    except CutoverError as error:
        back.problem(f"putting back in the {name} store did not work: {error.message()}", restored=False)


def _gone_by_replay(stores: Stores, trip: Trip, name: str) -> bool:
    """Wait until a replay has taken the canary out of a store that the application did not write to."""
    deadline = time.monotonic() + _REPLAY_WAIT_S
    while time.monotonic() < deadline:
        row = stores.get(name).row(trip.table, trip.where)
        if row is None or not _holds(row.get(trip.column), trip.token):
            return True
        time.sleep(_LANDING_PAUSE_S)
    return False


def _holding(stores: Stores, trip: Trip, back: PutBack) -> list[str]:
    found = []
    for name in (SQLITE, POSTGRES):
        if not stores.configured(name):
            continue
        try:
            row = stores.get(name).row(trip.table, trip.where)
        except CutoverError as error:
            # a store that could not be looked into before the write cannot be judged after it either
            if name in trip.rows:
                back.problem(f"the {name} store could not be looked into: {error.message()}", restored=False)
            continue
        if row is not None and _holds(row.get(trip.column), trip.token):
            found.append(name)
    return found


def _changed_meanwhile(stores: Stores, trip: Trip, name: str) -> list[str]:
    seen = trip.canary_rows.get(name)
    if seen is None:
        return []
    now: StoredRow | None = stores.get(name).row(trip.table, trip.where)
    columns = [column for column in differing(seen, now) if column not in trip.volatile]
    return [f"{trip.table}.{column} in {name}" for column in columns]


def _same_besides(document: t.Any, trip: Trip) -> bool:
    now, before = (_set(value, trip.field, None) for value in (document, trip.document))
    if isinstance(now, dict) and isinstance(before, dict):
        now, before = ({k: v for k, v in value.items() if k not in trip.volatile} for value in (now, before))
    return same(now, before)


def _write(probe: Probe, headers: t.Mapping[str, str | None], trip: Trip, document: t.Any, value: t.Any) -> None:
    _ask(probe, trip.write_method, trip.write_path, headers, _set(document, trip.field, value))


def _ask(probe: Probe, method: str, path: str, headers: t.Mapping[str, str | None], body: t.Any = None) -> Response:
    answer = probe.request(method, path, headers, body)
    if not 200 <= answer.status < 300:
        raise CutoverError(f"{method} {answer.url} was answered with status {answer.status}", answer.text[:300])
    return answer


def _one(answer: Response, path: str) -> t.Any:
    found = lookup(answer.json, path)
    if len(found) != 1:
        raise CutoverError(f"The answer of {answer.url} has no field {path!r}", f"it is {shown(answer.text)}")
    return found[0]


def _set(document: t.Any, path: str, value: t.Any) -> t.Any:
    """Return a copy of the document with the value at a dotted path, or None where the path leads nowhere."""
    changed = copy.deepcopy(document)
    *parents, last = path.split(".")
    place = lookup(changed, ".".join(parents))
    if len(place) != 1 or not isinstance(place[0], dict) or last not in place[0]:
        return None
    place[0][last] = value
    return changed


def _with_canary(original: t.Any, canary: str) -> t.Any:
    if isinstance(original, list):
        return [*original, canary]
    return f"{original} {canary}" if original else canary


def _holds(value: t.Any, text: str) -> bool:
    """Return whether a value (text, or anything around texts) holds the text; False for an empty one."""
    return bool(text) and text in (value if isinstance(value, str) else json.dumps(value, default=str))
