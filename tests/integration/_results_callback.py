# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A callback for the tests: each result, and the recap, as a line of JSON in the file that RESULTS_FILE names."""

from __future__ import annotations

import json
import os
import time
import typing as t

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = r"""
name: pg_cutover_results
type: aggregate
short_description: Results as lines of JSON
description: For the tests of the collection only.
"""


class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "pg_cutover_results"
    CALLBACK_NEEDS_ENABLED = True

    def _tell(self, **line: t.Any) -> None:
        with open(os.environ["RESULTS_FILE"], "a", encoding="utf-8") as stream:  # noqa: PTH123
            stream.write(json.dumps(line, default=str) + "\n")

    def _result(self, outcome: str, result: t.Any) -> None:
        task = result.task if hasattr(result, "task") else result._task
        host = result.host if hasattr(result, "host") else result._host
        content = dict(result.result if hasattr(result, "result") else result._result)
        content.setdefault("failed", outcome in ("failed", "ignored", "unreachable"))
        at = time.monotonic()
        self._tell(
            task=task.get_name(), action=task.action, host=host.get_name(), outcome=outcome, at=at, result=content
        )

    def v2_runner_on_ok(self, result: t.Any) -> None:
        self._result("ok", result)

    def v2_runner_on_failed(self, result: t.Any, ignore_errors: bool = False) -> None:
        self._result("ignored" if ignore_errors else "failed", result)

    def v2_runner_on_skipped(self, result: t.Any) -> None:
        self._result("skipped", result)

    def v2_runner_on_unreachable(self, result: t.Any) -> None:
        self._result("unreachable", result)

    def v2_playbook_on_stats(self, stats: t.Any) -> None:
        self._tell(stats={host: stats.summarize(host) for host in stats.processed})
