# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    # Kept in step with module_utils/_options.py: data_policies_options(), and with module_utils/_policies.py
    DOCUMENTATION = r"""
options:
  policies:
    description:
      - What happens to values that cannot travel as they are, by class of problem, as V(refuse), V(quarantine) or
        V(convert). Every class that is not named here is refused by table, column and key.
      - V(quarantine) sets the rows aside in the table C(quarantine) of the bookkeeping schema, whole and with the
        storage class of every value. They are counted, reported and accounted for in parity by name.
      - V(convert) is possible where a conversion loses nothing. What it makes is read back and compared.
      - Loading and comparing have to be given the same policies.
      - Classes with a conversion are these, each with what is converted.
      - V(boolean_text), one of t, f, true, false, y, n, yes, no, on, off, 1, 0 (in any case) as text in a boolean
        column.
      - V(naive_time), a time without a zone in a timestamptz column, taken for UTC.
      - V(zoned_time), a time with a zone in a timestamp column, as the same instant in UTC.
      - V(epoch_seconds), a number of seconds since 1970 in a timestamp or timestamptz column, in UTC.
      - V(epoch_milliseconds), an integer of at least 100000000000, as milliseconds since 1970 in UTC.
      - V(julian_day), a real number between 1721425.5 and 5373484.5, as a Julian day in UTC.
      - V(number_as_text), a number in a text column, as its shortest decimal text.
      - V(text_as_number), a decimal text in a column of numbers, where that gives back the same number.
      - V(hex_as_bytes), a text of C(\x) and pairs of hexadecimal digits in a bytea column, as the octets they stand
        for.
      - V(text_as_bytes), any other text in a bytea column, as its UTF-8 octets. A value belongs to one class only,
        so these two can be asked for together.
      - Classes that can be refused or set aside are these.
      - V(storage_class), a value of another type than the column can take.
      - V(out_of_range), a number that is too large or too small.
      - V(inexact_number), a number that the column would round or refuse.
      - V(nul_character), a NUL character in text.
      - V(invalid_utf8), text that is not valid UTF-8.
      - V(too_long), text that is longer than declared, or ends with blanks that char(n) does not keep.
      - V(null_value), NULL where the target wants a value.
      - V(invalid_time), a text that is no date or time, or one with more digits than the column keeps.
      - V(invalid_uuid), a value that is no UUID.
      - V(invalid_json), text that is no JSON, or that the column could not give back.
      - V(unknown_label), a text that is no label of the enumeration.
      - V(duplicate_key) and V(orphan) can only be refused.
    type: dict
    default: {}
"""
