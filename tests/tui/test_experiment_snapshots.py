"""How an experiment looks before it begins, and how it stands: `pytest --snapshot-update` after a wanted change."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from test_recipe_experiment import at_field, needs_optuna, nothing_trains, over, until
from textual.pilot import Pilot
from wizard import SIZES, settled, wizard

from loratui.tui.experiment.screen import ExperimentScreen

__all__ = ["nothing_trains"]
NAMES = [f"{width}x{height}" for width, height in SIZES]


@needs_optuna
@pytest.mark.parametrize("size", SIZES, ids=NAMES)
def test_before_it_begins(snap_compare: Callable[..., bool], homes: Path, size: tuple[int, int]) -> None:
    async def walk(pilot: Pilot[None]) -> None:
        for key in ("training.learning_rate", "lora.r"):
            await at_field(pilot, key)
            await pilot.press("V")
            await until(pilot, "stops at")
            if key != "lora.r":
                await pilot.press("escape")
        await settled(pilot)

    assert snap_compare(wizard(homes, screen="recipe", demo=True), terminal_size=size, run_before=walk)


@needs_optuna
@pytest.mark.parametrize("size", SIZES, ids=NAMES)
def test_marked_fields(snap_compare: Callable[..., bool], homes: Path, size: tuple[int, int]) -> None:
    async def walk(pilot: Pilot[None]) -> None:
        await at_field(pilot, "training.learning_rate")
        await pilot.press("V")
        await until(pilot, "stops at")
        await pilot.press("escape")
        await until(pilot, "1 field is marked")

    assert snap_compare(wizard(homes, screen="recipe", demo=True), terminal_size=size, run_before=walk)


@pytest.mark.parametrize("size", SIZES, ids=NAMES)
def test_once_it_is_over(snap_compare: Callable[..., bool], homes: Path, size: tuple[int, int]) -> None:
    over()

    async def walk(pilot: Pilot[None]) -> None:
        await settled(pilot)
        pilot.app.push_screen(ExperimentScreen("made"))
        await until(pilot, "A makes the trial")

    assert snap_compare(wizard(homes, screen="recipe", demo=True), terminal_size=size, run_before=walk)
