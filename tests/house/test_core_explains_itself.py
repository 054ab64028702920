"""The core says of every public function and class what it is, in which unit a number comes, and which error it
raises.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

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


def nodes(path: Path) -> Iterator[tuple[str, ast.FunctionDef | ast.ClassDef]]:
    """Public functions, classes, and the public methods of public classes."""

    def within(body: list[ast.stmt], prefix: str) -> Iterator[tuple[str, ast.FunctionDef | ast.ClassDef]]:
        for node in body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
                yield prefix + node.name, node
                if isinstance(node, ast.ClassDef):
                    yield from within(node.body, f"{node.name}.")

    yield from within(ast.parse(path.read_text(encoding="utf-8")).body, "")


ALL = [(f"{path.relative_to(CORE)}:{name}", node) for path in sorted(CORE.rglob("*.py")) for name, node in nodes(path)]


def said(node: ast.FunctionDef | ast.ClassDef) -> str:
    return ast.get_docstring(node) or ""


def test_there_is_much_to_look_at() -> None:
    assert len(ALL) > 200


@pytest.mark.parametrize("node", [node for _, node in ALL], ids=[name for name, _ in ALL])
def test_it_says_what_it_is(node: ast.FunctionDef | ast.ClassDef) -> None:
    assert len(said(node)) > 8, "a docstring is missing"


NUMERIC = [
    (name, node)
    for name, node in ALL
    if isinstance(node, ast.FunctionDef) and node.returns and ast.unparse(node.returns) in NUMBERS
]


@pytest.mark.parametrize("node", [node for _, node in NUMERIC], ids=[name for name, _ in NUMERIC])
def test_a_number_has_a_unit(node: ast.FunctionDef) -> None:
    assert UNITS.search(f"{node.name.replace('_', ' ')} {said(node)}"), "of what is it a number?"


RAISING = [
    (name, node, error)
    for name, node in ALL
    if isinstance(node, ast.FunctionDef)
    for error in sorted(
        {
            found.exc.func.id
            for found in ast.walk(node)
            if isinstance(found, ast.Raise)
            and isinstance(found.exc, ast.Call)
            and isinstance(found.exc.func, ast.Name)
            and found.exc.func.id.endswith("Error")
        }
    )
]


@pytest.mark.parametrize(
    ("node", "error"),
    [(node, error) for _, node, error in RAISING],
    ids=[f"{name}-{error}" for name, _, error in RAISING],
)
def test_its_errors_are_named(node: ast.FunctionDef, error: str) -> None:
    assert error in said(node)


PURE = {"open", "print", "input", "exec", "eval"}
CLOCKS = {"time.time", "time.monotonic", "time.perf_counter", "random.random", "os.environ", "datetime.now"}


@pytest.mark.parametrize("path", sorted(CORE.rglob("*.py")), ids=lambda path: str(path.relative_to(CORE)))
def test_it_reads_no_file_and_no_clock(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id not in PURE, f"{path.name}:{node.lineno}"
        if isinstance(node, ast.Attribute):
            assert ast.unparse(node) not in CLOCKS, f"{path.name}:{node.lineno}"
