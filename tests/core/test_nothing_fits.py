"""Where nothing fits, the plan that is proposed is the one that comes nearest."""

from __future__ import annotations

from typing import Any

import pytest
from test_reasons_hold import made

from loratui.core.dataset import uniform
from loratui.core.memory import estimate
from loratui.core.plan_text import with_values
from loratui.core.proposal import Proposal

DATA = uniform(5_000, 2_048)
STATES = ({}, {"training.optimizer": "paged_adamw_8bit"}, {"training.optimizer": "adamw_torch_fused"})
METHODS: dict[str, tuple[dict[str, Any], ...]] = {
    "full": ({"model.dtype": "fp32"}, {"model.dtype": "bf16"}),
    "lora": ({},),
    "qlora": ({},),
}


def nearer(proposal: Proposal, fixed: dict[str, Any]) -> list[dict[str, Any]]:
    """Other weights, states, ways to divide them and checkpointing of the same method that need less; none of what is
    fixed.
    """
    assert not proposal.fits
    found = []
    for weights in METHODS[proposal.plan.method.kind]:
        for states in STATES:
            for parallelism in ("ddp", "fsdp") if proposal.device.count > 1 else ("ddp",):
                for again in (False, True):
                    change = {
                        **weights,
                        **states,
                        "hardware.parallelism": parallelism,
                        "training.checkpointing": again,
                        "training.batch_size": 1,
                        "evaluation.batch_size": 1,
                    }
                    divided_bytes = parallelism == "fsdp" and "8bit" in change.get("training.optimizer", "8bit")
                    if divided_bytes or any(change.get(key, value) != value for key, value in fixed.items()):
                        continue
                    plan = with_values(proposal.plan, change)
                    needs = estimate(proposal.spec, plan, proposal.data, proposal.device).total_bytes
                    if needs < proposal.memory.total_bytes:
                        found.append(change)
    return found


@pytest.mark.parametrize(
    ("model", "card", "count", "fixed"),
    [
        ("Qwen/Qwen3-8B", "RTX 4090", 1, {"method.kind": "full"}),
        ("Qwen/Qwen3-4B", "RTX 4090", 1, {"method.kind": "full"}),
        ("Qwen/Qwen3-14B", "RTX 4090", 1, {"method.kind": "full"}),
        ("Qwen/Qwen3-8B", "RTX 4090", 1, {"method.kind": "full", "model.dtype": "fp32"}),
        ("Qwen/Qwen3-8B", "RTX 4090", 1, {"method.kind": "full", "training.checkpointing": False}),
        ("Qwen/Qwen3-8B", "RTX 4090", 1, {"method.kind": "full", "training.optimizer": "adamw_torch_fused"}),
        ("Qwen/Qwen3-14B", "RTX 4090", 2, {"method.kind": "full"}),
        ("Qwen/Qwen3-32B", "T4", 1, {}),
        ("Qwen/Qwen3-8B", "T4", 1, {"method.kind": "lora"}),
    ],
    ids=str,
)
def test_no_other_plan_of_the_method_comes_nearer(model: str, card: str, count: int, fixed: dict[str, Any]) -> None:
    by_hand = {key.replace(".", "__"): value for key, value in fixed.items()}
    proposal = made(model, card, DATA, count, **by_hand)
    assert not nearer(proposal, fixed)


def test_states_of_8_bits_are_taken_and_told_where_even_they_do_not_fit() -> None:
    """A planned RTX 4090 was proposed 66.3 GiB for all weights of Qwen3-8B, and 54.7 GiB as a way out of it."""
    proposal = made("Qwen/Qwen3-8B", "RTX 4090", DATA, method__kind="full")
    whole = made("Qwen/Qwen3-8B", "RTX 4090", DATA, method__kind="full", training__optimizer="adamw_torch_fused")
    assert proposal.plan.training.optimizer == "paged_adamw_8bit"
    assert proposal.memory.total_bytes < whole.memory.total_bytes
    assert proposal.why("training.optimizer").startswith("With AdamW's whole states it would need ")
    assert not [other for other in proposal.alternatives if set(other.change) == {"training.optimizer"}]
