#!/usr/bin/env python3
"""Paint the pictures of README and docs from the running program: `make pictures`.

Each is the real screen, driven by its keys and exported by Textual. What would differ from day to day is held fast: a
machine of fixed figures, runs of the demo that were recorded (`recorded/`), their answers, no clock.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
PICTURES = ROOT / "docs" / "pictures"
RECORDED = HERE / "recorded"
SIZE = (120, 36)
GIB = 2**30
MODEL = "Qwen/Qwen3-4B"
Walk = Callable[[Any], Awaitable[None]]


def lay_out(home: Path) -> None:
    """A home with the recorded runs, one of them as it was half-way."""
    os.environ.update(LORATUI_HOME=str(home), XDG_CONFIG_HOME=str(home / "config"), HF_HOME=str(home / "hub"))
    os.environ.update(HF_HUB_OFFLINE="1", TEXTUAL_ANIMATIONS="none", COLORTERM="truecolor")
    os.chdir(home)
    from loratui.core.glossary import TERMS

    (home / "state").mkdir(parents=True)
    (home / "state" / "words-seen.json").write_text(json.dumps({"seen": list(TERMS)}))
    shutil.copy(ROOT / "src" / "loratui" / "demo" / "train.jsonl", home / "orders.jsonl")
    put_run(home / "runs" / "demo-lora-rank-8", "rank-8", age=3 * 86_400)
    put_run(home / "runs" / "demo-lora-steep", "steep", age=26 * 3_600)
    put_run(home / "runs" / "demo-lora-rank-16", "rank-16", age=100, until=62)
    put_run(home / "finished" / "demo-lora-rank-16", "rank-16", age=5_000)


def put_run(run: Path, recorded: str, *, age: float, until: int = 0) -> None:
    """A recorded run, begun `age` seconds ago. until: as it was at this step, at work."""
    from loratui.runs.directory import Run
    from loratui.runs.origin import sign
    from loratui.runs.status import Status, own_mark, write_status

    run.mkdir(parents=True)
    sign(Run(run))
    shutil.copy(RECORDED / recorded / "plan.toml", run)
    told = [json.loads(line) for line in (RECORDED / recorded / "events.jsonl").read_text("utf-8").splitlines()]
    if until:
        told = told[: next(n for n, one in enumerate(told) if one["type"] == "step" and one["step"] == until) + 1]
        told = [one for one in told if one["type"] != "checkpoint"]
    moved = time.time() - age - told[0]["time"]
    lines = [json.dumps({**one, "time": one["time"] + moved}) for one in told]
    (run / "events.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    kept = json.loads((RECORDED / recorded / "status.json").read_text("utf-8"))
    mark = own_mark()
    now = {"pid": mark.pid, "process_started": mark.started, "process_ticks": mark.ticks, "boot": mark.boot}
    status = Status(**{**kept, **now, "host": mark.host, "heartbeat": time.time(), "beat": 0.0, "moved": 0.0})
    if until:
        status = status.model_copy(update={"state": "running", "step": until, "phase": "train", "message": ""})
    else:
        (run / "adapter").mkdir()
        (run / "adapter" / "adapter_config.json").write_text("{}")
    write_status(run / "status.json", status)


def machine() -> Any:
    """A workstation of fixed figures."""
    from loratui.core.hardware import Gpu, GpuProcess, Host, Machine

    cards = (
        Gpu(
            index=0, uuid="GPU-0", name="NVIDIA GeForce RTX 4090", memory_total_bytes=24 * GIB,
            memory_free_bytes=int(23.1 * GIB), compute_capability=(8, 9), utilization_percent=3,
            temperature_celsius=41, power_watts=28.0, power_limit_watts=450.0,
        ),
        Gpu(
            index=1, uuid="GPU-1", name="NVIDIA GeForce RTX 4090", memory_total_bytes=24 * GIB,
            memory_free_bytes=9 * GIB, compute_capability=(8, 9), utilization_percent=96, temperature_celsius=67,
            power_watts=398.0, power_limit_watts=450.0,
            processes=(GpuProcess(pid=4711, name="python", user="ann", memory_bytes=14 * GIB),),
        ),
    )  # fmt: skip
    host = Host(
        hostname="workstation", cpu_name="AMD Ryzen 9 7950X", cpu_count=32, memory_total_bytes=128 * GIB,
        memory_available_bytes=96 * GIB, disk_path="/data/runs", disk_total_bytes=2000 * GIB,
        disk_free_bytes=1210 * GIB, cpu_clock_mhz=4500, cpu_features=("avx2",),
    )  # fmt: skip
    return Machine(host=host, gpus=cards, driver_version="570.86.10", cuda_version="12.8")


def wizard(home: Path, screen: str, *, demo: bool = False, **options: Any) -> Any:
    """The wizard with this machine, and a model and a dataset chosen, or the demo's. A run that it shows is its own."""
    from loratui.tui.app import LoratuiApp
    from loratui.tui.wizard.draft import DEMO, Draft, choices_mark
    from loratui.tui.wizard.state import WizardState

    draft = Draft(step="recipe", visited=["machine", "model", "dataset", "recipe"], model=MODEL, dataset="orders.jsonl")
    draft = DEMO if demo else draft
    if "run" in options:
        draft = replace(draft, run=options["run"], run_for=choices_mark(draft))
    path = home / "state" / f"{screen}.json"
    state = WizardState(path, draft=draft)
    state.hardware.take(machine())
    return LoratuiApp(screen=screen, state=state, **options)


async def settle(pilot: Any, seconds: float = 0.6) -> None:
    """Wait until the look-ups have ended and nothing is painted any more."""
    for _ in range(3):
        looking = [one for one in pilot.app.workers if one.group != "check" and not one.name.startswith("action_")]
        if looking:
            await pilot.app.workers.wait_for_complete(looking)
        await pilot.pause()
    await asyncio.sleep(seconds)
    await pilot.pause()


async def paint(name: str, app: Any, walk: Walk) -> None:
    """Drive the app and keep its picture."""
    async with app.run_test(size=SIZE) as pilot:
        await settle(pilot)
        await walk(pilot)
        await settle(pilot)
        app.clear_notifications()
        await pilot.pause()
        svg = app.export_screenshot(title="loratui", simplify=True)
    PICTURES.mkdir(parents=True, exist_ok=True)
    text = "\n".join(line.rstrip() for line in svg.splitlines()) + "\n"
    (PICTURES / f"{name}.svg").write_text(text, encoding="utf-8")
    print(f"docs/pictures/{name}.svg  {len(text) // 1024} KiB")


def keys(*names: str) -> Walk:
    """Press these keys, one after the other."""

    async def walk(pilot: Any) -> None:
        for name in names:
            await pilot.press(name)
            await settle(pilot, 0.2)

    return walk


async def ask(pilot: Any) -> None:
    """Ask base and adapter the recorded question."""
    await settle(pilot, 1.0)
    question = next(iter(json.loads((RECORDED / "answers.json").read_text(encoding="utf-8"))))
    pilot.app.screen.query_one("PromptArea").text = question
    await pilot.press("enter")
    await settle(pilot, 1.0)


async def checked(pilot: Any) -> None:
    """Wait until the dataset was checked with the model's own tokenizer."""
    while pilot.app.state.check.now.progress or pilot.app.state.check.now.result is None:
        await asyncio.sleep(0.2)
    await settle(pilot)


async def main(wanted: list[str]) -> None:
    """Paint all pictures, or those named."""
    from loratui.tui.app import LoratuiApp
    from loratui.workers import client

    begin = client.PlaygroundClient.__init__
    replay = [sys.executable, str(HERE / "replay_worker.py")]
    client.PlaygroundClient.__init__ = lambda self, log_path=None, command=(): begin(self, log_path, replay)  # type: ignore[method-assign]
    check = LoratuiApp.check_dataset
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        lay_out(home)
        runs = home / "runs"
        finished, going = str(home / "finished" / "demo-lora-rank-16"), str(runs / "demo-lora-rank-16")
        pictures: dict[str, tuple[Callable[[], Any], Walk]] = {
            "home": (lambda: wizard(home, "runs"), keys("down", "up")),
            "machine": (lambda: wizard(home, "machine"), keys()),
            "model": (lambda: wizard(home, "model"), keys()),
            "dataset": (lambda: wizard(home, "dataset", demo=True), checked),
            "recipe": (lambda: wizard(home, "recipe"), keys("down")),
            "review": (lambda: wizard(home, "review"), keys()),
            "training": (lambda: wizard(home, "training", run=going), keys()),
            "playground": (lambda: wizard(home, "playground", run=finished), ask),
        }
        for name, (app, walk) in pictures.items():
            if not wanted or name in wanted:
                # A catalogue model's tokenizer is not here: only the demo's rows can be checked.
                LoratuiApp.check_dataset = check if name == "dataset" else lambda self, again=False: None  # type: ignore[method-assign]
                await paint(name, app(), walk)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
