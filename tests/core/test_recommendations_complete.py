"""Every field that decides a training is proposed, and each proposal says all that it owes."""

from __future__ import annotations

import pytest

from loratui.core.dataset import DataFacts, uniform
from loratui.core.hardware import Device
from loratui.core.proposal import Proposal, propose
from loratui.core.recommendation import Recommendation
from loratui.core.situation import Situation
from loratui.models.find import find_model

GIB = 2**30
LONG_TAIL = DataFacts(3_000, (*sorted(50 + (number * 37) % 900 for number in range(3_000)), 4_000), eval_examples=150)
CARDS = {
    "a100": Device(
        name="A100",
        memory_total_bytes=80 * GIB,
        memory_free_bytes=79 * GIB,
        compute_capability=(8, 0),
        peak_flops=312e12,
    ),
    "t4": Device(
        name="T4", memory_total_bytes=15 * GIB, memory_free_bytes=14 * GIB, compute_capability=(7, 5), peak_flops=65e12
    ),
    "cpu": Device(name="CPU", kind="cpu", memory_total_bytes=32 * GIB, memory_free_bytes=30 * GIB),
}
DECIDED = {
    "method.kind",
    "lora.r",
    "lora.alpha",
    "lora.variant",
    "lora.dropout",
    "lora.targets",
    "training.learning_rate",
    "training.batch_size",
    "training.accumulation",
    "training.epochs",
    "training.max_steps",
    "training.max_length",
    "training.warmup_steps",
    "training.scheduler",
    "training.min_lr_ratio",
    "training.beta1",
    "training.beta2",
    "training.epsilon",
    "training.weight_decay",
    "training.max_grad_norm",
    "training.optimizer",
    "training.precision",
    "method.quantization",
    "method.double_quantization",
    "method.compute_dtype",
    "model.dtype",
    "model.attention",
    "training.checkpointing",
    "training.packing",
    "training.padding_free",
    "training.group_by_length",
    "training.compile",
    "training.liger",
    "evaluation.every_steps",
    "evaluation.batch_size",
    "evaluation.patience",
    "saving.every_steps",
    "saving.keep",
    "training.seed",
    "dataset.eval_fraction",
}
FOLK = {
    "lora.r": 16,
    "lora.dropout": 0.05,
    "training.epochs": 3.0,
    "training.beta1": 0.9,
    "training.beta2": 0.999,
    "training.epsilon": 1e-8,
    "training.weight_decay": 0.01,
    "training.max_grad_norm": 1.0,
    "training.scheduler": "cosine",
    "training.min_lr_ratio": 0.1,
}


def proposals() -> list[Proposal]:
    found = []
    for name in ("Qwen/Qwen3-0.6B", "meta-llama/Llama-3.1-8B", "openai/gpt-oss-20b", "google/gemma-2-2b"):
        for card in CARDS.values():
            for by_hand in ({}, {"method.kind": "full"}, {"method.kind": "qlora", "lora.variant": "rslora"}):
                for data in (LONG_TAIL, uniform(30, 100)):
                    found.append(propose(Situation(find_model(name, online=False).spec, data, card), by_hand=by_hand))
    return found


def test_everything_that_is_owed_is_there() -> None:
    incomplete = set()
    for proposal in proposals():
        assert set(proposal.recommendations) == DECIDED
        for key, reason in proposal.recommendations.items():
            incomplete |= {
                (key, name) for name in ("why", "formula", "source", "up", "down") if not getattr(reason, name).strip()
            }
            assert reason.why.count("\n") == 0 and reason.why.endswith("."), (key, reason.why)
    assert not incomplete


def test_the_folk_value_stands_beside() -> None:
    for proposal in proposals():
        for key, value in FOLK.items():
            assert proposal.recommendations[key].rule_of_thumb == value, key
        beside = proposal.recommendations
        assert (
            beside["training.warmup_steps"].rule_of_thumb is not None
            and beside["training.batch_size"].rule_of_thumb is not None
        )
        assert beside["lora.alpha"].rule_of_thumb == 2 * proposal.plan.lora.r


@pytest.mark.parametrize(
    "key",
    [
        "method.kind",
        "lora.alpha",
        "lora.dropout",
        "lora.r",
        "lora.targets",
        "training.learning_rate",
        "training.warmup_steps",
        "training.epochs",
        "training.max_length",
        "training.accumulation",
        "training.batch_size",
        "training.beta2",
        "training.weight_decay",
        "training.max_grad_norm",
        "training.scheduler",
        "training.checkpointing",
        "lora.variant",
    ],
)
def test_what_the_sources_disagree_about_is_said(key: str) -> None:
    reason: Recommendation = proposals()[0].recommendations[key]
    assert len(reason.disagreement) > 30


@pytest.mark.parametrize(
    ("name", "capability", "installed", "kernel"),
    [
        ("Qwen/Qwen3-0.6B", (8, 0), ("flash_attention_2",), "flash_attention_2"),
        ("Qwen/Qwen3-0.6B", (9, 0), ("flash_attention_3", "flash_attention_2"), "flash_attention_3"),
        ("Qwen/Qwen3-0.6B", (8, 9), ("flash_attention_3",), "sdpa"),
        ("Qwen/Qwen3-0.6B", (7, 5), ("flash_attention_2",), "sdpa"),
        ("google/gemma-2-2b", (8, 0), ("flash_attention_2",), "flash_attention_2"),
        ("openai/gpt-oss-20b", (9, 0), ("flash_attention_3", "flash_attention_2"), "eager"),
    ],
)
def test_the_fastest_attention_that_is_there(
    name: str, capability: tuple[int, int], installed: tuple[str, ...], kernel: str
) -> None:
    card = Device(
        name="card",
        memory_total_bytes=80 * GIB,
        memory_free_bytes=79 * GIB,
        compute_capability=capability,
        attention_kernels=installed,
    )
    plan = propose(Situation(find_model(name, online=False).spec, LONG_TAIL, card)).plan
    assert plan.model.attention == kernel
    assert plan.training.padding_free is kernel.startswith("flash"), "no padding where the attention allows"
