"""Other tools' configurations as plan values, and what did not carry over."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any

import pytest
import yaml

from loratui.core.dataset import uniform
from loratui.core.errors import PlanError
from loratui.core.families import read_config
from loratui.core.hardware import Device
from loratui.core.imports import import_configuration
from loratui.core.plan import Plan
from loratui.core.plan_text import with_values
from loratui.core.proposal import propose
from loratui.core.situation import Situation
from loratui.export import TOOLS, Rows, export_plan
from loratui.presets_store import find_preset, read_configuration

SEED_AXOLOTL = """
base_model: meta-llama/Meta-Llama-3-8B
model_type: LlamaForCausalLM
load_in_4bit: true
adapter: lora
lora_r: 16
lora_alpha: 32
lora_dropout: 0.05
lora_target_modules: [q_proj, v_proj, k_proj, o_proj]
dataset_prepared_path: ./prepared_data
datasets:
  - path: ./data/train.jsonl
    type: alpaca
sequence_len: 2048
micro_batch_size: 2
gradient_accumulation_steps: 8
num_epochs: 2
learning_rate: 2e-4
lr_scheduler: cosine
warmup_ratio: 0.03
"""
FACTORY = """
model_name_or_path: meta-llama/Meta-Llama-3-8B-Instruct
stage: sft
do_train: true
finetuning_type: lora
lora_rank: 8
lora_target: all
dataset: identity,alpaca_en_demo
template: llama3
cutoff_len: 2048
max_samples: 1000
overwrite_cache: true
output_dir: saves/llama3
per_device_train_batch_size: 1
gradient_accumulation_steps: 8
learning_rate: 1.0e-4
num_train_epochs: 3.0
lr_scheduler_type: cosine
warmup_ratio: 0.1
bf16: true
val_size: 0.1
eval_strategy: steps
eval_steps: 500
quantization_bit: 4
"""
ARGUMENTS = """
model_name_or_path: Qwen/Qwen3-0.6B
dtype: bfloat16
per_device_train_batch_size: 4
gradient_accumulation_steps: 4
num_train_epochs: 2
learning_rate: 0.0002
lr_scheduler_type: cosine_with_min_lr
lr_scheduler_kwargs: {min_lr_rate: 0.1}
warmup_steps: 0.05
optim: adafactor
neftune_noise_alpha: 5
use_peft: true
lora_r: 32
bf16: true
gradient_checkpointing: true
eval_strategy: "no"
"""


def read(text: str) -> Any:
    return import_configuration(yaml.safe_load(text), "config.yaml")


def test_the_guides_axolotl_configuration() -> None:
    found = read(SEED_AXOLOTL)
    assert found.tool == "Axolotl" and found.left_out == () and found.warmup_ratio == 0.03
    assert found.values == {
        "model.id": "meta-llama/Meta-Llama-3-8B",
        "method.kind": "qlora",
        "method.quantization": "nf4",
        "method.double_quantization": True,
        "lora.r": 16,
        "lora.alpha": 32.0,
        "lora.dropout": 0.05,
        "lora.variant": "lora",
        "lora.targets": ["q_proj", "v_proj", "k_proj", "o_proj"],
        "dataset.path": "./data/train.jsonl",
        "dataset.format": "instruction",
        "training.max_length": 2048,
        "training.batch_size": 2,
        "training.accumulation": 8,
        "training.epochs": 2.0,
        "training.learning_rate": 2e-4,
        "training.scheduler": "cosine",
        "training.min_lr_ratio": 0.0,
        "training.checkpointing": False,
        "training.loss_on": "answers",
    }


def test_a_llama_factory_configuration() -> None:
    found = read(FACTORY)
    assert found.tool == "LLaMA-Factory" and found.warmup_ratio == 0.1
    assert found.values["lora.targets"] == "all-linear" and found.values["lora.alpha"] == 16
    assert found.values["method.kind"] == "qlora" and found.values["training.checkpointing"] is True
    assert found.values["dataset.eval_fraction"] == 0.1 and found.values["evaluation.every_steps"] == 500
    words = " ".join(found.left_out)
    for word in ("dataset = ", "template = ", "max_samples = 1000"):
        assert word in words
    assert "output_dir" not in words


def test_training_arguments() -> None:
    found = read(ARGUMENTS)
    assert found.tool == "TRL" and found.warmup_ratio == 0.05
    assert found.values["training.min_lr_ratio"] == 0.1 and found.values["lora.r"] == 32
    assert found.values["evaluation.every_steps"] == 0 and "training.optimizer" not in found.values
    assert any("adafactor" in sentence for sentence in found.left_out)
    assert any("neftune_noise_alpha = 5" in sentence for sentence in found.left_out)


def test_the_calculation_fills_the_rest() -> None:
    spec = read_config({"model_type": "llama", "num_hidden_layers": 2})
    device = Device(name="GPU", memory_total_bytes=2**35, memory_free_bytes=2**35, compute_capability=(8, 6))
    proposal = propose(Situation(spec, uniform(1600, 128), device), read(SEED_AXOLOTL).preset("mine"))
    assert proposal.plan.training.warmup_steps == 6 and proposal.schedule.total_steps == 200
    assert (
        proposal.origins["training.learning_rate"] == "preset"
        and proposal.origins["training.weight_decay"] == "proposed"
    )


def test_what_did_not_carry_over_is_a_warning_of_the_plan() -> None:
    spec = read_config({"model_type": "llama", "num_hidden_layers": 2})
    device = Device(name="GPU", memory_total_bytes=2**35, memory_free_bytes=2**35, compute_capability=(8, 6))
    warnings = propose(Situation(spec, uniform(1600, 128), device), read(ARGUMENTS).preset("mine")).warnings
    assert "Not carried over from TRL: neftune_noise_alpha = 5: loratui has no such setting." in warnings


PLANS: list[dict[str, Any]] = [
    {
        "method.kind": kind,
        "method.quantization": quantisation,
        "lora.variant": variant,
        "training.scheduler": scheduler,
        "lora.targets": targets,
    }
    for (kind, quantisation), variant, scheduler, targets in product(
        [("full", "none"), ("lora", "none"), ("qlora", "nf4"), ("qlora", "fp4"), ("qlora", "int8")],
        ["lora", "dora", "rslora"],
        ["cosine", "linear", "constant"],
        ["all-linear", ["q_proj", "v_proj"]],
    )
]


@pytest.mark.parametrize("tool", [tool for tool in TOOLS if tool in ("axolotl", "llama-factory", "trl")])
@pytest.mark.parametrize(
    "values",
    PLANS[::7],
    ids=lambda values: f"{values['method.kind']}-{values['method.quantization']}-{values['lora.variant']}",
)
def test_what_was_exported_comes_back(tool: str, values: dict[str, Any]) -> None:
    plan = with_values(
        Plan(),
        {
            **values,
            "model.id": "org/model",
            "lora.r": 7,
            "lora.alpha": 13,
            "lora.dropout": 0.07,
            "training.batch_size": 3,
            "training.accumulation": 5,
            "training.max_length": 777,
            "training.epochs": 2.5,
            "training.learning_rate": 1.7e-4,
            "training.min_lr_ratio": 0.2,
            "training.warmup_steps": 11,
            "training.weight_decay": 0.03,
            "training.beta1": 0.8,
            "training.beta2": 0.95,
            "training.epsilon": 1e-7,
            "training.max_grad_norm": 0.4,
            "training.checkpointing": True,
            "training.seed": 7,
            "evaluation.every_steps": 20,
            "saving.every_steps": 30,
            "saving.keep": 5,
            "method.double_quantization": values["method.quantization"] in ("nf4", "fp4"),
        },
    )
    found = import_configuration(yaml.safe_load(export_plan(plan, tool, Rows("/data")).text))
    back = with_values(Plan(), found.values)
    lost = {
        "dataset.path",
        "training.loss_on",
        "dataset.eval_path",
        "dataset.format",
        "model.dtype",
        "dataset.eval_fraction",
        "model.chat_template",
    }
    if plan.training.scheduler != "cosine":
        lost.add("training.min_lr_ratio")
    if plan.method.kind == "full":
        lost |= {"lora.r", "lora.alpha", "lora.dropout", "lora.targets", "lora.variant"}
    for section, fields in plan.model_dump(exclude={"version"}).items():
        for name, value in fields.items():
            if f"{section}.{name}" not in lost:
                assert back.get(f"{section}.{name}") == value, f"{section}.{name}"


@pytest.mark.parametrize("document", [None, [], 3, "text", {}, {"colour": "red"}])
def test_what_is_no_configuration_says_so(document: Any) -> None:
    with pytest.raises(PlanError) as error:
        import_configuration(document, "config.yaml")
    assert error.value.sentence.startswith("config.yaml: ")


def test_a_value_that_is_not_allowed_is_told_not_raised() -> None:
    found = import_configuration(
        {"base_model": "m", "micro_batch_size": "many", "num_epochs": -1, "lora_r": 8, "adapter": "lora"}
    )
    assert len(found.left_out) == 2 and "micro_batch_size" in found.left_out[0]


def test_a_configuration_file_is_a_preset(tmp_path: Path) -> None:
    path = tmp_path / "axolotl.yaml"
    path.write_text(SEED_AXOLOTL)
    preset = find_preset(str(path))
    assert preset.values["lora.r"] == 16 and preset.warmup_ratio == 0.03 and "Axolotl" in preset.title
    path.write_text("base_model: [unclosed")
    with pytest.raises(PlanError) as error:
        read_configuration(path)
    assert "not YAML" in error.value.sentence and "line" in error.value.sentence
    with pytest.raises(PlanError):
        read_configuration(tmp_path / "absent.yaml")
