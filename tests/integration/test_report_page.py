# Copyright (c) 2026, pg_cutover developers
# SPDX-License-Identifier: GPL-3.0-or-later

"""The report as a person sees it, in Debian's Chromium: what is on it, and that nothing leaves it."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from _ansible import wait_for
from _chromium import Browser, chromium
from _report_ledgers import Book
from ansible_collections.sxops.pg_cutover.plugins.plugin_utils import _report_model, _report_pages

FACTS = _report_model.Facts("assets_1", "api-1", "sx_assets_1")
_BOX = "const r = document.querySelector(arguments[0]).getBoundingClientRect();"
STORIES = ("completed", "rolled_back", "failed", "broken", "empty")


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, dict[str, Any]]]:
    """A page of every kind of story, with the report that it was made from."""
    folder = tmp_path_factory.mktemp("pages")
    made = {}
    for name in STORIES:
        book = Book(tmp_path_factory.mktemp(name))
        content = _write(book, name)
        report = _report_model.report(content, FACTS)
        path = folder / f"{name}.html"
        path.write_text(_report_pages.render(report, "html"), encoding="utf-8")
        made[name] = (path, report)
    return made


def _write(book: Book, name: str) -> bytes:
    if name == "failed":
        book.cutover(until="parity")
        return book.content()
    if name == "empty":
        book.begin(mode="online")
        return book.content()
    book.cutover()
    if name == "rolled_back":
        book.watch("error_percent")
        book.rollback(automatic=True, trigger="error_percent", trigger_message="6.5 %", fired_at=book.clock())
    else:
        book.watch()
    content = book.content()
    return content.replace(b'"replayed":12', b'"replayed":13', 1) if name == "broken" else content


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with chromium(tmp_path_factory.mktemp("chromium")) as running:
        yield running


def text(browser: Browser, selector: str) -> str:
    return str(browser.run("return document.querySelector(arguments[0]).innerText", selector))


def test_title_verdict_and_next_command_are_seen_first(browser: Browser, pages: Any) -> None:
    expected = {
        "completed": ("Completed", "close.yml"),
        "rolled_back": ("Rolled back", "cutover.yml"),
        "failed": ("Failed", "cutover.yml"),
        "broken": ("Evidence broken", "status.yml"),
        "empty": ("Open", "cutover.yml"),
    }
    for name, (words, command) in expected.items():
        browser.open(pages[name][0])
        assert browser.driver.title == f"Cutover of assets_1 to PostgreSQL: {words}"
        assert text(browser, "h1") == "Cutover of assets_1 to PostgreSQL"
        assert text(browser, "#verdict") == words
        assert f"ansible-playbook {command} -e source_id=assets_1" in text(browser, "#next")
        assert browser.run("return document.querySelector('#verdict').getBoundingClientRect().bottom") < 900


def test_the_bars_of_the_timeline_stand_where_the_phases_were(browser: Browser, pages: Any) -> None:
    path, report = pages["rolled_back"]
    browser.open(path)
    bars = browser.run(
        "return [...document.querySelectorAll('.bar')].map(bar => {"
        " const inner = bar.getBoundingClientRect(), outer = bar.parentElement.getBoundingClientRect();"
        " return [bar.dataset.phase, (inner.left - outer.left) / outer.width * 100, inner.width / outer.width * 100,"
        "         inner.height, getComputedStyle(bar).backgroundColor] })"
    )
    wanted = [phase for run in report["timeline"]["runs"] for phase in run["phases"]]
    assert [drawn[0] for drawn in bars] == [phase["phase"] for phase in wanted]
    for drawn, phase in zip(bars, wanted, strict=True):
        assert drawn[1] == pytest.approx(phase["left_percent"], abs=0.5)
        assert drawn[2] == pytest.approx(max(phase["width_percent"], 0), abs=1.0) and drawn[3] > 5
    colours = {phase["status"]: drawn[4] for drawn, phase in zip(bars, wanted, strict=True)}
    assert colours["failed"] != colours["passed"]


def test_the_tables_hold_the_figures(browser: Browser, pages: Any) -> None:
    browser.open(pages["rolled_back"][0])
    rows = browser.run(
        "const rows = [...document.querySelectorAll('#tables tbody tr')];"
        "return rows.map(row => [...row.cells].map(cell => cell.innerText))"
    )
    assert rows[0][:6] == ["videos", "20,000", "20,000", "0", "0", "0"] and "passed" in rows[0][6]
    assert "fired" in text(browser, "#triggers") and "15 min" in text(browser, "#rto")
    assert browser.run("return document.querySelectorAll('#marks tbody tr').length") == 7
    for selector in ("#tables", "#marks", "#triggers", "#rto", "#completeness", "#validation", "#gate-table", "#runs"):
        size = browser.run(
            "const r = document.querySelector(arguments[0]).getBoundingClientRect(); return [r.width, r.height]",
            selector,
        )
        assert min(size) > 30, selector


def test_the_charts_show_curve_and_threshold_and_can_be_read_without_them(browser: Browser, pages: Any) -> None:
    browser.open(pages["rolled_back"][0])
    names = browser.run("return [...document.querySelectorAll('[data-chart]')].map(one => one.dataset.chart)")
    assert names == ["errors", "latency", "lag", "connections", "readiness"]
    highest, threshold = browser.run(
        "const chart = document.querySelector('[data-chart=errors]');"
        "return [chart.querySelector('.curve').getBoundingClientRect().top,"
        "        chart.querySelector('.threshold').getBoundingClientRect().top]"
    )
    assert highest < threshold  # the curve goes above it
    described = browser.run(
        "return [...document.querySelectorAll('svg')].map(svg =>"
        " svg.getAttribute('aria-labelledby').split(' ').map(id => document.getElementById(id).textContent))"
    )
    assert all(title and sentence for title, sentence in described)
    assert browser.run("return document.querySelectorAll('[data-chart=errors] details tbody tr').length") == 40


@pytest.mark.parametrize("name", ["broken", "failed"])
def test_what_is_wrong_is_said_above_everything_else(browser: Browser, pages: Any, name: str) -> None:
    path, report = pages[name]
    browser.open(path)
    selector = {"broken": "#broken", "failed": "#stopped"}[name]
    place = browser.run(f"{_BOX} return [r.top, r.height]", selector)
    assert 0 < place[0] < 500 and place[1] > 40
    said = text(browser, selector)
    assert f"line {report['chain']['line']}" in said if name == "broken" else "in phase parity" in said


@pytest.mark.parametrize("name", STORIES)
@pytest.mark.parametrize("width", [1280, 390])
def test_the_page_is_never_wider_than_the_window(browser: Browser, pages: Any, name: str, width: int) -> None:
    browser.open(pages[name][0], width)
    browser.run("document.querySelectorAll('details').forEach(one => { one.open = true })")
    window, inside, *wide = browser.run(
        "const root = document.documentElement;"
        "return [innerWidth, root.clientWidth, root.scrollWidth, document.body.scrollWidth]"
    )
    assert window == width and max(wide) <= inside
    outside = browser.run(
        "return [...document.querySelectorAll('main *')].filter(one => !one.closest('.scroll, svg') &&"
        " (one.getBoundingClientRect().right > innerWidth + 0.5 || one.getBoundingClientRect().left < -0.5))"
        ".map(one => one.outerHTML.slice(0, 120))"
    )
    assert outside == []
    small = browser.run(
        "return [...document.querySelectorAll('main p, main td, main th, main li, main dd')]"
        ".filter(one => parseFloat(getComputedStyle(one).fontSize) < 13).length"
    )
    assert small == 0


_CONTRAST = """
const part = v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
const luminance = ([r, g, b]) => 0.2126 * part(r / 255) + 0.7152 * part(g / 255) + 0.0722 * part(b / 255);
const colour = text => text.match(/[\\d.]+/g).map(Number);
const ground = one => {
  for (; one; one = one.parentElement) {
    const found = colour(getComputedStyle(one).backgroundColor);
    if (found.length < 4 || found[3] > 0) return found;
  }
  return [255, 255, 255];
};
const found = [];
for (const one of document.querySelectorAll('body *')) {
  const own = [...one.childNodes].some(node => node.nodeType === 3 && node.textContent.trim());
  if (!own || one.closest('svg, script, style')) continue;
  const both = [luminance(colour(getComputedStyle(one).color)), luminance(ground(one))].sort((a, b) => b - a);
  const ratio = (both[0] + 0.05) / (both[1] + 0.05);
  if (ratio < 4.5) found.push([one.outerHTML.slice(0, 100), ratio]);
}
return [found, getComputedStyle(document.body).backgroundColor];
"""


@pytest.mark.parametrize("name", ["rolled_back", "broken"])
def test_every_text_can_be_read_in_light_and_in_dark(browser: Browser, pages: Any, name: str) -> None:
    grounds = []
    for scheme in ("light", "dark"):
        browser.open(pages[name][0], scheme=scheme)
        faint, ground = browser.run(_CONTRAST)
        assert faint == [], scheme
        grounds.append(sum(int(part) for part in ground[4:-1].split(",")[:3]))
    assert grounds[0] > 700 and grounds[1] < 100


class _Counting(http.server.BaseHTTPRequestHandler):
    asked: list[str] = []  # noqa: RUF012 - the handler is made anew for each request

    def do_GET(self) -> None:
        self.asked.append(self.path)
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_arguments: object) -> None:
        """Say nothing."""


def test_no_request_leaves_the_page_and_none_could(browser: Browser, pages: Any) -> None:
    path, _report = pages["rolled_back"]
    browser.open(path)
    assert browser.requests() == [path.as_uri()]
    assert browser.run("return performance.getEntriesByType('resource').length") == 0
    assert browser.complaints() == []
    # What a foreign element in the page would try.
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Counting)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}"
    try:
        blocked = browser.driver.execute_async_script(
            "const [address, done] = arguments, blocked = [];"
            "document.addEventListener('securitypolicyviolation', event => blocked.push(event.effectiveDirective));"
            "for (const name of ['img', 'script', 'iframe', 'link']) { const one = document.createElement(name);"
            "  one[name === 'link' ? 'href' : 'src'] = address + '/' + name;"
            "  if (name === 'link') one.rel = 'stylesheet'; document.body.append(one) }"
            "fetch(address + '/fetch').catch(() => 0); setTimeout(() => done(blocked), 1500)",
            address,
        )
    finally:
        server.shutdown()
        server.server_close()
    assert {directive.removesuffix("-elem") for directive in blocked} == {
        "img-src",
        "script-src",
        "frame-src",
        "style-src",
        "connect-src",
    }
    assert _Counting.asked == []


def test_the_form_is_saved_as_markdown(browser: Browser, pages: Any) -> None:
    path, report = pages["rolled_back"]
    browser.open(path)
    assert browser.run("return document.querySelector('#lesson-reason').value") == report["lessons"]["reason"]
    browser.run("document.querySelector('#lesson-root_cause').value = 'A missing index.\\nSeen too late.'")
    browser.driver.find_element("css selector", "#save").click()
    saved = browser.downloads / f"assets_1-{report['run_id']}-lessons.md"
    wait_for(saved.exists, "the saved form", 20)
    lines = saved.read_text(encoding="utf-8")
    assert lines.startswith(f"### {report['lessons']['heading']}\n")
    assert "- **Reason**: Trigger error_percent: 6.5 %\n" in lines
    assert "- **Root Cause**: A missing index.\n  Seen too late.\n" in lines
    assert "- **Prevention**: …\n" in lines
    assert [url for url in browser.requests() if not url.startswith(("file:", "blob:"))] == []


def test_it_can_be_printed(browser: Browser, pages: Any) -> None:
    browser.open(pages["completed"][0])
    printed = browser.driver.execute_cdp_cmd("Page.printToPDF", {"printBackground": True})
    assert len(printed["data"]) > 20000
    browser.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    assert browser.run("return getComputedStyle(document.querySelector('#save')).display") == "none"
    browser.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})
