"""How the wizard's screens look, at both sizes: `pytest --snapshot-update` after a wanted change, and look at them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from textual.pilot import Pilot
from wizard import SIZES, settled, wizard

from loratui.tui.app import LoratuiApp

KEYS: dict[str, list[str]] = {
    "machine": [],
    "model": ["f3"],
    "dataset": ["f4"],
    "recipe": ["f5", "down", *"64", "enter"],
    "derivation": ["f5", "down", "down", "f1"],
    "review": ["f6"],
}


@pytest.fixture(autouse=True)
def still(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing that differs from run to run: no worker, no clock, no folder of the test."""
    monkeypatch.setattr(LoratuiApp, "check_dataset", lambda self: None)
    monkeypatch.setattr("loratui.runs.start.run_name", lambda plan, now=None: "demo-lora-20261120-2300")
    monkeypatch.setenv("LORATUI_HOME", "/srv/loratui")


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize("screen", KEYS)
def test_screen(snap_compare: Callable[..., bool], tmp_path: Path, screen: str, size: tuple[int, int]) -> None:
    async def walk(pilot: Pilot[None]) -> None:
        await settled(pilot)
        for key in KEYS[screen]:
            await pilot.press(key)
            await settled(pilot)

    assert snap_compare(wizard(tmp_path, screen="machine", demo=True), terminal_size=size, run_before=walk)
