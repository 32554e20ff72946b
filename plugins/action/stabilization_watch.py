# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from ansible_collections.sxops.pg_cutover.plugins.plugin_utils._live_progress import LiveProgress


class ActionModule(LiveProgress):
    """Runs the module, and shows its progress."""
