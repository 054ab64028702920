"""What a change leaves of a checkpoint: every key has an answer, with a reason in words."""

from __future__ import annotations

from typing import Any

import pytest

from loratui.core.errors import PlanError
from loratui.core.plan import Plan
from loratui.core.plan_change import _DEPENDING, KEYS, start_after, why
from loratui.core.plan_text import fields, with_values

TOGETHER = {"hardware.devices": [0, 1], "hardware.parallelism": "fsdp"}


def test_every_key_is_in_the_table() -> None:
    assert set(KEYS) == set(fields())
    assert all(reason or key in _DEPENDING for key, (_, reason) in KEYS.items()), "a key without a reason"


@pytest.mark.parametrize(
    ("base", "changes", "start"),
    [
        ({}, {}, "checkpoint"),
        ({}, {"training.learning_rate": 2e-4, "lora.r": 16}, "checkpoint"),
        ({}, {"training.learning_rate": 1e-5, "training.weight_decay": 0.5, "saving.every_steps": 2}, "checkpoint"),
        (
            {"training.batch_size": 4, "training.accumulation": 2},
            {"training.batch_size": 1, "training.accumulation": 8},
            "checkpoint",
        ),
        ({}, {"training.accumulation": 16}, "adapter"),
        ({}, {"training.max_length": 512}, "adapter"),
        ({}, {"training.optimizer": "adamw_torch"}, "checkpoint"),
        ({}, {"training.optimizer": "paged_adamw_8bit"}, "adapter"),
        ({}, {"lora.r": 8, "training.max_length": 512}, "anew"),
        ({}, {"method.kind": "qlora", "method.quantization": "nf4"}, "anew"),
        ({}, {"hardware.parallelism": "fsdp"}, "checkpoint"),
        ({"hardware.devices": [0, 1]}, {"hardware.parallelism": "fsdp"}, "anew"),
        (TOGETHER, {"training.learning_rate": 1e-5}, "checkpoint"),
        (TOGETHER, {"training.max_length": 512}, "anew"),
        ({"hardware.devices": [0]}, {"hardware.devices": [1]}, "checkpoint"),
        (
            {"hardware.devices": [0], "training.accumulation": 8},
            {"hardware.devices": [0, 1], "training.accumulation": 4},
            "checkpoint",
        ),
        ({"hardware.devices": [0]}, {"hardware.devices": [0, 1]}, "adapter"),
    ],
)
def test_the_most_demanding_key_decides(base: dict[str, Any], changes: dict[str, Any], start: str) -> None:
    assert start_after(with_values(Plan(), base), changes) == start


def test_the_reason_names_the_keys_that_decide() -> None:
    text = why(Plan(), {"lora.r": 8, "lora.targets": ["q_proj"], "training.learning_rate": 1e-5})
    assert text == "lora.r: the trained weights have another shape; lora.targets: other layers have an adapter"
    assert "a step holds 16 rows instead of 8" in why(Plan(), {"training.accumulation": 16})


def test_an_unknown_key_is_refused() -> None:
    with pytest.raises(PlanError, match=r"there is no key lora\.rank"):
        start_after(Plan(), {"lora.rank": 8})
