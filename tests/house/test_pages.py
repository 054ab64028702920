"""The pages for people: one for each screen with its picture, the words, and the README's first screenful."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

from loratui.tui.app import SCREEN_CLASSES

ROOT = Path(__file__).parents[2]
PICTURES = ROOT / "docs" / "pictures"
PAGES = {name: "home" if name == "runs" else name for name in SCREEN_CLASSES}


def test_every_screen_has_a_page_with_its_picture() -> None:
    nav = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    for name in PAGES.values():
        page = (ROOT / "docs" / "screens" / f"{name}.md").read_text(encoding="utf-8")
        assert f"../pictures/{name}.svg" in page and f"screens/{name}.md" in nav, name


def test_every_picture_is_small_whole_and_shown() -> None:
    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    shown = {Path(found).name for page in pages for found in re.findall(r"\]\(([^)]+\.svg)\)", page.read_text("utf-8"))}
    assert shown == {path.name for path in PICTURES.iterdir()}
    for path in PICTURES.iterdir():
        text = path.read_text(encoding="utf-8")
        assert text.startswith("<svg") and text.rstrip().endswith("</svg>") and len(text) < 120_000, path.name


def test_the_readme_shows_the_wizard_and_says_why_before_it_lists() -> None:
    first = (ROOT / "README.md").read_text(encoding="utf-8").split("\n## ", 1)[0]
    assert first.count(".svg)") == 2 and "before you start" in first and "\n* " not in first and "| " not in first


def test_the_page_of_words_is_the_glossary() -> None:
    spec = importlib.util.spec_from_file_location("make_words_page", ROOT / "scripts" / "make_words_page.py")
    assert spec is not None and spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    assert script.PAGE.read_text(encoding="utf-8") == script.page()
