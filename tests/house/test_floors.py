"""The house holds: contracts of `pyproject.toml` (import-linter), and an interface that starts without torch."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
HEAVY = {"torch", "transformers", "datasets", "trl", "peft", "bitsandbytes", "accelerate"}


def test_the_contracts_hold() -> None:
    """Floors, circles, a pure core, torch in the worker alone: every import, also those inside functions."""
    code = "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports(no_cache=True, no_logo=True))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    "module",
    ["loratui.cli", "loratui.tui.app", "loratui.workers.client", "loratui.runs.start", "loratui.commands.plan"],
)
def test_starting_imports_nothing_heavy(module: str) -> None:
    code = f"import sys, {module}; print(*sorted({HEAVY!r} & set(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.split() == []
