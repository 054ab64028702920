"""Searching the hub from the model's screen, against a server that stands in for it."""

from __future__ import annotations

from pathlib import Path

import pytest
from pictured import until
from wizard import screen_text, settled, wizard

from hub_standin import Hub, set_hub
from loratui.tui.model.hub_search import HubSearchScreen


async def search(pilot, words: str) -> None:
    await settled(pilot)
    await pilot.press("ctrl+s", *words, "enter")
    await answered(pilot)


async def answered(pilot) -> None:
    """Wait until nothing is asked any more."""
    await pilot.pause(0.1)
    await until(pilot, lambda: "sking" not in screen_text(pilot.app))


@pytest.mark.parametrize("size", [(80, 24), (120, 36)])
async def test_a_hit_shows_its_licence_and_gate_and_can_be_chosen(
    hub: type[Hub], tmp_path: Path, size: tuple[int, int]
) -> None:
    app = wizard(tmp_path, screen="model", chosen=False)
    async with app.run_test(size=size) as pilot:
        await search(pilot, "tiny")
        assert isinstance(app.screen, HubSearchScreen)
        text = screen_text(app)
        assert "me/open" in text and "mit" in text and "gated" in text and "123" in text
        assert "full fits" in text
        await pilot.press("enter")
        await settled(pilot)
        assert (
            app.state.draft.model == "me/open" and app.state.model.spec is not None and app.state.model.spec.layers == 2
        )


async def test_why_a_model_cannot_be_had_is_told_before_it_is_chosen(hub: type[Hub], tmp_path: Path) -> None:
    app = wizard(tmp_path, screen="model", chosen=False)
    async with app.run_test(size=(120, 36)) as pilot:
        await search(pilot, "tiny")
        await pilot.press("down")
        await answered(pilot)
        assert "knows no model of this name that you may see" in screen_text(app)


async def test_no_connection_is_one_sentence(hub: type[Hub], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    set_hub(monkeypatch, HF_ENDPOINT="http://127.0.0.1:9")
    app = wizard(tmp_path, screen="model", chosen=False)
    async with app.run_test(size=(80, 24)) as pilot:
        await search(pilot, "tiny")
        assert "the hub cannot be reached" in " ".join(screen_text(app).split())
        await pilot.press("escape")
        await settled(pilot)
        assert not isinstance(app.screen, HubSearchScreen)
