"""Somebody who knows nothing, with a model's folder and a JSONL file: from `loratui` to a training by what the screens
say, and in how many keys.
"""

from __future__ import annotations

from pathlib import Path
from shutil import copytree

import pytest
from pictured import until
from wizard import SIZES, dataset_file, settled

from loratui.core.plan import Plan
from loratui.paths import demo_model_path
from loratui.tui.app import LoratuiApp

LOCAL = (
    ("^n Next", "ctrl+n"),
    ("^f Open a folder", "ctrl+f"),
    ("● tiny-model/", "enter"),
    ("is chosen.", "ctrl+n"),
    ("o   opens a file or folder", "o"),
    ("faq.jsonl", "enter"),
    ("▌ is learnt", "ctrl+n"),
    ("F1 Why", "ctrl+n"),
    ("▸ Start training", "enter"),
)
"""What the screen says, and the key that it names for it."""
DEMO = (
    ("fits", "ctrl+n"),
    ("● demo", "ctrl+n"),
    ("▌ is learnt", "ctrl+n"),
    ("F1 Why", "ctrl+n"),
    ("▸ Start training", "enter"),
)


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize("way", ["local", "demo"])
async def test_from_nothing_to_a_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, new_here: None, way: str, size: tuple[int, int]
) -> None:
    work = tmp_path / "work"
    copytree(demo_model_path(), work / "tiny-model")
    dataset_file(work / "faq.jsonl")
    (work / "another folder").mkdir()
    monkeypatch.chdir(work)
    started: list[Plan] = []

    def start_run(plan: Plan) -> str:
        started.append(plan)
        return str(tmp_path / "run")

    monkeypatch.setattr("loratui.tui.wizard.loading.start_run", start_run)
    monkeypatch.setattr(LoratuiApp, "check_dataset", lambda self, again=False: None)
    app = LoratuiApp(demo=way == "demo")
    async with app.run_test(size=size) as pilot:
        for said, key in DEMO if way == "demo" else LOCAL:
            await until(pilot, said)
            await pilot.press(key)
            await settled(pilot)
        (plan,) = started
    assert plan.model.id == ("demo" if way == "demo" else str(work / "tiny-model"))
    assert Path(plan.dataset.path).name == ("demo" if way == "demo" else "faq.jsonl")
