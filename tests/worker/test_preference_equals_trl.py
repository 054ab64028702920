"""Preferences are learnt as a plain TRL script learns them from the same rows: losses, rewards and margins, step by
step, and the weights in the end.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from beside_trl import STEPS, THEIRS, plan_of, trained
from pair_rows import FORMS, pairs, write_pairs
from tiny_model import write_tiny_model

pytestmark = pytest.mark.worker
FIGURES = ("loss", "rewards/chosen", "rewards/rejected", "rewards/margins", "rewards/accuracies", "grad_norm")
TEMPLATE = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' "
    "}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
"""Nothing stands after an answer's end: TRL would learn that, too, and we never do."""


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("preferences")
    write_tiny_model(folder / "model", hidden=32, template=TEMPLATE)
    for name, form in FORMS.items():
        write_pairs(folder / f"{name}.jsonl", [form(row) for row in pairs()])
    return folder


def ours(files: Path, output: Path, changes: dict[str, Any]) -> Any:
    return trained(plan_of(files / "model", files / "explicit.jsonl", {"training.objective": "dpo"} | changes), output)[
        0
    ]


def plain(files: Path, output: Path, rows: list[dict[str, Any]], settings: dict[str, Any], lora: Any = None) -> Any:
    """The script that a person would write."""
    from datasets import Dataset
    from peft import LoraConfig, PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from trl import DPOConfig, DPOTrainer

    model: Any = AutoModelForCausalLM.from_pretrained(files / "model", dtype=torch.float32)
    if isinstance(lora, Path):
        model, lora = PeftModel.from_pretrained(model, str(lora), is_trainable=True), None
    elif lora is None:
        lora = LoraConfig(r=16, lora_alpha=32, target_modules="all-linear", task_type="CAUSAL_LM")
    trainer = DPOTrainer(
        model=model,
        processing_class=AutoTokenizer.from_pretrained(files / "model"),
        train_dataset=Dataset.from_list(rows),
        peft_config=lora or None,
        args=DPOConfig(output_dir=str(output), **THEIRS | {"max_length": 256} | settings),
    )
    trainer.train()
    return trainer


def alike(one: Any, other: Any) -> None:
    """Every figure of every step, and every trained weight, to float noise."""
    told, theirs = ([entry for entry in each.state.log_history if "loss" in entry] for each in (one, other))
    assert len(told) == len(theirs) >= STEPS
    for name in FIGURES:
        assert [entry[name] for entry in told] == pytest.approx([entry[name] for entry in theirs], rel=1e-4, abs=1e-6)
    weights = dict(other.model.named_parameters())
    trained = {name: value for name, value in one.model.named_parameters() if value.requires_grad}
    assert trained
    assert all(torch.allclose(value, weights[name], rtol=1e-3, atol=2e-5) for name, value in trained.items())


SETTINGS: dict[str, tuple[dict[str, Any], dict[str, Any], Any]] = {
    "as it is": ({}, {}, None),
    "beta": ({"preference.beta": 0.5}, {"beta": 0.5}, None),
    "ipo": ({"preference.loss": "ipo"}, {"loss_type": ["ipo"]}, None),
    "apo_zero": ({"preference.loss": "apo_zero"}, {"loss_type": ["apo_zero"]}, None),
    "by tokens": (
        {"preference.loss": "sigmoid_norm", "preference.beta": 5.0},
        {"loss_type": ["sigmoid_norm"], "beta": 5.0},
        None,
    ),
    "robust": (
        {"preference.loss": "robust", "preference.label_smoothing": 0.1},
        {"loss_type": ["robust"], "label_smoothing": 0.1},
        None,
    ),
    "with SFT": (
        {"preference.sft_weight": 0.3},
        {"loss_type": ["sigmoid", "sft"], "loss_weights": [1.0, 0.3]},
        None,
    ),
    "length": ({"preference.length_weight": 0.4}, {"ld_alpha": 0.4}, None),
    "accumulation": (
        {"training.batch_size": 2, "training.accumulation": 3},
        {"per_device_train_batch_size": 2, "gradient_accumulation_steps": 3},
        None,
    ),
    "cut": ({"training.max_length": 22}, {"max_length": 22}, None),
    "precomputed": ({"preference.reference": "precomputed"}, {"precompute_ref_log_probs": True}, None),
    "whole model": ({"method.kind": "full", "training.learning_rate": 1e-3}, {"learning_rate": 1e-3}, False),
    "whole model, precomputed": (
        {"method.kind": "full", "training.learning_rate": 1e-3, "preference.reference": "precomputed"},
        {"learning_rate": 1e-3, "precompute_ref_log_probs": True},
        False,
    ),
    "recomputed": (
        {"training.checkpointing": True},
        {"gradient_checkpointing": True, "gradient_checkpointing_kwargs": {"use_reentrant": False}},
        None,
    ),
}


@pytest.mark.parametrize("name", SETTINGS)
def test_preferences_are_learnt_as_trl_learns_them(files: Path, tmp_path: Path, name: str) -> None:
    changes, settings, lora = SETTINGS[name]
    rows = [FORMS["explicit"](row) for row in pairs()]
    alike(ours(files, tmp_path / "ours", changes), plain(files, tmp_path / "theirs", rows, settings, lora))


def test_of_an_adapter_that_is_gone_on_from_the_reference_is_a_copy(files: Path, tmp_path: Path) -> None:
    first = ours(files, tmp_path / "first", {})
    first.model.save_pretrained(tmp_path / "adapter")
    begun = ours(files, tmp_path / "ours", {"lora.adapter": str(tmp_path / "adapter"), "training.seed": 7})
    rows = [FORMS["explicit"](row) for row in pairs()]
    alike(begun, plain(files, tmp_path / "theirs", rows, {"seed": 7}, tmp_path / "adapter"))
    assert begun.state.log_history[0]["rewards/margins"] == 0, "at the first step the model is its own reference"
    begun.model.save_pretrained(tmp_path / "result")
    assert not (tmp_path / "result" / "ref").exists()
