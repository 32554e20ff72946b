# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
attributes:
  check_mode:
    description: Can run in check mode and says what would change, without changing anything.
    support: full
  diff_mode:
    description: Returns what changed (or would change), secrets masked.
    support: full
  idempotent:
    description: A second run with the same options finds nothing to do.
    support: full
  platform:
    description: Where the module runs.
    platforms: posix
    support: full
  action_group:
    description: Options can be given once for all modules with C(module_defaults).
    support: full
    membership: [sxops.pg_cutover.all]
"""
