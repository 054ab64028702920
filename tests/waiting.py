"""Waiting for what must happen. The limit is for what never does: a busy machine is slow, and no test is about that."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import psutil

PATIENCE_SECONDS = 120.0


def wait_for(condition: Callable[[], Any], what: object = "it", seconds: float = PATIENCE_SECONDS) -> None:
    """Wait until a condition holds; AssertionError with `what`, or what it returns, where it never does."""
    until, pause = time.monotonic() + seconds, 0.01
    while not condition():
        assert time.monotonic() < until, f"waited {seconds:g} s for {what() if callable(what) else what}"
        time.sleep(pause)
        pause = min(0.2, 1.2 * pause)  # a condition may cost a process


def is_gone(process: psutil.Process | int) -> bool:
    """Whether a process has ended, reaped or not; one that ends while it is looked at has."""
    try:
        found = psutil.Process(process) if isinstance(process, int) else process
        return not found.is_running() or found.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
