# SPDX-License-Identifier: GPL-3.0-or-later
"""The page of the benchmark and the section of the soak in it do not overwrite each other."""

from __future__ import annotations

from pathlib import Path

from benchmark.sections import keeping_sections, section_of, with_section, write_section


def test_a_page_without_marks_gets_them_at_its_end() -> None:
    page = with_section("# Page\n\ntext\n", "soak", "## Soak\n\none\n")
    assert page == "# Page\n\ntext\n\n<!-- soak: begin -->\n\n## Soak\n\none\n\n<!-- soak: end -->\n"
    assert section_of(page, "soak") == "\n## Soak\n\none\n\n"
    assert section_of(page, "other") is None


def test_only_the_section_is_replaced() -> None:
    page = with_section("before\n", "soak", "one") + "after\n"
    again = with_section(page, "soak", "two \\1")
    assert again == page.replace("one", "two \\1")
    assert with_section(again, "soak", "one") == page


def test_a_page_that_is_written_anew_keeps_the_sections_of_others(tmp_path: Path) -> None:
    path = tmp_path / "docs" / "page.md"
    assert keeping_sections("# New\n", path) == "# New\n"
    write_section(path, "soak", "figures")
    path.write_text("# Old\n\n" + path.read_text(encoding="utf-8"), encoding="utf-8")
    page = keeping_sections("# New\n", path)
    assert page.startswith("# New\n") and "figures" in page and "Old" not in page
    path.write_text(page, encoding="utf-8")
    assert keeping_sections("# New\n", path) == page


def test_a_mark_without_its_end_is_no_section() -> None:
    assert section_of("<!-- soak: begin -->\ntext\n", "soak") is None
