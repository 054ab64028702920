"""F1 in a panel: it did nothing there, against the footer of every screen."""

from __future__ import annotations

from pathlib import Path

import pytest
from textual.widgets import Input, Static
from wizard import screen_text, settled, wizard

from loratui.tui.app import LoratuiApp
from loratui.tui.common.help import HelpScreen


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


LISTS = [("review", "m"), ("dataset", "l"), ("dataset", "c"), ("dataset", "+")]
FIELDS = [("machine", "o"), ("recipe", "p"), ("model", "ctrl+s")]


@pytest.mark.parametrize(("screen", "key"), LISTS)
async def test_a_question_mark_opens_the_help_of_a_panel(tmp_path: Path, screen: str, key: str) -> None:
    app = wizard(tmp_path, screen=screen)
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press(key)
        await settled(pilot)
        panel = app.screen
        assert panel.has_class("panel-over")
        await pilot.press("question_mark")
        await settled(pilot)
        assert isinstance(app.screen, HelpScreen) and app.screen is not panel
        keys = app.screen.query_one("#keys", Static)
        assert "text field" not in str(keys.content)
        await pilot.press("question_mark")
        await settled(pilot)
        assert app.screen is panel


@pytest.mark.parametrize(("screen", "key"), FIELDS)
async def test_a_text_field_takes_the_question_mark_and_its_editing_one_line_of_help(
    tmp_path: Path, screen: str, key: str
) -> None:
    """The help of a panel with a filter was 25 lines of how a text is edited."""
    app = wizard(tmp_path, screen=screen)
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press(key)
        await settled(pilot)
        panel = app.screen
        await pilot.press("question_mark")
        await settled(pilot)
        assert app.screen is panel and panel.query_one(Input).value == "?"
        await pilot.press("f1")
        await settled(pilot)
        told = str(app.screen.query_one("#keys", Static).content)
        assert "every text field" in told and "Delete" not in told and "esc" in told


@pytest.mark.parametrize("size", [(80, 24), (120, 36)], ids=str)
async def test_panels_of_text_name_the_key_that_scrolls_and_keep_their_columns(
    tmp_path: Path, size: tuple[int, int]
) -> None:
    """The line of keys named esc alone, or stood with the step's keys below the help of a field; what went on below a
    word began at the left edge.
    """
    app = wizard(tmp_path, screen="recipe")
    async with app.run_test(size=size) as pilot:
        await settled(pilot)
        for keys in (["f1"], ["f1"], ["escape", "question_mark"]):
            await pilot.press(*keys)
            await settled(pilot)
            assert "esc Close  ↑ ↓ pgdn Scroll" in screen_text(app).splitlines()[-1]
        words = app.screen.query_one("#words", Static)
        lines = [line.plain for line in words.render().split("\n")]  # type: ignore[union-attr]
        begins = {len(line) - len(line.lstrip()) for line in lines}
        assert begins <= {0, max(begins)}, lines
        assert size[0] > 80 or len(begins) == 2, "some line is wrapped"
        assert words.content_size.width < app.screen.query_one("#panel").scrollable_content_region.width
