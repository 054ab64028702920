"""Ask the inspect worker, without importing what it imports: from a command (wait) and from the interface (async)."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any

from loratui.child import Child, worker_command
from loratui.core.errors import DatasetError, InputError, LoratuiError, ModelError, PlanError, WorkerError
from loratui.core.plan import Plan

_ERRORS: dict[str, type[LoratuiError]] = {"dataset": DatasetError, "model": ModelError, "plan": PlanError, "input": InputError}


def _request(plan: Plan, rows: Iterable[int]) -> bytes:
    return (json.dumps({"plan": plan.model_dump(), "rows": list(rows)}) + "\n").encode()


def error_of(message: dict[str, Any]) -> LoratuiError:
    """The exception for an `error` message."""
    return _ERRORS.get(str(message.get("code")), WorkerError)(str(message.get("message")))


def inspect_dataset(plan: Plan, *, on_message: Callable[[dict[str, Any]], None] = lambda message: None) -> dict[str, Any]:
    """The inspection of the plan's dataset for its model, waited for; each message on the way is handed to `on_message`.

    Raises what is wrong as DatasetError, ModelError or PlanError, and WorkerError where the worker dies. An interrupt
    ends the worker too.
    """

    async def wait() -> dict[str, Any]:
        client = InspectClient()
        try:
            async for message in client.inspect(plan):
                if message["type"] == "result":
                    result: dict[str, Any] = message["result"]
                    return result
                on_message(message)
        finally:
            await client.close()
        raise AssertionError("an inspection ends with its result or an error")

    return asyncio.run(wait())


class InspectClient:
    """An inspect worker for the interface: messages as they come, rows on request, ended by `close`."""

    def __init__(self) -> None:
        self._child: Child | None = None

    @property
    def process_id(self) -> int | None:
        """The worker's process id; None where none was started."""
        return self._child.pid if self._child is not None else None

    async def inspect(self, plan: Plan, rows: Iterable[int] = ()) -> AsyncIterator[dict[str, Any]]:
        """Start over with a plan: `recognised`, `progress`, `partial`, `rows`, at last `result`. Raises as `inspect_dataset` does."""
        await self.close()
        self._child = Child(worker_command("inspect"), "The inspection's worker")
        await self._child.start()
        with contextlib.suppress(WorkerError):  # it has ended: the next message says how
            await self._child.send(_request(plan, rows))
        while True:
            message = await self._message()
            yield message
            if message["type"] == "result":
                return

    async def rows(self, numbers: Iterable[int]) -> list[dict[str, Any]]:
        """Rows as the trainer receives them, after the result has come."""
        await self._open().send((json.dumps({"rows": list(numbers)}) + "\n").encode())
        message = await self._message()
        found: list[dict[str, Any]] = message.get("rows", [])
        return found

    async def close(self) -> None:
        """End the worker, whatever it does."""
        child, self._child = self._child, None
        if child is not None:
            await child.close()

    def _open(self) -> Child:
        if self._child is None:
            raise WorkerError("no inspection is open.")
        return self._child

    async def _message(self) -> dict[str, Any]:
        message = await self._open().message()
        if message["type"] == "error":
            raise error_of(message)
        return message
