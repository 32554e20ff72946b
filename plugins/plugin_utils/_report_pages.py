# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Render a report as HTML, Markdown and JSON, and write what changed."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import pathlib
import re
import tempfile
import typing as t

import jinja2
from ansible_collections.sxops.pg_cutover.plugins.plugin_utils import _report_charts, _report_words
from ansible_collections.sxops.pg_cutover.plugins.plugin_utils._report_model import Anchor
from ansible_collections.sxops.pg_cutover.plugins.plugin_utils._report_verdict import NAMES
from markupsafe import Markup

FORMATS = ("html", "md", "json")
_TEMPLATES = pathlib.Path(__file__).parent / "report"
_VERDICTS = {"passed": "passed", "failed": "failed", "not_verified": "not verified"}


def render(report: t.Mapping[str, t.Any], form: str) -> str:
    """Return the report in one of L(FORMATS)."""
    if form == "json":
        return json.dumps(report, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    environment = _environment(form)
    if form == "md":
        return environment.get_template("report.md.j2").render(report=report)
    script = _TEMPLATES.joinpath("script.js").read_text(encoding="utf-8")
    drawn = [{**chart, "picture": _report_charts.draw(chart)} for chart in report["charts"]]
    return environment.get_template("page.html.j2").render(
        report=report,
        charts=drawn,
        style=Markup(_TEMPLATES.joinpath("style.css").read_text(encoding="utf-8")),
        script=Markup(script),
        script_digest=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    )


def _environment(form: str) -> jinja2.Environment:
    # In Markdown a name could break a table or begin an element as well; every value goes through this.
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(str(_TEMPLATES)),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        finalize=_markdown if form == "md" else None,
    )
    environment.filters.update(
        clock=_report_words.clock,
        hour=_report_words.hour,
        short=_report_words.short,
        span=_report_words.span,
        offset=_report_words.offset,
        shown=_report_words.shown,
        plural=_report_words.plural,
        store=lambda name: NAMES.get(name, str(name)),
        words=lambda text: _VERDICTS.get(text, str(text)).replace("_", " "),
        code=_code,
    )
    return environment


def _markdown(value: t.Any) -> t.Any:
    if isinstance(value, Markup) or not isinstance(value, str):
        return value
    flat = re.sub(r"\s+", " ", value)
    return Markup(re.sub(r"([\\`*_\[\]<>|#])", r"\\\1", flat))


def _code(text: str) -> Markup:
    flat = " ".join(str(text).split()).replace("`", "'").replace("|", "\\|")
    return Markup(f"`{flat}`")


def anchors(folder: pathlib.Path, source_id: str) -> list[Anchor]:
    """Return what the earlier reports in a folder saw of this profile's ledger, those of a broken one left out."""
    found = []
    for path in sorted(folder.glob(f"{source_id}-*.json")) if folder.is_dir() else ():
        try:
            told = json.loads(path.read_text(encoding="utf-8"))
            chain = told["chain"]
            if told["source_id"] == source_id and chain["verified"] is True:
                digests = (str(chain[name]) for name in ("first_digest", "last_digest"))
                found.append(Anchor(str(told["run_id"]), int(chain["entries"]), *digests, path.name))
        except (OSError, ValueError, LookupError, TypeError):  # another one's file
            continue
    return sorted(found, key=lambda anchor: anchor.entries)


def file_name(report: t.Mapping[str, t.Any], form: str) -> str:
    """Return the name of a report's file. One of a broken ledger does not take the place of what was seen before."""
    broken = "" if report["chain"]["verified"] else "-broken"
    return f"{report['source_id']}-{report['run_id'] or 'no-run'}{broken}.{form}"


def write(folder: pathlib.Path, texts: t.Mapping[str, str], dry_run: bool) -> list[str]:
    """Write the files that differ from what is there; return their names.

    Raises:
        OSError: A file cannot be written.
    """
    changed = [name for name, text in texts.items() if _content(folder / name) != text.encode("utf-8")]
    if dry_run or not changed:
        return changed
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for name in changed:
        handle, temporary = tempfile.mkstemp(dir=folder, prefix=".report-")  # 0600
        try:
            with os.fdopen(handle, "wb") as stream:
                stream.write(texts[name].encode("utf-8"))
            pathlib.Path(temporary).replace(folder / name)
        except BaseException:
            pathlib.Path(temporary).unlink(missing_ok=True)
            raise
    return changed


def _content(path: pathlib.Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None
