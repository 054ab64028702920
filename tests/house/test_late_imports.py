"""An import of ours inside a function spares something: what it brings is not loaded without it. None hides a circle
either: import-linter counts them like the others (`test_floors.py`)."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[2] / "src"
LOADED_BEFORE = {"loratui.commands.": "loratui.commands.tree", "loratui.tui.": "loratui.tui.app"}
"""Who opens the modules of a folder, and so has loaded what it needs itself."""


def _modules() -> dict[str, ast.Module]:
    found = {}
    for path in SOURCE.rglob("*.py"):
        name = ".".join(path.relative_to(SOURCE).with_suffix("").parts).removesuffix(".__init__")
        found[name] = ast.parse(path.read_text(encoding="utf-8"))
    return found


MODULES = _modules()


def _ours(node: ast.AST) -> Iterator[str]:
    """Modules of ours that an import brings, with the packages around them."""
    names: list[str] = []
    if isinstance(node, ast.Import):
        names = [alias.name for alias in node.names]
    elif isinstance(node, ast.ImportFrom) and node.module:
        within = [f"{node.module}.{alias.name}" for alias in node.names]
        names = [name if name in MODULES else node.module for name in within]
    for name in names:
        parts = name.split(".")
        yield from (one for end in range(1, len(parts) + 1) if (one := ".".join(parts[:end])) in MODULES)


def _at_once(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Statements that run when a module is imported."""
    for node in body:
        if isinstance(node, ast.If):
            if "TYPE_CHECKING" not in ast.unparse(node.test):
                yield from _at_once([*node.body, *node.orelse])
        elif isinstance(node, ast.Try):
            yield from _at_once(node.body)
        else:
            yield node


@cache
def _loaded_with(module: str) -> frozenset[str]:
    """All modules of ours that importing this one loads."""
    loaded, left = set[str](), [module]
    while left:
        name = left.pop()
        if name in loaded:
            continue
        loaded.add(name)
        parts = name.split(".")
        left += [".".join(parts[:end]) for end in range(1, len(parts))]
        left += [one for node in _at_once(MODULES[name].body) for one in _ours(node)]
    return frozenset(loaded)


def _late(module: str) -> Iterator[ast.Import | ast.ImportFrom]:
    for function in ast.walk(MODULES[module]):
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            for node in ast.walk(function):
                if isinstance(node, ast.Import | ast.ImportFrom) and any(_ours(node)):
                    yield node


def test_what_is_imported_late_is_not_there_already() -> None:
    needless, late = set[str](), 0
    for module in MODULES:
        opener = next((name for folder, name in LOADED_BEFORE.items() if module.startswith(folder)), module)
        loaded = _loaded_with(module) | (_loaded_with(opener) if module != "loratui.tui.start" else set())
        for node in _late(module):
            late += 1
            if set(_ours(node)) <= loaded:
                needless.add(f"{module}:{node.lineno}: {ast.unparse(node)}")
    assert late > 100
    assert not needless, "\n".join(sorted(needless))
