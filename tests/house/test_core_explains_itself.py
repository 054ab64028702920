"""The core says in which unit a number comes and which error a function raises.

Ruff holds that each public thing has a docstring (D1). That the core opens no file and asks no clock, ruff (PTH, T20,
S) and import-linter hold.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import loratui.core

CORE = Path(loratui.core.__file__).parent
UNITS = re.compile(
    r"bytes?\b|tokens?\b|steps?\b|seconds|parameters?\b|\brows?\b|sequences|\brates?\b|shares?\b|\bGB\b|"
    r"\bMB\b|operations|features|"
    r"passes|cycles|\branks?\b|digits|factor|epochs?\b|layers|heads|values?\b|exponent|steep|edges?|experts|"
    r"columns?|limits?|bits|vector|batch",
    re.IGNORECASE,
)
"""Of what the core's numbers are numbers; a curve's values have whatever unit they were given in."""
NUMBERS = {"int", "float", "int | None", "float | None"}


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


def test_a_number_has_a_unit() -> None:
    numeric = [(name, node) for name, node in FUNCTIONS if node.returns and ast.unparse(node.returns) in NUMBERS]
    assert len(numeric) > 50
    silent = [name for name, node in numeric if not UNITS.search(f"{node.name.replace('_', ' ')} {said(node)}")]
    assert not silent, "of what are these a number?"


def test_its_errors_are_named() -> None:
    raising = [(name, node, error) for name, node in FUNCTIONS for error in sorted(raised(node))]
    assert len(raising) >= 8
    assert not [f"{name}: {error}" for name, node, error in raising if error not in said(node)]
