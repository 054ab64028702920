"""Calling for the person in front of the terminal, when a run on the screen ends or waits: as they set it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from textual.screen import Screen

from loratui.core.errors import LoratuiError
from loratui.notify.happening import Happening, happening_of
from loratui.settings import Notify, read_settings
from loratui.terminal import call_attention
from loratui.tui.training.follow import Followed

if TYPE_CHECKING:
    from loratui.runs.directory import Run
    from loratui.runs.status import Status


class Call:
    """Calls once for each thing that happens to a run while it is looked at; never for what was so before."""

    def __init__(self, screen: Screen[Any]) -> None:
        self._screen = screen
        self._before: tuple[Followed, bool] | None = None
        """The run that was looked at last, and whether it went on without needing anybody."""

    async def look(self, followed: Followed) -> None:
        """Call where it has just ended, or begun to wait for somebody."""
        goes_on = not followed.status.over and not followed.stall
        before, self._before = self._before, (followed, goes_on)
        if goes_on or before is None or before[0] is not followed or not before[1]:
            return
        settings, told = await asyncio.to_thread(_told, followed.run, followed.status)
        driver = self._screen.app._driver
        if told is None or told.kind not in settings.on or driver is None:
            return
        if sequence := call_attention(told.title, told.message, settings.terminal):
            driver.write(sequence)


def _told(run: Run, status: Status) -> tuple[Notify, Happening | None]:
    try:
        settings = read_settings().notify
    except LoratuiError:
        return Notify(terminal="off"), None  # `loratui notify` says what is wrong with them
    return settings, None if settings.terminal == "off" else happening_of(run, status)
