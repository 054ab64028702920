"""One of our own commands in a process: its progress line by line, and what it said at the end."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from collections.abc import AsyncIterator, Sequence
from typing import Any

from loratui.child_process import Child

SILENT_SECONDS = 60.0
"""After so long without a word a person is told that it is still there."""
END_SECONDS = 5.0
"""How long it may take to end by itself. One that a script began in the background was born deaf to interrupts."""


class CommandProcess:
    """`loratui ARGUMENTS`. It stays in the terminal's own session: where the terminal goes, it goes too."""

    def __init__(self, arguments: Sequence[str], program: Sequence[str] = ()) -> None:
        """program: what stands for `python -m loratui`, for tests."""
        self._child = Child([*(program or (sys.executable, "-m", "loratui")), *arguments], "the command")
        self.stopped = False
        self.printed = ""
        """What it printed for programs, once it has ended."""
        self.complaint = ""
        """Its last words to people, once it has ended."""

    async def lines(self) -> AsyncIterator[str]:
        """What it tells people, line by line, to its end, and a sentence where it says nothing for long. WorkerError
        where it cannot be started."""
        await self._child.start_in_terminal()
        printed = asyncio.create_task(self._child.rest())
        told: asyncio.Queue[str | None] = asyncio.Queue()
        listening = asyncio.create_task(self._listen(told))
        silent = 0.0
        try:
            while True:
                try:
                    text = await asyncio.wait_for(told.get(), SILENT_SECONDS)
                except TimeoutError:
                    silent += SILENT_SECONDS
                    yield f"Still there, but it has said nothing for {silent:.0f} seconds."
                    continue
                if text is None:
                    break
                silent, self.complaint = 0.0, text
                yield text
            self.printed = (await printed).decode("utf-8", "replace").strip()
            await self._child.wait()
        finally:
            self.stop()
            printed.cancel()
            listening.cancel()

    async def _listen(self, told: asyncio.Queue[str | None]) -> None:
        async for text in self._child.complaints():
            told.put_nowait(text)
        told.put_nowait(None)

    @property
    def status(self) -> int | None:
        """Its exit status; None while it runs."""
        return self._child.status

    @property
    def result(self) -> dict[str, Any]:
        """The JSON object that it printed, whatever a library printed before it; empty where it printed none."""
        for text in (self.printed, self.printed[self.printed.rfind("\n{") + 1 :]):
            with contextlib.suppress(ValueError):
                document = json.loads(text)
                return document if isinstance(document, dict) else {}
        return {}

    def stop(self) -> None:
        """Interrupt it, as ctrl+c would, and end it where it does not heed that; harmless where it has ended."""
        if self._child.alive:
            self.stopped = True
            self._child.interrupt()
            asyncio.get_running_loop().call_later(END_SECONDS, self.kill)

    def kill(self) -> None:
        """End it at once."""
        if self._child.alive:
            self.stopped = True
            self._child.kill()
