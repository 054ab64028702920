"""How monitor, runs and playground look, at both sizes: `pytest --snapshot-update` after a wanted change, and look at
them.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pictured import until
from recorded_run import BEGAN, record_run
from textual.pilot import Pilot
from wizard import machine

from hub_standin import set_hub
from loratui.core.early_stopping import Change
from loratui.runs.events import make
from loratui.tui.app import LoratuiApp
from loratui.tui.training.screen import TrainingScreen
from loratui.workers import client as client_module

SIZES = [(80, 24), (120, 36)]
EACH_SIZE = pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LORATUI_HOME", str(tmp_path))
    monkeypatch.setattr("loratui.tui.training.screen.predicted_bytes", lambda plan, record: 716 << 20)
    command = [sys.executable, str(Path(__file__).with_name("fake_playground_worker.py"))]
    begin = client_module.PlaygroundClient.__init__
    monkeypatch.setattr(
        client_module.PlaygroundClient, "__init__", lambda self, log_path=None, other=(): begin(self, log_path, command)
    )
    return tmp_path


@EACH_SIZE
@pytest.mark.parametrize("state", ["running", "finished"])
def test_training(
    snap_compare: Callable[..., bool], home: Path, monkeypatch: pytest.MonkeyPatch, state: str, size: tuple[int, int]
) -> None:
    monkeypatch.setattr("loratui.tui.training.gauges.cpu_load_percent", lambda: 37)
    monkeypatch.setattr(TrainingScreen, "_machine", property(lambda self: machine(0)))
    run = record_run(home, state=state, steps=375 if state == "finished" else 142, checkpoint=True)

    async def shown(pilot: Pilot[Any]) -> None:
        await until(pilot, "✓ finished" if state == "finished" else "● running")
        await until(pilot, "716 MiB")

    assert snap_compare(LoratuiApp(screen="training", run=str(run.path)), terminal_size=size, run_before=shown)


@EACH_SIZE
def test_training_on_a_mix(
    snap_compare: Callable[..., bool], home: Path, monkeypatch: pytest.MonkeyPatch, size: tuple[int, int]
) -> None:
    """Six parts: the one that got worse is among those that are named."""
    monkeypatch.setattr("loratui.tui.training.gauges.cpu_load_percent", lambda: 37)
    monkeypatch.setattr(TrainingScreen, "_machine", property(lambda self: machine(0)))
    losses = {f"part-{letter}": 0.2 + 0.1 * number for number, letter in enumerate("abcde")} | {
        "a long name of rules": 1
    }
    worse = Change(step=0, before=0.7, difference=0.3, low=0.2, high=0.4, rows=40)
    evaluation = make(
        "eval",
        BEGAN + 40,
        step=142,
        loss=0.3,
        rows=40,
        loss_by_part=losses,
        parts_beside_best={"a long name of rules": worse},
    )
    before = make("eval", BEGAN + 1, step=0, loss=3.0, rows=40)
    run = record_run(home, more=[before, evaluation], checkpoint=True)

    async def shown(pilot: Pilot[Any]) -> None:
        await until(pilot, "▲ since")
        await until(pilot, "gets worse")

    assert snap_compare(LoratuiApp(screen="training", run=str(run.path)), terminal_size=size, run_before=shown)


@EACH_SIZE
def test_runs(snap_compare: Callable[..., bool], home: Path, size: tuple[int, int]) -> None:
    for state, age in (("running", 200), ("finished", 8_000), ("stopped", 90_000), ("failed", 400_000)):
        record_run(
            home,
            f"demo-lora-{state}",
            state=state,
            created=time.time() - age,
            message="The disk is full." if state == "failed" else "",
            checkpoint=True,
        )

    async def shown(pilot: Pilot[Any]) -> None:
        await until(pilot, "demo-lora-running")
        await until(pilot, "s Stop")

    assert snap_compare(LoratuiApp(screen="runs"), terminal_size=size, run_before=shown)


@EACH_SIZE
@pytest.mark.parametrize("part", ["answers", "settings"])
def test_playground(snap_compare: Callable[..., bool], home: Path, part: str, size: tuple[int, int]) -> None:
    data = home / "rows.jsonl"
    data.write_text(
        "".join(json.dumps({"prompt": "the same", "completion": "adapter answers the same"}) + "\n" for _ in range(2))
        + '{"prompt": "p", "completion": "c"}\n'
    )
    run = record_run(
        home, state="finished", steps=375, values={"dataset.path": str(data), "dataset.eval_path": str(data)}
    )
    run.adapter_path.mkdir()
    (run.adapter_path / "adapter_config.json").write_text("{}")

    async def shown(pilot: Pilot[Any]) -> None:
        await until(pilot, f"● {run.name}")
        await pilot.press("ctrl+l", "enter")
        await until(pilot, lambda: "as expected" in str(pilot.app.screen.query("AnswerView").last().border_subtitle))
        if part == "settings":
            await pilot.press("ctrl+e")
            await until(pilot, "generation settings")
        else:
            await until(pilot, "^q Quit  +3 F1" if size[0] == 80 else "^q Quit")

    assert snap_compare(LoratuiApp(screen="playground", run=str(run.path)), terminal_size=size, run_before=shown)


@EACH_SIZE
@pytest.mark.parametrize("thing", ["merge", "axolotl"])
def test_take_away(
    snap_compare: Callable[..., bool], home: Path, monkeypatch: pytest.MonkeyPatch, thing: str, size: tuple[int, int]
) -> None:
    set_hub(monkeypatch, HF_TOKEN="hf_x", HF_HUB_OFFLINE="0")
    for name, value in (("HOME", str(home)), ("PATH", "/usr/bin:/bin")):
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("loratui.tui.take_away.outputs.can_serve", lambda: "")
    values = {
        "model.id": "Qwen/Qwen3-0.6B",
        "evaluation.every_steps": 25,
        "evaluation.prompts": ["Hello?"],
        "method.kind": "qlora",
        "method.quantization": "nf4",
    }
    run = record_run(home, state="finished", steps=375, values=values)
    run.adapter_path.mkdir()
    for name, length in (("adapter_config.json", 2), ("adapter_model.safetensors", 5_000_000)):
        (run.adapter_path / name).write_bytes(b"{}" + bytes(length - 2))

    async def shown(pilot: Pilot[Any]) -> None:
        await until(pilot, "✓ finished")
        await pilot.press("x")
        await until(pilot, "Model card")
        while pilot.app.screen.chosen.key != thing:  # type: ignore[attr-defined]
            await pilot.press("down")
            await pilot.pause()

    assert snap_compare(LoratuiApp(screen="training", run=str(run.path)), terminal_size=size, run_before=shown)
