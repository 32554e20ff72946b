# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""The census of all tables before a load, glanced at by the processes that will copy them."""

from __future__ import annotations

import functools
import operator
import typing as t

from . import _glance, _key_ranges
from ._census import Census, refuse

if t.TYPE_CHECKING:
    from ._progress import Progress
    from ._tenant_stores import Stores
    from ._workers import Workers


def take_all(stores: Stores, workers: Workers, progress: Progress) -> dict[str, Census]:
    """Return the census of each table, by its name in SQLite.

    Raises:
        DataRefused: Some rows cannot travel; every one of them is named by table, column and key.
        CutoverError: The file cannot be read.
    """
    jobs = []
    for plan in stores.plan.tables:
        rows = _key_ranges.count(stores.source, plan, stores.profile.source_id)
        progress.begin("census", plan.source, rows)
        ranges = _key_ranges.cut(stores.source, plan, stores.profile.source_id, rows, len(workers))
        glances = workers.spread("glance", [(plan, some) for some in ranges], progress.advance)
        seen = functools.reduce(operator.or_, glances, _glance.NOTHING)
        jobs.append((plan, stores.profile.source_id, seen))
        progress.end()
    tables = [plan.source for plan, _source_id, _seen in jobs]
    taken = dict(zip(tables, workers.spread("census", jobs, progress.advance)))
    refuse([finding for census in taken.values() for finding in census.findings])
    return taken
