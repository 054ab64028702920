"""Ask the inspect worker, without importing what it imports: from a command (wait) and from the interface (async)."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Iterable
from typing import IO, Any

from loratui.core.errors import DatasetError, InputError, LoratuiError, ModelError, PlanError, WorkerError
from loratui.core.plan import Plan

COMMAND = (sys.executable, "-m", "loratui.worker", "inspect")
LINE_LIMIT_BYTES = 2**27
_ERRORS: dict[str, type[LoratuiError]] = {"dataset": DatasetError, "model": ModelError, "plan": PlanError, "input": InputError}


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONUNBUFFERED": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1", "TRANSFORMERS_VERBOSITY": "error"}


def _request(plan: Plan, rows: Iterable[int]) -> bytes:
    return (json.dumps({"plan": plan.model_dump(), "rows": list(rows)}) + "\n").encode()


def error_of(message: dict[str, Any]) -> LoratuiError:
    """The exception for an `error` message."""
    return _ERRORS.get(str(message.get("code")), WorkerError)(str(message.get("message")))


def _died(log: IO[bytes], status: int | None) -> WorkerError:
    log.seek(0)
    lines = [line.strip() for line in log.read().decode("utf-8", "replace").splitlines() if line.strip()]
    last = f" Its last words: {lines[-1][:300]}" if lines else ""
    return WorkerError(f"the inspection ended without a result (status {status}).{last}", hint="Try again; if it was killed, memory may be short.")


def inspect_dataset(plan: Plan, *, on_message: Callable[[dict[str, Any]], None] = lambda message: None) -> dict[str, Any]:
    """The inspection of the plan's dataset for its model, waited for; each message on the way is handed to `on_message`.

    Raises what is wrong as DatasetError, ModelError or PlanError, and WorkerError where the worker dies. An interrupt
    ends the worker too.
    """
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            COMMAND, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, env=_environment(), start_new_session=True
        )
        assert process.stdin is not None and process.stdout is not None
        try:
            with contextlib.suppress(BrokenPipeError):
                process.stdin.write(_request(plan, ()))
                process.stdin.close()
            for line in process.stdout:
                message = json.loads(line)
                if message["type"] == "error":
                    raise error_of(message)
                if message["type"] == "result":
                    result: dict[str, Any] = message["result"]
                    return result
                on_message(message)
            raise _died(log, process.wait())
        finally:
            _end(process.pid)
            process.stdout.close()
            process.wait()


def _end(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


class InspectClient:
    """An inspect worker for the interface: messages as they come, rows on request, ended by `close`."""

    def __init__(self) -> None:
        self._process: asyncio.subprocess.Process | None = None
        self._log: IO[bytes] | None = None

    async def inspect(self, plan: Plan, rows: Iterable[int] = ()) -> AsyncIterator[dict[str, Any]]:
        """Start over with a plan: `recognised`, `progress`, `partial`, `rows`, at last `result`. Raises as `inspect_dataset` does."""
        await self.close()
        self._log = tempfile.TemporaryFile()  # noqa: SIM115  (closed by `close`)
        self._process = await asyncio.create_subprocess_exec(
            *COMMAND, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=self._log, env=_environment(),
            start_new_session=True, limit=LINE_LIMIT_BYTES,
        )
        await self._send(_request(plan, rows))
        while True:
            message = await self._message()
            yield message
            if message["type"] == "result":
                return

    async def rows(self, numbers: Iterable[int]) -> list[dict[str, Any]]:
        """Rows as the trainer receives them, after the result has come."""
        await self._send((json.dumps({"rows": list(numbers)}) + "\n").encode())
        message = await self._message()
        found: list[dict[str, Any]] = message.get("rows", [])
        return found

    async def close(self) -> None:
        """End the worker, whatever it does."""
        process, self._process = self._process, None
        if process is not None:
            if process.returncode is None:
                _end(process.pid)
            await process.wait()
        if self._log is not None:
            self._log.close()
            self._log = None

    async def _send(self, line: bytes) -> None:
        if self._process is None or self._process.stdin is None:
            raise WorkerError("no inspection is open.")
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self._process.stdin.write(line)
            await self._process.stdin.drain()

    async def _message(self) -> dict[str, Any]:
        process = self._process
        if process is None or process.stdout is None:
            raise WorkerError("no inspection is open.")
        line = await process.stdout.readline()
        if not line:
            status = await process.wait()
            assert self._log is not None
            raise _died(self._log, status)
        message: dict[str, Any] = json.loads(line)
        if message["type"] == "error":
            raise error_of(message)
        return message
