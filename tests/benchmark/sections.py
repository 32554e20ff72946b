# SPDX-License-Identifier: GPL-3.0-or-later
"""A page with several authors: each writes what stands between two marks, and leaves the rest alone."""

from __future__ import annotations

from pathlib import Path

# Written into the page of `make bench` by others.
_OF_OTHERS = ("lock hold", "soak")


def _marks(name: str) -> tuple[str, str]:
    return f"<!-- {name}: begin -->\n", f"<!-- {name}: end -->\n"


def section_of(page: str, name: str) -> str | None:
    """Return what stands between the marks, None where they are not."""
    begin, end = _marks(name)
    _before, found, rest = page.partition(begin)
    body, closed, _after = rest.partition(end)
    return body if found and closed else None


def with_section(page: str, name: str, body: str) -> str:
    """Return the page with this between the marks; a page without marks gets them at its end."""
    begin, end = _marks(name)
    block = f"{begin}\n{body.strip()}\n\n{end}"
    old = section_of(page, name)
    if old is not None:
        return page.replace(f"{begin}{old}{end}", block)
    return f"{page.rstrip()}\n\n{block}" if page.strip() else block


def write_section(path: Path, name: str, body: str) -> None:
    """Write a section of a page, which is made when it does not exist."""
    page = path.read_text(encoding="utf-8") if path.exists() else ""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(with_section(page, name, body), encoding="utf-8")


def keeping_sections(page: str, old: Path) -> str:
    """Return a new page with the sections of the others as they stand in the old one."""
    before = old.read_text(encoding="utf-8") if old.exists() else ""
    for name in _OF_OTHERS:
        body = section_of(before, name)
        if body is not None:
            page = with_section(page, name, body)
    return page
