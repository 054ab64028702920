"""A home of its own for each test, and the program as a person starts it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from console import Console

Start = Callable[..., Console]


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """LORATUI_HOME for the test; workers that are still at it afterwards are ended."""
    path = tmp_path / "home"
    yield path
    for process in psutil.process_iter(["cmdline"]):
        command = process.info["cmdline"] or []
        if "loratui.worker" in command and any(str(path) in part for part in command):
            process.kill()


@pytest.fixture
def start(home: Path) -> Iterator[Start]:
    """Start `loratui` with these arguments in a terminal of 80 × 24."""
    consoles: list[Console] = []

    def begin(*arguments: str, columns: int = 80, rows: int = 24, **environment: str) -> Console:
        console = Console(
            [sys.executable, "-c", "from loratui.cli import main; main()", *arguments],
            columns=columns,
            rows=rows,
            environment={"LORATUI_HOME": str(home), "OMP_NUM_THREADS": "1", **environment},
        )
        consoles.append(console)
        return console

    yield begin
    for console in consoles:
        console.close()
