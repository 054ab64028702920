"""A wizard with a fixed machine, model and dataset, and the small helpers of its tests."""

from __future__ import annotations

import contextlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from textual.pilot import Pilot
from textual.worker import WorkerCancelled

from loratui.core.hardware import Gpu, GpuProcess, Host, Machine
from loratui.tui.app import LoratuiApp
from loratui.tui.wizard.draft import Draft
from loratui.tui.wizard.state import WizardState

SIZES = ((80, 24), (120, 36))
GIB = 2**30
CONFIG = {
    "model_type": "llama",
    "architectures": ["LlamaForCausalLM"],
    "hidden_size": 2048,
    "intermediate_size": 8192,
    "num_hidden_layers": 16,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "vocab_size": 128256,
    "head_dim": 64,
    "max_position_embeddings": 131072,
    "tie_word_embeddings": True,
}
"""Llama 3.2 1B, as its config.json describes it."""


def machine(gpus: int = 2) -> Machine:
    """An A100 with a neighbour and a T4, or fewer; of more, as many idle A100s."""
    cards: tuple[Gpu, ...] = (
        Gpu(
            index=0,
            uuid="GPU-a",
            name="NVIDIA A100-SXM4-40GB",
            memory_total_bytes=40 * GIB,
            memory_free_bytes=28 * GIB,
            compute_capability=(8, 0),
            utilization_percent=37,
            temperature_celsius=52,
            power_watts=182.0,
            power_limit_watts=400.0,
            processes=(GpuProcess(pid=4711, name="python", user="ann", memory_bytes=11 * GIB),),
        ),
        Gpu(
            index=1,
            uuid="GPU-t",
            name="Tesla T4",
            memory_total_bytes=15 * GIB,
            memory_free_bytes=14 * GIB,
            compute_capability=(7, 5),
            utilization_percent=0,
            temperature_celsius=31,
            power_watts=27.0,
            power_limit_watts=70.0,
        ),
    )
    host = Host(
        hostname="gpu-box",
        cpu_name="AMD EPYC 7742",
        cpu_count=16,
        memory_total_bytes=128 * GIB,
        memory_available_bytes=96 * GIB,
        disk_path="/runs",
        disk_total_bytes=900 * GIB,
        disk_free_bytes=512 * GIB,
        cpu_clock_mhz=2250,
        cpu_features=("avx2",),
    )
    problems = (
        ()
        if gpus
        else ("No NVIDIA driver was found, so there is no GPU to train on. Small models can be trained on the CPU.",)
    )
    if gpus > len(cards):
        alike = replace(cards[0], processes=(), memory_free_bytes=cards[0].memory_total_bytes, utilization_percent=0)
        cards = tuple(replace(alike, index=number, uuid=f"GPU-{number}") for number in range(gpus))
    return Machine(host=host, gpus=cards[:gpus], driver_version="570.86.10", cuda_version="12.8", problems=problems)


def model_folder(folder: Path, config: dict[str, Any] = CONFIG) -> Path:
    """A model's folder that holds only its config: enough for planning."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def dataset_file(path: Path, rows: int = 40, answer: str = "Paris is the capital.") -> Path:
    """A JSONL file of questions and answers."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        "".join(
            json.dumps({"question": f"What is question {n}?", "answer": f"{answer} ({n})"}) + "\n" for n in range(rows)
        )
    )
    return path


def wizard(folder: Path, *, screen: str = "", gpus: int = 2, demo: bool = False, chosen: bool = True) -> LoratuiApp:
    """The app with its draft in `folder`; with `chosen`, a model and a dataset of its own are chosen."""
    draft = Draft()
    if chosen and not demo:
        model, dataset = model_folder(folder / "llama-1b"), dataset_file(folder / "data" / "questions.jsonl")
        draft = Draft(model=str(model), dataset=str(dataset))
    state = WizardState(folder / "state" / "draft.json", demo=demo, draft=draft)
    state.hardware.take(machine(gpus))
    return LoratuiApp(demo=demo, screen=screen, state=state)


def choose(app: LoratuiApp, **answers: Any) -> None:
    """Have these choices in the draft as if the last session had left them: before the app has begun."""
    app.state.choices.restore(replace(app.state.draft, **answers))


async def settled(pilot: Pilot[None]) -> None:
    """Wait until every look-up has ended and its result was painted."""
    for _ in range(3):
        # A worker named after an action waits for the panel that it opened.
        looking = [
            worker for worker in pilot.app.workers if worker.group != "check" and not worker.name.startswith("action_")
        ]
        if looking:
            with contextlib.suppress(WorkerCancelled):  # a newer one took its place: it is waited for next
                await pilot.app.workers.wait_for_complete(looking)
        await pilot.pause()


def screen_text(app: LoratuiApp) -> str:
    """What the screen shows, line by line."""
    width, height = app.size
    return (
        "\n".join("".join(segment.text for segment in line) for line in app.screen._compositor.render_strips())
        if width and height
        else ""
    )
