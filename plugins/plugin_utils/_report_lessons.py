# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""The lessons-learned form of seed 003, filled in as far as the ledger tells. Pure."""

from __future__ import annotations

import typing as t

from ansible_collections.sxops.pg_cutover.plugins.plugin_utils._report_words import clock, short, span


def lessons(report: t.Mapping[str, t.Any]) -> dict[str, str]:
    """Return the heading and the five answers; those that only people can give are empty."""
    stopped, objectives = report.get("stopped"), report.get("objectives") or {}
    back = bool(objectives.get("rolled_back"))
    runs = report["runs"]
    day = clock(runs[-1]["started"])[:10] if runs else ""
    return {
        "heading": f"{'Rollback' if back else 'Cutover'} {day}: {report['source_id']}".strip(),
        "reason": _reason(report, stopped),
        "duration": _duration(report, objectives, back),
        "data_loss": _loss(report, objectives, back),
        "root_cause": "",
        "prevention": "",
    }


def _reason(report: t.Mapping[str, t.Any], stopped: t.Mapping[str, t.Any] | None) -> str:
    automatic = next((run for run in report["runs"] if run["automatic"]), None)
    if automatic:
        given = automatic["parameters"]
        return f"Trigger {given.get('trigger')}: {given.get('trigger_message', '')}".strip()
    if stopped:
        where = f"phase {stopped['phase']}" if stopped["phase"] else stopped["verb"]
        return f"Stopped in {where}: {stopped['message']}"
    failed = [message for message in report["messages"] if message["kind"] == "phase"]
    return f"Phase {failed[-1]['phase']}: {failed[-1]['text']}" if failed else ""


def _duration(report: t.Mapping[str, t.Any], objectives: t.Mapping[str, t.Any], back: bool) -> str:
    parts = []
    if back and objectives.get("rto_s") is not None:
        parts.append(f"{span(objectives['rto_s'] * 1000)} {objectives['rto_text']}")
    for outage in report["outages"]:
        if outage["write_outage_ms"] is not None:
            parts.append(f"no writes for {span(outage['write_outage_ms'])} ({outage['direction']})")
    return "; ".join(parts)


def _loss(report: t.Mapping[str, t.Any], objectives: t.Mapping[str, t.Any], back: bool) -> str:
    if not back:
        return ""
    rows = objectives.get("rpo_rows")
    if rows == 0:
        return "None: " + str(objectives.get("rpo_text"))
    told = str(objectives.get("rpo_text") or "")
    return f"{short(rows)} rows: {told}" if rows else told
