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
    ("^f Folder", "ctrl+f"),
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


PLANNED = (
    ("o Another GPU", "o"),
    ("filter: A100", "4090"),
    ("RTX 4090", "enter"),
    ("enter or ^n goes on", "enter"),
    ("type to filter", "Qwen3-4B"),
    ("○ Qwen/Qwen3-4B", "enter"),
    ("Qwen3-4B is chosen. enter", "enter"),
    ("d   takes the demo", "d"),
    ("▌ is learnt", "enter"),
    ("F1 Why", "ctrl+n"),
    ("▸ Write the plan", "enter"),
)


WAYS = {"demo": (DEMO, 5), "local": (LOCAL, 9), "planned": (PLANNED, 21)}
"""Each way with its keystrokes; of the 21, 12 are the names of a card and of a model."""


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize("way", WAYS)
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
        steps, most = WAYS[way]
        pressed = 0
        for said, key in steps:
            await until(pilot, said)
            keys = [key] if key.startswith("ctrl") or key == "enter" else list(key)
            pressed += len(keys)
            await pilot.press(*keys)
            await settled(pilot)
        assert pressed <= most
        if way == "planned":
            await until(pilot, "plan.toml")
            written = (work / "plan.toml").read_text()
            assert not started and "Qwen/Qwen3-4B" in written and "RTX 4090" in written
            return
        (plan,) = started
    assert plan.model.id == ("demo" if way == "demo" else str(work / "tiny-model"))
    assert Path(plan.dataset.path).name == ("demo" if way == "demo" else "faq.jsonl")
