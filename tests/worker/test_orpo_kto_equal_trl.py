"""ORPO and KTO are learnt as plain TRL scripts learn them from the same rows: losses, rewards and margins, step by
step, and the weights in the end.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from beside_trl import STEPS, THEIRS, plan_of, trained
from judged_rows import as_turns, judged
from pair_rows import explicit, pairs, write_pairs
from tiny_model import write_tiny_model

pytestmark = pytest.mark.worker
SHARED = ("loss", "grad_norm", "num_tokens", "rewards/chosen", "rewards/rejected", "rewards/margins", "logps/chosen")
FIGURES = {
    "orpo": (*SHARED, "rewards/accuracies", "nll_loss", "log_odds_ratio", "log_odds_chosen"),
    "kto": (*SHARED, "kl"),
}
TEMPLATE = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' "
    "}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
"""Nothing stands after an answer's end: TRL would learn that, too, and we never do."""
WHOLE: dict[str, Any] = {"method.kind": "full", "training.learning_rate": 1e-3}
ONCE: dict[str, Any] = {"preference.reference": "precomputed"}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("preferences")
    write_tiny_model(folder / "model", hidden=32, template=TEMPLATE)
    write_pairs(folder / "pairs.jsonl", [explicit(row) for row in pairs()])
    write_pairs(folder / "judged.jsonl", [as_turns(row) for row in judged()])
    return folder


def plain(files: Path, output: Path, objective: str, rows: Any, settings: dict[str, Any], lora: Any) -> Any:
    """The script that a person would write."""
    from peft import LoraConfig, PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from trl import KTOConfig, KTOTrainer
    from trl.experimental.orpo import ORPOConfig, ORPOTrainer

    model: Any = AutoModelForCausalLM.from_pretrained(files / "model", dtype=torch.float32)
    if isinstance(lora, Path):
        model, lora = PeftModel.from_pretrained(model, str(lora), is_trainable=True), None
    elif lora is None:
        lora = LoraConfig(r=16, lora_alpha=32, target_modules="all-linear", task_type="CAUSAL_LM")
    kinds: dict[str, Any] = {"orpo": (ORPOTrainer, ORPOConfig), "kto": (KTOTrainer, KTOConfig)}
    make, config = kinds[objective]
    trainer = make(
        model=model,
        processing_class=AutoTokenizer.from_pretrained(files / "model"),
        train_dataset=rows,
        peft_config=lora or None,
        args=config(output_dir=str(output), **THEIRS | {"max_length": 256} | settings),
    )
    trainer.train()
    return trainer


def alike(one: Any, other: Any, names: tuple[str, ...]) -> None:
    """Every figure of every step, and every trained weight, to float noise."""
    told, theirs = ([entry for entry in each.state.log_history if "loss" in entry] for each in (one, other))
    assert len(told) == len(theirs) >= STEPS
    for name in names:
        known = [at for at, entry in enumerate(theirs) if name in entry]
        if name == "num_tokens" and not known:
            continue  # TRL's ORPO counts none
        assert known, name
        mine = [told[at].get(name) for at in known]
        assert mine == pytest.approx([theirs[at][name] for at in known], rel=1e-4, abs=2e-6), name
    weights = dict(other.model.named_parameters())
    learnt = {name: value for name, value in one.model.named_parameters() if value.requires_grad}
    assert learnt
    assert all(torch.allclose(value, weights[name], rtol=1e-3, atol=2e-5) for name, value in learnt.items())


SETTINGS: list[tuple[str, str, dict[str, Any], dict[str, Any], Any]] = [
    ("as it is", "orpo", {}, {}, None),
    ("beta", "orpo", {"preference.beta": 0.5}, {"beta": 0.5}, None),
    ("cut", "orpo", {"training.max_length": 24}, {"max_length": 24}, None),
    (
        "accumulation",
        "orpo",
        {"training.batch_size": 2, "training.accumulation": 3},
        {"per_device_train_batch_size": 2, "gradient_accumulation_steps": 3},
        None,
    ),
    (
        "whole model, recomputed",
        "orpo",
        WHOLE | {"training.checkpointing": True},
        {
            "learning_rate": 1e-3,
            "gradient_checkpointing": True,
            "gradient_checkpointing_kwargs": {"use_reentrant": False},
        },
        False,
    ),
    ("as it is", "kto", {}, {}, None),
    (
        "weights and beta",
        "kto",
        {"preference.beta": 0.5, "preference.desirable_weight": 0.7, "preference.undesirable_weight": 1.4},
        {"beta": 0.5, "desirable_weight": 0.7, "undesirable_weight": 1.4},
        None,
    ),
    (
        "without KL",
        "kto",
        {"preference.kto_loss": "apo_zero_unpaired"},
        {"loss_type": "apo_zero_unpaired", "train_sampling_strategy": "random"},
        None,
    ),
    ("cut", "kto", {"training.max_length": 22}, {"max_length": 22}, None),
    ("precomputed", "kto", ONCE, {"precompute_ref_log_probs": True}, None),
    (
        "accumulation",
        "kto",
        {"training.batch_size": 2, "training.accumulation": 3},
        {"per_device_train_batch_size": 2, "gradient_accumulation_steps": 3},
        None,
    ),
    ("whole model", "kto", WHOLE, {"learning_rate": 1e-3}, False),
    (
        "whole model, precomputed",
        "kto",
        WHOLE | ONCE,
        {"learning_rate": 1e-3, "precompute_ref_log_probs": True},
        False,
    ),
]


@pytest.mark.parametrize(
    ("objective", "changes", "settings", "lora"),
    [one[1:] for one in SETTINGS],
    ids=[f"{one[1]} {one[0]}" for one in SETTINGS],
)
def test_preferences_are_learnt_as_trl_learns_them(
    files: Path, tmp_path: Path, objective: str, changes: dict[str, Any], settings: dict[str, Any], lora: Any
) -> None:
    from datasets import Dataset

    path = files / ("judged.jsonl" if objective == "kto" else "pairs.jsonl")
    rows = Dataset.from_list(list(map(as_turns, judged()) if objective == "kto" else map(explicit, pairs())))
    plan = plan_of(files / "model", path, {"training.objective": objective} | changes)
    ours = trained(plan, tmp_path / "ours")[0]
    if objective == "kto":
        rows = rows.shuffle(seed=42)
    alike(ours, plain(files, tmp_path / "theirs", objective, rows, settings, lora), FIGURES[objective])


def test_of_an_adapter_that_is_gone_on_from_ktos_reference_is_a_copy(files: Path, tmp_path: Path) -> None:
    from datasets import Dataset

    plan = plan_of(files / "model", files / "judged.jsonl", {"training.objective": "kto"})
    first = trained(plan, tmp_path / "first")[0]
    first.model.save_pretrained(tmp_path / "adapter")
    changes = {"training.objective": "kto", "lora.adapter": str(tmp_path / "adapter"), "training.seed": 7}
    begun = trained(plan_of(files / "model", files / "judged.jsonl", changes), tmp_path / "ours")[0]
    rows = Dataset.from_list([as_turns(row) for row in judged()]).shuffle(seed=7)
    alike(begun, plain(files, tmp_path / "theirs", "kto", rows, {"seed": 7}, tmp_path / "adapter"), FIGURES["kto"])
    assert begun.state.log_history[0]["rewards/margins"] == 0, "at the first step the model is its own reference"


@pytest.mark.parametrize("objective", ["dpo", "orpo", "kto"])
def test_on_an_nf4_base_they_are_learnt_as_trl_learns_them_with_an_adapter_in_float32(
    files: Path, tmp_path: Path, objective: str
) -> None:
    from datasets import Dataset
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM, AutoTokenizer, BitsAndBytesConfig
    from trl import DPOConfig, DPOTrainer, KTOConfig, KTOTrainer
    from trl.experimental.orpo import ORPOConfig, ORPOTrainer

    kto = objective == "kto"
    changes = {
        "training.objective": objective,
        "method.kind": "qlora",
        "method.quantization": "nf4",
        "method.compute_dtype": "fp32",
    }
    plan = plan_of(files / "model", files / ("judged.jsonl" if kto else "pairs.jsonl"), changes)
    ours = trained(plan, tmp_path / "ours")[0]
    packed = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=torch.float32)
    model: Any = AutoModelForCausalLM.from_pretrained(files / "model", dtype=torch.float32, quantization_config=packed)
    lora: Any = LoraConfig(r=16, lora_alpha=32, target_modules="all-linear", task_type="CAUSAL_LM")
    kinds: dict[str, Any] = {
        "dpo": (DPOTrainer, DPOConfig),
        "orpo": (ORPOTrainer, ORPOConfig),
        "kto": (KTOTrainer, KTOConfig),
    }
    make, config = kinds[objective]
    if objective == "orpo":  # else TRL would turn the adapter into bfloat16
        torch.manual_seed(42)
        model, lora = get_peft_model(model, lora), None
    rows = Dataset.from_list(list(map(as_turns, judged()) if kto else map(explicit, pairs())))
    theirs = make(
        model=model,
        processing_class=AutoTokenizer.from_pretrained(files / "model"),
        train_dataset=rows.shuffle(seed=42) if kto else rows,
        peft_config=lora,
        args=config(output_dir=str(tmp_path / "theirs"), **THEIRS | {"max_length": 256}),
    )
    for parameter in theirs.model.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.float()
    theirs.train()
    alike(ours, theirs, FIGURES.get(objective, SHARED))
