# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    # Kept in step with module_utils/_options.py: instances_options()
    DOCUMENTATION = r"""
options:
  instances:
    description: Who serves the profile.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: The name of the instance, for messages.
        type: str
        required: true
      base_url:
        description: Where it listens, such as V(http://127.0.0.1:8123). User and password in it are refused.
        type: str
        required: true
"""
