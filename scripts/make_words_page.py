#!/usr/bin/env python3
"""Write `docs/words.md` from the glossary: `python scripts/make_words_page.py`."""

from __future__ import annotations

from pathlib import Path

from loratui.core.glossary import TERMS

PAGE = Path(__file__).resolve().parents[1] / "docs" / "words.md"
HEAD = """# Words

The words that somebody new to fine-tuning meets on the screens. Each is explained in a line where it first stands,
once; `F1` explains those of a screen always, and the palette (`^o`) each of them by its name.

| word | |
|---|---|
"""


def page() -> str:
    """The page as it should be."""
    return HEAD + "".join(f"| {term.word} | {term.line} |\n" for term in TERMS.values())


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
