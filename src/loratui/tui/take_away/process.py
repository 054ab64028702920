"""One of our own commands in a process: its progress line by line, and what it said at the end."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Sequence
from typing import Any

from loratui.child_process import Child

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
        """What it tells people, line by line, to its end. WorkerError where it cannot be started."""
        await self._child.start_in_terminal()
        printed = asyncio.create_task(self._child.rest())
        try:
            async for text in self._child.complaints():
                self.complaint = text
                yield text
            self.printed = (await printed).decode("utf-8", "replace").strip()
            await self._child.wait()
        finally:
            self.stop()
            printed.cancel()

    @property
    def status(self) -> int | None:
        """Its exit status; None while it runs."""
        return self._child.status

    @property
    def result(self) -> dict[str, Any]:
        """The JSON object that it printed; empty where it printed none."""
        try:
            document = json.loads(self.printed)
        except ValueError:
            return {}
        return document if isinstance(document, dict) else {}

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
