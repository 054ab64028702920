"""Piece 2: what real steps need on the card, beside what was predicted.

A grid of 60 trainings of two steps each through the worker's own session: model read from the disk, real trainer, real
optimizer. Kept are the prediction with its parts, the peaks that torch allocated and reserved while loading and while
training, the driver's figure for the process, and its context alone. Of it `learn.py` learns.
"""

from __future__ import annotations

import json
import random
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import card
from random_models import config_of, drop, folder_of, loading_seconds, provide

CASES, SEED, STEPS = 60, 20261126, 2
ORDER = (
    "qwen3-0.6b", "llama-8b", "qwen3-4b", "gemma3-1b", "mistral-7b", "qwen2-0.5b", "phi3-3.8b", "llama-1b",
    "smollm3-3b", "qwen3-8b",
)  # fmt: skip
"""Models in the order of what their figures are worth: where time runs out, the first ones are known."""
WAYS = (
    {"method.kind": "lora"},
    {"method.kind": "qlora", "method.quantization": "nf4"},
    {"method.kind": "full"},
    {"method.kind": "lora", "training.checkpointing": True},
    {"method.kind": "qlora", "method.quantization": "int8"},
    {"method.kind": "full", "training.checkpointing": True},
    {"method.kind": "qlora", "method.quantization": "nf4", "method.double_quantization": True,
     "training.checkpointing": True},
)  # fmt: skip
FILLED = (0.8, 0.35, 0.6)
"""Shares of the card that cases are to fill, in turn."""
ROWS = (1, 2, 4, 8, 16, 32)
LONGEST_TOKENS = 8192
STEP_SECONDS = 1.5
"""Longest step, by the card's peak: a checkpointed pass that fills a large card takes a minute."""
SHARE_OF_PEAK = 0.35
START_SECONDS = 3.0
"""Of a case, to start and to prepare."""


def grid(device: Any, *, tiny: bool = False) -> list[dict[str, Any]]:
    """The cases: each model with each way, filled up with rows and tokens as far as memory and time go."""
    dice = random.Random(SEED)
    found: list[dict[str, Any]] = []
    for number in range(len(ORDER) * len(WAYS)):
        name, way = ORDER[number // len(WAYS)], WAYS[number % len(WAYS)]
        filled = FILLED[(number + number // len(WAYS)) % len(FILLED)]
        case = _case(name, way, filled, device, dice, tiny=tiny)
        if case is not None:
            found.append(case)
    return found[:CASES]


def _case(
    name: str, way: dict[str, Any], filled: float, device: Any, dice: random.Random, *, tiny: bool
) -> dict[str, Any] | None:
    """One case, or None where not even one short row fits."""
    from loratui.core.dataset import uniform
    from loratui.core.families import read_config
    from loratui.core.memory import estimate
    from loratui.core.operations import flops_per_pass
    from loratui.core.plan import Plan
    from loratui.core.plan_text import with_values

    spec = read_config(config_of(name, tiny=tiny))
    lora = {"lora.r": dice.choice([8, 16, 64]), "lora.dropout": dice.choice([0.0, 0.0, 0.05])}
    number_format = "bf16" if device.kind == "gpu" else "fp32"
    values = {
        "model.dtype": number_format,
        "training.precision": number_format,
        "training.accumulation": dice.choice([1, 1, 2]),
        "training.max_steps": STEPS,
        "training.optimizer": "adamw_torch_fused",
        "saving.every_steps": 0,
        "evaluation.every_steps": 0,
        "dataset.eval_fraction": 0.0,
        "dataset.format": "tokens",
        **({} if way["method.kind"] == "full" else lora),
        **way,
    }
    if "method.quantization" in values:
        values["method.compute_dtype"] = number_format
    rows, peak = dice.choice(ROWS), (device.peak_flops or 1e13) * SHARE_OF_PEAK
    ragged = rows > 1 and dice.random() < 0.25
    tokens = 0
    tried = [32] if tiny else [number * 128 for number in range(1, LONGEST_TOKENS // 128 + 1)]
    best: dict[str, Any] | None = None
    if tiny:
        rows = min(rows, 2)
    for tokens in tried:
        at = {**values, "training.batch_size": rows, "training.max_length": tokens}
        plan, data = with_values(Plan(), at), uniform(64, tokens)
        if ragged:
            data = replace(data, lengths=(max(1, tokens // 2), tokens))
        needed = estimate(spec, plan, data, device).total_bytes
        flops = flops_per_pass(spec, plan, data) * at["training.accumulation"]
        if needed > filled * device.memory_total_bytes or (best and not tiny and flops / peak > STEP_SECONDS):
            break
        best = {"model": name, "values": at, "ragged": ragged, "filled": round(needed / device.memory_total_bytes, 3)}
        best["expected_seconds"] = round(
            START_SECONDS + loading_seconds(name, tiny=tiny) + (STEPS + 1) * flops / peak, 1
        )
    return best


def name_of(case: dict[str, Any]) -> str:
    """A case in one word."""
    values = case["values"]
    method = values.get("method.quantization", values["method.kind"])
    marks = ("checkpointed" if values.get("training.checkpointing") else "", "ragged" if case["ragged"] else "")
    shape = f"{values['training.batch_size']}x{values['training.max_length']}"
    return " ".join(filter(None, (case["model"], method, shape, *marks)))


def measure(case: dict[str, Any]) -> dict[str, Any]:
    """One case, in a process of its own."""
    context = card.open_context()
    from loratui.core.families import read_config
    from loratui.core.memory import estimate
    from loratui.core.plan import Plan
    from loratui.core.plan_text import with_values
    from loratui.runs.start import create_run
    from loratui.worker.training.journal import Journal
    from loratui.worker.training.memory import device as this_device
    from loratui.worker.training.session import Session
    from loratui.worker.training.signals import Requests

    with tempfile.TemporaryDirectory(prefix="loratui-grid-") as place:
        rows = write_rows(Path(place) / "rows.jsonl", case)
        plan = with_values(
            Plan(), {**case["values"], "model.id": str(folder_of(case["model"])), "dataset.path": str(rows)}
        )
        run = create_run(plan, output=Path(place) / "run")
        session = Session(run, plan, Journal(run, writes=False), Requests())
        device = this_device()
        trainer, prepared = session.build(output=Path(place) / "run" / "checkpoints")
        loading = card.torch_peaks()
        card.forget_peaks()
        seconds = steps_of(trainer)
        model: Any = trainer.model
        found = estimate(read_config(model.config.to_dict()), plan, prepared.facts, device)
        training = card.torch_peaks()
        return {
            "predicted": found.total_bytes,
            "predicted_upper": found.upper_bytes,
            "predicted_tensors": found.tensors_bytes,
            "parts": found.parts,
            "spread": found.spread,
            "phase": found.peak_phase,
            "where": found.peak_where,
            "context": context,
            "load": loading,
            "train": training,
            "own_bytes": card.own_bytes(),
            "card_used_bytes": card.used_bytes(),
            "step_seconds": seconds,
            "loss": [round(entry["loss"], 4) for entry in trainer.state.log_history if "loss" in entry],
            "device": device.name,
            "growing_segments": _grows(),
        }


def _grows() -> bool:
    """Whether the allocator's segments grow (`expandable_segments`)."""
    import os

    told = (os.environ.get(name, "") for name in ("PYTORCH_ALLOC_CONF", "PYTORCH_CUDA_ALLOC_CONF"))
    return "expandable_segments:true" in ",".join(told).lower()


def steps_of(trainer: Any) -> list[float]:
    """Train to the end without saving; seconds of each step."""
    import time

    from transformers import TrainerCallback
    from transformers.trainer_utils import SaveStrategy

    seconds: list[float] = []

    class Clock(TrainerCallback):
        def on_step_begin(self, *arguments: Any, **options: Any) -> None:
            card.wait()
            self.began = time.perf_counter()

        def on_step_end(self, *arguments: Any, **options: Any) -> None:
            card.wait()
            seconds.append(round(time.perf_counter() - self.began, 4))

    trainer.args.save_strategy = SaveStrategy.NO
    trainer.add_callback(Clock())
    trainer.train()
    return seconds


def write_rows(path: Path, case: dict[str, Any]) -> Path:
    """Rows of token ids of the case's lengths, enough for its steps. Every other one is half as long where ragged."""
    dice = random.Random(SEED)
    values = case["values"]
    tokens, count = values["training.max_length"], values["training.batch_size"] * values["training.accumulation"]
    with path.open("w", encoding="utf-8") as file:
        for number in range(count * (STEPS + 1)):
            length = max(1, tokens // 2) if case["ragged"] and number % 2 else tokens
            file.write(json.dumps({"input_ids": dice.choices(range(10, 7900), k=length)}) + "\n")
    return path


def run(results: Any, processes: Any, settings: dict[str, Any]) -> None:
    """All cases, model by model; a model is made for its cases and dropped after them."""
    tiny = settings["rehearsal"]
    cases = grid(card.plan_device(), tiny=tiny)
    if settings.get("cases"):
        cases = cases[: settings["cases"]]
    for name in dict.fromkeys(case["model"] for case in cases):
        own = [case for case in cases if case["model"] == name and not results.has(name_of(case))]
        if not own:
            continue
        if provide(results, processes, name, settings):
            for case in own:
                results.case(name_of(case), case["expected_seconds"], _measured(case, processes, results))
        if name not in settings.get("keep", ()):
            drop(name)


def _measured(case: dict[str, Any], processes: Any, results: Any) -> Any:
    limit = max(20.0, min(results.left(), 4 * case["expected_seconds"] + 30))
    return lambda: {**case, **processes.run("memory:measure", case, limit_seconds=limit)}
