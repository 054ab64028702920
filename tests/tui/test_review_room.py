"""The pictures of the review have room before words are explained."""

from __future__ import annotations

from pathlib import Path

import pytest
from wizard import choose, screen_text, settled, wizard

from loratui.tui.app import LoratuiApp


async def test_the_pictures_are_seen_below_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their frames were empty."""
    monkeypatch.setattr(LoratuiApp, "check_dataset", lambda self, **again: None)
    monkeypatch.setattr("loratui.tui.wizard.words.SeenWords.unseen", lambda self, terms: tuple(terms))
    app = wizard(tmp_path, screen="review")
    choose(app, gpu="NVIDIA GeForce RTX 4090")
    async with app.run_test(size=(120, 36)) as pilot:
        await settled(pilot)
        assert app.screen.query_one("#said").size.height >= 2, screen_text(app)
        text = screen_text(app)
        assert app.screen.query_one("#memory-picture").content_size.height >= 1, text
        assert "together" in text, text
