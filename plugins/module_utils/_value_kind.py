# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""What is known of the values of one PostgreSQL type: how they travel and compare, and what cannot."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class Problem:
    """Values that cannot travel as they are: the class of its policy, a text for the operator, a SQLite condition.

    The condition is false or NULL for NULL, unless NULL is the problem. One that a single function answers for all
    texts of a row is not C(glanced) at: the census looks for it only where that function found something. One of
    C(another_storage) is a storage class that the column does not take, with a conversion that was not asked for.
    """

    problem_class: str
    text: str
    condition: str
    glanced: bool = True
    another_storage: bool = False


@dataclasses.dataclass(frozen=True)
class Kind:
    """How values of one PostgreSQL type travel and compare.

    The templates take the quoted column as C({x}); they are NULL where it is, unless C(null_safe) is false. What a
    token is made of holds none of C(; | ~ #).

    Attributes:
        name: What the plan calls it.
        storages: The storage classes (C(typeof)) that SQLite may hold in such a column.
        csv: SQLite expression of the CSV field, without its quotes.
        sqlite_text: SQLite expression of the token, or of the whole text.
        postgres_text: PostgreSQL expression of the same.
        is_text: Whether it is compared as a text of any length and content.
        quoted: Whether its CSV field needs quotes.
        null_safe: Whether the SQLite expressions make NULL of NULL.
        same_order: Whether both stores sort such values alike (text by its octets).
        problems: What the census looks for beside the storage class.
        accepted: Conditions of values of another storage class that are converted.
    """

    name: str
    storages: tuple[str, ...]
    csv: str
    sqlite_text: str
    postgres_text: str
    is_text: bool = False
    quoted: bool = False
    null_safe: bool = True
    same_order: bool = True
    problems: tuple[Problem, ...] = ()
    accepted: tuple[str, ...] = ()


def problems_of(kind: Kind, declared: str, not_null: bool) -> list[Problem]:
    """Return everything the census has to look for in a column, no value being counted under two classes."""
    named = [problem.condition for problem in kind.problems if problem.another_storage]
    other = " AND NOT ".join([_another_storage(kind), *named])
    text = f"{'/'.join(kind.storages)} expected for {{type}}, another type stored"
    found = [Problem("storage_class", text, f"({other})"), *kind.problems]
    if not_null:
        found.append(Problem("null_value", "NULL where {type} NOT NULL is declared", "({x} IS NULL)"))
    return [dataclasses.replace(problem, text=problem.text.replace("{type}", declared)) for problem in found]


def suspicions_of(kind: Kind, not_null: bool) -> list[str]:
    """Return the fewest conditions of which one holds wherever one of the glanced problems is."""
    quick = None if kind.accepted else _BY_ORDER.get(kind.storages)
    found = [quick or f"({_another_storage(kind)})"]
    found += [problem.condition for problem in kind.problems if problem.glanced and not problem.another_storage]
    return [*found, "({x} IS NULL)"] if not_null else found


# SQLite sorts all numbers before all texts, and those before all blobs (https://www.sqlite.org/datatype3.html, 4.1),
# and compares faster than it names a storage class. NULL is in none of these.
_BY_ORDER = {
    ("text",): "({x} < '' OR {x} >= x'')",
    ("blob",): "({x} < x'')",
    ("integer",): "({x} >= '' OR typeof({x}) = 'real')",
    ("integer", "real"): "({x} >= '')",
    ("real", "integer"): "({x} >= '')",
}


def _another_storage(kind: Kind) -> str:
    others = " AND ".join(f"typeof({{x}}) <> '{storage}'" for storage in (*kind.storages, "null"))
    return " AND NOT ".join([others, *kind.accepted])
