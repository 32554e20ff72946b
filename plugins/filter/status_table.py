# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import datetime
import typing as t

from ansible_collections.sxops.pg_cutover.plugins.plugin_utils._status_table import lines

DOCUMENTATION = r"""
name: status_table
short_description: Lay out what is known of every profile as one table
version_added: 1.0.0
description:
  - Used by role C(status). Returns the lines of a table, or of one list for each profile where the table would be too
    wide.
positional: width
options:
  _input:
    description: A row for each profile, as role C(status) keeps it.
    type: list
    elements: dict
    required: true
  width:
    description: How many columns there are.
    type: int
    default: 120
author:
  - pg_cutover developers (@sxops)
"""

EXAMPLES = r"""
- name: Print the table
  ansible.builtin.debug:
    msg: "{{ status_rows | sxops.pg_cutover.status_table(100) }}"
"""

RETURN = r"""
_value:
  description: The lines.
  type: list
  elements: str
"""


def status_table(rows: list[dict[str, t.Any]], width: int = 120) -> list[str]:
    return lines(rows, int(width), datetime.datetime.now(datetime.timezone.utc))


class FilterModule:
    """The filter of role status."""

    def filters(self) -> dict[str, t.Callable[..., list[str]]]:
        return {"status_table": status_table}
