# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.


"""What a replay changed in the store that received it."""

from __future__ import annotations

import dataclasses
import typing as t

# Told after each batch: the table, how many of its keys are done, and of how many.
Say = t.Callable[[str, int, int], None]


@dataclasses.dataclass
class Replayed:
    """What a pass changed in the store that received it: rows that were there already as they are do not count."""

    upserted: int = 0
    deleted: int = 0
    tables: dict[str, dict[str, int]] = dataclasses.field(default_factory=dict)

    def count(self, table: str, upserted: int = 0, deleted: int = 0) -> None:
        if not upserted and not deleted:
            return
        found = self.tables.setdefault(table, {"upserted": 0, "deleted": 0})
        found["upserted"] += upserted
        found["deleted"] += deleted
        self.upserted += upserted
        self.deleted += deleted

    def __iadd__(self, other: Replayed) -> Replayed:
        for table, counts in other.tables.items():
            self.count(table, **counts)
        return self
