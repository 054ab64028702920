"""The command line as a person starts it: a process of its own, with a home of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Loratui = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def loratui(home: Path, tmp_path: Path) -> Loratui:
    """Run `loratui` with these arguments in an empty folder, without a terminal."""

    def run(*arguments: str, seconds: float = 120, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "loratui", *arguments],
            cwd=tmp_path,
            text=True,
            capture_output=True,
            timeout=seconds,
            stdin=subprocess.DEVNULL,
            env={**os.environ, "LORATUI_HOME": str(home), "OMP_NUM_THREADS": "1", **environment},
        )

    return run
