# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    # Kept in step with module_utils/_options.py: profile_options()
    DOCUMENTATION = r"""
options:
  source_id:
    description:
      - The profile (tenant) to work on. Must match C([A-Za-z0-9._-]+); anything else is refused, not cleaned.
    type: str
    required: true
  schema_prefix:
    description:
      - The schema of the profile is this prefix, an underscore and the O(source_id) with C(.) and C(-) mapped
        to C(_). Names over 63 bytes are refused.
    type: str
    default: sx
  schema_name:
    description: The schema of the profile, where the application does not follow O(schema_prefix).
    type: str
"""
