"""What made somebody hesitate who walked through it at 80 columns without knowing it, for the ninth time."""

from __future__ import annotations

import importlib
import pkgutil
from pathlib import Path
from typing import Any

import pytest
from pictured import shown, until
from recorded_run import record_run
from textual.screen import ModalScreen

import loratui.tui
from loratui.tui.app import LoratuiApp
from loratui.tui.training.log import LogScreen


def panels() -> list[type[ModalScreen[Any]]]:
    """Every panel of the program."""
    for module in pkgutil.walk_packages(loratui.tui.__path__, "loratui.tui."):
        importlib.import_module(module.name)
    found, left = [], list(ModalScreen.__subclasses__())
    while left:
        panel = left.pop()
        left += panel.__subclasses__()
        found += [panel] if panel.__module__.startswith("loratui.") else []
    return found


@pytest.mark.parametrize("screen", ["runs", "training"])
async def test_esc_closes_the_log_and_nothing_below_it(homes: Path, screen: str) -> None:
    """It led on from Home to Training, and from Training to Home; the log's own line of keys did not name it."""
    run = record_run(homes / "home", state="finished", checkpoint=True)
    run.log_path.write_text("one line\nanother\n")
    async with LoratuiApp(screen=screen, run=str(run.path)).run_test(size=(80, 24)) as pilot:
        await until(pilot, "Take away")
        below = pilot.app.screen
        await pilot.press("L")
        await until(pilot, lambda: isinstance(pilot.app.screen, LogScreen) and "esc Close" in shown(pilot.app))
        await pilot.press("slash", "a", "n", "o")
        await until(pilot, lambda: "one line" not in shown(pilot.app))
        await pilot.press("escape")
        assert "one line" in await until(pilot, "another") and isinstance(pilot.app.screen, LogScreen)
        await pilot.press("f1")
        await until(pilot, lambda: not isinstance(pilot.app.screen, LogScreen) and "esc" in shown(pilot.app))
        assert any("esc" in line and "close the log" in line for line in shown(pilot.app).splitlines())
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(pilot.app.screen, LogScreen))
        await pilot.press("escape")
        await until(pilot, lambda: not isinstance(pilot.app.screen, LogScreen))
        await until(pilot, "Take away")
        assert pilot.app.screen is below


def test_every_panel_takes_esc_as_a_key_of_its_own() -> None:
    """A method for the key lets it go on to the screen below, which takes it, too."""
    found = panels()
    assert LogScreen in found and len(found) > 20
    without = [one.__name__ for one in found if "escape" not in one._merge_bindings().key_to_bindings]
    assert not without
    assert not [one.__name__ for one in found if hasattr(one, "key_escape")]
