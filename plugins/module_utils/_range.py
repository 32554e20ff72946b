# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Some of a profile's rows of a table, as SQLite finds them."""

from __future__ import annotations

import typing as t


class Range(t.NamedTuple):
    """Rows by a condition of SQLite, and the values for it.

    Where C(numbered), the last two values are the first and the last row number.
    """

    where: str
    values: tuple[t.Any, ...]
    numbered: bool = False

    def windows(self, size: int) -> t.Iterator[tuple[t.Any, ...]]:
        """Yield the values for as many row numbers at a time, of a range that is numbered."""
        *others, first, last = self.values
        for start in range(first, last + 1, size):
            yield (*others, start, min(start + size - 1, last))
