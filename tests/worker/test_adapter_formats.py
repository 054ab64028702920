"""Adapters: no update is rounded away on a quantised base, and sparing PEFT's casts changes no bit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_model import write_rows, write_tiny_model

from loratui.core.plan import Plan
from loratui.core.plan_text import with_values
from loratui.runs.start import create_run
from loratui.worker.training.journal import Journal
from loratui.worker.training.session import Session
from loratui.worker.training.signals import Requests

pytestmark = pytest.mark.worker


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("formats")
    write_tiny_model(folder / "model", hidden=64)
    write_rows(folder / "rows.jsonl", 24)
    return folder


def build(files: Path, output: Path, **changes: Any) -> Any:
    values = {
        "model.id": str(files / "model"),
        "model.dtype": "bf16",
        "dataset.path": str(files / "rows.jsonl"),
        "dataset.eval_fraction": 0,
        "training.precision": "bf16",
        "training.batch_size": 4,
        "training.max_length": 64,
        "training.max_steps": 6,
        "evaluation.every_steps": 0,
        "saving.every_steps": 0,
    }
    plan = with_values(Plan(), values | {key.replace("__", "."): value for key, value in changes.items()})
    run = create_run(plan, output=output)
    journal = Journal(run)
    trainer, _ = Session(run, plan, journal, Requests()).build()
    journal.close("stopped")
    return trainer


def trained(trainer: Any) -> dict[str, torch.Tensor]:
    trainer.train()
    return {name: value.detach().clone() for name, value in trainer.model.named_parameters() if value.requires_grad}


@pytest.mark.parametrize("checkpointing", [False, True])
def test_without_the_casts_every_bit_is_the_same(files: Path, tmp_path: Path, checkpointing: bool) -> None:
    from peft.tuners.tuners_utils import BaseTunerLayer

    spared = build(files, tmp_path / "spared", training__checkpointing=checkpointing)
    plain = build(files, tmp_path / "plain", training__checkpointing=checkpointing)
    layers = [module for module in spared.model.modules() if isinstance(module, BaseTunerLayer)]
    assert layers and all(not module.cast_input_dtype_enabled for module in layers)
    for module in plain.model.modules():
        if isinstance(module, BaseTunerLayer):
            module.cast_input_dtype_enabled = True
    ours, theirs = trained(spared), trained(plain)
    assert [entry["loss"] for entry in spared.state.log_history if "loss" in entry] == [
        entry["loss"] for entry in plain.state.log_history if "loss" in entry
    ]
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_at_a_small_rate_every_element_of_a_quantised_models_adapter_moves(files: Path, tmp_path: Path) -> None:
    trainer = build(
        files,
        tmp_path / "qlora",
        method__kind="qlora",
        method__quantization="nf4",
        method__compute_dtype="bf16",
        training__learning_rate=2e-5,
    )
    before = {name: value.detach().clone() for name, value in trainer.model.named_parameters() if "lora_A" in name}
    assert {value.dtype for value in before.values()} == {torch.float32}
    after = trained(trainer)
    moved = torch.cat([(after[name] != value).flatten() for name, value in before.items()])
    assert moved.double().mean() > 0.99
