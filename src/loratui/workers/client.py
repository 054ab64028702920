"""The interface's side of the playground's worker: starts it, asks, stops, and says in a sentence when it is gone.

Nothing here imports torch. The worker lives in a session of its own and ends when its input closes.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from loratui.child_process import Child, worker_command
from loratui.core.errors import WorkerError
from loratui.core.generation import GenerationSettings
from loratui.workers.protocol import (
    Add,
    Answered,
    Ask,
    Done,
    Evaluate,
    Evaluated,
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

AGAIN = "Ask again to start a new one."
CLOSE_SECONDS = 2.0


class PlaygroundClient:
    """One worker, with its models loaded once, answering one question after the other."""

    def __init__(self, log_path: Path | None = None, command: Sequence[str] = ()) -> None:
        """log_path: where the worker's own words go. command: another program that speaks the protocol, for tests."""
        self._log_path = log_path
        self._command = list(command) or worker_command("playground")
        self._child: Child | None = None
        self._reader: asyncio.Task[None] | None = None
        self._general: asyncio.Queue[Event] = asyncio.Queue()
        self._asks: dict[int, asyncio.Queue[Event]] = {}
        self._numbers = itertools.count(1)
        self._gone: Failed | None = None
        """How the last worker ended, once it has."""
        self.ready: Ready | None = None
        """What is loaded; None before the first load and after the worker's end."""

    @property
    def alive(self) -> bool:
        """Whether the worker's process is there."""
        return self._child is not None and self._child.alive

    @property
    def process_id(self) -> int | None:
        """The worker's process id."""
        return self._child.pid if self._child is not None else None

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
        own = {side: [dict(one) for one in said] for side, said in (histories or {}).items()}
        request = Ask(number, list(sides), [dict(one) for one in messages], prompt, settings.model_dump(), own)
        left = set(sides)
        async with contextlib.aclosing(self._events(request)) as events:
            async for event in events:
                yield event
                if isinstance(event, (Done, Failed)):
                    left = left - {event.side} if event.side else set()
                if not left:
                    self._asks.pop(number)
                    return

    async def evaluate(
        self, target: str, sides: Sequence[str], limit: int, settings: GenerationSettings
    ) -> AsyncIterator[Answered | Evaluated | Failed]:
        """Have held-out rows answered and measured; yields Answered, and at the end Evaluated or Failed."""
        number = next(self._numbers)
        request = Evaluate(number, target, list(sides), limit, settings.model_dump())
        async with contextlib.aclosing(self._events(request)) as events:
            async for event in events:
                if isinstance(event, (Answered, Evaluated, Failed)):
                    yield event
                if isinstance(event, (Evaluated, Failed)):
                    self._asks.pop(number)
                    return

    async def _events(self, request: Ask | Evaluate) -> AsyncGenerator[Event]:
        """Send it, and what comes back; where it is left before its number is taken out, the worker is told to stop."""
        events: asyncio.Queue[Event] = asyncio.Queue()
        self._asks[request.id] = events
        try:
            await self._send(request)
            while True:
                yield await events.get()
        finally:
            if self._asks.pop(request.id, None) is not None and self.alive:
                with contextlib.suppress(WorkerError):
                    await self._send(Stop(request.id))

    async def stop(self, side: str = "") -> None:
        """Stop the answers under way: one side's, or all. The worker answers with a Done that says "stopped"."""
        for number in list(self._asks):
            await self._send(Stop(number, side))

    async def close(self) -> None:
        """End the worker: close its input, and kill it if it does not go."""
        child, self._child, self.ready = self._child, None, None
        if child is None:
            return
        await child.close(CLOSE_SECONDS)
        if self._reader is not None:
            await asyncio.gather(self._reader, return_exceptions=True)

    async def _spawn(self) -> None:
        child = Child(self._command, "The playground's worker", log_path=self._log_path)
        await child.start()
        self._child, self._gone = child, None
        self._general = asyncio.Queue()
        self._reader = asyncio.create_task(self._read(child))

    async def _read(self, child: Child) -> None:
        fault: WorkerError | None = None
        try:
            while line := await child.line():
                event = decode_event(line)
                number = getattr(event, "id", None)
                if number is None:
                    self._general.put_nowait(event)
                elif number in self._asks:
                    self._asks[number].put_nowait(event)
        except WorkerError as error:  # it was silent for too long, or said what is no message
            fault = error
        child.kill()
        died = await child.death()
        self._gone = gone = Failed((fault or died).sentence, AGAIN)
        if child is self._child:
            self.ready = None
        for queue in (self._general, *self._asks.values()):
            queue.put_nowait(gone)

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
        try:
            if self._child is None:
                raise WorkerError("The playground's worker is not running.")
            await self._child.send(encode(request))
        except WorkerError as error:
            if self._reader is not None:  # which knows how it ended, once its last words are read
                await asyncio.wait([self._reader])
            raise WorkerError(self._gone.message if self._gone else error.message, hint=AGAIN) from None
