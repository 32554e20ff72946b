# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Join many SQL expressions by one operator: SQLite limits the depth of an expression to 1000, not its length."""

from __future__ import annotations

import typing as t

_IN_A_ROW = 100  # SQLite evaluates these faster than nested ones


def balanced(operator: str, parts: t.Sequence[str]) -> str:
    """Return the parts joined by an associative operator, in their order, nested as little as is needed."""
    if len(parts) == 1:
        return parts[0]
    if len(parts) <= _IN_A_ROW:
        return f"({operator.join(parts)})"
    middle = len(parts) // 2
    return f"({balanced(operator, parts[:middle])}{operator}{balanced(operator, parts[middle:])})"
