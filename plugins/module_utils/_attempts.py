# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Try again until a quiet moment is found, and give up in time."""

from __future__ import annotations

import time
import typing as t

from ._errors import CutoverError, PostgresError, SqliteError

if t.TYPE_CHECKING:
    from ._errors import SwitchRefused
    from ._switch_stores import Limits


def persist(limits: Limits, attempt: t.Callable[[], bool], given_up: t.Callable[[str], SwitchRefused]) -> None:
    """Attempt until it succeeds.

    Args:
        limits: How often, and how long to wait in between.
        attempt: Returns false where more was waiting than may be replayed under a lock; raises what L(is_locked) tells
            where a store was not to be had. Either leaves nothing behind.
        given_up: Makes the error of the end, of the reason.

    Raises:
        SwitchRefused: There was no such moment.
        CutoverError: What an attempt raised that another one would not mend.
    """
    delays = limits.delays()
    while True:
        try:
            if attempt():
                return
            if next(delays, None) is None:
                raise given_up(f"more than {limits.max_pending} changed rows waited under the lock each time")
            continue
        except CutoverError as error:
            if not is_locked(error):
                raise
            delay = next(delays, None)
            if delay is None:
                reason = f"{error.what}: {error.why}" if error.why else error.what
                raise given_up(f"no quiet moment was found: {reason}") from error
        time.sleep(delay)


def is_locked(error: Exception) -> bool:
    """Return whether a store only was not to be had for the moment."""
    if isinstance(error, SqliteError):
        return bool(error.facts.get("locked"))
    return isinstance(error, PostgresError) and error.facts.get("sqlstate") == "55P03"  # lock_not_available
