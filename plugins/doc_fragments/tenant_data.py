# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    # Kept in step with module_utils/_options.py: tenant_data_options()
    DOCUMENTATION = r"""
options:
  sqlite_path:
    description: The SQLite file, opened for reading only.
    type: path
  tenant_column:
    description:
      - The column that tells the profiles of a shared SQLite file apart.
      - Empty when the whole file belongs to one profile.
    type: str
    default: source_id
  shared_tables:
    description:
      - Tables that belong to all profiles. They are no part of a tenant schema and are never loaded as a whole,
        because applications touch them all the time. Only the profile's own row counts, by its named columns.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: The table in the SQLite file.
        type: str
        required: true
      target:
        description: Its counterpart in PostgreSQL, as C(schema.table). Without one it is not compared.
        type: str
      key:
        description: The column that holds the O(source_id).
        type: str
        required: true
      columns:
        description: The columns that count beside the key.
        type: list
        elements: str
        default: []
  exclude_tables:
    description:
      - Tables of the SQLite file to leave behind, for example another tool's bookkeeping.
      - Views and triggers as well, which otherwise stand in the way of a translated schema.
    type: list
    elements: str
    default: []
"""
