# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""What happens to a value that cannot travel as it is: a policy for every class of problem, refused by default."""

from __future__ import annotations

import typing as t

from ._errors import BadInput

REFUSE = "refuse"
QUARANTINE = "quarantine"
CONVERT = "convert"
POLICIES = (REFUSE, QUARANTINE, CONVERT)

# The conversions lose no value: what they make is read back and compared as they made it. A value belongs to one class,
# whatever the others are set to: text of a bytea column that looks like \x41 is never taken for its characters.
CONVERTIBLE = {
    "boolean_text": "one of t, f, true, false, y, n, yes, no, on, off, 1, 0 (in any case) as text in a boolean column",
    "naive_time": "a time without a zone in a timestamptz column, taken for UTC",
    "zoned_time": "a time with a zone in a timestamp column, as the same instant in UTC",
    "epoch_seconds": "a number of seconds since 1970 in a timestamp or timestamptz column, in UTC",
    "epoch_milliseconds": "an integer of at least 100000000000, as milliseconds since 1970 in UTC",
    "julian_day": "a real number between 1721425.5 and 5373484.5, as a Julian day in UTC",
    "number_as_text": "a number in a text column, as its shortest decimal text",
    "text_as_number": "a decimal text in a column of numbers, where that gives back the same number",
    "hex_as_bytes": "a text of \\x and pairs of hexadecimal digits in a bytea column, as the octets they stand for",
    "text_as_bytes": "any other text in a bytea column, as its UTF-8 octets",
}
# Classes of single values and rows that can be set aside without a conversion.
REFUSABLE = {
    "storage_class": "a value of another type than the column can take",
    "out_of_range": "a number that is too large or too small",
    "inexact_number": "a number that the column would round or refuse",
    "nul_character": "a NUL character in text",
    "invalid_utf8": "text that is not valid UTF-8",
    "too_long": "text that is longer than declared, or ends with blanks that char(n) does not keep",
    "null_value": "NULL where the target wants a value",
    "invalid_time": "a text that is no date or time, or one with more digits than the column keeps",
    "invalid_uuid": "a value that is no UUID",
    "invalid_json": "text that is no JSON, or that the column could not give back",
    "unknown_label": "a text that is no label of the enumeration",
}
# These belong to several rows at once: which of them to set aside is the application's to say.
ALWAYS_REFUSED = ("duplicate_key", "orphan")


def check_policies(policies: t.Mapping[str, str] | None) -> dict[str, str]:
    """Return the policies, each known and possible.

    Raises:
        BadInput: A class or a policy does not exist, or a class knows no conversion.
    """
    for name, policy in (policies or {}).items():
        if name in ALWAYS_REFUSED and policy != REFUSE:
            raise BadInput(f"Policy {policy} for {name} is not possible", "such rows can only be refused")
        if name not in CONVERTIBLE and name not in REFUSABLE and name not in ALWAYS_REFUSED:
            known = ", ".join(sorted({*CONVERTIBLE, *REFUSABLE, *ALWAYS_REFUSED}))
            raise BadInput(f"Policy for {name!r} is unknown", f"the classes are {known}")
        if policy not in POLICIES:
            raise BadInput(f"Policy {policy!r} for {name} is unknown", f"it is one of {', '.join(POLICIES)}")
        if policy == CONVERT and name not in CONVERTIBLE:
            raise BadInput(f"Policy convert for {name} is not possible", "no lossless conversion is known for it")
    return dict(policies or {})
