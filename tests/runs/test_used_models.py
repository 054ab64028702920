"""Which models of earlier runs are offered again."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from loratui.core.plan import Plan
from loratui.core.plan_text import plan_to_toml, with_values
from loratui.paths import demo_model_path
from loratui.runs.directory import Run
from loratui.runs.origin import sign
from loratui.runs.used_models import used_models


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LORATUI_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "home"


def made(home: Path, name: str, model: str, *, foreign: bool = False) -> Run:
    run = Run(home / "runs" / name)
    run.path.mkdir(parents=True)
    run.plan_path.write_text(plan_to_toml(with_values(Plan(), {"model.id": model})), encoding="utf-8")
    if not foreign:
        sign(run)
    return run


def test_bases_and_what_was_made_of_them_are_offered(tmp_path: Path, home: Path) -> None:
    base = shutil.copytree(demo_model_path(), tmp_path / "work" / "base")
    kestrel, wren = made(home, "kestrel", str(base)), made(home, "wren", str(base))
    shutil.copytree(demo_model_path(), kestrel.merged_path)
    shutil.copytree(demo_model_path(), wren.model_path)
    (home / "runs" / "half").mkdir()
    made(home, "gone", str(tmp_path / "removed"))
    made(home, "demonstration", "demo")
    found = {one.model.id: one for one in used_models()}
    assert set(found) == {str(base), str(kestrel.merged_path), str(wren.model_path)}
    merged = found[str(kestrel.merged_path)]
    assert merged.name == "kestrel/merged" and merged.model.note.startswith("merged by the run kestrel")
    assert found[str(wren.model_path)].model.weights


def test_what_is_not_whole_or_a_strangers_is_not_offered(tmp_path: Path, home: Path) -> None:
    base = shutil.copytree(demo_model_path(), tmp_path / "base")
    torn = made(home, "torn", "demo")
    torn.merged_path.mkdir()
    shutil.copy(demo_model_path() / "config.json", torn.merged_path)
    made(home, "stranger", str(base), foreign=True)
    assert used_models() == []
