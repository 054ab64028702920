"""Training an adapter further: its shape is proposed as it is, and a lower rate."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from loratui.core.dataset import uniform
from loratui.core.errors import ModelError
from loratui.core.presets import Preset
from loratui.core.proposal import propose
from loratui.core.recommend.from_adapter import AdapterShape
from loratui.core.situation import Situation
from loratui.machine.catalogue import find_gpu
from loratui.models.adapter import read_adapter
from loratui.models.find import find_model

NAMES = ("down_proj", "gate_proj", "k_proj", "o_proj", "q_proj", "up_proj", "v_proj")


def proposal(adapter: AdapterShape | None, by_hand: dict[str, Any] | None = None) -> Any:
    spec = find_model("Qwen/Qwen3-0.6B", online=False).spec
    return propose(
        Situation(spec, uniform(1000, 200), find_gpu("RTX 4090").device(), adapter=adapter), by_hand=by_hand or {}
    )


def test_the_adapters_shape_is_proposed_with_that_reason() -> None:
    fresh, found = (
        proposal(None),
        proposal(AdapterShape(8, 16.0, "rslora", ("v_proj", "q_proj")), {"lora.adapter": "somewhere"}),
    )
    assert (found.plan.lora.r, found.plan.lora.alpha, found.plan.lora.variant, found.plan.lora.targets) == (
        8,
        16.0,
        "rslora",
        ["q_proj", "v_proj"],
    )
    for key in ("lora.r", "lora.alpha", "lora.variant", "lora.targets"):
        assert found.origins[key] == "proposed" and "That of the adapter" in found.why(key)
    assert found.memory.total_bytes < fresh.memory.total_bytes, "memory is that of its shape"


def test_its_rate_is_a_third_with_that_reason() -> None:
    same = AdapterShape(16, 32.0, "lora", NAMES)
    fresh, found = proposal(None, {"lora.r": 16}), proposal(same)
    assert found.plan.lora.targets == "all-linear"
    assert found.plan.training.learning_rate == pytest.approx(fresh.plan.training.learning_rate / 3, rel=0.05)
    assert (
        "has learnt already" in found.why("training.learning_rate")
        and "2403.08763" in found.recommendations["training.learning_rate"].source
    )
    assert proposal(same, {"training.learning_rate": 1e-3}).plan.training.learning_rate == 1e-3


def test_a_folder_without_an_adapter_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="holds no LoRA adapter"):
        read_adapter(str(tmp_path))
    (tmp_path / "adapter_config.json").write_text(
        json.dumps({"r": 8, "lora_alpha": 16, "target_modules": ["q_proj"], "use_rslora": True})
    )
    assert read_adapter(str(tmp_path)) == AdapterShape(8, 16.0, "rslora", ("q_proj",))


def test_a_presets_rate_for_a_new_adapter_is_told() -> None:
    preset = Preset("fixed", "Fixed", "A fixed rate.", {"training.learning_rate": 2e-3})
    spec = find_model("Qwen/Qwen3-0.6B", online=False).spec
    device = find_gpu("RTX 4090").device()

    def told(adapter: AdapterShape | None, by_hand: dict[str, Any]) -> list[str]:
        found = propose(Situation(spec, uniform(1000, 200), device, adapter=adapter), preset, by_hand)
        return [one for one in found.warnings if "for a new adapter" in one]

    same = AdapterShape(16, 32.0, "lora", NAMES)
    assert len(told(same, {})) == 1 and "0.002" in told(same, {})[0]
    assert not told(None, {}) and not told(same, {"training.learning_rate": 2e-3}), "a person's own needs no word"
