"""Each case in a process of its own, so that it has a fresh CUDA context; without importing everything anew.

Forks of a process that has imported torch, transformers, TRL and PEFT but never touched a card. Where a fork cannot use
the card all the same (some library has made a context), an interpreter is started for each case instead.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
LOG_TAIL = 1500
"""Characters of a failed case's output that its result keeps."""


def prepare() -> None:
    """Import what takes the time, without touching the card."""
    os.environ["PYTORCH_NVML_BASED_CUDA_CHECK"] = "1"  # else asking whether there is a card spoils forks for it
    with capability_by_nvml():
        import peft  # noqa: F401
        import transformers  # noqa: F401
        import trl  # noqa: F401

        from loratui.worker.training import session  # noqa: F401


@contextlib.contextmanager
def capability_by_nvml() -> Iterator[None]:
    """bitsandbytes asks for the card's compute capability when it is imported, by way of CUDA, and PEFT imports it: of
    this process it hears it from NVML.
    """
    import torch
    from results import card

    told = card().get("compute_capability")
    asked = torch.cuda.get_device_capability
    if told:
        torch.cuda.get_device_capability = lambda device=None: tuple(told)
    try:
        yield
    finally:
        torch.cuda.get_device_capability = asked


class Processes:
    """Runs functions `module:name` of this folder, each with one JSON argument and one JSON result."""

    def __init__(self, patience: float = 1.0) -> None:
        """patience: what limits are multiplied by, where nothing is measured."""
        self.patience = patience
        prepare()
        self.forks = self._fork_reaches_the_card()

    def _fork_reaches_the_card(self) -> bool:
        import torch

        if torch.cuda.is_initialized() or os.environ.get("LORATUI_GPU_FORKS") == "0":
            return False
        self.forks = True
        found = self.run("own_processes:touch", {}, limit_seconds=120)
        return "problem" not in found

    def run(self, function: str, argument: dict[str, Any], *, limit_seconds: float) -> dict[str, Any]:
        """The function's result; {"problem": …} where it failed, was killed, or took too long."""
        with tempfile.TemporaryDirectory(prefix="loratui-gpu-") as folder:
            place = Path(folder)
            start = self._fork if self.forks else _interpreter
            pid = start(function, argument, place)
            problem = _wait(pid, max(1.0, limit_seconds) * self.patience)
            with contextlib.suppress(OSError, ValueError):
                found: dict[str, Any] = json.loads((place / "result.json").read_text(encoding="utf-8"))
                return found
            log = (place / "log").read_text(encoding="utf-8", errors="replace") if (place / "log").exists() else ""
            return {"problem": problem or "it left no result", "log": log[-LOG_TAIL:]}

    @staticmethod
    def _fork(function: str, argument: dict[str, Any], place: Path) -> int:
        sys.stdout.flush()
        sys.stderr.flush()
        pid = os.fork()
        if pid:
            return pid
        try:
            os.setsid()
            log = os.open(place / "log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            for number in (1, 2):
                os.dup2(log, number)
            sys.stdout, sys.stderr = (os.fdopen(number, "w", buffering=1) for number in (1, 2))
            perform(function, argument, place)
        finally:
            os._exit(0)


def _interpreter(function: str, argument: dict[str, Any], place: Path) -> int:
    (place / "argument.json").write_text(json.dumps(argument), encoding="utf-8")
    with (place / "log").open("wb") as log:
        child = subprocess.Popen(
            [sys.executable, str(HERE / "own_processes.py"), function, str(place)],
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    return child.pid


def perform(function: str, argument: dict[str, Any], place: Path) -> None:
    """In the process of its own: do it, and leave the result as a file."""
    module, _, name = function.partition(":")
    try:
        found = getattr(importlib.import_module(module), name)(argument)
    except BaseException as error:  # noqa: BLE001 - told to the one that waits
        traceback.print_exc()
        sys.stderr.flush()
        log = (place / "log").read_text(encoding="utf-8", errors="replace")
        full = "OutOfMemory" in type(error).__name__ or "out of memory" in str(error).lower()
        from results import one_line

        found = {"problem": one_line(error), "out_of_memory": full, "log": log[-LOG_TAIL:]}
    fresh = place / "result.new"
    fresh.write_text(json.dumps(found, default=str), encoding="utf-8")
    fresh.rename(place / "result.json")


def touch(argument: dict[str, Any]) -> dict[str, Any]:
    """Whether this process can use the card, where there is one."""
    import torch

    if torch.cuda.is_available():
        torch.ones(1, device="cuda").sum().item()
    return {"cuda": torch.cuda.is_available()}


def _wait(pid: int, seconds: float) -> str:
    """Wait for the process, and end it with all that it started once its time is over; why there may be no result."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            code = os.waitstatus_to_exitcode(status)
            return f"killed by {signal.Signals(-code).name}" if code < 0 else ""
        time.sleep(0.02)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return f"it took longer than {seconds:.0f} s"


if __name__ == "__main__":
    asked = Path(sys.argv[2])
    prepare()
    perform(sys.argv[1], json.loads((asked / "argument.json").read_text(encoding="utf-8")), asked)
