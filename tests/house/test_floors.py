"""The arrows of the house: each floor imports only what lies below it, and the interface starts without torch."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import loratui

PACKAGE = Path(loratui.__file__).parent
ORDER = ("core", "hub", "machine", "models", "data", "export", "runs", "worker", "tui", "commands", "cli")
"""From the ground up; `models` and `data` may not know each other's callers, and so on."""
GROUND = {"resources", "home", "files", "format", "child", "presets_store", "api", "__init__", "__main__"}
HEAVY = {"torch", "transformers", "datasets", "trl", "peft", "bitsandbytes", "accelerate"}
INTERFACE_OF_WORKER = {"protocol", "client", "inspect_client", "inspect_messages"}


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
        if parts[0] == "loratui" and len(parts) > 1 and parts[1] in ORDER:
            assert ORDER.index(parts[1]) <= height, f"{path} imports {name}"


def graph() -> dict[str, set[str]]:
    """Module → the modules of ours that it names in any import: at the top, inside a function, or for types alone."""
    named = {}
    for path in modules():
        parts = ("loratui", *path.relative_to(PACKAGE).with_suffix("").parts)
        named[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    found: dict[str, set[str]] = {}
    for name, path in named.items():
        given: set[str] = set()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                given |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                assert not node.level and node.module, f"{path}: a relative import"
                inner = {f"{node.module}.{alias.name}" for alias in node.names}
                given |= (inner & named.keys()) or {node.module}
                if inner - named.keys():
                    given.add(node.module)
        found[name] = (given & named.keys()) - {name}
    return found


def circles(of: dict[str, set[str]]) -> list[set[str]]:
    """Modules that reach each other, in groups of two and more."""

    def reached(start: str) -> set[str]:
        seen: set[str] = set()
        left = [start]
        while left:
            for name in of[left.pop()] - seen:
                seen.add(name)
                left.append(name)
        return seen

    reach = {name: reached(name) for name in of}
    groups = {frozenset(other for other in reach[name] if name in reach[other]) for name in of if name in reach[name]}
    return [set(group) for group in groups]


def test_no_module_imports_itself_by_way_of_others() -> None:
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}}) == [{"a", "b", "c"}]
    assert circles(graph()) == []


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
