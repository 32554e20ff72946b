# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A standard output callback for machines, in the manner of ansible.posix.jsonl: a line of JSON for each result."""

from __future__ import annotations

import json
import typing as t

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = r"""
name: one_object_a_line
type: stdout
short_description: Results as lines of JSON
description: For the tests of the collection only.
"""


class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "stdout"
    CALLBACK_NAME = "one_object_a_line"

    def _result(self, result: t.Any) -> None:
        content = result.result if hasattr(result, "result") else result._result
        self._display.display(json.dumps({"changed": content.get("changed"), "msg": content.get("msg")}))

    def v2_runner_on_ok(self, result: t.Any) -> None:
        self._result(result)

    def v2_runner_on_failed(self, result: t.Any, ignore_errors: bool = False) -> None:
        self._result(result)
