"""Every loader of a model obeys the one owner of the question whether its code may run (`models.trust`)."""

from __future__ import annotations

import ast
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[2] / "src" / "loratui"


def _loaders() -> list[tuple[str, ast.Call]]:
    found = []
    for path in sorted(SOURCE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                name = ast.unparse(node.func)
                if name.startswith("Auto") and name.endswith((".from_pretrained", ".from_config")):
                    found.append((f"{path.relative_to(SOURCE)}:{node.lineno}", node))
    return found


def test_no_loader_trusts_code_but_by_what_the_owner_gave_it() -> None:
    loaders = _loaders()
    assert len(loaders) >= 6
    for place, call in loaders:
        named = {keyword.arg: keyword.value for keyword in call.keywords}
        refuses = isinstance(said := named.get("trust_remote_code"), ast.Constant) and said.value is False
        spread = ast.unparse(named[None]) if None in named else ""
        assert refuses or ("code" in spread and "trust_remote_code" not in named), place


def test_only_the_owner_says_yes() -> None:
    yes = [
        str(path.relative_to(SOURCE))
        for path in sorted(SOURCE.rglob("*.py"))
        if '"trust_remote_code": True' in path.read_text() or "trust_remote_code=True" in path.read_text()
    ]
    assert yes == ["models/trust.py"]
