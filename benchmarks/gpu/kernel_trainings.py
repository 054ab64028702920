"""Piece 7: kernels that no processor has: float16 with a scaler, 8-bit and paged optimizers, 4-bit products, attention.

Each is a short real training of the worker's session, at the same rows and seed; what is told is whether the losses are
finite and fall, what it needed and how fast it was, beside bf16 with fused AdamW. What the worker does to keep a card
busy has a pair of its own, with and without (`WITHOUT`): the same losses are expected, bit for bit.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import card
from clock import timed
from random_models import folder_of, provide
from speed import shown_rows

MODEL = "qwen3-0.6b"
STEPS = 24
EXPECTED_SECONDS = 14.0
BASE = {"method.kind": "lora", "training.learning_rate": 5e-4, "training.batch_size": 8, "training.accumulation": 1}
QLORA = {"method.kind": "qlora", "method.quantization": "nf4"}
CASES: dict[str, dict[str, Any]] = {
    "bf16": {},
    "fp16 with a scaler": {"training.precision": "fp16", "model.dtype": "fp16"},
    "fp16 full with a scaler": {"method.kind": "full", "training.precision": "fp16", "model.dtype": "fp32",
                                "training.learning_rate": 2e-5},
    "adamw_8bit full": {"method.kind": "full", "training.optimizer": "adamw_8bit", "training.learning_rate": 2e-5},
    "adamw fused full": {"method.kind": "full", "training.learning_rate": 2e-5},
    "paged_adamw_8bit full": {"method.kind": "full", "training.optimizer": "paged_adamw_8bit",
                              "training.learning_rate": 2e-5},
    "paged_adamw_32bit": {"training.optimizer": "paged_adamw_32bit"},
    "nf4": QLORA,
    "nf4 double": {**QLORA, "method.double_quantization": True},
    "int8": {"method.kind": "qlora", "method.quantization": "int8"},
    "checkpointed": {"training.checkpointing": True},
    "padding-free": {"training.padding_free": True},
}  # fmt: skip
SMALL_PASSES = {"training.batch_size": 2, "training.accumulation": 8}
"""Many short passes a step: what waiting for the device costs shows here if anywhere."""
PAIRED_CASES = {
    "eight passes": {**SMALL_PASSES},
    "eight passes, TRL's figures": {**SMALL_PASSES},
    "eight passes, batches waited for": {**SMALL_PASSES},
    "eight passes, the card asked": {**SMALL_PASSES},
}


def trls_figures(trainer: Any) -> None:
    """Five waits for the device in every pass, as TRL has them."""
    from trl.trainer.sft_trainer import SFTTrainer

    trainer.compute_loss = SFTTrainer.compute_loss.__get__(trainer)


def batches_waited_for(trainer: Any) -> None:
    """Each batch is copied to the card while nothing else is begun."""
    trainer.accelerator.dataloader_config.non_blocking = False


def card_asked(trainer: Any) -> None:
    """What a batch holds is asked of the card: six waits in every pass over padded rows."""
    from transformers import Trainer

    trainer.get_train_dataloader = Trainer.get_train_dataloader.__get__(trainer)


WITHOUT: dict[str, Callable[[Any], None]] = {
    "eight passes, TRL's figures": trls_figures,
    "eight passes, batches waited for": batches_waited_for,
    "eight passes, the card asked": card_asked,
}
"""What is taken away from a trainer in a case, by its name."""
FLASH = ("flash_attention_2", "flash_attn")
FLASH_CASES = {
    "flash attention": {"model.attention": FLASH[0]},
    "flash attention, padding-free": {"model.attention": FLASH[0], "training.padding_free": True},
    "flash attention, packed": {"model.attention": FLASH[0], "training.packing": True, "training.batch_size": 2},
}
VARLEN = "torch_varlen"
VARLEN_CASES = {
    "torch's varlen attention, padding-free": {"model.attention": VARLEN, "training.padding_free": True},
    "torch's varlen attention, packed": {
        "model.attention": VARLEN,
        "training.packing": True,
        "training.batch_size": 2,
    },
}
"""It ships with torch; where it is refused, `attention` of the result says what computed instead."""
ON_A_CARD = {"training.precision": "fp32", "model.dtype": "fp32", "training.optimizer": "adamw_torch_fused"}
"""What a rehearsal on a processor takes instead: neither 16-bit formats nor bitsandbytes' optimizers run there."""


def run(results: Any, processes: Any, settings: dict[str, Any]) -> None:
    """The doctor's own checks of products, 4-bit layers and attention; then every training."""
    tiny = settings["rehearsal"]
    results.case("checks", 15, lambda: processes.run("kernel_trainings:checks", {}, limit_seconds=60))
    asked = {"name": MODEL, "tiny": tiny, "rows": settings["rows"]}
    if not provide(results, processes, MODEL, settings):
        return
    flash = FLASH_CASES if find_spec(FLASH[1]) else {}
    wanted = [*CASES.items(), *VARLEN_CASES.items(), *PAIRED_CASES.items(), *flash.items()]
    for name, values in wanted[: settings["cases"] or None]:
        argument = {**asked, "case": name, "values": {**BASE, **values}, "steps": 3 if tiny else STEPS}
        if tiny:
            argument["values"] |= {"training.batch_size": 2}
        results.case(
            name,
            EXPECTED_SECONDS,
            lambda argument=argument: processes.run("kernel_trainings:measure", argument, limit_seconds=90),
        )
    if not flash:
        results.case("flash attention", 0, lambda: {"absent": "flash-attn is not installed here"})


def checks(argument: dict[str, Any]) -> dict[str, Any]:
    """What the doctor finds."""
    from loratui.worker import device_checks

    found = [
        *device_checks.product_checks(),
        *device_checks.quantised_checks(),
        *device_checks.attention_checks(),
    ]
    return {one.name: [one.state, one.meaning] for one in found}


def measure(asked: dict[str, Any]) -> dict[str, Any]:
    """One training, in a process of its own."""
    import torch

    from loratui.core.plan import Plan
    from loratui.core.plan_text import with_values
    from loratui.runs.start import create_run
    from loratui.worker.training.journal import Journal
    from loratui.worker.training.session import Session
    from loratui.worker.training.signals import Requests

    card.open_context()
    with tempfile.TemporaryDirectory(prefix="loratui-kernels-") as name:
        place = Path(name)
        values = {
            "training.max_length": 512,
            **asked["values"],
            "model.id": str(folder_of(asked["name"])),
            "dataset.path": str(shown_rows(asked["rows"], place)),
            "dataset.eval_fraction": 0.0,
            "training.max_steps": asked["steps"],
            "saving.every_steps": 0,
        }
        if not torch.cuda.is_available():
            values |= ON_A_CARD
        if "method.quantization" in values:
            values["method.compute_dtype"] = values.get("training.precision", "bf16")
        plan = with_values(Plan(), values)
        run = create_run(plan, output=place / "run")
        session = Session(run, plan, Journal(run, writes=False), Requests())
        trainer, _ = session.build(output=place / "run" / "checkpoints")
        WITHOUT.get(asked["case"], lambda whole: None)(trainer)
        found = timed(trainer, 1e9, warm_steps=1 if asked["tiny"] else 4)
        losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
        scaler = trainer.accelerator.scaler
        return found | {
            "losses": [round(loss, 4) for loss in losses],
            "finite": all(math.isfinite(loss) for loss in losses),
            "falls": sum(losses[-3:]) < sum(losses[:3]),
            "scale": float(scaler.get_scale()) if scaler is not None else None,
            "optimizer": type(trainer.optimizer.optimizer).__name__,
            "attention": trainer.model.config._attn_implementation,
        }
