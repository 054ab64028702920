"""A field whose value is not the calculation's says what the calculation would propose."""

from __future__ import annotations

from loratui.core.dataset import uniform
from loratui.core.hardware import Device
from loratui.core.proposal import propose
from loratui.core.situation import Situation
from loratui.models.find import find_model

GPU = Device(name="GPU", memory_total_bytes=24 << 30, memory_free_bytes=24 << 30, compute_capability=(8, 6))


def test_why_tells_the_proposed_value_beside_mine() -> None:
    situation = Situation(find_model("demo").spec, uniform(1000, 64), GPU)
    proposed = propose(situation)
    rank, epochs = proposed.plan.lora.r, proposed.plan.training.epochs
    assert proposed.why("lora.r") == proposed.recommendations["lora.r"].why
    by_hand = propose(situation, by_hand={"lora.r": 2 * rank, "training.epochs": epochs + 1})
    assert by_hand.why("lora.r").startswith(f"Proposed is {rank} (3.12 MiB less memory): ")
    assert by_hand.why("training.epochs").startswith(f"Proposed is {epochs:g}: ")
    assert by_hand.why("dataset.path") == ""
