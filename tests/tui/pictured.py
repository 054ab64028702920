"""What stands on a screen under test, as text."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

from textual.app import App
from textual.command import CommandList
from textual.pilot import Pilot
from wizard import settled

from waiting import PATIENCE_SECONDS


def shown(app: App[Any]) -> str:
    """The screen's cells as lines of text."""
    return "\n".join(strip.text.rstrip() for strip in app.screen._compositor.render_strips())


async def until(pilot: Pilot[Any], wanted: str | Callable[[], object], seconds: float = PATIENCE_SECONDS) -> str:
    """Wait until words stand on the screen, or a condition holds; what is shown then."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        await pilot.pause()
        if wanted in shown(pilot.app) if isinstance(wanted, str) else wanted():
            return shown(pilot.app)
        await asyncio.sleep(0.05)
    raise AssertionError(f"{wanted!r} never came:\n{shown(pilot.app)}")


async def palette(pilot: Pilot[Any], words: str, title: str = "") -> None:
    """Type words into the palette, and take its first line, or the one with this title."""
    await pilot.press("ctrl+o")
    await until(pilot, lambda: bool(pilot.app.screen.query(CommandList)))
    panel = pilot.app.screen
    await pilot.press(*("space" if letter == " " else letter for letter in words))

    def found() -> bool:
        listed = panel.query_one(CommandList)
        titles = [getattr(getattr(option, "hit", None), "text", "") or "" for option in listed.options]
        if title:
            if title in titles:
                listed.highlighted = titles.index(title)
            return title in titles
        return listed.highlighted == 0 and all(word in titles[0].lower() for word in words.split())

    await until(pilot, found)
    await pilot.press("enter")
    await until(pilot, lambda: pilot.app.screen is not panel)
    await settled(pilot)
