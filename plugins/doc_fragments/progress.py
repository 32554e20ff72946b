# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    # Kept in step with module_utils/_options.py: progress_options()
    DOCUMENTATION = r"""
options:
  progress_file:
    description:
      - A path on the managed host where the module tells how far it has come, one JSON object in a line, with
        C(phase), C(table), C(state) (C(started), C(running) or C(done)), C(done) of C(rows) rows, C(seconds),
        C(rows_per_s) and C(seconds_left). A watch counts seconds in the place of rows, and has its words in C(text).
      - Leave it out. The action plugin names a file of its own, shows what is written there, and removes it.
      - A file that is named here must not exist, and is kept. Nothing of it is shown. A file that cannot be written is
        no reason to fail; the module says nothing then.
    type: path
attributes:
  action:
    description:
      - Runs an action plugin on the control node, which shows the progress of work that takes more than a second, over
        the connections P(ansible.builtin.ssh#connection) and P(ansible.builtin.local#connection).
      - Nothing is shown with C(async) or C(no_log), nor where the standard output callback does not write for people.
    support: full
"""
