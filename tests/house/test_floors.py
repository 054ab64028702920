"""The house holds: contracts of `pyproject.toml` (import-linter), and an interface that starts without torch."""

from __future__ import annotations

import re
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


def test_the_map_names_no_file_that_is_not_there() -> None:
    """`docs/architecture.md` is the one page by which people find things."""
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    there = [str(path) for path in (ROOT / "src" / "loratui").rglob("*.py")]
    named = set(re.findall(r"(?<![\w/.])([a-z_][a-z_/]*\.py)\b", text))
    assert len(named) > 20
    assert not [name for name in sorted(named) if not any(path.endswith(f"/{name}") for path in there)]


def test_no_module_is_longer_than_400_lines() -> None:
    lengths = {
        str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines())
        for path in (ROOT / "src" / "loratui").rglob("*.py")
    }
    assert not {name: lines for name, lines in lengths.items() if lines > 400}
