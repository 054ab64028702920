"""Whatever a command writes goes by `loratui.terminal`, the one filter before a terminal."""

from __future__ import annotations

import ast
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[2] / "src" / "loratui"
WRITERS = {
    "print",
    "click.echo",
    "click.secho",
    "click.confirm",
    "click.prompt",
    "click.pause",
    "sys.stdout.write",
    "sys.stderr.write",
    "sys.stdout.buffer.write",
    "sys.stderr.buffer.write",
    "sys.__stdout__.write",
    "sys.__stderr__.write",
}


def _written_around(path: Path) -> list[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return [
        f"{path.relative_to(SOURCE)}:{node.lineno}: {name}"
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and (name := ast.unparse(node.func)) in WRITERS
    ]


def test_nothing_is_written_around_the_filter() -> None:
    found = [
        line
        for path in sorted(SOURCE.rglob("*.py"))
        if path != SOURCE / "terminal.py"
        for line in _written_around(path)
    ]
    assert found == []


def test_the_test_itself_sees_what_it_looks_for(tmp_path: Path) -> None:
    assert len(_written_around(SOURCE / "terminal.py")) == 2  # echo and confirm: the filter itself
