"""One of our own commands in a process: its progress line by line, and what it said at the end."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from typing import Any

from loratui.core.errors import WorkerError

END_SECONDS = 5.0
"""How long it may take to end by itself. One that a script began in the background was born deaf to interrupts."""


class CommandProcess:
    """`loratui ARGUMENTS`. It stays in the terminal's own session: where the terminal goes, it goes too."""

    def __init__(self, arguments: Sequence[str], program: Sequence[str] = ()) -> None:
        """program: what stands for `python -m loratui`, for tests."""
        self._command = [*(program or (sys.executable, "-m", "loratui")), *arguments]
        self._process: asyncio.subprocess.Process | None = None
        self.stopped = False
        self.printed = ""
        """What it printed for programs, once it has ended."""
        self.complaint = ""
        """Its last words to people, once it has ended."""

    async def lines(self) -> AsyncIterator[str]:
        """What it tells people, line by line, to its end. WorkerError where it cannot be started."""
        environment = dict(os.environ, HF_HUB_DISABLE_PROGRESS_BARS="1", PYTHONUNBUFFERED="1")
        try:
            process = await asyncio.create_subprocess_exec(
                *self._command, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, env=environment,
                limit=1 << 22,
            )
        except OSError as error:
            raise WorkerError(f"the command cannot be started: {error.strerror or error}.") from None
        self._process = process
        assert process.stdout is not None and process.stderr is not None
        printed = asyncio.create_task(process.stdout.read())
        try:
            while line := await process.stderr.readline():
                text = line.decode("utf-8", "replace").rstrip("\n").rsplit("\r", 1)[-1].strip()
                if text:
                    self.complaint = text
                    yield text
            self.printed = (await printed).decode("utf-8", "replace").strip()
            await process.wait()
        finally:
            self.stop()
            printed.cancel()

    @property
    def status(self) -> int | None:
        """Its exit status; None while it runs."""
        return self._process.returncode if self._process is not None else None

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
        if self._process is not None and self._process.returncode is None:
            self.stopped = True
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(signal.SIGINT)
            asyncio.get_running_loop().call_later(END_SECONDS, self.kill)

    def kill(self) -> None:
        """End it at once."""
        if self._process is not None and self._process.returncode is None:
            self.stopped = True
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
