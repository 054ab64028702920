"""What stands on a screen under test, as text."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

from textual.app import App
from textual.pilot import Pilot

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
