# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Read a ledger from the managed host, as it is, and make the report of it here.

It is fetched whole and proven here: cutover_ledger refuses a broken one, and whoever broke it may be on that host.
"""

from __future__ import annotations

import base64
import pathlib
import typing as t

from ansible.plugins.action import ActionBase
from ansible_collections.sxops.pg_cutover.plugins.module_utils import _ledger
from ansible_collections.sxops.pg_cutover.plugins.module_utils._errors import CutoverError, LedgerError
from ansible_collections.sxops.pg_cutover.plugins.module_utils._run_entry import check_run_id
from ansible_collections.sxops.pg_cutover.plugins.plugin_utils import _report_model, _report_pages

READER = "ansible.builtin.slurp"
_OPTIONS: dict[str, dict[str, t.Any]] = {
    "source_id": {"type": "str", "required": True},
    "state_dir": {"type": "path", "default": "/var/lib/pg_cutover"},
    "run_id": {"type": "str"},
    "dest": {"type": "path", "default": "cutover_reports"},
    "formats": {
        "type": "list",
        "elements": "str",
        "choices": ["html", "json", "md"],
        "default": ["html", "md", "json"],
    },
    "host": {"type": "str"},
    "schema_name": {"type": "str"},
    "commands": {"type": "dict", "default": {}},
}


class ActionModule(ActionBase):
    """Makes the report."""

    _supports_check_mode = True
    _supports_async = False
    _requires_connection = True

    def run(self, tmp: t.Any = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        result: dict[str, t.Any] = super().run(tmp, task_vars)
        _validated, options = self.validate_argument_spec(argument_spec=_OPTIONS)
        host = options["host"] or str((task_vars or {}).get("inventory_hostname", ""))
        try:
            result.update(self._report(options, host, task_vars))
        except CutoverError as error:
            # Returned, not raised: whoever says failed_when: false is to be believed.
            result.update(failed=True, msg=error.message(), error=error.code)
        except OSError as error:
            reason = f"The report cannot be written to {error.filename or options['dest']}: {error.strerror or error}."
            result.update(failed=True, msg=reason, error="report")
        return result

    def _report(
        self, options: t.Mapping[str, t.Any], host: str, task_vars: dict[str, t.Any] | None
    ) -> dict[str, t.Any]:
        check_run_id(options["run_id"])
        source_id, folder = options["source_id"], pathlib.Path(options["dest"]).expanduser().absolute()
        ledger = _ledger.ledger_folder(options["state_dir"], source_id) / _ledger.FILE_NAME
        content = self._read(ledger, task_vars)
        if content[-1:] != b"\n":  # somebody may be writing just now
            content = self._read(ledger, task_vars)
        facts = _report_model.Facts(source_id, host, options["schema_name"] or "", options["commands"])
        report = _report_model.report(content, facts, options["run_id"], _report_pages.anchors(folder, source_id))
        names = {form: _report_pages.file_name(report, form) for form in options["formats"]}
        texts = {name: _report_pages.render(report, form) for form, name in names.items()}
        written = _report_pages.write(folder, texts, dry_run=self._task.check_mode)
        paths = {form: str(folder / name) for form, name in names.items()}
        return {
            "changed": bool(written),
            "written": written,
            "paths": paths,
            "html": paths.get("html"),
            "run_id": report["run_id"],
            "verdict": report["verdict"],
            "live_store": report["live"]["store"],
            "chain": report["chain"],
        }

    def _read(self, ledger: pathlib.Path, task_vars: dict[str, t.Any] | None) -> bytes:
        answer = self._execute_module(module_name=READER, module_args={"src": str(ledger)}, task_vars=task_vars)
        if answer.get("failed") or "content" not in answer:
            raise LedgerError(
                f"Ledger {ledger} cannot be read",
                str(answer.get("msg") or "it gave no reason"),
                "A profile without a run has none; state_dir names the folder, and become: true may be needed.",
            )
        return base64.b64decode(answer["content"])
