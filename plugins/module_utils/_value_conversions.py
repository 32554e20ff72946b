# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Values that stand in a column of another type: taken by a conversion that was asked for, or a problem by name.

No value belongs to two conversions, so that any of them can be asked for together.
"""

from __future__ import annotations

import dataclasses
import typing as t

from ._value_kind import Kind, Problem

# Every number that a decimal text can stand for; bool has words of its own.
NUMBERS = ("int2", "int4", "int8", "float4", "float8", "numeric")
_TRUE = "('t', 'true', 'y', 'yes', 'on', '1')"
_FALSE = "('f', 'false', 'n', 'no', 'off', '0')"
_IS_TEXT = "typeof({x}) = 'text'"
_OCTETS = "CAST({x} AS BLOB)"


def with_conversions(kind: Kind, converted: t.Collection[str], size: tuple[int, int] | None) -> Kind:
    """Return the kind with the conversions that were asked for, and the problems of those that were not.

    Args:
        kind: How the values travel that stand in a column of their own type.
        converted: The classes of L(_policies.CONVERTIBLE) that are to be converted.
        size: Precision and scale, or length and 0, where the type declares them.
    """
    if kind.name == "bool":
        is_word = f"({_IS_TEXT} AND (lower({{x}}) IN {_TRUE} OR lower({{x}}) IN {_FALSE}))"
        value = f"(lower({{x}}) IN {_TRUE})"
        return _convert(kind, converted, "boolean_text", "text of a boolean", is_word, value, value)
    if kind.name == "bytea":
        is_hex = f"({_IS_TEXT} AND pgc_is_hex({_OCTETS}))"
        kind = _convert(kind, converted, "hex_as_bytes", "hexadecimal text", is_hex, "{x}", "upper(substr({x}, 3))")
        is_other = f"({_IS_TEXT} AND NOT pgc_is_hex({_OCTETS}))"
        return _convert(kind, converted, "text_as_bytes", "text", is_other, kind.csv, kind.sqlite_text)
    if kind.name in NUMBERS:
        return _with_written_numbers(kind, converted, size)
    if kind.name == "text" and kind.same_order:
        is_number = "(typeof({x}) IN ('integer', 'real'))"
        value = "CASE typeof({x}) WHEN 'real' THEN pgc_float_text({x}) ELSE CAST({x} AS TEXT) END"
        found = _convert(kind, converted, "number_as_text", "number", is_number, value, value)
        # What counts is how long the text is that the number becomes.
        problems = [
            dataclasses.replace(problem, condition=problem.condition.replace("{x}", f"({found.csv})"))
            if problem.problem_class == "too_long"
            else problem
            for problem in found.problems
        ]
        return dataclasses.replace(found, problems=tuple(problems))
    return kind


def _with_written_numbers(kind: Kind, converted: t.Collection[str], size: tuple[int, int] | None) -> Kind:
    precision, scale = size or ("NULL", "NULL")
    problem = f"pgc_number_problem({_OCTETS}, '{kind.name}', {precision}, {scale})"
    others = [
        Problem(name, text, f"({_IS_TEXT} AND {problem} = '{name}')", another_storage=True)
        for name, text in (
            ("out_of_range", "text of a number that is out of range for {type}"),
            ("inexact_number", "text of a number that {type} would round"),
        )
    ]
    kind = dataclasses.replace(kind, problems=(*kind.problems, *others))
    is_number = f"({_IS_TEXT} AND {problem} = '')"
    csv, token = (f"pgc_number_{made}({_OCTETS}, '{kind.name}')" for made in ("text", "token"))
    return _convert(kind, converted, "text_as_number", "text of a number", is_number, csv, token)


def _convert(
    kind: Kind, converted: t.Collection[str], name: str, what: str, condition: str, csv: str, token: str
) -> Kind:
    """Return the kind with a conversion of the values that meet the condition, or with their problem."""
    if name not in converted:
        problem = Problem(name, f"{what} stored for {{type}}", condition, another_storage=True)
        return dataclasses.replace(kind, problems=(*kind.problems, problem))
    return dataclasses.replace(
        kind,
        csv=f"CASE WHEN {condition} THEN {csv} ELSE {kind.csv} END",
        sqlite_text=f"CASE WHEN {condition} THEN {token} ELSE {kind.sqlite_text} END",
        same_order=False,
        accepted=(*kind.accepted, condition),
    )
