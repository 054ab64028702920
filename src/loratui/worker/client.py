"""The interface's side of the playground's worker: starts it, asks, stops, and says in a sentence when it is gone.

Nothing here imports torch. The worker lives in a session of its own and ends when its input closes.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from loratui.core.errors import WorkerError
from loratui.core.generation import GenerationSettings
from loratui.worker.protocol import (
    Add,
    Ask,
    Done,
    Event,
    Failed,
    Load,
    Loading,
    Ready,
    Rendered,
    Request,
    Stop,
    decode_event,
    encode,
)

LINE_LIMIT_BYTES = 64 * 2**20
CLOSE_SECONDS = 2.0


class PlaygroundClient:
    """One worker, with its models loaded once, answering one question after the other."""

    def __init__(self, log_path: Path | None = None, command: Sequence[str] = ()) -> None:
        """log_path: where the worker's own words go. command: another program that speaks the protocol, for tests."""
        self._log_path = log_path
        self._command = list(command) or [sys.executable, "-m", "loratui.worker", "playground"]
        self._process: asyncio.subprocess.Process | None = None
        self._reader: asyncio.Task[None] | None = None
        self._general: asyncio.Queue[Event] = asyncio.Queue()
        self._asks: dict[int, asyncio.Queue[Event]] = {}
        self._numbers = itertools.count(1)
        self.ready: Ready | None = None
        """What is loaded; None before the first load and after the worker's end."""

    @property
    def alive(self) -> bool:
        """Whether the worker's process is there."""
        return self._process is not None and self._process.returncode is None

    @property
    def process_id(self) -> int | None:
        """The worker's process id."""
        return self._process.pid if self._process is not None else None

    async def start(self, load: Load, on_progress: Callable[[str], None] = lambda what: None) -> Ready:
        """Start a worker if none lives, and load models. WorkerError with one sentence where that fails."""
        if not self.alive:
            await self._spawn()
        self.ready = None
        return await self._request_ready(load, on_progress)

    async def add(self, name: str, path: Path, on_progress: Callable[[str], None] = lambda what: None) -> Ready:
        """Load one more adapter beside the others; the base is not read again."""
        return await self._request_ready(Add(name, str(path)), on_progress)

    async def ask(
        self,
        sides: Sequence[str],
        settings: GenerationSettings,
        *,
        messages: Sequence[Mapping[str, Any]] = (),
        prompt: str = "",
        histories: Mapping[str, Sequence[Mapping[str, Any]]] | None = None,
    ) -> AsyncIterator[Rendered | Event]:
        """Ask; yields Rendered, then Pieces and a Done or Failed for each side, and ends after the last of them."""
        number = next(self._numbers)
        events: asyncio.Queue[Event] = asyncio.Queue()
        self._asks[number] = events
        left = set(sides)
        try:
            own = {side: [dict(one) for one in said] for side, said in (histories or {}).items()}
            await self._send(Ask(number, list(sides), [dict(one) for one in messages], prompt, settings.model_dump(), own))
            while left:
                event = await events.get()
                yield event
                if isinstance(event, (Done, Failed)):
                    left = left - {event.side} if event.side else set()
        finally:
            del self._asks[number]
            if left and self.alive:
                with contextlib.suppress(WorkerError):
                    await self._send(Stop(number))

    async def stop(self, side: str = "") -> None:
        """Stop the answers under way: one side's, or all. The worker answers with a Done that says "stopped"."""
        for number in list(self._asks):
            await self._send(Stop(number, side))

    async def close(self) -> None:
        """End the worker: close its input, and kill it if it does not go."""
        process, self._process, self.ready = self._process, None, None
        if process is None:
            return
        if process.stdin is not None:
            process.stdin.close()
        try:
            await asyncio.wait_for(process.wait(), CLOSE_SECONDS)
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
        if self._reader is not None:
            await asyncio.gather(self._reader, return_exceptions=True)

    async def _spawn(self) -> None:
        log = os.open(self._log_path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600) if self._log_path else asyncio.subprocess.DEVNULL
        environment = {**os.environ, "PYTHONUNBUFFERED": "1", "TOKENIZERS_PARALLELISM": "false"}
        try:
            self._process = await asyncio.create_subprocess_exec(
                *self._command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=log,
                env=environment, start_new_session=True, limit=LINE_LIMIT_BYTES,
            )
        except OSError as error:
            raise WorkerError(f"the playground's worker cannot be started: {error.strerror}.") from None
        finally:
            if self._log_path:
                os.close(log)
        self._general = asyncio.Queue()
        self._reader = asyncio.create_task(self._read(self._process))

    async def _read(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        with contextlib.suppress(ValueError):  # a line beyond the limit: treat the worker as broken
            async for line in process.stdout:
                event = decode_event(line)
                number = getattr(event, "id", None)
                if number is None:
                    self._general.put_nowait(event)
                elif number in self._asks:
                    self._asks[number].put_nowait(event)
        with contextlib.suppress(ProcessLookupError):
            if process.returncode is None and process.stdout.at_eof() is False:
                process.kill()
        status = await process.wait()
        gone = Failed(self._last_words(status), "Ask again to start a new one.")
        if process is self._process:
            self.ready = None
        for queue in (self._general, *self._asks.values()):
            queue.put_nowait(gone)

    def _last_words(self, status: int) -> str:
        if status >= 0:
            how = f"ended with status {status}"
        else:
            with contextlib.suppress(ValueError):
                how = f"was ended by {signal.Signals(-status).name}"
                if status == -signal.SIGKILL:
                    how += " (often the system's own, when memory is full)"
        place = f" Its log: {self._log_path}." if self._log_path else ""
        return f"The playground's worker {how}.{place}"

    async def _request_ready(self, request: Load | Add, on_progress: Callable[[str], None]) -> Ready:
        request = replace(request, number=next(self._numbers))
        await self._send(request)
        while True:
            event = await self._general.get()
            if isinstance(event, Loading):
                on_progress(event.what)
            elif isinstance(event, Ready) and event.number == request.number:
                self.ready = event
                return event
            elif isinstance(event, Failed) and event.number in (0, request.number):
                raise WorkerError(event.message, hint=event.hint)
            # anything else answers an earlier request that nobody waits for any more

    async def _send(self, request: Request) -> None:
        process = self._process
        if process is None or process.stdin is None or process.returncode is not None:
            raise WorkerError("The playground's worker is not running.", hint="Ask again to start a new one.")
        try:
            process.stdin.write(encode(request))
            await process.stdin.drain()
        except (BrokenPipeError, ConnectionResetError):
            raise WorkerError("The playground's worker has ended.", hint="Ask again to start a new one.") from None
