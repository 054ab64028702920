"""What fits, beside the cards: only where there is room, and for the device that is chosen."""

from __future__ import annotations

from pathlib import Path

import pytest
from pictured import until
from wizard import screen_text, settled, wizard

from loratui.core.memory.fit import method_fits
from loratui.models.find import list_models
from loratui.tui.machine.fits import find_fits, fit_lines


@pytest.mark.parametrize(
    ("size", "told"), [((80, 24), False), ((120, 36), False), ((160, 40), True), ((200, 50), True)]
)
async def test_what_fits_stands_beside_the_cards_where_there_is_room(
    tmp_path: Path, size: tuple[int, int], told: bool
) -> None:
    app = wizard(tmp_path, screen="machine")
    async with app.run_test(size=size) as pilot:
        await settled(pilot)
        assert ("what fits on Tesla T4" in screen_text(app)) == told
        if told:
            await pilot.press("up", "enter")
            await settled(pilot)
            assert "what fits on NVIDIA A100-SXM4-40GB" in screen_text(app), "the card that was chosen"


async def test_its_verdicts_are_those_of_the_list_of_models(tmp_path: Path) -> None:
    app = wizard(tmp_path, screen="machine")
    device = app.state.hardware.device()
    assert device is not None
    models = {model.id: model for model in list_models()}
    fits = find_fits(list(models.values()), device)
    assert all(verdicts == method_fits(models[name].spec, device) for name, _, verdicts in fits)
    sizes = [size for _, size, _ in fits]
    assert sizes == sorted(sizes, reverse=True) and 10 < len(fits) < len(models)
    largest = next(name for name, _, verdicts in fits if verdicts["qlora"] == "fits")
    lines = fit_lines(fits, 70, 12).plain.splitlines()
    assert len(lines) == 12 and lines[2].startswith("QLoRA") and lines[2].endswith(largest)


def test_a_long_name_stays_in_its_row() -> None:
    """`B` of DeepSeek-R1-Distill-Qwen-1.5B stood in a row of its own."""
    name = "deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B"
    for width in (61, 72, 100):
        lines = fit_lines([(name, 1_780_000_000, {"full": "fits"})], width, 20).plain.split("\n")
        assert max(map(len, lines)) <= width and "DeepSeek-R1-Distill-Qwen-1.5B" in lines[0], lines


async def test_the_signs_are_explained_where_they_stand(tmp_path: Path) -> None:
    app = wizard(tmp_path, screen="machine")
    async with app.run_test(size=(160, 45)) as pilot:
        text = await until(pilot, "what fits on")
        assert "✓ fits  ▲ tight  ✗ too big" in text, text
