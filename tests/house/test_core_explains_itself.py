"""The core names the errors that a function raises: the API reference is made of it, and callers catch by it.

Ruff holds that each public thing has a docstring (D1). That the core opens no file and asks no clock, ruff (PTH, T20,
S) and import-linter hold.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import loratui.core

CORE = Path(loratui.core.__file__).parent


def functions() -> Iterator[tuple[str, ast.FunctionDef]]:
    """Public functions, and public methods of public classes, with their place."""

    def within(body: list[ast.stmt], prefix: str) -> Iterator[tuple[str, ast.FunctionDef]]:
        for node in body:
            if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
                yield prefix + node.name, node
            elif isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                yield from within(node.body, f"{prefix}{node.name}.")

    for path in sorted(CORE.rglob("*.py")):
        yield from within(ast.parse(path.read_text(encoding="utf-8")).body, f"{path.relative_to(CORE)}:")


FUNCTIONS = list(functions())


def raised(node: ast.FunctionDef) -> set[str]:
    return {
        found.exc.func.id
        for found in ast.walk(node)
        if isinstance(found, ast.Raise)
        and isinstance(found.exc, ast.Call)
        and isinstance(found.exc.func, ast.Name)
        and found.exc.func.id.endswith("Error")
    }


def said(node: ast.FunctionDef) -> str:
    return ast.get_docstring(node) or ""


def test_its_errors_are_named() -> None:
    raising = [(name, node, error) for name, node in FUNCTIONS for error in sorted(raised(node))]
    assert len(raising) >= 8
    assert not [f"{name}: {error}" for name, node, error in raising if error not in said(node)]
