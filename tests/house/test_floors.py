"""The arrows of the house: each floor imports only what lies below it, and the interface starts without torch."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import loratui

PACKAGE = Path(loratui.__file__).parent
ORDER = ("core", "machine", "models", "data", "export", "runs", "worker", "tui", "commands", "cli")
"""From the ground up; `models` and `data` may not know each other's callers, and so on."""
GROUND = {"resources", "home", "files", "presets_store", "api", "__init__", "__main__"}
HEAVY = {"torch", "transformers", "datasets", "trl", "peft", "bitsandbytes", "accelerate"}
INTERFACE_OF_WORKER = {"protocol", "client", "inspect_client"}


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def floor(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(path: Path) -> set[str]:
    """Every module that a file names in an import, at the top or inside a function."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_floor_imports_a_higher_one(path: Path) -> None:
    own = floor(path)
    if own in GROUND:
        return
    height = ORDER.index(own)
    for name in imports(path):
        parts = name.split(".")
        if parts[0] == "loratui" and len(parts) > 1 and parts[1] in ORDER and parts[1] != "cli":
            assert ORDER.index(parts[1]) <= height, f"{path} imports {name}"


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_heavy_libraries_stay_in_the_worker(path: Path) -> None:
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    in_worker = parts[0] == "worker" and parts[-1] not in INTERFACE_OF_WORKER
    heavy = {name.split(".")[0] for name in imports(path)} & HEAVY
    assert in_worker or not heavy, f"{path} imports {heavy}"


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_the_worker_knows_no_screen(path: Path) -> None:
    if floor(path) not in ("tui", "commands", "cli"):
        assert "textual" not in {name.split(".")[0] for name in imports(path)}, path


@pytest.mark.parametrize("path", sorted((PACKAGE / "core").rglob("*.py")), ids=lambda path: path.stem)
def test_core_imports_only_the_standard_library_and_pydantic(path: Path) -> None:
    for name in imports(path):
        top = name.split(".")[0]
        assert top in sys.stdlib_module_names or top in ("pydantic", "pydantic_core", "annotated_types") or (
            name.startswith("loratui.core")), f"{path} imports {name}"


@pytest.mark.parametrize("module", ["loratui.cli", "loratui.tui.app", "loratui.worker.client", "loratui.runs.start"])
def test_starting_imports_nothing_heavy(module: str) -> None:
    code = f"import sys, {module}; print(*sorted({HEAVY!r} & set(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.split() == []
