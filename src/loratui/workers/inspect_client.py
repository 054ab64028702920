"""Ask the inspect worker, without importing what it imports: from a command (wait) and from the interface (async)."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any

import psutil

from loratui.child_process import Child, worker_command
from loratui.core.errors import DatasetError, InputError, LoratuiError, ModelError, PlanError, WorkerError
from loratui.core.plan import Plan
from loratui.workers.inspect_messages import InspectMessage, InspectRequest, Problem, checked

SILENT_SECONDS = 60.0
"""So long it may say nothing while it computes; on a busy machine it computes for a part of the time alone."""
STILL_TIMES = 10
"""And so many times as long where it does not compute."""
_ERRORS: dict[str, type[LoratuiError]] = {
    "dataset": DatasetError,
    "model": ModelError,
    "plan": PlanError,
    "input": InputError,
}


def _used_seconds(process_id: int | None) -> float:
    """Processor time of a process so far; 0 where it has ended."""
    try:
        times = psutil.Process(process_id).cpu_times() if process_id else None
    except psutil.Error:
        return 0.0
    return float(times.user + times.system) if times else 0.0


def _line(request: InspectRequest) -> bytes:
    return (json.dumps(request) + "\n").encode()


def _request(plan: Plan, rows: Iterable[int], *, rows_only: bool = False) -> bytes:
    return _line({"plan": plan.model_dump(), "rows": list(rows), "rows_only": rows_only})


def error_of(message: Problem) -> LoratuiError:
    """The exception for an `error` message."""
    return _ERRORS.get(str(message.get("code")), WorkerError)(str(message.get("message")))


def inspect_dataset(
    plan: Plan, *, on_message: Callable[[InspectMessage], None] = lambda message: None
) -> dict[str, Any]:
    """The inspection of the plan's dataset for its model, waited for; each message on the way is handed to
    `on_message`.

    Raises what is wrong as DatasetError, ModelError or PlanError, and WorkerError where the worker dies. An interrupt
    ends the worker too.
    """

    async def wait() -> dict[str, Any]:
        client = InspectClient()
        try:
            async for message in client.inspect(plan):
                if message["type"] == "result":
                    return message["result"]
                on_message(message)
        finally:
            await client.close()
        raise AssertionError("an inspection ends with its result or an error")

    return asyncio.run(wait())


def rendered_rows(plan: Plan, numbers: Iterable[int]) -> list[dict[str, Any]]:
    """The rows of these numbers (from 0) as the trainer receives them, waited for; those that there are.

    Raises as `inspect_dataset` does.
    """

    async def wait() -> list[dict[str, Any]]:
        client = InspectClient()
        try:
            async for message in client.inspect(plan, numbers, rows_only=True):
                if message["type"] == "rows":
                    return message["rows"]
        finally:
            await client.close()
        raise AssertionError("a question for rows ends with them or an error")

    return asyncio.run(wait())


class InspectClient:
    """An inspect worker for the interface: messages as they come, rows on request, ended by `close`."""

    def __init__(self) -> None:
        self._child: Child | None = None

    @property
    def process_id(self) -> int | None:
        """The worker's process id; None where none was started."""
        return self._child.pid if self._child is not None else None

    async def inspect(
        self, plan: Plan, rows: Iterable[int] = (), *, rows_only: bool = False
    ) -> AsyncIterator[InspectMessage]:
        """Start over with a plan: `recognised`, `progress`, `partial`, `rows`, at last `result`; with `rows_only`
        nothing after `rows`. Raises as `inspect_dataset` does.
        """
        await self.close()
        self._child = Child(worker_command("inspect"), "The inspection's worker")
        await self._child.start()
        with contextlib.suppress(WorkerError):  # it has ended: the next message says how
            await self._child.send(_request(plan, rows, rows_only=rows_only))
        seen = 0
        while True:
            message = await self._message(seen)
            if message["type"] == "progress":
                seen = max(1, int(message["done"]))
            yield message
            if message["type"] == ("rows" if rows_only else "result"):
                return

    async def rows(self, numbers: Iterable[int]) -> list[dict[str, Any]]:
        """Rows as the trainer receives them, after the result has come."""
        wanted = list(numbers)
        await self._open().send(_line({"rows": wanted}))
        message = await self._message(wanted[0] + 1 if wanted else 0)
        return message["rows"] if message["type"] == "rows" else []

    async def close(self) -> None:
        """End the worker, whatever it does."""
        child, self._child = self._child, None
        if child is not None:
            await child.close()

    def _open(self) -> Child:
        if self._child is None:
            raise WorkerError("no inspection is open.")
        return self._child

    async def _message(self, row: int = 0) -> InspectMessage:
        """Its next message. row: which one it is at, from 1, where it goes through rows; it says so several times a
        second, and where it does not, it hangs where no limit of its own can end it.
        """
        child = self._open()
        waiting = asyncio.ensure_future(child.message())
        began, before = time.monotonic(), _used_seconds(child.pid)
        try:
            while not (await asyncio.wait({waiting}, timeout=SILENT_SECONDS if row else None))[0]:
                computing = _used_seconds(child.pid) - before > SILENT_SECONDS / 2
                if computing or time.monotonic() - began > STILL_TIMES * SILENT_SECONDS:
                    child.kill()
                    raise ModelError(
                        f"the chat template or the tokenizer has taken over {SILENT_SECONDS:g} s at about row {row}.",
                        hint="It probably loops: choose another chat template.",
                    )
            message = checked(waiting.result())
        finally:
            waiting.cancel()
        if message["type"] == "error":
            raise error_of(message)
        return message
