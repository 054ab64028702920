"""Bit for bit what a plain TRL script learns from the same rows, whatever is set; where ours is better on purpose
(the evaluation's figure, batches of like length, a quantised model's adapter), its own tests hold it against torch.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from beside_trl import STEPS, THEIRS, plan_of, trained
from tiny_model import write_rows, write_tiny_model

pytestmark = pytest.mark.worker


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("equals")
    write_tiny_model(folder / "model", hidden=64)
    write_rows(folder / "rows.jsonl", 24)
    with (folder / "rows.jsonl").open("a") as file:
        for count in range(1, 9):
            words = " and ".join(str(number) for number in range(count * 4))
            file.write(f'{{"prompt": "count", "completion": "{words}"}}\n')
    return folder


def adapter(**settings: Any) -> Any:
    from peft import LoraConfig

    usual = {"r": 16, "lora_alpha": 32, "target_modules": "all-linear", "task_type": "CAUSAL_LM"}
    return LoraConfig(**usual | settings)


def plain(files: Path, output: Path, rows: Any, lora: Any, settings: dict[str, Any], load: dict[str, Any]) -> Any:
    """The script that a person would write, on ready rows."""
    from datasets import Dataset
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from trl import SFTConfig, SFTTrainer

    trainer = SFTTrainer(
        model=AutoModelForCausalLM.from_pretrained(files / "model", **load),
        processing_class=AutoTokenizer.from_pretrained(files / "model"),
        train_dataset=Dataset.from_list(rows),
        peft_config=lora,
        args=SFTConfig(
            output_dir=str(output),
            dataset_kwargs={"skip_prepare_dataset": True},
            **THEIRS | {"max_length": None} | settings,
        ),
    )
    trainer.train()
    return trainer


def ours(files: Path, output: Path, changes: dict[str, Any]) -> tuple[Any, list[dict[str, Any]]]:
    """Our trainer after its run, and the rows that it had."""
    trainer, prepared = trained(plan_of(files / "model", files / "rows.jsonl", changes), output)
    dataset = prepared.train.as_dataset()
    return trainer, [dataset[number] for number in range(len(dataset))]


SETTINGS: dict[str, tuple[dict[str, Any], dict[str, Any], dict[str, Any]]] = {
    "as it is": ({}, {}, {}),
    "seed": ({"training.seed": 7}, {}, {"seed": 7}),
    "rate": ({"training.learning_rate": 1e-4}, {}, {"learning_rate": 1e-4}),
    "linear": ({"training.scheduler": "linear"}, {}, {"lr_scheduler_type": "linear", "lr_scheduler_kwargs": {}}),
    "constant": ({"training.scheduler": "constant"}, {}, {"lr_scheduler_type": "constant", "lr_scheduler_kwargs": {}}),
    "warm-up": (
        {"training.warmup_steps": 3, "training.min_lr_ratio": 0.3},
        {},
        {"warmup_steps": 3, "lr_scheduler_kwargs": {"min_lr_rate": 0.3}},
    ),
    "decay": ({"training.weight_decay": 0.3}, {}, {"weight_decay": 0.3}),
    "betas": (
        {"training.beta1": 0.8, "training.beta2": 0.95, "training.epsilon": 1e-6},
        {},
        {"adam_beta1": 0.8, "adam_beta2": 0.95, "adam_epsilon": 1e-6},
    ),
    "clipped": ({"training.max_grad_norm": 0.05}, {}, {"max_grad_norm": 0.05}),
    "not clipped": ({"training.max_grad_norm": 0}, {}, {"max_grad_norm": 0}),
    "plain AdamW": ({"training.optimizer": "adamw_torch"}, {}, {"optim": "adamw_torch"}),
    "batch of 1": ({"training.batch_size": 1}, {}, {"per_device_train_batch_size": 1}),
    "accumulation": (
        {"training.batch_size": 2, "training.accumulation": 3},
        {},
        {"per_device_train_batch_size": 2, "gradient_accumulation_steps": 3},
    ),
    "passes": (
        {"training.max_steps": 0, "training.epochs": 1.5, "training.batch_size": 5, "training.accumulation": 2},
        {},
        {"max_steps": -1, "num_train_epochs": 1.5, "per_device_train_batch_size": 5, "gradient_accumulation_steps": 2},
    ),
    "recomputed": (
        {"training.checkpointing": True},
        {},
        {"gradient_checkpointing": True, "gradient_checkpointing_kwargs": {"use_reentrant": False}},
    ),
    "end to end": ({"training.padding_free": True}, {}, {"padding_free": True}),
    "eager": ({"model.attention": "eager"}, {}, {}),
    "every token": ({"training.loss_on": "all"}, {}, {}),
    "cut": ({"training.max_length": 24}, {}, {}),
    "rank and alpha": ({"lora.r": 4, "lora.alpha": 3}, {"r": 4, "lora_alpha": 3}, {}),
    "rslora": (
        {"lora.variant": "rslora", "lora.targets": ["q_proj", "v_proj"]},
        {"use_rslora": True, "target_modules": ["q_proj", "v_proj"]},
        {},
    ),
    "dora with dropout": (
        {"lora.variant": "dora", "lora.dropout": 0.1},
        {"use_dora": True, "lora_dropout": 0.1},
        {},
    ),
    "whole model": ({"method.kind": "full", "training.learning_rate": 1e-3}, {}, {"learning_rate": 1e-3}),
    "bfloat16": ({"model.dtype": "bf16", "training.precision": "bf16"}, {}, {"bf16": True}),
}
TOGETHER = [
    ("as it is",),
    ("seed", "rate", "linear", "decay", "betas", "clipped", "rank and alpha"),
    ("constant", "not clipped", "plain AdamW", "batch of 1", "eager"),
    ("warm-up", "accumulation", "every token", "cut", "rslora"),
    ("passes", "recomputed"),
    ("end to end",),
    ("dora with dropout",),
    ("whole model",),
    ("bfloat16",),
]
"""What is set in one run: none of one group hides another, and one that differs shows in the whole."""


def test_every_setting_is_in_one_run() -> None:
    assert sorted(name for names in TOGETHER for name in names) == sorted(SETTINGS)


@pytest.mark.parametrize("names", TOGETHER, ids=", ".join)
def test_what_is_learnt_is_bit_for_bit_trls(files: Path, tmp_path: Path, names: tuple[str, ...]) -> None:
    changes, lora, settings = ({k: v for name in names for k, v in SETTINGS[name][at].items()} for at in range(3))
    trainer, rows = ours(files, tmp_path / "ours", changes)
    load = {
        "dtype": torch.bfloat16 if settings.get("bf16") else torch.float32,
        "attn_implementation": changes.get("model.attention", "sdpa"),
    }
    shape = None if changes.get("method.kind") == "full" else adapter(**lora)
    rival = plain(files, tmp_path / "theirs", rows, shape, settings, load)
    one, other = ([entry["loss"] for entry in each.state.log_history if "loss" in entry] for each in (trainer, rival))
    assert len(one) >= STEPS and one == other
    theirs = dict(rival.model.named_parameters())
    learnt = {name: value for name, value in trainer.model.named_parameters() if value.requires_grad}
    assert learnt and all(torch.equal(value, theirs[name]) for name, value in learnt.items())
