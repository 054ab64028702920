"""F1 in a panel: it did nothing there, against the footer of every screen."""

from __future__ import annotations

from pathlib import Path

import pytest
from wizard import screen_text, settled, wizard

from loratui.tui.app import LoratuiApp


@pytest.fixture(autouse=True)
def no_check(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LoratuiApp, "check_dataset", lambda self, **again: None)


@pytest.mark.parametrize(("screen", "key"), [("model", "ctrl+f"), ("machine", "o"), ("recipe", "p"), ("review", "m")])
async def test_f1_tells_the_keys_of_a_panel_and_leads_back_to_it(tmp_path: Path, screen: str, key: str) -> None:
    app = wizard(tmp_path, screen=screen)
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press(key)
        await settled(pilot)
        panel = app.screen
        assert panel.has_class("panel-over")
        title = str(panel.query_one("#panel").border_title)
        await pilot.press("f1")
        await settled(pilot)
        assert app.screen is not panel and f"{title}: help" in screen_text(app)
        await pilot.press("escape")
        await settled(pilot)
        assert app.screen is panel
