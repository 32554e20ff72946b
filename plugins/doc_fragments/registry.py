# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    # Kept in step with module_utils/_options.py: registry_options()
    DOCUMENTATION = r"""
options:
  registry_table:
    description:
      - The application's table that maps a source to its schema, as C(schema.table), with the columns
        C(source_id), C(schema_name), C(created_at) and C(updated_at). Empty when the application keeps none.
    type: str
    default: public.sx_source_registry
"""
